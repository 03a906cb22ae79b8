"""Every change of a map's size: bilinear, pixel centres kept, antialiased when shrinking."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def resize_map(maps: Float[Tensor, "b c s s"], size: int) -> Float[Tensor, "b c t t"]:
    """Resize maps to ``size`` texels a side, bilinear, pixel centres kept; antialiased when shrinking."""
    if maps.shape[-1] == size:
        return maps
    shrink = maps.shape[-1] > size
    return functional.interpolate(
        maps, size=(size, size), mode="bilinear", align_corners=False, antialias=shrink
    )
