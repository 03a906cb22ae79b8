"""How much of an answer is the truth and how much the photo: whether the tie of skin and light is broken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

MIN_PHOTOS = 10
"""Three numbers are fitted; from fewer photos they say nothing."""

_LEAST_SPREAD = 1e-3
_LARGEST_CORRELATION = 0.98


@dataclass(frozen=True)
class TieBreak:
    """Least-squares fit of ``ours = truth_weight * truth + photo_weight * photo + offset`` over photos.

    Attributes:
        truth_weight: *a*: 1 for a method that finds the truth, 0 for one that does not.
        photo_weight: *b*: 1 for a method that takes the photo's colour for the skin's.
        offset: *c*.
        truth_error: Standard error of ``truth_weight``.
        photo_error: Standard error of ``photo_weight``.
        photos: How many photos were fitted.
        correlation: Of photo with truth: the nearer to 1 or -1, the less the two weights can be told apart.
        truth_spread: Standard deviation of the truth.
        photo_spread: Standard deviation of the photo.
    """

    truth_weight: float
    photo_weight: float
    offset: float
    truth_error: float
    photo_error: float
    photos: int
    correlation: float
    truth_spread: float
    photo_spread: float


def tie_break(
    ours: Float[np.ndarray, " N"], truth: Float[np.ndarray, " N"], photo: Float[np.ndarray, " N"]
) -> TieBreak | None:
    """Fit one coordinate of the skin's colour (log luminance or a log hue) over photos.

    Args:
        ours: What was answered, one value per photo; photos with a value that is not finite are left out.
        truth: What is true.
        photo: What the photo itself shows there.

    Returns:
        The fit; None where it would say nothing: fewer than ``MIN_PHOTOS``, truth or photo the same for all
        (standard deviation below 0.001), or the two correlated beyond 0.98.
    """
    rows = np.stack([ours, truth, photo], axis=-1).astype(np.float64)
    rows = rows[np.isfinite(rows).all(axis=-1)]
    if len(rows) < MIN_PHOTOS or rows[:, 1:].std(axis=0).min() < _LEAST_SPREAD:
        return None
    correlation = float(np.corrcoef(rows[:, 1], rows[:, 2])[0, 1])
    if abs(correlation) > _LARGEST_CORRELATION:
        return None
    design = np.concatenate([rows[:, 1:], np.ones((len(rows), 1))], axis=1)
    weights = np.linalg.lstsq(design, rows[:, 0], rcond=None)[0]
    residual = rows[:, 0] - design @ weights
    covariance = np.linalg.inv(design.T @ design) * (residual @ residual) / (len(rows) - design.shape[1])
    errors = np.sqrt(np.diag(covariance))
    return TieBreak(
        truth_weight=float(weights[0]),
        photo_weight=float(weights[1]),
        offset=float(weights[2]),
        truth_error=float(errors[0]),
        photo_error=float(errors[1]),
        photos=len(rows),
        correlation=correlation,
        truth_spread=float(rows[:, 1].std(ddof=1)),
        photo_spread=float(rows[:, 2].std(ddof=1)),
    )
