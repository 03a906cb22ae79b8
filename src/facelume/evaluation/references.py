"""What is known about the photos of an evaluation folder.

A *set* is a folder with ``images/`` and, each optional, ``landmarks.npz`` (``names``, ``points`` (n, 478, 3)
int16 in 1/16 px) and ``albedo/<stem>.npz`` (``albedo_linear`` (H, W, 3), ``mask`` (H, W)), the true albedo as
seen in the photo. A data folder is a set, a folder of sets, or a plain folder of photos.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Bool, Float

from facelume.data.split import is_validation
from facelume.errors import UnreadableInputError, UsageError

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
LANDMARK_UNITS_PER_PX = 16.0


@dataclass(frozen=True)
class AlbedoTruth:
    """The true albedo of a synthetic photo.

    Attributes:
        albedo_linear: Linear Rec.709 albedo seen in each photo pixel.
        mask: Where it counts: face front without eyes and inner mouth.
    """

    albedo_linear: Float[np.ndarray, "H W 3"]
    mask: Bool[np.ndarray, "H W"]


@dataclass(frozen=True)
class PhotoReference:
    """One photo and what is known about it.

    Attributes:
        set_name: Name of the set's folder.
        photo: The picture file.
        landmarks_px: Reference points in photo pixels, or None.
        albedo_file: File with the true albedo, or None.
    """

    set_name: str
    photo: Path
    landmarks_px: Float[np.ndarray, "478 2"] | None
    albedo_file: Path | None

    @property
    def is_validation(self) -> bool:
        """Whether the person belongs to the validation split."""
        return is_validation(self.set_name, self.photo.name)

    def albedo_truth(self) -> AlbedoTruth | None:
        """Reads the true albedo, or returns None where there is none."""
        if self.albedo_file is None:
            return None
        with np.load(self.albedo_file, allow_pickle=False) as arrays:
            return AlbedoTruth(
                albedo_linear=arrays["albedo_linear"].astype(np.float32), mask=arrays["mask"].astype(bool)
            )


def _read_set(folder: Path) -> list[PhotoReference]:
    images = folder / "images" if (folder / "images").is_dir() else folder
    landmarks: dict[str, Float[np.ndarray, "478 2"]] = {}
    landmark_file = folder / "landmarks.npz"
    if landmark_file.is_file():
        try:
            with np.load(landmark_file, allow_pickle=False) as arrays:
                points = arrays["points"][..., :2].astype(np.float32) / LANDMARK_UNITS_PER_PX
                landmarks = {str(name): points[i] for i, name in enumerate(arrays["names"])}
        except (KeyError, IndexError, ValueError, EOFError, BadZipFile, zlib.error) as error:
            raise UnreadableInputError(
                f"{landmark_file}: damaged; it must hold names and points (n, 478, 3)"
            ) from error
    references = []
    for photo in sorted(images.iterdir()):
        if photo.suffix.lower() not in PHOTO_SUFFIXES:
            continue
        albedo_file = folder / "albedo" / f"{photo.stem}.npz"
        references.append(
            PhotoReference(
                set_name=folder.name,
                photo=photo,
                landmarks_px=landmarks.get(photo.name),
                albedo_file=albedo_file if albedo_file.is_file() else None,
            )
        )
    return references


def read_references(data: Path) -> list[PhotoReference]:
    """Lists the photos of a data folder with what is known about each.

    Args:
        data: A set, a folder of sets, or a plain folder of photos (see the module text).

    Raises:
        UsageError: The folder does not exist or holds no photo.
        UnreadableInputError: A folder cannot be read, or ``landmarks.npz`` is damaged.
    """
    if not os.path.isdir(data):
        raise UsageError(f"{data} is not a folder; name a folder with photos or sets")
    try:
        subsets = [folder for folder in sorted(data.iterdir()) if os.path.isdir(folder / "images")]
        if os.path.isdir(data / "images") or not subsets:
            references = _read_set(data)
        else:
            references = [reference for folder in subsets for reference in _read_set(folder)]
    except OSError as error:
        raise UnreadableInputError(
            f"{error.filename or data}: cannot be read ({error.strerror or error})"
        ) from error
    if not references:
        raise UsageError(f"{data} holds no photo ({', '.join(sorted(PHOTO_SUFFIXES))})")
    return references
