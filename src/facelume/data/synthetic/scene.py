"""Scenes of synthetic faces: everything but the albedo, which a face gets when it is photographed.

Shadows and occlusion take most of the time and do not depend on the albedo, so one scene serves many skins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from facelume.camera import CROP_CAMERA, LIGHT_FROM_CAM, cam_from_model, transform_points
from facelume.data.synthetic.config import SyntheticConfig
from facelume.data.synthetic.head import random_head, random_place, random_rotvec
from facelume.data.synthetic.light import SceneLight, random_light
from facelume.data.synthetic.occluders import (
    Layer,
    backdrop,
    glasses,
    hair_colour,
    hair_strands,
    hand,
)
from facelume.data.synthetic.shade import ambient_occlusion, random_material, shade_head
from facelume.face_model import FaceModel
from facelume.geometry import vertex_normals
from facelume.illumination import irradiance
from facelume.raster import (
    GeometryBuffers,
    barycentric_at,
    geometry_buffers,
    interpolate,
    rasterize,
    sample_map,
)
from facelume.reflectance import shading_from_irradiance
from facelume.types import FacePart

# The edge and the surface of hair: waves over the scalp (radians per metre), and how much they move the edge
# (share of the scalp mask) and the thickness; hair stands off at least so far that it hides the scalp.
_NUM_HAIR_WAVES, _HAIR_WAVES_PER_M = 6, (15.0, 90.0)
_EDGE_WAVINESS, _THICKNESS_WAVINESS, _LEAST_HAIR_M = 0.06, 0.12, 0.002
# Streaks along hair (radians per metre) and noise of single pixels, as contrast on its shading.
_STREAKS_PER_M, _STREAK_CONTRAST, _GRAIN_CONTRAST = 300.0, 0.35, 0.25
# Strands, glasses and hands have no shape: they are lit like a surface that looks ahead and a little up.
_OCCLUDER_NORMAL = (0.0, 0.3, 0.95)


@dataclass(frozen=True)
class SyntheticScene:
    """A lit head without albedo, at the crop's pixels; linear, before exposure.

    Attributes:
        uv: Atlas coordinates.
        shading: Irradiance / pi, shadows and bleeding light included; 0 outside the head.
        highlight: Light reflected at the surface of the skin.
        is_head: Where the head is.
        is_skin: Where the skin of the face front is: what the exposure is metered on.
        overlay: Hair, glasses and hands, times their coverage.
        overlay_alpha: Their coverage.
        behind: Background, after exposure.
        parsing: M_parsing in [0, 1].
        light_sh: SH radiance (order 2) of all light, light frame.
        identity: In standard deviations.
        expression: ARKit weights.
        pose: Rotation vector and translation (metres).
        landmarks_px: The 478 points.
    """

    uv: Float[np.ndarray, "224 224 2"]
    shading: Float[np.ndarray, "224 224 3"]
    highlight: Float[np.ndarray, "224 224 3"]
    is_head: Bool[np.ndarray, "224 224"]
    is_skin: Bool[np.ndarray, "224 224"]
    overlay: Float[np.ndarray, "224 224 3"]
    overlay_alpha: Float[np.ndarray, "224 224"]
    behind: Float[np.ndarray, "224 224 3"]
    parsing: Float[np.ndarray, "224 224"]
    light_sh: Float[np.ndarray, "9 3"]
    identity: Float[np.ndarray, " I"]
    expression: Float[np.ndarray, " E"]
    pose: Float[np.ndarray, " 6"]
    landmarks_px: Float[np.ndarray, "478 2"]


class SyntheticScenes:
    """Draws scenes of one face model; what depends on the model alone is computed once."""

    def __init__(
        self,
        model: FaceModel,
        environment_maps: Sequence[Float[np.ndarray, "H W 3"]],
        config: SyntheticConfig,
    ) -> None:
        self.model = model
        self.environment_maps = list(environment_maps)
        self.config = config
        topology = model.topology
        self._occlusion = ambient_occlusion(model.mean_shape, topology.faces)
        vertex_uv = torch.zeros(len(model.mean_shape), 2)
        vertex_uv[topology.faces.flatten()] = topology.uvs[topology.uv_faces.flatten()]
        self._scalp = sample_map(model.uv_mask("scalp", 256)[None, None], vertex_uv[None, None])[0, 0, 0]
        not_face = torch.stack([model.uv_mask(name, 256) for name in ("ears", "neck", "scalp")]).sum(0)
        # Grown by three texels, so that a look-up at a chart's border finds no bare skin in the gutter.
        self._bare_map = 1.0 - functional.max_pool2d(not_face.clamp(0.0, 1.0)[None, None], 7, 1, 3)

    def draw(self, rng: np.random.Generator) -> SyntheticScene:
        """Draw one scene."""
        model, config = self.model, self.config
        identity, expression = random_head(model.num_identity, model.expression_names, config.head, rng)
        rotvec = random_rotvec(config.pose, rng)
        landmarks = model.landmarks(identity, expression)
        translation = random_place(landmarks, rotvec, config.pose, rng)
        matrix = cam_from_model(rotvec, translation)
        landmarks_px = CROP_CAMERA.project(transform_points(matrix, landmarks)).numpy()
        vertices = model.shape(identity, expression)
        buffers = geometry_buffers(model.topology, vertices[None], matrix[None], CROP_CAMERA)
        hair = None
        if not config.is_plain and rng.random() < config.occluders.hair_fraction:
            hair = self._hair_mesh(vertices, matrix, rng)
        light = random_light(self.environment_maps, config.light, rng)
        shading, highlight = self._shade(buffers, transform_points(matrix, vertices), hair, light, rng)
        bare = sample_map(self._bare_map, buffers.uv)[0, 0] * (buffers.part[0] == FacePart.SKIN) + (
            buffers.part[0] > FacePart.SKIN
        )
        parsing = (bare * buffers.mask[0]).numpy()
        overlay = np.zeros((*parsing.shape, 3))
        alpha = np.zeros(parsing.shape)
        for layer in self._layers(buffers, hair, light, landmarks_px, rng):
            overlay = overlay * (1 - layer.alpha[..., None]) + layer.colour_linear * layer.alpha[..., None]
            alpha = alpha * (1 - layer.alpha) + layer.alpha
            parsing = parsing * (1 - layer.excluded)
        maps = self.environment_maps
        environment_map = maps[int(rng.integers(len(maps)))] if maps else None
        behind = backdrop(environment_map, len(parsing), config.backdrop, rng)
        return SyntheticScene(
            uv=buffers.uv[0].numpy(),
            shading=shading.movedim(0, -1).numpy(),
            highlight=highlight.movedim(0, -1).numpy(),
            is_head=buffers.mask[0].numpy(),
            is_skin=(buffers.face_mask[0] & (buffers.part[0] == FacePart.SKIN)).numpy(),
            overlay=overlay.astype(np.float32),
            overlay_alpha=alpha.astype(np.float32),
            behind=behind.astype(np.float32),
            parsing=parsing.astype(np.float32),
            light_sh=light.total_sh().numpy(),
            identity=identity.numpy(),
            expression=expression.numpy(),
            pose=torch.cat([rotvec, translation]).numpy(),
            landmarks_px=landmarks_px.astype(np.float32),
        )

    def _shade(
        self,
        buffers: GeometryBuffers,
        vertices_cam: Float[Tensor, "V 3"],
        hair: tuple[Tensor, Tensor] | None,
        light: SceneLight,
        rng: np.random.Generator,
    ) -> tuple[Float[Tensor, "3 H W"], Float[Tensor, "3 H W"]]:
        faces = self.model.topology.faces
        bary_coords = barycentric_at(vertices_cam[None], faces, buffers.pix_to_face, CROP_CAMERA)
        occlusion = interpolate(self._occlusion[None, :, None], faces, buffers.pix_to_face, bary_coords)
        in_light_axes = torch.tensor(LIGHT_FROM_CAM)
        casters = (vertices_cam * in_light_axes, faces)
        if hair is not None:
            casters = (
                torch.cat([casters[0], hair[0] * in_light_axes]),
                torch.cat([casters[1], hair[1] + len(casters[0])]),
            )
        material = random_material(self.config.material, rng)
        shaded = shade_head(buffers, casters, occlusion[0, ..., 0], light, material)
        return shaded.shading, shaded.highlight

    def _hair_mesh(
        self, vertices: Float[Tensor, "V 3"], matrix: Float[Tensor, "4 4"], rng: np.random.Generator
    ) -> tuple[Float[Tensor, "V 3"], Tensor]:
        """The scalp, lifted along its normals with an uneven edge; camera axes."""
        normals = vertex_normals(vertices[None], self.model.topology.faces)[0]
        waves = torch.zeros(len(vertices))
        for _ in range(_NUM_HAIR_WAVES):
            direction = torch.from_numpy(rng.normal(size=3).astype(np.float32))
            direction = direction * float(rng.uniform(*_HAIR_WAVES_PER_M))
            waves += torch.sin(vertices @ direction + float(rng.uniform(0, 6.28)))
        cover = self._scalp + _EDGE_WAVINESS * waves
        thickness_m = float(rng.uniform(*self.config.occluders.hair.thickness_range_m))
        thickness = thickness_m * (1.0 + _THICKNESS_WAVINESS * waves) * self._scalp.clamp(0.0, 1.0)
        lifted = vertices + normals * (_LEAST_HAIR_M + thickness.clamp_min(0.0))[:, None]
        is_hair = (cover > 0.5)[self.model.topology.faces].all(dim=-1)
        return transform_points(matrix, lifted), self.model.topology.faces[is_hair]

    def _layers(
        self,
        buffers: GeometryBuffers,
        hair: tuple[Tensor, Tensor] | None,
        light: SceneLight,
        landmarks_px: Float[np.ndarray, "478 2"],
        rng: np.random.Generator,
    ) -> list[Layer]:
        """What lies over the head, from back to front."""
        config, size = self.config.occluders, CROP_CAMERA.width_px
        if self.config.is_plain:
            return []
        colour = hair_colour(config.hair, rng)
        received = irradiance(light.total_sh(), torch.tensor(_OCCLUDER_NORMAL))
        brightness = max(float(shading_from_irradiance(received).mean()), 0.02)
        layers = []
        if hair is not None and len(hair[1]) > 0:
            cover, shade = _shade_hair(hair, light, buffers, rng)
            layers.append(Layer((colour * shade).astype(np.float32), cover, cover))
        if rng.random() < config.strand_fraction:
            layers.append(hair_strands(landmarks_px, size, colour, brightness, config.strands, rng))
        if rng.random() < config.glasses_fraction:
            layers.append(glasses(landmarks_px, size, brightness, config.glasses, rng))
        if rng.random() < config.hand_fraction:
            layers.append(hand(landmarks_px, size, brightness, config.hand, rng))
        return layers


def _shade_hair(
    hair: tuple[Tensor, Tensor], light: SceneLight, buffers: GeometryBuffers, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Where hair is in front of the head, and its shading: soft light on streaky noise."""
    vertices_cam, faces = hair
    raster = rasterize(vertices_cam[None], faces, CROP_CAMERA)
    seen = raster.pix_to_face[0] >= 0
    in_front = (raster.depth[0] < buffers.depth[0] + 1e-4) | ~buffers.mask[0]
    normals = vertex_normals(vertices_cam[None], faces) * torch.tensor(LIGHT_FROM_CAM)
    streak_axis = torch.from_numpy(rng.normal(size=3).astype(np.float32)) * _STREAKS_PER_M
    streaks = torch.sin(vertices_cam @ streak_axis)[None, :, None]
    values = interpolate(torch.cat([normals, streaks], -1), faces, raster.pix_to_face, raster.bary_coords)[0]
    received = irradiance(light.total_sh()[None, None], values[..., :3]).clamp_min(0.02)
    grain = torch.from_numpy(rng.normal(size=tuple(seen.shape)).astype(np.float32))
    pattern = 1.0 + _STREAK_CONTRAST * values[..., 3:] + _GRAIN_CONTRAST * grain[..., None]
    shade = shading_from_irradiance(received) * pattern.clamp_min(0.1)
    return (seen & in_front).numpy().astype(np.float32), shade.numpy()
