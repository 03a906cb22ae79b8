"""Changes of cues while they are drawn: what another photo of the same face would show."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from facelume.fitting.tone_cues import (
    CUE_REGIONS,
    ToneCues,
    join_cues,
    join_picture,
    region_of_band,
    split_cues,
    split_picture,
)
from facelume.reflectance import luminance
from facelume.training.tone.config import ToneAugmentConfig

_DARKEST = 1e-3
_SHADING_CELLS = 4
_PATCH_RANGE = (0.1, 0.45)
_SKIN = CUE_REGIONS.index("skin")


def augment_cues(
    cues: ToneCues, config: ToneAugmentConfig, generator: torch.Generator, *, may_be_grey: bool = True
) -> ToneCues:
    """Change cues at random.

    Args:
        cues: Of some faces.
        config: How much.
        generator: Source of randomness, on the CPU.
        may_be_grey: Whether faces may lose their colour.
    """
    skin, number, device = cues.skin, len(cues.skin), cues.skin.device

    def noise(*shape: int) -> Tensor:
        return torch.randn(number, *shape, generator=generator).to(device)

    def chance(fraction: float, *shape: int) -> Tensor:
        return (torch.rand(number, *shape, generator=generator) < fraction).to(device)

    is_grey = chance(config.grey_fraction if may_be_grey else 0.0)
    power = torch.exp(config.contrast_sigma * noise(1))
    colours, states, tint = split_cues(cues.values)
    region = region_of_band().to(device)
    colours = _without_colour(colours, skin[:, None], is_grey)
    had_colour = (colours.amax(dim=-1) - colours.amin(dim=-1)).amax(dim=-1) > _DARKEST
    shift = config.region_sigma * noise(len(CUE_REGIONS), 1)[:, region]
    shift = shift + config.band_sigma * noise(len(region), 1)
    hues = config.region_hue_sigma * noise(len(CUE_REGIONS), 3)[:, region]
    shift = shift + hues * had_colour[:, None, None]
    colours = _changed(colours, power[:, None], shift)
    is_hidden = chance(config.hidden_fraction, len(CUE_REGIONS))
    is_hidden[:, _SKIN] = False
    had_tint = had_colour[:, None] & ~is_grey[:, None]
    tint = torch.where(had_tint, power * tint + config.tint_sigma * noise(2), 0.0)
    values = join_cues(colours, torch.where(is_hidden[..., None], 0.0, states), tint)

    pixels, seen = split_picture(cues.picture)
    pixels = _without_colour(pixels.movedim(1, -1), skin[:, None, None], is_grey).movedim(-1, 1)
    size = pixels.shape[-1]
    cells = config.shading_sigma * noise(1, _SHADING_CELLS, _SHADING_CELLS)
    shift = functional.interpolate(cells, size=(size, size), mode="bicubic")
    shift = shift + config.texel_sigma * noise(1, size, size)
    pixels = _changed(pixels, power[..., None, None], shift)
    is_covered = _patches(number, size, config.patch_fraction, generator).to(device)
    is_covered |= chance(config.blind_fraction)[:, None, None]
    picture = join_picture(pixels, seen * ~is_covered[:, None])
    is_mirrored = chance(0.5)[:, None, None, None]
    return ToneCues(skin, values, torch.where(is_mirrored, picture.flip(-1), picture))


def _without_colour(
    colours: Float[Tensor, "b *n 3"], skin: Float[Tensor, "b *#n 3"], is_grey: Bool[Tensor, " b"]
) -> Float[Tensor, "b *n 3"]:
    """Colours relative to the skin's, of which some photos have lost theirs."""
    grey = luminance(colours * skin) / luminance(skin).clamp(min=1e-4)
    return torch.where(is_grey.reshape(-1, *[1] * (colours.ndim - 1)), grey[..., None], colours)


def _changed(colours: Tensor, power: Tensor, shift: Tensor) -> Tensor:
    """Another contrast and other brightnesses of what is not black."""
    changed = torch.exp(power * torch.log(colours.clamp(min=_DARKEST)) + shift)
    return torch.where(colours > _DARKEST, changed, colours)


def _patches(number: int, size: int, fraction: float, generator: torch.Generator) -> Bool[Tensor, "b m m"]:
    """Something rectangular that covers a part of some pictures."""
    draw = torch.rand(number, 5, generator=generator)
    sides = (_PATCH_RANGE[0] + (_PATCH_RANGE[1] - _PATCH_RANGE[0]) * draw[:, :2]) * size
    start = draw[:, 2:4] * (size - sides)
    place = torch.arange(size)
    inside = (place >= start[..., None]) & (place < (start + sides)[..., None])
    return inside[:, 0, :, None] & inside[:, 1, None] & (draw[:, 4] < fraction)[:, None, None]
