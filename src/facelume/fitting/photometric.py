"""Split the colours of a face whose tone is not known into albedo coefficients and light: labels of photos.

The picture is ``albedo(a) * E(n; L) / pi`` in linear colour, with Gaussian priors on both factors: albedo
coefficients are in standard deviations; light is near grey, its mean over the seen side of a face near
the exposure that photographs have, its bands 1 and 2 smaller. What the two priors leave open (a brighter
skin or a brighter light) is decided in proportion to their variances. Highlights, cast shadows, hair and
glasses are set aside by iterative re-weighting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from facelume.illumination import irradiance_basis

# Mean of the irradiance functions / pi over the half sphere that faces the camera, by projected area.
_SEEN_MEAN = (0.2820948, 0.0, 0.2171565, 0.0, 0.0, 0.0, 0.0394239, 0.0, 0.0)
_FIRST_DAMPING = 0.03
_STEPS_WITHOUT_TRUST = 2


@dataclass(frozen=True)
class PhotometricConfig:
    """Priors and steps of the photometric fit.

    Attributes:
        num_steps: Joint Levenberg-Marquardt steps.
        exposure: Mean of E / pi over the seen side of a face in photographs, linear.
        exposure_sigma: Its standard deviation, relative.
        exposure_hue_sigma: Standard deviation of its colour, relative: what white balance leaves.
        ambient_share: Share of the mean light that comes from everywhere; the rest comes from the front.
        band_sigmas: Standard deviation of bands 0, 1 and 2, relative to the mean constant.
        hue_sigma: Standard deviation of the colour of a coefficient, relative to its grey deviation.
        noise: Standard deviation of the picture around the model, relative to its brightness.
        num_effective: Number of independent pixels that all pixels together count for.
        robust_scale: Relative error, in units of ``noise``, from which a pixel counts less.
    """

    num_steps: int = 10
    exposure: float = 0.75
    exposure_sigma: float = 0.2
    exposure_hue_sigma: float = 0.07
    ambient_share: float = 0.8
    band_sigmas: tuple[float, float, float] = (0.4, 0.4, 0.2)
    hue_sigma: float = 0.2
    noise: float = 0.12
    num_effective: float = 150.0
    robust_scale: float = 1.5


@dataclass(frozen=True, eq=False)
class PhotometricFit:
    """Albedo and light of a face.

    Attributes:
        albedo_coeffs: Albedo coefficients in standard deviations.
        sh_radiance: Light, radiance coefficients in the light frame.
    """

    albedo_coeffs: Float[Tensor, "b A"]
    sh_radiance: Float[Tensor, "b 9 3"]


def prior_light(config: PhotometricConfig, like: Float[Tensor, "..."]) -> Float[Tensor, "9 3"]:
    """The mean light: grey, mostly from everywhere, some from the front, at the exposure of photographs."""
    light = like.new_zeros(9, 3)
    light[0] = config.ambient_share * config.exposure / _SEEN_MEAN[0]
    light[2] = (1 - config.ambient_share) * config.exposure / _SEEN_MEAN[2]
    return light


def light_precision(config: PhotometricConfig, like: Float[Tensor, "..."]) -> Float[Tensor, "27 27"]:
    """Inverse covariance of the light (index 3 k + rgb).

    Each coefficient has a grey deviation and smaller independent colours; on top of that the mean over
    the seen side of a face (not over the sphere) is held near the exposure.
    """
    constant = float(prior_light(config, like)[0, 0])
    greys = [config.band_sigmas[0]] + [config.band_sigmas[1]] * 3 + [config.band_sigmas[2]] * 5
    blocks = [_colour_precision(constant * grey, constant * grey * config.hue_sigma) for grey in greys]
    seen = torch.tensor(_SEEN_MEAN)
    exposure = _colour_precision(
        config.exposure * config.exposure_sigma, config.exposure * config.exposure_hue_sigma
    )
    return (torch.block_diag(*blocks) + torch.kron(torch.outer(seen, seen), exposure.contiguous())).to(like)


def _colour_precision(grey_sigma: float, hue_sigma: float) -> Float[Tensor, "3 3"]:
    return torch.linalg.inv(grey_sigma**2 * torch.ones(3, 3) + hue_sigma**2 * torch.eye(3))


def fit_light_and_albedo(
    albedo_mean: Float[Tensor, "b N 3"],
    albedo_basis: Float[Tensor, "b N 3 A"],
    image_linear: Float[Tensor, "b N 3"],
    normals: Float[Tensor, "b N 3"],
    weights: Float[Tensor, "b N"],
    *,
    config: PhotometricConfig | None = None,
) -> PhotometricFit:
    """Find the most probable albedo coefficients and light of some pixels, both at once.

    Args:
        albedo_mean: Mean albedo at each pixel, linear.
        albedo_basis: Albedo per standard deviation of each coefficient at each pixel, linear.
        image_linear: Observed colours, linear.
        normals: Unit normals in light axes.
        weights: Non-negative; pixels with weight 0 do not count.
        config: Priors and steps.
    """
    config = config or PhotometricConfig()
    level = _expected_level(image_linear, weights)
    problem = _Problem(albedo_mean, albedo_basis, image_linear, irradiance_basis(normals) / math.pi)
    mean_light = prior_light(config, image_linear)
    coeffs = albedo_mean.new_zeros(len(albedo_mean), albedo_basis.shape[-1])
    light = _first_light(problem, weights, level, mean_light, config)
    state = torch.cat([light.flatten(1), coeffs], -1)
    centre = torch.cat([mean_light.flatten().expand(len(coeffs), -1), coeffs], -1)
    precision = torch.block_diag(light_precision(config, image_linear), torch.eye(coeffs.shape[-1]).to(level))
    damping = torch.full_like(level[:, 0, 0], _FIRST_DAMPING)
    trust = torch.ones_like(weights)
    for step in range(config.num_steps):
        if step >= _STEPS_WITHOUT_TRUST:
            trust = _trust(problem.residual(state), weights, level, config)
        scaled = _pixel_precision(level, weights * trust, weights, config).sqrt()
        jacobian = (problem.jacobian(state) * scaled[..., None]).flatten(1, 2)
        transposed = jacobian.transpose(-1, -2)
        hessian = transposed @ jacobian + precision
        error = (problem.residual(state) * scaled).flatten(1)
        gradient = (transposed @ error[..., None])[..., 0] + (state - centre) @ precision
        ridge = torch.diag_embed(damping[:, None] * hessian.diagonal(dim1=-2, dim2=-1))
        tried = state - torch.linalg.solve(hessian + ridge, gradient[..., None])[..., 0]
        cost, tried_cost = (
            (problem.residual(s) * scaled).square().sum(dim=(1, 2))
            + ((s - centre) @ precision * (s - centre)).sum(-1)
            for s in (state, tried)
        )
        is_better = tried_cost < cost
        state = torch.where(is_better[:, None], tried, state)
        damping = damping * torch.where(is_better, 0.2, 8.0)
    return PhotometricFit(state[:, 27:], state[:, :27].unflatten(-1, (9, 3)))


@dataclass(frozen=True, eq=False)
class _Problem:
    """Pixels whose colour is albedo times shading; a state is 27 numbers of light, then the albedo's."""

    albedo_mean: Float[Tensor, "b N 3"]
    albedo_basis: Float[Tensor, "b N 3 A"]
    image: Float[Tensor, "b N 3"]
    basis: Float[Tensor, "b N 9"]

    def factors(self, state: Float[Tensor, "b K"]) -> tuple[Float[Tensor, "b N 3"], Float[Tensor, "b N 3"]]:
        """Albedo and shading of every pixel; not clamped, so that the cost stays smooth."""
        albedo = self.albedo_mean + (self.albedo_basis @ state[:, None, 27:, None])[..., 0]
        return albedo, self.basis @ state[:, :27].unflatten(-1, (9, 3))

    def residual(self, state: Float[Tensor, "b K"]) -> Float[Tensor, "b N 3"]:
        """Model minus picture."""
        albedo, shading = self.factors(state)
        return albedo * shading - self.image

    def jacobian(self, state: Float[Tensor, "b K"]) -> Float[Tensor, "b N 3 K"]:
        """Derivative of the residual by the state."""
        albedo, shading = self.factors(state)
        by_light = _spread_over_colours(albedo[..., None] * self.basis[:, :, None])
        return torch.cat([by_light, self.albedo_basis * shading[..., None]], -1)


