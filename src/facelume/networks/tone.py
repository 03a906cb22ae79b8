"""The tone network: what eyes, lips and highlights look like beside the skin in, the skin's colour out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from facelume.networks.configuration import read_network_config
from facelume.reflectance import human_skin

_SIGMA_RANGE = (0.05, 0.8)
_NUM_PLACE_CHANNELS = 4
_NUM_GROUPS = 4
_PICTURE_DROPOUT = 0.3
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
        picture_width: Channels of the first convolution of the small picture of the atlas; 0 to look at the
            numbers alone.
        picture_size: Texels along an edge of that picture.
        num_members: Networks that learn from the same faces, each from a start of its own, and are asked
            together.
    """

    num_cues: int
    width: int = 96
    num_hidden: int = 2
    dropout: float = 0.2
    picture_width: int = 12
    picture_size: int = 64
    num_members: int = 1


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
    """Some small networks that are asked together: where they disagree, none of them is to be trusted.

    The answer is the mean of theirs, its variance the mean of theirs plus the variance between them
    (Lakshminarayanan et al., *Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles*,
    2017). The numbers are normalised by the means and spreads that the networks were trained with.
    """

    cue_mean: Float[Tensor, " F"]
    cue_scale: Float[Tensor, " F"]

    def __init__(self, config: ToneConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("cue_mean", torch.zeros(config.num_cues))
        self.register_buffer("cue_scale", torch.ones(config.num_cues))
        self.members = nn.ModuleList(_Member(config) for _ in range(config.num_members))

    def forward(self, values: Float[Tensor, "b F"], picture: Float[Tensor, "b 5 m m"]) -> ToneOutput:
        """Tone of faces.

        In training the answers are those of the members, all faces of the first, then all of the next.

        Args:
            values: See :class:`facelume.fitting.tone_cues.ToneCues`.
            picture: Likewise.
        """
        normal = ((values - self.cue_mean) / self.cue_scale).clamp(-4, 4)
        answers = [member(normal, picture) for member in self.members]
        if self.training or len(answers) == 1:
            return ToneOutput(*(torch.cat(parts) for parts in zip(*answers, strict=True)))
        return _agreed(answers)


class _Member(nn.Module):
    """A small perceptron on the numbers, small convolutions on the picture."""

    def __init__(self, config: ToneConfig) -> None:
        super().__init__()
        self.picture = _PictureEncoder(config) if config.picture_width else None
        self.picture_layer = min(1, config.num_hidden - 1)
        layers: list[nn.Module] = []
        inputs = config.num_cues
        for index in range(config.num_hidden):
            if index == self.picture_layer and self.picture is not None:
                inputs += config.width
            layers.append(
                nn.Sequential(nn.Linear(inputs, config.width), nn.GELU(), nn.Dropout(config.dropout))
            )
            inputs = config.width
        self.layers = nn.ModuleList(layers)
        self.answer = nn.Linear(inputs, 6)

    def forward(self, normal: Float[Tensor, "b F"], picture: Float[Tensor, "b 5 m m"]) -> ToneOutput:
        found = normal
        for index, layer in enumerate(self.layers):
            if index == self.picture_layer and self.picture is not None:
                found = torch.cat([found, self.picture(picture)], dim=1)
            found = layer(found)
        raw = self.answer(found).float()
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


class _PictureEncoder(nn.Module):
    """Features of the small picture of the atlas; each texel knows where it lies."""

    def __init__(self, config: ToneConfig) -> None:
        super().__init__()
        width, size = config.picture_width, config.picture_size
        self.place = nn.Parameter(torch.zeros(1, _NUM_PLACE_CHANNELS, size, size))
        channels = [5 + _NUM_PLACE_CHANNELS, width, width, 2 * width, 2 * width, 3 * width, 4 * width]
        strides = [2, 1, 2, 1, 2, 2]
        blocks: list[nn.Module] = []
        for before, after, stride in zip(channels[:-1], channels[1:], strides, strict=True):
            blocks += [nn.Conv2d(before, after, 3, stride, 1), nn.GroupNorm(_NUM_GROUPS, after), nn.GELU()]
        side = size // math.prod(strides)
        self.layers = nn.Sequential(
            *blocks,
            nn.Flatten(),
            nn.Dropout(_PICTURE_DROPOUT),
            nn.Linear(channels[-1] * side**2, config.width),
            nn.GELU(),
            nn.Dropout(config.dropout),
        )

    def forward(self, picture: Float[Tensor, "b 5 m m"]) -> Float[Tensor, "b w"]:
        place = self.place.expand(len(picture), -1, -1, -1)
        features: Tensor = self.layers(torch.cat([picture, place], dim=1))
        return features


def _agreed(answers: Sequence[ToneOutput]) -> ToneOutput:
    """One answer of several; hues differ as offsets do from the mean of each answer's own tone."""
    log_luminance, offsets, log_sigma = (torch.stack(parts) for parts in zip(*answers, strict=True))
    told = torch.cat([log_luminance[..., None], offsets], dim=-1)
    variance = torch.exp(2 * log_sigma).mean(dim=0) + told.var(dim=0, correction=0)
    return ToneOutput(log_luminance.mean(dim=0), offsets.mean(dim=0), 0.5 * torch.log(variance))


def _held(values: Float[Tensor, " b"], least: float, largest: float) -> Float[Tensor, " b"]:
    """Values as they are inside a range, bent smoothly towards its ends beyond."""
    over = functional.softplus((values - largest) / _KNEE) * _KNEE
    under = functional.softplus((least - values) / _KNEE) * _KNEE
    return values - over + under


def build_tone(config: Mapping[str, Any]) -> ToneNetwork:
    """The tone network of a weight record's configuration; unknown names are refused with ValueError."""
    return ToneNetwork(read_network_config(config, ToneConfig))
