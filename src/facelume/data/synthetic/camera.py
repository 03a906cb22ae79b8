"""The camera of the synthetic faces: exposure, white balance, contrast and colour, blur, noise, JPEG."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from scipy.ndimage import gaussian_filter

from facelume.data.distributions import draw_count
from facelume.data.synthetic.camera_config import BalanceConfig, CameraConfig, ExposureConfig, RenderingConfig
from facelume.reflectance.colour import REC709_LUMINANCE

_LUMINANCE = np.array(REC709_LUMINANCE)
_MIDDLE_GREY = 0.18
# Luminance of mid skin: a meter that follows the skin gives darker skin less light, lighter skin more.
_MID_SKIN = 0.2


@dataclass(frozen=True)
class Rendering:
    """How linear light becomes a picture that people like.

    Attributes:
        contrast: Exponent on linear light about middle grey.
        shoulder: Linear value from which highlights are compressed; 1 clips them.
        lift: Encoded value of black.
        saturation: Distance of colours from grey against the scene.
        gamma: Exponent on the sRGB-encoded value, about 1.
        grey_mix: Shares of the colours in a black-and-white picture; None in colour.
        toning: Factor on each encoded colour of such a picture.
    """

    contrast: float = 1.0
    shoulder: float = 1.0
    lift: float = 0.0
    saturation: float = 1.0
    gamma: float = 1.0
    grey_mix: tuple[float, float, float] | None = None
    toning: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class CameraFlaws:
    """What one synthetic camera does to the light that reaches it.

    Attributes:
        blur_px: Radius of the lens blur, crop pixels.
        detail: Resolution of the picture as a share of the crop's, (0, 1].
        shot_noise: Noise standard deviation at linear value 1.
        read_noise: Noise standard deviation at linear value 0.
        jpeg_quality: 1 to 95.
        rendering: Contrast and colour.
    """

    blur_px: float
    detail: float
    shot_noise: float
    read_noise: float
    jpeg_quality: int
    rendering: Rendering


def random_flaws(config: CameraConfig, rng: np.random.Generator) -> CameraFlaws:
    """From a clean portrait to a poor thumbnail."""
    is_poor = rng.random() < config.poor_fraction
    blur = rng.uniform(*config.blur_range_px)
    return CameraFlaws(
        blur_px=float(blur + (rng.uniform(*config.poor_blur_range_px) if is_poor else 0.0)),
        detail=float(rng.uniform(*config.poor_detail_range)) if is_poor else 1.0,
        shot_noise=float(rng.uniform(*config.shot_noise_range)),
        read_noise=float(rng.uniform(*config.read_noise_range)),
        jpeg_quality=draw_count(config.jpeg_quality_range, rng),
        rendering=random_rendering(config.rendering, rng),
    )


def random_rendering(config: RenderingConfig, rng: np.random.Generator) -> Rendering:
    """From plain sRGB to the contrast and colours of a camera's own pictures, at times black and white."""
    contrast, shoulder = (
        float(rng.uniform(*config.contrast_range)),
        float(rng.uniform(*config.shoulder_range)),
    )
    lift, saturation = float(rng.uniform(*config.lift_range)), float(rng.uniform(*config.saturation_range))
    gamma = float(np.exp(rng.normal(0.0, config.gamma_sigma)))
    if rng.random() < config.plain_fraction:
        contrast, shoulder, lift, saturation, gamma = 1.0, 1.0, 0.0, 1.0, 1.0
    if rng.random() >= config.grey_fraction:
        return Rendering(contrast, shoulder, lift, saturation, gamma)
    red, green, blue = (float(share) for share in rng.dirichlet(10 * _LUMINANCE))
    toning = np.ones(3)
    if rng.random() < config.toned_fraction:
        toning = np.exp(rng.normal(0.0, config.toning_sigma, size=3))
    toned = (float(toning[0]), float(toning[1]), float(toning[2]))
    return Rendering(contrast, shoulder, lift, saturation, gamma, (red, green, blue), toned)


def exposure_gain(
    image_linear: Float[np.ndarray, "H W 3"],
    face: Bool[np.ndarray, "H W"],
    light_colour: Float[np.ndarray, " 3"],
    skin_linear: Float[np.ndarray, " 3"],
    config: CameraConfig,
    rng: np.random.Generator,
) -> Float[np.ndarray, " 3"]:
    """Gain per colour: some of the light's cast is balanced away, face or picture get a usual brightness.

    Args:
        image_linear: The scene as the crop shows it.
        face: Where the skin of the face is.
        light_colour: Mean radiance of the light, which the balance knows.
        skin_linear: Mean albedo of the skin.
        config: Meter and balance.
        rng: Source of everything random.
    """
    balance = _random_balance(light_colour, config.balance, rng)
    balanced = np.maximum(image_linear @ (balance * _LUMINANCE), 0.0)
    face_level = max(float(balanced[face].mean() if face.any() else balanced.mean()), 1e-6)
    gain = _metered_gain(face_level, balanced, skin_linear, config.exposure, rng)
    return (balance * gain).astype(np.float32)


