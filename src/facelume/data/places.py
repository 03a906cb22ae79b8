"""Where data lies: below ``data/`` of the current directory, or wherever ``FACELUME_DATA`` says."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER_VARIABLE = "FACELUME_DATA"
"""Environment variable that names the folder which stands for ``data`` in run files."""

_ROOT = "data"


def place_of(name: str | Path) -> Path:
    """Where a path of a run file lies; ``data/...`` lies in ``$FACELUME_DATA``, if that is set."""
    path, folder = Path(name), os.environ.get(FOLDER_VARIABLE)
    if not folder or path.parts[:1] != (_ROOT,):
        return path
    return Path(folder).joinpath(*path.parts[1:])


def name_of(place: Path) -> str:
    """How a run file names a place, the inverse of :func:`place_of`: records say nothing of a machine."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder and place.is_relative_to(folder):
        place = Path(_ROOT) / place.relative_to(folder)
    return place.as_posix()
