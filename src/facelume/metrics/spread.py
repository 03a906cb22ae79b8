"""Spread of a figure within the people that it is measured on several times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def within_spread(groups: Sequence[Float[np.ndarray, " _"]]) -> float:
    """Pooled standard deviation within groups: root of all squared deviations over all degrees of freedom.

    A group of n values counts with n - 1; one of a single value says nothing and does not count.

    Args:
        groups: The values of each person.

    Returns:
        The spread; NaN when no group has two values.
    """
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in groups if len(values) > 1)
    freedom = sum(len(values) - 1 for values in groups if len(values) > 1)
    return float(np.sqrt(squares / freedom)) if freedom else float("nan")


def between_spread(groups: Sequence[Float[np.ndarray, " _"]]) -> float:
    """Standard deviation of the groups' means, each group counting once; NaN for fewer than two groups."""
    means = [float(values.mean()) for values in groups if len(values) > 0]
    return float(np.std(means, ddof=1)) if len(means) > 1 else float("nan")
