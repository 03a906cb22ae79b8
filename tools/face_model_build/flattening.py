"""Flip-free flattening of disc-shaped patches: Tutte start, then SLIM steps on a symmetric Dirichlet energy.

A convex border and positive weights make the start injective (Tutte 1963, Floater 2003); every later step
ends before the first triangle would flip (Rabinovich et al., Scalable Locally Injective Mappings, 2017).
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla


def border_loop(triangles: np.ndarray) -> np.ndarray:
    """Vertices along the single border of an oriented patch, in the direction of its triangles."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    loops = border_loops(edges)
    if len(loops) != 1:
        raise ValueError(f"expected one border, found {len(loops)} of sizes {[len(x) for x in loops]}")
    return loops[0]


def border_loops(directed_edges: np.ndarray) -> list[np.ndarray]:
    """All closed border loops of an oriented mesh given its directed edges."""
    present = set(map(tuple, directed_edges.tolist()))
    follow = {a: b for a, b in present if (b, a) not in present}
    loops = []
    while follow:
        start, following = follow.popitem()
        loop = [start]
        while following != start:
            loop.append(following)
            following = follow.pop(following)
        loops.append(np.array(loop))
    return loops


def superellipse(fractions: np.ndarray, half_width: float, half_height: float, exponent: float) -> np.ndarray:
    """Points at fractions of the perimeter, counter-clockwise from the top centre, around the origin (y
    up)."""
    angle = np.linspace(0, 2 * np.pi, 40001) + np.pi / 2
    c, s = np.cos(angle), np.sin(angle)
    radius = (np.abs(c / half_width) ** exponent + np.abs(s / half_height) ** exponent) ** (-1 / exponent)
    curve = np.stack([radius * c, radius * s], 1)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    at = fractions * length[-1]
    return np.stack([np.interp(at, length, curve[:, 0]), np.interp(at, length, curve[:, 1])], 1)


def tutte(triangles: np.ndarray, rest: np.ndarray, border: np.ndarray, border_uv: np.ndarray) -> np.ndarray:
    """Mean-value embedding with the border fixed; ``rest`` (F, 3, 2) are the triangles' own flat shapes."""
    count = triangles.max() + 1
    rows, columns, values = [], [], []
    for corner in range(3):
        a, b, c = corner, (corner + 1) % 3, (corner + 2) % 3
        ab, ac = rest[:, b] - rest[:, a], rest[:, c] - rest[:, a]
        length_ab, length_ac = np.linalg.norm(ab, axis=1), np.linalg.norm(ac, axis=1)
        cross = np.abs(ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0])
        half_tan = cross / (length_ab * length_ac + (ab * ac).sum(1))
        half_tan = np.clip(half_tan, 1e-3, 1e3)
        rows += [triangles[:, a], triangles[:, a]]
        columns += [triangles[:, b], triangles[:, c]]
        values += [half_tan / length_ab, half_tan / length_ac]
    weights = sp.csr_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(count, count)
    )
    weights = sp.diags(1 / np.asarray(weights.sum(1)).ravel()) @ weights
    inner = np.setdiff1d(np.arange(count), border)
    uv = np.zeros((count, 2))
    uv[border] = border_uv
    system = (sp.identity(count) - weights).tocsr()[inner]
    uv[inner] = spla.splu(system[:, inner].tocsc()).solve(-system[:, border] @ border_uv)
    return uv


def flat_rest(points: np.ndarray, triangles: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(F, 3, 2): each 3D triangle laid flat and scaled by ``scale`` (F,)."""
    a, b, c = points[triangles[:, 0]], points[triangles[:, 1]], points[triangles[:, 2]]
    ab, ac = b - a, c - a
    length = np.linalg.norm(ab, axis=1)
    along = (ab * ac).sum(1) / length
    height = np.linalg.norm(np.cross(ab, ac), axis=1) / length
    rest = np.zeros((len(triangles), 3, 2))
    rest[:, 1, 0], rest[:, 2, 0], rest[:, 2, 1] = length, along, height
    return rest * scale[:, None, None]


def signed_areas(uv: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Signed area of every flat triangle, counter-clockwise positive (y up)."""
    t = uv[triangles]
    ab, ac = t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]
    return 0.5 * (ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0])


