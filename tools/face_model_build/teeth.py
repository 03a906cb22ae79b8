"""Teeth: one rounded block per tooth and a gum along the thin helper strips of the MakeHuman base mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import shortest_path

# Mesiodistal crown widths (mm), centre line outwards: incisors, canine, premolars, first molar
# (Wheeler's Dental Anatomy).
UPPER_WIDTHS_MM = (8.5, 6.5, 7.5, 7.0, 7.0, 10.0)
LOWER_WIDTHS_MM = (5.0, 5.5, 7.0, 7.0, 7.0, 11.0)
COLUMNS, ROWS = 17, 4


@dataclass(frozen=True)
class TeethRow:
    """Teeth and gum of one jaw.

    Attributes:
        quads: (n, 4) counter-clockwise from outside, local indices.
        quad_is_gum: (n,) gum instead of tooth.
        quad_tooth: (n,) number of the tooth from the centre line outwards, -1 for gum.
        mirror: (N,) involution.
        weights: (N, V_base) rows sum to 1: a point of the helper strip.
        fixed_offset_dm: (N, 3) thickness, added to the point on the strip.
    """

    quads: np.ndarray
    quad_is_gum: np.ndarray
    quad_tooth: np.ndarray
    mirror: np.ndarray
    weights: sp.csr_matrix
    fixed_offset_dm: np.ndarray


def _strip_grid(quads: np.ndarray, mean_dm: np.ndarray) -> np.ndarray:
    """(17, 4) vertex grid of a helper strip: columns right to left (growing x), rows gum, middle, edge,
    inner."""
    ids, local = np.unique(quads, return_inverse=True)
    local = local.reshape(quads.shape)
    edges = np.concatenate([local[:, [k, (k + 1) % 4]] for k in range(4)])
    graph = sp.coo_matrix((np.ones(len(edges)), edges.T), shape=(len(ids), len(ids))).tocsr()
    corners = np.flatnonzero(np.bincount(local.ravel()) == 1)
    steps = shortest_path(graph, directed=False, unweighted=True, indices=corners)
    first = 0
    second = next(k for k in range(1, 4) if steps[first, corners[k]] == ROWS - 1)
    column = ((steps[first] + steps[second] - (ROWS - 1)) / 2).astype(int)
    row = ((steps[first] - steps[second] + (ROWS - 1)) / 2).astype(int)
    grid = np.full((COLUMNS, ROWS), -1)
    grid[column, row] = ids
    if mean_dm[grid[0, 0], 0] > 0:
        grid = grid[::-1]
    heights = mean_dm[grid].mean(0)[:, 1]
    return grid if abs(heights[0] - heights[2]) > abs(heights[3] - heights[1]) else grid[:, ::-1]


class _Surface:
    """Points of the left half of a strip as sparse weights: s = arc length in dm from the centre line, t
    = gum to edge."""

    def __init__(self, grid: np.ndarray, mean_dm: np.ndarray) -> None:
        self.grid, self.mean = grid, mean_dm
        middle = mean_dm[grid[COLUMNS // 2 :, 1]]
        self.arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(middle, axis=0), axis=1))])

    def weights(self, s: float, t: float) -> dict[int, float]:
        column = np.interp(s, self.arc, np.arange(len(self.arc))) + COLUMNS // 2
        c0, r0 = min(int(column), COLUMNS - 2), min(int(2 * t), 1)
        a, b = column - c0, 2 * t - r0
        return {
            int(self.grid[c0, r0]): (1 - a) * (1 - b), int(self.grid[c0 + 1, r0]): a * (1 - b),
            int(self.grid[c0, r0 + 1]): (1 - a) * b, int(self.grid[c0 + 1, r0 + 1]): a * b,
        }  # fmt: skip

    def inward(self, s: float) -> np.ndarray:
        """Unit direction from the tooth's front into the mouth, horizontal."""
        step = 0.02
        a, b = (
            sum(w * self.mean[v] for v, w in self.weights(max(x, 0.0), 0.5).items())
            for x in (s - step, s + step)
        )
        tangent = b - a
        if s < step:
            tangent = np.array([1.0, 0, 0])
        direction = np.array([tangent[2], 0, -tangent[0]])
        return direction / np.linalg.norm(direction)


def _block(columns: int, rows: int) -> tuple[list[tuple[int, int, int]], list[list[int]]]:
    """Surface of a (columns x rows x 1) box, open at row 0: grid points (column, row, depth) and outward
    quads."""
    points = [(i, j, k) for k in (0, 1) for j in range(rows + 1) for i in range(columns + 1)]
    index = {p: n for n, p in enumerate(points)}
    quads = []
    for j in range(rows):
        for i in range(columns):
            quads.append([index[i, j, 0], index[i + 1, j, 0], index[i + 1, j + 1, 0], index[i, j + 1, 0]])
            quads.append([index[i, j, 1], index[i, j + 1, 1], index[i + 1, j + 1, 1], index[i + 1, j, 1]])
    quads += [
        [index[i, rows, 0], index[i + 1, rows, 0], index[i + 1, rows, 1], index[i, rows, 1]]
        for i in range(columns)
    ]
    for j in range(rows):
        quads.append([index[0, j, 1], index[0, j, 0], index[0, j + 1, 0], index[0, j + 1, 1]])
        quads.append(
            [index[columns, j, 0], index[columns, j, 1], index[columns, j + 1, 1], index[columns, j + 1, 0]]
        )
    return points, quads


