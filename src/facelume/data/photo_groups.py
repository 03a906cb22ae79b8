"""Photos of one person, hidden in the photo sets: which belong together, on which side of the split."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from facelume.data.photos import PhotoRecord
from facelume.data.split import is_validation, person_of
from facelume.errors import UsageError

_COLUMNS = ("set", "group", "name")


class PhotoGroups:
    """Groups of photos of one person.

    Args:
        groups: Names of the groups by photo set and file name; a photo that is not named stands alone.
    """

    def __init__(self, groups: Mapping[tuple[str, str], str]) -> None:
        self._groups = dict(groups)
        self._held_out = {
            group for (photo_set, name), group in groups.items() if is_validation(photo_set, name)
        }

    def __len__(self) -> int:
        return len(set(self._groups.values()))

    @property
    def group_of_photo(self) -> Mapping[tuple[str, str], str]:
        """Name of the group by photo set and file name."""
        return dict(self._groups)

    def person(self, record: PhotoRecord) -> int:
        """A number that photos of one person share, and nearly surely no others: 63 bits of a hash."""
        alone = person_of(record.photo_set, record.path.name)
        name = self._groups.get((record.photo_set, record.path.name), alone)
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) >> 1

    def is_validation(self, record: PhotoRecord) -> bool:
        """Whether the photo, or any other of its group, belongs to the validation split."""
        group = self._groups.get((record.photo_set, record.path.name))
        return record.is_validation or group in self._held_out


def load_photo_groups(path: Path | None) -> PhotoGroups:
    """Read a CSV with the columns set, group and name; no groups without a file.

    Raises:
        UsageError: There is no such file, or it has other columns.
    """
    if path is None:
        return PhotoGroups({})
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows: Sequence[dict[str, str]] = list(csv.DictReader(file))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from error
    if any(set(_COLUMNS) - row.keys() for row in rows):
        raise UsageError(f"{path}: must be a CSV with the columns {', '.join(_COLUMNS)}")
    return PhotoGroups({(row["set"], row["name"]): row["group"] for row in rows})
