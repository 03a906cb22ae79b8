"""The tone of a skin from what its photo shows: cues, judged by the tone network, weighed with exposure."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from facelume.fitting.tone_cues import ToneCues
from facelume.networks.tone import BEYOND_TONE_RANGE, ToneNetwork, ToneOutput
from facelume.reflectance import human_skin, luminance


@dataclass(frozen=True)
class ExposureConfig:
    """How photographers and cameras expose skin.

    Attributes:
        log_mean: Mean of the log of the light on the skin: luminance that the photo shows over the skin's.
        log_sigma: Its standard deviation; the wider, the less a photo's brightness says of the skin.
    """

    log_mean: float = 0.1
    log_sigma: float = 0.9


@dataclass(frozen=True, eq=False)
class SkinTone:
    """The tone of the skin of faces.

    Attributes:
        log_albedo: Log of the linear diffuse albedo that the middle of the skin has; R, G, B.
        sigma: Standard deviation of its luminance (log).
        exposure: Colour of the light on the skin: what the photo shows over the albedo; 1 where no skin is
            seen.
    """

    log_albedo: Float[Tensor, "b 3"]
    sigma: Float[Tensor, " b"]
    exposure: Float[Tensor, "b 3"]


def estimate_tone(network: ToneNetwork, cues: ToneCues, config: ExposureConfig | None = None) -> SkinTone:
    """Judge the tone of faces.

    What the network says of the luminance is weighed with the photo's brightness, each by its certainty. The
    answer is the luminance that errs least for the size of the true one, the least mean of
    ``|answer / truth - 1|``: under a log-normal it lies below the middle by the variance. It is a tone that
    human skin has, however a photo is exposed.

    Args:
        network: The tone network.
        cues: See :func:`facelume.fitting.tone_cues.read_tone_cues`.
        config: How skin is exposed.
    """
    config = config or ExposureConfig()
    said: ToneOutput = network(cues.values, cues.picture)
    is_seen = cues.skin.amax(dim=-1) > 0
    shown = torch.log(luminance(cues.skin).clamp(min=1e-4)) - config.log_mean
    precision = torch.exp(-2.0 * said.log_sigma[:, 0])
    of_photo = config.log_sigma**-2 * is_seen
    share = of_photo / (precision + of_photo)
    darkest, lightest = (float(end) for end in human_skin().tone_range)
    sigma = (precision + of_photo).rsqrt()
    log_luminance = (1 - share) * said.log_luminance + share * shown - sigma.square()
    log_luminance = log_luminance.clamp(darkest - BEYOND_TONE_RANGE, lightest + BEYOND_TONE_RANGE)
    judged = said._replace(log_luminance=log_luminance).log_colour
    exposure = torch.where(is_seen[:, None], cues.skin.clamp(min=1e-4) / torch.exp(judged), 1.0)
    return SkinTone(judged, sigma, exposure)
