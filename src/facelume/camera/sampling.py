"""Resampling a photo into a crop: antialiased, edge-replicated, fast for huge photos."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from PIL import Image
from torch import Tensor

from facelume.camera.crop import CROP_SIZE_PX, CropTransform
from facelume.errors import UsageError

_STRIP_PIXELS = 4_000_000


def sample_crop(
    photo_srgb: Shaped[np.ndarray, "H W 3"], transform: CropTransform, size_px: int = CROP_SIZE_PX
) -> Float[np.ndarray, "size size 3"]:
    """Resample the part of a photo that a crop covers.

    A crop pixel is the mean of the photo over its footprint: photo pixels are first averaged in whole blocks,
    to about two blocks per crop pixel, then read bilinearly at 2 x 2 or 3 x 3 places per crop pixel. A crop
    that enlarges the photo is read bilinearly at pixel centres. Outside, the photo continues with its edge
    pixels.

    Args:
        photo_srgb: EXIF-upright photo, uint8 or float in [0, 1], averaged in the encoding it has.
        transform: The crop, defined at 224 px.
        size_px: Width and height of the result; the field of view stays that of the 224 px crop.

    Returns:
        Crop in [0, 1], float32, in the encoding of the photo.

    Raises:
        UsageError: The photo is neither uint8 nor float, or has no pixels.
    """
    if photo_srgb.size == 0 or not (photo_srgb.dtype == np.uint8 or photo_srgb.dtype.kind == "f"):
        raise UsageError(
            f"sample_crop needs a non-empty uint8 or float photo, got {photo_srgb.dtype} {photo_srgb.shape}; "
            "convert it with facelume.io first"
        )
    photo_from_sample = transform.photo_from_crop.astype(np.float64).copy()
    photo_from_sample[:, :2] *= CROP_SIZE_PX / size_px
    scale = transform.scale * CROP_SIZE_PX / size_px
    left, top, right, bottom = _covered_region(
        photo_from_sample, size_px, photo_srgb.shape[1], photo_srgb.shape[0]
    )
    block_px = max(1, round(scale / 2.0))
    region = _block_mean(photo_srgb[top:bottom, left:right], block_px)
    remaining = scale / block_px
    num_taps = 1 if remaining <= 1.0 else 2 if remaining <= 2.0 else 3
    origin = np.array([left, top], dtype=np.float64)
    region_from_sample = photo_from_sample.copy()
    region_from_sample[:, 2] -= origin
    region_from_sample /= block_px
    return _read_bilinear(region, region_from_sample, size_px, num_taps)


def _covered_region(
    photo_from_sample: Float[np.ndarray, "2 3"], size_px: int, width_px: int, height_px: int
) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the photo part that is read; never empty, even beside the photo."""
    corners = np.array([[0, 0], [size_px, 0], [0, size_px], [size_px, size_px]], dtype=np.float64)
    corners_px = corners @ photo_from_sample[:, :2].T + photo_from_sample[:, 2]
    margin = 2.0 + float(np.hypot(*photo_from_sample[:, 0]))
    limits = np.array([width_px, height_px], dtype=np.float64)
    low = np.clip(np.floor(corners_px.min(axis=0) - margin), 0, limits - 1).astype(int)
    high = np.clip(np.ceil(corners_px.max(axis=0) + margin), low + 1, limits).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _block_mean(region: Shaped[np.ndarray, "H W 3"], block_px: int) -> Float[Tensor, "1 3 h w"]:
    """Mean of blocks of ``block_px`` squared, in [0, 1]; the last row and column average what is left.

    Works strip by strip, so that a 100-megapixel photo needs little memory beside itself.
    """
    num_rows = max(1, _STRIP_PIXELS // (region.shape[1] * block_px)) * block_px
    strips = [
        _strip_mean(region[row : row + num_rows], block_px) for row in range(0, region.shape[0], num_rows)
    ]
    return torch.cat(strips, dim=-2)


def _strip_mean(strip: Shaped[np.ndarray, "H W 3"], block_px: int) -> Float[Tensor, "1 3 h w"]:
    if strip.dtype == np.uint8:
        if block_px > 1:
            strip = np.asarray(Image.fromarray(np.ascontiguousarray(strip)).reduce(block_px))
        return torch.from_numpy(strip.astype(np.float32) * np.float32(1.0 / 255.0)).permute(2, 0, 1)[None]
    if block_px > 1:
        rows, columns = (np.arange(0, length, block_px) for length in strip.shape[:2])
        total = np.add.reduceat(np.add.reduceat(strip, rows, axis=0), columns, axis=1)
        heights, widths = (
            np.diff(starts, append=length)
            for starts, length in zip((rows, columns), strip.shape[:2], strict=True)
        )
        strip = total / (heights[:, None] * widths)[..., None]
    return torch.from_numpy(strip.astype(np.float32)).permute(2, 0, 1)[None]


def _read_bilinear(
    region: Float[Tensor, "1 3 h w"],
    region_from_sample: Float[np.ndarray, "2 3"],
    size_px: int,
    num_taps: int,
) -> Float[np.ndarray, "size size 3"]:
    """Mean of ``num_taps`` squared bilinear reads per sample, evenly spread over the sample's square."""
    places = (np.arange(size_px * num_taps) + 0.5) / num_taps
    matrix = region_from_sample
    x_px = matrix[0, 0] * places[None, :] + matrix[0, 1] * places[:, None] + matrix[0, 2]
    y_px = matrix[1, 0] * places[None, :] + matrix[1, 1] * places[:, None] + matrix[1, 2]
    height, width = region.shape[-2:]
    grid = np.stack((x_px * (2.0 / width) - 1.0, y_px * (2.0 / height) - 1.0), axis=-1).astype(np.float32)
    taps = F.grid_sample(
        region, torch.from_numpy(grid)[None], mode="bilinear", padding_mode="border", align_corners=False
    )
    mean = taps if num_taps == 1 else F.avg_pool2d(taps, num_taps)
    return np.ascontiguousarray(mean[0].permute(1, 2, 0).clamp(0.0, 1.0).numpy())