def _expected_level(image: Float[Tensor, "b N 3"], weights: Float[Tensor, "b N"]) -> Float[Tensor, "b N 1"]:
    """What a pixel's error is relative to: half its own brightness, half the picture's."""
    brightness = image.mean(dim=-1)
    mean = (brightness * weights).sum(dim=-1, keepdim=True) / weights.sum(dim=-1, keepdim=True).clamp(
        min=1e-6
    )
    return (0.5 * brightness + 0.5 * mean + 0.02)[..., None]


def _first_light(
    problem: _Problem,
    weights: Float[Tensor, "b N"],
    level: Float[Tensor, "b N 1"],
    mean_light: Float[Tensor, "9 3"],
    config: PhotometricConfig,
) -> Float[Tensor, "b 9 3"]:
    """Where the joint fit starts: ridge regression of the light for the mean albedo."""
    scaled = _pixel_precision(level, weights, weights, config).sqrt()
    by_light = (problem.albedo_mean * scaled)[..., None] * problem.basis[:, :, None]
    jacobian = _spread_over_colours(by_light).flatten(1, 2)
    precision = light_precision(config, problem.image)
    target = (problem.image * scaled).flatten(1)
    transposed = jacobian.transpose(-1, -2)
    right = (transposed @ target[..., None])[..., 0] + mean_light.flatten() @ precision
    light = torch.linalg.solve(transposed @ jacobian + precision, right[..., None])[..., 0]
    return light.unflatten(-1, (9, 3))


