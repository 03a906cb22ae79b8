"""The albedo of a still head from pictures under one known lamp each: photometric stereo.

A matt surface shows ``max(0, g . d)`` under a lamp in direction ``d``; the length of ``g`` is its albedo. The
pictures are explained pixel by pixel by robust least squares, so that cast shadows, highlights and clipped
values are set aside where the other lamps contradict them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

CLIPPED = 0.98
"""Value of a picture from which it only says "at least this"."""

_NUM_STEPS = 8
_RIDGE = 1e-3
_ROBUST_SCALE = 0.08
_FLOOR = 0.005
_WEIGHT_IN_SHADOW = 0.02
_WEIGHT_CLIPPED = 0.1


@dataclass(frozen=True, eq=False)
class StereoAlbedo:
    """What the pictures of a head under single lamps agree on.

    Attributes:
        albedo: Of each pixel, up to one factor for the whole picture, linear.
        num_agreeing: How many lamps agree on it, as the sum of their robust weights.
    """

    albedo: Float[Tensor, "H W"]
    num_agreeing: Float[Tensor, "H W"]


def photometric_stereo(pictures: Float[Tensor, "K H W"], directions: Float[Tensor, "K 3"]) -> StereoAlbedo:
    """Albedo of each pixel of a still head.

    Args:
        pictures: Grey, linear, [0, 1], one for each lamp, the lamps alike.
        directions: Unit directions towards the lamps, in any frame: a mirrored one gives the same albedo.
    """
    values = pictures.flatten(1).T
    weight = torch.ones_like(values)
    normal, ridge = values.new_zeros(len(values), 3), _RIDGE * torch.eye(3).to(values)
    for _ in range(_NUM_STEPS):
        system = torch.einsum("nk,ki,kj->nij", weight, directions, directions) + ridge
        right = torch.einsum("nk,nk,ki->ni", weight, values, directions)
        normal = torch.linalg.solve(system, right[..., None])[..., 0]
        expected = normal @ directions.T
        scale = _ROBUST_SCALE * normal.norm(dim=1, keepdim=True) + _FLOOR
        weight = 1.0 / (1.0 + ((values - expected) / scale).square())
        weight = weight * torch.where(expected <= 0, _WEIGHT_IN_SHADOW, 1.0)
        weight = weight * torch.where(values >= CLIPPED, _WEIGHT_CLIPPED, 1.0)
    shape = pictures.shape[1:]
    return StereoAlbedo(normal.norm(dim=1).reshape(shape), weight.sum(dim=1).reshape(shape))
