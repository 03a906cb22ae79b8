"""Least-squares light of a picture whose albedo and normals are known."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from facelume.illumination.irradiance import irradiance_basis

_FREE_RIDGE = 1e-6


def fit_sh_radiance(
    albedo_linear: Float[Tensor, "*batch N 3"],
    image_linear: Float[Tensor, "*batch N 3"],
    normals: Float[Tensor, "*batch N 3"],
    weights: Float[Tensor, "*batch N"],
    *,
    prior: Float[Tensor, "*#batch 9 3"] | None = None,
    ridge: float = 1e-4,
) -> Float[Tensor, "*batch 9 3"]:
    """Light that explains ``image = albedo * E(n) / pi`` best, by weighted ridge regression; differentiable.

    Minimises, per colour, ``sum w (albedo E / pi - image)^2 / sum w albedo^2 + ridge * |L - prior|^2``: the
    first term is about the squared error of the shading, so ``ridge`` does not depend on the number or albedo
    of pixels. A face shows only half of all normals, which leaves directions behind it to the prior.

    Args:
        albedo_linear: Albedo in [0, 1], linear.
        image_linear: Observed colours, linear.
        normals: Unit normals in light axes.
        weights: Non-negative; pixels with weight 0 do not count.
        prior: Light that the ridge pulls to. Without it, bands 1 and 2 are pulled to zero and the constant is
            free.
        ridge: Strength of the pull.
    """
    # Colours are independent: solve for (*batch, colour, k), each pixel weighing w * albedo^2. Seen from the
    # front the basis is nearly dependent: in single precision the answer would hang on the order of the sums.
    kind = albedo_linear.dtype
    albedo_linear, image_linear, normals, weights = (
        values.double() for values in (albedo_linear, image_linear, normals, weights)
    )
    energy = (weights[..., None] * albedo_linear**2).transpose(-1, -2)
    observed = (weights[..., None] * albedo_linear * image_linear).transpose(-1, -2)
    total = energy.sum(dim=-1, keepdim=True).clamp(min=1e-12)
    basis = irradiance_basis(normals)[..., None, :, :] / math.pi
    fitted = (basis * (energy / total)[..., None]).transpose(-1, -2) @ basis
    target = ((observed / total)[..., None, :] @ basis).squeeze(-2)
    pull = albedo_linear.new_full((9,), ridge)
    if prior is None:
        pull[0] = min(_FREE_RIDGE, ridge)
    else:
        target = target + pull * prior.double().transpose(-1, -2)
    solved = torch.linalg.solve(fitted + torch.diag(pull), target[..., None])
    return solved.squeeze(-1).transpose(-1, -2).to(kind)
