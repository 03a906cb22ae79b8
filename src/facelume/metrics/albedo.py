"""Albedo errors: with and without the overall brightness, and between two albedos of no known truth."""

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

    Does not reward a lucky guess of the overall brightness.

    Args:
        albedo_linear: Estimated albedo, linear Rec.709, [0, 1].
        truth_linear: True albedo, linear Rec.709, [0, 1].
        mask: Pixels that count (eyes and inner mouth left out by the caller).

    Returns:
        The error; 0 for a perfect albedo up to a factor, NaN when no pixel counts.
    """
    return _relative_error(
        scale_free_gain(albedo_linear, truth_linear, mask) * albedo_linear, truth_linear, mask
    )


def absolute_error(
    albedo_linear: Float[np.ndarray, "H W 3"],
    truth_linear: Float[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"],
) -> float:
    """Root mean square difference divided by the mean truth, no factor taken out.

    Args:
        albedo_linear: Estimated albedo, linear Rec.709, [0, 1].
        truth_linear: True albedo, linear Rec.709, [0, 1].
        mask: Pixels that count.

    Returns:
        The error; 0 for a perfect albedo, NaN when no pixel counts.
    """
    return _relative_error(albedo_linear, truth_linear, mask)


def albedo_distance(
    first_linear: Float[np.ndarray, "H W 3"],
    second_linear: Float[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"],
) -> float:
    """How far two albedos differ after one grey factor each: stains, shadows, highlights and hue remain.

    Each is divided by its mean over texels and channels where ``mask`` holds; the distance is the root mean
    square difference of the quotients, so that 0.1 is a tenth of the mean albedo. Symmetric.

    Args:
        first_linear: Albedo, linear Rec.709.
        second_linear: Another of the same size.
        mask: Texels that count, seen in both.

    Returns:
        The distance; NaN when no texel counts.
    """
    if not mask.any():
        return float("nan")
    first, second = first_linear[mask].astype(np.float64), second_linear[mask].astype(np.float64)
    difference = first / max(float(first.mean()), 1e-12) - second / max(float(second.mean()), 1e-12)
    return float(np.sqrt(np.mean(difference**2)))


def _relative_error(
    estimate: Float[np.ndarray, "H W 3"], truth: Float[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"]
) -> float:
    if not mask.any():
        return float("nan")
    difference = estimate[mask].astype(np.float64) - truth[mask]
    return float(np.sqrt(np.mean(difference**2)) / np.mean(truth[mask]))
