"""The camera of the synthetic faces: exposure, white balance, blur, noise, JPEG."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from scipy.ndimage import gaussian_filter

from facelume.data.distributions import draw_count
from facelume.data.synthetic.config import CameraConfig


@dataclass(frozen=True)
class CameraFlaws:
    """What one synthetic camera does to the light that reaches it.

    Attributes:
        blur_px: Radius of the lens blur, crop pixels.
        detail: Resolution of the picture as a share of the crop's, (0, 1].
        shot_noise: Noise standard deviation at linear value 1.
        read_noise: Noise standard deviation at linear value 0.
        gamma: Exponent on the sRGB-encoded value, about 1.
        jpeg_quality: 1 to 95.
    """

    blur_px: float
    detail: float
    shot_noise: float
    read_noise: float
    gamma: float
    jpeg_quality: int


def random_flaws(config: CameraConfig, rng: np.random.Generator) -> CameraFlaws:
    """From a clean portrait to a poor thumbnail."""
    is_poor = rng.random() < config.poor_fraction
    blur = rng.uniform(*config.blur_range_px)
    return CameraFlaws(
        blur_px=float(blur + (rng.uniform(*config.poor_blur_range_px) if is_poor else 0.0)),
        detail=float(rng.uniform(*config.poor_detail_range)) if is_poor else 1.0,
        shot_noise=float(rng.uniform(*config.shot_noise_range)),
        read_noise=float(rng.uniform(*config.read_noise_range)),
        gamma=float(np.exp(rng.normal(0.0, config.gamma_sigma))),
        jpeg_quality=draw_count(config.jpeg_quality_range, rng),
    )


def exposure_gain(
    image_linear: Float[np.ndarray, "H W 3"],
    face: Bool[np.ndarray, "H W"],
    light_colour: Float[np.ndarray, " 3"],
    config: CameraConfig,
    rng: np.random.Generator,
) -> Float[np.ndarray, " 3"]:
    """Gain per colour: most of the light's cast is balanced away, the face gets a usual brightness."""
    balance = (light_colour.mean() / np.maximum(light_colour, 1e-4)) ** rng.uniform(*config.balance_range)
    balance = balance * np.exp(rng.normal(0.0, config.balance_sigma, size=3))
    face_mean = (image_linear[face] * balance).mean() if face.any() else image_linear.mean()
    # A meter half follows the skin: dark skin comes out darker, but less so than its albedo.
    median = np.log(config.brightness_median)
    target = np.clip(np.exp(rng.normal(median, config.brightness_sigma)), *config.brightness_range)
    gain = target / max(float(face_mean), 1e-4)
    return (balance * gain).astype(np.float32)


def take_picture(
    image_linear: Float[np.ndarray, "H W 3"], flaws: CameraFlaws, rng: np.random.Generator
) -> UInt8[np.ndarray, "H W 3"]:
    """Expose, blur, add noise, encode to sRGB and compress; values above 1 are clipped."""
    image = np.stack([gaussian_filter(image_linear[..., c], flaws.blur_px) for c in range(3)], axis=-1)
    height, width = image.shape[:2]
    sigma = np.sqrt(flaws.read_noise**2 + flaws.shot_noise**2 * np.clip(image, 0.0, 1.0))
    image = np.clip(image + rng.normal(size=image.shape) * sigma, 0.0, 1.0)
    encoded = np.where(image <= 0.0031308, 12.92 * image, 1.055 * image ** (1 / 2.4) - 0.055)
    picture = Image.fromarray((np.clip(encoded, 0, 1) ** flaws.gamma * 255 + 0.5).astype(np.uint8))
    if flaws.detail < 1.0:
        small = (round(width * flaws.detail), round(height * flaws.detail))
        picture = picture.resize(small, Image.Resampling.BOX).resize(
            (width, height), Image.Resampling.BICUBIC
        )
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=flaws.jpeg_quality)
    buffer.seek(0)
    with Image.open(buffer) as decoded:
        return np.asarray(decoded.convert("RGB"))