def _spread_over_colours(by_basis: Float[Tensor, "b N 3 9"]) -> Float[Tensor, "b N 3 27"]:
    """Derivative by light index 3 k + rgb: each colour depends on its own nine numbers."""
    spread = by_basis[..., None] * torch.eye(3).to(by_basis)[:, None]
    return spread.flatten(-2)


def _pixel_precision(
    level: Float[Tensor, "b N 1"],
    weights: Float[Tensor, "b N"],
    all_weights: Float[Tensor, "b N"],
    config: PhotometricConfig,
) -> Float[Tensor, "b N 1"]:
    """Inverse variance of a pixel's values, such that all pixels together count as ``num_effective``."""
    share = weights / all_weights.sum(dim=-1, keepdim=True).clamp(min=1e-6)
    return config.num_effective * share[..., None] / (config.noise * level).square()


def _trust(
    residual: Float[Tensor, "b N 3"],
    weights: Float[Tensor, "b N"],
    level: Float[Tensor, "b N 1"],
    config: PhotometricConfig,
) -> Float[Tensor, "b N"]:
    """Cauchy weight of the brightness error; the scale grows with a picture whose seen part fits badly."""
    relative = residual.mean(dim=-1) / level[..., 0]
    seen = torch.where(weights > 0.05 * weights.amax(dim=-1, keepdim=True), relative.abs(), torch.nan)
    middle = torch.nan_to_num(seen.nanmedian(dim=-1, keepdim=True).values)
    spread = (1.4826 * middle).clamp(min=config.noise / 2)
    return 1.0 / (1.0 + (relative / (config.robust_scale * spread)).square())
