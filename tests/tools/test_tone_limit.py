from __future__ import annotations

import numpy as np
import pytest
import tone_limit

from facelume.data.synthetic.part_colours import PART_STATISTICS, SKIN_SURFACE
from facelume.reflectance import human_skin


def tones(number: int, seed: int = 0) -> np.ndarray:
    """Log luminance over the range of skins, hues about their means."""
    rng = np.random.default_rng(seed)
    darkest, lightest = (float(end) for end in human_skin().tone_range)
    return np.column_stack([rng.uniform(darkest, lightest, number), rng.normal(0.5, 0.1, (number, 2))])


class TestDrawPart:
    def test_differs_from_the_skin_as_it_was_measured(self) -> None:
        part = PART_STATISTICS["lips"]
        skin = np.log(np.full((4000, 3), 0.3))
        seen = tone_limit.draw_part(part, skin, np.random.default_rng(0))
        expected = part.mean_seen(np.log(np.full(3, 0.3 + SKIN_SURFACE))) - np.log(0.3 + SKIN_SURFACE)
        assert seen.mean(axis=0) == pytest.approx(expected, abs=0.02)
        assert seen.std(axis=0) == pytest.approx(part.spread, rel=0.05)
        assert np.corrcoef(seen.T)[0, 1] == pytest.approx(part.correlation[0], abs=0.03)


class TestToldFrom:
    def test_what_the_cues_hold_is_told_and_what_they_do_not_is_not(self) -> None:
        tone = tones(2000)
        noise = np.random.default_rng(1).normal(size=(2000, 1))
        said, true = tone_limit.told_from(
            np.concatenate([tone[:, :1] ** 2, tone[:, :1], noise], axis=1), tone
        )
        assert len(said) == 500
        assert said[:, 0] == pytest.approx(true[:, 0], abs=1e-6)
        assert (said - true)[:, 1].std() == pytest.approx(true[:, 1].std(), rel=0.05)


class TestFigures:
    def test_the_truth_has_no_error(self) -> None:
        row = tone_limit.figures(tones(50), tones(50))
        assert all(row[f"{name}_sd"] == 0 for name in ("luminance", "rg", "gb"))
        assert row["luminance_a"] == pytest.approx(1)
        assert row["ita_error"] == row["ita_error_dark"] == row["relative_error"] == 0

    def test_half_an_answer_keeps_half_of_the_truth(self) -> None:
        true = tones(400)
        row = tone_limit.figures(true.mean(axis=0) + 0.5 * (true - true.mean(axis=0)), true)
        assert row["luminance_a"] == pytest.approx(0.5)
        assert row["luminance_sd"] == pytest.approx(0.5 * true[:, 0].std())
        assert row["ita_error"] > 5
        assert row["ita_error_dark"] > 5

    def test_twice_the_luminance_is_an_error_of_one(self) -> None:
        true = tones(50)
        assert tone_limit.figures(true + np.log([2, 1, 1]), true)["relative_error"] == pytest.approx(1)


class TestLimits:
    def test_more_parts_tell_more(self) -> None:
        rows = tone_limit.limits(people=400, seed=0)
        assert list(rows) == ["spread", *tone_limit.CHOICES]
        all_parts, sclera, none = (rows[name]["luminance_sd"] for name in ("all", "sclera", "spread"))
        assert all_parts < sclera < none
