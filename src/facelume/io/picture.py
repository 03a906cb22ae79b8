"""Pictures and maps between linear float arrays and 8-bit PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from facelume.errors import UnreadableInputError


def encode_srgb(linear: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Encodes linear values as 8-bit sRGB; values outside [0, 1] are clipped."""
    clipped = np.clip(linear.astype(np.float32), 0.0, 1.0)
    curved = np.where(clipped <= 0.0031308, 12.92 * clipped, 1.055 * clipped ** (1 / 2.4) - 0.055)
    return quantise(curved)


def decode_srgb(srgb: UInt8[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Decodes 8-bit sRGB to linear float32 in [0, 1]."""
    values = np.arange(256) / 255.0
    table = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return table.astype(np.float32)[srgb]


def quantise(values: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Rounds values in [0, 1] to 0..255 without any curve; values outside are clipped."""
    return np.rint(np.clip(values, 0.0, 1.0) * 255).astype(np.uint8)


def save_png(path: Path, pixels: UInt8[np.ndarray, "H W *C"]) -> None:
    """Writes grey (H, W), RGB (H, W, 3) or RGBA (H, W, 4) pixels."""
    Image.fromarray(pixels).save(path, "PNG", compress_level=6)


def load_png(path: Path, mode: str = "RGB") -> UInt8[np.ndarray, "H W *C"]:
    """Reads a picture that facelume wrote.

    Args:
        path: The file.
        mode: Pillow mode to return: ``RGB``, ``RGBA`` or ``L``.

    Raises:
        UnreadableInputError: Missing, damaged or not a picture.
    """
    try:
        with Image.open(path) as image:
            return np.array(image.convert(mode))
    except (OSError, SyntaxError, ValueError) as error:
        raise UnreadableInputError(
            f"{path}: cannot be read as a picture; reconstruct the photo again"
        ) from error
