"""Recognising results that need not be made again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facelume.errors import UnreadableInputError
from facelume.io.photo import hash_photo
from facelume.io.result_folder import MANIFEST_NAME, read_manifest
from facelume.pipeline.reconstructor import Reconstructor
from facelume.pipeline.result_files import RESULT_FILES
from facelume.version import __version__


def finished_results(
    target: Path, photo: Path, reconstructor: Reconstructor, *, all_faces: bool
) -> list[Path]:
    """Returns the folders of a photo whose results are up to date; empty if any is missing or different.

    A result is up to date if photo, weights, face model, atlas size and package version are the same, and
    no file is missing.

    Args:
        target: Folder of the largest face.
        photo: The photo file.
        reconstructor: What would make the result.
        all_faces: Also require the folders of the further faces.

    Raises:
        UnreadableInputError: The photo cannot be read.
    """
    if not (target / MANIFEST_NAME).is_file():
        return []
    expected = {
        "package_version": __version__,
        "weights": reconstructor.weights,
        "face_model": reconstructor.model.name,
        "face_model_sha256": reconstructor.model.asset_sha256,
        "uv_size": reconstructor.uv_size,
    }
    sha256 = hash_photo(photo)
    first = _matching(target, sha256, expected)
    if first is None:
        return []
    folders = [target]
    if all_faces:
        num_faces = first["input"].get("num_faces")
        if num_faces is None:
            return []
        folders += [target.with_name(f"{target.name}_{index}") for index in range(1, num_faces)]
    if any(_matching(folder, sha256, expected) is None for folder in folders):
        return []
    return folders


def _matching(folder: Path, sha256: str, expected: dict[str, Any]) -> dict[str, Any] | None:
    try:
        manifest = read_manifest(folder)
    except UnreadableInputError:
        return None
    same = all(manifest.get(key) == value for key, value in expected.items())
    same = same and all((folder / name).is_file() for name in RESULT_FILES)
    return manifest if same and manifest.get("input", {}).get("sha256") == sha256 else None
