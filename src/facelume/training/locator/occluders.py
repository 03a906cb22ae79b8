"""Things that people wear over a part of the face, drawn from the five points."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from facelume.training.locator.scene_config import CoverConfig

# Dark: below this of 255 in every colour.
_BRIGHTEST_LENS = 70
# A cloth, in units of eyes to mouth (down) and of half the distance of the eyes (across): from just above the
# tip of the nose and beyond the cheeks to just below the chin.
_CLOTH_TOP, _CLOTH_BOTTOM = 0.1, 1.9
_CLOTH_WIDTH, _CLOTH_BOTTOM_WIDTH = 1.7, 0.8


def draw_glasses(
    picture: UInt8[np.ndarray, "H W 3"],
    points_px: Float[np.ndarray, "5 2"],
    config: CoverConfig,
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "H W 3"]:
    """Dark glasses over both eyes of a face with the given five points."""
    right, left, _, *mouth = points_px
    across = (left - right) / 2
    height = (np.mean(mouth, axis=0) - (right + left) / 2) * rng.uniform(*config.lens_height_range)
    colour = _colour(rng, _BRIGHTEST_LENS)
    result = Image.fromarray(picture)
    pen = ImageDraw.Draw(result)
    for eye in (right, left):
        reach = across * rng.uniform(*config.lens_width_range)
        upper = (eye - reach - height, eye + reach - height)
        lower = (eye + 0.8 * reach + height, eye - 0.8 * reach + height)
        pen.polygon(_corners(*upper, *lower), fill=colour)
    pen.line(_corners(right, left), fill=colour)
    return np.array(result)


def draw_cloth(
    picture: UInt8[np.ndarray, "H W 3"], points_px: Float[np.ndarray, "5 2"], rng: np.random.Generator
) -> UInt8[np.ndarray, "H W 3"]:
    """A cloth in one colour from the nose down to the chin."""
    right, left, nose, *mouth = points_px
    across, middle = (left - right) / 2, (right + left) / 2
    down = np.mean(mouth, axis=0) - middle
    start, end = nose - _CLOTH_TOP * down, middle + _CLOTH_BOTTOM * down
    result = Image.fromarray(picture)
    wide, narrow = _CLOTH_WIDTH * across, _CLOTH_BOTTOM_WIDTH * across
    corners = _corners(start - wide, start + wide, end + narrow, end - narrow)
    ImageDraw.Draw(result).polygon(corners, fill=_colour(rng, 256))
    return np.array(result)


def _corners(*points: Float[np.ndarray, " 2"]) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in points]


def _colour(rng: np.random.Generator, brightest: int) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(0, brightest, 3))
    return red, green, blue
