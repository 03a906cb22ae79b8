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

from facelume.errors import AssetError, UnreadableInputError
from facelume.illumination.radiance_hdr import read_radiance_hdr
from facelume.illumination.sh import sh_basis


def directions_of_environment_map(
    height: int, width: int, *, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "H W 3"]:
    """Unit direction (light axes) of the centre of each pixel of a lat-long map."""
    polar = (torch.arange(height, dtype=torch.float64) + 0.5) * (torch.pi / height)
    azimuth = ((torch.arange(width, dtype=torch.float64) + 0.5) / width - 0.5) * (2.0 * torch.pi)
    ring = torch.sin(polar)[:, None]
    x = -ring * torch.sin(azimuth)
    y = torch.cos(polar)[:, None].expand(height, width)
    z = ring * torch.cos(azimuth)
    return torch.stack((x, y, z), dim=-1).to(dtype)


def solid_angles(height: int, width: int, *, dtype: torch.dtype = torch.float32) -> Float[Tensor, " H"]:
    """Solid angle (steradian) of one pixel of each row, integrated exactly: all pixels sum to 4 pi."""
    borders = torch.cos(torch.arange(height + 1, dtype=torch.float64) * (torch.pi / height))
    return ((borders[:-1] - borders[1:]) * (2.0 * torch.pi / width)).to(dtype)


def sh_from_environment_map(radiance: Float[Tensor, "H W 3"]) -> Float[Tensor, "9 3"]:
    """Project a lat-long map of linear radiance onto the nine basis functions (light axes)."""
    height, width, _ = radiance.shape
    basis = sh_basis(directions_of_environment_map(height, width, dtype=torch.float64))
    weighted = radiance.to(torch.float64) * solid_angles(height, width, dtype=torch.float64)[:, None, None]
    return torch.einsum("hwk,hwc->kc", basis, weighted).to(radiance.dtype)


def environment_map_from_sh(
    sh_radiance: Float[Tensor, "9 3"], height: int = 64, width: int = 128
) -> Float[Tensor, "H W 3"]:
    """Lat-long picture of a light; band-limited radiance may be negative in places."""
    directions = directions_of_environment_map(height, width, dtype=sh_radiance.dtype)
    return sh_basis(directions) @ sh_radiance


def load_environment_map(path: str | os.PathLike[str]) -> Float[Tensor, "H W 3"]:
    """Read a lat-long map of linear radiance from a Radiance ``.hdr`` or an OpenEXR ``.exr`` file.

    Negative values (noise of some stitchers) become 0.

    Raises:
        UnreadableInputError: No such file, another format, damaged, or values that are not finite.
        AssetError: ``.exr`` without the OpenEXR package.
    """
    file = Path(path)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UnreadableInputError(
            f"cannot read environment map {file}: {error.strerror}; check the path"
        ) from error
    match file.suffix.lower():
        case ".hdr" | ".pic" | ".rgbe":
            radiance = read_radiance_hdr(data, name=str(file))
        case ".exr":
            radiance = _read_exr(file)
        case suffix:
            raise UnreadableInputError(
                f"environment map {file} has the unknown suffix {suffix!r}; use a lat-long .hdr or .exr file"
            )
    if not np.isfinite(radiance).all():
        raise UnreadableInputError(
            f"environment map {file} holds values that are not finite; repair or re-export it"
        )
    return torch.from_numpy(np.maximum(radiance, 0.0))


def _read_exr(file: Path) -> Float[np.ndarray, "H W 3"]:
    try:
        import OpenEXR
    except ImportError as error:
        raise AssetError(
            f"reading {file} needs the OpenEXR package; install it with: pip install 'facelume[hdr]', "
            "or convert the map to .hdr"
        ) from error
    try:
        channels = OpenEXR.File(str(file), separate_channels=True).channels()
        planes = [np.asarray(channels[name].pixels, dtype=np.float32) for name in ("R", "G", "B")]
    except (RuntimeError, ValueError, TypeError, KeyError, OSError) as error:
        raise UnreadableInputError(
            f"{file} is no OpenEXR picture with channels R, G and B ({error}); re-export it"
        ) from error
    return np.stack(planes, axis=-1)
