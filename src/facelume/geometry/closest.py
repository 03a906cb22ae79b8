"""Nearest points of a triangle surface."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

_POINTS_AT_A_TIME = 4096
_TINY = 1e-30


class TriangleSurface:
    """Triangles that are asked for their nearest point again and again.

    Attributes:
        corners: Positions of the triangles' corners, any unit.

    Args:
        corners: Likewise.
    """

    def __init__(self, corners: Float[np.ndarray, "F 3 3"]) -> None:
        self.corners = corners
        self._centres = cKDTree(corners.mean(axis=1))

    def closest(
        self, points: Float[np.ndarray, "P 3"], *, num_candidates: int = 48
    ) -> tuple[Int[np.ndarray, " P"], Float[np.ndarray, "P 3"]]:
        """Nearest triangle of each point and the barycentrics there.

        Args:
            points: In the unit of the corners.
            num_candidates: Triangles with the nearest centres that are looked at: the default is exact on
                meshes whose triangles are of about one size.
        """
        count = min(num_candidates, len(self.corners))
        found = [
            self._among(part, self._centres.query(part, k=[*range(1, count + 1)])[1])
            for part in np.array_split(points, range(_POINTS_AT_A_TIME, len(points), _POINTS_AT_A_TIME))
        ]
        return np.concatenate([face for face, _ in found]), np.concatenate([bary for _, bary in found])

    def at(self, face: Int[np.ndarray, " P"], bary: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, "P 3"]:
        """Positions of points given by triangle and barycentrics."""
        return np.einsum("pkd,pk->pd", self.corners[face], bary)

    def _among(
        self, points: Float[np.ndarray, "P 3"], candidates: Int[np.ndarray, "P C"]
    ) -> tuple[Int[np.ndarray, " P"], Float[np.ndarray, "P 3"]]:
        corners, point = self.corners[candidates], points[:, None]
        options = [_inside(corners, point)]
        options += [_on_edge(corners, point, first, second) for first, second in ((0, 1), (1, 2), (2, 0))]
        bary = np.stack(options)
        distance = np.linalg.norm(np.einsum("pckd,opck->opcd", corners, bary) - point, axis=-1)
        distance[0][(bary[0] < 0).any(axis=-1)] = np.inf
        by_point = distance.transpose(1, 0, 2).reshape(len(points), -1)
        option, place = np.divmod(by_point.argmin(axis=1), candidates.shape[1])
        every = np.arange(len(points))
        return candidates[every, place], bary[option, every, place]


def closest_on_triangles(
    points: Float[np.ndarray, "P 3"], corners: Float[np.ndarray, "F 3 3"]
) -> tuple[Int[np.ndarray, " P"], Float[np.ndarray, "P 3"]]:
    """Nearest triangle of each point and the barycentrics there; see :meth:`TriangleSurface.closest`."""
    return TriangleSurface(corners).closest(points)


def _inside(
    corners: Float[np.ndarray, "P C 3 3"], point: Float[np.ndarray, "P 1 3"]
) -> Float[np.ndarray, "P C 3"]:
    """Barycentrics of the foot of the perpendicular; one of them is negative where it lies outside."""
    first, second = corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0]
    to_point = point - corners[:, :, 0]
    d00, d01, d11 = (first * first).sum(-1), (first * second).sum(-1), (second * second).sum(-1)
    d20, d21 = (to_point * first).sum(-1), (to_point * second).sum(-1)
    area = d00 * d11 - d01 * d01 + _TINY
    v, w = (d11 * d20 - d01 * d21) / area, (d00 * d21 - d01 * d20) / area
    return np.stack([1 - v - w, v, w], axis=-1)


def _on_edge(
    corners: Float[np.ndarray, "P C 3 3"], point: Float[np.ndarray, "P 1 3"], first: int, second: int
) -> Float[np.ndarray, "P C 3"]:
    edge = corners[:, :, second] - corners[:, :, first]
    share = ((point - corners[:, :, first]) * edge).sum(-1) / ((edge * edge).sum(-1) + _TINY)
    share = share.clip(0, 1)
    bary = np.zeros(corners.shape[:3])
    bary[..., first], bary[..., second] = 1 - share, share
    return bary
