"""An albedo space kept as full maps: what the colours of a licensed model are baked into."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from facelume.uv.resize import resize_map


@dataclass(frozen=True, eq=False)
class AlbedoMaps:
    """Mean and components as maps of the atlas, linear Rec.709.

    Attributes:
        mean: Albedo at zero coefficients.
        basis: Change per standard deviation of each coefficient.
    """

    mean: Float[Tensor, "3 S S"]
    basis: Float[Tensor, "A 3 S S"]

    @property
    def num_components(self) -> int:
        """Number of coefficients."""
        return len(self.basis)

    def map(
        self, coefficients: Float[Tensor, "*batch A"], size: int
    ) -> Float[Tensor, "*batch 3 {size} {size}"]:
        """Albedo in [0, 1] at a size: averaged when smaller than the stored maps, bilinear when larger."""
        flat = coefficients.reshape(-1, coefficients.shape[-1]) @ self.basis.flatten(1)
        maps = self.mean + flat.unflatten(-1, self.mean.shape)
        return resize_map(maps, size).clamp(0, 1).reshape(*coefficients.shape[:-1], 3, size, size)

    def to(self, device: torch.device | str) -> AlbedoMaps:
        """The same albedo with every tensor on ``device``."""
        return AlbedoMaps(self.mean.to(device), self.basis.to(device))
