"""Lay the open head on the surface of another one: where each of its vertices lies there.

Landmarks first: size and place, then the identity of the open model. Then the control mesh is drawn
towards the surface, stiff at first and ever softer (non-rigid iterative closest points). Ears stay as the
smooth change of the head around them makes them, since closest points do not find their folds; so does what
the other surface lacks.

Source of the method: Amberg, Romdhani and Vetter, "Optimal Step Nonrigid ICP Algorithms for Surface
Registration", CVPR 2007, here with a graph Laplacian of the displacement.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import sparse
from scipy.sparse.linalg import SuperLU, splu

from facelume.errors import AssetError
from facelume.face_model import FaceModel
from facelume.geometry import TriangleSurface, similarity_from_points, vertex_normals
from facelume.registration.surface_landmarks import SurfaceLandmarks
from facelume.types import FacePart

# Weight of the square of the Laplacian in each step, beside 1 for a vertex that has a nearest point.
_STIFFNESS = (300.0, 300.0, 100.0, 100.0, 30.0, 30.0, 10.0, 10.0, 3.0, 3.0, 3.0, 1.0, 1.0, 1.0, 1.0)
_REACH_M = (0.03, 0.006)
"""How far a closest point may be in the first and in the last step."""

_LEAST_AGREEMENT = 0.5
# Share of the way to the closest point that is asked for across the normal: surfaces may slide on each other.
_ALONG_SURFACE = 0.15
# Weight of a landmark in the first and in the last step, likewise.
_MARK_WEIGHT = (20.0, 0.2)
MARK_NOISE_M = 0.002
"""Error of a landmark that all pictures agree on."""

# Beyond this distance a landmark counts linearly.
_FAR_MARK_M = 0.003
_NUM_MARK_STEPS = 8
_IDENTITY_REACH_M = (0.03, 0.03, 0.02, 0.02, 0.01, 0.01, 0.01, 0.006, 0.006, 0.006, 0.006, 0.006)
# Expected distance of the nearest identity to the surface; large, since neighbours err alike.
_SURFACE_NOISE_M = 0.006
# Of the skin's vertices every so many-th one is asked for the surface while the identity is fitted.
_EVERY = 4
MATCHED_M = 0.0015
"""Largest distance of a vertex to the surface that it is said to lie on."""

# Sizes of a head in those of the open model's mean.
_USUAL_SIZES = (0.85, 1.18)
_EPSILON = 1e-5
# Triangles that are looked at on the way; at the end the usual number.
_FEW_CANDIDATES = 12


@dataclass(frozen=True, eq=False)
class Surface:
    """The skin of a head as triangles.

    Attributes:
        vertices: Positions, metres.
        faces: Triangles of the skin, counter-clockwise seen from outside.
    """

    vertices: Float[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "F 3"]

    @cached_property
    def triangles(self) -> TriangleSurface:
        """Its triangles, to ask for nearest points."""
        return TriangleSurface(self.vertices[self.faces])

    @cached_property
    def normals(self) -> Float[np.ndarray, "V 3"]:
        """Unit normal of each vertex."""
        return _normals(self.vertices, self.faces)

    @cached_property
    def is_rim(self) -> Bool[np.ndarray, " V"]:
        """Vertices on the border. Vertices at one place count as one: seams of an atlas are no border."""
        places, one = np.unique(np.round(self.vertices, 6), axis=0, return_inverse=True)
        edges = np.sort(one.reshape(-1)[self.faces][:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
        unique, counts = np.unique(edges, axis=0, return_counts=True)
        is_rim = np.zeros(len(places), bool)
        is_rim[unique[counts == 1]] = True
        return is_rim[one.reshape(-1)]


@dataclass(frozen=True, eq=False)
class Wrap:
    """The open head on another surface.

    Attributes:
        start: Vertices of the open head as its identity and the landmarks put them, metres.
        vertices: Vertices of the open head on the other surface; where that does not reach, near it.
        matched: Vertices that lie on it.
        face: Triangle of the surface under each of those.
        bary: Barycentrics there.
        turn: Rotation of the open model's axes into those of the surface.
        scale: Size of the open model in the metres of the surface.
    """

    start: Float[np.ndarray, "V 3"]
    vertices: Float[np.ndarray, "V 3"]
    matched: Int[np.ndarray, " M"]
    face: Int[np.ndarray, " M"]
    bary: Float[np.ndarray, "M 3"]
    turn: Float[np.ndarray, "3 3"]
    scale: float


@dataclass(frozen=True, eq=False)
class Marks:
    """Places that are the same on both heads.

    Attributes:
        rows: Each as a mean of vertices of the open head.
        points: Each on the other head, metres.
        trust: How much each counts, up to 1.
    """

    rows: sparse.csr_array
    points: Float[np.ndarray, "P 3"]
    trust: Float[np.ndarray, " P"]


def common_marks(open_head: FaceModel, own: SurfaceLandmarks, other: SurfaceLandmarks) -> Marks:
    """The landmarks that were found on both heads, in the same way: what the network errs, it errs on both.

    Those on the outline of the face slide with the view and count less.

    Args:
        open_head: The open model.
        own: Landmarks found on its mean.
        other: Landmarks found on the other head.
    """
    use = np.flatnonzero(own.is_found & other.is_found)
    faces = open_head.topology.faces.numpy()[(open_head.topology.face_part == FacePart.SKIN).numpy()]
    mean = open_head.mean_shape.double().numpy()
    face, bary = TriangleSurface(mean[faces]).closest(own.points[use])
    place = np.arange(len(use)).repeat(3)
    rows = sparse.csr_array(
        (bary.reshape(-1), (place, faces[face].reshape(-1))), shape=(len(use), open_head.num_vertices)
    )
    spread_m = np.hypot(own.spread, other.spread)[use]
    return Marks(rows, other.points[use], 1 / (1 + (spread_m / MARK_NOISE_M) ** 2))


def wrap(open_head: FaceModel, surface: Surface, marks: Marks) -> Wrap:
    """Lay the open head on a surface.

    Args:
        open_head: The open model.
        surface: Skin of the other head.
        marks: Places that are the same on both.

    Raises:
        AssetError: The two are not of about one size: the surface's unit is not the metre.
    """
    start = _IdentityFit(open_head, surface, marks).run()
    subdivision = sparse_matrix(open_head.linear.subdivision)
    faces = open_head.topology.faces.numpy()
    bending = _bending(subdivision, faces)
    at_marks = marks.rows @ subdivision
    trust = sparse.diags_array(marks.trust)
    skin = np.flatnonzero(wrapped_vertices(open_head))
    rows = subdivision[skin]
    control, moved = start.control, np.zeros_like(start.control)
    for step, stiffness in enumerate(_STIFFNESS):
        progress = step / (len(_STIFFNESS) - 1)
        positions = subdivision @ (control + moved)
        nearest = _nearest(surface, positions, _normals(positions, faces), skin, _between(_REACH_M, progress))
        weight = sparse.diags_array(nearest.is_sound.astype(float))
        mark_weight = _between(_MARK_WEIGHT, progress)
        system = rows.T @ weight @ rows + mark_weight * at_marks.T @ trust @ at_marks + stiffness * bending
        wanted = nearest.wanted - rows @ control
        left_over = trust @ (marks.points - at_marks @ control)
        right = rows.T @ (weight @ wanted) + mark_weight * at_marks.T @ left_over
        moved = factor_symmetric(system + _EPSILON * sparse.eye_array(len(control))).solve(right)
    positions = subdivision @ (control + moved)
    nearest = _nearest(surface, positions, _normals(positions, faces), skin, MATCHED_M, 48)
    sound = nearest.is_sound
    vertices = positions.copy()
    vertices[skin[sound]] = nearest.point[sound]
    return Wrap(
        start=subdivision @ control,
        vertices=vertices,
        matched=skin[sound],
        face=nearest.face[sound],
        bary=nearest.bary[sound],
        turn=start.turn,
        scale=start.scale,
    )


def wrapped_vertices(open_head: FaceModel) -> Bool[np.ndarray, " V"]:
    """Vertices of the open head's skin without its ears."""
    topology = open_head.topology
    faces, part = topology.faces.numpy(), topology.face_part.numpy()
    ears = open_head.uv_mask("ears").numpy()
    place = (topology.uvs.numpy() * len(ears)).astype(int).clip(0, len(ears) - 1)
    is_ear_corner = (ears[place[:, 1], place[:, 0]] > 0.5)[topology.uv_faces.numpy()]
    is_wrapped = np.zeros(open_head.num_vertices, bool)
    is_wrapped[faces[part == FacePart.SKIN]] = True
    is_wrapped[faces[is_ear_corner.any(axis=1)]] = False
    return is_wrapped


