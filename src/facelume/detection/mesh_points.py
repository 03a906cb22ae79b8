"""Box and five points of a face from MediaPipe's 478 points: the definition that every locator follows."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

NUM_MESH_POINTS = 468
"""Points 0-467 are the mesh; 468-477 are irises and stay out of the box."""
_RIGHT_EYE_CORNERS = (33, 133)
_LEFT_EYE_CORNERS = (263, 362)
_NOSE_TIP = 1
_MOUTH_CORNERS = (61, 291)


def five_points(landmarks_px: Float[np.ndarray, "478 d"]) -> Float[np.ndarray, "5 2"]:
    """Subject's right and left eye centre (mean of its corners), nose tip, right and left mouth corner."""
    eyes = [
        landmarks_px[list(corners), :2].mean(axis=0) for corners in (_RIGHT_EYE_CORNERS, _LEFT_EYE_CORNERS)
    ]
    return np.stack([*eyes, landmarks_px[_NOSE_TIP, :2], *(landmarks_px[i, :2] for i in _MOUTH_CORNERS)])


def mesh_box(landmarks_px: Float[np.ndarray, "478 d"]) -> Float[np.ndarray, " 4"]:
    """Left, top, right, bottom of the mesh points."""
    mesh = landmarks_px[:NUM_MESH_POINTS, :2]
    return np.concatenate((mesh.min(axis=0), mesh.max(axis=0)))
