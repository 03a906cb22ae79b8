"""Collects the pictures without faces that the locator's run file names, from scikit-image and scikit-learn.

Usage: python tools/collect_locator_pictures.py runs/locator_pictures
(needs ``pip install scikit-image scikit-learn``; nothing is downloaded)
"""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

TRAINING = (
    "brick cell chessboard_RGB clock_motion coins color gravel horse ihc logo microaneurysms moon phantom"
)
SKIMAGE_TRAINING = (*TRAINING.split(), "retina", "text")
SKIMAGE_VALIDATION = (
    *("chelsea", "chessboard_GRAY", "coffee", "grass"),
    *("hubble_deep_field", "motorcycle_left", "page", "rocket"),
)
SKLEARN_TRAINING = ("china", "flower")


def _folder(package: str, *parts: str) -> Path:
    found = find_spec(package)
    if found is None or found.origin is None:
        raise SystemExit(f"{package} is not installed: pip install scikit-image scikit-learn")
    return Path(found.origin).parent.joinpath(*parts)


def collect(output: Path) -> None:
    """Copies the named pictures to ``output/training`` and ``output/validation``."""
    jobs = (
        (SKIMAGE_TRAINING, _folder("skimage", "data"), output / "training"),
        (SKIMAGE_VALIDATION, _folder("skimage", "data"), output / "validation"),
        (SKLEARN_TRAINING, _folder("sklearn", "datasets", "images"), output / "training"),
    )
    for names, source, target in jobs:
        target.mkdir(parents=True, exist_ok=True)
        for name in names:
            picture = next(path for path in source.glob(f"{name}.*") if path.suffix in {".png", ".jpg"})
            shutil.copy(picture, target / picture.name)
            print(target / picture.name)


if __name__ == "__main__":
    collect(Path(sys.argv[1]))
