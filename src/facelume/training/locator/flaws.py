"""Light, colour and quality of a finished scene: what phones, prints and web pages do to pictures."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFilter

from facelume.data.distributions import draw_count
from facelume.training.locator.scene_config import FlawConfig


def spoil(
    scene: UInt8[np.ndarray, "S S 3"], config: FlawConfig, rng: np.random.Generator
) -> UInt8[np.ndarray, "S S 3"]:
    """Return a scene with changed colours and, by chance, grey, blurred, coarse, noisy and compressed.

    Args:
        scene: sRGB.
        config: How often and how much.
        rng: Source of chance.
    """
    side = scene.shape[0]
    levels = np.linspace(0.0, 1.0, 256, dtype=np.float32)[:, None]
    gain = np.exp(rng.normal(0.0, config.brightness_sigma) + rng.normal(0.0, config.tint_sigma, 3))
    curve = np.power(levels, np.exp(rng.normal(0.0, config.gamma_sigma))) * gain
    contrast, offset = np.exp(rng.normal(0.0, config.contrast_sigma)), rng.normal(0.0, config.offset_sigma)
    table = (np.clip((curve - 0.5) * contrast + 0.5 + offset, 0, 1) * 255).astype(np.uint8)
    picture = np.stack([table[scene[..., channel], channel] for channel in range(3)], axis=-1)
    if rng.random() < config.grey_fraction:
        picture = np.repeat(np.asarray(Image.fromarray(picture).convert("L"))[..., None], 3, axis=-1)
    if rng.random() < config.blur_fraction:
        radius = rng.uniform(*config.blur_range_px)
        picture = np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))
    if rng.random() < config.coarse_fraction:
        small, method = int(side / rng.uniform(*config.coarse_range)), Image.Resampling.BILINEAR
        coarse = Image.fromarray(picture).resize((small, small), method)
        picture = np.asarray(coarse.resize((side, side), method))
    if rng.random() < config.noise_fraction:
        noise = rng.standard_normal((side, side, 3), dtype=np.float32) * rng.uniform(*config.noise_range)
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    if rng.random() < config.jpeg_fraction:
        buffer = BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=draw_count(config.jpeg_quality_range, rng))
        picture = np.asarray(Image.open(buffer))
    return np.ascontiguousarray(picture)
