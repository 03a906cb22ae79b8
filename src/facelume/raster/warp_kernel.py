"""The visibility kernel: one Warp thread per triangle, on the CPU and on CUDA from this one source.

Imported only when something is first rasterised, because importing Warp takes a noticeable part of a second.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import no_type_check

import torch
import warp as wp
from torch import Tensor


@contextmanager
def _quiet_warp() -> Iterator[None]:
    """Keep Warp's start-up and compile messages off stdout, without changing its settings for others."""
    name, silent = ("log_level", wp.LOG_ERROR) if hasattr(wp.config, "log_level") else ("quiet", True)
    saved = getattr(wp.config, name)
    setattr(wp.config, name, silent)
    try:
        yield
    finally:
        setattr(wp.config, name, saved)


def _start_warp() -> None:
    """Initialise Warp without the line that its native part writes to stderr where there is no GPU driver."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            with _quiet_warp():
                wp.init()
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            log.seek(0)
            lines = log.read().decode(errors="replace").splitlines(keepends=True)
            sys.stderr.write("".join(line for line in lines if "GPU execution will not be" not in line))


_start_warp()


@no_type_check
@wp.kernel(enable_backward=False)
def _draw_triangles(  # noqa: PLR0912, ANN202 - Warp kernels are one flat function without a return type
    points_fixed: wp.array3d(dtype=wp.int64),
    depth: wp.array2d(dtype=wp.float64),
    faces: wp.array2d(dtype=wp.int64),
    subpixel_bits: wp.int64,
    is_perspective: wp.bool,
    is_culling_backfaces: wp.bool,
    keys: wp.array3d(dtype=wp.int64),
):
    item, face = wp.tid()
    a = wp.int32(faces[face, 0])
    b = wp.int32(faces[face, 1])
    c = wp.int32(faces[face, 2])
    za = depth[item, a]
    zb = depth[item, b]
    zc = depth[item, c]
    # The caller marks points that cannot be drawn (behind the near plane, far outside) with depth 0.
    if za <= wp.float64(0.0) or zb <= wp.float64(0.0) or zc <= wp.float64(0.0):
        return
    ax = points_fixed[item, a, 0]
    ay = points_fixed[item, a, 1]
    bx = points_fixed[item, b, 0]
    by = points_fixed[item, b, 1]
    cx = points_fixed[item, c, 0]
    cy = points_fixed[item, c, 1]
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    if area == wp.int64(0):
        return
    # y points down: a triangle that is counter-clockwise for the viewer has a negative area here.
    if is_culling_backfaces and area > wp.int64(0):
        return
    if area < wp.int64(0):
        area = -area
        tx = bx
        ty = by
        tz = zb
        bx = cx
        by = cy
        zb = zc
        cx = tx
        cy = ty
        zc = tz
    height = keys.shape[1]
    width = keys.shape[2]
    subpixels = wp.int64(1) << subpixel_bits
    half = subpixels / wp.int64(2)
    # First and last pixel whose centre (column + 0.5) lies within the bounding box.
    column_first = wp.int32(
        wp.max((wp.min(ax, wp.min(bx, cx)) + half - wp.int64(1)) >> subpixel_bits, wp.int64(0))
    )
    row_first = wp.int32(
        wp.max((wp.min(ay, wp.min(by, cy)) + half - wp.int64(1)) >> subpixel_bits, wp.int64(0))
    )
    column_last = wp.int32(wp.min((wp.max(ax, wp.max(bx, cx)) - half) >> subpixel_bits, wp.int64(width - 1)))
    row_last = wp.int32(wp.min((wp.max(ay, wp.max(by, cy)) - half) >> subpixel_bits, wp.int64(height - 1)))
    if column_first > column_last or row_first > row_last:
        return
    # Edge functions are integers, so two triangles with a common edge see exactly opposite values.
    # A pixel centre on an edge belongs to the triangle for which that edge is a top or left one.
    bias_a = wp.int64(0)
    bias_b = wp.int64(0)
    bias_c = wp.int64(0)
    if not ((cy == by and cx > bx) or cy < by):
        bias_a = wp.int64(-1)
    if not ((ay == cy and ax > cx) or ay < cy):
        bias_b = wp.int64(-1)
    if not ((by == ay and bx > ax) or by < ay):
        bias_c = wp.int64(-1)
    px = wp.int64(column_first) * subpixels + half
    py = wp.int64(row_first) * subpixels + half
    row_a = (cx - bx) * (py - by) - (cy - by) * (px - bx)
    row_b = (ax - cx) * (py - cy) - (ay - cy) * (px - cx)
    row_c = (bx - ax) * (py - ay) - (by - ay) * (px - ax)
    if is_perspective:
        za = wp.float64(1.0) / za
        zb = wp.float64(1.0) / zb
        zc = wp.float64(1.0) / zc
    scale = wp.float64(1.0) / wp.float64(area)
    za = za * scale
    zb = zb * scale
    zc = zc * scale
    for row in range(row_first, row_last + 1):
        edge_a = row_a
        edge_b = row_b
        edge_c = row_c
        for column in range(column_first, column_last + 1):
            if (
                edge_a + bias_a >= wp.int64(0)
                and edge_b + bias_b >= wp.int64(0)
                and edge_c + bias_c >= wp.int64(0)
            ):
                z = wp.float64(edge_a) * za + wp.float64(edge_b) * zb + wp.float64(edge_c) * zc
                if is_perspective:
                    z = wp.float64(1.0) / z
                bits = wp.int64(wp.cast(wp.float32(z), wp.int32))
                wp.atomic_min(keys, item, row, column, (bits << wp.int64(32)) | wp.int64(face))
            edge_a -= (cy - by) * subpixels
            edge_b -= (ay - cy) * subpixels
            edge_c -= (by - ay) * subpixels
        row_a += (cx - bx) * subpixels
        row_b += (ax - cx) * subpixels
        row_c += (bx - ax) * subpixels


def draw_keys(
    points_fixed: Tensor,
    depth: Tensor,
    faces: Tensor,
    keys: Tensor,
    *,
    subpixel_bits: int,
    is_perspective: bool,
    cull_backfaces: bool,
) -> None:
    """Lower ``keys`` (b, H, W) in place to ``depth bits << 32 | triangle`` of the nearest triangle.

    Args:
        points_fixed: (b, V, 2) int64 positions in 1 / 2^subpixel_bits px.
        depth: (b, V) float64, positive; 0 marks a point that must not be drawn.
        faces: (F, 3) int64.
        keys: (b, H, W) int64, filled with the largest int64.
        subpixel_bits: Binary digits behind the point of the positions.
        is_perspective: Interpolate 1/depth linearly on the picture instead of depth.
        cull_backfaces: Skip triangles that are clockwise for the viewer.
    """
    device = wp.device_from_torch(keys.device)
    stream = wp.stream_from_torch(torch.cuda.current_stream(keys.device)) if keys.is_cuda else None
    with _quiet_warp():
        wp.launch(
            _draw_triangles,
            dim=(depth.shape[0], faces.shape[0]),
            inputs=[
                wp.from_torch(points_fixed, dtype=wp.int64),
                wp.from_torch(depth, dtype=wp.float64),
                wp.from_torch(faces, dtype=wp.int64),
                wp.int64(subpixel_bits),
                is_perspective,
                cull_backfaces,
                wp.from_torch(keys, dtype=wp.int64),
            ],
            device=device,
            stream=stream,
            record_tape=False,
        )
