"""Move the landmarks of the open face model; run between build_face_model.py and build_albedo_basis.py.

    python tools/calibrate_landmarks.py --london data/faces/london

Rewrites landmarks and brow mask of the geometry asset in place. See ``docs/face_model.md``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from face_model_build.landmark_calibration import calibrate
from facelume.face_model.open_model import ASSET_FOLDER, GEOMETRY_FILE


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--london", type=Path, required=True, help="folder of the London set")
    parser.add_argument("--asset", type=Path, default=ASSET_FOLDER / GEOMETRY_FILE, help="what is rewritten")
    return parser


def main() -> None:
    """Run the tool."""
    arguments = command_line().parse_args()
    calibrate(arguments.asset, arguments.london)


if __name__ == "__main__":
    main()
