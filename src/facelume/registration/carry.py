"""Carry what is known at some vertices of the open head to all of them.

A displacement of the matched skin goes to the rest in three steps, each linear, so that a whole basis is
carried by one operator: the nearest change that the open model itself knows moves everything, inner mouth,
teeth, eyeballs, ears and the back of the head included; what it leaves at the matched vertices spreads
smoothly over the skin around them; parts that hang on nothing move with the skin beside them.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from facelume.face_model import FaceModel
from facelume.registration.wrap import factor_symmetric, graph_laplacian

Kind = Literal["identity", "expression"]

# Displacement, root mean square, that one standard deviation of a coefficient has to explain.
_RIDGE_M = 0.0005
# Weight of first differences beside second ones: keeps wide unknown regions from running away.
_STRETCH = 0.02
# Skin within this distance leads a part that hangs on nothing.
_LEAD_M = 0.006


class Carrier:
    """Carries displacements of the matched vertices to the whole open head.

    Args:
        open_head: The open model.
        matched: Vertices whose displacement is known, in rising order.
        positions: The head on which they are matched, metres.
    """

    def __init__(
        self, open_head: FaceModel, matched: Int[np.ndarray, " M"], positions: Float[np.ndarray, "V 3"]
    ) -> None:
        self._matched = matched
        basis = open_head.mesh_basis.double().numpy()
        split = open_head.num_identity
        self._known = {"identity": basis[:split], "expression": basis[split:]}
        self._spread = _Spread(open_head.topology.faces.numpy(), matched, positions)

    def __call__(self, offsets: Float[np.ndarray, "K M 3"], kind: Kind) -> Float[np.ndarray, "K V 3"]:
        """Displacements of all vertices that go with those of the matched ones.

        Args:
            offsets: Of the matched vertices, metres.
            kind: What they are of: teeth and eyeballs stay where an expression moves the skin alone.
        """
        known = self._known[kind]
        at_matched = known[:, self._matched]
        design = at_matched.reshape(len(known), -1)
        system = design @ design.T / len(self._matched) + _RIDGE_M**2 * np.eye(len(design))
        right = design @ offsets.reshape(len(offsets), -1).T / len(self._matched)
        coefficients = np.linalg.solve(system, right)
        moved = np.tensordot(coefficients.T, known, 1)
        left = offsets - np.tensordot(coefficients.T, at_matched, 1)
        result: np.ndarray = moved + self._spread(left, with_loose_parts=kind == "identity")
        result[:, self._matched] = offsets
        return result


class _Spread:
    def __init__(
        self,
        faces: Int[np.ndarray, "F 3"],
        matched: Int[np.ndarray, " M"],
        positions: Float[np.ndarray, "V 3"],
    ) -> None:
        count = len(positions)
        self._count, self._matched, self._positions = count, matched, positions
        is_matched = np.zeros(count, bool)
        is_matched[matched] = True
        component = _components(faces, count)
        touched = np.unique(component[matched])
        self._loose = _followers(component, touched, positions)
        laplacian = graph_laplacian(faces, count)
        energy = (laplacian.T @ laplacian + _STRETCH * _first_differences(faces, count)).tocsr()
        self._open = np.flatnonzero(~is_matched & np.isin(component, touched))
        inner = energy[self._open][:, self._open]
        self._factor = factor_symmetric(inner) if len(self._open) else None
        self._coupling = energy[self._open][:, matched]

    def __call__(
        self, left: Float[np.ndarray, "K M 3"], *, with_loose_parts: bool
    ) -> Float[np.ndarray, "K V 3"]:
        spread = np.zeros((len(left), self._count, 3))
        spread[:, self._matched] = left
        if self._factor is not None:
            columns = left.transpose(1, 0, 2).reshape(left.shape[1], -1)
            found = -self._factor.solve(np.ascontiguousarray(self._coupling @ columns))
            spread[:, self._open] = found.reshape(len(self._open), len(left), 3).transpose(1, 0, 2)
        if with_loose_parts:
            for part, leaders in self._loose:
                spread[:, part] = self._follow(spread[:, leaders], leaders, part)
        return spread

    def _follow(
        self, moved: Float[np.ndarray, "K L 3"], leaders: Int[np.ndarray, " L"], part: Int[np.ndarray, " P"]
    ) -> Float[np.ndarray, "K P 3"]:
        """The shift and the growth that come nearest to what the leaders do, at the part."""
        centre = self._positions[leaders].mean(axis=0)
        arms = self._positions[leaders] - centre
        shift = moved.mean(axis=1, keepdims=True)
        growth = np.einsum("kld,ld->k", moved - shift, arms) / np.square(arms).sum()
        followed: np.ndarray = shift + growth[:, None, None] * (self._positions[part] - centre)
        return followed


def _components(faces: Int[np.ndarray, "F 3"], count: int) -> Int[np.ndarray, " V"]:
    edges = faces[:, [[0, 1], [1, 2]]].reshape(-1, 2)
    links = sparse.coo_array((np.ones(len(edges)), edges.T), shape=(count, count))
    return csgraph.connected_components(links, directed=False)[1]


def _followers(
    component: Int[np.ndarray, " V"],
    touched: Int[np.ndarray, " T"],
    positions: Float[np.ndarray, "V 3"],
) -> list[tuple[Int[np.ndarray, " P"], Int[np.ndarray, " L"]]]:
    """Vertices of each part that hangs on nothing, with the vertices of the skin that lead it."""
    skin = np.flatnonzero(np.isin(component, touched))
    tree = cKDTree(positions[skin])
    pairs = []
    for number in np.setdiff1d(np.unique(component), touched):
        part = np.flatnonzero(component == number)
        near = np.unique(np.concatenate(tree.query_ball_point(positions[part], _LEAD_M))).astype(int)
        if len(near):
            pairs.append((part, skin[near]))
    return pairs


def _first_differences(faces: Int[np.ndarray, "F 3"], count: int) -> sparse.csr_array:
    """Sum of the squared differences across edges, as a matrix."""
    edges = np.unique(np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
    rows = np.arange(len(edges)).repeat(2)
    signs = np.tile([1.0, -1.0], len(edges))
    difference = sparse.csr_array((signs, (rows, edges.reshape(-1))), shape=(len(edges), count))
    return (difference.T @ difference).tocsr()