def sparse_matrix(matrix: torch.Tensor) -> sparse.csr_array:
    """A sparse tensor for SciPy, in double precision."""
    coo = matrix.coalesce()
    return sparse.csr_array((coo.values().double().numpy(), coo.indices().numpy()), shape=tuple(coo.shape))


def factor_symmetric(system: sparse.sparray) -> SuperLU:
    """Factors of a symmetric positive definite matrix; ``solve`` of them solves a system."""
    return splu(
        system.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )


@dataclass(frozen=True, eq=False)
class _Start:
    control: Float[np.ndarray, "Nc 3"]
    turn: Float[np.ndarray, "3 3"]
    scale: float


@dataclass(frozen=True, eq=False)
class _Nearest:
    face: Int[np.ndarray, " P"]
    bary: Float[np.ndarray, "P 3"]
    point: Float[np.ndarray, "P 3"]
    wanted: Float[np.ndarray, "P 3"]
    is_sound: Bool[np.ndarray, " P"]


class _IdentityFit:
    """Size, place and identity of the open head by landmarks, then by the surface too; far points count less.

    The surface may slide along itself here too, but only as identities do: little is left for the free change
    of the mesh, and each vertex stays near the place on the face that it has on the open head.
    """

    def __init__(self, open_head: FaceModel, surface: Surface, marks: Marks) -> None:
        self._surface = surface
        self._subdivision = sparse_matrix(open_head.linear.subdivision)
        self._faces = open_head.topology.faces.numpy()
        count = open_head.num_identity
        self._control = np.stack([open_head.linear.mean, *open_head.linear.basis[:count]]).astype(np.float64)
        self._skin = np.flatnonzero(wrapped_vertices(open_head))[::_EVERY]
        rows = sparse.vstack([marks.rows @ self._subdivision, self._subdivision[self._skin]]).tocsr()
        self._rows = np.stack([rows @ c for c in self._control])
        self._num_marks = len(marks.points)
        self._trust = np.concatenate([marks.trust, np.zeros(len(self._skin))])
        self._target = np.concatenate([marks.points, np.zeros((len(self._skin), 3))])

    def run(self) -> _Start:
        identity, weight, scale = np.zeros(len(self._rows) - 1), self._trust, 0.0
        target, placed = self._target, self._rows[0]
        turn, shift = np.eye(3), np.zeros(3)
        for step in range(_NUM_MARK_STEPS + len(_IDENTITY_REACH_M)):
            if step >= _NUM_MARK_STEPS:
                reach_m = _IDENTITY_REACH_M[step - _NUM_MARK_STEPS]
                target, weight = self._with_surface(
                    scale * self._mesh(identity) @ turn.T + shift, target, weight, reach_m
                )
            found = similarity_from_points(*(torch.from_numpy(a) for a in (placed, target, weight)))
            scale = scale or float(found.scale)  # the first one: later the identity knows sizes too
            turn = found.rotation.numpy()
            shift = np.average(target - scale * placed @ turn.T, axis=0, weights=weight)
            at_mean = (target - shift) @ turn / scale
            identity = self._solve(at_mean, weight)
            placed = self._rows[0] + np.tensordot(identity, self._rows[1:], 1)
            distance = np.linalg.norm(placed - at_mean, axis=1)
            weight = self._trust / np.maximum(1, distance / _FAR_MARK_M)
        if not _USUAL_SIZES[0] < scale < _USUAL_SIZES[1]:
            raise AssetError(
                f"the mean of the face model is {scale:.2g} times as large as a human head: "
                f"its unit is not the metre"
            )
        control = self._control[0] + np.tensordot(identity, self._control[1:], 1)
        return _Start(scale * control @ turn.T + shift, turn, scale)

    def _solve(self, at_mean: Float[np.ndarray, "P 3"], weight: Float[np.ndarray, " P"]) -> np.ndarray:
        """Identity under a prior of one standard deviation."""
        is_used = weight > 0
        root = np.sqrt(weight[is_used])[:, None] / MARK_NOISE_M
        design = (self._rows[1:, is_used] * root).reshape(len(self._rows) - 1, -1)
        gap = ((at_mean - self._rows[0])[is_used] * root).reshape(-1)
        solution: np.ndarray = np.linalg.solve(design @ design.T + np.eye(len(design)), design @ gap)
        return solution

    def _mesh(self, identity: Float[np.ndarray, " I"]) -> Float[np.ndarray, "V 3"]:
        mesh: np.ndarray = self._subdivision @ (
            self._control[0] + np.tensordot(identity, self._control[1:], 1)
        )
        return mesh

    def _with_surface(
        self,
        positions: Float[np.ndarray, "V 3"],
        target: Float[np.ndarray, "P 3"],
        weight: Float[np.ndarray, " P"],
        reach_m: float,
    ) -> tuple[Float[np.ndarray, "P 3"], Float[np.ndarray, " P"]]:
        """Targets and weights with those of the skin's vertices by where the surface is now."""
        normals = _normals(positions, self._faces)
        nearest = _nearest(self._surface, positions, normals, self._skin, reach_m)
        target, weight = target.copy(), weight.copy()
        target[self._num_marks :] = nearest.wanted
        weight[self._num_marks :] = nearest.is_sound * (MARK_NOISE_M / _SURFACE_NOISE_M) ** 2
        return target, weight


