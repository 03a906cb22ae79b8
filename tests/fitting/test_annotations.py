"""The shapes of the landmark fit's equations are annotated, and the check sees through their sums."""

import pytest
import torch
from jaxtyping import TypeCheckError

from facelume.camera import CROP_CAMERA
from facelume.fitting.landmark_rows import LandmarkBasis
from facelume.fitting.landmarks import _linearise, _solve_with_fixed


def test_a_coefficient_too_many_is_refused(device):
    basis = LandmarkBasis(
        torch.zeros(5, 3, device=device),
        torch.zeros(2, 5, 3, device=device),
        torch.zeros(1, 5, 3, device=device),
        torch.tensor([[0.0, 1.0]], device=device),
    )
    rows = torch.cat([basis.identity, basis.expression])
    with pytest.raises(TypeCheckError):
        _linearise(
            basis,
            rows,
            torch.zeros(1, 4, device=device),
            torch.eye(3, device=device)[None],
            torch.ones(1, 3, device=device),
            torch.zeros(1, 5, 2, device=device),
            CROP_CAMERA,
        )


def test_a_bound_for_another_number_of_unknowns_is_refused(device):
    hessian, gradient = torch.eye(4, device=device)[None], torch.zeros(1, 4, device=device)
    with pytest.raises(TypeCheckError):
        _solve_with_fixed(
            hessian,
            gradient,
            torch.zeros(1, 3, dtype=torch.bool, device=device),
            torch.zeros(1, 4, device=device),
        )
