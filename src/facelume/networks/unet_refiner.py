"""The refiner as a U-Net: skip connections, attention on a coarse grid, the light at half resolution.

Same input and heads as :class:`facelume.networks.refiner.Refiner`, at the same time per face: the maps enter
as 2 x 2 blocks, so the finest grid that is computed on has half their side. What is finer comes from the
photo (``uv.transfer_detail``).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from facelume.networks.refiner import NUM_LIGHT_CHANNELS, RefinerConfig

_WIDTHS = (1, 2, 4, 6)
_GROUPS = 8
_HEADS = 4


class SelfAttention(nn.Module):
    """Every cell of a grid looks at every other; added to its input."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, num_channels)
        self.project_in = nn.Conv2d(num_channels, 3 * num_channels, 1)
        self.project_out = nn.Conv2d(num_channels, num_channels, 1)
        nn.init.zeros_(self.project_out.weight)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return ``features`` plus what was gathered from the whole grid."""
        batch, channels, height, width = features.shape
        projected = self.project_in(self.norm(features))
        split = projected.reshape(batch, 3, _HEADS, channels // _HEADS, height * width)
        query, key, value = split.transpose(-1, -2).unbind(dim=1)
        gathered = functional.scaled_dot_product_attention(query, key, value)
        return features + self.project_out(gathered.transpose(-1, -2).reshape(features.shape))


def _block(num_in: int, num_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(num_in, num_out, 3, padding=1), nn.GroupNorm(_GROUPS, num_out), nn.SiLU())


class UNetRefiner(nn.Module):
    """The network alone, in network units; :func:`facelume.refinement.refine.refine` wraps it for users."""

    def __init__(self, config: RefinerConfig) -> None:
        super().__init__()
        self.config = config
        finest, fine, coarse, coarsest = (config.width * factor for factor in _WIDTHS)
        self.enter = _block(4 * config.num_input_channels, finest)
        self.down_1, self.down_2, self.down_3 = (
            _block(finest, fine),
            _block(fine, coarse),
            _block(coarse, coarsest),
        )
        self.middle_2 = nn.Sequential(_block(coarse, coarse), SelfAttention(coarse))
        self.middle_3 = nn.Sequential(
            *(
                nn.Sequential(_block(coarsest, coarsest), SelfAttention(coarsest))
                for _ in range(config.num_residual_blocks)
            )
        )
        self.up_2, self.up_1, self.up_0 = (
            _block(coarsest + coarse, coarse),
            _block(coarse + fine, fine),
            _block(fine + finest, finest),
        )
        self.albedo_head = nn.Conv2d(finest, 4 * config.num_albedo_channels, 3, padding=1)
        self.light_head = nn.Conv2d(finest, NUM_LIGHT_CHANNELS, 3, padding=1)
        for head in (self.albedo_head, self.light_head):
            nn.init.normal_(head.weight, std=1e-3)
            assert head.bias is not None
            nn.init.zeros_(head.bias)

    def forward(
        self, inputs: Float[Tensor, "b c s s"]
    ) -> tuple[Float[Tensor, "b a s s"], Float[Tensor, "b 27 h h"]]:
        """Return the raw values of the albedo head (no sigmoid) and, at half the size, of the light head."""
        finest = self.enter(functional.pixel_unshuffle(inputs, 2))
        fine = self.down_1(_halved(finest))
        coarse = self.middle_2(self.down_2(_halved(fine)))
        coarsest = self.middle_3(self.down_3(_halved(coarse)))
        coarse = self.up_2(torch.cat([_doubled(coarsest), coarse], dim=1))
        fine = self.up_1(torch.cat([_doubled(coarse), fine], dim=1))
        finest = self.up_0(torch.cat([_doubled(fine), finest], dim=1))
        return functional.pixel_shuffle(self.albedo_head(finest), 2), self.light_head(finest)


def _halved(features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
    return functional.avg_pool2d(features, 2)


def _doubled(features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
    return functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
