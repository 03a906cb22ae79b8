"""MediaPipe Tasks' FaceLandmarker (mediapipe >= 1) behind the locator protocol; the user brings the file."""

from __future__ import annotations

import importlib
import weakref
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from facelume.detection.protocol import detection_of_landmarks, largest_first
from facelume.errors import AssetError, UsageError
from facelume.types import FaceDetection


class MediaPipeLocator:
    """``FaceLandmarker`` as a locator; its box is exactly the one of the mesh points.

    The landmarker reports no score: a face that passes ``threshold`` inside it has score 1.

    Args:
        model_path: ``face_landmarker.task`` of MediaPipe.
        threshold: Smallest detection and presence confidence that counts.
        max_faces: Faces per photo.

    Raises:
        AssetError: mediapipe >= 1 is not installed, or the file is missing or no face landmarker.
    """

    def __init__(self, model_path: Path, *, threshold: float = 0.5, max_faces: int = 10) -> None:
        try:
            self._mediapipe = importlib.import_module("mediapipe")
            vision = importlib.import_module("mediapipe.tasks.python.vision")
            base_options = importlib.import_module("mediapipe.tasks.python.core.base_options").BaseOptions
        except ImportError as error:
            raise AssetError(
                f"this locator needs mediapipe ({error}): pip install 'facelume[mediapipe]'"
            ) from error
        version = str(self._mediapipe.__version__)
        if int(version.split(".", maxsplit=1)[0]) < 1:
            raise AssetError(f"mediapipe {version} is too old: pip install 'mediapipe>=1'")
        if not model_path.is_file():
            raise AssetError(
                f"no face landmarker at {model_path}: download face_landmarker.task from MediaPipe's models"
            )
        options = vision.FaceLandmarkerOptions(
            base_options=base_options(model_asset_path=str(model_path)),
            num_faces=max_faces,
            min_face_detection_confidence=threshold,
            min_face_presence_confidence=threshold,
        )
        try:
            self._landmarker = vision.FaceLandmarker.create_from_options(options)
        except (RuntimeError, ValueError) as error:
            raise AssetError(
                f"{model_path} is no face landmarker that mediapipe {version} can read: {error}"
            ) from error
        weakref.finalize(self, self._landmarker.close)

    def locate(self, photo_srgb: UInt8[np.ndarray, "H W 3"]) -> list[FaceDetection]:
        """Return the faces of an upright photo, largest first.

        Raises:
            UsageError: The photo has no pixels.
        """
        height, width = photo_srgb.shape[:2]
        if min(height, width) < 1:
            raise UsageError(f"cannot look for faces in a photo of {width} x {height} pixels")
        image = self._mediapipe.Image(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(photo_srgb)
        )
        found = []
        for points in self._landmarker.detect(image).face_landmarks:
            landmarks_px = np.array(
                [(point.x * width, point.y * height) for point in points], dtype=np.float64
            )
            found.append(detection_of_landmarks(landmarks_px))
        return largest_first(found)