def _gradient_operator(
    triangles: np.ndarray, rest: np.ndarray, count: int
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Sparse d/dx and d/dy of a per-vertex function over the rest triangles."""
    inverse = np.linalg.inv(np.stack([rest[:, 1] - rest[:, 0], rest[:, 2] - rest[:, 0]], 1))
    index = np.repeat(np.arange(len(triangles)), 3)
    operators = []
    for axis in range(2):
        b, c = inverse[:, axis, 0], inverse[:, axis, 1]
        values = np.stack([-b - c, b, c], 1).ravel()
        operators.append(sp.csr_matrix((values, (index, triangles.ravel())), shape=(len(triangles), count)))
    return operators[0], operators[1]


def _energy(uv: np.ndarray, dx: sp.csr_matrix, dy: sp.csr_matrix, area: np.ndarray) -> float:
    jx, jy = dx @ uv, dy @ uv
    det = jx[:, 0] * jy[:, 1] - jx[:, 1] * jy[:, 0]
    if (det <= 0).any():
        return np.inf
    return float((area * ((jx**2).sum(1) + (jy**2).sum(1)) * (1 + 1 / det**2)).sum())


def _largest_step(uv: np.ndarray, step: np.ndarray, triangles: np.ndarray) -> float:
    t, d = uv[triangles], step[triangles]
    a0, b0, a1, b1 = t[:, 1] - t[:, 0], t[:, 2] - t[:, 0], d[:, 1] - d[:, 0], d[:, 2] - d[:, 0]

    def cross(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]

    a, b, c = cross(a1, b1), cross(a0, b1) + cross(a1, b0), cross(a0, b0)
    disc = np.maximum(b * b - 4 * a * c, 0) ** 0.5
    complex_roots = b * b - 4 * a * c < 0
    with np.errstate(divide="ignore", invalid="ignore"):
        q = -0.5 * (b + np.where(b >= 0, 1, -1) * disc)
        roots = np.stack([q / a, c / q])
    roots = np.where(np.isfinite(roots) & (roots > 0) & ~complex_roots, roots, np.inf)
    return float(roots.min())


def relax(
    uv: np.ndarray,
    triangles: np.ndarray,
    rest: np.ndarray,
    fixed: np.ndarray,
    weight: np.ndarray,
    iterations: int,
) -> np.ndarray:
    """SLIM iterations on the symmetric Dirichlet energy; ``fixed`` vertices stay."""
    count = len(uv)
    dx, dy = _gradient_operator(triangles, rest, count)
    area = weight * np.abs(np.cross(rest[:, 1] - rest[:, 0], rest[:, 2] - rest[:, 0])) / 2
    inner = np.setdiff1d(np.arange(count), fixed)
    energy = _energy(uv, dx, dy, area)
    for _ in range(iterations):
        jacobian = np.stack([dx @ uv, dy @ uv], 2)
        u, s, vt = np.linalg.svd(jacobian)
        flip = np.linalg.det(u) * np.linalg.det(vt) < 0
        if flip.any():
            raise ValueError("a triangle is flipped")
        rotation = u @ vt
        ratio = (s + 1) * (s * s + 1) / s**3
        w2 = np.einsum("fij,fj,fkj->fik", u, ratio, u) * area[:, None, None]
        blocks = [[None, None], [None, None]]
        for i in range(2):
            for k in range(2):
                weight_ik = sp.diags(w2[:, i, k])
                blocks[i][k] = (dx.T @ weight_ik @ dx + dy.T @ weight_ik @ dy)[inner][:, inner]
        target = np.einsum("fij,fjk->fik", w2, rotation - jacobian)
        rhs = np.concatenate([(dx.T @ target[:, i, 0] + dy.T @ target[:, i, 1])[inner] for i in range(2)])
        solution = spla.spsolve(sp.bmat(blocks, format="csc"), rhs, permc_spec="MMD_AT_PLUS_A")
        step = np.zeros_like(uv)
        step[inner] = solution.reshape(2, -1).T
        size = min(1.0, 0.9 * _largest_step(uv, step, triangles))
        for _ in range(20):
            candidate = _energy(uv + size * step, dx, dy, area)
            if candidate < energy:
                break
            size *= 0.5
        else:
            break
        uv = uv + size * step
        if energy - candidate < 1e-4 * energy:
            break
        energy = candidate
    return uv