def _random_balance(
    light_colour: Float[np.ndarray, " 3"], config: BalanceConfig, rng: np.random.Generator
) -> Float[np.ndarray, " 3"]:
    is_poor = rng.random() < config.poor_fraction
    removed = rng.uniform(*(config.poor_removed_range if is_poor else config.removed_range))
    sigma = config.poor_tint_sigma if is_poor else config.tint_sigma
    cast = np.log(np.maximum(light_colour, 1e-4))
    return np.exp(
        (removed * (cast[1] - cast)).clip(-config.limit, config.limit) + rng.normal(0.0, sigma, size=3)
    )


def _metered_gain(
    face_level: float,
    picture: Float[np.ndarray, "H W"],
    skin_linear: Float[np.ndarray, " 3"],
    config: ExposureConfig,
    rng: np.random.Generator,
) -> float:
    """Gain of the luminance."""
    tone = np.log(max(float(skin_linear @ _LUMINANCE), 1e-3) / _MID_SKIN)
    follow = rng.uniform(*config.follow_range) * tone
    on_face = np.exp(np.log(config.face_median) + rng.normal(0.0, config.face_sigma) + follow) / face_level
    # The square of the mean root: a lamp or a window in the picture counts less than its light.
    level = max(float(np.sqrt(picture).mean()) ** 2, 1e-6)
    on_picture = np.exp(np.log(config.picture_median) + rng.normal(0.0, config.picture_sigma)) / level
    gain = on_face if rng.random() < config.face_fraction else on_picture
    least, largest = (end / face_level for end in config.brightness_range)
    over = rng.uniform(*config.over_log_range) if rng.random() < config.over_fraction else 0.0
    return float(np.clip(gain, least, largest) * np.exp(over))


def take_picture(
    image_linear: Float[np.ndarray, "H W 3"], flaws: CameraFlaws, rng: np.random.Generator
) -> bytes:
    """Blur, add noise, render and compress; values above 1 are clipped, each colour on its own.

    Args:
        image_linear: The exposed scene.
        flaws: Of the camera.
        rng: Source of the noise.

    Returns:
        A JPEG file.
    """
    image = np.stack([gaussian_filter(image_linear[..., c], flaws.blur_px) for c in range(3)], axis=-1)
    height, width = image.shape[:2]
    sigma = np.sqrt(flaws.read_noise**2 + flaws.shot_noise**2 * np.clip(image, 0.0, 1.0))
    encoded = rendered(image + rng.normal(size=image.shape) * sigma, flaws.rendering)
    picture = Image.fromarray((encoded * 255 + 0.5).astype(np.uint8))
    if flaws.detail < 1.0:
        small = (round(width * flaws.detail), round(height * flaws.detail))
        picture = picture.resize(small, Image.Resampling.BOX).resize(
            (width, height), Image.Resampling.BICUBIC
        )
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=flaws.jpeg_quality)
    return file.getvalue()


def rendered(image_linear: Float[np.ndarray, "H W 3"], rendering: Rendering) -> Float[np.ndarray, "H W 3"]:
    """Exposed linear light to an sRGB picture in [0, 1]."""
    image = np.maximum(image_linear, 0.0)
    if rendering.grey_mix is not None:
        image = np.repeat((image @ np.array(rendering.grey_mix))[..., None], 3, axis=-1)
    else:
        grey = (image @ _LUMINANCE)[..., None]
        image = np.maximum(grey + rendering.saturation * (image - grey), 0.0)
    image = _MIDDLE_GREY * (image / _MIDDLE_GREY) ** rendering.contrast
    if rendering.shoulder < 1.0:
        start, room = rendering.shoulder, 1.0 - rendering.shoulder
        compressed = 1.0 - room * np.exp(-(np.maximum(image, start) - start) / room)
        image = np.where(image > start, compressed, image)
    image = image.clip(0.0, 1.0)
    encoded = np.where(image <= 0.0031308, 12.92 * image, 1.055 * image ** (1 / 2.4) - 0.055)
    encoded = encoded.clip(0.0, 1.0) ** rendering.gamma
    encoded = rendering.lift + (1.0 - rendering.lift) * encoded
    return (encoded * np.array(rendering.toning)).clip(0.0, 1.0)


def decoded(file: UInt8[np.ndarray, " b"]) -> UInt8[np.ndarray, "H W 3"]:
    """The picture of a file of bytes."""
    with Image.open(io.BytesIO(file.tobytes())) as picture:
        return np.asarray(picture.convert("RGB"))
