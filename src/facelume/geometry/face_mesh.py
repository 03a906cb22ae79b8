"""The scheme of MediaPipe's face mesh: what the 478 landmarks are, and the box of a face that they define.

Right and left are the subject's; in a picture of an upright face the subject's right side is on the left.
Positions are in any unit with y downwards, mostly pixels (pixel (0, 0) has its centre at (0.5, 0.5)).
"""

from __future__ import annotations

from typing import overload

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

NUM_MESH_POINTS = 468
"""Points 0-467 lie on the face; they alone define its box and count in landmark errors."""

NUM_LANDMARKS = 478
"""Points 468-477 are the irises, five each: the subject's right eye first, its centre first."""

IRIS_CENTRES = (468, 473)
RIGHT_EYE_CORNERS = (33, 133)
"""Outer, then inner corner."""
LEFT_EYE_CORNERS = (362, 263)
"""Inner, then outer corner."""
NOSE_TIP = 1
NOSE_BRIDGE = 168
MOUTH_CORNERS = (61, 291)
FOREHEAD_TOP = 10
CHIN = 152
FACE_SIDES = (234, 454)
"""Where the face oval is widest, before the ears."""

RIGHT_EYE_CONTOUR = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_EYE_CONTOUR = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
INNER_LIP_CONTOUR = (
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191,
)  # fmt: skip

NUM_LIP_PAIRS = 7
UPPER_APERTURE_POINTS = (13, 82, 312, 81, 311, 80, 310, 159, 386, 160, 158, 385, 387)
LOWER_APERTURE_POINTS = (14, 87, 317, 178, 402, 88, 318, 145, 374, 144, 153, 380, 373)
"""Inner lip points (seven pairs), then eyelid points (six), that meet when the mouth or an eye closes."""

FIVE_POINTS_WITH_IRISES = (*IRIS_CENTRES, NOSE_TIP, *MOUTH_CORNERS)
"""Five points whose eyes are where the irises are, as face recognition is trained with; they move with the
gaze, which those of :func:`five_points` do not."""


def five_points(landmarks: Float[np.ndarray, "478 d"]) -> Float[np.ndarray, "5 2"]:
    """Right and left eye centre (mean of its corners), nose tip, right and left mouth corner, picture order.

    This is what every face locator of the package reports.
    """
    eyes = [landmarks[list(corners), :2].mean(axis=0) for corners in (RIGHT_EYE_CORNERS, LEFT_EYE_CORNERS)]
    return np.stack([*eyes, *landmarks[[NOSE_TIP, *MOUTH_CORNERS], :2]])


@overload
def mesh_box(landmarks: Float[np.ndarray, "*batch L d"]) -> Float[np.ndarray, "*batch 4"]: ...


@overload
def mesh_box(landmarks: Float[Tensor, "*batch L d"]) -> Float[Tensor, "*batch 4"]: ...


def mesh_box(
    landmarks: Float[np.ndarray, "*batch L d"] | Float[Tensor, "*batch L d"],
) -> Float[np.ndarray, "*batch 4"] | Float[Tensor, "*batch 4"]:
    """The box of a face: left, top, right, bottom of points 0-467, in the unit of the landmarks.

    Args:
        landmarks: 468 or 478 points; x and y come first, what follows does not count.
    """
    mesh = landmarks[..., :NUM_MESH_POINTS, :2]
    if isinstance(mesh, Tensor):
        return torch.cat((mesh.amin(dim=-2), mesh.amax(dim=-2)), dim=-1)
    return np.concatenate((mesh.min(axis=-2), mesh.max(axis=-2)), axis=-1)
