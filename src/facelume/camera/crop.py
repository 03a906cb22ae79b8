"""The canonical crop: a similarity between photo pixels and the 224 px picture that the networks see.

Canonical means: the box of mesh points 0-467 (of the 478), measured along the crop's own axes, is centred at
(112, 112) and the square root of its width times its height is 150 px. In both pictures pixel (0, 0) has its
centre at (0.5, 0.5). This module is the only owner of these numbers and of the camera behind them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from facelume.camera.pinhole import PinholeCamera
from facelume.errors import UsageError
from facelume.geometry.boxes import box_centre
from facelume.geometry.face_mesh import NUM_LANDMARKS, NUM_MESH_POINTS, mesh_box
from facelume.types import FaceDetection, lock_arrays

CROP_SIZE_PX = 224
"""Width and height of a crop."""

CROP_FACE_SIZE_PX = 150.0
"""Geometric mean of width and height of the box of mesh points 0-467 in a crop."""

CROP_FACE_DEPTH_M = 1.05
"""Distance at which the box of an average face measures ``CROP_FACE_SIZE_PX`` in the crop camera."""

CROP_CAMERA = PinholeCamera(
    focal_px=1015.0,
    principal_point_px=(0.5 * CROP_SIZE_PX, 0.5 * CROP_SIZE_PX),
    width_px=CROP_SIZE_PX,
    height_px=CROP_SIZE_PX,
)
"""The camera of every crop: focal length of Deep3D, principal point at the centre."""


@dataclass(frozen=True, eq=False)
class CropTransform:
    """Similarity between crop pixels and photo pixels (of the EXIF-upright photo), exact in both directions.

    Attributes:
        photo_from_crop: Affine matrix: ``photo_px = matrix[:, :2] @ crop_px + matrix[:, 2]``.
    """

    photo_from_crop: Float[np.ndarray, "2 3"]

    def __post_init__(self) -> None:
        """Refuse a matrix that is no similarity; make it read-only.

        Raises:
            UsageError: Not finite, singular, mirrored or sheared.
        """
        (a, b, _), (c, d, _) = self.photo_from_crop.tolist()
        tolerance = 1e-6 * (abs(a) + abs(c))
        is_similarity = math.isclose(a, d, abs_tol=tolerance) and math.isclose(b, -c, abs_tol=tolerance)
        if not (np.isfinite(self.photo_from_crop).all() and is_similarity and math.hypot(a, c) > 0):
            raise UsageError(
                f"photo_from_crop {self.photo_from_crop.tolist()} is no similarity (rotation, scale, shift); "
                "make it with crop_from_landmarks or crop_from_box"
            )
        lock_arrays(self)

    @property
    def scale(self) -> float:
        """Photo pixels per crop pixel."""
        return math.hypot(float(self.photo_from_crop[0, 0]), float(self.photo_from_crop[1, 0]))

    @property
    def roll_rad(self) -> float:
        """Angle of the crop's x axis in the photo; positive turns from photo +x towards photo +y (down)."""
        return math.atan2(float(self.photo_from_crop[1, 0]), float(self.photo_from_crop[0, 0]))

    @property
    def crop_from_photo(self) -> Float[np.ndarray, "2 3"]:
        """The inverse matrix: photo pixel to crop pixel."""
        linear = np.linalg.inv(self.photo_from_crop[:, :2].astype(np.float64))
        return np.concatenate((linear, -linear @ self.photo_from_crop[:, 2:]), axis=1)

    def to_photo(self, points_px: Float[np.ndarray, "*batch 2"]) -> Float[np.ndarray, "*batch 2"]:
        """Photo position of crop positions, pixels."""
        return points_px @ self.photo_from_crop[:, :2].T + self.photo_from_crop[:, 2]

    def to_crop(self, points_px: Float[np.ndarray, "*batch 2"]) -> Float[np.ndarray, "*batch 2"]:
        """Crop position of photo positions, pixels."""
        matrix = self.crop_from_photo
        return points_px @ matrix[:, :2].T + matrix[:, 2]

    def pixels_inside(self, width_px: int, height_px: int) -> Bool[np.ndarray, "224 224"]:
        """Crop pixels whose centre lies in a photo of this size; the others repeat the photo's edge."""
        centres = np.arange(CROP_SIZE_PX) + 0.5
        photo_px = self.to_photo(np.stack(np.meshgrid(centres, centres), axis=-1))
        return np.all((photo_px >= 0) & (photo_px <= (width_px, height_px)), axis=-1)


def crop_from_landmarks(landmarks_px: Float[np.ndarray, "L 2"], roll_rad: float = 0.0) -> CropTransform:
    """The canonical crop, from the mesh landmarks of a face.

    Args:
        landmarks_px: 468 or 478 mesh landmarks in photo pixels; points 468-477 (irises) do not count.
        roll_rad: Angle of the crop's x axis in the photo; pass the roll of the eye line to level the eyes.

    Raises:
        UsageError: Another number of landmarks, a landmark that is not finite, or all on one line.
    """
    num_landmarks = landmarks_px.shape[0]
    if num_landmarks not in (NUM_MESH_POINTS, NUM_LANDMARKS):
        raise UsageError(
            f"crop_from_landmarks needs {NUM_MESH_POINTS} or {NUM_LANDMARKS} mesh landmarks, "
            f"got {num_landmarks}"
        )
    axes = _rotation(roll_rad)
    # Rows are points, so ``points @ axes`` are their coordinates along the crop's axes.
    box = mesh_box(landmarks_px.astype(np.float64) @ axes)
    return _crop_around(axes @ box_centre(box), box[2:] - box[:2], roll_rad)


def crop_from_box(detection: FaceDetection, roll_rad: float = 0.0) -> CropTransform:
    """A first guess of the crop from a locator's box, taken as the box of mesh points 0-467.

    Args:
        detection: Face in photo pixels; its box is centred in the crop whatever the roll.
        roll_rad: Angle of the crop's x axis in the photo.

    Raises:
        UsageError: The box is empty or not finite.
    """
    box = np.array(detection.box_px)
    return _crop_around(box_centre(box), box[2:] - box[:2], roll_rad)


def _rotation(roll_rad: float) -> Float[np.ndarray, "2 2"]:
    cosine, sine = math.cos(roll_rad), math.sin(roll_rad)
    return np.array([[cosine, -sine], [sine, cosine]])


def _crop_around(
    centre_px: Float[np.ndarray, " 2"], box_size_px: Float[np.ndarray, " 2"], roll_rad: float
) -> CropTransform:
    if not (np.isfinite(box_size_px).all() and np.isfinite(centre_px).all() and (box_size_px > 0).all()):
        raise UsageError(
            f"face box of size {box_size_px.tolist()} px at {centre_px.tolist()} px is empty or not finite; "
            "pass the landmarks or the box of a real face"
        )
    scale = math.sqrt(float(box_size_px[0] * box_size_px[1])) / CROP_FACE_SIZE_PX
    linear = scale * _rotation(roll_rad)
    shift = centre_px - linear @ np.full(2, 0.5 * CROP_SIZE_PX)
    return CropTransform(photo_from_crop=np.concatenate((linear, shift[:, None]), axis=1))
