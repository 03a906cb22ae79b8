"""A face of known shape and pose that can be rendered under any light, at any size."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from facelume.camera import CROP_CAMERA, PinholeCamera, cam_from_pose, transform_points
from facelume.errors import UnreadableInputError, UsageError
from facelume.face_model import FaceModel
from facelume.geometry import vertex_normals
from facelume.illumination import (
    irradiance_image,
    irradiance_map,
    light_presets,
    load_light,
    sh_rotation_matrix,
    with_front_shading,
    yaw_rotation,
)
from facelume.raster import GeometryBuffers, geometry_buffers, render
from facelume.types import Mesh
from facelume.uv import pose_texels, texel_map

Light = str | Path | np.ndarray
"""A preset's name, a file (.hdr, .exr, .npz), or radiance coefficients (9, 3) or per texel (S, S, 9, 3)."""

_MAX_RENDER_PX = 4096


@dataclass(frozen=True, eq=False)
class PosedFace:
    """Shape and pose of one reconstructed face in its crop camera.

    Attributes:
        model: The face model that the coefficients belong to.
        identity: Identity coefficients, standard deviations.
        expression: Expression coefficients, in [0, 1].
        pose: Rotation vector (radians) and translation (metres), see ``camera.pose``.
    """

    model: FaceModel
    identity: Float[Tensor, " I"]
    expression: Float[Tensor, " E"]
    pose: Float[Tensor, " 6"]

    @cached_property
    def vertices(self) -> Float[Tensor, "V 3"]:
        """Positions with expression, model axes, metres."""
        return self.model.shape(self.identity, self.expression)

    @cached_property
    def neutral_vertices(self) -> Float[Tensor, "V 3"]:
        """Positions without expression, model axes, metres."""
        return self.model.shape(self.identity, torch.zeros_like(self.expression))

    @cached_property
    def cam_from_model(self) -> Float[Tensor, "4 4"]:
        """Rigid matrix from model axes to camera axes."""
        return cam_from_pose(self.pose)

    @cached_property
    def crop_buffers(self) -> GeometryBuffers:
        """What each pixel of the 224 px crop sees."""
        return self.buffers(CROP_CAMERA.width_px)

    def buffers(self, size_px: int) -> GeometryBuffers:
        """What each pixel of a picture of the crop's field of view sees.

        Raises:
            UsageError: The size is not in 1..4096.
        """
        if not 1 <= size_px <= _MAX_RENDER_PX:
            raise UsageError(f"a rendering of {size_px} px is not possible; choose 1 to {_MAX_RENDER_PX}")
        camera = CROP_CAMERA.resized(size_px)
        return geometry_buffers(self.model.topology, self.vertices[None], self.cam_from_model[None], camera)

    def landmarks_crop_px(self) -> Float[np.ndarray, "478 2"]:
        """Projections of the mesh's 478 landmarks, crop pixels."""
        points = self.model.landmarks(self.identity, self.expression)
        return _project(points, self.cam_from_model)

    def landmarks68_crop_px(self) -> Float[np.ndarray, "68 2"]:
        """Projections of the mesh's iBUG-68 landmarks, crop pixels."""
        points = self.model.points_on_surface(self.vertices, self.model.landmarks68)
        return _project(points, self.cam_from_model)

    def mesh(self, vertices: Float[Tensor, "V 3"]) -> Mesh:
        """The model's triangles and atlas with the given positions."""
        topology = self.model.topology
        return Mesh(
            vertices=vertices.numpy(force=True).astype(np.float32),
            faces=topology.faces.numpy(force=True),
            uvs=topology.uvs.numpy(force=True).astype(np.float32),
            uv_faces=topology.uv_faces.numpy(force=True),
        )

    def normals(self, vertices: Float[Tensor, "*batch V 3"]) -> Float[np.ndarray, "*batch V 3"]:
        """Unit normal of each vertex, model axes."""
        return vertex_normals(vertices, self.model.topology.faces).numpy(force=True).astype(np.float32)

    def render(
        self,
        albedo: Float[np.ndarray, "S S 3"],
        light: Float[np.ndarray, "9 3"] | Float[np.ndarray, "T T 9 3"],
        *,
        size_px: int = CROP_CAMERA.width_px,
    ) -> Float[np.ndarray, "H W 3"]:
        """Picture of the face front in the crop's frame, linear, 0 outside M_proj.

        Args:
            albedo: Linear albedo in the atlas.
            light: Radiance coefficients in the light frame, one set or one per texel.
            size_px: Width and height of the picture.
        """
        buffers = self.crop_buffers if size_px == CROP_CAMERA.width_px else self.buffers(size_px)
        image = render(buffers, _map_tensor(albedo, self.pose), light_tensor(light, self.pose))
        return _picture(image * buffers.face_mask[:, None])

    def face_front(self) -> Bool[np.ndarray, "224 224"]:
        """M_proj: crop pixels that show the face front (no ears, scalp or neck)."""
        return self.crop_buffers.face_mask[0].numpy(force=True)

    def render_head(
        self,
        albedo: Float[np.ndarray, "S S 3"],
        light: Float[np.ndarray, "9 3"],
        yaw_rad: float,
        size_px: int,
    ) -> Float[np.ndarray, "H W 3"]:
        """Picture of the whole head, seen from the front or turned by ``yaw_rad``, linear."""
        device = self.pose
        turned = cam_from_pose(device.new_tensor([0.0, -yaw_rad, 0.0, 0.0, 0.0, 1.6]))
        centred = self.vertices - 0.5 * (self.vertices.amin(dim=0) + self.vertices.amax(dim=0))
        extent = float((centred.amax(dim=0) - centred.amin(dim=0)).max())
        camera = PinholeCamera(
            1.5 * size_px / max(extent, 1e-3), (size_px / 2, size_px / 2), size_px, size_px
        )
        buffers = geometry_buffers(self.model.topology, centred[None], turned[None], camera)
        return _picture(render(buffers, _map_tensor(albedo, device), light_tensor(light, device)))

    def irradiance_map(
        self, light: Float[np.ndarray, "9 3"] | Float[np.ndarray, "T T 9 3"], size: int
    ) -> Float[np.ndarray, "S S 3"]:
        """Irradiance at each texel (not clamped, linear); 0 beyond the charts."""
        texels = texel_map(self.model.topology, size)
        posed = pose_texels(texels, self.model.topology, self.vertices[None], self.cam_from_model[None])
        tensor = light_tensor(light, self.pose)
        if tensor.ndim == 3:
            received = irradiance_image(tensor, posed.normal_light)
        else:
            resized = torch.nn.functional.interpolate(tensor, size=(size, size), mode="bilinear")
            received = irradiance_map(resized, posed.normal_light)
        return _picture(received * (posed.part >= 0))


