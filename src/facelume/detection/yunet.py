"""OpenCV's YuNet behind the locator protocol (optional; the user brings the ONNX file)."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from facelume.detection.protocol import largest_first
from facelume.errors import AssetError, UsageError
from facelume.types import FaceDetection


class YuNetLocator:
    """``cv2.FaceDetectorYN`` as a locator; its boxes follow WIDER FACE, somewhat taller than the mesh.

    Args:
        model_path: YuNet ONNX file of the OpenCV model zoo.
        threshold: Smallest score that counts.
        long_side_px: Larger photos are reduced to this long side before the search.

    Raises:
        AssetError: OpenCV is not installed, or the file is missing or no YuNet.
    """

    def __init__(self, model_path: Path, *, threshold: float = 0.6, long_side_px: int = 640) -> None:
        try:
            self._cv2 = importlib.import_module("cv2")
        except ImportError as error:
            raise AssetError(f"YuNet needs OpenCV ({error}): pip install 'facelume[yunet]'") from error
        if not model_path.is_file():
            raise AssetError(
                f"no YuNet model at {model_path}: "
                "download face_detection_yunet_*.onnx from the OpenCV model zoo"
            )
        self._long_side_px = long_side_px
        try:
            self._detector = self._cv2.FaceDetectorYN.create(str(model_path), "", (320, 320), threshold)
        except self._cv2.error as error:
            reason = " ".join(str(error).split())[:200]
            raise AssetError(f"{model_path} is no YuNet model that OpenCV can read: {reason}") from error

    def locate(self, photo_srgb: UInt8[np.ndarray, "H W 3"]) -> list[FaceDetection]:
        """Return the faces of an upright photo, largest first.

        Raises:
            UsageError: The photo has no pixels.
        """
        height, width = photo_srgb.shape[:2]
        if min(height, width) < 1:
            raise UsageError(f"cannot look for faces in a photo of {width} x {height} pixels")
        scale = min(1.0, self._long_side_px / max(height, width))
        extent = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = np.ascontiguousarray(photo_srgb[..., ::-1])
        if scale < 1.0:
            picture = self._cv2.resize(picture, extent, interpolation=self._cv2.INTER_AREA)
        self._detector.setInputSize(extent)
        _, rows = self._detector.detect(picture)
        factor = np.array((width / extent[0], height / extent[1]))
        found = []
        for row in np.zeros((0, 15)) if rows is None else np.asarray(rows, dtype=np.float64):
            low, high = row[:2] * factor, (row[:2] + row[2:4]) * factor
            found.append(
                FaceDetection(
                    box_px=(float(low[0]), float(low[1]), float(high[0]), float(high[1])),
                    points_px=row[4:14].reshape(5, 2) * factor,
                    score=float(np.clip(row[14], 0.0, 1.0)),
                )
            )
        return largest_first(found)
