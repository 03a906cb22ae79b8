"""The open model's albedo: a mean and components in linear RGB over the whole atlas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from facelume.errors import AssetError
from facelume.uv.resize import resize_map

ALBEDO_FLOOR = 0.005
"""No skin, hair or pupil reflects less (linear)."""


@dataclass(frozen=True, eq=False)
class AlbedoBasis:
    """Linear Rec.709 albedo of the atlas as mean plus components.

    Attributes:
        mean: Albedo at zero coefficients.
        basis: Change per standard deviation of each coefficient, stored at half the mean's size.
        mirror_sign: +1 for a component that is its own mirror image, -1 for an odd one.
        example_coeffs: Coefficients of the people and skins that the basis was learned from, varied in tone.
    """

    mean: Float[Tensor, "3 S S"]
    basis: Float[Tensor, "A 3 s s"]
    mirror_sign: Float[Tensor, " A"]
    example_coeffs: Float[Tensor, "E A"]

    @property
    def num_components(self) -> int:
        """Number of coefficients."""
        return self.basis.shape[0]

    def map(
        self, coefficients: Float[Tensor, "*batch A"], size: int
    ) -> Float[Tensor, "*batch 3 {size} {size}"]:
        """Linear albedo in [``ALBEDO_FLOOR``, 1]; before that clamp it is linear in the coefficients.

        Args:
            coefficients: In standard deviations.
            size: Texels along an edge; smaller maps are averages, larger ones bilinear.
        """
        flat = coefficients.reshape(-1, self.num_components)
        change = (flat @ self.basis.flatten(1).to(flat)).unflatten(-1, self.basis.shape[1:])
        albedo = resize_map(self.mean.to(flat)[None], size) + resize_map(change, size)
        return albedo.clamp(ALBEDO_FLOOR, 1.0).reshape(*coefficients.shape[:-1], 3, size, size)

    def mirror_coeffs(self, coefficients: Float[Tensor, "*batch A"]) -> Float[Tensor, "*batch A"]:
        """Coefficients of the mirrored albedo; an involution."""
        return coefficients * self.mirror_sign.to(coefficients)

    def to(self, device: torch.device | str) -> AlbedoBasis:
        """The same basis with every tensor on ``device``."""
        return AlbedoBasis(
            self.mean.to(device),
            self.basis.to(device),
            self.mirror_sign.to(device),
            self.example_coeffs.to(device),
        )


def load_albedo_basis(path: Path) -> AlbedoBasis:
    """Read ``open_albedo_basis.npz``.

    Raises:
        AssetError: The file is damaged or lacks a part.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            mean = arrays["mean_u16"].astype(np.float32) / 65535.0
            basis = arrays["basis_i8"].astype(np.float32) * arrays["basis_scale"][:, None, None, None]
            return AlbedoBasis(
                mean=torch.from_numpy(mean),
                basis=torch.from_numpy(basis.astype(np.float32)),
                mirror_sign=torch.from_numpy(arrays["mirror_sign"].astype(np.float32)),
                example_coeffs=torch.from_numpy(arrays["example_coeffs"].astype(np.float32)),
            )
    except (OSError, ValueError, KeyError) as error:
        raise AssetError(f"albedo asset {path} is damaged ({error}): reinstall facelume") from error
