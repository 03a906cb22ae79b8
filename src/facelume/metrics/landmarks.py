"""Landmark error."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

NUM_MESH_POINTS = 468
"""Points 0–467 of the 478 are the face mesh; 468–477 are the irises and do not count."""


def landmark_box(points_px: Float[np.ndarray, "L 2"]) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of points 0–467, in the unit of the points."""
    low = points_px[:NUM_MESH_POINTS].min(axis=0)
    high = points_px[:NUM_MESH_POINTS].max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def normalised_mean_error(
    points_px: Float[np.ndarray, "478 2"], reference_px: Float[np.ndarray, "478 2"]
) -> float:
    """Mean distance over points 0–467 divided by √(width·height) of the reference's box, as a fraction."""
    left, top, right, bottom = landmark_box(reference_px)
    distance = np.linalg.norm(points_px[:NUM_MESH_POINTS] - reference_px[:NUM_MESH_POINTS], axis=1)
    return float(distance.mean() / np.sqrt((right - left) * (bottom - top)))
