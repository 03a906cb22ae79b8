"""The refinement network: unwrapped photo and prior albedo in, light-free albedo and per-texel light out.

Encoder, six residual blocks and two decoders **without skip connections**, as the paper describes it in
words: a 3x3 convolution, four 4x4 convolutions of stride 2, the residual blocks on the smallest grid, four
transposed 4x4 convolutions per decoder and a last plain convolution against checkerboards. Width 64 is the
paper's network (36.8 million parameters). What the heads *mean* is configuration (:class:`RefinerConfig`):
``absolute`` is the paper's reading, ``residual`` predicts the change of the prior albedo and of the coarse
light.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

NUM_LIGHT_CHANNELS = 27
_LOG_GAIN_RANGE = (-4.0, 1.2)


@dataclass(frozen=True)
class RefinerConfig:
    """Shape of the network and meaning of its heads.

    Attributes:
        width: Channels after the first convolution; 64 is the paper's, the widest layer has eight times as
            many.
        map_size: Side of the maps that enter and leave the network, texels; a multiple of 16.
        num_residual_blocks: Residual blocks on the smallest grid.
        head: ``absolute``: albedo and light are the heads' values (paper). ``residual``: albedo is the prior
            changed in logits, light is the coarse light times a gain plus a deviation.
        with_context: Also feed the visibility and the shading of the coarse light (4 more input channels).
        with_gate: The albedo head also gives the gate of the detail transfer and the confidence (2 channels).
        trunk: ``paper`` is this module's network; ``unet`` that of :mod:`facelume.networks.unet_refiner`,
            whose ``num_residual_blocks`` are its blocks on the smallest grid.
        with_geometry: Also feed the normals and which texels are clipped (4 more input channels).
        least_gate: Least share of the photo's fine detail that is taken over where light falls, [0, 1]: what
            is no edge of a shadow or a highlight is worth more than the risk.
    """

    width: int = 64
    map_size: int = 256
    num_residual_blocks: int = 6
    head: Literal["absolute", "residual"] = "absolute"
    with_context: bool = False
    with_gate: bool = False
    trunk: Literal["paper", "unet"] = "paper"
    with_geometry: bool = False
    least_gate: float = 0.0

    @property
    def num_input_channels(self) -> int:
        """Texture and prior albedo, and what ``with_context`` and ``with_geometry`` ask for."""
        return 6 + 4 * self.with_context + 4 * self.with_geometry

    @property
    def num_albedo_channels(self) -> int:
        """Red, green and blue, plus gate and confidence where ``with_gate`` asks for them."""
        return 5 if self.with_gate else 3


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with instance normalisation, added to their input."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(num_channels, num_channels, 3, padding=1),
            nn.InstanceNorm2d(num_channels),
            nn.LeakyReLU(0.2),
            nn.Conv2d(num_channels, num_channels, 3, padding=1),
            nn.InstanceNorm2d(num_channels),
        )

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return ``features`` plus the block's correction."""
        return features + self.layers(features)


def _down(num_in: int, num_out: int) -> list[nn.Module]:
    return [nn.Conv2d(num_in, num_out, 4, stride=2, padding=1), nn.InstanceNorm2d(num_out), nn.LeakyReLU(0.2)]


def _up(num_in: int, num_out: int) -> list[nn.Module]:
    layer = nn.ConvTranspose2d(num_in, num_out, 4, stride=2, padding=1)
    return [layer, nn.InstanceNorm2d(num_out), nn.LeakyReLU(0.2)]


def _decoder(width: int, num_out: int) -> nn.Sequential:
    layers = [
        *_up(8 * width, 4 * width),
        *_up(4 * width, 2 * width),
        *_up(2 * width, width),
        *_up(width, width),
        nn.Conv2d(width, num_out, 3, padding=1),
    ]
    return nn.Sequential(*layers)


class Refiner(nn.Module):
    """The network alone, in network units; :func:`facelume.refinement.refine.refine` wraps it for users."""

    def __init__(self, config: RefinerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.encoder = nn.Sequential(
            nn.Conv2d(config.num_input_channels, width, 3, padding=1),
            nn.InstanceNorm2d(width),
            nn.LeakyReLU(0.2),
            *_down(width, width),
            *_down(width, 2 * width),
            *_down(2 * width, 4 * width),
            *_down(4 * width, 8 * width),
        )
        self.residual_blocks = nn.Sequential(
            *(ResidualBlock(8 * width) for _ in range(config.num_residual_blocks))
        )
        self.albedo_decoder = _decoder(width, config.num_albedo_channels)
        self.light_decoder = _decoder(width, NUM_LIGHT_CHANNELS)
        if config.head == "residual":
            for decoder in (self.albedo_decoder, self.light_decoder):
                last = decoder[-1]
                assert isinstance(last, nn.Conv2d)
                nn.init.normal_(last.weight, std=1e-3)
                assert last.bias is not None
                nn.init.zeros_(last.bias)

    def forward(
        self, inputs: Float[Tensor, "b c s s"]
    ) -> tuple[Float[Tensor, "b a s s"], Float[Tensor, "b 27 s s"]]:
        """Return the raw values of the albedo head (3 or 5 channels, no sigmoid) and of the light head."""
        features = self.residual_blocks(self.encoder(inputs))
        return self.albedo_decoder(features), self.light_decoder(features)


def logit(probability: Float[Tensor, "*s"], margin: float = 0.004) -> Float[Tensor, "*s"]:
    """Inverse of the sigmoid, with the argument held ``margin`` away from 0 and 1."""
    clamped = probability.clamp(margin, 1 - margin)
    return torch.log(clamped) - torch.log1p(-clamped)


def decode_albedo(
    raw: Float[Tensor, "b a s s"], prior_albedo: Float[Tensor, "b 3 s s"], config: RefinerConfig
) -> Float[Tensor, "b 3 s s"]:
    """Turn the albedo head into linear albedo in (0, 1).

    ``residual``: ``sigmoid(logit(prior) + 2 raw)``; ``absolute``: ``sigmoid(raw)``.
    """
    if config.head == "residual":
        return torch.sigmoid(logit(prior_albedo) + 2.0 * raw[:, :3])
    return torch.sigmoid(raw[:, :3])


def decode_light(
    raw: Float[Tensor, "b 27 s s"], coarse_map: Float[Tensor, "b 27 s s"], config: RefinerConfig
) -> Float[Tensor, "b 27 s s"]:
    """Turn the light head into radiance coefficients per texel, channel ``3 k + rgb``.

    ``absolute``: the head itself. ``residual``: with ``m`` the head's mean over the nine coefficients of a
    colour and ``d`` the deviation from it, ``coarse * exp(m) + 0.25 * level * d``, ``level`` the mean of
    ``coarse[0]`` over the map: the mean dims or brightens the coarse light (shadow, highlight), the deviation
    turns it, or brings light where the coarse one is in shadow.

    Args:
        raw: The light head.
        coarse_map: Radiance coefficients per texel of the coarse light, shadows included.
        config: Says what the head means.
    """
    if config.head == "absolute":
        return raw
    batch, _, height, width = raw.shape
    head = raw.reshape(batch, 9, 3, height, width)
    mean = head.mean(dim=1, keepdim=True)
    coarse = coarse_map.unflatten(1, (9, 3))
    level = coarse[:, :1].mean(dim=(-1, -2), keepdim=True)
    light = coarse * torch.exp(mean.clamp(*_LOG_GAIN_RANGE)) + 0.25 * level * (head - mean)
    return light.reshape(batch, NUM_LIGHT_CHANNELS, height, width)
