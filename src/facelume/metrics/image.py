"""Fidelity of a rendering to a photo inside a mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from skimage.metrics import structural_similarity


@dataclass(frozen=True)
class ImageFidelity:
    """Three figures of one rendering against one photo, on sRGB-encoded values in [0, 1].

    Attributes:
        l1: Mean absolute difference over masked pixels and channels.
        psnr_db: 10·log10(1 / mean squared error) over masked pixels and channels; 100 dB at most.
        ssim: Structural similarity, the mean of its map over the mask (Gaussian window, σ 1.5 px;
            Wang et al. 2004). Both images are set to zero outside the mask first.
    """

    l1: float
    psnr_db: float
    ssim: float


_LEAST_SQUARED = 1e-10
"""Mean squared difference that counts as none: 100 dB."""


def psnr_db(
    rendering_srgb: Float[np.ndarray, "H W 3"],
    photo_srgb: Float[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"],
) -> float:
    """Peak signal-to-noise ratio over masked pixels and channels of sRGB-encoded values in [0, 1].

    Returns:
        Decibels, 100 at most; NaN when no pixel counts.
    """
    if not mask.any():
        return float("nan")
    difference = (rendering_srgb - photo_srgb)[mask].astype(np.float64)
    return -10.0 * float(np.log10(max(float(np.mean(difference**2)), _LEAST_SQUARED)))


def image_fidelity(
    rendering_srgb: Float[np.ndarray, "H W 3"],
    photo_srgb: Float[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"],
) -> ImageFidelity:
    """Compares a rendering with a photo where ``mask`` holds.

    Args:
        rendering_srgb: Rendering, sRGB-encoded, [0, 1].
        photo_srgb: Photo, sRGB-encoded, [0, 1].
        mask: Pixels that count.

    Returns:
        The figures; all NaN when no pixel counts.
    """
    if not mask.any():
        return ImageFidelity(l1=float("nan"), psnr_db=float("nan"), ssim=float("nan"))
    difference = (rendering_srgb - photo_srgb)[mask].astype(np.float64)
    keep = mask[..., None]
    _, ssim_map = structural_similarity(
        np.where(keep, rendering_srgb, 0.0),
        np.where(keep, photo_srgb, 0.0),
        channel_axis=-1,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    return ImageFidelity(
        l1=float(np.mean(np.abs(difference))),
        psnr_db=psnr_db(rendering_srgb, photo_srgb, mask),
        ssim=float(ssim_map[mask].mean()),
    )
