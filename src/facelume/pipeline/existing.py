"""Recognising results that need not be made again, and those that a new run leaves behind."""

from __future__ import annotations

import glob
import shutil
from pathlib import Path
from typing import Any

from facelume.errors import UnreadableInputError, UsageError
from facelume.io.photo import Photo, hash_photo
from facelume.io.result_folder import MANIFEST_NAME, read_manifest
from facelume.pipeline.reconstructor import Reconstructor
from facelume.pipeline.result_files import RESULT_FILES, SOURCE_FILES
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
    wanted = RESULT_FILES + (SOURCE_FILES if reconstructor.topology == "source" else ())
    first = _matching(target, sha256, expected, wanted)
    if first is None:
        return []
    folders = [target]
    if all_faces:
        num_faces = first["input"].get("num_faces")
        if num_faces is None:
            return []
        folders = face_folders(target, num_faces)
    if any(_matching(folder, sha256, expected, wanted) is None for folder in folders):
        return []
    return folders


def face_folders(target: Path, num_faces: int) -> list[Path]:
    """Where the faces of one photo go, largest first: ``target``, ``target_1``, ``target_2``, ..."""
    return [target, *(target.with_name(f"{target.name}_{index}") for index in range(1, num_faces))]


def remove_stale_faces(target: Path, photo: Photo, num_faces: int) -> list[Path]:
    """Removes results of further faces that a former run found in the same photo and this one did not.

    A folder goes only if it is named like a further face of ``target``, holds a result of this photo (by its
    hash, or by its path if the file was edited since), and its face is beyond those found now.

    Args:
        target: Folder of the largest face.
        photo: The photo.
        num_faces: Faces that were found now.

    Returns:
        The folders that were removed.

    Raises:
        UsageError: A folder cannot be removed.
    """
    removed = []
    for folder in sorted(target.parent.glob(f"{glob.escape(target.name)}_*")):
        number = folder.name.removeprefix(f"{target.name}_")
        if not number.isdecimal() or int(number) < num_faces:
            continue
        try:
            source = read_manifest(folder).get("input", {})
        except UnreadableInputError:
            continue
        has_path = bool(photo.path) and source.get("path") == photo.path
        is_of_photo = has_path or source.get("sha256") == photo.sha256
        if is_of_photo and source.get("face_index") == int(number):
            try:
                shutil.rmtree(folder)
            except OSError as error:
                raise UsageError(
                    f"{folder}: is of a former run and cannot be removed ({error.strerror or error})"
                ) from error
            removed.append(folder)
    return removed


def _matching(
    folder: Path, sha256: str, expected: dict[str, Any], wanted: tuple[str, ...]
) -> dict[str, Any] | None:
    try:
        manifest = read_manifest(folder)
    except UnreadableInputError:
        return None
    same = all(manifest.get(key) == value for key, value in expected.items())
    same = same and all((folder / name).is_file() for name in wanted)
    return manifest if same and manifest.get("input", {}).get("sha256") == sha256 else None
