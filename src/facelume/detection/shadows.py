"""A photo with its shadows lifted: what networks should look at where hard light leaves half a face black."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

_EXPONENT = 0.25


def lift_shadows(picture_srgb: UInt8[np.ndarray, "*size 3"]) -> UInt8[np.ndarray, "*size 3"]:
    """The picture with each sRGB-encoded value, taken in [0, 1], raised to the power of 1/4.

    Close to the logarithm of the light, so that a face looks alike at any exposure and its dark half keeps
    the contrast of the lit one. Made for finding faces and reading landmarks, not for colours.

    Args:
        picture_srgb: Photo or part of one, sRGB-encoded.
    """
    levels = np.linspace(0.0, 1.0, 256) ** _EXPONENT
    return np.rint(255.0 * levels).astype(np.uint8)[picture_srgb]
