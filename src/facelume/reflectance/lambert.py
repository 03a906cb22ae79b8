"""Lambertian shading, the one reflectance of the package: what a matte surface sends to the camera.

Every rendering goes through these two functions. Fits of a light alone divide its irradiance basis by pi
themselves and do not clamp, so that they stay linear.
"""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor


def shading_from_irradiance(irradiance: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Shading ``max(E, 0) / pi``: how bright a white surface looks, linear Rec.709; 1 under a radiance of 1.

    Args:
        irradiance: Irradiance E per colour, unclamped: the order-2 irradiance of a strong sun goes negative.
    """
    return irradiance.clamp(min=0.0) / math.pi


def shade(
    albedo_linear: Float[Tensor, "*shape"], irradiance: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Light that a Lambertian surface sends to the camera: ``albedo * max(E, 0) / pi``, linear Rec.709.

    Elementwise, so the layout is free as long as both agree (channel first maps or colours in the last axis).

    Args:
        albedo_linear: Albedo in [0, 1], linear Rec.709.
        irradiance: Irradiance E per colour, unclamped.
    """
    return albedo_linear * shading_from_irradiance(irradiance)
