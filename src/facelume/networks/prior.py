"""Prior network: one light trunk that reads landmarks, coefficients and the parsing mask off a face crop.

The trunk is a ResNet-18 of small width. Two heads read its last feature map through a coarse spatial
pooling (dense landmarks with a spread each; coefficients of the open face model), and a light top-down
decoder on its pyramid gives the parsing mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from facelume.camera import CROP_FACE_DEPTH_M, CROP_SIZE_PX
from facelume.geometry.face_mesh import NUM_LANDMARKS
from facelume.networks.configuration import read_network_config

_MIN_LOG_SIGMA, _MAX_LOG_SIGMA = -1.6, 4.0
# Translation of a head that fills the canonical crop, and the spread of one network unit.
_TRANSLATION_CENTRE_M = (0.0, 0.0, CROP_FACE_DEPTH_M)
_TRANSLATION_SCALE_M = (0.05, 0.05, 0.15)


@dataclass(frozen=True)
class PriorConfig:
    """Architecture of a :class:`PriorNetwork`.

    Attributes:
        input_px: Side of the picture that the trunk sees; crops are resized to it.
        stage_widths: Channels of the four residual stages (strides 4, 8, 16, 32).
        blocks_per_stage: Residual blocks in each stage.
        head_grid: Side of the grid into which the last feature map is pooled for the heads.
        landmark_channels: Channels kept per grid cell for the landmark head.
        landmark_hidden: Hidden units of the landmark head.
        coefficient_channels: Channels kept per grid cell for the coefficient head.
        coefficient_hidden: Hidden units of the coefficient head.
        colour_grid: Side of the grid of mean crop colours that the coefficient head sees beside the features,
            which know little of absolute colour; 0 for none.
        decoder_channels: Channels of the parsing decoder.
        num_identity: Identity coefficients of the face model.
        num_expression: Expression coefficients of the face model.
        num_albedo: Albedo coefficients of the face model.
    """

    input_px: int = 192
    stage_widths: tuple[int, int, int, int] = (32, 64, 128, 224)
    blocks_per_stage: int = 2
    head_grid: int = 4
    landmark_channels: int = 48
    landmark_hidden: int = 256
    coefficient_channels: int = 32
    coefficient_hidden: int = 192
    colour_grid: int = 0
    decoder_channels: int = 32
    num_identity: int = 80
    num_expression: int = 52
    num_albedo: int = 80


class PriorOutput(NamedTuple):
    """What the prior network says about a batch of crops; a tuple, which distributed training can look into.

    Attributes:
        identity: Identity coefficients in standard deviations.
        expression: Expression coefficients in [0, 1].
        albedo: Albedo coefficients in standard deviations.
        sh_radiance: Coarse light, radiance coefficients in the light frame.
        rotvec: Rotation vector of the pose (zero for a face that looks into the camera).
        translation: Translation of ``cam_from_model`` in metres, camera axes.
        landmarks_px: Dense landmarks in pixels of the 224 px crop.
        landmark_sigma_px: Expected landmark error (scale of a Laplace law), crop pixels.
        parsing_logits: Logits of the parsing mask at a quarter of the network's input resolution.
    """

    identity: Float[Tensor, "b I"]
    expression: Float[Tensor, "b E"]
    albedo: Float[Tensor, "b A"]
    sh_radiance: Float[Tensor, "b 9 3"]
    rotvec: Float[Tensor, "b 3"]
    translation: Float[Tensor, "b 3"]
    landmarks_px: Float[Tensor, "b 478 2"]
    landmark_sigma_px: Float[Tensor, "b 478"]
    parsing_logits: Float[Tensor, "b 1 h w"]

    def parsing(self) -> Float[Tensor, "b 224 224"]:
        """Share of bare face (no hair, glasses, hand, ears, neck) at each pixel of the crop, in [0, 1]."""
        logits = F.interpolate(self.parsing_logits, size=(CROP_SIZE_PX, CROP_SIZE_PX), mode="bilinear")
        return torch.sigmoid(logits)[:, 0]


class BasicBlock(nn.Module):
    """The basic block of a ResNet: two 3x3 convolutions with batch normalisation and a skip connection."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.skip = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, features: Float[Tensor, "b C h w"]) -> Float[Tensor, "b D u v"]:
        """Return the activated sum of the residual and the skip path."""
        residual = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(features)))))
        return F.relu(residual + self.skip(features))


class GridHead(nn.Module):
    """Pools a feature map into a coarse grid and reads a vector off it with one hidden layer."""

    def __init__(
        self, in_channels: int, channels: int, grid: int, hidden: int, num_outputs: int, colour_grid: int = 0
    ) -> None:
        super().__init__()
        self.colour_grid = colour_grid
        self.reduce = nn.Sequential(nn.Conv2d(in_channels, channels, 1, bias=False), nn.BatchNorm2d(channels))
        self.pool = nn.AdaptiveAvgPool2d(grid)
        self.hidden = nn.Linear(channels * grid * grid, hidden)
        self.output = nn.Linear(hidden, num_outputs)
        if colour_grid:
            self.colour = nn.Linear(3 * colour_grid**2, hidden, bias=False)

    def forward(
        self, features: Float[Tensor, "b C h w"], picture: Float[Tensor, "b 3 H W"]
    ) -> Float[Tensor, "b N"]:
        """Return the raw outputs; the last layer runs in float32 because pixels need more than eight bits."""
        cells = self.pool(F.relu(self.reduce(features))).flatten(1)
        hidden = self.hidden(cells)
        if self.colour_grid:
            hidden = hidden + self.colour(F.adaptive_avg_pool2d(picture, self.colour_grid).flatten(1))
        hidden = F.relu(hidden)
        with torch.autocast(hidden.device.type, enabled=False):
            return F.linear(hidden.float(), self.output.weight.float(), self.output.bias.float())


