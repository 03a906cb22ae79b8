"""The control mesh of the open face model and its Catmull-Clark level, from the MakeHuman base mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from face_model_build.makehuman import BaseMesh
from face_model_build.teeth import TeethRow, tooth_row
from facelume.types import EYE_PARTS, FacePart

SOCKET_RINGS = 2


@dataclass(frozen=True)
class ControlMesh:
    """The coarse mesh that carries all bases.

    Attributes:
        quads: (Q, 4) control vertex indices, counter-clockwise from outside.
        quad_part: (Q,) ``FacePart`` of each quad.
        quad_island: (Q,) where a quad of the body lies: 0 outer head, 1 inner mouth, 2 neck, 3 eye
            socket; -1 other parts.
        quad_tooth: (Q,) number of the tooth in its jaw's half, -1 elsewhere.
        mirror: (Nc,) involution.
        from_base: (Nc, V_base) sparse weights: offsets of the base mesh to offsets here.
        fixed_offset_dm: (Nc, 3) added to ``from_base @ base_vertices`` for the mean (teeth thickness).
    """

    quads: np.ndarray
    quad_part: np.ndarray
    quad_island: np.ndarray
    quad_tooth: np.ndarray
    mirror: np.ndarray
    from_base: sp.csr_matrix
    fixed_offset_dm: np.ndarray


def quad_edges(quads: np.ndarray) -> np.ndarray:
    """Directed edges (4Q, 2), corner-major: edge k of all quads first for k = 0..3."""
    return np.concatenate([quads[:, [k, (k + 1) % 4]] for k in range(4)])


def load_mirror(data_text: str) -> np.ndarray:
    """Parse ``hm08.mirror``: vertex -> mirrored vertex."""
    pairs = np.array([[int(x) for x in line.split()[:2]] for line in data_text.splitlines() if line.strip()])
    mirror = np.full(pairs[:, 0].max() + 1, -1)
    mirror[pairs[:, 0]] = pairs[:, 1]
    return mirror


def _islands(uv_quads: np.ndarray, num_uvs: int) -> np.ndarray:
    edges = quad_edges(uv_quads)
    graph = sp.coo_matrix((np.ones(len(edges)), edges.T), shape=(num_uvs, num_uvs))
    return connected_components(graph, directed=False)[1][uv_quads[:, 0]]


def _grow(quads: np.ndarray, seed: np.ndarray, rings: int, num_vertices: int) -> np.ndarray:
    """Quads within ``rings`` vertex rings of the seed vertices."""
    reached = np.zeros(num_vertices, bool)
    reached[seed] = True
    keep = np.zeros(len(quads), bool)
    for _ in range(rings):
        keep |= reached[quads].any(1)
        reached[quads[keep]] = True
    return keep


def build_control_mesh(base: BaseMesh, mean_dm: np.ndarray, base_mirror: np.ndarray) -> ControlMesh:
    """Head with ears and neck, two eyeballs, inner mouth, tongue, two rows of teeth.

    The eye sockets are cut two rings behind the lid margin (the rest is never seen), the neck along a
    plane that falls towards the throat.
    """
    body, body_uv = base.quads["body"], base.uv_quads["body"]
    centre = mean_dm[body].mean(1)
    above_cut = centre[:, 1] > 6.02 - 0.25 * (centre[:, 2] - 0.3)
    body, body_uv = body[above_cut], body_uv[above_cut]
    island = _islands(body_uv, len(base.uvs))
    names = {}
    for label in np.unique(island):
        points = mean_dm[body[island == label]].reshape(-1, 3)
        low, high = points.min(0), points.max(0)
        if high[1] > 8:
            names[label] = 0
        elif low[0] * high[0] > 0:
            names[label] = 3
        elif high[1] > 7:
            names[label] = 1
        else:
            names[label] = 2
    island = np.array([names[label] for label in island])
    keep = island != 3
    socket = island == 3
    seam = np.intersect1d(body[socket], body[island == 0])
    keep[socket] = _grow(body[socket], seam, SOCKET_RINGS, len(mean_dm))
    body, island = body[keep], island[keep]

    blocks = [(body, np.where(island == 1, FacePart.MOUTH_INTERIOR, FacePart.SKIN), island)]
    for number, group in zip(
        (*EYE_PARTS, FacePart.TONGUE), ("helper-l-eye", "helper-r-eye", "helper-tongue"), strict=True
    ):
        quads = base.quads[group]
        blocks.append((quads, np.full(len(quads), number), np.full(len(quads), -1)))
    quads = np.concatenate([b[0] for b in blocks])
    part = np.concatenate([b[1] for b in blocks])
    island = np.concatenate([b[2] for b in blocks])

    used = np.unique(quads)
    compact = np.full(len(mean_dm), -1)
    compact[used] = np.arange(len(used))
    quads, mirror = compact[quads], compact[base_mirror[used]]
    weights = sp.csr_matrix(
        (np.ones(len(used)), (np.arange(len(used)), used)), shape=(len(used), len(mean_dm))
    )
    weights = _smooth_neck_ring(quads, len(used)) @ weights
    offset = np.zeros((len(used), 3))
    tooth = np.full(len(quads), -1)
    for number, group in (
        (FacePart.UPPER_TEETH, "helper-upper-teeth"),
        (FacePart.LOWER_TEETH, "helper-lower-teeth"),
    ):
        row: TeethRow = tooth_row(base.quads[group], mean_dm, upper=number == FacePart.UPPER_TEETH)
        start = len(offset)
        quads = np.concatenate([quads, row.quads + start])
        part = np.concatenate([part, np.where(row.quad_is_gum, FacePart.MOUTH_INTERIOR, number)])
        island = np.concatenate([island, np.full(len(row.quads), -1)])
        tooth = np.concatenate([tooth, row.quad_tooth])
        mirror = np.concatenate([mirror, row.mirror + start])
        weights = sp.vstack([weights, row.weights]).tocsr()
        offset = np.concatenate([offset, row.fixed_offset_dm])
    return ControlMesh(quads, part.astype(np.uint8), island, tooth, mirror, weights, offset)


def _smooth_neck_ring(quads: np.ndarray, num_vertices: int) -> sp.csr_matrix:
    """Linear operator that evens out the zigzag of the neck's open border; identity elsewhere."""
    edges = quad_edges(quads)
    keys = np.sort(edges, 1)
    _, inverse, count = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    border = edges[count[inverse] == 1]
    graph = sp.coo_matrix((np.ones(len(border)), border.T), shape=(num_vertices, num_vertices))
    label = connected_components(graph, directed=False)[1]
    loops, sizes = np.unique(label[np.unique(border)], return_counts=True)
    neck = border[label[border[:, 0]] == loops[np.argmax(sizes)]]
    ring = np.unique(neck)
    off = sp.coo_matrix((np.full(len(neck), 0.25), neck.T), shape=(num_vertices, num_vertices))
    diagonal = np.ones(num_vertices)
    diagonal[ring] = 0.5
    step = (sp.diags(diagonal) + off + off.T).tocsr()
    return step @ step @ step


