"""Changes of cues while they are drawn: what another photo of the same face would show."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from facelume.fitting.tone_cues import CUE_REGIONS, join_cues, region_of_band, split_cues
from facelume.reflectance import luminance
from facelume.training.tone.config import ToneAugmentConfig

_DARKEST = 1e-3
_SKIN = CUE_REGIONS.index("skin")


def augment_cues(
    values: Float[Tensor, "b F"],
    skin: Float[Tensor, "b 3"],
    config: ToneAugmentConfig,
    generator: torch.Generator,
    *,
    may_be_grey: bool = True,
) -> Float[Tensor, "b F"]:
    """Change cues at random.

    Args:
        values: See :class:`facelume.fitting.tone_cues.ToneCues`.
        skin: Likewise.
        config: How much.
        generator: Source of randomness, on the CPU.
        may_be_grey: Whether faces may lose their colour.
    """
    colours, states = split_cues(values)
    number, region = len(values), region_of_band().to(values.device)

    def noise(*shape: int) -> Tensor:
        return torch.randn(number, *shape, generator=generator).to(values.device)

    def chance(fraction: float, *shape: int) -> Tensor:
        return (torch.rand(number, *shape, generator=generator) < fraction).to(values.device)

    is_grey = chance(config.grey_fraction if may_be_grey else 0.0)
    grey = luminance(colours * skin[:, None]) / luminance(skin).clamp(min=1e-4)[:, None]
    colours = torch.where(is_grey[:, None, None], grey[..., None], colours)
    had_colour = (colours.amax(dim=-1) - colours.amin(dim=-1)).amax(dim=-1) > _DARKEST
    shift = config.region_sigma * noise(len(CUE_REGIONS), 1)[:, region]
    shift = shift + config.band_sigma * noise(len(region), 1)
    hues = config.region_hue_sigma * noise(len(CUE_REGIONS), 3)[:, region]
    shift = shift + hues * had_colour[:, None, None]
    power = torch.exp(config.contrast_sigma * noise(1, 1))
    colours = torch.where(
        colours > _DARKEST, torch.exp(power * torch.log(colours.clamp(min=_DARKEST)) + shift), colours
    )
    is_hidden = chance(config.hidden_fraction, len(CUE_REGIONS))
    is_hidden[:, _SKIN] = False
    return join_cues(colours, torch.where(is_hidden[..., None], 0.0, states))
