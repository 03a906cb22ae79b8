"""The shapes of the landmark fit's equations are annotated, and the check sees through their sums."""

import pytest
import torch
from jaxtyping import TypeCheckError

from facelume.camera import CROP_CAMERA
from facelume.fitting.landmarks import LandmarkBasis, _linearise, _solve_with_fixed


def test_a_coefficient_too_many_is_refused():
    basis = LandmarkBasis(torch.zeros(5, 3), torch.zeros(2, 5, 3), torch.zeros(1, 5, 3))
    rows = torch.cat([basis.identity, basis.expression])
    with pytest.raises(TypeCheckError):
        _linearise(
            basis,
            rows,
            torch.zeros(1, 4),
            torch.eye(3)[None],
            torch.ones(1, 3),
            torch.zeros(1, 5, 2),
            CROP_CAMERA,
        )


def test_a_bound_for_another_number_of_unknowns_is_refused():
    hessian, gradient = torch.eye(4)[None], torch.zeros(1, 4)
    with pytest.raises(TypeCheckError):
        _solve_with_fixed(hessian, gradient, torch.zeros(1, 3, dtype=torch.bool), torch.zeros(1, 4))
