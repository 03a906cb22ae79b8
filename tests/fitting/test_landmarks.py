import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from facelume.camera import CROP_CAMERA
from facelume.data.photos import mirror_permutation
from facelume.errors import UsageError
from facelume.face_model import load_open_face_model
from facelume.fitting import (
    FitConfig,
    FitStart,
    LandmarkBasis,
    fit_landmarks,
    landmark_basis,
    pose_from_landmarks,
    project_landmarks,
)
from facelume.fitting.landmarks import _linearise
from facelume.geometry import rotation_from_rotvec
from facelume.geometry.face_mesh import (
    LEFT_EYE_CORNERS,
    LOWER_APERTURE_POINTS,
    NOSE_TIP,
    RIGHT_EYE_CORNERS,
    UPPER_APERTURE_POINTS,
)

WEAK_PRIOR = FitConfig(num_steps=12, identity_weight=1e-4, expression_weight=1e-4, expression_rest_weight=0.0)


def ellipsoid_basis(dtype: torch.dtype = torch.float32, *, device) -> LandmarkBasis:
    """A face-sized half ellipsoid with smooth identity changes and local expression bumps."""
    generator = torch.Generator().manual_seed(3)
    azimuth = (torch.rand(478, generator=generator).to(device) - 0.5) * 2.4
    height = (torch.rand(478, generator=generator).to(device) - 0.5) * 1.8
    mean = torch.stack(
        [0.075 * azimuth.sin() * height.cos(), 0.11 * height.sin(), 0.08 * azimuth.cos() * height.cos()], -1
    )
    waves = torch.randn(10, 3, generator=generator).to(device) * 25
    directions = torch.randn(10, 1, 3, generator=generator).to(device)
    identity = 0.003 * torch.cos(mean @ waves.T + torch.arange(10.0, device=device)).T[..., None] * directions
    centres = mean[torch.randperm(478, generator=generator).to(device)[:6]]
    bumps = torch.exp(-(mean[None] - centres[:, None]).square().sum(-1) / 0.03**2)
    expression = 0.012 * bumps[..., None] * torch.randn(6, 1, 3, generator=generator).to(device)
    strengths = mean.new_tensor((0.0, 1.0)).repeat(6, 1)
    return LandmarkBasis(*(part.to(dtype) for part in (mean, identity, expression, strengths)))


def random_faces(num_faces: int, basis: LandmarkBasis, *, device) -> FitStart:
    generator = torch.Generator().manual_seed(num_faces)
    dtype = basis.mean.dtype
    return FitStart(
        identity=torch.randn(num_faces, 10, generator=generator).to(device).to(dtype),
        expression=torch.rand(num_faces, 6, generator=generator)
        .to(device)
        .to(dtype)
        .mul(1.6)
        .sub(0.4)
        .clamp(0, 1),
        rotvec=((torch.rand(num_faces, 3, generator=generator).to(device) - 0.5) * 1.0).to(dtype),
        translation=(
            torch.randn(num_faces, 3, generator=generator).to(device) * 0.02
            + torch.tensor([0.0, 0.0, 1.05], device=device)
        ).to(dtype),
    )


def project(basis: LandmarkBasis, face: FitStart) -> torch.Tensor:
    return project_landmarks(basis, face.identity, face.expression, face.rotvec, face.translation)


def test_closed_loop_recovers_pose_identity_and_expression(device):
    basis = ellipsoid_basis(device=device)
    face = random_faces(8, basis, device=device)
    fit = fit_landmarks(basis, project(basis, face), config=WEAK_PRIOR)
    assert fit.residual_px.max() < 0.1
    assert (fit.identity - face.identity).abs().max() < 0.15
    assert (fit.expression - face.expression).abs().max() < 0.08
    assert (fit.rotvec - face.rotvec).norm(dim=-1).max() < 0.01
    assert (fit.translation - face.translation).norm(dim=-1).max() < 0.02


def test_expressions_stay_between_zero_and_one_where_the_data_ask_for_more(device):
    basis = ellipsoid_basis(device=device)
    face = random_faces(4, basis, device=device)
    beyond = FitStart(face.identity, face.expression * 3 - 1, face.rotvec, face.translation)
    fit = fit_landmarks(basis, project(basis, beyond))
    assert fit.expression.min() >= 0
    assert fit.expression.max() <= 1
    assert (fit.expression == 0).any()


def test_jacobian_equals_automatic_differentiation(assert_close, device):
    basis = ellipsoid_basis(torch.float64, device=device)
    face = random_faces(2, basis, device=device)
    target = torch.zeros(2, 478, 2, dtype=torch.float64, device=device)
    rows = torch.cat([basis.identity, basis.expression])
    rotation = rotation_from_rotvec(face.rotvec)

    def residual(delta: torch.Tensor) -> torch.Tensor:
        turned = rotation_from_rotvec(delta[:, :3]) @ rotation
        moved = torch.cat([face.identity, face.expression], -1) + delta[:, 6:]
        shifted = face.translation + delta[:, 3:6]
        return _linearise(basis, rows, moved, turned, shifted, target, CROP_CAMERA)[0]

    zero = torch.zeros(2, 22, dtype=torch.float64, device=device)
    automatic = torch.autograd.functional.jacobian(residual, zero)
    coefficients = torch.cat([face.identity, face.expression], -1)
    analytic = _linearise(basis, rows, coefficients, rotation, face.translation, target, CROP_CAMERA)[1]
    for index in range(2):
        assert_close(analytic[index], automatic[index, :, :, index])


