"""Albedo error that does not reward a lucky guess of the overall brightness."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float


def scale_free_gain(
    albedo_linear: Float[np.ndarray, "H W 3"],
    truth_linear: Float[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"],
) -> float:
    """The one factor on ``albedo_linear`` that brings it closest to the truth in the least-squares sense."""
    estimate = albedo_linear[mask].astype(np.float64)
    truth = truth_linear[mask].astype(np.float64)
    return float((estimate * truth).sum() / max(float((estimate**2).sum()), 1e-12))


def scale_free_error(
    albedo_linear: Float[np.ndarray, "H W 3"],
    truth_linear: Float[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"],
) -> float:
    """Root mean square difference after the best common factor, divided by the mean truth.

    Args:
        albedo_linear: Estimated albedo, linear Rec.709, [0, 1].
        truth_linear: True albedo, linear Rec.709, [0, 1].
        mask: Pixels that count (eyes and inner mouth left out by the caller).

    Returns:
        The error; 0 for a perfect albedo up to a factor, NaN when no pixel counts.
    """
    if not mask.any():
        return float("nan")
    gain = scale_free_gain(albedo_linear, truth_linear, mask)
    difference = gain * albedo_linear[mask].astype(np.float64) - truth_linear[mask]
    return float(np.sqrt(np.mean(difference**2)) / np.mean(truth_linear[mask]))
