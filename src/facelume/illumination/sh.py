"""Real, orthonormal spherical harmonics of bands 0 to 2, without Condon-Shortley sign.

Order: l, then m: ``1; y, z, x; xy, yz, z^2, xz, x^2 - y^2``. Directions are in light axes, which are attached
to the camera: +X right, +Y up, +Z from the scene to the viewer.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

NUM_SH = 9
"""Number of coefficients of bands 0 to 2."""

_BAND_0 = 0.5 * math.sqrt(1.0 / math.pi)
_BAND_1 = 0.5 * math.sqrt(3.0 / math.pi)
_BAND_2 = 0.5 * math.sqrt(15.0 / math.pi)
_BAND_2_ZONAL = 0.25 * math.sqrt(5.0 / math.pi)


def sh_basis(directions: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 9"]:
    """Value of the nine basis functions at unit directions (light axes)."""
    return torch.stack(basis_values(*directions.unbind(dim=-1)), dim=-1)


def basis_values(
    x: Float[Tensor, "*shape"], y: Float[Tensor, "*shape"], z: Float[Tensor, "*shape"]
) -> list[Float[Tensor, "*shape"]]:
    """The nine basis functions, one tensor each, for unit directions given by their components."""
    return [
        torch.full_like(x, _BAND_0),
        _BAND_1 * y,
        _BAND_1 * z,
        _BAND_1 * x,
        _BAND_2 * x * y,
        _BAND_2 * y * z,
        _BAND_2_ZONAL * (3.0 * z * z - 1.0),
        _BAND_2 * x * z,
        0.5 * _BAND_2 * (x * x - y * y),
    ]