def test_batch_agrees_with_single_faces(device):
    basis = ellipsoid_basis(device=device)
    landmarks = project(basis, random_faces(3, basis, device=device))
    together = fit_landmarks(basis, landmarks)
    for index in range(3):
        alone = fit_landmarks(basis, landmarks[index : index + 1])
        torch.testing.assert_close(alone.landmarks_px[0], together.landmarks_px[index], atol=0.05, rtol=0)


def test_a_few_wrong_landmarks_do_little(device):
    basis = ellipsoid_basis(device=device)
    face = random_faces(4, basis, device=device)
    truth = project(basis, face)
    wrong = truth.clone()
    wrong[:, ::25] += 40.0
    fit = fit_landmarks(basis, wrong, config=FitConfig(num_steps=8))
    error = (fit.landmarks_px - truth).norm(dim=-1)
    assert error.mean() < 1.0


def test_uncertain_landmarks_count_less(device):
    basis = ellipsoid_basis(device=device)
    truth = project(basis, random_faces(4, basis, device=device))
    noisy = truth.clone()
    noisy[:, :200] += 6.0
    sigma = torch.ones(4, 478, device=device)
    sigma[:, :200] = 20.0
    informed = (fit_landmarks(basis, noisy, sigma).landmarks_px - truth)[:, 200:].norm(dim=-1).mean()
    ignorant = (fit_landmarks(basis, noisy).landmarks_px - truth)[:, 200:].norm(dim=-1).mean()
    assert informed < 0.5 * ignorant


def test_orthographic_start_finds_the_rotation_of_the_mean_face(device):
    basis = ellipsoid_basis(device=device)
    rotvec = torch.tensor([[0.1, math.radians(35), -0.2]], device=device)
    translation = torch.tensor([[0.01, -0.02, 1.1]], device=device)
    landmarks = project_landmarks(
        basis, torch.zeros(1, 10, device=device), torch.zeros(1, 6, device=device), rotvec, translation
    )
    found, moved = pose_from_landmarks(basis, landmarks)
    assert (found - rotvec).norm() < 0.08
    assert (moved - translation).norm() < 0.06


def test_landmarks_that_are_not_finite_are_refused(device):
    basis = ellipsoid_basis(device=device)
    with pytest.raises(UsageError, match="finite landmarks"):
        fit_landmarks(basis, torch.full((1, 478, 2), float("nan"), device=device))


def test_openings_of_mouth_and_eyes_are_kept_where_opposite_points_err_together(device):
    basis = ellipsoid_basis(device=device)
    truth = project(basis, random_faces(6, basis, device=device))
    noise = 3.0 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(7)).to(device)
    upper, lower = list(UPPER_APERTURE_POINTS), list(LOWER_APERTURE_POINTS)
    noise[:, lower] = noise[:, upper]
    errors = []
    for aperture_sigma in (0.3, 100.0):
        fit = fit_landmarks(basis, truth + noise, config=FitConfig(aperture_sigma=aperture_sigma))
        off = fit.landmarks_px - truth
        errors.append(float((off[:, lower] - off[:, upper]).norm(dim=-1).mean()))
    assert errors[0] < 0.8 * errors[1]


def test_mirrored_landmarks_are_those_that_shapes_pair_up():
    basis = landmark_basis(load_open_face_model())
    points = basis.mean.numpy() * (1, -1, -1)
    np.testing.assert_array_equal(basis.mirrored, mirror_permutation(points[None]))
    assert basis.mirrored[RIGHT_EYE_CORNERS[0]] == LEFT_EYE_CORNERS[1]
    assert basis.mirrored[NOSE_TIP] == NOSE_TIP
    reflected = basis.mean * torch.tensor([-1.0, 1.0, 1.0])
    assert float((basis.mean[basis.mirrored] - reflected).norm(dim=-1).max()) < 5e-5


def test_expressions_in_standard_deviations_may_be_negative(device):
    strengths = ellipsoid_basis(device=device)
    basis = replace(strengths, expression_limits=torch.full((6, 2), torch.inf) * torch.tensor([-1.0, 1.0]))
    basis = replace(basis, expression_limits=basis.expression_limits.to(device))
    truth = random_faces(4, basis, device=device)
    expression = truth.expression - 0.5
    landmarks_px = project_landmarks(basis, truth.identity, expression, truth.rotvec, truth.translation)
    fit = fit_landmarks(basis, landmarks_px, config=WEAK_PRIOR)
    torch.testing.assert_close(fit.expression, expression, atol=0.05, rtol=0)
    held = fit_landmarks(strengths, landmarks_px, config=WEAK_PRIOR)
    assert float(held.expression.min()) == 0.0
    assert float(held.residual_px.mean()) > 3 * float(fit.residual_px.mean())
