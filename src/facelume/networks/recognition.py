"""MobileFaceNet face recognition: the perceptual measure of training, not needed to reconstruct a face."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from facelume.errors import AssetError
from facelume.geometry import similarity_from_points

INPUT_HEIGHT_PX = 112
INPUT_WIDTH_PX = 96
TEMPLATE_POINTS_PX: tuple[tuple[float, float], ...] = (
    (30.2946, 51.6963),
    (65.5318, 51.5014),
    (48.0252, 71.7366),
    (33.5493, 92.3655),
    (62.7299, 92.2041),
)
"""Eye centres, nose tip and mouth corners in picture order, pixels of the 96 x 112 input."""

# (expansion, channels, repeats, stride of the first repeat)
_STAGES = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))


class _ConvBlock(nn.Module):
    """Convolution and batch normalisation, with a PReLU unless ``is_linear``."""

    def __init__(
        self,
        num_in: int,
        num_out: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: int = 0,
        is_depthwise: bool = False,
        is_linear: bool = False,
    ) -> None:
        super().__init__()
        groups = num_in if is_depthwise else 1
        self.conv = nn.Conv2d(num_in, num_out, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(num_out)
        self.prelu: nn.Module = nn.Identity() if is_linear else nn.PReLU(num_out)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        return self.prelu(self.bn(self.conv(features)))


class _Bottleneck(nn.Module):
    """Inverted residual: expand, depthwise 3x3, project."""

    def __init__(self, num_in: int, num_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        self.has_shortcut = stride == 1 and num_in == num_out
        inner = num_in * expansion
        self.conv = nn.Sequential(
            nn.Conv2d(num_in, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.PReLU(inner),
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.PReLU(inner),
            nn.Conv2d(inner, num_out, 1, bias=False),
            nn.BatchNorm2d(num_out),
        )

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        out = self.conv(features)
        return features + out if self.has_shortcut else out


class MobileFaceNet(nn.Module):
    """MobileFaceNet (Chen et al. 2018) for 112 x 96 faces, 128 numbers out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _ConvBlock(3, 64, 3, stride=2, padding=1)
        self.dw_conv1 = _ConvBlock(64, 64, 3, padding=1, is_depthwise=True)
        blocks: list[nn.Module] = []
        num_in = 64
        for expansion, num_out, repeats, first_stride in _STAGES:
            for index in range(repeats):
                blocks.append(_Bottleneck(num_in, num_out, first_stride if index == 0 else 1, expansion))
                num_in = num_out
        self.blocks = nn.Sequential(*blocks)
        self.conv2 = _ConvBlock(128, 512, 1)
        self.linear7 = _ConvBlock(512, 512, (7, 6), is_depthwise=True, is_linear=True)
        self.linear1 = _ConvBlock(512, 128, 1, is_linear=True)

    def forward(self, aligned_srgb: Float[Tensor, "b 3 112 96"]) -> Float[Tensor, "b 128"]:
        """Return the embedding (not normalised) of aligned sRGB faces in [0, 1]."""
        features = self.dw_conv1(self.conv1((aligned_srgb * 255.0 - 127.5) / 128.0))
        return self.linear1(self.linear7(self.conv2(self.blocks(features)))).flatten(1)


def load_mobilefacenet(path: Path) -> MobileFaceNet:
    """Load the public MobileFaceNet weights, strictly; the result is frozen and in evaluation mode.

    Raises:
        AssetError: The file is missing, damaged or holds another network.
    """
    network = MobileFaceNet()
    try:
        network.load_state_dict(load_file(path), strict=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise AssetError(f"{path} holds no MobileFaceNet weights ({reason}); see docs/training.md") from error
    network.requires_grad_(requires_grad=False)
    return network.eval()


def template_from_points(points_px: Float[Tensor, "b 5 2"]) -> Float[Tensor, "b 2 3"]:
    """Similarity (least squares) that takes template pixels to image pixels, for each set of five points."""
    template = points_px.new_tensor(TEMPLATE_POINTS_PX).expand_as(points_px)
    return similarity_from_points(template, points_px).matrix


def align_faces(
    image: Float[Tensor, "b 3 h w"], points_px: Float[Tensor, "b 5 2"]
) -> Float[Tensor, "b 3 112 96"]:
    """Resample images to the recognition network's input by their five points; differentiable in the image.

    Args:
        image: Any values; outside the picture counts as 0.
        points_px: Eye centres, nose tip, mouth corners in picture order, pixels (pixel (0, 0) centred at
            0.5).
    """
    matrix = template_from_points(points_px)
    ys, xs = torch.meshgrid(
        torch.arange(INPUT_HEIGHT_PX, device=image.device, dtype=image.dtype) + 0.5,
        torch.arange(INPUT_WIDTH_PX, device=image.device, dtype=image.dtype) + 0.5,
        indexing="ij",
    )
    homogeneous = torch.stack([xs, ys, torch.ones_like(xs)], dim=-1)
    positions = torch.einsum("bij,hwj->bhwi", matrix, homogeneous)
    size = positions.new_tensor([image.shape[-1], image.shape[-2]])
    return functional.grid_sample(image, 2.0 * positions / size - 1.0, align_corners=False)
