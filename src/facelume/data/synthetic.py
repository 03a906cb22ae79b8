"""Synthetic faces: pictures of random heads of the face model with exact labels.

A picture shows what a Lambertian face under soft light cannot: cast shadows, highlights, light that bleeds
under the skin, hair, glasses, hands, a background and the flaws of a camera. Its labels (albedo, light,
coefficients, landmarks, parsing) are exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from facelume.camera import CROP_CAMERA, LIGHT_FROM_CAM, cam_from_model, transform_points
from facelume.data.synthetic_camera import exposure_gain, random_flaws, take_picture
from facelume.data.synthetic_head import place_in_crop, random_head, random_rotvec
from facelume.data.synthetic_light import SceneLight, random_light
from facelume.data.synthetic_occluders import background, glasses, hair_colour, hair_strands, hand
from facelume.data.synthetic_render import ambient_occlusion, random_material, shade_head
from facelume.errors import UsageError
from facelume.face_model import FaceModel
from facelume.geometry import vertex_normals
from facelume.illumination import irradiance
from facelume.raster import GeometryBuffers, geometry_buffers, interpolate, rasterize, sample_map
from facelume.raster.rasterizer import barycentric_at
from facelume.reflectance import srgb_from_linear

HELD_OUT_MAPS = ("city", "park", "hall", "sunrise", "spruit_sunrise")
"""Environment maps that no training may use."""

AlbedoDetail = Callable[[Float[Tensor, "3 s s"], np.random.Generator], Float[Tensor, "3 s s"]]


@dataclass(frozen=True)
class SyntheticConfig:
    """What is drawn how often.

    Attributes:
        albedo_size: Side of the true albedo map, texels.
        hair_fraction: Share of heads with hair on the scalp.
        strand_fraction: Share with strands over the face.
        glasses_fraction: Share with glasses.
        hand_fraction: Share with a hand or another thing in front of the face.
        size_jitter: Standard deviation of the log size of the face against the contract crop.
        shift_jitter_px: Standard deviation of the offset of the face.
        is_plain: Leave out every occluder, bleeding light and camera flaw: for measuring albedo.
    """

    albedo_size: int = 256
    hair_fraction: float = 0.75
    strand_fraction: float = 0.2
    glasses_fraction: float = 0.15
    hand_fraction: float = 0.1
    size_jitter: float = 0.03
    shift_jitter_px: float = 2.0
    is_plain: bool = False


@dataclass(frozen=True)
class SyntheticFace:
    """One picture and its labels.

    Attributes:
        image_srgb: The crop.
        parsing: M_parsing x 255: bare face, without hair, glasses, hands, ears and neck.
        albedo_srgb: True albedo in the atlas, sRGB-encoded.
        light_sh: SH radiance (order 2) of all light, light frame, after exposure and white balance.
        identity: In standard deviations.
        expression: ARKit weights.
        albedo: Coefficients of the albedo before detail outside the basis was added.
        pose: Rotation vector and translation (metres) in the crop camera.
        landmarks_px: The 478 points in crop pixels.
        lambert_share: Share of each pixel's light that is no highlight, x 255.
    """

    image_srgb: UInt8[np.ndarray, "224 224 3"]
    parsing: UInt8[np.ndarray, "224 224"]
    albedo_srgb: UInt8[np.ndarray, "s s 3"]
    light_sh: Float[np.ndarray, "9 3"]
    identity: Float[np.ndarray, " I"]
    expression: Float[np.ndarray, " E"]
    albedo: Float[np.ndarray, " A"]
    pose: Float[np.ndarray, " 6"]
    landmarks_px: Float[np.ndarray, "478 2"]
    lambert_share: UInt8[np.ndarray, "224 224"]


def load_environment_maps(path: Path, *, held_out: bool = False) -> dict[str, Float[np.ndarray, "H W 3"]]:
    """Read the training (or the held-out) maps of an ``.npz`` of lat-long HDR maps.

    Raises:
        UsageError: There is no such file.
    """
    if not path.is_file():
        raise UsageError(f"no environment maps at {path}: point the configuration at the .npz with the maps")
    with np.load(path, allow_pickle=False) as archive:
        names = [name for name in archive.files if (name in HELD_OUT_MAPS) == held_out]
        return {name: np.minimum(archive[name].astype(np.float32), 60000.0) for name in names}


class SyntheticFaces:
    """Draws pictures of one face model; what depends on the model alone is computed once."""

    def __init__(
        self,
        model: FaceModel,
        environment_maps: Sequence[Float[np.ndarray, "H W 3"]],
        config: SyntheticConfig,
        albedo_detail: AlbedoDetail | None = None,
    ) -> None:
        self.model = model
        self.environment_maps = list(environment_maps)
        self.config = config
        self.albedo_detail = albedo_detail
        topology = model.topology
        self._occlusion = ambient_occlusion(model.mean_shape, topology.faces)
        self._vertex_uv = torch.zeros(len(model.mean_shape), 2)
        self._vertex_uv[topology.faces.flatten()] = topology.uvs[topology.uv_faces.flatten()]
        self._scalp = self._at_vertices(model.uv_mask("scalp", 256))
        not_face = sum(model.uv_mask(name, 256) for name in ("ears", "neck", "scalp"))
        self._bare_map = (1.0 - not_face).clamp(0.0, 1.0)[None, None]

    def _at_vertices(self, uv_map: Float[Tensor, "s s"]) -> Float[Tensor, " V"]:
        return sample_map(uv_map[None, None], self._vertex_uv[None, None])[0, 0, 0]

    def draw(
        self, rng: np.random.Generator, albedo_map: Float[Tensor, "3 s s"] | None = None
    ) -> SyntheticFace:
        """Draw one picture with its labels.

        Args:
            rng: Source of everything random but the lights' order.
            albedo_map: Linear albedo to use instead of a random one of the model (its coefficients are then
                0).
        """
        model, config = self.model, self.config
        head = random_head(model.num_identity, model.num_albedo, model.expression_names, rng)
        rotvec = random_rotvec(rng)
        landmarks = model.landmarks(head.identity, head.expression)
        shift = rng.normal(0.0, config.shift_jitter_px, size=2)
        size_factor = math.exp(rng.normal(0.0, config.size_jitter))
        translation = place_in_crop(landmarks, rotvec, size_factor, (float(shift[0]), float(shift[1])))
        matrix = cam_from_model(rotvec, translation)
        landmarks_px = CROP_CAMERA.project(transform_points(matrix, landmarks)).numpy()
        vertices = model.shape(head.identity, head.expression)
        if albedo_map is None:
            albedo_map = model.albedo_map(head.albedo, config.albedo_size)
            if self.albedo_detail is not None:
                albedo_map = self.albedo_detail(albedo_map, rng)
        picture = self._picture(vertices, matrix, albedo_map, landmarks_px, rng)
        albedo_srgb = srgb_from_linear(albedo_map).movedim(0, -1)
        return SyntheticFace(
            image_srgb=picture.image_srgb,
            parsing=picture.parsing,
            albedo_srgb=(albedo_srgb * 255 + 0.5).to(torch.uint8).numpy(),
            light_sh=picture.light_sh,
            identity=head.identity.numpy(),
            expression=head.expression.numpy(),
            albedo=head.albedo.numpy(),
            pose=torch.cat([rotvec, translation]).numpy(),
            landmarks_px=landmarks_px.astype(np.float32),
            lambert_share=picture.lambert_share,
        )

    def _picture(
        self,
        vertices: Float[Tensor, "V 3"],
        matrix: Float[Tensor, "4 4"],
        albedo_map: Float[Tensor, "3 s s"],
        landmarks_px: Float[np.ndarray, "478 2"],
        rng: np.random.Generator,
    ) -> _Picture:
        config, topology = self.config, self.model.topology
        size = CROP_CAMERA.width_px
        buffers = geometry_buffers(topology, vertices[None], matrix[None], CROP_CAMERA)
        bary_coords = barycentric_at(
            transform_points(matrix, vertices)[None], topology.faces, buffers.pix_to_face, CROP_CAMERA
        )
        occlusion = interpolate(
            self._occlusion[None, :, None], topology.faces, buffers.pix_to_face, bary_coords
        )[0, ..., 0]
        in_light_axes = torch.tensor(LIGHT_FROM_CAM)
        casters = (transform_points(matrix, vertices) * in_light_axes, topology.faces)
        hair = None
        if not config.is_plain and rng.random() < config.hair_fraction:
            hair = self._hair_mesh(vertices, matrix, rng)
            offset = len(casters[0])
            casters = (
                torch.cat([casters[0], hair[0] * in_light_axes]),
                torch.cat([casters[1], hair[1] + offset]),
            )
        light = random_light(self.environment_maps, rng)
        material = random_material(rng)
        shaded = shade_head(buffers, casters, albedo_map[None], occlusion, light, material)
        face = (buffers.face_mask[0] & (buffers.part[0] == 0)).numpy()
        light_colour = (light.total_sh()[0]).clamp_min(1e-4).numpy()
        gain = exposure_gain(shaded.image_linear.movedim(0, -1).numpy(), face, light_colour, rng)
        image = shaded.image_linear.movedim(0, -1).numpy() * gain
        share = (shaded.lambert_linear.sum(0) / shaded.image_linear.sum(0).clamp_min(1e-6)).clamp(0.0, 1.0)
        light = light.scaled(torch.from_numpy(gain))
        bare = sample_map(self._bare_map, buffers.uv)[0, 0] * (buffers.part[0] == 0) + (buffers.part[0] > 0)
        parsing = (bare * buffers.mask[0]).numpy()
        image, parsing = self._surroundings(image, parsing, (buffers, hair, light), landmarks_px, rng)
        if config.is_plain:
            encoded = srgb_from_linear(torch.from_numpy(image)).numpy()
            image_srgb = (encoded * 255 + 0.5).astype(np.uint8)
        else:
            image_srgb = take_picture(image, random_flaws(rng), rng)
        return _Picture(
            image_srgb=image_srgb,
            parsing=(parsing * 255 + 0.5).astype(np.uint8),
            light_sh=light.total_sh().numpy(),
            lambert_share=(share * 255 + 0.5).to(torch.uint8).numpy()[:size, :size],
        )

    def _hair_mesh(
        self, vertices: Float[Tensor, "V 3"], matrix: Float[Tensor, "4 4"], rng: np.random.Generator
    ) -> tuple[Float[Tensor, "V 3"], Tensor]:
        """The scalp, lifted along its normals with an uneven edge; camera axes."""
        normals = vertex_normals(vertices[None], self.model.topology.faces)[0]
        waves = torch.zeros(len(vertices))
        for _ in range(6):
            direction = torch.from_numpy(rng.normal(size=3).astype(np.float32)) * float(rng.uniform(15, 90))
            waves += torch.sin(vertices @ direction + float(rng.uniform(0, 6.28)))
        cover = self._scalp + 0.06 * waves
        thickness = float(rng.uniform(0.003, 0.03)) * (1.0 + 0.12 * waves) * self._scalp.clamp(0.0, 1.0)
        lifted = vertices + normals * (0.002 + thickness.clamp_min(0.0))[:, None]
        is_hair = (cover > 0.5)[self.model.topology.faces].all(dim=-1)
        return transform_points(matrix, lifted), self.model.topology.faces[is_hair]

    def _surroundings(
        self,
        image: Float[np.ndarray, "H W 3"],
        parsing: Float[np.ndarray, "H W"],
        scene: tuple[GeometryBuffers, tuple[Tensor, Tensor] | None, SceneLight],
        landmarks_px: Float[np.ndarray, "478 2"],
        rng: np.random.Generator,
    ) -> tuple[Float[np.ndarray, "H W 3"], Float[np.ndarray, "H W"]]:
        """Lay hair, glasses and hands over the head and the background behind it."""
        config, size = self.config, CROP_CAMERA.width_px
        buffers, hair, light = scene
        maps = self.environment_maps
        behind = background(maps[int(rng.integers(len(maps)))] if maps else None, size, rng)
        head = buffers.mask[0].numpy()[..., None]
        image = np.where(head, image, behind)
        if config.is_plain:
            return image.astype(np.float32), parsing
        colour = hair_colour(rng)
        brightness = float(irradiance(light.total_sh(), torch.tensor([0.0, 0.3, 0.95])).mean()) / math.pi
        brightness = max(brightness, 0.05)
        if hair is not None and len(hair[1]) > 0:
            cover, shade = _shade_hair(hair, light, buffers, rng)
            image = np.where(cover[..., None], colour * shade, image)
            parsing = parsing * ~cover
        layers = []
        if rng.random() < config.strand_fraction:
            layers.append(hair_strands(landmarks_px, size, colour, brightness, rng))
        if rng.random() < config.glasses_fraction:
            layers.append(glasses(landmarks_px, size, brightness, rng))
        if rng.random() < config.hand_fraction:
            skin = np.array([0.45, 0.27, 0.19]) * rng.uniform(0.1, 1.2)
            layers.append(hand(landmarks_px, size, skin, brightness, rng))
        for layer in layers:
            image = image * (1 - layer.alpha[..., None]) + layer.colour_linear * layer.alpha[..., None]
            parsing = parsing * (1 - layer.excluded)
        return image.astype(np.float32), parsing


@dataclass(frozen=True)
class _Picture:
    """What :meth:`SyntheticFaces._picture` makes of one scene; fields as in :class:`SyntheticFace`."""

    image_srgb: UInt8[np.ndarray, "224 224 3"]
    parsing: UInt8[np.ndarray, "224 224"]
    light_sh: Float[np.ndarray, "9 3"]
    lambert_share: UInt8[np.ndarray, "224 224"]


def _shade_hair(
    hair: tuple[Tensor, Tensor], light: SceneLight, buffers: GeometryBuffers, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Where hair is in front of the head, and its shading: soft light on streaky noise."""
    vertices_cam, faces = hair
    raster = rasterize(vertices_cam[None], faces, CROP_CAMERA)
    seen = raster.pix_to_face[0] >= 0
    in_front = (raster.depth[0] < buffers.depth[0] + 1e-4) | ~buffers.mask[0]
    normals = vertex_normals(vertices_cam[None], faces) * torch.tensor(LIGHT_FROM_CAM)
    streak_axis = torch.from_numpy(rng.normal(size=3).astype(np.float32)) * 300.0
    streaks = torch.sin(vertices_cam @ streak_axis)[None, :, None]
    values = interpolate(torch.cat([normals, streaks], -1), faces, raster.pix_to_face, raster.bary_coords)[0]
    received = irradiance(light.total_sh()[None, None], values[..., :3]).clamp_min(0.02) / math.pi
    grain = torch.from_numpy(rng.normal(size=tuple(seen.shape)).astype(np.float32))
    shade = received * (1.0 + 0.35 * values[..., 3:] + 0.25 * grain[..., None]).clamp_min(0.1)
    return (seen & in_front).numpy(), shade.numpy()


def stack(faces: Sequence[SyntheticFace]) -> dict[str, np.ndarray]:
    """Stack pictures and labels field by field: field name to array, one row per picture."""
    return {f.name: np.stack([getattr(face, f.name) for face in faces]) for f in fields(SyntheticFace)}


def write_shard(path: Path, faces: Sequence[SyntheticFace]) -> None:
    """Write pictures and labels, stacked by field, to an uncompressed ``.npz`` (whole or not at all)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, **stack(faces))
    partial.replace(path)


def read_shard(path: Path) -> dict[str, np.ndarray]:
    """Read a shard of :func:`write_shard`: field name to array, one row per picture."""
    with np.load(path, allow_pickle=False) as archive:
        return {f.name: archive[f.name] for f in fields(SyntheticFace)}


def generate(
    faces: SyntheticFaces, folder: Path, *, num_shards: int, shard_size: int = 40, seed: int = 0
) -> None:
    """Fill ``folder`` with shards ``<seed>_<number>.npz``; shards that are there already are kept."""
    for number in range(num_shards):
        path = folder / f"{seed:03d}_{number:05d}.npz"
        if path.exists():
            continue
        rng = np.random.default_rng([seed, number])
        write_shard(path, [faces.draw(rng) for _ in range(shard_size)])
