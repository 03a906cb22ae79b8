"""Colour spaces: linear Rec.709, sRGB (IEC 61966-2-1), CIE XYZ and CIELAB under D65."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

REC709_LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Weights of linear red, green and blue in luminance Y (ITU-R BT.709)."""

_XYZ_FROM_REC709 = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
# The row sums: linear (1, 1, 1) is exactly the D65 white of this matrix, hence L* = 100, a* = b* = 0.
_WHITE_D65 = tuple(sum(row) for row in _XYZ_FROM_REC709)


def linear_from_srgb(srgb: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Decode sRGB values to linear Rec.709; input is clamped to [0, 1], elementwise, differentiable."""
    clamped = srgb.clamp(0.0, 1.0)
    return torch.where(clamped <= 0.04045, clamped / 12.92, ((clamped + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(linear: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Encode linear Rec.709 values as sRGB; input is clamped to [0, 1], elementwise, differentiable.

    The gradient is finite everywhere (12.92 near black) and zero where the clamp acts.
    """
    clamped = linear.clamp(0.0, 1.0)
    # The power branch is kept away from 0, where its gradient is infinite and would turn 0 * inf into NaN.
    encoded = 1.055 * clamped.clamp(min=0.0031308) ** (1.0 / 2.4) - 0.055
    return torch.where(clamped <= 0.0031308, 12.92 * clamped, encoded)


def luminance(linear: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
    """Luminance Y of linear Rec.709 colours (colour in the last axis); unbounded, linear."""
    return linear @ linear.new_tensor(REC709_LUMINANCE)


def cielab_from_linear(linear: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """CIELAB (L* in [0, 100], a*, b*) of linear Rec.709 colours under D65, 2 degree observer.

    Negative input is clamped to 0. Source: CIE 15:2004, with 216/24389 and 24389/27 as exact constants.
    """
    matrix = linear.new_tensor(_XYZ_FROM_REC709)
    relative = (linear.clamp(min=0.0) @ matrix.T) / linear.new_tensor(_WHITE_D65)
    threshold = 216.0 / 24389.0
    cube_root = relative.clamp(min=threshold) ** (1.0 / 3.0)
    f = torch.where(relative > threshold, cube_root, (24389.0 / 27.0 * relative + 16.0) / 116.0)
    fx, fy, fz = f.unbind(dim=-1)
    return torch.stack((116.0 * fy - 16.0, 500.0 * (fx - fy), 200.0 * (fy - fz)), dim=-1)
