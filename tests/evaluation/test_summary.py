"""Tone over many photos: weights of truth and photo, classes of skin and the bias between them."""

from typing import Any

import numpy as np
import pytest

from facelume.evaluation.summary import summarise
from facelume.metrics import TONE_AXES

# A truth in each of two classes, degrees.
_DARK_DEG, _LIGHT_DEG = -50.0, 45.0


def _row(rng: np.random.Generator, ita_deg: float, difference_deg: float, hue_sd: float) -> dict[str, Any]:
    truth, photo = ({axis: float(rng.normal()) for axis in TONE_AXES} for _ in range(2))
    ours = {axis: 0.4 * truth[axis] + 0.5 * photo[axis] + 0.1 for axis in TONE_AXES}
    return {
        "set": "heads",
        "name": "0.png",
        "found": True,
        "is_grey": False,
        "skin": {"hue_distance_sd": hue_sd},
        "skin_of_photo": {"hue_distance_sd": 4.0},
        "tone": {"ours": ours, "truth": truth | {"ita_deg": ita_deg}, "photo": photo},
        "albedo": {
            "error": 0.2,
            "absolute_error": 0.3,
            "ita_error_deg": abs(difference_deg),
            "ita_difference_deg": difference_deg,
            "hue_distance_sd": hue_sd,
        },
    }


@pytest.fixture(scope="module")
def summary() -> dict[str, Any]:
    """Twelve dark people judged 10 to 20 degrees too light, four light ones 4 too dark, one beyond human."""
    rng = np.random.default_rng(0)
    rows = [_row(rng, _DARK_DEG, 10.0 + 10.0 * (i % 2), 1.0) for i in range(12)]
    rows += [_row(rng, _LIGHT_DEG, -4.0, 3.5 if i == 0 else 1.0) for i in range(4)]
    return summarise(rows)["all"]


def test_each_class_has_its_own_figures(summary: dict[str, Any]) -> None:
    classes = summary["ita_classes"]
    assert list(classes) == ["dark", "light"]
    assert [c["photos"] for c in classes.values()] == [12, 4]
    assert classes["dark"]["ita_error_deg"]["mean"] == pytest.approx(15)
    assert classes["light"]["ita_difference_deg"]["mean"] == pytest.approx(-4)
    assert classes["dark"]["tie_break"]["log_rg"]["truth_weight"] == pytest.approx(0.4)
    assert classes["light"]["tie_break"]["log_rg"] is None  # four photos


def test_bias_is_the_spread_of_the_mean_signed_errors(summary: dict[str, Any]) -> None:
    bias = summary["ita_bias"]
    assert bias["mean_difference_deg"] == pytest.approx({"dark": 15, "light": -4})
    assert bias["spread_deg"] == pytest.approx(9.5)


def test_the_weights_are_those_of_all_photos(summary: dict[str, Any]) -> None:
    for axis in TONE_AXES:
        fit = summary["tie_break"][axis]
        assert (fit["truth_weight"], fit["photo_weight"], fit["offset"]) == pytest.approx((0.4, 0.5, 0.1))
        assert fit["photos"] == 16


def test_hues_beyond_human_skin_are_counted(summary: dict[str, Any]) -> None:
    assert summary["hue_beyond_3sd"] == {
        "photos": 16,
        "grey_photos": 0,
        "share": pytest.approx(1 / 16),
        "share_of_photo": 1.0,
    }


def test_a_colour_without_a_hue_is_no_skin_and_a_lone_class_has_no_bias() -> None:
    rng = np.random.default_rng(1)
    rows = [_row(rng, _DARK_DEG, 3.0, float("nan"))]
    everyone = summarise(rows)["all"]
    assert everyone["hue_beyond_3sd"]["share"] == 1.0
    assert everyone["ita_bias"] == {"mean_difference_deg": {"dark": 3.0}, "spread_deg": None}
