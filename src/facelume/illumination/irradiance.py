"""Irradiance of radiance coefficients. The cosine-lobe factors are applied in this file and nowhere else.

A Lambertian surface with normal n receives ``E(n) = sum_k A_l(k) L_k Y_k(n)`` with ``A = (pi, 2 pi / 3, pi /
4)`` (Ramamoorthi & Hanrahan 2001), so a constant radiance of 1 gives E = pi. E is not clamped: bands 0 to 2
of a strong sun go negative on the far side; ``reflectance.shading_from_irradiance`` clamps.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from facelume.illumination.sh import basis_values, sh_basis

_COSINE_LOBE = (math.pi, *(2.0 * math.pi / 3.0,) * 3, *(math.pi / 4.0,) * 5)


def irradiance_basis(normals: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 9"]:
    """The nine functions whose sum, weighted by radiance coefficients, is the irradiance at unit normals."""
    return sh_basis(normals) * normals.new_tensor(_COSINE_LOBE)


def irradiance(
    sh_radiance: Float[Tensor, "*#batch 9 3"], normals: Float[Tensor, "*#batch 3"]
) -> Float[Tensor, "*batch 3"]:
    """Irradiance per colour at unit normals (light axes), not clamped.

    Batch axes broadcast: one light per picture and N normals each are ``(b, 1, 9, 3)`` and ``(b, N, 3)``.
    """
    return (irradiance_basis(normals)[..., None, :] @ sh_radiance).squeeze(-2)


def irradiance_image(
    sh_radiance: Float[Tensor, "*batch 9 3"], normals: Float[Tensor, "*batch 3 H W"]
) -> Float[Tensor, "*batch 3 H W"]:
    """Irradiance of one light per picture at a map of unit normals in light axes, not clamped."""
    return torch.einsum("...kc,...khw->...chw", sh_radiance, _irradiance_basis_image(normals))


def irradiance_map(
    light: Float[Tensor, "*batch 27 H W"], normals: Float[Tensor, "*batch 3 H W"]
) -> Float[Tensor, "*batch 3 H W"]:
    """Irradiance of a light per texel (channel = 3 * k + rgb) at unit normals in light axes, not clamped."""
    per_coefficient = light.unflatten(-3, (9, 3))
    return (per_coefficient * _irradiance_basis_image(normals).unsqueeze(-3)).sum(dim=-4)


def _irradiance_basis_image(normals: Float[Tensor, "*batch 3 H W"]) -> Float[Tensor, "*batch 9 H W"]:
    values = basis_values(*normals.unbind(dim=-3))
    return torch.stack([factor * value for factor, value in zip(_COSINE_LOBE, values, strict=True)], dim=-3)