@dataclass(frozen=True)
class Subdivision:
    """One Catmull-Clark level.

    Attributes:
        matrix: (V, Nc) sparse, rows sum to 1; V = control vertices, then edge points, then face points.
        quads: (4Q, 4) corner order (vertex, next edge point, face point, previous edge point).
        quad_parent: (4Q,) control quad.
        mirror: (V,) involution.
    """

    matrix: sp.csr_matrix
    quads: np.ndarray
    quad_parent: np.ndarray
    mirror: np.ndarray


def catmull_clark(quads: np.ndarray, mirror: np.ndarray) -> Subdivision:
    """Subdivide once; open borders follow the cubic B-spline curve rule.

    Every mesh quad (v, e, f, e') is meant to be split along v-f, which is the same on both sides of the
    mirror.
    """
    num_vertices, num_quads = len(mirror), len(quads)
    directed = quad_edges(quads)
    edges, inverse, count = np.unique(np.sort(directed, 1), axis=0, return_inverse=True, return_counts=True)
    num_edges = len(edges)
    edge_of = inverse.reshape(4, num_quads).T
    face_rows = sp.csr_matrix(
        (np.full(4 * num_quads, 0.25), (np.repeat(np.arange(num_quads), 4), quads.ravel())),
        shape=(num_quads, num_vertices),
    )
    mid = sp.csr_matrix(
        (np.full(2 * num_edges, 0.5), (np.repeat(np.arange(num_edges), 2), edges.ravel())),
        shape=(num_edges, num_vertices),
    )
    edge_quad = sp.csr_matrix(
        (np.ones(4 * num_quads), (edge_of.ravel(), np.repeat(np.arange(num_quads), 4))),
        shape=(num_edges, num_quads),
    )
    border = count == 1
    inner = sp.diags((~border).astype(float))
    edge_rows = inner @ (0.5 * mid + 0.25 * (edge_quad @ face_rows)) + sp.diags(border.astype(float)) @ mid

    edge_vertex = sp.csr_matrix(
        (np.ones(2 * num_edges), (edges.ravel(), np.repeat(np.arange(num_edges), 2))),
        shape=(num_vertices, num_edges),
    )
    vertex_quad = sp.csr_matrix(
        (np.ones(4 * num_quads), (quads.ravel(), np.repeat(np.arange(num_quads), 4))),
        shape=(num_vertices, num_quads),
    )
    valence = np.asarray(edge_vertex.sum(1)).ravel()
    on_border = np.zeros(num_vertices, bool)
    on_border[edges[border]] = True
    identity = sp.identity(num_vertices, format="csr")
    smooth = (
        sp.diags(1 / valence**2) @ (vertex_quad @ face_rows)
        + sp.diags(2 / valence**2) @ (edge_vertex @ mid)
        + sp.diags((valence - 3) / valence) @ identity
    )
    curve = 0.5 * identity + 0.25 * (edge_vertex @ sp.diags(border.astype(float)) @ mid)
    vertex_rows = sp.diags((~on_border).astype(float)) @ smooth + sp.diags(on_border.astype(float)) @ curve
    matrix = sp.vstack([vertex_rows, edge_rows, face_rows]).tocsr()
    matrix.sum_duplicates()
    matrix.eliminate_zeros()

    face_point = num_vertices + num_edges + np.arange(num_quads)
    edge_point = num_vertices + edge_of
    children = np.stack(
        [
            np.stack([quads[:, k], edge_point[:, k], face_point, edge_point[:, (k + 3) % 4]], 1)
            for k in range(4)
        ],
        1,
    ).reshape(-1, 4)

    lookup = {tuple(e): i for i, e in enumerate(edges.tolist())}
    edge_mirror = np.array([lookup[tuple(sorted(e))] for e in mirror[edges].tolist()])
    quad_lookup = {tuple(sorted(c)): i for i, c in enumerate(quads.tolist())}
    quad_mirror = np.array([quad_lookup[tuple(sorted(c))] for c in mirror[quads].tolist()])
    full_mirror = np.concatenate([mirror, num_vertices + edge_mirror, num_vertices + num_edges + quad_mirror])
    return Subdivision(matrix, children, np.repeat(np.arange(num_quads), 4), full_mirror)


def triangles_of(quads: np.ndarray) -> np.ndarray:
    """Split (v, e, f, e') along v-f: (2n, 3), the two triangles of a quad are neighbours in the list."""
    return np.stack([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]], 1).reshape(-1, 3)
