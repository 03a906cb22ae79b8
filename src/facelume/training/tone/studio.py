"""The exposure of a studio, from the colours that human skin has.

Photos of one studio show the tone of each skin up to one exposure, one cast and what the skin's surface
reflects. The cast is nearly that of the grey backdrop. Human skin of a given luminance has nearly one hue:
exposure and surface are those under which the people of the studio have hues that people have, and no tone
lighter than people's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import minimize
from torch import Tensor

from facelume.reflectance import hue, human_skin, luminance

CAST_SIGMA = 0.03
"""Spread of log R/G and log G/B of a studio's backdrop that is called grey."""

INDEPENDENT_PEOPLE = 10
"""Hues that one camera shows err together: as evidence of the cast they count as so many people."""

_LARGEST_DISTANCE = 3.0
"""Standard deviations from which a hue is an outlier."""
_LIGHTEST_SIGMA = 0.1
_DARKEST_COLOUR = 0.004
_LARGEST_SURFACE = 0.05


@dataclass(frozen=True)
class StudioExposure:
    """From the colours that a studio's photos show to albedo.

    Attributes:
        gain: Factor on linear R, G, B that gives what the skin reflects, white being 1.
        surface: The part of that which the surface reflects; the rest is the diffuse albedo.
        misfit: Minus twice the mean log-likelihood of the hues and of the cast, up to a constant.
    """

    gain: tuple[float, float, float]
    surface: float
    misfit: float


def measure_studio(skin: Float[Tensor, "n 3"], backdrop: Float[Tensor, " 3"]) -> StudioExposure:
    """Find the exposure of a studio.

    Args:
        skin: Middle colour of the skin that each photo shows, linear.
        backdrop: Colour of the backdrop, linear: it is grey, so the cast is about what makes it so.
    """
    colours = skin.double()
    grey = -hue(backdrop.double()[None])[0].numpy()

    def misfit(parameters: Float[np.ndarray, " 4"]) -> float:
        exposure, surface, *cast = parameters
        if not 0 <= surface <= _LARGEST_SURFACE:
            return float("inf")
        gain = colours.new_tensor(_gain(exposure, *cast))
        unlikely_cast = (np.square(cast - grey) / CAST_SIGMA**2).sum() / INDEPENDENT_PEOPLE
        return _misfit(colours * gain - surface) + float(unlikely_cast)

    starts = [np.array([exposure, 0.01, 0.0, 0.0]) for exposure in (-0.6, -0.2, 0.2, 0.6)]
    options = {"xatol": 1e-4, "fatol": 1e-6, "maxiter": 4000}
    simplex = np.vstack([np.zeros(4), np.diag([0.1, 0.005, 0.02, 0.02])])
    found = min(
        (
            minimize(
                misfit, start, method="Nelder-Mead", options={**options, "initial_simplex": start + simplex}
            )
            for start in starts
        ),
        key=lambda result: float(result.fun),
    )
    exposure, surface, *cast = found.x
    return StudioExposure(_gain(exposure, *cast), float(surface), float(found.fun))


def _gain(exposure: float, red_green: float, green_blue: float) -> tuple[float, float, float]:
    red, green, blue = np.exp([exposure + red_green, exposure, exposure - green_blue])
    return float(red), float(green), float(blue)


def _misfit(albedo: Float[Tensor, "n 3"]) -> float:
    """How unlike human skin colours are: hues that skin of their luminance has not, and too light ones."""
    skin, colour = human_skin(), albedo.clamp(min=_DARKEST_COLOUR)
    tone = torch.log(luminance(colour))
    distance = skin.hue_distance(colour).clamp(max=_LARGEST_DISTANCE)
    beyond = (tone - skin.tone_range[1]).clamp(min=0) / _LIGHTEST_SIGMA
    spread = torch.logdet(skin.spread_of_tone(tone))
    return float((distance.square() + spread + beyond.square()).mean())
