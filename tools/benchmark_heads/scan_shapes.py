"""Shapes of ICT-FaceKit's scanned people on the open model's mesh: heads that the open model does not span.

The scan model's neutral face is wrapped once: landmarks, then fits of the open model to the nearest points
of the scan. From then on a point of the scan belongs to each vertex of our face front, and everything is
linear in the scan model's coefficients: the open model's best fit, and what it leaves, as displacements of
the control mesh that are smooth beyond the wrapped face. The result is a face model with the scan's
components in place of ours; atlas, expressions, landmarks and masks stay.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from face_model_build.depth_buffer import vertex_normals
from facelume.face_model import FaceModel
from facelume.face_model.licensed.ict import OFFICIAL_LAYOUT
from facelume.face_model.model import LinearShape
from facelume.geometry import closest_on_triangles, similarity_from_points
from facelume.types import EYE_PARTS, MOUTH_PARTS, FacePart

STEPS, FIT_EVERY = 12, 4
LEAST_AGREEMENT = 0.7
FAR_M, NEAR_M = 0.02, 0.005
RIDGE_M = 0.0003
SMOOTHNESS, STIFFNESS = 3.0, 0.003
EYE_FADE_M, MOUTH_FADE_M = 0.006, 0.006


@dataclass(frozen=True, eq=False)
class ScanModel:
    """A linear model of scanned faces.

    Attributes:
        neutral: (N, 3) metres, +Y up, +Z where the face looks.
        identity: (K, N, 3) change per standard deviation.
        triangles: (T, 3) of the face, neck and back of the head left out.
        landmarks68: (68,) vertices of the iBUG points.
    """

    neutral: np.ndarray
    identity: np.ndarray
    triangles: np.ndarray
    landmarks68: np.ndarray


def read_ict(path: Path) -> ScanModel:
    """ICT-FaceKit's ``identity.npz``."""
    with np.load(path, allow_pickle=False) as archive:
        neutral, quads = archive["neutral_cm"].astype(np.float64) / 100, archive["quads"]
        identity, end = archive["identity_cm"].astype(np.float64) / 100, int(archive["num_face_vertices"])
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return ScanModel(
        neutral, identity, triangles[(triangles < end).all(1)], np.array(OFFICIAL_LAYOUT.landmarks68)
    )


@dataclass(frozen=True, eq=False)
class WrappedScan:
    """The scan model on the open model's face front.

    Attributes:
        vertices: (W,) vertices of our mesh that have a point on the scan.
        weight: (W,) how much each is led by it, (0, 1]: less beside eyeballs and inner mouth.
        neutral: (W, 3) their points on the neutral scan, metres, model axes.
        identity: (K, W, 3) change of those per standard deviation.
        distance_mm: Mean distance of the wrapped open model to the neutral scan over ``vertices``.
        scale: Size of the open model's axes in the scan's metres.
    """

    vertices: np.ndarray
    weight: np.ndarray
    neutral: np.ndarray
    identity: np.ndarray
    distance_mm: float
    scale: float


def wrap(model: FaceModel, source: ScanModel) -> WrappedScan:
    """Bring a scan model onto the open model's face front."""
    triangles, fit = source.triangles, _IdentityFit(model)
    size, turn, shift = _similarity(source.neutral[source.landmarks68], fit.landmarks68)
    scan = size * source.neutral @ turn.T + shift
    front = np.unique(model.topology.faces[_is_bare_front(model)].numpy())
    some = front[::FIT_EVERY]
    coefficients = np.zeros(model.num_identity)
    for step in range(STEPS):
        mesh = fit.mesh(coefficients)
        _, _, matched, agree = _nearest(model, mesh, some, scan, triangles)
        gap = matched - mesh[some]
        limit = FAR_M if step < STEPS // 2 else NEAR_M
        trusted = (agree > LEAST_AGREEMENT) & (np.linalg.norm(gap, axis=1) < limit)
        # The surfaces may slide on each other: ask mostly for the distance along the normal.
        normals = vertex_normals(mesh, model.topology.faces.numpy())[some]
        along = normals * (gap * normals).sum(1, keepdims=True)
        wanted = mesh[some] + 0.85 * along + 0.15 * gap
        coefficients = fit.solve(some[trusted], wanted[trusted])
        again, turn_again, move = _similarity(matched[trusted], fit.mesh(coefficients)[some[trusted]])
        scan = again * scan @ turn_again.T + move
        size, turn = again * size, turn_again @ turn
    mesh = fit.mesh(coefficients)
    face, bary, matched, agree = _nearest(model, mesh, front, scan, triangles)
    distance = np.linalg.norm(matched - mesh[front], axis=1)
    on_rim = np.isin(triangles[face], _rim(triangles)).any(1)
    kept = (agree > LEAST_AGREEMENT) & (distance < NEAR_M) & ~on_rim
    corner = triangles[face[kept]]
    moved = (source.identity[:, corner] * bary[kept][..., None]).sum(2) * size @ turn.T
    return WrappedScan(
        front[kept],
        _fade(model, front[kept]),
        matched[kept],
        moved,
        1000 * float(distance[kept].mean()),
        size,
    )