def _nearest(
    surface: Surface,
    positions: Float[np.ndarray, "V 3"],
    normals: Float[np.ndarray, "V 3"],
    skin: Int[np.ndarray, " P"],
    reach_m: float,
    num_candidates: int = _FEW_CANDIDATES,
) -> _Nearest:
    face, bary = surface.triangles.closest(positions[skin], num_candidates=num_candidates)
    point = surface.triangles.at(face, bary)
    corners = surface.faces[face]
    there = np.einsum("pkd,pk->pd", surface.normals[corners], bary)
    gap, normal = point - positions[skin], normals[skin]
    is_on_rim = (surface.is_rim[corners] & (bary > 0.01)).any(axis=1)
    agrees = (there * normal).sum(axis=1) > _LEAST_AGREEMENT
    is_near = np.linalg.norm(gap, axis=1) < reach_m
    along = normal * (gap * normal).sum(axis=1, keepdims=True)
    wanted = positions[skin] + (1 - _ALONG_SURFACE) * along + _ALONG_SURFACE * gap
    return _Nearest(face, bary, point, wanted, agrees & is_near & ~is_on_rim)


def _bending(subdivision: sparse.csr_array, faces: Int[np.ndarray, "F 3"]) -> sparse.csr_array:
    """Square of the graph Laplacian of what moves the mesh, by the control mesh."""
    bent = graph_laplacian(faces, subdivision.shape[0]) @ subdivision
    return (bent.T @ bent).tocsr()


def graph_laplacian(faces: Int[np.ndarray, "F 3"], num_vertices: int) -> sparse.csr_array:
    """Difference of each vertex and the mean of its neighbours; 0 for a vertex without any."""
    edges = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    both = np.concatenate([edges, edges[:, ::-1]])
    linked = sparse.coo_array((np.ones(len(both)), both.T), shape=(num_vertices,) * 2).tocsr()
    linked.data[:] = 1.0
    degree = np.asarray(linked.sum(axis=1)).reshape(-1)
    is_linked = sparse.diags_array((degree > 0).astype(float))
    return (is_linked - sparse.diags_array(1 / np.maximum(degree, 1)) @ linked).tocsr()


def _normals(vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]) -> Float[np.ndarray, "V 3"]:
    return vertex_normals(torch.from_numpy(vertices), torch.from_numpy(faces)).numpy()


def _between(ends: tuple[float, float], progress: float) -> float:
    """Geometrically from the first value to the last."""
    return float(ends[0] ** (1 - progress) * ends[1] ** progress)
