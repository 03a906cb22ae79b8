"""``facelume reconstruct``: photos in, one result folder per face out."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from facelume.choices import DeviceName, TopologyName, UvSize
from facelume.cli.reporting import log, progress, say, say_json, with_options
from facelume.errors import FacelumeError, UnreadableInputError, UsageError

if TYPE_CHECKING:
    from facelume.pipeline import Reconstructor


@dataclass(frozen=True)
class Reconstruct:
    """Turn photos into relightable faces: one result folder per face."""

    photos: Positional[tuple[Path, ...]]
    """Photos, or folders of photos."""
    out: Path
    """Folder that receives one folder per photo, named after it."""
    face_model: str = "open"
    """Face model, or a folder with its files; all but "open" need files of yours: `facelume face-model`."""
    topology: TopologyName = "open"
    """"source" also writes the face on the mesh and atlas that the face model has of its own."""
    uv_size: UvSize = 256
    """Texels along an edge of the albedo map."""
    device: DeviceName = "auto"
    """Where networks run; "auto" takes a GPU if there is one."""
    all_faces: bool = False
    """Reconstruct every face of a photo, not only the largest."""
    json: bool = False
    """Print one JSON document instead of lines."""
    overwrite: bool = False
    """Replace results that exist; otherwise those of the same photo and weights are kept."""

    def run(self) -> int:
        """Reconstructs; see ``facelume.cli.main`` for the exit status."""
        photos, is_batch = collect_photos(self.photos)
        require_distinct_names(photos, all_faces=self.all_faces)

        from facelume.io.leftovers import clear_leftovers
        from facelume.pipeline import Reconstructor

        reconstructor = Reconstructor(
            device=self.device, uv_size=self.uv_size, face_model=self.face_model, topology=self.topology
        )
        for restored in clear_leftovers(self.out):
            log(f"{restored}: put back; a run was stopped while it replaced this result")
        for photo in photos:
            require_free_place(self.out / photo.stem, overwrite=self.overwrite)
        if is_batch:
            return self._run_batch(reconstructor, photos)
        results = self._run_one(reconstructor, photos[0])
        if self.json:
            say_json({"results": results, "failures": []})
        return 0

    def _run_one(self, reconstructor: Reconstructor, photo: Path) -> list[dict[str, Any]]:
        """Reconstructs one photo unless its result is there already; prints one line per folder."""
        from facelume.io.photo import read_photo
        from facelume.io.result_folder import require_replaceable
        from facelume.pipeline import face_folders, finished_results, remove_stale_faces

        target = self.out / photo.stem
        if not self.overwrite:
            finished = finished_results(target, photo, reconstructor, all_faces=self.all_faces)
            if finished:
                log(f"{photo}: already there, kept")
                return [self._report(photo, folder, "kept") for folder in finished]
            require_replaceable(target, overwrite=False)
        picture = read_photo(photo)
        faces = (
            reconstructor.reconstruct_all(picture) if self.all_faces else [reconstructor.reconstruct(picture)]
        )
        folders = face_folders(target, len(faces))
        require_own_places(folders, overwrite=self.overwrite)
        reports = []
        for face, folder in zip(faces, folders, strict=True):
            face.save(folder, overwrite=self.overwrite)
            for warning in face.warnings:
                log(f"{photo}: {warning}")
            reports.append(self._report(photo, folder, "written"))
        if self.all_faces and self.overwrite:
            for stale in remove_stale_faces(target, picture, len(faces)):
                log(f"{stale}: a face that is no longer found, removed")
        return reports

    def _report(self, photo: Path, folder: Path, status: str) -> dict[str, Any]:
        if not self.json:
            say(str(folder))
            return {}
        from facelume.io.result_folder import read_manifest

        manifest = read_manifest(folder)
        return {
            "photo": str(photo),
            "folder": str(folder),
            "status": status,
            "metrics": manifest["metrics"],
            "timings_s": manifest["timings_s"],
            "warnings": manifest["warnings"],
        }

    def _run_batch(self, reconstructor: Reconstructor, photos: Sequence[Path]) -> int:
        results: list[dict[str, Any]] = []
        failures: list[dict[str, Any]] = []
        with progress("faces", len(photos)) as (bar, task):
            for photo in photos:
                try:
                    results += self._run_one(reconstructor, photo)
                except FacelumeError as error:
                    reason = with_options(error)
                    failures.append({"photo": str(photo), "error": reason, "exit_code": error.exit_code})
                except Exception as error:  # one photo's bug must not cost the others their results
                    traceback.print_exc()
                    reason = f"internal error, please report: {type(error).__name__}: {error}"
                    failures.append({"photo": str(photo), "error": reason, "exit_code": 1})
                bar.advance(task)
        for failure in failures:
            log(f"facelume: failed: {failure['error']}")
        if self.json:
            say_json({"results": results, "failures": failures})
        record_failures(self.out, failures)
        return 1 if failures else 0


def collect_photos(paths: Sequence[Path]) -> tuple[list[Path], bool]:
    """Returns the photos that the arguments name, and whether they are a batch.

    A batch is a folder or more than one photo.

    Raises:
        UsageError: No photo is named.
        UnreadableInputError: A folder cannot be read or holds no photo.
    """
    from facelume.io.photo import describe_left_out, list_photos

    if not paths:
        raise UsageError("name at least one photo or folder of photos")
    photos: list[Path] = []
    # Path.is_dir raises where a name is too long or a folder on the way is closed; os.path.isdir says no.
    for path in paths:
        if os.path.isdir(path):
            found = list_photos(path)
            left_out = describe_left_out(path, found)
            if left_out is not None:
                log(left_out)
            photos += found
        else:
            photos.append(path)
    return photos, len(photos) > 1 or any(os.path.isdir(path) for path in paths)


def require_distinct_names(photos: Sequence[Path], *, all_faces: bool) -> None:
    """Raises UsageError if two photos would write to one folder (letter case does not distinguish)."""
    by_name: dict[str, Path] = {}
    for photo in photos:
        name = photo.stem.casefold()
        if name in by_name:
            raise UsageError(
                f"{by_name[name]} and {photo} would both be written to {photo.stem}; rename one of them"
            )
        by_name[name] = photo
    if not all_faces:
        return
    for name, photo in by_name.items():
        base, _, number = name.rpartition("_")
        if number.isdigit() and base in by_name:
            raise UsageError(
                f"with --all-faces, {photo} may collide with a further face of {by_name[base]}; rename it"
            )


def require_free_place(target: Path, *, overwrite: bool) -> None:
    """Raises UsageError if something that is no result stands where one should go, or a file in its way."""
    from facelume.io.result_folder import MANIFEST_NAME, require_replaceable

    for parent in target.parents:
        if os.path.exists(parent) and not os.path.isdir(parent):
            raise UsageError(f"{parent}: is a file; choose another --out")
    if overwrite or not os.path.isfile(target / MANIFEST_NAME):
        require_replaceable(target, overwrite=True)


def require_own_places(folders: Sequence[Path], *, overwrite: bool) -> None:
    """Raises UsageError if a further face of a photo would replace something else; nothing is written yet.

    Args:
        folders: Where the faces of one photo go, largest first.
        overwrite: Results may be replaced, but not that of another photo that is named like a further face.
    """
    from facelume.io.result_folder import MANIFEST_NAME, read_manifest, require_replaceable

    for index, folder in enumerate(folders):
        require_replaceable(folder, overwrite=overwrite)
        if index == 0 or not os.path.isfile(folder / MANIFEST_NAME):
            continue
        try:
            kept = read_manifest(folder)
        except UnreadableInputError:
            continue  # damaged or of another version: replaced like any first face
        if kept.get("input", {}).get("face_index") != index:
            raise UsageError(f"{folder}: holds the result of another photo; choose another --out")


def record_failures(out: Path, failures: Sequence[dict[str, Any]]) -> None:
    """Writes ``failures.json``, or removes an older one when nothing failed.

    Raises:
        UsageError: The folder cannot be written.
    """
    path = out / "failures.json"
    text = json.dumps(failures, indent=2, ensure_ascii=False) + "\n"
    try:
        if failures:
            out.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="replace")  # names that are no UTF-8
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written ({error.strerror or error}); choose another --out"
        ) from error
