"""The tone network: what eyes, lips and brows look like beside the skin in, the skin's own colour out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from facelume.networks.configuration import read_network_config
from facelume.reflectance import human_skin

_SIGMA_RANGE = (0.05, 0.8)
BEYOND_TONE_RANGE = 0.2
"""How far a tone may lie beyond those of measured skin: answers that pile up tell no people apart."""
_KNEE = 0.1
_HUE_LIMIT = 2.0
"""Largest offset of each hue from the mean of its tone, in standard deviations of measured skin."""

_DISTANCE_LIMIT = 2.5
"""Largest distance of both together: they vary together, and two usual ones can be an unusual pair."""


@dataclass(frozen=True)
class ToneConfig:
    """Shape of the network.

    Attributes:
        num_cues: Numbers that are read off a face.
        width: Units of each hidden layer.
        num_hidden: Hidden layers.
        dropout: Share of units that are left out in training.
    """

    num_cues: int
    width: int = 96
    num_hidden: int = 2
    dropout: float = 0.2


class ToneOutput(NamedTuple):
    """Skin tone of faces and how well it is known.

    Attributes:
        log_luminance: Log luminance of the skin's diffuse albedo.
        hue_offset: Log R/G and log G/B minus their means at that luminance.
        log_sigma: Log of the standard deviations that the network expects: of the log luminance, of the two
            hues.
    """

    log_luminance: Float[Tensor, " b"]
    hue_offset: Float[Tensor, "b 2"]
    log_sigma: Float[Tensor, "b 3"]

    @property
    def log_colour(self) -> Float[Tensor, "b 3"]:
        """Log R, G, B of the skin's diffuse albedo; always a colour that human skin has."""
        skin = human_skin()
        offset = skin.usual_offset(self.log_luminance, self.hue_offset, _DISTANCE_LIMIT)
        return skin.log_colour(self.log_luminance, offset)


class ToneNetwork(nn.Module):
    """A small perceptron; cues are normalised by the means and spreads it was trained with."""

    cue_mean: Float[Tensor, " F"]
    cue_scale: Float[Tensor, " F"]

    def __init__(self, config: ToneConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("cue_mean", torch.zeros(config.num_cues))
        self.register_buffer("cue_scale", torch.ones(config.num_cues))
        layers: list[nn.Module] = []
        width = config.num_cues
        for _ in range(config.num_hidden):
            layers += [nn.Linear(width, config.width), nn.GELU(), nn.Dropout(config.dropout)]
            width = config.width
        self.layers = nn.Sequential(*layers, nn.Linear(width, 6))

    def forward(self, cues: Float[Tensor, "b F"]) -> ToneOutput:
        """Tone of the faces whose cues are given, see :mod:`facelume.fitting.tone_cues`."""
        raw = self.layers(((cues - self.cue_mean) / self.cue_scale).clamp(-4, 4))
        skin = human_skin()
        darkest, lightest = (float(end) for end in skin.tone_range)
        middle, half = (darkest + lightest) / 2, (lightest - darkest) / 2
        log_luminance = _held(
            middle + half * raw[:, 0], darkest - BEYOND_TONE_RANGE, lightest + BEYOND_TONE_RANGE
        )
        spread = skin.spread_of_tone(log_luminance).diagonal(dim1=-2, dim2=-1).sqrt()
        least, largest = _SIGMA_RANGE
        sigma = least + (largest - least) * torch.sigmoid(raw[:, 3:])
        return ToneOutput(log_luminance, _HUE_LIMIT * spread * torch.tanh(raw[:, 1:3]), torch.log(sigma))


def _held(values: Float[Tensor, " b"], least: float, largest: float) -> Float[Tensor, " b"]:
    """Values as they are inside a range, bent smoothly towards its ends beyond."""
    over = functional.softplus((values - largest) / _KNEE) * _KNEE
    under = functional.softplus((least - values) / _KNEE) * _KNEE
    return values - over + under


def build_tone(config: Mapping[str, Any]) -> ToneNetwork:
    """The tone network of a weight record's configuration; unknown names are refused with ValueError."""
    return ToneNetwork(read_network_config(config, ToneConfig))
