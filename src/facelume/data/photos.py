"""Photo sets on disk: pictures, dense landmarks and, where they exist, parsing masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image
from scipy.optimize import linear_sum_assignment

from facelume.data.split import is_validation
from facelume.errors import UsageError
from facelume.geometry import box_centre, box_size, mesh_box
from facelume.geometry.face_mesh import NUM_MESH_POINTS

PHOTO_SETS = ("celebahq", "utkface", "scut", "aaf", "london")
PARSING_CLASSES = (1, 2, 4, 5, 6, 7, 10, 11, 12)
"""CelebAMask classes inside ``M_parsing``: skin, nose, eyes, brows, mouth and lips."""


@dataclass(frozen=True)
class PhotoRecord:
    """One photo with its landmarks.

    Attributes:
        photo_set: Name of the set.
        path: Picture file.
        mask_path: Palette PNG of parsing classes, or None.
        landmarks_px: MediaPipe points x, y, z in photo pixels; pixel (0, 0) has its centre at (0.5, 0.5).
    """

    photo_set: str
    path: Path
    mask_path: Path | None
    landmarks_px: Float[np.ndarray, "478 3"]

    @property
    def is_validation(self) -> bool:
        """Whether the photo belongs to the validation split."""
        return is_validation(self.photo_set, self.path.name)


def load_photo_records(root: Path, photo_sets: Sequence[str] = PHOTO_SETS) -> list[PhotoRecord]:
    """List every photo with landmarks under ``root/<set>/images``.

    Raises:
        UsageError: A set has no ``landmarks.npz``.
    """
    records = []
    for photo_set in photo_sets:
        index = root / photo_set / "landmarks.npz"
        if not index.is_file():
            raise UsageError(
                f"no landmarks at {index}: name the folder that holds the photo sets (docs/data.md)"
            )
        with np.load(index, allow_pickle=False) as archive:
            names, points = archive["names"], archive["points"].astype(np.float32) / 16.0
        for name, landmarks in zip(names, points, strict=True):
            path = root / photo_set / "images" / str(name)
            mask_path = root / photo_set / "masks" / f"{path.stem}.png"
            records.append(
                PhotoRecord(photo_set, path, mask_path if mask_path.is_file() else None, landmarks)
            )
    return records


def read_parsing_mask(path: Path) -> Bool[np.ndarray, "H W"]:
    """Read ``M_parsing`` off a palette PNG of CelebAMask classes."""
    with Image.open(path) as picture:
        return np.isin(np.asarray(picture), PARSING_CLASSES)


def mirror_permutation(landmarks_px: Float[np.ndarray, "n 478 3"]) -> np.ndarray:
    """Derive which landmark takes whose place when a picture is mirrored.

    The mean of the box-normalised shapes is nearly symmetric; each point goes to the nearest mirrored one
    by an optimal assignment, in which irises and mesh points are kept apart.

    Raises:
        UsageError: The assignment is no involution, so the shapes cannot be those of upright faces.
    """
    box = mesh_box(landmarks_px)
    centre, size = box_centre(box), box_size(box)
    scaled = landmarks_px / size[:, None, None]
    scaled[..., :2] -= (centre / size[:, None])[:, None]
    mean = scaled.mean(axis=0)
    mean[:, 0] -= mean[:NUM_MESH_POINTS, 0].mean()
    permutation = np.arange(len(mean))
    for part in (slice(0, NUM_MESH_POINTS), slice(NUM_MESH_POINTS, None)):
        points = mean[part]
        mirrored = points * np.array([-1.0, 1.0, 1.0])
        cost = np.square(mirrored[:, None] - points[None]).sum(axis=-1)
        permutation[part] = linear_sum_assignment(cost)[1] + (part.start or 0)
    if not np.array_equal(permutation[permutation], np.arange(len(mean))):
        raise UsageError(
            "landmarks do not pair up left to right: are the photos upright and the points MediaPipe's?"
        )
    return permutation
