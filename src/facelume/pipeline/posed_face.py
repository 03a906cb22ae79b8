"""A face of known shape and pose that can be rendered under any light, at any size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from facelume.camera import CROP_CAMERA, PinholeCamera, cam_from_pose, transform_points
from facelume.errors import UsageError
from facelume.face_model import FaceModel
from facelume.fitting import FitResult
from facelume.geometry import vertex_normals
from facelume.illumination import Lamps, irradiance_image, irradiance_map, light_tensor, turn_light
from facelume.pipeline.head_shadows import HeadShadows
from facelume.raster import GeometryBuffers, geometry_buffers, render, sample_map
from facelume.types import Mesh
from facelume.uv import pose_texels, resize_map, texel_map

_MAX_RENDER_PX = 4096


@dataclass(frozen=True, eq=False)
class PosedFace:
    """Shape and pose of one reconstructed face in its crop camera.

    Attributes:
        model: The face model that the coefficients belong to.
        identity: Identity coefficients, standard deviations.
        expression: Expression coefficients, in the limits of the model ([0, 1] in the open one).
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

    @cached_property
    def shadows(self) -> HeadShadows:
        """What the head hides of the lamps around it."""
        return HeadShadows(self.model.topology, self.vertices, self.cam_from_model)

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
        light: Float[np.ndarray, "9 3"] | Float[np.ndarray, "T T 9 3"] | Lamps,
        *,
        yaw_rad: float = 0.0,
        size_px: int = CROP_CAMERA.width_px,
    ) -> Float[np.ndarray, "H W 3"]:
        """Picture of the face front in the crop's frame, linear, 0 outside M_proj.

        Args:
            albedo: Linear albedo in the atlas.
            light: Radiance coefficients in the light frame, one set or one per texel; or lamps, which the
                head hides from itself.
            yaw_rad: Turns the light about camera +Y; positive moves light from the viewer to picture right.
            size_px: Width and height of the picture.

        Raises:
            UsageError: The size is not in 1..4096, or the angle is not finite.
        """
        if yaw_rad:
            light = turn_light(light, yaw_rad)
        albedo_map = _map_tensor(albedo, self.pose)
        buffers = self.crop_buffers if size_px == CROP_CAMERA.width_px else self.buffers(size_px)
        if isinstance(light, Lamps):
            received = self.shadows.shading(buffers, CROP_CAMERA.resized(size_px), light)
            return _picture(sample_map(albedo_map, buffers.uv) * received)
        image = render(buffers, albedo_map, light_tensor(light, self.pose))
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
            received = irradiance_map(resize_map(tensor, size), posed.normal_light)
        return _picture(received * (posed.part >= 0))


def pose_face(model: FaceModel, fit: FitResult) -> PosedFace:
    """The first face of a landmark fit."""
    pose = torch.cat([fit.rotvec[0], fit.translation[0]])
    return PosedFace(model, fit.identity[0], fit.expression[0], pose)


def _map_tensor(uv_map: Float[np.ndarray, "S S 3"], like: Tensor) -> Float[Tensor, "1 3 S S"]:
    return torch.tensor(uv_map, dtype=torch.float32, device=like.device).permute(2, 0, 1)[None]


def _picture(image: Float[Tensor, "1 3 H W"]) -> Float[np.ndarray, "H W 3"]:
    return np.ascontiguousarray(image[0].permute(1, 2, 0).numpy(force=True).astype(np.float32))


def _project(points: Float[Tensor, "N 3"], cam_from_model: Float[Tensor, "4 4"]) -> Float[np.ndarray, "N 2"]:
    return CROP_CAMERA.project(transform_points(cam_from_model, points)).numpy(force=True).astype(np.float64)
