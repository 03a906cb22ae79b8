"""PatchGAN discriminator: tells albedo maps of the face model from refined ones, 70x70 texels at a time."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class PatchDiscriminator(nn.Module):
    """The 70x70 PatchGAN of pix2pix: three 4x4 convolutions of stride 2 and two of stride 1.

    Args:
        width: Channels after the first layer; 64 is the published one.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for num_in, num_out, stride in ((1, 2, 2), (2, 4, 2), (4, 8, 1)):
            layers += [
                nn.Conv2d(num_in * width, num_out * width, 4, stride=stride, padding=1),
                nn.InstanceNorm2d(num_out * width),
                nn.LeakyReLU(0.2),
            ]
        layers.append(nn.Conv2d(8 * width, 1, 4, stride=1, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, albedo_srgb: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 p q"]:
        """Return one logit per patch (positive = like the face model) of sRGB-encoded albedo in [0, 1]."""
        return self.layers(2.0 * albedo_srgb - 1.0)
