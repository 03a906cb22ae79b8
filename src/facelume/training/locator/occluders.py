"""Things that people wear over a part of the face, drawn from the five points."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw


def draw_glasses(
    picture: UInt8[np.ndarray, "H W 3"], points_px: Float[np.ndarray, "5 2"], rng: np.random.Generator
) -> UInt8[np.ndarray, "H W 3"]:
    """Dark glasses over both eyes of a face with the given five points."""
    right, left, _, *mouth = points_px
    across = (left - right) / 2
    height = (np.mean(mouth, axis=0) - (right + left) / 2) * rng.uniform(0.2, 0.4)
    colour = _colour(rng, 70)
    result = Image.fromarray(picture)
    pen = ImageDraw.Draw(result)
    for eye in (right, left):
        reach = across * rng.uniform(0.6, 0.9)
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
    start, end = nose - 0.1 * down, middle + 1.9 * down
    result = Image.fromarray(picture)
    corners = _corners(start - 1.7 * across, start + 1.7 * across, end + 0.8 * across, end - 0.8 * across)
    ImageDraw.Draw(result).polygon(corners, fill=_colour(rng, 256))
    return np.array(result)


def _corners(*points: Float[np.ndarray, " 2"]) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in points]


def _colour(rng: np.random.Generator, brightest: int) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(0, brightest, 3))
    return red, green, blue
