"""Collect the pictures without faces that the locator's run file names, from scikit-image and scikit-learn.

    python tools/collect_locator_pictures.py runs/locator_pictures

Needs ``pip install scikit-image scikit-learn``; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from facelume.data.provenance import SOURCE_NAME, DataSource

TRAINING = (
    "brick cell chessboard_RGB clock_motion coins color gravel horse ihc logo microaneurysms moon phantom"
)
SKIMAGE_TRAINING = (*TRAINING.split(), "retina", "text")
SKIMAGE_VALIDATION = (
    *("chelsea", "chessboard_GRAY", "coffee", "grass"),
    *("hubble_deep_field", "motorcycle_left", "page", "rocket"),
)
SKLEARN_TRAINING = ("china", "flower")
PICTURES = DataSource(
    "sample pictures of scikit-image and scikit-learn",
    "public domain, CC0 and CC BY 2.0; listed in the READMEs of the two packages",
    "credit",
)


def _folder(package: str, *parts: str) -> Path:
    found = find_spec(package)
    if found is None or found.origin is None:
        raise SystemExit(f"{package} is not installed: pip install scikit-image scikit-learn")
    return Path(found.origin).parent.joinpath(*parts)


def copy_pictures(names: tuple[str, ...], source: Path, target: Path) -> None:
    """Copy the named pictures of a package's folder; a missing one ends the tool."""
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        found = [path for path in source.glob(f"{name}.*") if path.suffix in {".png", ".jpg"}]
        if not found:
            raise SystemExit(
                f"{source} has no picture {name!r}: install a version of the package that has it"
            )
        shutil.copy(found[0], target / found[0].name)
        print(target / found[0].name)


def collect(output: Path) -> None:
    """Copy the named pictures to ``output/training`` and ``output/validation``."""
    jobs = (
        (SKIMAGE_TRAINING, _folder("skimage", "data"), output / "training"),
        (SKIMAGE_VALIDATION, _folder("skimage", "data"), output / "validation"),
        (SKLEARN_TRAINING, _folder("sklearn", "datasets", "images"), output / "training"),
    )
    for names, source, target in jobs:
        copy_pictures(names, source, target)
        (target / SOURCE_NAME).write_text(json.dumps(asdict(PICTURES), indent=2) + "\n", encoding="utf-8")


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder for training/ and validation/")
    return parser


def main() -> None:
    """Run the tool."""
    collect(command_line().parse_args().out)


if __name__ == "__main__":
    main()
