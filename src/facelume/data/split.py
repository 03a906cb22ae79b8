"""The one split of the photo sets into training and validation."""

from __future__ import annotations

import hashlib

LABORATORY_STRIDE = 5
"""Every so many-th person of a laboratory, in the order of the names, is kept to measure on."""


def person_of(photo_set: str, file_name: str) -> str:
    """Return ``set/person``: the file stem names the person, for the London set its three digits do."""
    stem = file_name.rsplit(".", 1)[0]
    return f"{photo_set}/{stem[:3] if photo_set == 'london' else stem}"


def is_validation(photo_set: str, file_name: str) -> bool:
    """Tell whether a photo belongs to the validation split, which no training may touch.

    Args:
        photo_set: Name of the photo set, such as ``"celebahq"``.
        file_name: File name inside the set, with or without its extension.

    Returns:
        True where the SHA-256 of ``set/person``, read as an integer, is a multiple of ten.
    """
    digest = hashlib.sha256(person_of(photo_set, file_name).encode()).hexdigest()
    return int(digest, 16) % 10 == 0
