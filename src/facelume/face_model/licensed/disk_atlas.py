"""A texture atlas for face masks that come without one.

A mask is a disk with holes (mouth, perhaps eyes and nostrils). Its rim is laid on a circle and every other
vertex on a weighted mean of its neighbours, with mean value weights, which are positive: by Tutte's theorem
no triangle flips or overlaps. Sources: Tutte, "How to draw a graph" (1963); Floater, "Mean value
coordinates" (2003).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse
from scipy.sparse import csgraph, linalg

from facelume.errors import AssetError

_RADIUS = 0.48
_STRIP = 0.12


def disk_atlas(
    vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]
) -> tuple[Float[np.ndarray, "T 2"], Int[np.ndarray, "F 3"]]:
    """Atlas positions in [0, 1], origin top-left, +u the subject's left, and their index for each corner.

    Position k belongs to vertex k; a vertex where parts of the mesh only touch has further ones after these.
    The largest piece of the mesh fills the square. Smaller pieces, if any, stand in a strip below it.

    Args:
        vertices: Mean shape, model axes.
        faces: Triangles, counter-clockwise seen from outside.

    Raises:
        AssetError: If a piece is closed: it has no rim.
    """
    uv_faces, owner = _cut_where_parts_touch(faces, len(vertices))
    piece_of_uv = _joined(uv_faces[:, :2].reshape(-1), uv_faces[:, 1:].reshape(-1), len(owner))
    pieces, counts = np.unique(piece_of_uv[uv_faces[:, 0]], return_counts=True)
    pieces = pieces[np.argsort(-counts)]
    uvs = np.full((len(owner), 2), 0.5)
    num_small = len(pieces) - 1
    for rank, piece in enumerate(pieces):
        own_faces = uv_faces[piece_of_uv[uv_faces[:, 0]] == piece]
        used, local = np.unique(own_faces, return_inverse=True)
        flat = _flatten_disk(vertices[owner[used]].astype(np.float64), local.reshape(-1, 3))
        if num_small and rank == 0:
            flat = flat * (1 - _STRIP) + (_STRIP / 2, 0)
        elif num_small:
            side = min(_STRIP, 1 / num_small)
            flat = flat * side + ((rank - 1) * side, 1 - side)
        uvs[used] = flat
    return uvs, uv_faces


def _cut_where_parts_touch(
    faces: Int[np.ndarray, "F 3"], num_vertices: int
) -> tuple[Int[np.ndarray, "F 3"], Int[np.ndarray, " T"]]:
    """Give each fan of edge-connected triangles around a vertex its own point; also which vertex it is.

    Only edges that exactly two triangles share, in opposite directions, connect.
    """
    corners = np.arange(faces.size)
    ahead = corners - corners % 3 + (corners % 3 + 1) % 3
    start, end = faces.reshape(-1), faces.reshape(-1)[ahead]
    edge, opposite = start * num_vertices + end, end * num_vertices + start
    known, first, count = np.unique(edge, return_index=True, return_counts=True)
    place = np.minimum(np.searchsorted(known, opposite), len(known) - 1)
    own_count = count[np.searchsorted(known, edge)]
    is_shared = (known[place] == opposite) & (count[place] == 1) & (own_count == 1)
    partner = first[place]
    fan_of_corner = _joined(
        np.concatenate([corners[is_shared], ahead[is_shared]]),
        np.concatenate([ahead[partner[is_shared]], partner[is_shared]]),
        faces.size,
    )
    vertex_of_fan = np.empty(fan_of_corner.max() + 1, np.int64)
    vertex_of_fan[fan_of_corner] = start
    order = np.argsort(vertex_of_fan, kind="stable")
    is_further = np.concatenate([[False], np.diff(vertex_of_fan[order]) == 0])
    point_of_fan = vertex_of_fan.copy()
    point_of_fan[order[is_further]] = num_vertices + np.arange(is_further.sum())
    owner = np.concatenate([np.arange(num_vertices), vertex_of_fan[order[is_further]]])
    return point_of_fan[fan_of_corner].reshape(-1, 3), owner


def _joined(one: Int[np.ndarray, " N"], other: Int[np.ndarray, " N"], size: int) -> Int[np.ndarray, " M"]:
    """Number of the connected group of each of ``size`` things, given pairs that belong together."""
    links = sparse.coo_array((np.ones(len(one)), (one, other)), shape=(size, size))
    return csgraph.connected_components(links, directed=False)[1]


def _flatten_disk(
    vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]
) -> Float[np.ndarray, "V 2"]:
    loops = _rims(faces)
    if not loops:
        raise AssetError("a closed surface has no atlas: the model's files must bring texture coordinates")
    lengths = [np.linalg.norm(vertices[loop] - vertices[np.roll(loop, -1)], axis=1).sum() for loop in loops]
    outer = loops.pop(int(np.argmax(lengths)))
    num_vertices = len(vertices)
    points, triangles = [vertices], [faces]
    for number, loop in enumerate(loops):  # a hole is closed with a fan around its middle
        points.append(vertices[loop].mean(0, keepdims=True))
        middle = np.full(len(loop), num_vertices + number)
        triangles.append(np.stack([np.roll(loop, -1), loop, middle], 1))
    weights = _mean_value_weights(np.concatenate(points), np.concatenate(triangles))
    angle = _rim_angles(vertices[outer])
    rim = 0.5 + _RADIUS * np.stack([np.cos(angle), -np.sin(angle)], 1)
    inner = np.setdiff1d(np.arange(weights.shape[0]), outer)
    flat = np.empty((weights.shape[0], 2))
    flat[outer] = rim
    if len(inner):
        row_sums = sparse.diags_array(weights[inner].sum(1))
        system = (row_sums - weights[inner][:, inner]).tocsc()
        flat[inner] = linalg.splu(system).solve(weights[inner][:, outer] @ rim)
    return flat[:num_vertices]


def _rims(faces: Int[np.ndarray, "F 3"]) -> list[np.ndarray]:
    """Closed runs of edges that only one triangle has, in the direction in which that triangle walks them."""
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    taken = {(int(a), int(b)) for a, b in directed}
    following = {a: b for a, b in taken if (b, a) not in taken}
    loops = []
    while following:
        start, vertex = following.popitem()
        loop = [start]
        while vertex != start:
            loop.append(vertex)
            vertex = following.pop(vertex)
        loops.append(np.array(loop))
    return loops


def _rim_angles(points: Float[np.ndarray, "R 3"]) -> Float[np.ndarray, " R"]:
    """Angles by arc length: where the rim crosses its middle, at the top and at the bottom of the circle."""
    steps = np.linalg.norm(np.roll(points, -1, 0) - points, axis=1)
    middle = points.mean(0)
    off_middle, is_above = np.abs(points[:, 0] - middle[0]), points[:, 1] > middle[1]
    top = int(np.where(is_above, off_middle, np.inf).argmin())
    bottom = int(np.where(is_above, np.inf, off_middle).argmin())
    order = np.roll(np.arange(len(points)), -top)
    along = np.concatenate([[0.0], np.cumsum(steps[order])])
    turn = int(np.flatnonzero(order == bottom)[0])
    angle = np.empty(len(points))
    quarters = np.pi * np.array([0.5, 1.5, 2.5])
    angle[order] = np.interp(along[:-1], [0.0, along[turn], along[-1]], quarters)
    return angle


def _mean_value_weights(points: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]) -> sparse.csr_array:
    rows, columns, values = [], [], []
    for k in range(3):
        here, right, left = faces[:, k], faces[:, (k + 1) % 3], faces[:, (k + 2) % 3]
        first, second = points[right] - points[here], points[left] - points[here]
        lengths = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
        tiny = 1e-12 * (1 + lengths[0] * lengths[1])
        sine = np.linalg.norm(np.cross(first, second), axis=1)
        half_tangent = (sine + tiny) / (lengths[0] * lengths[1] + (first * second).sum(1) + tiny)
        for other, length in ((right, lengths[0]), (left, lengths[1])):
            rows.append(here)
            columns.append(other)
            values.append(half_tangent / np.maximum(length, 1e-9))
    size = len(points)
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.coo_array(entries, shape=(size, size)).tocsr()
