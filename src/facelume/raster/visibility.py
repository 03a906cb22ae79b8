"""Which triangle is seen at each pixel: the Warp kernel and its slow torch twin behind one function.

Positions are rounded to 1/4096 px and coverage is decided in integers, so the two agree on coverage exactly,
two triangles with a common edge cover each pixel once, and the answer does not depend on the device.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

Backend = Literal["warp", "torch"]

SUBPIXEL_BITS = 12
SUBPIXELS = 1 << SUBPIXEL_BITS
GUARD_BAND_PX = 32768.0
EMPTY_KEY = torch.iinfo(torch.int64).max


def visible_keys(
    points_px: Float[Tensor, "b V 2"],
    depth: Float[Tensor, "b V"],
    faces: Int[Tensor, "F 3"],
    size_px: tuple[int, int],
    *,
    is_perspective: bool = True,
    cull_backfaces: bool = False,
    backend: Backend = "warp",
) -> Int[Tensor, "b H W"]:
    """Return ``float32 depth bits << 32 | triangle`` of the nearest triangle at each pixel centre.

    A triangle is skipped when one of its corners has a depth that is not positive (or not finite), or lies
    more than 32,768 px from the picture's origin. Of two triangles at the same depth the lower index wins.

    Args:
        points_px: Positions on the picture; pixel (0, 0) has its centre at (0.5, 0.5), y points down.
        depth: Positive distance from the viewer, any unit.
        faces: Triangles; counter-clockwise for the viewer is the front side.
        size_px: Height and width of the picture.
        is_perspective: Depth is a perspective camera's z (1/z is linear on the picture), else linear itself.
        cull_backfaces: Skip triangles seen from behind. Off by default: the inside of the mouth is seen that
            way.
        backend: "warp" or the slow "torch" twin that the tests compare it with.

    Returns:
        The keys; ``EMPTY_KEY`` where nothing is seen.
    """
    height_px, width_px = size_px
    with torch.no_grad():
        points = points_px.detach().double()
        is_drawable = (depth.detach() > 0) & torch.isfinite(depth.detach())
        is_drawable &= (points.abs() < GUARD_BAND_PX).all(-1)
        fixed = torch.where(is_drawable[..., None], points, 0.0).mul(SUBPIXELS).round().long().contiguous()
        safe_depth = torch.where(is_drawable, depth.detach().double(), 0.0).contiguous()
        shape = (points_px.shape[0], height_px, width_px)
        keys = torch.full(shape, EMPTY_KEY, dtype=torch.int64, device=points_px.device)
        if backend == "warp":
            from facelume.raster import warp_kernel

            warp_kernel.draw_keys(
                fixed,
                safe_depth,
                faces.contiguous(),
                keys,
                subpixel_bits=SUBPIXEL_BITS,
                is_perspective=is_perspective,
                cull_backfaces=cull_backfaces,
            )
        else:
            for item in range(shape[0]):
                _draw_item(fixed[item], safe_depth[item], faces, keys[item], is_perspective, cull_backfaces)
    return keys


def triangle_of(keys: Int[Tensor, "b H W"]) -> Int[Tensor, "b H W"]:
    """Triangle index at each pixel, -1 where nothing is seen."""
    return torch.where(keys == EMPTY_KEY, -1, keys & 0xFFFFFFFF)


def depth_of(keys: Int[Tensor, "b H W"], *, empty: float = 0.0) -> Float[Tensor, "b H W"]:
    """Depth at each pixel as float32, ``empty`` where nothing is seen."""
    depth = (keys >> 32).to(torch.int32).view(torch.float32)
    return torch.where(keys == EMPTY_KEY, empty, depth)


def _draw_item(
    fixed: Int[Tensor, "V 2"],
    depth: Float[Tensor, " V"],
    faces: Int[Tensor, "F 3"],
    keys: Int[Tensor, "H W"],
    is_perspective: bool,
    cull_backfaces: bool,
) -> None:
    """The twin: one triangle after the other, all pixels of its bounding box at once."""
    height, width = keys.shape
    half = SUBPIXELS // 2
    for face, corners in enumerate(faces.tolist()):
        z = depth[corners]
        p = fixed[corners]
        area = _cross(p[1] - p[0], p[2] - p[0]).item()
        if bool((z <= 0).any()) or area == 0 or (cull_backfaces and area > 0):
            continue
        if area < 0:
            p, z, area = p[[0, 2, 1]], z[[0, 2, 1]], -area
        low = ((p.amin(0) + half - 1) // SUBPIXELS).clamp(min=0).tolist()
        high = ((p.amax(0) - half) // SUBPIXELS).tolist()
        rows = torch.arange(height, device=keys.device)[low[1] : max(high[1] + 1, 0)]
        columns = torch.arange(width, device=keys.device)[low[0] : max(high[0] + 1, 0)]
        if len(columns) == 0 or len(rows) == 0:
            continue
        y, x = torch.meshgrid(rows * SUBPIXELS + half, columns * SUBPIXELS + half, indexing="ij")
        pixel = torch.stack([x, y], -1)
        is_inside = torch.ones_like(x, dtype=torch.bool)
        linear = torch.zeros_like(x, dtype=torch.float64)
        for corner in range(3):
            start, end = p[(corner + 1) % 3], p[(corner + 2) % 3]
            edge = _cross((end - start).expand_as(pixel), pixel - start)
            dx, dy = (end - start).tolist()
            is_top_left = (dy == 0 and dx > 0) or dy < 0
            is_inside &= edge + (0 if is_top_left else -1) >= 0
            linear += edge.double() * ((1 / z[corner] if is_perspective else z[corner]) / area)
        bits = (1 / linear if is_perspective else linear).float().view(torch.int32).long()
        window = keys[low[1] : low[1] + len(rows), low[0] : low[0] + len(columns)]
        window.copy_(torch.where(is_inside, torch.minimum(window, (bits << 32) | face), window))


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
