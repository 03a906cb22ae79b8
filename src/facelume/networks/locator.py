"""Locator network: a small fully convolutional network that marks face centres with their box and points.

Anchor-free in the manner of CenterNet and YuNet: at every cell of a stride-8 grid one logit for "a face is
centred here", the box and five points. A face is looked for in a band of sizes; a picture pyramid brings
every face into it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from facelume.errors import AssetError
from facelume.networks.configuration import read_network_config

STRIDE_PX = 8
NUM_POINTS = 5
REFERENCE_SIZE_PX = 32.0
"""Box side for which the network's log-size is zero."""
_MAX_LOG_SIZE = 3.0


@dataclass(frozen=True)
class LocatorConfig:
    """Architecture of a :class:`LocatorNetwork` and how its logits become scores.

    Attributes:
        stem_channels: Channels at half resolution.
        middle_channels: Channels at a quarter of the resolution.
        channels: Channels at an eighth of the resolution.
        middle_blocks: Residual blocks at a quarter of the resolution.
        blocks: Residual blocks at an eighth of the resolution.
        batch_norm: Batch normalisation follows the convolutions (training); False once it is folded in.
        score_slope: Calibration, ``score = sigmoid(score_slope * logit + score_offset)``.
        score_offset: See ``score_slope``.
        threshold: Working threshold on the calibrated score.
    """

    stem_channels: int = 16
    middle_channels: int = 48
    channels: int = 96
    middle_blocks: int = 1
    blocks: int = 3
    batch_norm: bool = True
    score_slope: float = 1.0
    score_offset: float = 0.0
    threshold: float = 0.5


class LocatorOutput(NamedTuple):
    """Dense predictions; a cell's centre lies at ``(column + 0.5, row + 0.5) * STRIDE_PX`` input pixels.

    Attributes:
        centre_logits: Logit of "a face is centred here", before calibration.
        box_px: Left, top, right, bottom in input pixels.
        points_px: Subject's right eye, left eye, nose tip, right and left mouth corner, (x, y), input pixels.
    """

    centre_logits: Float[Tensor, "b h w"]
    box_px: Float[Tensor, "b 4 h w"]
    points_px: Float[Tensor, "b 5 2 h w"]


class _ConvUnit(nn.Sequential):
    """3 x 3 convolution, batch normalisation if the network has it, ReLU if asked for."""

    def __init__(
        self, inputs: int, outputs: int, *, stride: int = 1, batch_norm: bool, relu: bool = True
    ) -> None:
        layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=not batch_norm)]
        if batch_norm:
            layers.append(nn.BatchNorm2d(outputs))
        if relu:
            layers.append(nn.ReLU())
        super().__init__(*layers)


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int, *, batch_norm: bool) -> None:
        super().__init__()
        self.first = _ConvUnit(channels, channels, batch_norm=batch_norm)
        self.second = _ConvUnit(channels, channels, batch_norm=batch_norm, relu=False)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return F.relu(features + self.second(self.first(features)))


class LocatorNetwork(nn.Module):
    """Finds faces of roughly 11 to 90 px (root of box width times height) in a picture.

    Args:
        config: Architecture.
    """

    def __init__(self, config: LocatorConfig) -> None:
        super().__init__()
        self.config = config
        norm = config.batch_norm
        self.trunk = nn.Sequential(
            _ConvUnit(3, config.stem_channels, stride=2, batch_norm=norm),
            _ConvUnit(config.stem_channels, config.middle_channels, stride=2, batch_norm=norm),
            *(_ResidualBlock(config.middle_channels, batch_norm=norm) for _ in range(config.middle_blocks)),
            _ConvUnit(config.middle_channels, config.channels, stride=2, batch_norm=norm),
            *(_ResidualBlock(config.channels, batch_norm=norm) for _ in range(config.blocks)),
        )
        self.head = nn.Conv2d(config.channels, 1 + 4 + 2 * NUM_POINTS, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        bias = torch.zeros(self.head.out_channels)
        bias[0] = -4.0
        self.head.bias = nn.Parameter(bias)

    def forward(self, pictures_srgb: Float[Tensor, "b 3 H W"]) -> LocatorOutput:
        """Predict for every cell.

        Args:
            pictures_srgb: sRGB in [0, 1]; height and width are multiples of ``STRIDE_PX``.
        """
        raw = self.head(self.trunk(pictures_srgb * 4.0 - 2.0)).float()
        rows, columns = raw.shape[-2:]
        y = (torch.arange(rows, device=raw.device, dtype=raw.dtype) + 0.5) * STRIDE_PX
        x = (torch.arange(columns, device=raw.device, dtype=raw.dtype) + 0.5) * STRIDE_PX
        cell = torch.stack((x.expand(rows, columns), y[:, None].expand(rows, columns)))
        extent = REFERENCE_SIZE_PX * raw[:, 3:5].clamp(-_MAX_LOG_SIZE, _MAX_LOG_SIZE).exp()
        size = extent.prod(dim=1, keepdim=True).sqrt()
        centre = cell + raw[:, 1:3] * size
        points = cell + raw[:, 5:].unflatten(1, (NUM_POINTS, 2)) * size[:, None]
        box = torch.cat((centre - extent / 2, centre + extent / 2), dim=1)
        return LocatorOutput(centre_logits=raw[:, 0], box_px=box, points_px=points)


def build_locator(config: Mapping[str, Any]) -> LocatorNetwork:
    """The locator network of a weight record's configuration; unknown names are refused with ValueError."""
    return LocatorNetwork(read_network_config(config, LocatorConfig))


def fold_batch_norm(network: LocatorNetwork, config: LocatorConfig) -> LocatorNetwork:
    """Return a network without batch normalisation that computes the same as ``network`` in evaluation mode.

    Args:
        network: Network with batch normalisation; stays as it is, in whatever mode it is.
        config: Configuration of the result: the same widths, ``batch_norm=False``.

    Raises:
        AssetError: The two configurations do not fit together.
    """
    folded = LocatorNetwork(config)
    sources = [m for m in copy.deepcopy(network).eval().modules() if isinstance(m, _ConvUnit)]
    targets = [m for m in folded.modules() if isinstance(m, _ConvUnit)]
    if config.batch_norm or not network.config.batch_norm or len(sources) != len(targets):
        raise AssetError(
            "cannot fold: the source needs batch_norm=True, the result batch_norm=False, same widths"
        )
    for source, target in zip(sources, targets, strict=True):
        convolution, norm = source[0], source[1]
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        target[0].load_state_dict(fuse_conv_bn_eval(convolution, norm).state_dict())
    folded.head.load_state_dict(network.head.state_dict())
    return folded.eval()
