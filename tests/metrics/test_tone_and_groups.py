"""Albedo without a factor, tone, spread within people: against cases worked out by hand."""

import math

import numpy as np
import pytest
import torch

from facelume.metrics import (
    absolute_error,
    albedo_distance,
    between_spread,
    is_grey,
    psnr_db,
    scale_free_error,
    skin_colour,
    tie_break,
    within_spread,
)
from facelume.reflectance import human_skin


def test_absolute_error_counts_the_factor_that_the_scale_free_one_takes_out() -> None:
    truth = np.full((4, 5, 3), 0.4)
    truth[:2] = 0.2
    mask = np.ones((4, 5), bool)
    assert absolute_error(truth, truth, mask) == 0
    # 1.5 times the truth: off by 0.1 and 0.2, root mean square sqrt(.025), over a mean of 0.3.
    assert absolute_error(1.5 * truth, truth, mask) == pytest.approx(math.sqrt(0.025) / 0.3)
    assert scale_free_error(1.5 * truth, truth, mask) == pytest.approx(0, abs=1e-9)
    mask[:2] = False
    assert absolute_error(1.5 * truth, truth, mask) == pytest.approx(0.5)
    assert math.isnan(absolute_error(truth, truth, np.zeros_like(mask)))


def test_albedo_distance_forgives_one_grey_factor_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    albedo = rng.uniform(0.1, 0.6, (8, 8, 3))
    mask = np.ones((8, 8), bool)
    mask[:, 6:] = False
    other = np.where(mask[..., None], 0.3 * albedo, 9.0)
    assert albedo_distance(albedo, other, mask) == pytest.approx(0, abs=1e-12)
    # A tint is no grey factor: red 1.1, green and blue 0.95 of a grey of 1.
    grey = np.ones((8, 8, 3))
    tint = grey * [1.1, 0.95, 0.95]
    assert albedo_distance(grey, tint, mask) == pytest.approx(math.sqrt((0.01 + 2 * 0.0025) / 3))
    # A stain over half: 1 and 0.5 have mean 0.75, so 4/3 and 2/3 against 1.
    stain = grey.copy()
    stain[:4] = 0.5
    assert albedo_distance(grey, stain, mask) == pytest.approx(1 / 3)
    assert albedo_distance(stain, grey, mask) == pytest.approx(1 / 3)
    assert math.isnan(albedo_distance(grey, grey, np.zeros_like(mask)))


def test_psnr_of_a_constant_offset() -> None:
    photo, mask = np.full((6, 6, 3), 0.5, np.float32), np.ones((6, 6), bool)
    assert psnr_db(photo + np.float32(0.1), photo, mask) == pytest.approx(20.0, abs=1e-3)
    assert psnr_db(photo, photo, mask) == pytest.approx(100.0)
    assert math.isnan(psnr_db(photo, photo, ~mask))


def test_skin_colour_is_brightness_two_hues_and_distance() -> None:
    red_green, green_blue = human_skin().hue_of_tone(torch.tensor(-1.5, dtype=torch.float64)).tolist()
    colour = np.exp([red_green, 0.0, -green_blue])
    colour *= math.exp(-1.5) / (colour @ [0.2126, 0.7152, 0.0722])
    skin = skin_colour(colour)
    assert (skin.log_luminance, skin.log_rg, skin.log_gb) == pytest.approx((-1.5, red_green, green_blue))
    assert skin.hue_distance_sd == pytest.approx(0, abs=1e-6)
    cyan = skin_colour(colour[::-1].copy())
    assert cyan.hue_distance_sd > 5
    # L* of a grey of 0.4 is 69.5, its b* about 0: straight up.
    assert skin_colour(np.full(3, 0.4)).ita_deg == pytest.approx(90, abs=0.5)
    assert math.isnan(skin_colour(np.array([0.2, 0.0, 0.1])).hue_distance_sd)
    assert math.isnan(skin_colour(np.array([0.2, np.nan, 0.1])).log_luminance)


def test_a_photo_is_grey_whose_channels_agree() -> None:
    rng = np.random.default_rng(1)
    grey = np.repeat(rng.integers(0, 250, (20, 20, 1)), 3, axis=-1).astype(np.uint8)
    mask = np.ones((20, 20), bool)
    assert is_grey(grey, mask)
    assert is_grey(grey + rng.integers(0, 4, grey.shape).astype(np.uint8), mask)
    sepia = grey.copy()
    sepia[..., 2] = grey[..., 2] // 2 + 5
    assert not is_grey(sepia, mask)
    half = np.where(np.arange(20)[:, None, None] < 10, grey, sepia)
    assert not is_grey(half, mask)
    mask[10:] = False
    assert is_grey(half, mask)
    assert not is_grey(half, np.zeros_like(mask))


def test_the_weights_of_truth_and_photo_are_those_that_made_the_answer() -> None:
    rng = np.random.default_rng(2)
    truth, photo = rng.normal(size=(2, 60))
    photo += 0.5 * truth
    fit = tie_break(0.7 * truth + 0.2 * photo - 0.3, truth, photo)
    assert fit is not None
    assert (fit.truth_weight, fit.photo_weight, fit.offset) == pytest.approx((0.7, 0.2, -0.3))
    assert max(fit.truth_error, fit.photo_error) < 1e-9
    assert fit.photos == 60
    assert fit.correlation == pytest.approx(np.corrcoef(truth, photo)[0, 1])
    assert (fit.truth_spread, fit.photo_spread) == pytest.approx((truth.std(ddof=1), photo.std(ddof=1)))
    gap = truth.copy()
    gap[3] = np.nan
    partial = tie_break(0.7 * truth + 0.2 * photo - 0.3, gap, photo)
    assert partial is not None
    assert (partial.photos, partial.truth_weight) == (59, pytest.approx(0.7))


def test_standard_errors_are_the_spread_of_the_weights() -> None:
    rng = np.random.default_rng(3)
    truth, photo = rng.normal(size=(2, 40))
    fits = [tie_break(truth + rng.normal(0, 0.3, 40), truth, photo) for _ in range(400)]
    weights = np.array([[f.truth_weight, f.photo_weight] for f in fits if f is not None])
    claimed = np.mean([[f.truth_error, f.photo_error] for f in fits if f is not None], axis=0)
    assert weights.std(axis=0) == pytest.approx(claimed, rel=0.12)


@pytest.mark.parametrize("kind", ["few", "one truth", "one photo", "photo is the truth"])
def test_a_fit_that_would_say_nothing_is_refused(kind: str) -> None:
    rng = np.random.default_rng(4)
    truth, photo = rng.normal(size=(2, 9 if kind == "few" else 30))
    if kind == "one truth":
        truth[:] = -1.2
    elif kind == "one photo":
        photo[:] = 0.4
    elif kind == "photo is the truth":
        photo = 2 * truth + 1
    assert tie_break(truth + photo, truth, photo) is None


def test_spread_within_people_pools_their_deviations() -> None:
    # Deviations 1, 0, 1 and 2, 2 with two and one degrees of freedom: sqrt((2 + 8) / 3).
    groups = [np.array([1.0, 2.0, 3.0]), np.array([10.0, 14.0]), np.array([99.0])]
    assert within_spread(groups) == pytest.approx(math.sqrt(10 / 3))
    assert between_spread(groups[:2]) == pytest.approx(np.std([2.0, 12.0], ddof=1))
    assert math.isnan(within_spread([np.array([1.0])]))
    assert math.isnan(between_spread([np.array([1.0, 2.0])]))
