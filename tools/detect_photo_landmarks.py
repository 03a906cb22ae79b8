"""Write a photo set's landmarks.npz: the 478 points of MediaPipe's face landmarker on each of its photos.

    python tools/detect_photo_landmarks.py data/faces/mine --model face_landmarker.task

Reads ``images/`` of the set and writes ``names`` and ``points`` (n, 478, 3) int16 in 1/16 photo px (x right,
y down, z depth in the scale of x) beside it. Photos in which no face is found are left out and named.
Needs mediapipe >= 1, Pillow and numpy, in an environment of their own if need be, and the model file
``face_landmarker.task`` of https://ai.google.dev/edge/mediapipe/solutions/vision/face_landmarker.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

UNITS_PER_PX = 16
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})


def detect(photo_set: Path, model: Path) -> tuple[list[str], np.ndarray, list[str]]:
    """Names and points of the photos with a face, and names of those without."""
    import mediapipe
    from mediapipe.tasks.python import vision
    from mediapipe.tasks.python.core.base_options import BaseOptions

    options = vision.FaceLandmarkerOptions(base_options=BaseOptions(model_asset_path=str(model)), num_faces=1)
    names, points, faceless = [], [], []
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        for path in sorted((photo_set / "images").iterdir()):
            if path.suffix.lower() not in _SUFFIXES:
                continue
            with Image.open(path) as file:
                photo = np.array(ImageOps.exif_transpose(file).convert("RGB"))
            picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=photo)
            found = landmarker.detect(picture).face_landmarks
            if not found:
                faceless.append(path.name)
                continue
            height, width = photo.shape[:2]
            points.append([(p.x * width, p.y * height, p.z * width) for p in found[0]])
            names.append(path.name)
    return names, np.array(points).reshape(-1, 478, 3), faceless


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo_set", type=Path, help="folder with images/")
    parser.add_argument("--model", type=Path, required=True, help="face_landmarker.task")
    return parser


def main() -> None:
    """Run the tool."""
    arguments = command_line().parse_args()
    names, points, faceless = detect(arguments.photo_set, arguments.model)
    if names and np.abs(points).max() * UNITS_PER_PX > np.iinfo(np.int16).max:
        largest = names[int(np.abs(points).max(axis=(1, 2)).argmax())]
        raise SystemExit(f"{largest} is too large for int16 in 1/16 px: bring photos down to 2,000 px a side")
    target = arguments.photo_set / "landmarks.npz"
    np.savez_compressed(target, names=np.array(names), points=np.rint(points * UNITS_PER_PX).astype(np.int16))
    print(f"{target}: {len(names)} photos")
    for name in faceless:
        print(f"no face found in {name}")


if __name__ == "__main__":
    main()
