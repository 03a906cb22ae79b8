from dataclasses import replace

import pytest
import torch

from facelume.fitting import LandmarkBasis, project_landmarks
from facelume.networks.prior import PriorOutput
from facelume.training.prior.config import PriorLossWeights
from facelume.training.prior.losses import (
    AlbedoProbe,
    CoefficientTargets,
    coefficient_losses,
    landmark_losses,
)

WEIGHTS = PriorLossWeights(**dict.fromkeys(vars(PriorLossWeights()), 1.0))
GENERATOR = torch.Generator().manual_seed(0)
BASIS = LandmarkBasis(
    torch.randn(478, 3, generator=GENERATOR) * 0.05,
    torch.randn(8, 478, 3, generator=GENERATOR) * 0.003,
    torch.randn(5, 478, 3, generator=GENERATOR) * 0.003,
    torch.tensor((0.0, 1.0)).repeat(5, 1),
)
PROBE = AlbedoProbe(
    torch.full((20, 3), 0.4), torch.randn(6, 20, 3, generator=GENERATOR) * 0.05, torch.arange(20)
)


def perfect() -> tuple[PriorOutput, CoefficientTargets, torch.Tensor]:
    identity, expression = torch.randn(2, 8), torch.rand(2, 5)
    rotvec, translation = torch.randn(2, 3) * 0.2, torch.tensor([[0.0, 0.0, 1.0], [0.01, 0.0, 1.1]])
    landmarks = project_landmarks(BASIS, identity, expression, rotvec, translation)
    albedo, light = torch.randn(2, 6), torch.randn(2, 9, 3)
    output = PriorOutput(
        identity,
        expression,
        albedo,
        light,
        rotvec,
        translation,
        landmarks,
        torch.ones(2, 478),
        torch.zeros(2, 1, 8, 8),
    )
    ones = torch.ones(2)
    return (
        output,
        CoefficientTargets(identity, expression, PROBE.albedo(albedo), light, ones, ones),
        landmarks,
    )


def test_a_perfect_prediction_costs_nothing():
    output, targets, landmarks = perfect()
    for name, value in coefficient_losses(output, targets, landmarks, BASIS, PROBE, WEIGHTS).items():
        assert value == pytest.approx(0.0, abs=1e-4), name


@pytest.mark.parametrize(
    ("field", "grows"),
    [
        ("identity", {"shape", "coefficients", "reprojection", "reprojected_aperture"}),
        ("expression", {"shape", "coefficients", "reprojection", "reprojected_aperture"}),
        ("albedo", {"albedo"}),
        ("sh_radiance", {"light"}),
        ("rotvec", {"reprojection", "reprojected_aperture"}),
        ("translation", {"reprojection", "reprojected_aperture"}),
    ],
)
def test_each_wrong_output_shows_in_its_own_losses(field: str, grows: set[str]):
    output, targets, landmarks = perfect()
    wrong = output._replace(**{field: getattr(output, field) + 0.1})
    losses = coefficient_losses(wrong, targets, landmarks, BASIS, PROBE, WEIGHTS)
    assert {name for name, value in losses.items() if value > 1e-3} == grows


def test_samples_without_labels_do_not_count():
    output, targets, landmarks = perfect()
    wrong = output._replace(identity=output.identity + 1, albedo=output.albedo + 1)
    unknown = replace(targets, shape_weight=torch.zeros(2), appearance_weight=torch.zeros(2))
    losses = coefficient_losses(wrong, unknown, landmarks, BASIS, PROBE, WEIGHTS)
    assert sum(losses.values()) == 0


def test_likelihood_is_best_at_half_the_distance():
    output, _, landmarks = perfect()
    off = landmarks + torch.tensor([3.0, 4.0])
    mask, has_mask = torch.zeros(2, 1, 8, 8), torch.zeros(2)
    costs = {
        sigma: float(
            landmark_losses(
                output._replace(landmark_sigma_px=torch.full((2, 478), sigma)), off, mask, has_mask, WEIGHTS
            )["landmark_likelihood"]
        )
        for sigma in (1.5, 2.5, 4.0)
    }
    assert costs[2.5] < min(costs[1.5], costs[4.0])


def test_parsing_counts_only_where_there_is_a_mask():
    output, _, landmarks = perfect()
    output = output._replace(parsing_logits=torch.full((2, 1, 8, 8), 4.0))
    mask = torch.stack([torch.ones(1, 8, 8), torch.zeros(1, 8, 8)])
    only_right = landmark_losses(output, landmarks, mask, torch.tensor([1.0, 0.0]), WEIGHTS)["parsing"]
    only_wrong = landmark_losses(output, landmarks, mask, torch.tensor([0.0, 1.0]), WEIGHTS)["parsing"]
    assert only_right < 0.05
    assert only_wrong > 3


def test_points_that_move_together_leave_the_opening_of_the_mouth_alone():
    output, _, landmarks = perfect()
    mask, has_mask = torch.zeros(2, 1, 8, 8), torch.zeros(2)
    together = landmark_losses(output, landmarks + 2.0, mask, has_mask, WEIGHTS)["aperture"]
    apart = landmarks.clone()
    apart[:, 14, 1] += 3.0
    opened = landmark_losses(output, apart, mask, has_mask, WEIGHTS)["aperture"]
    assert together == pytest.approx(0.0, abs=1e-4)
    assert opened == pytest.approx(3.0 / 13, rel=1e-3)
