"""The camera of the synthetic faces: exposure, white balance, blur, noise, JPEG."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from scipy.ndimage import gaussian_filter


@dataclass(frozen=True)
class CameraFlaws:
    """What one synthetic camera does to the light that reaches it.

    Attributes:
        blur_px: Radius of the lens blur, crop pixels.
        detail: Resolution of the picture as a share of the crop's, (0, 1].
        shot_noise: Noise standard deviation at linear value 1.
        read_noise: Noise standard deviation at linear value 0.
        gamma: Exponent on the sRGB-encoded value, about 1.
        jpeg_quality: 30 to 95.
    """

    blur_px: float
    detail: float
    shot_noise: float
    read_noise: float
    gamma: float
    jpeg_quality: int


def random_flaws(rng: np.random.Generator) -> CameraFlaws:
    """From a clean portrait to a poor thumbnail."""
    is_poor = rng.random() < 0.3
    return CameraFlaws(
        blur_px=float(rng.uniform(0.35, 0.6) + (rng.uniform(0, 1.0) if is_poor else 0.0)),
        detail=float(rng.uniform(0.4, 1.0)) if is_poor else 1.0,
        shot_noise=float(rng.uniform(0.0, 0.03)),
        read_noise=float(rng.uniform(0.0, 0.008)),
        gamma=float(np.exp(rng.normal(0.0, 0.06))),
        jpeg_quality=int(rng.integers(35, 96)),
    )


def exposure_gain(
    image_linear: Float[np.ndarray, "H W 3"],
    face: Bool[np.ndarray, "H W"],
    light_colour: Float[np.ndarray, " 3"],
    rng: np.random.Generator,
) -> Float[np.ndarray, " 3"]:
    """Gain per colour: most of the light's cast is balanced away, the face gets a usual brightness."""
    balance = (light_colour.mean() / np.maximum(light_colour, 1e-4)) ** rng.uniform(0.55, 1.0)
    balance = balance * np.exp(rng.normal(0.0, 0.05, size=3))
    face_mean = (image_linear[face] * balance).mean() if face.any() else image_linear.mean()
    # A meter half follows the skin: dark skin comes out darker, but less so than its albedo.
    target = np.clip(np.exp(rng.normal(np.log(0.2), 0.45)), 0.05, 0.5)
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
