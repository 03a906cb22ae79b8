"""Which control quads are face front, scalp, ears and neck: a smooth closed edge path around the face."""

from __future__ import annotations

import heapq

import numpy as np

TURN_COST_DM = 0.3
REGION_NAMES = ("face_front", "scalp", "ears", "neck", "eyes", "mouth_interior", "teeth")
# The wanted border of the face front in the side view, decimetres (z forward, y up), forehead to throat.
FACE_BORDER_ZY_DM = np.array(
    [[1.30, 8.00], [1.10, 7.90], [0.90, 7.72], [0.74, 7.45], [0.68, 7.20], [0.69, 6.95], [0.75, 6.70],
     [0.84, 6.45], [0.93, 6.28], [0.98, 6.22]]
)  # fmt: skip


def _distance_to_border(points_zy: np.ndarray) -> np.ndarray:
    a, b = FACE_BORDER_ZY_DM[:-1], FACE_BORDER_ZY_DM[1:]
    ap = points_zy[:, None] - a
    t = np.clip((ap * (b - a)).sum(2) / ((b - a) ** 2).sum(1), 0, 1)
    return np.linalg.norm(ap - t[..., None] * (b - a), axis=2).min(1)


def face_border_path(quads: np.ndarray, points_dm: np.ndarray) -> list[int]:
    """Edge path on the left half from the forehead's to the throat's midline near the wanted border.

    Shortest path over directed edges; leaving a vertex other than straight on costs extra, so that the
    path follows edge loops and the border is smooth.
    """
    neighbours: dict[int, set[int]] = {}
    together: set[tuple[int, int, int]] = set()
    for quad in quads.tolist():
        for k in range(4):
            a, b, c = quad[k - 1], quad[k], quad[(k + 1) % 4]
            neighbours.setdefault(b, set()).update((a, c))
            together.add((a, b, c))
            together.add((c, b, a))
    cost = _distance_to_border(points_dm[:, [2, 1]])
    middle = np.abs(points_dm[:, 0]) < 1e-9
    starts = [v for v in neighbours if middle[v] and points_dm[v, 1] > 7.7 and points_dm[v, 2] > 0.9]
    ends = {v for v in neighbours if middle[v] and points_dm[v, 1] < 6.5 and points_dm[v, 2] < 1.2}
    queue = [(20 * cost[v] ** 2, v, -1) for v in starts]
    heapq.heapify(queue)
    previous: dict[tuple[int, int], tuple[int, int] | None] = {(v, -1): None for v in starts}
    previous_cost: dict[tuple[int, int], float] = {}
    done: set[tuple[int, int]] = set()
    while queue:
        total, vertex, before = heapq.heappop(queue)
        state = (vertex, before)
        if state in done:
            continue
        done.add(state)
        if vertex in ends:
            path = []
            step: tuple[int, int] | None = state
            while step is not None:
                path.append(step[0])
                step = previous[step]
            return path[::-1]
        for nxt in neighbours[vertex]:
            if points_dm[nxt, 0] < -1e-9 or (middle[nxt] and nxt not in ends) or (nxt, vertex) in done:
                continue
            if before < 0 and middle[nxt]:
                continue
            turn = 0.0
            if before >= 0 and (before, vertex, nxt) in together:
                turn = TURN_COST_DM
            length = float(np.linalg.norm(points_dm[nxt] - points_dm[vertex]))
            new = total + length * (1 + 200 * cost[nxt] ** 2) + turn
            key = (nxt, vertex)
            if key not in previous or new < previous_cost.get(key, np.inf):
                previous[key] = state
                previous_cost[key] = new
                heapq.heappush(queue, (new, nxt, vertex))
    raise ValueError("no path around the face")


def edge_key(first: int, second: int) -> tuple[int, int]:
    """The name of an edge, whichever way it is walked."""
    return (first, second) if first < second else (second, first)


def inside_loop(quads: np.ndarray, loop_edges: set[tuple[int, int]], seed_quad: int) -> np.ndarray:
    """Quads reached from the seed without crossing the loop's edges."""
    owner: dict[tuple[int, int], list[int]] = {}
    for index, quad in enumerate(quads.tolist()):
        for k in range(4):
            owner.setdefault(edge_key(quad[k], quad[(k + 1) % 4]), []).append(index)
    inside = np.zeros(len(quads), bool)
    inside[seed_quad] = True
    stack = [seed_quad]
    while stack:
        quad = quads[stack.pop()].tolist()
        for k in range(4):
            edge = edge_key(quad[k], quad[(k + 1) % 4])
            if edge in loop_edges:
                continue
            for other in owner[edge]:
                if not inside[other]:
                    inside[other] = True
                    stack.append(other)
    return inside
