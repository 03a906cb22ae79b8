"""Texels of the atlas: triangle and barycentrics, then place and normal on a posed face."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from facelume.camera import LIGHT_FROM_CAM, transform_points
from facelume.geometry import vertex_normals
from facelume.raster import triangle_of, visible_keys
from facelume.types import Topology


@dataclass(frozen=True)
class TexelMap:
    """The atlas at one size; computed once per topology and size.

    Texels in the gutter around a chart repeat the nearest texel inside a chart, so that a bilinear look-up
    at a chart's border never mixes in the background.

    Attributes:
        face_index: Triangle of each texel, -1 beyond the gutter.
        bary_coords: Barycentrics of the texel centre in it; 0 beyond the gutter.
        vertex_index: The triangle's corners (0 beyond the gutter).
        part: :class:`~facelume.types.FacePart` of the triangle, -1 beyond the gutter.
        inside: True where the texel centre itself lies in a triangle, False in the gutter and beyond.
    """

    face_index: Int[Tensor, "S S"]
    bary_coords: Float[Tensor, "S S 3"]
    vertex_index: Int[Tensor, "S S 3"]
    part: Int[Tensor, "S S"]
    inside: Bool[Tensor, "S S"]

    @property
    def size(self) -> int:
        """Width and height of the atlas in texels."""
        return self.face_index.shape[0]

    def to(self, device: torch.device | str) -> TexelMap:
        """Return the same map with every tensor on ``device``."""
        return TexelMap(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


@dataclass(frozen=True)
class PosedTexels:
    """Where the texels of one or more posed faces are.

    Attributes:
        position_cam: Place on the surface in camera axes, metres; 0 beyond the gutter.
        normal_light: Unit normal in the light frame (+X right, +Y up, +Z to the viewer); 0 beyond the gutter.
        part: :class:`~facelume.types.FacePart` of each texel, -1 beyond the gutter.
    """

    position_cam: Float[Tensor, "b 3 S S"]
    normal_light: Float[Tensor, "b 3 S S"]
    part: Int[Tensor, "S S"]


def texel_map(topology: Topology, size: int, *, gutter_px: int | None = None) -> TexelMap:
    """Rasterise the atlas in its own plane.

    Args:
        topology: Triangles and atlas.
        size: Width and height in texels; texel (0, 0) has its centre at (0.5, 0.5) / size.
        gutter_px: How far charts are continued; at least 4 texels and 4 at size 256 when not given.
    """
    if gutter_px is None:
        gutter_px = max(4, size // 64)
    points_px = topology.uvs * size
    ones = torch.ones_like(points_px[:, 0])
    keys = visible_keys(points_px[None], ones[None], topology.uv_faces, (size, size), is_perspective=False)
    face_index = triangle_of(keys)[0]
    inside = face_index >= 0
    corners = points_px.double()[topology.uv_faces[face_index.clamp(min=0)]]
    steps = torch.arange(size, dtype=torch.float64, device=points_px.device) + 0.5
    centre = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1)
    bary_coords = _barycentrics(corners, centre) * inside[..., None]
    distance, nearest = ndimage.distance_transform_edt(~inside.cpu().numpy(), return_indices=True)
    flat = torch.from_numpy(np.ravel_multi_index(tuple(nearest), (size, size))).to(face_index.device)
    is_covered = torch.from_numpy(distance <= gutter_px).to(face_index.device)
    face_index = torch.where(is_covered, face_index.flatten()[flat], -1)
    bary_coords = torch.where(is_covered[..., None], bary_coords.reshape(-1, 3)[flat], 0.0)
    safe = face_index.clamp(min=0)
    return TexelMap(
        face_index=face_index,
        bary_coords=bary_coords.float(),
        vertex_index=torch.where(is_covered[..., None], topology.faces[safe], 0),
        part=torch.where(is_covered, topology.face_part[safe].long(), -1),
        inside=inside,
    )


def interpolate_texels(texels: TexelMap, attributes: Float[Tensor, "b V C"]) -> Float[Tensor, "b C S S"]:
    """Spread per-vertex values over the atlas (linear in each triangle); 0 beyond the gutter."""
    b, _, channels = attributes.shape
    values = attributes.new_zeros(b, texels.size**2, channels)
    for k in range(3):
        weight = texels.bary_coords[..., k].reshape(-1, 1).to(attributes.dtype)
        values = values + attributes.index_select(1, texels.vertex_index[..., k].flatten()) * weight
    return values.transpose(1, 2).reshape(b, channels, texels.size, texels.size)


def pose_texels(
    texels: TexelMap,
    topology: Topology,
    vertices: Float[Tensor, "b V 3"],
    cam_from_model: Float[Tensor, "b 4 4"],
) -> PosedTexels:
    """Positions and normals of all texels of posed faces, differentiable in vertices and pose.

    Args:
        texels: The atlas.
        topology: Triangles.
        vertices: Positions in model axes, metres.
        cam_from_model: Rigid transforms into camera axes.
    """
    vertices_cam = transform_points(cam_from_model, vertices)
    normals = vertex_normals(vertices_cam, topology.faces) * vertices_cam.new_tensor(LIGHT_FROM_CAM)
    spread = interpolate_texels(texels, torch.cat([vertices_cam, normals], -1))
    return PosedTexels(
        position_cam=spread[:, :3],
        normal_light=functional.normalize(spread[:, 3:], dim=1),
        part=texels.part,
    )


def _barycentrics(corners: Float[Tensor, "S S 3 2"], point: Float[Tensor, "S S 2"]) -> Float[Tensor, "S S 3"]:
    a, b, c = (corners[..., k, :] - point for k in range(3))
    weights = torch.stack([_cross(b, c), _cross(c, a), _cross(a, b)], -1)
    total = weights.sum(-1, keepdim=True)
    weights = (weights / torch.where(total == 0, 1.0, total)).clamp(0, 1)
    total = weights.sum(-1, keepdim=True)
    return weights / torch.where(total == 0, 1.0, total)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
