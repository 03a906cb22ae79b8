"""Where the official files of a licensed face model are, and under which terms."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from facelume.errors import AssetError

FOLDER_VARIABLE = "FACELUME_MODELS"
DEFAULT_FOLDER = Path("~/.cache/facelume/models")
_OR = " or "


@dataclass(frozen=True)
class FaceModelSource:
    """One face model as ``facelume face-model`` lists it.

    Attributes:
        name: Name for :func:`facelume.face_model.sources.load_face_model`.
        summary: What it is.
        licence: Terms of the model itself.
        url: Where to register for it and download it.
        file_sets: Sets of official file names; any one complete set is enough, and of an entry ``a or b`` any
            one file. Empty for an included model.
        optional_files: Files that add something (landmarks, masks, textures).
        further_files: Pattern of more files that are read, beside the first one; empty where there are none.
    """

    name: str
    summary: str
    licence: str
    url: str = ""
    file_sets: tuple[tuple[str, ...], ...] = ()
    optional_files: tuple[str, ...] = ()
    further_files: str = ""

    @property
    def is_included(self) -> bool:
        """True for the model that comes with the package."""
        return not self.file_sets

    def folder(self, folder: Path | None = None) -> Path:
        """Where the files are looked for: ``folder``, or ``$FACELUME_MODELS/<name>``."""
        if folder is not None:
            return folder.expanduser()
        return Path(os.environ.get(FOLDER_VARIABLE, DEFAULT_FOLDER)).expanduser() / self.name

    def missing(self, folder: Path | None = None) -> tuple[str, ...]:
        """Files still needed for the set that is nearest to complete; empty if the model can be loaded."""
        place = self.folder(folder)
        lacks = {
            entries: tuple(e for e in entries if not any(_find(place, name) for name in e.split(_OR)))
            for entries in self.file_sets
        }
        nearest = min(lacks, key=lambda entries: len(lacks[entries]) / len(entries), default=())
        return lacks.get(nearest, ())

    def locate(self, folder: Path | None = None) -> dict[str, Path]:
        """Official file name to path, for all files that are there; they may stand in subfolders.

        Raises:
            AssetError: If no set is complete; the message names each missing file and where to get it.
        """
        place = self.folder(folder)
        missing = self.missing(folder)
        if missing:
            other = [" + ".join(s) for s in self.file_sets if not set(missing) <= set(s)]
            instead = f" (or instead: {'; '.join(other)})" if other else ""
            raise AssetError(
                f"face model {self.name!r} lacks {', '.join(missing)} in {place}{instead}. Register at and "
                f"download from {self.url}, unpack there, or set {FOLDER_VARIABLE} to the folder that holds "
                f"{self.name}/"
            )
        entries = [entry for entries in self.file_sets for entry in entries]
        names = dict.fromkeys([n for e in entries for n in e.split(_OR)] + list(self.optional_files))
        found = {name: _find(place, name) for name in names}
        return {name: path for name, path in found.items() if path is not None}

    def files(self, folder: Path | None = None) -> list[Path]:
        """Every official file that is there and belongs to the model, the first of the set first.

        Raises:
            AssetError: As in :meth:`locate`.
        """
        found = list(self.locate(folder).values())
        further = sorted(found[0].parent.glob(self.further_files)) if self.further_files else []
        return found + [path for path in further if path not in found]


def files_digest(files: Iterable[Path]) -> str:
    """SHA-256 over the contents of some files, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(files, key=lambda p: p.name):
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _find(folder: Path, name: str) -> Path | None:
    direct = folder / name
    if direct.is_file():
        return direct
    return next(iter(sorted(folder.rglob(name))), None) if folder.is_dir() else None
