"""The measures taken while training are those that are published, face by face."""

import numpy as np
import pytest
import torch

from facelume.metrics import image_fidelity, scale_free_error
from facelume.training.refiner.validation import _psnr, _scale_free


def pictures(seed):
    """Estimate, truth and mask of three faces: noisy, of another exposure, perfect."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.05, 0.95, (3, 24, 24, 3)).astype(np.float32)
    estimate = truth.copy()
    estimate[0] += rng.normal(0, 0.1, estimate[0].shape).astype(np.float32)
    estimate[1] = 0.4 * estimate[1] + rng.normal(0, 0.02, estimate[1].shape).astype(np.float32)
    return estimate, truth, rng.random((3, 24, 24)) < 0.4


def channels_first(values):
    return torch.from_numpy(values).movedim(-1, 1)


@pytest.mark.parametrize("seed", range(3))
def test_fidelity_and_albedo_error_agree_with_the_metrics(seed):
    estimate, truth, mask = pictures(seed)
    weights = torch.from_numpy(mask).float()[:, None]
    psnr_db = _psnr(channels_first(estimate), channels_first(truth), weights)
    albedo_error = _scale_free(channels_first(estimate), channels_first(truth), weights)
    for face in range(3):
        one = (estimate[face], truth[face], mask[face])
        assert float(psnr_db[face]) == pytest.approx(image_fidelity(*one).psnr_db, abs=1e-3)
        assert float(albedo_error[face]) == pytest.approx(scale_free_error(*one), rel=1e-4, abs=1e-6)