class ParsingDecoder(nn.Module):
    """Adds the pyramid from coarse to fine and gives one logit per cell of the finest level."""

    def __init__(self, widths: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList([nn.Conv2d(width, channels, 1) for width in widths])
        self.smooth = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.output = nn.Conv2d(channels, 1, 3, 1, 1)

    def forward(self, pyramid: list[Tensor]) -> Float[Tensor, "b 1 h w"]:
        """Return the logits at the resolution of ``pyramid[0]``, the finest level."""
        merged = self.laterals[-1](pyramid[-1])
        for level in range(len(pyramid) - 2, -1, -1):
            finer = self.laterals[level](pyramid[level])
            merged = F.relu(finer + F.interpolate(merged, size=finer.shape[-2:], mode="bilinear"))
        return self.output(self.smooth(merged)).float()


class PriorNetwork(nn.Module):
    """Predicts landmarks, coefficients, light, pose and parsing mask from a 224 px crop."""

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.stage_widths
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 7, 2, 3, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        )
        stages = []
        previous = widths[0]
        for level, width in enumerate(widths):
            blocks = [BasicBlock(previous, width, 1 if level == 0 else 2)]
            blocks += [BasicBlock(width, width, 1) for _ in range(config.blocks_per_stage - 1)]
            stages.append(nn.Sequential(*blocks))
            previous = width
        self.stages = nn.ModuleList(stages)
        self.landmark_head = GridHead(
            previous, config.landmark_channels, config.head_grid, config.landmark_hidden, 3 * NUM_LANDMARKS
        )
        self.coefficient_sizes = (config.num_identity, config.num_expression, config.num_albedo, 27, 3, 3)
        self.coefficient_head = GridHead(
            previous,
            config.coefficient_channels,
            config.head_grid,
            config.coefficient_hidden,
            sum(self.coefficient_sizes),
            config.colour_grid,
        )
        self.parsing_decoder = ParsingDecoder(widths, config.decoder_channels)
        nn.init.normal_(self.coefficient_head.output.weight, std=1e-3)
        nn.init.zeros_(self.coefficient_head.output.bias)

    def set_mean_landmarks(self, landmarks_px: Float[Tensor, "478 2"]) -> None:
        """Start the landmark head at a mean shape (crop pixels) instead of at the crop centre."""
        with torch.no_grad():
            nn.init.normal_(self.landmark_head.output.weight, std=1e-2)
            places = (landmarks_px / CROP_SIZE_PX * 2 - 1).flatten()
            bias = torch.cat([places, places.new_full((NUM_LANDMARKS,), 2.0)])
            self.landmark_head.output.bias.copy_(bias)

    def forward(self, crop_srgb: Float[Tensor, "b 3 H W"]) -> PriorOutput:
        """Read a batch of crops.

        Args:
            crop_srgb: The canonical crop (any resolution; 224 px in use), sRGB-encoded in [0, 1].

        Returns:
            Predictions; pixels are those of the 224 px crop whatever the resolution of the input.
        """
        side = self.config.input_px
        if crop_srgb.shape[-1] != side or crop_srgb.shape[-2] != side:
            crop_srgb = F.interpolate(crop_srgb, size=(side, side), mode="bilinear", antialias=True)
        picture = (crop_srgb - 0.5) * 4.0
        features = self.stem(picture)
        pyramid = []
        for stage in self.stages:
            features = stage(features)
            pyramid.append(features)
        landmarks = self.landmark_head(features, picture)
        coordinates = landmarks[:, : 2 * NUM_LANDMARKS].reshape(-1, NUM_LANDMARKS, 2)
        log_sigma = landmarks[:, 2 * NUM_LANDMARKS :].clamp(_MIN_LOG_SIGMA, _MAX_LOG_SIGMA)
        identity, expression, albedo, light, rotvec, translation = self.coefficient_head(
            features, picture
        ).split(self.coefficient_sizes, dim=1)
        return PriorOutput(
            identity=identity,
            expression=torch.sigmoid(4.0 * expression - 2.0),
            albedo=albedo,
            sh_radiance=light.reshape(-1, 9, 3),
            rotvec=rotvec,
            translation=translation * translation.new_tensor(_TRANSLATION_SCALE_M)
            + translation.new_tensor(_TRANSLATION_CENTRE_M),
            landmarks_px=(coordinates + 1) * (CROP_SIZE_PX / 2),
            landmark_sigma_px=log_sigma.exp(),
            parsing_logits=self.parsing_decoder(pyramid),
        )


def build_prior(config: Mapping[str, Any]) -> PriorNetwork:
    """The prior network of a weight record's configuration; unknown names are refused with ValueError."""
    return PriorNetwork(read_network_config(config, PriorConfig))
