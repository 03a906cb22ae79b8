"""Configurations of drawn data: ranges, shares and mixtures that check themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from facelume.errors import UsageError

Range = tuple[float, float]
"""Least and largest value of a number drawn evenly between the two."""
CountRange = tuple[int, int]
"""Least and largest of the whole numbers that are drawn, each as often as any other."""

# Below the tolerance that numpy's Generator.choice has for its own probabilities (1.5e-8).
_SUM_TOLERANCE = 1e-8
# Shares are decimals: rounded sums of them are the decimals that a reader expects, not 0.1 + 0.07 > 0.17.
_SHARE_DECIMALS = 12


@dataclass(frozen=True)
class Distributions:
    """Base of configurations that say how often and how much; a value nothing can be drawn from is refused.

    What a field may hold follows from a word in its name: ``fraction`` is a probability, ``range`` a
    :data:`Range` or :data:`CountRange`, ``num`` a count, ``sigma`` a standard deviation, ``limit`` the
    largest size of a number of either sign, ``least`` a smallest length, ``beta`` the two shapes of a beta
    distribution (from 0 to 1), ``choices`` values that are equally likely, ``weights`` probabilities that sum
    to 1.

    Raises:
        UsageError: A field holds something else; the message names it.
    """

    def __post_init__(self) -> None:
        for field in fields(self):
            words, value = field.name.split("_"), getattr(self, field.name)
            for word, (is_valid, rule) in _RULES.items():
                if word in words and not is_valid(value):
                    raise UsageError(f"{type(self).__name__}.{field.name} must be {rule}, not {value!r}")


def _is_range(value: Range | CountRange) -> bool:
    return len(value) == 2 and value[0] <= value[1]


def _is_weights(value: Sequence[float]) -> bool:
    return len(value) > 0 and min(value) >= 0 and abs(sum(value) - 1) <= _SUM_TOLERANCE


_RULES = {
    "fraction": (lambda value: 0 <= value <= 1, "a probability from 0 to 1"),
    "range": (_is_range, "the least and the largest value, in this order"),
    "num": (lambda value: np.min(value) >= 0, "0 or more"),
    "sigma": (lambda value: value >= 0, "a standard deviation, 0 or more"),
    "limit": (lambda value: value >= 0, "0 or more"),
    "least": (lambda value: value > 0, "above 0"),
    "beta": (lambda value: len(value) == 2 and min(value) > 0, "two numbers above 0"),
    "choices": (lambda value: len(value) > 0, "at least one value"),
    "weights": (_is_weights, "probabilities that sum to 1"),
}


@dataclass(frozen=True)
class Mixture:
    """Base of configurations whose fields are the shares of things of which one is drawn each time.

    Raises:
        UsageError: A share is negative, or the shares do not sum to 1.
    """

    def __post_init__(self) -> None:
        if not _is_weights(self.shares):
            names = ", ".join(f"{field.name} {getattr(self, field.name)}" for field in fields(self))
            raise UsageError(
                f"the shares of {type(self).__name__} must be 0 or more and sum to 1, "
                f"they sum to {sum(self.shares):g}: {names}"
            )

    @property
    def shares(self) -> tuple[float, ...]:
        """Probabilities in the order of the fields."""
        return tuple(getattr(self, field.name) for field in fields(self))

    def pick(self, chance: float) -> str:
        """Name of the field into whose part of [0, 1) ``chance`` falls; the parts lie in the fields' order.

        Args:
            chance: Evenly drawn from [0, 1).
        """
        passed, last = 0.0, ""
        for field in fields(self):
            share = getattr(self, field.name)
            passed = round(passed + share, _SHARE_DECIMALS)
            if chance < passed:
                return field.name
            last = field.name if share > 0 else last
        return last


def draw_count(count_range: CountRange, rng: np.random.Generator) -> int:
    """A whole number of the range, its largest one included."""
    return int(rng.integers(count_range[0], count_range[1] + 1))


def draw_log_uniform(value_range: Range, rng: np.random.Generator) -> float:
    """A number of the range whose logarithm is drawn evenly: each doubling is as likely as the next."""
    return float(np.exp(rng.uniform(np.log(value_range[0]), np.log(value_range[1]))))
