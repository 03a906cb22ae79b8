"""Faces as if their skin had a usual luminance: the network draws no tone, so it sees every skin as one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from facelume.refinement.refine import RefinerInput, RefinerOutput, refine
from facelume.refinement.tone import SkinTone
from facelume.reflectance import luminance
from facelume.uv import resize_map

USUAL_LUMINANCE = 0.25
"""Luminance of the skin that the network is asked about."""

_LIGHTENING_RANGE = (0.4, 6.0)


@dataclass(frozen=True)
class UsualTone:
    """From the tone of a skin to the usual one; the light takes the opposite, so that the photo is the same.

    Attributes:
        factor: Factor on the albedo of skin, lips and brows.
        gain: Factor on the albedo in each texel: 1 at eyes and teeth.
    """

    factor: Float[Tensor, " b"]
    gain: Float[Tensor, "b 1 p p"]

    def of_input(self, maps: RefinerInput) -> RefinerInput:
        """The input of the refinement of such a skin."""
        factor = self.factor[:, None]
        return replace(
            maps,
            prior_albedo=self.of_albedo(maps.prior_albedo).clamp(0, 1),
            coarse_light=maps.coarse_light / factor[:, :, None],
            coarse_map=self.of_light(maps.coarse_map),
            exposure=maps.exposure / factor,
        )

    def of_albedo(self, albedo: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"]:
        """An albedo of the face's own tone in the usual one."""
        return albedo * resize_map(self.gain, albedo.shape[-1])

    def of_light(self, light: Float[Tensor, "b c m m"]) -> Float[Tensor, "b c m m"]:
        """A light per texel that goes with it."""
        return light / resize_map(self.gain, light.shape[-1])

    def back(self, said: RefinerOutput) -> RefinerOutput:
        """What was said of such a skin, for the face's own tone."""
        own = UsualTone(1.0 / self.factor, 1.0 / self.gain)
        return replace(
            said,
            albedo=own.of_albedo(said.albedo),
            albedo_low=own.of_albedo(said.albedo_low),
            light=own.of_light(said.light),
            shading=own.of_light(said.shading),
        )


def usual_tone(tone: SkinTone, toned: Float[Tensor, "p p"]) -> UsualTone:
    """What leads a face to the usual tone.

    Args:
        tone: Tone of the skin.
        toned: Share of skin, lips and brows in each texel.
    """
    factor = (USUAL_LUMINANCE / luminance(torch.exp(tone.log_albedo))).clamp(*_LIGHTENING_RANGE)
    return UsualTone(factor, factor[:, None, None, None] ** toned)


def refine_in_usual_tone(
    refiner: nn.Module, maps: RefinerInput, tone: SkinTone, toned: Float[Tensor, "p p"]
) -> RefinerOutput:
    """Refines a face as if its skin had the luminance that all skins of the training have.

    Another tone under another light is the same photo: the answer is led back to the tone.

    Args:
        refiner: The network.
        maps: Its input.
        tone: Tone of the skin.
        toned: Share of skin, lips and brows in each texel of the albedo map.
    """
    usual = usual_tone(tone, toned)
    return usual.back(refine(refiner, usual.of_input(maps)))