def resolve_light(light: Light) -> Float[np.ndarray, "*texels 9 3"]:
    """Radiance coefficients (9, 3), or (S, S, 9, 3) for a light per texel, from a name, a file or an array.

    Environment maps (.hdr, .exr) have arbitrary units and are exposed like the presets; a ``.npz`` is taken
    as it is: ``sh_radiance`` of shape (9, 3), or (S, S, 9, 3) as in a result's ``illumination.npz``.

    Raises:
        UsageError: No preset has this name, or the array has another shape.
        UnreadableInputError: The file cannot be read.
    """
    if isinstance(light, np.ndarray):
        is_map = light.ndim == 4 and light.shape[0] == light.shape[1]
        if light.shape[-2:] != (9, 3) or not (light.ndim == 2 or is_map) or not np.isfinite(light).all():
            raise UsageError(f"a light must be finite, (9, 3) or (S, S, 9, 3), not {light.shape}")
        return light.astype(np.float32)
    presets = light_presets()
    if isinstance(light, str) and light in presets:
        return presets[light].sh_radiance.numpy(force=True)
    path = Path(light)
    if path.suffix.lower() == ".npz":
        return resolve_light(_read_light_arrays(path))
    if path.suffix:
        return with_front_shading(load_light(path)).numpy(force=True)
    raise UsageError(
        f"no light named {str(light)!r}; `facelume lights` lists them, or name a .hdr, .exr or .npz"
    )


def turn_light(light: Float[np.ndarray, "*texels 9 3"], yaw_rad: float) -> Float[np.ndarray, "*texels 9 3"]:
    """The light turned about camera +Y; positive moves light from the viewer to picture right."""
    if not math.isfinite(yaw_rad):
        raise UsageError("the yaw of a light must be a finite angle")
    matrix = sh_rotation_matrix(yaw_rotation(yaw_rad)).numpy(force=True).astype(np.float32)
    return np.einsum("kl,...lc->...kc", matrix, light, optimize=True)


def light_tensor(
    light: Float[np.ndarray, "*texels 9 3"], like: Tensor
) -> Float[Tensor, "1 9 3"] | Float[Tensor, "1 27 T T"]:
    """The same light as a tensor on the device of ``like``, in the layout of ``raster.render``."""
    tensor = torch.from_numpy(np.ascontiguousarray(light, np.float32)).to(like.device)
    if tensor.ndim == 2:
        return tensor[None]
    return tensor.flatten(2).permute(2, 0, 1)[None].contiguous()


def light_array(light: Float[Tensor, "27 T T"]) -> Float[np.ndarray, "T T 9 3"]:
    """A light map in the public layout."""
    channels_last = light.permute(1, 2, 0).numpy(force=True).astype(np.float32)
    return np.ascontiguousarray(channels_last.reshape(*channels_last.shape[:2], 9, 3))


def _read_light_arrays(path: Path) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as content:
            values = content["sh_radiance"]
    except (OSError, KeyError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise UnreadableInputError(f"{path}: no light; it must be a .npz with sh_radiance (9, 3)") from error
    if values.dtype.kind != "f":
        raise UnreadableInputError(f"{path}: sh_radiance is {values.dtype}, it must be floating")
    return values


def _map_tensor(uv_map: Float[np.ndarray, "S S 3"], like: Tensor) -> Float[Tensor, "1 3 S S"]:
    return torch.from_numpy(np.ascontiguousarray(uv_map, np.float32)).to(like.device).permute(2, 0, 1)[None]


def _picture(image: Float[Tensor, "1 3 H W"]) -> Float[np.ndarray, "H W 3"]:
    return np.ascontiguousarray(image[0].permute(1, 2, 0).numpy(force=True).astype(np.float32))


def _project(points: Float[Tensor, "N 3"], cam_from_model: Float[Tensor, "4 4"]) -> Float[np.ndarray, "N 2"]:
    return CROP_CAMERA.project(transform_points(cam_from_model, points)).numpy(force=True).astype(np.float64)


__all__ = [
    "Light",
    "PosedFace",
    "light_array",
    "light_tensor",
    "resolve_light",
    "turn_light",
]