def _nearest(
    model: FaceModel, mesh: np.ndarray, vertices: np.ndarray, scan: np.ndarray, triangles: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Nearest triangle and barycentrics of some vertices, the point there, and how far the normals agree."""
    face, bary = closest_on_triangles(mesh[vertices], scan[triangles])
    normals = vertex_normals(mesh, model.topology.faces.numpy())[vertices]
    there = vertex_normals(scan, triangles)[triangles[face]].mean(1)
    point = (scan[triangles[face]] * bary[..., None]).sum(1)
    return face, bary, point, (there * normals).sum(1)


def scanned_heads(model: FaceModel, scan: WrappedScan) -> FaceModel:
    """The open model with the scan model's people: its identity coefficients are ICT-FaceKit's."""
    fit, spread = _IdentityFit(model), _Spread(model, scan)
    basis = []
    mean = fit.linear_mean
    for k, target in enumerate([scan.neutral, *scan.identity]):
        base = mean[scan.vertices] if k == 0 else 0.0
        coefficients = fit.solve_offsets(scan.vertices, target - base)
        fitted = np.tensordot(coefficients, fit.control_basis, 1)
        left = target - base - (fit.subdivision @ fitted)[scan.vertices]
        basis.append(fitted + spread(left))
    linear = model.linear
    shape = LinearShape(
        linear.mean + torch.from_numpy(basis[0]).to(linear.mean),
        torch.cat(
            [torch.from_numpy(np.stack(basis[1:])).to(linear.basis), linear.basis[model.num_identity :]]
        ),
        linear.subdivision,
    )
    return dataclasses.replace(
        model,
        name="scanned",
        licence="shapes: ICT-FaceKit (MIT); for measuring only",
        num_identity=len(scan.identity),
        linear=shape,
        symmetry=None,
    )


class _IdentityFit:
    """Ridge fit of the open model's identity to positions of mesh vertices."""

    def __init__(self, model: FaceModel) -> None:
        linear = model.linear
        self.control_basis = linear.basis[: model.num_identity].numpy().astype(np.float64)
        self.subdivision = _sparse(linear.subdivision)
        self.linear_mean = self.subdivision @ linear.mean.numpy().astype(np.float64)
        self.basis = np.stack([self.subdivision @ b for b in self.control_basis])
        zeros = torch.zeros(model.num_identity), torch.zeros(model.num_expression)
        mean = model.shape(*zeros)
        self.landmarks68 = model.points_on_surface(mean, model.landmarks68).numpy().astype(np.float64)

    def mesh(self, coefficients: np.ndarray) -> np.ndarray:
        """(V, 3) metres."""
        return self.linear_mean + np.tensordot(coefficients, self.basis, 1)

    def solve(self, vertices: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Coefficients for positions of some vertices."""
        return self.solve_offsets(vertices, positions - self.linear_mean[vertices])

    def solve_offsets(self, vertices: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Coefficients for offsets from the mean, under a prior of one standard deviation at ``RIDGE_M``."""
        design = self.basis[:, vertices].reshape(len(self.basis), -1)
        system = design @ design.T / len(vertices) + RIDGE_M**2 * np.eye(len(design))
        return np.linalg.solve(system, design @ offsets.reshape(-1) / len(vertices))


class _Spread:
    """What the model's fit leaves at the wrapped vertices, as a displacement of the whole control mesh.

    Least squares: the wrapped vertices follow, weighted; everything else is smooth (graph Laplacian) and
    tends to rest. Eyeballs move with their lids, teeth and tongue with the lips.
    """

    def __init__(self, model: FaceModel, scan: WrappedScan) -> None:
        subdivision = _sparse(model.linear.subdivision)
        rows = subdivision[scan.vertices]
        self._weights = sp.diags(scan.weight)
        self._rows = rows
        laplacian = _laplacian(subdivision, model.topology.faces.numpy())
        system = rows.T @ self._weights @ rows + SMOOTHNESS * laplacian.T @ laplacian
        self._factor = splu((system + STIFFNESS * sp.identity(system.shape[0])).tocsc())
        self._follow = _followers(model, subdivision)

    def __call__(self, left: np.ndarray) -> np.ndarray:
        moved = self._factor.solve(self._rows.T @ (self._weights @ left))
        for follower, leaders in self._follow:
            moved[follower] = moved[leaders].mean(0)
        return moved


def _similarity(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    found = similarity_from_points(torch.from_numpy(source), torch.from_numpy(target))
    return float(found.scale), found.rotation.numpy(), found.translation.numpy()


def _sparse(matrix: torch.Tensor) -> sp.csr_matrix:
    coo = matrix.coalesce()
    rows, columns = coo.indices().numpy()
    return sp.csr_matrix((coo.values().numpy().astype(np.float64), (rows, columns)), shape=coo.shape)


def _is_bare_front(model: FaceModel) -> torch.Tensor:
    return model.topology.face_front & (model.topology.face_part == FacePart.SKIN)


def _rim(triangles: np.ndarray) -> np.ndarray:
    """Vertices on the border of a surface: the nearest point of what lies beyond it."""
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), 1)
    unique, counts = np.unique(edges, axis=0, return_counts=True)
    return np.unique(unique[counts == 1])


def _fade(model: FaceModel, vertices: np.ndarray) -> np.ndarray:
    """1 on the open face, down to 0.02 at eyeballs and inner mouth: lids and lips stay about them."""
    mean = model.mean_shape.numpy().astype(np.float64)
    weight = np.ones(len(vertices))
    for parts, reach in ((EYE_PARTS, EYE_FADE_M), (MOUTH_PARTS, MOUTH_FADE_M)):
        inside = np.isin(model.topology.face_part.numpy(), parts)
        near = cKDTree(mean[np.unique(model.topology.faces.numpy()[inside])]).query(mean[vertices])[0]
        weight = np.minimum(weight, (near / reach).clip(0.02, 1.0))
    return weight


def _laplacian(subdivision: sp.csr_matrix, faces: np.ndarray) -> sp.csr_matrix:
    """Graph Laplacian of the control mesh; two controls are neighbours that share a mesh edge."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    shape = (subdivision.shape[0],) * 2
    mesh = sp.csr_matrix((np.ones(len(edges)), edges.T), shape=shape)
    neighbours = subdivision.T @ (mesh + mesh.T) @ subdivision
    neighbours.setdiag(0)
    degree = np.asarray(neighbours.sum(1)).ravel()
    return sp.identity(len(degree)) - sp.diags(1 / degree.clip(1e-9)) @ neighbours


def _followers(model: FaceModel, subdivision: sp.csr_matrix) -> list[tuple[np.ndarray, np.ndarray]]:
    """Controls of each eyeball with the lids' controls, of teeth and tongue with the lips'."""
    faces, part = model.topology.faces.numpy(), model.topology.face_part.numpy()
    mean = model.mean_shape.numpy()
    skin = np.unique(faces[part == FacePart.SKIN])

    def controls(vertices: np.ndarray) -> np.ndarray:
        return np.flatnonzero(np.asarray(np.abs(subdivision[vertices]).sum(0)).ravel() > 0)

    teeth = (FacePart.UPPER_TEETH, FacePart.LOWER_TEETH, FacePart.TONGUE)
    pairs = []
    for parts, reach in (((EYE_PARTS[0],), 0.003), ((EYE_PARTS[1],), 0.003), (teeth, 0.01)):
        own = np.unique(faces[np.isin(part, parts)])
        near = cKDTree(mean[own]).query(mean[skin])[0] < reach
        pairs.append((controls(own), controls(skin[near])))
    return pairs
