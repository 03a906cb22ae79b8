"""Fit pose, identity and expression of a linear face model to its dense landmarks in a picture.

Batched Gauss-Newton on 6 + identity + expression unknowns with an analytic Jacobian. Each step solves a
quadratic problem with a Gaussian prior on the coefficients and keeps expressions in their limits ([0, 1] for
units of strength, none for standard deviations) by an active set;
residuals larger than their expected error count linearly (iteratively re-weighted): a few wrong landmarks do
little.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from facelume.camera import CROP_CAMERA, CROP_FACE_DEPTH_M, LIGHT_FROM_CAM, PinholeCamera
from facelume.errors import UsageError
from facelume.fitting.landmark_rows import LandmarkBasis
from facelume.geometry import rotation_from_rotvec, rotvec_from_rotation
from facelume.geometry.face_mesh import LOWER_APERTURE_POINTS, NUM_MESH_POINTS, UPPER_APERTURE_POINTS

NUM_POSE = 6


@dataclass(frozen=True)
class FitConfig:
    """Weights of the landmark fit.

    Attributes:
        num_steps: Gauss-Newton steps.
        identity_weight: Weight of squared identity coefficients against squared errors in units of sigma; of
            expressions that count in standard deviations, too.
        expression_weight: Weight of squared deviations of an expression in [0, 1] from its start (or from
            zero).
        expression_rest_weight: Weight of such squared expressions themselves.
        depth_sigma: Standard deviation of the logarithm of the distance around that of an average head.
        iris_weight: Factor on the weight of the ten iris points.
        aperture_sigma: Expected error of the openings of mouth and eyes (differences of opposite points), as
            a fraction of the points' own; small, because both points are off by much the same.
        damping: Part of the diagonal added to the normal equations.
    """

    num_steps: int = 5
    identity_weight: float = 3.0
    expression_weight: float = 12.0
    expression_rest_weight: float = 4.0
    depth_sigma: float = 0.1
    iris_weight: float = 0.3
    aperture_sigma: float = 0.3
    damping: float = 1e-3


@dataclass(frozen=True, eq=False)
class FitStart:
    """Where a fit starts; the expression is also the centre of its prior.

    Attributes:
        identity: Identity coefficients, centre of their prior.
        expression: Expression coefficients in their limits, centre of their prior.
        rotvec: Rotation away from a frontal face, radians, camera axes.
        translation: Model origin in camera axes, metres.
    """

    identity: Float[Tensor, "b I"]
    expression: Float[Tensor, "b E"]
    rotvec: Float[Tensor, "b 3"]
    translation: Float[Tensor, "b 3"]


@dataclass(frozen=True, eq=False)
class FitResult:
    """A fitted face.

    Attributes:
        identity: Identity coefficients in standard deviations.
        expression: Expression coefficients in their limits, [0, 1] in the open model.
        rotvec: Rotation away from a frontal face, radians, camera axes.
        translation: Model origin in camera axes, metres.
        landmarks_px: Projected landmarks of the fitted face.
        residual_px: Mean distance to the given surface landmarks (0-467).
    """

    identity: Float[Tensor, "b I"]
    expression: Float[Tensor, "b E"]
    rotvec: Float[Tensor, "b 3"]
    translation: Float[Tensor, "b 3"]
    landmarks_px: Float[Tensor, "b L 2"]
    residual_px: Float[Tensor, " b"]


def pose_from_landmarks(
    basis: LandmarkBasis, landmarks_px: Float[Tensor, "b L 2"], camera: PinholeCamera = CROP_CAMERA
) -> tuple[Float[Tensor, "b 3"], Float[Tensor, "b 3"]]:
    """Pose of the mean face (rotation vector, metres) by scaled orthography: least squares, then SVD."""
    centre = basis.mean.mean(dim=0)
    model = (basis.mean - centre) * basis.mean.new_tensor(LIGHT_FROM_CAM)
    picture = landmarks_px - landmarks_px.mean(dim=1, keepdim=True)
    affine = (torch.linalg.pinv(model) @ picture).transpose(-1, -2)
    left, singular, right = torch.linalg.svd(affine, full_matrices=False)
    rows = left @ right
    rotation = torch.cat([rows, torch.linalg.cross(rows[:, 0], rows[:, 1])[:, None]], dim=1)
    depth = camera.focal_px / singular.mean(dim=-1)
    principal = landmarks_px.new_tensor(camera.principal_point_px)
    lateral = (landmarks_px.mean(dim=1) - principal) * (depth / camera.focal_px)[:, None]
    middle = torch.cat([lateral, depth[:, None]], dim=-1)
    offset = rotation @ (centre * centre.new_tensor(LIGHT_FROM_CAM))
    return rotvec_from_rotation(rotation), middle - offset


def fit_landmarks(
    basis: LandmarkBasis,
    landmarks_px: Float[Tensor, "b L 2"],
    sigma_px: Float[Tensor, "b L"] | None = None,
    *,
    camera: PinholeCamera = CROP_CAMERA,
    start: FitStart | None = None,
    config: FitConfig | None = None,
) -> FitResult:
    """Fit the face model to landmarks.

    Args:
        basis: Landmark rows of the face model, see :func:`landmark_basis`.
        landmarks_px: Landmarks in the camera's pixels.
        sigma_px: Expected error of each landmark; 1 px where not given.
        camera: Camera of the picture.
        start: Start and prior centre, for instance the prior network's coefficients; without it the pose of
            the mean face is found first.
        config: Weights and number of steps.

    Raises:
        UsageError: Landmarks are not finite or do not match the basis.
    """
    config = config or FitConfig()
    if landmarks_px.shape[1] != basis.mean.shape[0] or not bool(torch.isfinite(landmarks_px).all()):
        raise UsageError(
            f"fit_landmarks needs {basis.mean.shape[0]} finite landmarks per face, "
            f"got {tuple(landmarks_px.shape)}"
        )
    num_identity, num_expression = len(basis.identity), len(basis.expression)
    if start is None:
        rotvec, translation = pose_from_landmarks(basis, landmarks_px, camera)
        zeros = landmarks_px.new_zeros(len(landmarks_px), num_identity + num_expression)
        centre = zeros
    else:
        rotvec, translation = start.rotvec, start.translation
        centre = torch.cat([start.identity, basis.in_limits(start.expression)], -1)
    sigma = torch.ones_like(landmarks_px[..., 0]) if sigma_px is None else sigma_px
    coefficients = centre
    rotation = rotation_from_rotvec(rotvec)
    rows = torch.cat([basis.identity, basis.expression])
    precision, target = _prior(basis, centre, config)
    for step in range(config.num_steps):
        residual, jacobian = _linearise(
            basis, rows, coefficients, rotation, translation, landmarks_px, camera
        )
        weight = _robust_weight(residual, sigma, is_first=step == 0 and start is None)
        weight[:, NUM_MESH_POINTS:] *= config.iris_weight
        residual, jacobian, weight = _with_apertures(residual, jacobian, weight, config)
        hessian, gradient = _normal_equations(jacobian, residual, weight)
        hessian[:, NUM_POSE:, NUM_POSE:] += torch.diag_embed(precision)
        gradient[:, NUM_POSE:] += precision * coefficients - target
        _add_depth_prior(hessian, gradient, translation, config)
        diagonal = hessian.diagonal(dim1=-2, dim2=-1)
        hessian = hessian + torch.diag_embed(config.damping * diagonal)
        delta = _solve_bounded(hessian, gradient, coefficients, basis)
        rotation = rotation_from_rotvec(delta[:, :3]) @ rotation
        translation = translation + delta[:, 3:6]
        coefficients = coefficients + delta[:, 6:]
        expression = basis.in_limits(coefficients[:, num_identity:])
        coefficients = torch.cat([coefficients[:, :num_identity], expression], -1)
    identity, expression = coefficients[:, :num_identity], coefficients[:, num_identity:]
    rotvec = rotvec_from_rotation(rotation)
    projected = project_landmarks(basis, identity, expression, rotvec, translation, camera=camera)
    distance = (projected - landmarks_px)[:, :NUM_MESH_POINTS].norm(dim=-1).mean(dim=-1)
    return FitResult(identity, expression, rotvec, translation, projected, distance)


def project_landmarks(
    basis: LandmarkBasis,
    identity: Float[Tensor, "b I"],
    expression: Float[Tensor, "b E"],
    rotvec: Float[Tensor, "b 3"],
    translation: Float[Tensor, "b 3"],
    *,
    camera: PinholeCamera = CROP_CAMERA,
) -> Float[Tensor, "b L 2"]:
    """Project the landmarks of given coefficients and pose; pixels of the camera. Differentiable."""
    points = basis.points(identity, expression) * basis.mean.new_tensor(LIGHT_FROM_CAM)
    rotation = rotation_from_rotvec(rotvec)
    return camera.project(points @ rotation.transpose(-1, -2) + translation[:, None])


def _prior(
    basis: LandmarkBasis, centre: Float[Tensor, "b K"], config: FitConfig
) -> tuple[Float[Tensor, "b K"], Float[Tensor, "b K"]]:
    """Precision per coefficient and precision times centre; standard deviations lean to the mean too."""
    is_strength = torch.isfinite(basis.expression_limits).all(dim=-1)
    is_strength = torch.cat([is_strength.new_zeros(len(basis.identity)), is_strength])
    own, rest = config.expression_weight, config.expression_rest_weight
    precision = torch.where(is_strength, own + rest, config.identity_weight).to(centre)
    pull = torch.where(is_strength, own, 0.5 * config.identity_weight).to(centre)
    return precision.expand_as(centre), pull * centre


def _linearise(
    basis: LandmarkBasis,
    rows: Float[Tensor, "K L 3"],
    coefficients: Float[Tensor, "b K"],
    rotation: Float[Tensor, "b 3 3"],
    translation: Float[Tensor, "b 3"],
    landmarks_px: Float[Tensor, "b L 2"],
    camera: PinholeCamera,
) -> tuple[Float[Tensor, "b L 2"], Float[Tensor, "b L 2 6+K"]]:
    """Residuals in pixels and their Jacobian by small rotation, translation and coefficients."""
    flip = basis.mean.new_tensor(LIGHT_FROM_CAM)
    points = basis.mean + (coefficients @ rows.flatten(1)).unflatten(-1, basis.mean.shape)
    turned = (points * flip) @ rotation.transpose(-1, -2)
    camera_points = turned + translation[:, None]
    residual = camera.project(camera_points) - landmarks_px
    x, y, z = camera_points.unbind(-1)
    scale = camera.focal_px / z
    zero = torch.zeros_like(x)
    by_point = torch.stack(
        [torch.stack([scale, zero, -scale * x / z], -1), torch.stack([zero, scale, -scale * y / z], -1)], -2
    )
    # d(turned) / d(rotation) = turned, crossed from the left by the small rotation.
    by_rotation = torch.linalg.cross(turned[:, :, None].expand_as(by_point), by_point)
    by_model = (by_point @ rotation[:, None]) * flip
    num_faces, num_points = x.shape
    stacked = by_model.permute(1, 0, 2, 3).reshape(num_points, 2 * num_faces, 3)
    by_coefficient = torch.bmm(stacked, rows.permute(1, 2, 0))
    by_coefficient = by_coefficient.reshape(num_points, num_faces, 2, len(rows)).permute(1, 0, 2, 3)
    return residual, torch.cat([by_rotation, by_point, by_coefficient], -1)


def _robust_weight(
    residual: Float[Tensor, "b L 2"], sigma: Float[Tensor, "b L"], *, is_first: bool
) -> Float[Tensor, "b L"]:
    """Inverse variance, less where the residual exceeds twice its sigma (not yet in a cold first step)."""
    if is_first:
        return 1.0 / sigma.square()
    threshold = 2.0 * sigma
    return threshold / (sigma.square() * torch.maximum(residual.norm(dim=-1), threshold))


def _with_apertures(
    residual: Float[Tensor, "b L 2"],
    jacobian: Float[Tensor, "b L 2 U"],
    weight: Float[Tensor, "b L"],
    config: FitConfig,
) -> tuple[Float[Tensor, "b O 2"], Float[Tensor, "b O 2 U"], Float[Tensor, "b O"]]:
    """Append the differences of opposite lip and eyelid points as observations of their own."""
    upper, lower = list(UPPER_APERTURE_POINTS), list(LOWER_APERTURE_POINTS)
    across = torch.minimum(weight[:, upper], weight[:, lower]) / config.aperture_sigma**2
    return (
        torch.cat([residual, residual[:, lower] - residual[:, upper]], 1),
        torch.cat([jacobian, jacobian[:, lower] - jacobian[:, upper]], 1),
        torch.cat([weight, across], 1),
    )


def _normal_equations(
    jacobian: Float[Tensor, "b O 2 U"], residual: Float[Tensor, "b O 2"], weight: Float[Tensor, "b O"]
) -> tuple[Float[Tensor, "b U U"], Float[Tensor, "b U"]]:
    """Hessian (Gauss-Newton) and gradient of half the weighted squared error by the U unknowns."""
    root = weight.sqrt()[..., None]
    scaled = (jacobian * root[..., None]).flatten(1, 2)
    error = (residual * root).flatten(1)
    transposed = scaled.transpose(-1, -2)
    return transposed @ scaled, (transposed @ error[..., None])[..., 0]


def _add_depth_prior(
    hessian: Float[Tensor, "b U U"],
    gradient: Float[Tensor, "b U"],
    translation: Float[Tensor, "b 3"],
    config: FitConfig,
) -> None:
    """Hold the distance near that of an average head in the canonical crop (in place on fresh tensors)."""
    depth = translation[:, 2]
    precision = 1.0 / (config.depth_sigma * CROP_FACE_DEPTH_M) ** 2
    hessian[:, 5, 5] += precision
    gradient[:, 5] += precision * (depth - CROP_FACE_DEPTH_M)


def _solve_bounded(
    hessian: Float[Tensor, "b U U"],
    gradient: Float[Tensor, "b U"],
    coefficients: Float[Tensor, "b K"],
    basis: LandmarkBasis,
) -> Float[Tensor, "b U"]:
    """Minimise the quadratic with expressions kept in their limits: what leaves them is put on its bound."""
    size = gradient.shape[-1]
    first = NUM_POSE + len(basis.identity)
    expression = coefficients[:, len(basis.identity) :]
    low, high = (limit - expression for limit in basis.expression_limits.unbind(-1))
    fixed = torch.zeros_like(gradient, dtype=torch.bool)
    value = torch.zeros_like(gradient)
    delta = value
    for _ in range(3):
        delta = _solve_with_fixed(hessian, gradient, fixed, value)
        proposed = delta[:, first:]
        bounded = torch.maximum(torch.minimum(proposed, high), low)
        violated = torch.zeros(len(delta), size, dtype=torch.bool, device=delta.device)
        violated[:, first:] = (proposed - bounded).abs() > 1e-6
        if not bool((violated & ~fixed).any()):
            break
        value = torch.cat([torch.zeros_like(delta[:, :first]), bounded], -1)
        fixed = fixed | violated
    return delta


def _solve_with_fixed(
    hessian: Float[Tensor, "b U U"],
    gradient: Float[Tensor, "b U"],
    fixed: Bool[Tensor, "b U"],
    value: Float[Tensor, "b U"],
) -> Float[Tensor, "b U"]:
    """Minimise the quadratic over the variables that are not fixed; the others have their ``value``."""
    value = torch.where(fixed, value, torch.zeros_like(value))
    right = -gradient - (hessian @ value[..., None])[..., 0]
    free = (~fixed).to(hessian.dtype)
    reduced = hessian * free[:, :, None] * free[:, None, :] + torch.diag_embed(1.0 - free)
    factor = torch.linalg.cholesky(reduced.double())
    solution = torch.cholesky_solve((right * free).double()[..., None], factor)[..., 0].to(gradient.dtype)
    return torch.where(fixed, value, solution)
