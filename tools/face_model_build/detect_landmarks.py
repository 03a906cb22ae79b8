"""Detect the 478 MediaPipe face mesh points; runs in an environment with ``mediapipe==0.10.21`` (numpy<2).

Usage: python detect_landmarks.py PICTURES.npz OUT.npz. Reads ``pictures`` (n, H, W, 3) uint8; writes
``points`` (n, 478, 2) px, NaN where no face was found, and ``edges`` of the landmark mesh.
"""

from __future__ import annotations

import sys

import mediapipe as mp
import numpy as np


def main(source: str, destination: str) -> None:
    pictures = np.load(source)["pictures"]
    points = np.full((len(pictures), 478, 2), np.nan)
    with mp.solutions.face_mesh.FaceMesh(
        static_image_mode=True, refine_landmarks=True, max_num_faces=1, min_detection_confidence=0.2
    ) as mesh:
        for n, picture in enumerate(pictures):
            result = mesh.process(np.ascontiguousarray(picture))
            if result.multi_face_landmarks:
                height, width = picture.shape[:2]
                marks = result.multi_face_landmarks[0].landmark
                points[n] = [(m.x * width, m.y * height) for m in marks]
    np.savez(destination, points=points, edges=np.array(sorted(mp.solutions.face_mesh.FACEMESH_TESSELATION)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
