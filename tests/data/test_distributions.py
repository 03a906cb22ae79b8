from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest

from facelume.data.distributions import (
    CountRange,
    Distributions,
    Mixture,
    Range,
    draw_count,
    draw_log_uniform,
)
from facelume.errors import UsageError


@dataclass(frozen=True)
class Kinds(Mixture):
    """Four kinds.

    Attributes:
        none: Share.
        near: Share.
        whole: Share.
        many: Share.
    """

    none: float = 0.1
    near: float = 0.07
    whole: float = 0.28
    many: float = 0.55


@dataclass(frozen=True)
class Weather(Distributions):
    """One of each rule.

    Attributes:
        rain_fraction: Probability.
        wind_range_m_s: Range.
        num_clouds_range: Counts.
        heat_sigma: Spread.
        tilt_limit_rad: Limit.
        sun_beta: Shape.
        hours_choices: Choices.
        wind_weights: Probabilities.
        kinds: Mixture.
    """

    rain_fraction: float = 0.5
    wind_range_m_s: Range = (0.0, 8.0)
    num_clouds_range: CountRange = (0, 3)
    heat_sigma: float = 4.0
    tilt_limit_rad: float = 0.1
    sun_beta: tuple[float, float] = (1.0, 2.0)
    hours_choices: tuple[float, ...] = (6.0, 12.0)
    wind_weights: tuple[float, ...] = (0.25, 0.75)
    kinds: Kinds = field(default_factory=Kinds)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rain_fraction", 1.1),
        ("rain_fraction", float("nan")),
        ("wind_range_m_s", (3.0, 2.0)),
        ("num_clouds_range", (-1, 2)),
        ("heat_sigma", -1.0),
        ("tilt_limit_rad", -0.1),
        ("sun_beta", (0.0, 1.0)),
        ("hours_choices", ()),
        ("wind_weights", (0.5, 0.4)),
        ("wind_weights", (1.5, -0.5)),
    ],
)
def test_what_nothing_can_be_drawn_from_is_refused_by_name(name, value):
    with pytest.raises(UsageError, match=f"Weather.{name} must be"):
        Weather(**{name: value})


def test_shares_that_do_not_sum_to_one_are_refused_with_their_sum():
    with pytest.raises(UsageError, match=r"Kinds.*sum to 1.1: none 0.2, near 0.07"):
        Kinds(none=0.2)
    with pytest.raises(UsageError, match="Kinds"):
        Kinds(none=-0.1, near=0.27)


def test_the_parts_of_a_mixture_meet_at_the_decimals_that_its_shares_add_up_to():
    kinds = Kinds()
    for edge, below, above in ((0.1, "none", "near"), (0.17, "near", "whole"), (0.45, "whole", "many")):
        assert kinds.pick(np.nextafter(edge, 0.0)) == below
        assert kinds.pick(edge) == above
    assert kinds.pick(0.0) == "none"
    assert kinds.pick(np.nextafter(1.0, 0.0)) == "many"


def test_what_has_no_share_is_never_picked():
    kinds = Kinds(none=0.0, near=1.0, whole=0.0, many=0.0)
    assert {kinds.pick(chance) for chance in (0.0, 0.5, np.nextafter(1.0, 0.0))} == {"near"}
    # Shares may miss 1 by a rounding error: the last that has a share takes the rest.
    short = Kinds(none=0.5, near=0.5 - 5e-9, whole=0.0, many=0.0)
    assert short.pick(np.nextafter(1.0, 0.0)) == "near"


def test_a_mixture_is_picked_in_its_shares():
    rng, kinds = np.random.default_rng(0), Kinds()
    found = Counter(kinds.pick(rng.random()) for _ in range(20_000))
    for name, share in zip(("none", "near", "whole", "many"), kinds.shares, strict=True):
        assert found[name] / 20_000 == pytest.approx(share, abs=0.01)


def test_counts_reach_both_ends_and_sizes_double_evenly():
    rng = np.random.default_rng(0)
    assert {draw_count((2, 5), rng) for _ in range(200)} == {2, 3, 4, 5}
    sizes = np.array([draw_log_uniform((10.0, 1000.0), rng) for _ in range(4000)])
    assert sizes.min() >= 10.0
    assert sizes.max() <= 1000.0
    assert (sizes < 100.0).mean() == pytest.approx(0.5, abs=0.03)
