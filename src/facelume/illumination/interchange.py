"""Light coefficients of Deep3DFaceRecon and DECA, converted both ways.

Both projects shade as ``image = albedo * S(n)`` with their own S; ours is ``image = albedo * E(n) / pi``. The
converters keep S(n) = E(n) / pi for every normal n. Both shade sRGB values: a converted light reproduces
*their* shading function exactly, but multiplied with linear albedo it means another picture.

Deep3DFaceRecon (``gamma``, 27 numbers; normals +X right, +Y up, +Z to the viewer, as here):
    red first: ``gamma[9 * rgb + k]``; 0.8 is added to k = 0 of each colour before use;
    order ``1; -y, z, -x; xy, -yz, 3 z^2 - 1, -xz, x^2 - y^2`` (Condon-Shortley signs);
    band factors ``a = (pi, 2 pi / sqrt(3), 2 pi / sqrt(8))`` instead of ``(pi, 2 pi / 3, pi / 4)``: bands 1
    and 2 are sqrt(3) = 1.73 and sqrt(8) = 2.83 times too large.
    Hence ``L_k = pi * s_k * r_l * (gamma_k + 0.8 * [k = 0])`` with the signs
    s = (1; -1, 1, -1; 1, -1, 1, -1, 1) and r = (1, sqrt(3), sqrt(8)).

DECA (``light``, 9 x 3; normals in FLAME axes, the same for a head in the crop):
    order ``1; x, y, z; xy, xz, yz, x^2 - y^2, 3 z^2 - 1``, no signs, factors ``(1, 2 pi / 3, pi / 4)`` on
    orthonormal functions: the constant term lacks a factor pi.
    Hence ``L_0 = l_0`` and ``L_k = pi * l_k`` for k > 0.
"""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

_DEEP3D_DC_OFFSET = 0.8
_ROOT_3, _ROOT_8 = math.sqrt(3.0), math.sqrt(8.0)
_SH_PER_DEEP3D = tuple(
    math.pi * factor
    for factor in (1.0, -_ROOT_3, _ROOT_3, -_ROOT_3, _ROOT_8, -_ROOT_8, _ROOT_8, -_ROOT_8, _ROOT_8)
)
_SH_PER_DECA = (1.0, *(math.pi,) * 8)
# Position in DECA's order of each of our nine functions (1; y, z, x; xy, yz, z^2, xz, x^2 - y^2), and back.
_DECA_INDEX = (0, 2, 3, 1, 4, 6, 8, 5, 7)
_SH_INDEX = tuple(_DECA_INDEX.index(k) for k in range(9))


def sh_from_deep3d(gamma: Float[Tensor, "*batch 27"]) -> Float[Tensor, "*batch 9 3"]:
    """Our radiance coefficients of Deep3DFaceRecon's ``gamma`` (as its network gives it, without the 0.8)."""
    coefficients = gamma.unflatten(-1, (3, 9)).transpose(-1, -2)
    offset = gamma.new_tensor((_DEEP3D_DC_OFFSET, *(0.0,) * 8))
    return (coefficients + offset[:, None]) * gamma.new_tensor(_SH_PER_DEEP3D)[:, None]


def deep3d_from_sh(sh_radiance: Float[Tensor, "*batch 9 3"]) -> Float[Tensor, "*batch 27"]:
    """Deep3DFaceRecon's ``gamma`` of our radiance coefficients; inverse of ``sh_from_deep3d``."""
    offset = sh_radiance.new_tensor((_DEEP3D_DC_OFFSET, *(0.0,) * 8))
    coefficients = sh_radiance / sh_radiance.new_tensor(_SH_PER_DEEP3D)[:, None] - offset[:, None]
    return coefficients.transpose(-1, -2).flatten(-2)


def sh_from_deca(light: Float[Tensor, "*batch 9 3"]) -> Float[Tensor, "*batch 9 3"]:
    """Our radiance coefficients of DECA's ``light`` code."""
    return light[..., list(_DECA_INDEX), :] * light.new_tensor(_SH_PER_DECA)[:, None]


def deca_from_sh(sh_radiance: Float[Tensor, "*batch 9 3"]) -> Float[Tensor, "*batch 9 3"]:
    """DECA's ``light`` code of our radiance coefficients; inverse of ``sh_from_deca``."""
    return (sh_radiance / sh_radiance.new_tensor(_SH_PER_DECA)[:, None])[..., list(_SH_INDEX), :]
