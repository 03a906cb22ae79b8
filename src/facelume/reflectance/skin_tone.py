"""Skin tone as the individual typology angle (ITA)."""

from __future__ import annotations

import bisect

import torch
from jaxtyping import Float
from torch import Tensor

from facelume.reflectance.colour import cielab_from_linear

ITA_CLASSES = (
    (-30.0, "dark"),
    (10.0, "brown"),
    (28.0, "tan"),
    (41.0, "intermediate"),
    (55.0, "light"),
    (float("inf"), "very light"),
)
"""Upper bound in degrees (inclusive) and name of each skin class (Chardon 1991, Del Bino & Bernerd 2013)."""


def ita_degrees(albedo_linear: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
    """Individual typology angle of linear Rec.709 colours: ``atan2(L* - 50, b*)`` in degrees.

    CIELAB under D65. For b* > 0, as on all skin, this is the usual ``arctan((L* - 50) / b*)``.
    Average the albedo first, then take the angle: the angle is not linear in colour.
    """
    lightness, _, blue_yellow = cielab_from_linear(albedo_linear).unbind(dim=-1)
    return torch.rad2deg(torch.atan2(lightness - 50.0, blue_yellow))


def ita_class(ita_deg: float) -> str:
    """Name of the skin class that an individual typology angle (degrees) falls in, dark to very light."""
    bounds = [bound for bound, _ in ITA_CLASSES]
    return ITA_CLASSES[bisect.bisect_left(bounds, ita_deg)][1]
