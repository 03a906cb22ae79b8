"""Scenes of synthetic faces: everything but the albedo, which a face gets when it is photographed.

Shadows and occlusion take most of the time and do not depend on the albedo, so one scene serves many skins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional

from facelume.camera import CROP_CAMERA, LIGHT_FROM_CAM, cam_from_model, transform_points
from facelume.data.synthetic.backdrop import backdrop
from facelume.data.synthetic.config import SyntheticConfig
from facelume.data.synthetic.head import random_expression, random_identity, random_place, random_rotvec
from facelume.data.synthetic.light import SceneLight
from facelume.data.synthetic.occluders import Layer, clothes, glasses, hair_strands, hand
from facelume.data.synthetic.random_light import random_light
from facelume.data.synthetic.shade import Screen, ambient_occlusion, random_material, shade_head
from facelume.face_model import FaceModel
from facelume.geometry import vertex_normals
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
# Where hair begins: its cover, and how ragged the line is.
_HAIR_LINE, _HAIR_LINE_WIDTH, _HAIR_LINE_NOISE = 0.5, 0.15, 0.06
_HAIR_BLUR_PX = 0.7
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
        overlay: Clothes, glasses and other things, times their coverage.
        overlay_hair: Light on hair times its coverage; times the person's hair it is a colour.
        overlay_skin: The same of hands, for the person's skin.
        overlay_alpha: What all of them cover.
        behind: Background.
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
    overlay_hair: Float[np.ndarray, "224 224 3"]
    overlay_skin: Float[np.ndarray, "224 224 3"]
    overlay_alpha: Float[np.ndarray, "224 224"]
    behind: Float[np.ndarray, "224 224 3"]
    parsing: Float[np.ndarray, "224 224"]
    light_sh: Float[np.ndarray, "9 3"]
    identity: Float[np.ndarray, " I"]
    expression: Float[np.ndarray, " E"]
    pose: Float[np.ndarray, " 6"]
    landmarks_px: Float[np.ndarray, "478 2"]


@dataclass(frozen=True)
class _Hair:
    """The scalp, lifted along its normals.

    Attributes:
        vertices_cam: Camera axes, metres.
        faces: Triangles that may show hair.
        cover: How much of each vertex is hair; from :data:`_HAIR_LINE` on it shows.
    """

    vertices_cam: Float[Tensor, "V 3"]
    faces: Int[Tensor, "F 3"]
    cover: Float[Tensor, " V"]

    @property
    def casters(self) -> Int[Tensor, "_ 3"]:
        """Triangles that cast shadows."""
        return self.faces[self.cover[self.faces].mean(dim=-1) > _HAIR_LINE]


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

    def draw(
        self, rng: np.random.Generator, identity: Float[np.ndarray, " I"] | None = None
    ) -> SyntheticScene:
        """Draw one scene.

        Args:
            rng: Source of everything random.
            identity: Whose head it shows, standard deviations; somebody new where not given.
        """
        model, config = self.model, self.config
        if identity is None:
            identity = self.draw_identity(rng)
        shape = torch.from_numpy(identity)
        expression = torch.from_numpy(random_expression(model.expression_names, config.head, rng))
        rotvec = random_rotvec(config.pose, rng)
        landmarks = model.landmarks(shape, expression)
        translation = random_place(landmarks, rotvec, config.pose, rng)
        matrix = cam_from_model(rotvec, translation)
        landmarks_px = CROP_CAMERA.project(transform_points(matrix, landmarks)).numpy()
        vertices = model.shape(shape, expression)
        buffers = geometry_buffers(model.topology, vertices[None], matrix[None], CROP_CAMERA)
        hair = None
        if not config.is_plain and rng.random() < config.occluders.hair_fraction:
            hair = self._hair_mesh(vertices, matrix, rng)
        light = random_light(self.environment_maps, config.light, rng)
        layers = self._layers(buffers, hair, light, landmarks_px, rng)
        shading, highlight = self._shade(
            buffers, transform_points(matrix, vertices), hair, (light, layers), rng
        )
        bare = sample_map(self._bare_map, buffers.uv)[0, 0] * (buffers.part[0] == FacePart.SKIN) + (
            buffers.part[0] > FacePart.SKIN
        )
        parsing = (bare * buffers.mask[0]).numpy()
        overlays = {name: np.zeros((*parsing.shape, 3), np.float32) for name in ("own", "hair", "skin")}
        alpha = np.zeros(parsing.shape)
        for layer in layers:
            through = 1 - layer.alpha[..., None]
            overlays = {name: overlay * through for name, overlay in overlays.items()}
            overlays[layer.matter] = overlays[layer.matter] + layer.colour_linear * layer.alpha[..., None]
            alpha = alpha * (1 - layer.alpha) + layer.alpha
            parsing = parsing * (1 - layer.excluded)
        return SyntheticScene(
            uv=buffers.uv[0].numpy(),
            shading=shading.movedim(0, -1).numpy(),
            highlight=highlight.movedim(0, -1).numpy(),
            is_head=buffers.mask[0].numpy(),
            is_skin=(buffers.face_mask[0] & (buffers.part[0] == FacePart.SKIN)).numpy(),
            overlay=overlays["own"].astype(np.float32),
            overlay_hair=overlays["hair"].astype(np.float32),
            overlay_skin=overlays["skin"].astype(np.float32),
            overlay_alpha=alpha.astype(np.float32),
            behind=backdrop(light, self.environment_maps, len(parsing), config.backdrop, rng),
            parsing=parsing.astype(np.float32),
            light_sh=light.total_sh().numpy(),
            identity=identity,
            expression=expression.numpy(),
            pose=torch.cat([rotvec, translation]).numpy(),
            landmarks_px=landmarks_px.astype(np.float32),
        )

    def draw_identity(self, rng: np.random.Generator) -> Float[np.ndarray, " I"]:
        """The head of a new person, standard deviations."""
        return random_identity(self.model.num_identity, self.config.head, rng)

    def _shade(
        self,
        buffers: GeometryBuffers,
        vertices_cam: Float[Tensor, "V 3"],
        hair: _Hair | None,
        lit: tuple[SceneLight, list[Layer]],
        rng: np.random.Generator,
    ) -> tuple[Float[Tensor, "3 H W"], Float[Tensor, "3 H W"]]:
        faces = self.model.topology.faces
        bary_coords = barycentric_at(vertices_cam[None], faces, buffers.pix_to_face, CROP_CAMERA)
        occlusion = interpolate(self._occlusion[None, :, None], faces, buffers.pix_to_face, bary_coords)
        in_light_axes = torch.tensor(LIGHT_FROM_CAM)
        casters = (vertices_cam * in_light_axes, faces)
        if hair is not None:
            casters = (
                torch.cat([casters[0], hair.vertices_cam * in_light_axes]),
                torch.cat([casters[1], hair.casters + len(casters[0])]),
            )
        light, layers = lit
        screens = [Screen(layer.shade, layer.distance_m) for layer in layers if layer.distance_m > 0]
        material = random_material(self.config.material, rng)
        shaded = shade_head(buffers, casters, occlusion[0, ..., 0], light, material, screens)
        return shaded.shading, shaded.highlight

    def _hair_mesh(
        self, vertices: Float[Tensor, "V 3"], matrix: Float[Tensor, "4 4"], rng: np.random.Generator
    ) -> _Hair:
        """The scalp, lifted along its normals with an uneven edge."""
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
        faces = self.model.topology.faces
        is_hair = (cover > _HAIR_LINE)[faces].any(dim=-1)
        return _Hair(transform_points(matrix, lifted), faces[is_hair], cover)

    def _layers(
        self,
        buffers: GeometryBuffers,
        hair: _Hair | None,
        light: SceneLight,
        landmarks_px: Float[np.ndarray, "478 2"],
        rng: np.random.Generator,
    ) -> list[Layer]:
        """What lies over the head, from back to front."""
        config, size = self.config.occluders, CROP_CAMERA.width_px
        if self.config.is_plain:
            return []
        received = light.shading_of(_OCCLUDER_NORMAL)
        layers = []
        if rng.random() < config.clothes_fraction:
            layers.append(clothes(landmarks_px, size, received, config.clothes, rng))
        if hair is not None and len(hair.faces) > 0:
            layers.append(_hair_layer(hair, light, buffers, rng))
        if rng.random() < config.strand_fraction:
            layers.append(hair_strands(landmarks_px, size, received, config.strands, rng))
        if rng.random() < config.glasses_fraction:
            layers.append(glasses(landmarks_px, size, received, config.glasses, rng))
        if rng.random() < config.hand_fraction:
            layers.append(hand(landmarks_px, size, received, config.hand, rng))
        return layers


def _hair_layer(hair: _Hair, light: SceneLight, buffers: GeometryBuffers, rng: np.random.Generator) -> Layer:
    """Hair where it is in front of the head, with a ragged line: soft light on streaky noise."""
    raster = rasterize(hair.vertices_cam[None], hair.faces, CROP_CAMERA)
    seen = raster.pix_to_face[0] >= 0
    in_front = (raster.depth[0] < buffers.depth[0] + 1e-4) | ~buffers.mask[0]
    normals = vertex_normals(hair.vertices_cam[None], hair.faces) * torch.tensor(LIGHT_FROM_CAM)
    streak_axis = torch.from_numpy(rng.normal(size=3).astype(np.float32)) * _STREAKS_PER_M
    streaks = torch.sin(hair.vertices_cam @ streak_axis)[None, :, None]
    values = torch.cat([normals, streaks, hair.cover[None, :, None]], -1)
    values = interpolate(values, hair.faces, raster.pix_to_face, raster.bary_coords)[0]
    received = light.open_irradiance(functional.normalize(values[..., :3], dim=-1)).clamp_min(1e-4)
    grain = torch.from_numpy(rng.normal(size=(2, *seen.shape)).astype(np.float32))
    pattern = 1.0 + _STREAK_CONTRAST * values[..., 3:4] + _GRAIN_CONTRAST * grain[0, ..., None]
    shade = shading_from_irradiance(received) * pattern.clamp_min(0.1)
    line = values[..., 4] + _HAIR_LINE_NOISE * (grain[1] + values[..., 3]) - _HAIR_LINE
    alpha = torch.where(buffers.mask[0], (line / _HAIR_LINE_WIDTH + 0.5).clamp(0, 1), 1.0) * (seen & in_front)
    cover = gaussian_filter(alpha.numpy(), _HAIR_BLUR_PX).astype(np.float32)
    return Layer(shade.numpy(), cover, cover, "hair", cover)
