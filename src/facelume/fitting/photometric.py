"""Split the colours of a face into albedo coefficients and light.

The picture is ``albedo(a) * E(n; L) / pi`` in linear colour, with Gaussian priors on both factors: albedo
coefficients are in standard deviations; light is near grey, its constant near the exposure that photographs
have, its bands 1 and 2 smaller. What the two priors leave open (a brighter skin or a brighter light) is
decided in proportion to their variances. Highlights, cast shadows, hair and glasses are set aside by
iterative re-weighting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from facelume.illumination import irradiance_basis

_DC_OF_UNIT_IRRADIANCE = 1.0 / 0.282094791773878


@dataclass(frozen=True)
class PhotometricConfig:
    """Priors and steps of the photometric fit.

    Attributes:
        num_steps: Joint Gauss-Newton steps.
        exposure: Mean of E / pi over photographs, linear.
        exposure_sigma: Standard deviation of the constant band, relative to the exposure.
        band_sigmas: Standard deviation of bands 1 and 2, relative to the constant.
        hue_sigma: Standard deviation of the colour of a band, relative to its grey deviation.
        hue_sigma_constant: Standard deviation of the colour of the constant, relative to the exposure.
        noise: Standard deviation of the picture around the model, relative to its brightness.
        num_effective: Number of independent pixels that all pixels together count for.
        robust_scale: Relative error, in units of ``noise``, from which a pixel counts less.
    """

    num_steps: int = 6
    exposure: float = 0.9
    exposure_sigma: float = 0.3
    band_sigmas: tuple[float, float] = (0.45, 0.2)
    hue_sigma: float = 0.2
    hue_sigma_constant: float = 0.08
    noise: float = 0.12
    num_effective: float = 300.0
    robust_scale: float = 1.5


@dataclass(frozen=True, eq=False)
class PhotometricFit:
    """Albedo and light of a face.

    Attributes:
        albedo_coeffs: Albedo coefficients in standard deviations.
        sh_radiance: Light, radiance coefficients in the light frame.
        trust: How much each pixel counted in the end, in [0, 1].
    """

    albedo_coeffs: Float[Tensor, "b A"]
    sh_radiance: Float[Tensor, "b 9 3"]
    trust: Float[Tensor, "b N"]


def prior_light(config: PhotometricConfig, like: Tensor) -> Float[Tensor, "9 3"]:
    """The mean light: grey, from everywhere, at the exposure of photographs."""
    light = like.new_zeros(9, 3)
    light[0] = config.exposure * _DC_OF_UNIT_IRRADIANCE
    return light


def light_precision(config: PhotometricConfig, like: Tensor) -> Float[Tensor, "27 27"]:
    """Inverse covariance of the light (index 3 k + rgb): grey deviations plus smaller independent colours."""
    constant = config.exposure * _DC_OF_UNIT_IRRADIANCE
    grey = [config.exposure_sigma] + [config.band_sigmas[0]] * 3 + [config.band_sigmas[1]] * 5
    hue = [config.hue_sigma_constant] + [config.hue_sigma * sigma for sigma in grey[1:]]
    blocks = [
        torch.linalg.inv((constant**2) * (g**2 * torch.ones(3, 3) + h**2 * torch.eye(3)))
        for g, h in zip(grey, hue, strict=True)
    ]
    return torch.block_diag(*blocks).to(like)


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
    num_coeffs = albedo_basis.shape[-1]
    basis = irradiance_basis(normals) / math.pi
    mean_light = prior_light(config, image_linear)
    coeffs = albedo_mean.new_zeros(len(albedo_mean), num_coeffs)
    level = _mean_colour(image_linear, weights)
    light = _fit_light(albedo_mean, image_linear, basis, (weights, weights, level), mean_light, config)
    precision = torch.block_diag(
        light_precision(config, image_linear), torch.eye(num_coeffs).to(image_linear)
    )
    trust = torch.ones_like(weights)
    for _ in range(config.num_steps):
        albedo = (albedo_mean + (albedo_basis @ coeffs[:, None, :, None])[..., 0]).clamp(min=0.01)
        shading = (basis @ light).clamp(min=0.02)
        residual = albedo * shading - image_linear
        trust = _trust(residual, albedo * shading, config)
        scaled = _pixel_precision(albedo * shading, weights * trust, weights, config).sqrt()
        by_light = (albedo[..., None] * basis[:, :, None]) * scaled[..., None]
        by_albedo = albedo_basis * (shading * scaled)[..., None]
        jacobian = torch.cat([_spread_over_colours(by_light), by_albedo], -1).flatten(1, 2)
        error = (residual * scaled).flatten(1)
        deviation = torch.cat([(light - mean_light).flatten(1), coeffs], -1)
        transposed = jacobian.transpose(-1, -2)
        gradient = (transposed @ error[..., None])[..., 0] + deviation @ precision
        delta = torch.linalg.solve(transposed @ jacobian + precision, -gradient[..., None])[..., 0]
        light = light + delta[:, :27].unflatten(-1, (9, 3))
        coeffs = (coeffs + delta[:, 27:]).clamp(-4, 4)
    return PhotometricFit(coeffs, light, trust)


def fit_light(
    albedo_linear: Float[Tensor, "b N 3"],
    image_linear: Float[Tensor, "b N 3"],
    normals: Float[Tensor, "b N 3"],
    weights: Float[Tensor, "b N"],
    *,
    centre: Float[Tensor, "b 9 3"] | None = None,
    config: PhotometricConfig | None = None,
) -> PhotometricFit:
    """Find the most probable light of pixels whose albedo is known.

    Args:
        albedo_linear: Albedo of each pixel.
        image_linear: Observed colours, linear.
        normals: Unit normals in light axes.
        weights: Non-negative; pixels with weight 0 do not count.
        centre: Mean of the light's prior, such as the prior network's light; else that of all photographs.
        config: Priors and steps.
    """
    config = config or PhotometricConfig()
    basis = irradiance_basis(normals) / math.pi
    mean_light = prior_light(config, image_linear) if centre is None else centre
    trust, level = torch.ones_like(weights), _mean_colour(image_linear, weights)
    light = _fit_light(albedo_linear, image_linear, basis, (weights, weights, level), mean_light, config)
    for _ in range(config.num_steps):
        predicted = albedo_linear * (basis @ light).clamp(min=0.02)
        trust = _trust(predicted - image_linear, predicted, config)
        weighting = (weights * trust, weights, predicted)
        light = _fit_light(albedo_linear, image_linear, basis, weighting, mean_light, config)
    return PhotometricFit(albedo_linear.new_zeros(len(albedo_linear), 0), light, trust)


def _mean_colour(image: Float[Tensor, "b N 3"], weights: Float[Tensor, "b N"]) -> Float[Tensor, "b N 3"]:
    total = weights.sum(dim=-1).clamp(min=1e-6)[:, None]
    return ((image * weights[..., None]).sum(dim=1) / total)[:, None].expand_as(image)


def _fit_light(
    albedo: Tensor,
    image: Tensor,
    basis: Tensor,
    weighting: tuple[Tensor, Tensor, Tensor],
    mean_light: Tensor,
    config: PhotometricConfig,
) -> Tensor:
    """Ridge regression of the light; ``weighting`` holds weights now, all weights, expected colours."""
    weights, all_weights, expected = weighting
    scaled = _pixel_precision(expected, weights, all_weights, config).sqrt()
    jacobian = _spread_over_colours((albedo * scaled)[..., None] * basis[:, :, None]).flatten(1, 2)
    precision = light_precision(config, image)
    target = (image * scaled).flatten(1)
    transposed = jacobian.transpose(-1, -2)
    right = (transposed @ target[..., None])[..., 0] + mean_light.flatten(-2) @ precision
    light = torch.linalg.solve(transposed @ jacobian + precision, right[..., None])[..., 0]
    return light.unflatten(-1, (9, 3))


def _spread_over_colours(by_basis: Float[Tensor, "b N 3 9"]) -> Float[Tensor, "b N 3 27"]:
    """Derivative by light index 3 k + rgb: each colour depends on its own nine numbers."""
    spread = by_basis[..., None] * torch.eye(3).to(by_basis)[:, None]
    return spread.flatten(-2)


def _pixel_precision(
    brightness: Float[Tensor, "b N 3"],
    weights: Float[Tensor, "b N"],
    all_weights: Float[Tensor, "b N"],
    config: PhotometricConfig,
) -> Float[Tensor, "b N 3"]:
    """Inverse variance of each value, such that all pixels together count as ``num_effective``."""
    share = weights / all_weights.sum(dim=-1, keepdim=True).clamp(min=1e-6)
    level = brightness.mean(dim=-1, keepdim=True).clamp(min=0.0) + 0.05
    return config.num_effective * share[..., None] / (config.noise * level).square().expand_as(brightness)


def _trust(residual: Tensor, predicted: Tensor, config: PhotometricConfig) -> Tensor:
    """Cauchy weight of the brightness error; the scale grows with a picture that fits badly as a whole."""
    relative = residual.mean(dim=-1) / (predicted.mean(dim=-1) + 0.05)
    spread = (1.4826 * relative.abs().median(dim=-1, keepdim=True).values).clamp(min=config.noise / 2)
    return 1.0 / (1.0 + (relative / (config.robust_scale * spread)).square())
