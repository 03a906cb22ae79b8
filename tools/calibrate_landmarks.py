"""Second stage of the open face model, between build_face_model.py and build_albedo_basis.py.

python tools/calibrate_landmarks.py --london faces/london
"""

import argparse
from pathlib import Path

from face_model_build.landmark_calibration import calibrate

ASSET = Path(__file__).parents[1] / "src/facelume/face_model/assets/open_face_model.npz"

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--asset", type=Path, default=ASSET)
    parser.add_argument("--london", type=Path, required=True, help="folder of the London set")
    arguments = parser.parse_args()
    calibrate(arguments.asset, arguments.london)
