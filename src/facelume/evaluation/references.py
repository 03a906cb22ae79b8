"""What is known about the photos of an evaluation folder.

A *set* is a folder with ``images/`` and, each optional, ``landmarks.npz`` (``names``, ``points`` (n, 478, 3)
int16 in 1/16 px) and ``albedo/<stem>.npz`` (``albedo_linear`` (H, W, 3), ``mask`` (H, W)), the true albedo as
seen in the photo. Instead of ``images/``, or beside it, it may hold ``groups/<person>/``, each with several
photos of one person. A data folder is a set, a folder of sets, or a plain folder of photos.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from facelume.data.split import is_validation
from facelume.errors import UnreadableInputError, UsageError
from facelume.geometry.face_mesh import NUM_LANDMARKS
from facelume.io.arrays import load_arrays
from facelume.io.photo import describe_left_out, list_photos

LANDMARK_UNITS_PER_PX = 16.0
_LANDMARKS, _GROUPS = "landmarks.npz", "groups"


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
        person: Name of the folder of one person's photos that it lies in, or None.
    """

    set_name: str
    photo: Path
    landmarks_px: Float[np.ndarray, "478 2"] | None
    albedo_file: Path | None
    person: str | None = None

    @property
    def name(self) -> str:
        """Name within the set: ``<file>``, in a group ``<person>/<file>``."""
        return self.photo.name if self.person is None else f"{self.person}/{self.photo.name}"

    @property
    def is_validation(self) -> bool:
        """Whether the person belongs to the validation split; a group counts as a whole."""
        return is_validation(self.set_name, self.person or self.photo.name)

    def albedo_truth(self) -> AlbedoTruth | None:
        """Reads the true albedo, or returns None where there is none.

        Raises:
            UnreadableInputError: The file is damaged or holds something else.
        """
        if self.albedo_file is None:
            return None
        arrays = load_arrays(self.albedo_file, ("albedo_linear", "mask"))
        albedo, mask = arrays["albedo_linear"], arrays["mask"]
        if albedo.shape != (*mask.shape, 3) or mask.ndim != 2 or not np.isfinite(albedo).all():
            raise UnreadableInputError(
                f"{self.albedo_file}: albedo_linear {albedo.shape} must be finite and (H, W, 3), mask "
                f"{mask.shape} (H, W), as large as the photo"
            )
        return AlbedoTruth(albedo_linear=albedo.astype(np.float32), mask=mask.astype(bool))


def read_references(data: Path) -> list[PhotoReference]:
    """Lists the photos of a data folder with what is known about each.

    Args:
        data: A set, a folder of sets, or a plain folder of photos (see the module text).

    Raises:
        UsageError: The folder does not exist, or two photos of a set have one name.
        UnreadableInputError: A folder cannot be read or holds no photo, or ``landmarks.npz`` is damaged.
    """
    return [reference for folder in _set_folders(data) for reference in _read_set(folder)]


def describe_unread(data: Path) -> list[str]:
    """Says what of a data folder :func:`read_references` does not read, a line for each place.

    Args:
        data: As for :func:`read_references`, which comes first and raises its errors.
    """
    sets = _set_folders(data)
    places = [place for folder in sets for place, _ in _photo_folders(folder)]
    lines = [describe_left_out(place, list_photos(place), known=(_LANDMARKS,)) for place in places]
    lines += [describe_left_out(folder / _GROUPS, ()) for folder in sets if _has_groups(folder)]
    if sets != [data]:
        lines.append(describe_left_out(data, ()))
        others = [f.name for f in sorted(data.iterdir()) if f.is_dir() and f not in sets and f.name[0] != "."]
        if others:
            lines.append(f"{data}: folders without images/ or groups/ are left out ({', '.join(others)})")
    return [line for line in lines if line is not None]


def _set_folders(data: Path) -> list[Path]:
    if not os.path.isdir(data):
        raise UsageError(f"{data} is not a folder; name a folder with photos or sets", arguments=("data",))
    try:
        sets = [folder for folder in sorted(data.iterdir()) if _is_set(folder)]
    except OSError as error:
        raise UnreadableInputError(f"{data}: cannot be read ({error.strerror or error})") from error
    return [data] if not sets or _is_set(data) else sets


def _is_set(folder: Path) -> bool:
    return os.path.isdir(folder / "images") or _has_groups(folder)


def _has_groups(folder: Path) -> bool:
    """Whether it has groups of photos; a folder ``groups`` with ``images/`` is a set of that name."""
    return os.path.isdir(folder / _GROUPS) and not os.path.isdir(folder / _GROUPS / "images")


def _photo_folders(folder: Path) -> list[tuple[Path, str | None]]:
    """Where the photos of a set lie, and whose they are."""
    places: list[tuple[Path, str | None]] = []
    if os.path.isdir(folder / "images"):
        places.append((folder / "images", None))
    if _has_groups(folder):
        people = [p for p in sorted((folder / _GROUPS).iterdir()) if os.path.isdir(p) and p.name[0] != "."]
        places += [(person, person.name) for person in people]
    elif not places:
        places.append((folder, None))
    if not places:
        raise UnreadableInputError(
            f"{folder / _GROUPS}: holds no folder; put each person's photos into a folder of its own"
        )
    return places


def _read_set(folder: Path) -> list[PhotoReference]:
    landmarks = _read_landmarks(folder / _LANDMARKS)
    references = []
    for place, person in _photo_folders(folder):
        for photo in list_photos(place):
            truths = folder / "albedo" if person is None else folder / "albedo" / person
            reference = PhotoReference(
                set_name=folder.absolute().name,
                photo=photo,
                landmarks_px=None,
                albedo_file=found if (found := truths / f"{photo.stem}.npz").is_file() else None,
                person=person,
            )
            references.append(replace(reference, landmarks_px=landmarks.get(reference.name)))
    _require_distinct_results(references)
    return references


def _require_distinct_results(references: Sequence[PhotoReference]) -> None:
    """Results and albedo files are named after the photo's stem; letter case does not distinguish."""
    by_stem: dict[tuple[str | None, str], Path] = {}
    for reference in references:
        photo = reference.photo
        other = by_stem.setdefault((reference.person, photo.stem.casefold()), photo)
        if other is not photo:
            raise UsageError(f"{other} and {photo.name} differ by their suffix only; rename one of them")
    people = {reference.person.casefold() for reference in references if reference.person is not None}
    for (person, stem), photo in by_stem.items():
        if person is None and stem in people:
            raise UsageError(f"{photo} is named like a person of {_GROUPS}/; rename one of them")


def _read_landmarks(path: Path) -> dict[str, Float[np.ndarray, "478 2"]]:
    if not path.is_file():
        return {}
    arrays = load_arrays(path, ("names", "points"))
    names, points = arrays["names"], arrays["points"]
    if (
        names.ndim != 1
        or points.ndim != 3
        or len(names) != len(points)
        or points.shape[1:] != (NUM_LANDMARKS, 3)
    ):
        raise UnreadableInputError(
            f"{path}: holds names {names.shape} and points {points.shape}; they must be (n) and (n, 478, 3)"
        )
    points_px = points[..., :2].astype(np.float32) / LANDMARK_UNITS_PER_PX
    return {str(name): points_px[i] for i, name in enumerate(names)}
