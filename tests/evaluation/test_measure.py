"""Figures of a result folder."""

import numpy as np

from facelume.evaluation.measure import truth_in_crop
from facelume.evaluation.references import AlbedoTruth


def test_truth_moves_with_the_crop() -> None:
    rng = np.random.default_rng(0)
    truth = AlbedoTruth(
        albedo_linear=rng.random((40, 50, 3)).astype(np.float32), mask=np.ones((40, 50), bool)
    )
    shift = np.array([[1.0, 0.0, 7.0], [0.0, 1.0, 5.0]])  # crop pixel (x, y) is photo pixel (x + 7, y + 5)
    albedo, inside = truth_in_crop(truth, shift, 20)
    np.testing.assert_allclose(albedo, truth.albedo_linear[5:25, 7:27], atol=1e-6)
    assert inside.all()
    _, inside = truth_in_crop(truth, np.array([[1.0, 0.0, 40.0], [0.0, 1.0, 0.0]]), 20)
    assert inside[:, :9].all()
    assert not inside[:, 11:].any()
