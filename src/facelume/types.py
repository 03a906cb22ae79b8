"""Frozen records that several modules share. Arrays are numpy, tensors are torch; see ``docs/conventions.md``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class FaceDetection:
    """One face found in a photo.

    Attributes:
        box_px: Left, top, right, bottom in photo pixels (pixel (0, 0) has its centre at (0.5, 0.5)).
        points_px: Subject's right eye, subject's left eye, nose tip, subject's right and left mouth corner
            (in picture order left to right for a frontal face), photo pixels.
        score: Confidence in [0, 1].
    """

    box_px: tuple[float, float, float, float]
    points_px: Float[np.ndarray, "5 2"]
    score: float


@dataclass(frozen=True)
class LandmarkEmbedding:
    """Landmarks as fixed points on the surface of a mesh.

    Attributes:
        face_index: Triangle that carries each landmark.
        bary_coords: Barycentric weights of the triangle's corners; rows sum to 1.
    """

    face_index: Int[Tensor, " L"]
    bary_coords: Float[Tensor, "L 3"]


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh with a texture atlas; positions in metres, model axes.

    Attributes:
        vertices: Positions.
        faces: Vertex indices of each triangle, counter-clockwise seen from outside.
        uvs: Atlas coordinates in [0, 1], origin top-left.
        uv_faces: Index into ``uvs`` for each triangle corner.
    """

    vertices: Float[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "F 3"]
    uvs: Float[np.ndarray, "T 2"]
    uv_faces: Int[np.ndarray, "F 3"]
