"""What a prepared file or folder depends on, written beside it and compared before it is used again."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from facelume.data.photos import PhotoRecord
from facelume.errors import UsageError

Fingerprint = Mapping[str, Any]
"""What something was made from, as JSON values by name: hashes, sizes, options."""

_STAMP = "fingerprint"


def photos_digest(records: Sequence[PhotoRecord]) -> str:
    """Hash of a list of photos: names, sizes of the files in bytes, whether there is a mask, landmarks."""
    digest = hashlib.sha256()
    for record in records:
        parts = (record.photo_set, record.path.name, record.path.stat().st_size, record.mask_path is not None)
        digest.update(repr(parts).encode("utf-8", "surrogateescape"))
        digest.update(record.landmarks_px.tobytes())
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        UsageError: It cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from error


def plain(fingerprint: Fingerprint) -> dict[str, Any]:
    """The fingerprint as JSON gives it back: tuples are lists, numbers are numbers."""
    values: dict[str, Any] = json.loads(json.dumps(dict(fingerprint), sort_keys=True, allow_nan=False))
    return values


def require_same(found: Fingerprint | None, expected: Fingerprint, place: Path, what: str) -> None:
    """Refuse prepared data that was made from something else than is asked for now.

    Args:
        found: What the data says that it was made from; None where it says nothing.
        expected: What it would be made from now.
        place: The file or folder.
        what: What it holds, plural, for the message.

    Raises:
        UsageError: The two differ; the message names every difference.
    """
    now = _flat(plain(expected))
    if found is None:
        raise UsageError(
            f"{place}: these {what} do not say what they were made from; delete them or choose another folder"
        )
    then = _flat(plain(found))
    names = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
    if names:
        changes = "; ".join(f"{name} {_short(then.get(name))}, now {_short(now.get(name))}" for name in names)
        raise UsageError(
            f"{place}: these {what} were made with other settings ({changes}); delete them or "
            f"choose another folder"
        )


def save_stamped(path: Path, arrays: Mapping[str, np.ndarray], fingerprint: Fingerprint) -> None:
    """Write an uncompressed ``.npz`` that says what it was made from, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    stamped = {**arrays, _STAMP: np.array(json.dumps(plain(fingerprint)))}
    with partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **stamped)
    partial.replace(path)


def load_stamp(path: Path) -> dict[str, Any] | None:
    """What a file of :func:`save_stamped` says that it was made from; None where it says nothing.

    Raises:
        UsageError: The file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            if _STAMP not in archive.files:
                return None
            stamp: dict[str, Any] = json.loads(str(archive[_STAMP]))
            return stamp
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise UsageError(f"{path}: damaged; delete it, it will be made again") from error


def load_stamped(
    path: Path, names: Sequence[str], fingerprint: Fingerprint, what: str
) -> dict[str, np.ndarray]:
    """Read what :func:`save_stamped` wrote.

    Args:
        path: The file.
        names: Arrays to read.
        fingerprint: What they would be made from now.
        what: What the file holds, plural, for messages.

    Raises:
        UsageError: They were made from something else, or the file is damaged.
    """
    require_same(load_stamp(path), fingerprint, path, what)
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in names}
    except (OSError, KeyError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise UsageError(f"{path}: damaged; delete it, it will be made again") from error


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values of nested objects by dotted names, so that a message names what differs and no more."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _short(value: Any, limit: int = 60) -> str:
    text = json.dumps(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
