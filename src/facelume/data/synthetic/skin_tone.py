"""Skin colours as measured skin has them: every ITA class as often as the configuration says."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from facelume.data.synthetic.skin_config import SkinColourConfig
from facelume.reflectance import human_skin, ita_class, ita_degrees, luminance

_NUM_TRIES, _COLOURS_PER_TRY = 200, 64
_REFLECTANCE_RANGE = (0.005, 0.9)
# A clamped texel pulls the mean off its aim; the second pass makes up for it.
_NUM_PASSES = 2


def random_skin_colour(config: SkinColourConfig, rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
    """Mean diffuse colour of a new person's skin, linear Rec.709.

    An ITA class is drawn by its share, a luminance evenly (in its logarithm) over what the class holds, and a
    hue about the measured hue of that luminance with the measured spread.
    """
    names = [field.name for field in fields(config.classes)]
    wanted = names.index(config.classes.pick(rng.random()))
    for _ in range(_NUM_TRIES):
        colours = _measured_colours(config.hue_limit, rng)
        for colour, ita in zip(colours, ita_degrees(colours).tolist(), strict=True):
            if names.index(ita_class(ita).replace(" ", "_")) == wanted:
                return colour.numpy()
    raise AssertionError(f"no measured colour is {names[wanted]}")


def _measured_colours(hue_limit: float, rng: np.random.Generator) -> Float[Tensor, "n 3"]:
    """Colours of even log luminance between the darkest and the lightest measured skin, linear."""
    skin = human_skin()
    darkest, lightest = (float(end) for end in skin.tone_range)
    tone = torch.from_numpy(rng.uniform(darkest, lightest, _COLOURS_PER_TRY))
    normal = torch.from_numpy(rng.normal(size=(_COLOURS_PER_TRY, 2)))
    # Beyond the limit a hue is drawn back onto it along its own direction.
    normal = normal / (normal.norm(dim=-1, keepdim=True) / max(hue_limit, 1e-9)).clamp_min(1.0)
    spread = torch.linalg.cholesky(skin.spread_of_tone(tone))
    red_green, green_blue = (skin.hue_of_tone(tone) + (spread @ normal[..., None])[..., 0]).unbind(-1)
    colours = torch.stack([red_green.exp(), torch.ones_like(tone), (-green_blue).exp()], dim=-1)
    return colours * (tone.exp() / luminance(colours))[:, None]


def with_skin_colour(
    albedo: Float[Tensor, "3 s s"],
    skin: Float[Tensor, "s s"],
    bare: Float[Tensor, "s s"],
    colour: Float[np.ndarray, " 3"],
) -> Float[Tensor, "3 s s"]:
    """Move all skin by one factor per colour, so that bare skin has a given mean.

    Args:
        albedo: Linear albedo.
        skin: Share of skin in each texel, brows and lips included: what moves.
        bare: Share of bare skin of the face: what the mean is taken over.
        colour: The mean, linear.

    Returns:
        A new linear albedo; skin stays in [0.005, 0.9].
    """
    wanted = torch.from_numpy(colour).to(albedo)
    for _ in range(_NUM_PASSES):
        factor = wanted / mean_colour(albedo, bare)
        moved = albedo * factor[:, None, None] ** skin
        albedo = torch.where(skin > 0, moved.clamp(*_REFLECTANCE_RANGE), albedo)
    return albedo


def mean_colour(albedo: Float[Tensor, "3 s s"], bare: Float[Tensor, "s s"]) -> Float[Tensor, " 3"]:
    """Mean linear colour of bare skin."""
    return (albedo * bare).sum((-1, -2)) / bare.sum()
