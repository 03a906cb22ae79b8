"""From posed vertices to what each pixel sees, and differentiable look-ups at those pixels.

Everything after visibility is plain torch: gradients reach vertices and attributes through the barycentrics,
none pass through the choice of the visible triangle.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from facelume.camera import PinholeCamera
from facelume.raster.visibility import Backend, triangle_of, visible_keys

NEAR_M = 0.01


@dataclass(frozen=True)
class RasterResult:
    """What each pixel sees.

    Attributes:
        pix_to_face: Visible triangle, -1 where there is none.
        bary_coords: Perspective-correct weights of that corners at the pixel centre; 0 where empty.
        depth: Camera z of the surface, metres; 0 where empty.
    """

    pix_to_face: Int[Tensor, "b H W"]
    bary_coords: Float[Tensor, "b H W 3"]
    depth: Float[Tensor, "b H W"]


def rasterize(
    vertices_cam: Float[Tensor, "b V 3"],
    faces: Int[Tensor, "F 3"],
    camera: PinholeCamera,
    *,
    cull_backfaces: bool = False,
    backend: Backend = "warp",
) -> RasterResult:
    """Find the nearest triangle at each pixel centre.

    Triangles with a corner nearer than 1 cm to the camera plane, or more than 32,768 px from the picture's
    origin, are left out (there is no clipping). Both sides of a triangle are drawn unless ``cull_backfaces``.

    Args:
        vertices_cam: Positions in camera axes (x right, y down, z forward), metres.
        faces: Triangles, counter-clockwise seen from outside.
        camera: Intrinsics and picture size.
        cull_backfaces: Leave out triangles seen from behind.
        backend: "warp", or the slow "torch" twin.
    """
    depth = vertices_cam[..., 2].detach()
    keys = visible_keys(
        _project(vertices_cam.detach().double(), camera),
        torch.where(depth > NEAR_M, depth, 0.0),
        faces,
        (camera.height_px, camera.width_px),
        cull_backfaces=cull_backfaces,
        backend=backend,
    )
    pix_to_face = triangle_of(keys)
    bary_coords = barycentric_at(vertices_cam, faces, pix_to_face, camera)
    surface_depth = interpolate(vertices_cam[..., 2:], faces, pix_to_face, bary_coords)[..., 0]
    return RasterResult(pix_to_face, bary_coords, surface_depth)


def barycentric_at(
    vertices_cam: Float[Tensor, "b V 3"],
    faces: Int[Tensor, "F 3"],
    pix_to_face: Int[Tensor, "b H W"],
    camera: PinholeCamera,
) -> Float[Tensor, "b H W 3"]:
    """Perspective-correct barycentrics of each pixel centre in its triangle, differentiable in the vertices.

    Weights are clamped to [0, 1] and sum to 1, so a pixel that has left its triangle takes the nearest
    edge's values (and no gradient along the clamped direction). Empty pixels get 0.

    Args:
        vertices_cam: Positions in camera axes, metres.
        faces: Triangles.
        pix_to_face: Triangle of each pixel, -1 for none.
        camera: Intrinsics.
    """
    _, height, width = pix_to_face.shape
    z = vertices_cam[..., 2:].clamp(min=NEAR_M)
    on_picture = torch.cat([_project(vertices_cam, camera), 1 / z], -1)
    rows = torch.arange(height, device=z.device, dtype=z.dtype) + 0.5
    columns = torch.arange(width, device=z.device, dtype=z.dtype) + 0.5
    pixel_y, pixel_x = torch.meshgrid(rows, columns, indexing="ij")
    x, y, inverse_z = [], [], []
    for rows_of_corner in _corner_rows(on_picture, faces, pix_to_face):
        x.append(rows_of_corner[..., 0] - pixel_x)
        y.append(rows_of_corner[..., 1] - pixel_y)
        inverse_z.append(rows_of_corner[..., 2])
    weights = torch.stack(
        [(x[i] * y[j] - y[i] * x[j]) * inverse_z[k] for i, j, k in ((1, 2, 0), (2, 0, 1), (0, 1, 2))], -1
    )
    total = weights.sum(-1, keepdim=True)
    tiny = torch.finfo(z.dtype).tiny
    weights = (weights / torch.where(total.abs() > tiny, total, 1.0)).clamp(0, 1)
    total = weights.sum(-1, keepdim=True)
    weights = weights / torch.where(total > 0, total, 1.0)
    return torch.where((pix_to_face >= 0)[..., None], weights, 0.0)


def interpolate(
    attributes: Float[Tensor, "b V C"],
    faces: Int[Tensor, "F 3"],
    pix_to_face: Int[Tensor, "b H W"],
    bary_coords: Float[Tensor, "b H W 3"],
) -> Float[Tensor, "b H W C"]:
    """Interpolate values given at the corners of triangles; 0 at empty pixels.

    For atlas coordinates pass ``uvs[None].expand(b, -1, -1)`` with ``uv_faces``: their corners index another
    table.

    Args:
        attributes: One row per entry that ``faces`` indexes.
        faces: Index of each triangle corner into ``attributes``.
        pix_to_face: Triangle of each pixel, -1 for none.
        bary_coords: Weights of the corners, 0 at empty pixels.
    """
    first, second, third = _corner_rows(attributes, faces, pix_to_face)
    return first * bary_coords[..., :1] + second * bary_coords[..., 1:2] + third * bary_coords[..., 2:]


def sample_map(uv_map: Float[Tensor, "b C h w"], uv: Float[Tensor, "b H W 2"]) -> Float[Tensor, "b C H W"]:
    """Look a map up bilinearly at atlas coordinates in [0, 1], origin top-left; its border is repeated."""
    return functional.grid_sample(
        uv_map, uv * 2 - 1, mode="bilinear", padding_mode="border", align_corners=False
    )


def _project(vertices_cam: Float[Tensor, "b V 3"], camera: PinholeCamera) -> Float[Tensor, "b V 2"]:
    """Like ``camera.project`` but finite behind the camera: such points are never drawn."""
    z = vertices_cam[..., 2:].clamp(min=NEAR_M)
    centre = vertices_cam.new_tensor(camera.principal_point_px)
    return vertices_cam[..., :2] / z * camera.focal_px + centre


def _corner_rows(
    attributes: Float[Tensor, "b V C"], faces: Int[Tensor, "F 3"], pix_to_face: Int[Tensor, "b H W"]
) -> list[Float[Tensor, "b H W C"]]:
    """Attributes of each corner of each pixel's triangle (of triangle 0 where empty)."""
    b, num_rows, channels = attributes.shape
    table = attributes.reshape(b * num_rows, channels)
    start = torch.arange(b, device=faces.device)[:, None, None] * num_rows
    face = pix_to_face.clamp(min=0)
    return [
        table.index_select(0, (faces[:, k][face] + start).flatten()).reshape(*face.shape, channels)
        for k in range(3)
    ]
