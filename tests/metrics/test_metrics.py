"""Metrics against values worked out by hand."""

import numpy as np
import pytest
import torch

from facelume.metrics import (
    image_fidelity,
    normalised_mean_error,
    scale_free_error,
    scale_free_gain,
)


def test_fidelity_of_a_constant_offset() -> None:
    photo = np.full((32, 32, 3), 0.5, np.float32)
    mask = np.zeros((32, 32), bool)
    mask[8:24, 8:24] = True
    fidelity = image_fidelity(photo + np.float32(0.1), photo, mask)
    assert fidelity.l1 == pytest.approx(0.1, abs=1e-6)
    assert fidelity.psnr_db == pytest.approx(20.0, abs=1e-3)


def test_fidelity_ignores_what_is_outside_the_mask() -> None:
    rng = np.random.default_rng(0)
    photo = rng.random((32, 32, 3), dtype=np.float32)
    mask = np.zeros((32, 32), bool)
    mask[8:24, 8:24] = True
    rendering = np.where(mask[..., None], photo, np.float32(0))
    fidelity = image_fidelity(rendering, photo, mask)
    assert fidelity.l1 == 0
    assert fidelity.psnr_db == pytest.approx(100.0)
    assert fidelity.ssim == pytest.approx(1.0)


def test_fidelity_of_an_empty_mask_is_nan() -> None:
    photo = np.zeros((16, 16, 3), np.float32)
    assert np.isnan(image_fidelity(photo, photo, np.zeros((16, 16), bool)).psnr_db)


def test_landmark_error_of_a_shift() -> None:
    reference = np.zeros((478, 2))
    reference[:468, 0] = np.linspace(10, 110, 468)
    reference[:468, 1] = np.linspace(5, 30, 468)
    moved = reference + np.array([3.0, 4.0])
    moved[468:] += 1000  # irises do not count
    assert normalised_mean_error(moved, reference) == pytest.approx(5 / 50)
    both = normalised_mean_error(
        torch.tensor(np.stack([reference, moved])), torch.tensor(np.stack([reference] * 2))
    )
    torch.testing.assert_close(both, torch.tensor([0.0, 0.1]).double())


def test_albedo_error_is_free_of_scale_and_counts_patterns() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.1, 0.9, (20, 20, 3))
    mask = np.ones((20, 20), bool)
    assert scale_free_error(0.3 * truth, truth, mask) == pytest.approx(0, abs=1e-9)
    assert scale_free_gain(0.25 * truth, truth, mask) == pytest.approx(4.0)
    half = np.full((20, 20, 3), 0.5)
    half[:10] = 1.0  # values 1 and 0.5 against one colour: best constant is 0.75, error 0.25 / 0.75
    assert scale_free_error(np.ones_like(half), half, mask) == pytest.approx(0.25 / 0.75)


def test_ssim_of_two_constants() -> None:
    pictures = [np.full((32, 32, 3), value, np.float32) for value in (0.4, 0.8)]
    expected = (2 * 0.4 * 0.8 + 0.01**2) / (0.4**2 + 0.8**2 + 0.01**2)
    assert image_fidelity(*pictures, np.ones((32, 32), bool)).ssim == pytest.approx(expected, abs=1e-6)


def test_ssim_is_the_published_formula() -> None:
    """Wang et al. 2004: Gaussian window of 11 px and σ 1.5 px, biased moments, K1 0.01, K2 0.03, range 1."""
    generator = np.random.default_rng(3)
    photo = generator.random((40, 50, 3)).astype(np.float32)
    rendering = np.clip(photo + 0.1 * generator.standard_normal(photo.shape), 0, 1).astype(np.float32)
    mask = np.zeros((40, 50), bool)
    mask[18:27, 20:33] = True
    profile = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = (np.outer(profile, profile) / profile.sum() ** 2)[..., None]
    values = []
    for row, column in np.argwhere(mask):
        around = np.s_[row - 5 : row + 6, column - 5 : column + 6]
        x, y = (np.where(mask[..., None], p, 0)[around].astype(np.float64) for p in (rendering, photo))
        mean_x, mean_y = (np.sum(window * picture, axis=(0, 1)) for picture in (x, y))
        variances = np.sum(window * ((x - mean_x) ** 2 + (y - mean_y) ** 2), axis=(0, 1))
        covariance = np.sum(window * (x - mean_x) * (y - mean_y), axis=(0, 1))
        luminance = (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
        values.append(luminance * (2 * covariance + 0.03**2) / (variances + 0.03**2))
    assert image_fidelity(rendering, photo, mask).ssim == pytest.approx(np.mean(values), abs=1e-6)
