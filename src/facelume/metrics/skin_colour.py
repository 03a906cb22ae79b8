"""One colour of a face's skin, as brightness and two hues, and how far it lies from human skin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from facelume.reflectance import human_skin, ita_degrees, luminance
from facelume.reflectance.human_skin import hue

_GREY_TOLERANCE = 3
_GREY_SHARE = 0.99


@dataclass(frozen=True)
class SkinColour:
    """A linear Rec.709 colour in the terms that skin is compared in.

    Attributes:
        log_luminance: Natural logarithm of the luminance.
        log_rg: Natural logarithm of red over green.
        log_gb: Natural logarithm of green over blue.
        ita_deg: Individual typology angle, degrees.
        hue_distance_sd: Distance of the hue from measured human skin of this luminance, standard deviations.
    """

    log_luminance: float
    log_rg: float
    log_gb: float
    ita_deg: float
    hue_distance_sd: float


TONE_AXES = ("log_luminance", "log_rg", "log_gb")
"""The three coordinates of a :class:`SkinColour` that say the colour; the others follow from them."""


def skin_colour(colour_linear: Float[np.ndarray, " 3"]) -> SkinColour:
    """Describe one colour; average or take the median over a face first.

    Args:
        colour_linear: Linear Rec.709, positive. All figures are NaN where a channel is not above 0, or no
            number.
    """
    if not bool((colour_linear > 0).all()):
        return SkinColour(*(float("nan"),) * 5)
    colour = torch.from_numpy(colour_linear.astype(np.float64))
    red_green, green_blue = hue(colour).tolist()
    return SkinColour(
        log_luminance=float(torch.log(luminance(colour))),
        log_rg=red_green,
        log_gb=green_blue,
        ita_deg=float(ita_degrees(colour)),
        hue_distance_sd=float(human_skin().hue_distance(colour)),
    )


def is_grey(photo_srgb: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"]) -> bool:
    """Whether a photo shows no colour: red, green and blue agree to 3 of 255 in 99 % of the masked pixels."""
    pixels = photo_srgb[mask].astype(np.int16)
    if len(pixels) == 0:
        return False
    spread = pixels.max(axis=-1) - pixels.min(axis=-1)
    return bool(np.mean(spread <= _GREY_TOLERANCE) >= _GREY_SHARE)
