"""Albedo coefficients and coarse light of an unwrapped photo, by alternating linear least squares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from facelume.illumination import fit_sh_radiance_robust, irradiance
from facelume.reflectance import luminance


@runtime_checkable
class AlbedoModel(Protocol):
    """The part of a face model that this fit needs."""

    def uv_mask(self, name: str, size: int = 256) -> Float[Tensor, "size size"]:
        """Region mask of the atlas."""

    @property
    def num_albedo(self) -> int:
        """Number of albedo coefficients."""

    def albedo_map(
        self, coeffs: Float[Tensor, "*batch A"], size: int = 256
    ) -> Float[Tensor, "*batch 3 size size"]:
        """Linear albedo in the atlas."""


@dataclass(frozen=True)
class AlbedoBasis:
    """First-order albedo of a face model at a small atlas size.

    Attributes:
        mean: Albedo at zero coefficients, linear.
        rows: Change per unit of each coefficient.
        mask: Texels that count: the skin of the face, without eyes and inner mouth.
    """

    mean: Float[Tensor, "3 s s"]
    rows: Float[Tensor, "A 3 s s"]
    mask: Float[Tensor, "s s"]

    @property
    def size(self) -> int:
        """Side of the maps in texels."""
        return self.mean.shape[-1]

    def albedo(self, coeffs: Float[Tensor, "b A"]) -> Float[Tensor, "b 3 s s"]:
        """Linear albedo of coefficients, to first order, kept above 0.01."""
        change = coeffs @ self.rows.flatten(1)
        return (self.mean + change.unflatten(-1, self.mean.shape)).clamp(0.01, 1.0)


def albedo_basis(model: AlbedoModel, mask: Float[Tensor, "m m"] | None = None, size: int = 64) -> AlbedoBasis:
    """Read the first-order albedo off a face model by evaluating it at small coefficients.

    Args:
        model: The face model.
        mask: Texels that count, any size; the face without its eyes where not given.
        size: Side of the maps that are fitted.
    """
    if mask is None:
        mask = model.uv_mask("face", 256) * (1.0 - model.uv_mask("eyes", 256))
    step = 0.25
    with torch.no_grad():
        mean = model.albedo_map(torch.zeros(1, model.num_albedo), 4 * size)
        shifted = model.albedo_map(step * torch.eye(model.num_albedo), 4 * size)
    rows = (functional.avg_pool2d(shifted, 4) - functional.avg_pool2d(mean, 4)) / step
    shrunk = functional.interpolate(mask[None, None], size=(size, size), mode="area")[0, 0]
    return AlbedoBasis(functional.avg_pool2d(mean, 4)[0], rows, (shrunk > 0.95).float())


@dataclass(frozen=True)
class AppearanceConfig:
    """Weights of the appearance fit.

    Attributes:
        num_rounds: Alternations of light and albedo.
        noise: Expected error of the linear image, relative to its mean: shadows, highlights and detail
        included. tone_noise: Expected error, in standard deviations, of the albedo coefficients the fit
        starts from. light_ridge: Pull of the light to its start, see ``fit_sh_radiance``.
    """

    num_rounds: int = 3
    noise: float = 0.4
    tone_noise: float = 0.5
    light_ridge: float = 3e-3


@dataclass(frozen=True, eq=False)
class Appearance:
    """Coefficients that explain an unwrapped photo.

    Attributes:
        albedo: Albedo coefficients in standard deviations.
        light: SH radiance in the light frame.
    """

    albedo: Float[Tensor, "b A"]
    light: Float[Tensor, "b 9 3"]


def fit_appearance(
    basis: AlbedoBasis,
    texture: Float[Tensor, "b 3 t t"],
    visibility: Float[Tensor, "b t t"],
    normals_light: Float[Tensor, "b 3 t t"],
    *,
    start: Appearance | None = None,
    config: AppearanceConfig | None = None,
) -> Appearance:
    """Fit albedo coefficients and light to an unwrapped photo.

    Overall brightness cannot be told apart from skin tone by one photo; it stays with the start (the prior
    network's coefficients, or the mean skin without it). Shadows and highlights are set aside robustly.

    Args:
        basis: See :func:`albedo_basis`.
        texture: The unwrapped photo, linear.
        visibility: How well each texel is seen, [0, 1].
        normals_light: Unit normals of the texels, light frame.
        start: Prior of the coefficients and start of the light.
        config: Weights.
    """
    config = config or AppearanceConfig()
    size = basis.size
    batch = texture.shape[0]
    weight = _shrunk(visibility[:, None], size)[:, 0] * basis.mask
    image = _shrunk(texture * visibility[:, None], size) / _shrunk(visibility[:, None], size).clamp_min(1e-3)
    normals = functional.normalize(_shrunk(normals_light, size), dim=1)
    centre = start.albedo if start is not None else texture.new_zeros(batch, len(basis.rows))
    light = start.light if start is not None else None
    coeffs = centre
    flat_weight = weight.flatten(1)
    flat_image, flat_normals = (x.flatten(2).transpose(1, 2) for x in (image, normals))
    for _ in range(config.num_rounds):
        albedo = basis.albedo(coeffs).flatten(2).transpose(1, 2)
        light = fit_sh_radiance_robust(
            albedo, flat_image, flat_normals, flat_weight, prior=light, ridge=config.light_ridge
        )
        shading = irradiance(light[:, None], flat_normals).clamp_min(0.02) / math.pi
        trust = flat_weight * _trust(flat_image, albedo * shading, flat_weight)
        coeffs = _solve_albedo(basis, flat_image, shading, trust, centre, config)
    assert light is not None
    albedo = basis.albedo(coeffs).flatten(2).transpose(1, 2)
    light = fit_sh_radiance_robust(
        albedo, flat_image, flat_normals, flat_weight, prior=light, ridge=config.light_ridge
    )
    return Appearance(coeffs, light)


def _shrunk(maps: Tensor, size: int) -> Tensor:
    return functional.interpolate(maps, size=(size, size), mode="area")


def _trust(image: Tensor, predicted: Tensor, weight: Tensor) -> Tensor:
    """Weight of each texel after its luminance error: 1 for small errors, falling beyond the usual one."""
    error = luminance(image - predicted)
    usual = ((error.abs() * weight).sum(-1) / weight.sum(-1).clamp_min(1e-6)).clamp_min(1e-4)
    return 1.0 / (1.0 + (error / (2.0 * usual[:, None])) ** 2)


def _solve_albedo(
    basis: AlbedoBasis,
    image: Float[Tensor, "b N 3"],
    shading: Float[Tensor, "b N 3"],
    weight: Float[Tensor, "b N"],
    centre: Float[Tensor, "b A"],
    config: AppearanceConfig,
) -> Float[Tensor, "b A"]:
    """Ridge regression of the coefficients around ``centre``.

    Errors of neighbouring texels go together (a shadow, a highlight), so all of them count as about a hundred
    independent ones.
    """
    rows = basis.rows.flatten(2).transpose(1, 2)
    mean = basis.mean.flatten(1).T
    level = (image * weight[..., None]).sum((1, 2)) / (3 * weight.sum(1)).clamp_min(1e-6)
    scale = 100.0 / weight.sum(1).clamp_min(1e-6) / (config.noise * level).clamp_min(1e-4) ** 2
    square = (scale[:, None] * weight)[..., None] * shading**2
    hessian = torch.einsum("anc,bnc,enc->bae", rows, square, rows)
    start_albedo = mean + torch.einsum("ba,anc->bnc", centre, rows)
    residual = (scale[:, None] * weight)[..., None] * shading * (image - start_albedo * shading)
    gradient = torch.einsum("anc,bnc->ba", rows, residual)
    eye = torch.eye(len(rows), dtype=rows.dtype, device=rows.device) / config.tone_noise**2
    step = torch.linalg.solve(hessian + eye, gradient[..., None])[..., 0]
    return (centre + step).clamp(-3.0, 3.0)
