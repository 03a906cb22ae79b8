"""Faces, aligned 224 px crops and 478 landmarks of a photo, for instance for a network of your own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from facelume import Reconstructor
from facelume.camera import crop_from_landmarks, sample_crop
from facelume.io.photo import read_photo
from facelume.io.picture import quantise

PHOTO = Path(__file__).with_name("astronaut.png")
OUT = Path("example_results/crops")


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    photo = read_photo(PHOTO)  # upright, sRGB
    picture = Image.fromarray(photo.srgb)
    pen = ImageDraw.Draw(picture)
    for number, face in enumerate(Reconstructor().reconstruct_all(photo)):
        landmarks_px = face.landmarks_px["mediapipe478"]  # (478, 2), photo pixels, projections of the mesh
        for x, y in landmarks_px:
            pen.point((x - 0.5, y - 0.5), fill=(0, 255, 0))  # pixel (0, 0) has its centre at (0.5, 0.5)

        # The canonical crop: the box of the mesh points is centred and 150 px large, the eye line level.
        right_eye, left_eye = landmarks_px[33], landmarks_px[263]
        roll_rad = float(np.arctan2(left_eye[1] - right_eye[1], left_eye[0] - right_eye[0]))
        transform = crop_from_landmarks(landmarks_px, roll_rad)
        crop = sample_crop(photo.srgb, transform)  # (224, 224, 3) in [0, 1]
        Image.fromarray(quantise(crop)).save(OUT / f"face_{number}.png")
        print(f"face {number}: one crop pixel is {transform.scale:.2f} photo pixels wide")
        print("  its nose tip in the crop:", transform.to_crop(landmarks_px[1]).round(1))
    picture.save(OUT / "landmarks.png")
    print(f"pictures in {OUT}")


if __name__ == "__main__":
    main()
