"""Environment maps: lat-long pictures of linear radiance over all directions.

Row 0 is up (+Y), the centre column is +Z. The map is seen from the inside, as a panorama camera takes it:
looking at the centre column, picture right is ``forward x up = Z x Y = -X``. So +X lies a quarter of the
width to the left of the centre, -X a quarter to the right, and -Z at both borders.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from facelume.errors import UnreadableInputError
from facelume.illumination.sh import sh_basis
from facelume.io.hdr_picture import load_hdr_picture


def directions_of_environment_map(
    height: int,
    width: int,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> Float[Tensor, "H W 3"]:
    """Unit direction (light axes) of the centre of each pixel of a lat-long map."""
    rows = torch.arange(height, dtype=torch.float64, device=device)
    columns = torch.arange(width, dtype=torch.float64, device=device)
    polar = (rows + 0.5) * (torch.pi / height)
    azimuth = ((columns + 0.5) / width - 0.5) * (2.0 * torch.pi)
    ring = torch.sin(polar)[:, None]
    x = -ring * torch.sin(azimuth)
    y = torch.cos(polar)[:, None].expand(height, width)
    z = ring * torch.cos(azimuth)
    return torch.stack((x, y, z), dim=-1).to(dtype)


def solid_angles(
    height: int,
    width: int,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> Float[Tensor, " H"]:
    """Solid angle (steradian) of one pixel of each row, integrated exactly: all pixels sum to 4 pi."""
    borders = torch.cos(torch.arange(height + 1, dtype=torch.float64, device=device) * (torch.pi / height))
    return ((borders[:-1] - borders[1:]) * (2.0 * torch.pi / width)).to(dtype)


def sh_from_environment_map(radiance: Float[Tensor, "H W 3"]) -> Float[Tensor, "9 3"]:
    """Project a lat-long map of linear radiance onto the nine basis functions (light axes)."""
    height, width, _ = radiance.shape
    device = radiance.device
    basis = sh_basis(directions_of_environment_map(height, width, dtype=torch.float64, device=device))
    angles = solid_angles(height, width, dtype=torch.float64, device=device)
    weighted = radiance.to(torch.float64) * angles[:, None, None]
    return torch.einsum("hwk,hwc->kc", basis, weighted).to(radiance.dtype)


def environment_map_from_sh(
    sh_radiance: Float[Tensor, "9 3"], height: int = 64, width: int = 128
) -> Float[Tensor, "H W 3"]:
    """Lat-long picture of a light; band-limited radiance may be negative in places."""
    directions = directions_of_environment_map(
        height, width, dtype=sh_radiance.dtype, device=sh_radiance.device
    )
    return sh_basis(directions) @ sh_radiance


def load_environment_map(path: str | os.PathLike[str]) -> Float[Tensor, "H W 3"]:
    """Read a lat-long map of linear radiance from a Radiance ``.hdr`` or an OpenEXR ``.exr`` file.

    Negative values (noise of some stitchers) become 0.

    Raises:
        UnreadableInputError: No such file, another format, damaged, or values that are not finite.
    """
    radiance = load_hdr_picture(Path(path))
    if not np.isfinite(radiance).all():
        raise UnreadableInputError(
            f"environment map {path} holds values that are not finite; repair or re-export it"
        )
    return torch.from_numpy(np.maximum(radiance, 0.0))
