"""The UV atlas of the whole head: exactly left-right symmetric, flip-free, gutters of four texels at 256.

The face front fills most of the square (``face_chart``). A strip above it holds scalp and neck in one piece,
cut along the back of the head; the strip below holds, in mirrored pairs, what is small: half inner mouth,
gums, teeth, tongue, back of the eyeball, ear.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from face_model_build import flattening as flat
from face_model_build.face_chart import (
    TEXEL,
    Surface,
    border_on_superellipse,
    directed_edges,
    flatten_face,
    symmetrise,
)

LOW, HIGH = 1.5, 23.5  # texels from the picture's edge: the strips above and below the face
STRIP_EXPONENT = 10.0
Box = tuple[float, float, float, float]
"""Left, bottom, right, top in atlas coordinates with w upwards."""
GRID = 2.0**20  # coordinates are multiples of 1/GRID, so that 1 - u is exact in float32


@dataclass(frozen=True)
class Atlas:
    """Atlas coordinates, origin top-left.

    Attributes:
        uvs: (T, 2) float64 multiples of 2^-20.
        uv_faces: (F, 3).
        chart: (F,) number of the chart of each triangle, mirrored pairs have two.
        nose_v: v of the nose tip.
    """

    uvs: np.ndarray
    uv_faces: np.ndarray
    chart: np.ndarray
    nose_v: float


def _box(left: float, bottom: float, right: float, top: float) -> Box:
    """A box given in texels of a 256 atlas."""
    return left * TEXEL, bottom * TEXEL, right * TEXEL, top * TEXEL


def _pair_boxes(num_teeth: int) -> dict[str, Box]:
    """Boxes of the charts of the subject's left half, texels in (u, w), right half of the square."""
    middle = (LOW + HIGH) / 2
    boxes = {
        "mouth": (130, LOW, 150, HIGH),
        "gum_upper": (154, LOW, 170, middle - 2), "gum_lower": (154, middle + 2, 170, HIGH),
        "tongue": (210, LOW, 222, middle - 2), "eye_back": (210, middle + 2, 222, HIGH),
        "ear": (226, LOW, 254, HIGH),
    }  # fmt: skip
    height = (HIGH - LOW - 8) / 3
    for n in range(num_teeth):
        left, bottom = 174 + 9 * (n % 4), LOW + (height + 4) * (n // 4)
        boxes[f"tooth_{n}"] = (left, bottom, left + 5, bottom + height)
    return {name: _box(*box) for name, box in boxes.items()}


def _flatten_left_half(surface: Surface, label: str, box: Box) -> tuple[np.ndarray, np.ndarray]:
    index = surface.having(label)
    index = index[surface.points[surface.triangles[index], 0].mean(1) > 0]
    used, local = np.unique(surface.triangles[index], return_inverse=True)
    local, points = local.reshape(-1, 3), surface.points[used]
    border = flat.border_loop(local)
    start = int(border[np.argmax(points[border, 1])])
    loop, loop_uv = border_on_superellipse(border, points, start, box, 3.0)
    rest = flat.flat_rest(points, local, np.ones(len(local)))
    area = np.abs(np.linalg.det(np.stack([rest[:, 1] - rest[:, 0], rest[:, 2] - rest[:, 0]], 1))).sum() / 2
    rest *= np.sqrt((box[2] - box[0]) * (box[3] - box[1]) * 0.93 / area)
    uv = flat.tutte(local, rest, loop, loop_uv)
    uv = flat.relax(uv, local, rest, loop, np.ones(len(local)), 25)
    return index, uv[local]


def _flatten_rest(surface: Surface) -> tuple[np.ndarray, np.ndarray]:
    """Scalp and neck, cut along the back midline, ear openings closed with a virtual fan each."""
    index = surface.having("rest")
    triangles = surface.triangles[index]
    used, local = np.unique(triangles, return_inverse=True)
    local, points = local.reshape(-1, 3), surface.points[used]
    to_local = np.full(len(surface.points), -1)
    to_local[used] = np.arange(len(used))
    mirror = to_local[surface.mirror[used]]
    throat = (points[:, 1] < 6.6) & (points[:, 2] > 0.4)
    cut = np.flatnonzero((mirror == np.arange(len(used))) & ~throat)
    copy = np.arange(len(used))
    copy[cut] = len(used) + np.arange(len(cut))
    right = points[local].mean(1)[:, 0] < 0
    local = np.where(right[:, None], copy[local], local)
    points = np.concatenate([points, points[cut]])
    mirror[cut] = copy[cut]
    mirror = np.concatenate([mirror, cut])
    loops = flat.border_loops(directed_edges(local))
    outer = max(loops, key=lambda loop: np.ptp(points[loop, 1]))
    fans = []
    for hole in sorted((x for x in loops if x is not outer), key=lambda x: -points[x, 0].mean()):
        fans += [(hole[(k + 1) % len(hole)], hole[k], len(points)) for k in range(len(hole))]
        points = np.concatenate([points, points[hole].mean(0, keepdims=True)])
    count = len(points)
    mirror = np.concatenate([mirror, [count - 1, count - 2]])
    everything = np.concatenate([local, np.array(fans)])
    scale = np.ones(len(everything))
    scale[len(local) :] = 0.4
    start = int(outer[np.argmin(np.abs(points[outer, 0]) * 10 - points[outer, 2] + points[outer, 1])])
    box = _box(2.0, 256 - HIGH, 254.0, 256 - LOW)
    loop, loop_uv = border_on_superellipse(outer, points, start, box, STRIP_EXPONENT)
    rest = flat.flat_rest(points, everything, scale)
    area = np.abs(np.linalg.det(np.stack([rest[:, 1] - rest[:, 0], rest[:, 2] - rest[:, 0]], 1))).sum() / 2
    rest *= np.sqrt((box[2] - box[0]) * (box[3] - box[1]) / area)
    placed = np.zeros((count, 2))
    placed[loop] = loop_uv
    uv = symmetrise(flat.tutte(everything, rest, loop, symmetrise(placed, mirror)[loop]), mirror)
    uv = symmetrise(flat.relax(uv, everything, rest, loop, scale, 30), mirror)
    return index, uv[local]


def build_atlas(surface: Surface, num_teeth: int) -> Atlas:
    """Flatten every chart and gather shared atlas vertices; raises ``ValueError`` on a flipped triangle."""
    corners = np.full((len(surface.triangles), 3, 2), np.nan)
    chart = np.full(len(surface.triangles), -1)
    face, face_uv, nose_v = flatten_face(surface)
    corners[face] = face_uv
    for number, labels in enumerate((("face", "socket"), ("cap_left",), ("cap_right",))):
        chart[surface.having(*labels)] = number
    rest, rest_uv = _flatten_rest(surface)
    corners[rest], chart[rest] = rest_uv, 3
    lookup = {tuple(sorted(t)): n for n, t in enumerate(surface.triangles.tolist())}
    for label, box in _pair_boxes(num_teeth).items():
        index, uv = _flatten_left_half(surface, label, box)
        number = chart.max() + 1
        corners[index], chart[index] = uv, number
        mirrored = surface.mirror[surface.triangles[index]]
        for n, triangle in enumerate(mirrored.tolist()):
            other = lookup[tuple(sorted(triangle))]
            position = [triangle.index(v) for v in surface.triangles[other].tolist()]
            corners[other] = np.stack([1 - uv[n, position, 0], uv[n, position, 1]], 1)
            chart[other] = number + 1
    if np.isnan(corners).any():
        raise ValueError(f"triangles without chart: {set(surface.label[np.isnan(corners).any((1, 2))])}")
    corners = np.round(corners * GRID)
    key = np.concatenate(
        [np.repeat(chart, 3)[:, None], surface.triangles.reshape(-1, 1), corners.reshape(-1, 2)], 1
    ).astype(np.int64)
    unique, uv_faces = np.unique(key, axis=0, return_inverse=True)
    uv_up = unique[:, 2:] / GRID
    uv_faces = uv_faces.reshape(-1, 3)
    smallest = flat.signed_areas(uv_up, uv_faces).min()
    if smallest <= 0:
        raise ValueError(f"flipped triangle in the atlas: area {smallest}")
    return Atlas(np.stack([uv_up[:, 0], 1 - uv_up[:, 1]], 1), uv_faces, chart, nose_v)
