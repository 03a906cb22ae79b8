"""Cast shadows of one distant light, for the synthetic faces."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from facelume.raster.visibility import depth_of, visible_keys

MAX_SLOPE = 5.0


@torch.no_grad()
def directional_visibility(
    vertices: Float[Tensor, "V 3"],
    faces: Int[Tensor, "F 3"],
    points: Float[Tensor, "N 3"],
    normals: Float[Tensor, "N 3"],
    direction: Float[Tensor, " 3"],
    *,
    softness_m: float = 0.003,
    bias_m: float = 0.002,
    size_px: int = 256,
) -> Float[Tensor, " N"]:
    """Share of a distant light that reaches each point past the mesh, in [0, 1].

    The mesh is rasterised orthographically from the light; each point compares its distance with 16 depths
    around it. Points whose normal turns away from the light get 0, with a short ramp at grazing angles. Not
    differentiable.

    Args:
        vertices: The occluding mesh, in any axes, metres.
        faces: Its triangles.
        points: Points on the surface, in the same axes.
        normals: Unit normals at the points.
        direction: From the scene to the light, in the same axes; any length.
        softness_m: Radius of the penumbra.
        bias_m: How far a point is lifted along its normal and towards the light before it is compared.
        size_px: Side of the light's depth picture.

    Returns:
        1 in the open, 0 in full shadow.
    """
    towards = functional.normalize(direction, dim=0)
    helper = torch.eye(3, dtype=towards.dtype, device=towards.device)[towards.abs().argmin()]
    right = functional.normalize(torch.linalg.cross(helper, towards), dim=0)
    light_axes = torch.stack([right, torch.linalg.cross(towards, right), towards], -1)
    seen = vertices @ light_axes
    low, high = seen.amin(0), seen.amax(0)
    margin_px = 2.0
    scale = (size_px - 2 * margin_px) / (high - low)[:2].amax().clamp(min=1e-6)
    nearest = high[2] + 1.0
    keys = visible_keys(
        ((seen[:, :2] - low[:2]) * scale + margin_px)[None],
        (nearest - seen[:, 2])[None],
        faces,
        (size_px, size_px),
        is_perspective=False,
    )
    depth_map = depth_of(keys, empty=float("inf"))[0].flatten().to(vertices.dtype)
    facing = ((normals @ towards) / 0.1).clamp(0, 1)
    is_facing = facing > 0
    points, normals = points[is_facing], normals[is_facing]
    query = (points + normals * bias_m) @ light_axes
    own_depth = nearest - query[:, 2] - bias_m
    centre_px = (query[:, :2] - low[:2]) * scale + margin_px
    # Depth of the point's own tangent plane beside it, per pixel: a slanted surface must not shadow itself.
    axis_normals = normals @ light_axes
    slope = (axis_normals[:, :2] / axis_normals[:, 2:].clamp(min=0.1)).clamp(-MAX_SLOPE, MAX_SLOPE) / scale
    steps = torch.linspace(-1, 1, 4, dtype=points.dtype, device=points.device)
    steps = steps * torch.clamp(softness_m * scale, min=1.0)
    lit = torch.zeros_like(own_depth)
    for dy in steps:
        for dx in steps:
            tap = (centre_px + torch.stack([dx, dy])).floor()
            plane_depth = own_depth + (slope * (tap + 0.5 - centre_px)).sum(-1)
            column, row = tap.long().clamp(0, size_px - 1).unbind(-1)
            lit += plane_depth <= depth_map[row * size_px + column]
    facing[is_facing] *= lit / 16
    return facing
