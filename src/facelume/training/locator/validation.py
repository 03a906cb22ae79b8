"""What a locator finds on photos with known faces and, wrongly, on pictures without; its calibration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from scipy.optimize import minimize

from facelume.data.photos import PhotoRecord
from facelume.detection.protocol import FaceLocator
from facelume.errors import UsageError
from facelume.geometry import box_iou, box_size, five_points, mesh_box
from facelume.networks.locator import LocatorConfig
from facelume.types import FaceDetection


@dataclass(frozen=True)
class LocatorReport:
    """Measured on photos with one known face each.

    Attributes:
        num_photos: Photos measured.
        found: Share of photos in which some detection is the face.
        first: Share of photos in which the first (largest) detection is the face.
        extra_per_photo: Detections that are not the face, per photo.
        mean_iou: Mean overlap of the found faces' boxes.
        points_error: Mean distance of the five points of found faces, in units of the box size.
        missed: File names of the photos whose face was not found.
    """

    num_photos: int
    found: float
    first: float
    extra_per_photo: float
    mean_iou: float
    points_error: float
    missed: list[str]


def is_match(detection: FaceDetection, landmarks_px: Float[np.ndarray, "478 d"]) -> bool:
    """Whether a detection is the face: box overlap above 0.5, or the eyes' midpoint within 0.25 box sizes."""
    box, points = mesh_box(landmarks_px), five_points(landmarks_px)
    if box_iou(np.array(detection.box_px), box) > 0.5:
        return True
    distance = np.linalg.norm(detection.points_px[:2].mean(axis=0) - points[:2].mean(axis=0))
    return bool(distance < 0.25 * box_size(box))


def measure_locator(locator: FaceLocator, records: Iterable[PhotoRecord]) -> LocatorReport:
    """Run a locator over photos with one known face each."""
    firsts, overlaps, errors, missed = [], [], [], []
    num_extra = 0
    for record in records:
        with Image.open(record.path) as picture:
            found = locator.locate(np.asarray(picture.convert("RGB")))
        matches = [is_match(detection, record.landmarks_px) for detection in found]
        num_extra += len(found) - min(1, sum(matches))
        firsts.append(bool(matches) and matches[0])
        if not any(matches):
            missed.append(f"{record.photo_set}/{record.path.name}")
            continue
        best = found[matches.index(True)]
        box = mesh_box(record.landmarks_px)
        overlaps.append(box_iou(np.array(best.box_px), box))
        distance = np.linalg.norm(best.points_px - five_points(record.landmarks_px), axis=1).mean()
        errors.append(distance / box_size(box))
    count = max(1, len(firsts))
    return LocatorReport(
        num_photos=len(firsts),
        found=1.0 - len(missed) / count,
        first=sum(firsts) / count,
        extra_per_photo=num_extra / count,
        mean_iou=float(np.mean(overlaps)) if overlaps else 0.0,
        points_error=float(np.mean(errors)) if errors else 0.0,
        missed=missed,
    )


def count_false_positives(locator: FaceLocator, pictures: Iterable[UInt8[np.ndarray, "_ _ 3"]]) -> list[int]:
    """Number of detections on each picture without a face."""
    return [len(locator.locate(picture)) for picture in pictures]


def calibrate(
    config: LocatorConfig, logits: Float[np.ndarray, " n"], is_face: Bool[np.ndarray, " n"]
) -> LocatorConfig:
    """Fit slope and offset of the score (Platt scaling, with his smoothed targets) to labelled detections.

    Raises:
        UsageError: Faces or non-faces are missing among the detections.
    """
    num_faces, num_others = int(is_face.sum()), int((~is_face).sum())
    if min(num_faces, num_others) == 0:
        raise UsageError(
            f"cannot calibrate the locator on {num_faces} faces and {num_others} others: train longer"
        )
    target = np.where(is_face, (num_faces + 1) / (num_faces + 2), 1 / (num_others + 2))

    def cross_entropy(parameters: np.ndarray) -> float:
        z = parameters[0] * logits + parameters[1]
        return float(np.mean(np.logaddexp(0.0, z) - target * z))

    slope, offset = minimize(cross_entropy, np.array((1.0, 0.0)), method="Nelder-Mead").x
    return replace(config, score_slope=float(slope), score_offset=float(offset))
