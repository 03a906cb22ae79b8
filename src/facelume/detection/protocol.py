"""What every face locator offers to the pipeline."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from facelume.geometry import five_points, mesh_box
from facelume.types import FaceDetection


@runtime_checkable
class FaceLocator(Protocol):
    """Finds the faces of a photo."""

    def locate(self, photo_srgb: UInt8[np.ndarray, "H W 3"]) -> list[FaceDetection]:
        """Return the faces of an upright photo (EXIF already applied), largest box first; empty if none.

        Boxes and points are in photo pixels (pixel (0, 0) has its centre at (0.5, 0.5)) and may reach beyond
        the photo where a face is cut by its border.
        """
        ...


@runtime_checkable
class CandidateLocator(FaceLocator, Protocol):
    """A locator that also says what might be a face, for callers who look closer at each."""

    def candidates(
        self, photo_srgb: UInt8[np.ndarray, "H W 3"], *, most: int, least_px: float
    ) -> list[FaceDetection]:
        """Return places of an upright photo that could be faces, the likeliest first.

        Many are none, and one may lie inside another (a nose and a mouth taken for a face, and the face).

        Args:
            photo_srgb: Upright photo.
            most: So many at most.
            least_px: Least root of the width times the height of a box.
        """
        ...


def detection_of_landmarks(landmarks_px: Float[np.ndarray, "478 2"]) -> FaceDetection:
    """A certain detection of the face whose landmarks are known, photo pixels."""
    left, top, right, bottom = mesh_box(landmarks_px).tolist()
    return FaceDetection((left, top, right, bottom), five_points(landmarks_px), score=1.0)


def largest_first(detections: list[FaceDetection]) -> list[FaceDetection]:
    """Sort detections by the area of their box, largest first."""

    def area(detection: FaceDetection) -> float:
        left, top, right, bottom = detection.box_px
        return (right - left) * (bottom - top)

    return sorted(detections, key=area, reverse=True)