def tooth_row(quads: np.ndarray, mean_dm: np.ndarray, *, upper: bool) -> TeethRow:
    """Six teeth a side and the gum of one jaw; the right side mirrors the left one exactly."""
    grid = _strip_grid(quads, mean_dm)
    surface = _Surface(grid, mean_dm)
    widths = np.array(UPPER_WIDTHS_MM if upper else LOWER_WIDTHS_MM) / 100
    starts = np.concatenate([[0], np.cumsum(widths)])
    starts *= 0.94 * surface.arc[-1] / starts[-1]
    rows: list[dict[int, float]] = []
    offsets: list[np.ndarray] = []
    faces: list[list[int]] = []
    tooth: list[int] = []
    # model +X is the viewer's right for a face that looks at the viewer: columns run right, rows must run up
    # for the front to be counter-clockwise; t runs gum to edge, i.e. down for the upper jaw.
    flip = upper
    up = np.array([0.0, 1.0 if upper else -1.0, 0.0])
    tips = (1.05, 1.0, 1.05, 1.0, 0.97, 0.95) if upper else (0.95, 0.93, 0.97, 0.93, 0.9, 0.88)
    for n in range(len(widths)):
        points, block = _block(2, 2)
        first = len(rows)
        thick = 0.055 + 0.04 * min(n / 4, 1)
        for i, j, k in points:
            s = starts[n] + (-0.05 + 1.1 * i / 2) * (starts[n + 1] - starts[n])
            t = (0.2, 0.62, tips[n])[j]
            rows.append(surface.weights(s, t))
            bulge = 0.012 if i == 1 and j < 2 else 0.0
            taper = 1.0 if n > 2 else (1.0, 0.8, 0.4)[j]
            inset = 0.035 * min(n / 3, 1)
            depth = inset + (thick * taper if k else -bulge)
            offsets.append(surface.inward(s) * depth)
        faces += [[first + v for v in (face[::-1] if flip else face)] for face in block]
        tooth += [n] * len(block)
    num_gum = 8
    points, block = _block(num_gum, 1)
    first = len(rows)
    for i, j, k in points:
        s = surface.arc[-1] * 0.985 * i / num_gum
        rows.append(surface.weights(s, (0.0, 0.44)[j]))
        offsets.append(
            surface.inward(s)
            * (0.03 * min(2 * i / num_gum, 1) + ((-0.022, -0.012)[j] if k == 0 else (0.12, 0.085)[j]))
            + (up * 0.02 if j == 0 else 0)
        )
    block = [face for face in block if not all(points[v][0] == 0 for v in face)]
    faces += [[first + v for v in (face[::-1] if flip else face)] for face in block]
    tooth += [-1] * len(block)
    on_plane = np.array([False] * first + [p[0] == 0 for p in points])
    return _mirror_half(
        rows, np.array(offsets), np.array(faces), np.array(tooth), on_plane, grid, len(mean_dm)
    )


def _mirror_half(
    rows: list[dict[int, float]],
    offsets: np.ndarray,
    faces: np.ndarray,
    tooth: np.ndarray,
    on_plane: np.ndarray,
    grid: np.ndarray,
    num_base: int,
) -> TeethRow:
    """Both halves of a row from its left one; a vertex ``on_plane`` is its own mirror image."""
    base_mirror = dict(zip(grid.ravel().tolist(), grid[::-1].ravel().tolist(), strict=True))
    count = len(rows)
    other = np.where(on_plane, np.arange(count), count + np.cumsum(~on_plane) - 1)
    total = count + int((~on_plane).sum())
    mirror = np.empty(total, int)
    mirror[:count] = other
    mirror[other] = np.arange(count)
    all_rows = list(rows) + [
        {base_mirror[v]: w for v, w in row.items()}
        for row, plane in zip(rows, on_plane, strict=True)
        if not plane
    ]
    entries = [(r, v, w) for r, row in enumerate(all_rows) for v, w in row.items()]
    weights = sp.csr_matrix(
        (
            np.array([e[2] for e in entries]),
            (np.array([e[0] for e in entries]), np.array([e[1] for e in entries])),
        ),
        shape=(total, num_base),
    )
    offsets = np.where(on_plane[:, None], offsets * [0.0, 1, 1], offsets)
    all_offsets = np.concatenate([offsets, offsets[~on_plane] * [-1.0, 1, 1]])
    quads = np.concatenate([faces, other[faces][:, ::-1]])
    tooth = np.concatenate([tooth, tooth])
    return TeethRow(quads, tooth < 0, tooth, mirror, weights, all_offsets)
