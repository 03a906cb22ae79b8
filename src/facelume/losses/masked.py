"""Means over masks: the paper writes sums, which would tie every weight to the size of the maps."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def mean_over_mask(values: Float[Tensor, "b c h w"], mask: Float[Tensor, "#b 1 h w"]) -> Float[Tensor, ""]:
    """Mean over batch, channels and the texels of ``mask`` (weights in [0, 1]); 0 where it is empty."""
    weights = mask.expand(values.shape[0], -1, -1, -1)
    return (values * weights).sum() / (weights.sum() * values.shape[1]).clamp_min(1e-6)
