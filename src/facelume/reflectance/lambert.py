"""The one shading formula of the package."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor


def shade(
    albedo_linear: Float[Tensor, "*shape"], irradiance: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Light that a Lambertian surface sends to the camera: ``albedo * max(E, 0) / pi``, linear Rec.709.

    Elementwise, so the layout is free as long as both agree (channel first maps or colours in the last axis).

    Args:
        albedo_linear: Albedo in [0, 1], linear Rec.709.
        irradiance: Irradiance E per colour, unclamped: the order-2 irradiance of a strong sun goes negative.
    """
    return albedo_linear * irradiance.clamp(min=0.0) / math.pi
