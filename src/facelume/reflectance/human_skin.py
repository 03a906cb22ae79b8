"""The colours that human facial skin has: what :mod:`facelume` knows of it beyond its own data.

From 7,550 spectrophotometer readings of 2,107 people (International Skin Spectra Archive, Lu et al.,
Scientific Data 2025), surface reflection removed, every ITA class weighing the same, so that rare tones are
no outliers.
``tools/measure_skin_colours.py`` writes the figures.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from facelume.reflectance.colour import luminance

_DARKEST_COLOUR = 1e-4


@dataclass(frozen=True, eq=False)
class HumanSkin:
    """Statistics of the diffuse colour of facial skin, linear Rec.709 under D65, natural logarithms.

    Attributes:
        source: Where the readings come from.
        num_readings: How many readings.
        log_mean: Mean of log R, G, B.
        log_covariance: Covariance of log R, G, B.
        tone_range: Log luminance of the darkest and of the lightest percent.
        hue_curve: Log R/G and log G/B as polynomials of log luminance, the constant first.
        knots: Log luminance at which the spread about the curve is given: the means of the ITA classes.
        hue_covariance: Covariance of log R/G and log G/B about the curve, at each knot.
    """

    source: str
    num_readings: int
    log_mean: Float[Tensor, " 3"]
    log_covariance: Float[Tensor, "3 3"]
    tone_range: Float[Tensor, " 2"]
    hue_curve: Float[Tensor, "2 3"]
    knots: Float[Tensor, " K"]
    hue_covariance: Float[Tensor, "K 2 2"]

    def hue_of_tone(self, log_luminance: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 2"]:
        """Mean log R/G and log G/B of skin of this luminance; the ends of the range go on beyond it."""
        tone = self._within(log_luminance)
        powers = torch.stack([torch.ones_like(tone), tone, tone * tone], dim=-1)
        return powers @ self.hue_curve.to(tone).T

    def spread_of_tone(self, log_luminance: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 2 2"]:
        """Covariance of log R/G and log G/B of skin of this luminance, linear between the knots."""
        tone = self._within(log_luminance)
        knots = self.knots.to(tone)
        upper = torch.bucketize(tone.detach(), knots).clamp(1, len(knots) - 1)
        step = ((tone - knots[upper - 1]) / (knots[upper] - knots[upper - 1])).clamp(0, 1)[..., None, None]
        table = self.hue_covariance.to(tone)
        return (1 - step) * table[upper - 1] + step * table[upper]

    def hue_distance(self, albedo_linear: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
        """How far the hue of a colour lies from skin of its luminance, in standard deviations (Mahalanobis).

        Args:
            albedo_linear: Diffuse albedo, linear Rec.709; average over a face first.
        """
        colour = albedo_linear.clamp(min=_DARKEST_COLOUR)
        tone = torch.log(luminance(colour))
        return self._squared_distance(tone, hue(colour) - self.hue_of_tone(tone)).clamp(min=0).sqrt()

    def usual_offset(
        self, log_luminance: Float[Tensor, "*batch"], hue_offset: Float[Tensor, "*batch 2"], limit: float
    ) -> Float[Tensor, "*batch 2"]:
        """A hue offset, shortened where it leads further from the mean of the tone than ``limit``.

        Args:
            log_luminance: Log of the luminance Y.
            hue_offset: Log R/G and log G/B minus those of :meth:`hue_of_tone`.
            limit: Largest :meth:`hue_distance`, standard deviations.
        """
        distance = self._squared_distance(log_luminance, hue_offset).clamp(min=1e-12).sqrt()
        return hue_offset * (limit / distance).clamp(max=1.0)[..., None]

    def _squared_distance(
        self, log_luminance: Float[Tensor, "*batch"], hue_offset: Float[Tensor, "*batch 2"]
    ) -> Float[Tensor, "*batch"]:
        """Square of the Mahalanobis distance of a hue offset."""
        solved = torch.linalg.solve(self.spread_of_tone(log_luminance), hue_offset[..., None])[..., 0]
        return (hue_offset * solved).sum(-1)

    def log_colour(
        self, log_luminance: Float[Tensor, "*batch"], hue_offset: Float[Tensor, "*batch 2"]
    ) -> Float[Tensor, "*batch 3"]:
        """Log R, G, B of skin of a luminance whose hue differs from the mean of its tone.

        Args:
            log_luminance: Log of the luminance Y.
            hue_offset: Log R/G and log G/B minus those of :meth:`hue_of_tone`.
        """
        red_green, green_blue = (self.hue_of_tone(log_luminance) + hue_offset).unbind(-1)
        relative = torch.stack([red_green, torch.zeros_like(red_green), -green_blue], dim=-1)
        green = log_luminance - torch.log(luminance(torch.exp(relative)))
        return green[..., None] + relative

    def _within(self, log_luminance: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        darkest, lightest = (float(end) for end in self.tone_range)
        return log_luminance.clamp(darkest, lightest)


def hue(colour_linear: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 2"]:
    """Log R/G and log G/B of positive linear colours: what exposure does not change."""
    logs = torch.log(colour_linear.clamp(min=_DARKEST_COLOUR))
    return logs[..., :2] - logs[..., 1:]


@functools.cache
def human_skin() -> HumanSkin:
    """The statistics of the package."""
    text = importlib.resources.files("facelume.reflectance").joinpath("human_skin.json").read_text("utf-8")
    entries = json.loads(text)
    tables = {
        key: torch.tensor(value, dtype=torch.float64)
        for key, value in entries.items()
        if isinstance(value, list)
    }
    return HumanSkin(source=entries["source"], num_readings=entries["num_readings"], **tables)
