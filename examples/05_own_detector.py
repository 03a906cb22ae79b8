"""Your own face detector: any object with a ``locate`` method that returns boxes with five points."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facelume import FaceDetection, Reconstructor

PHOTO = Path(__file__).with_name("astronaut.png")
OUT = Path("example_results/own_detector")


class KnownFaces:
    """Returns faces that somebody else has found, for instance another network or an annotation."""

    def __init__(self, *faces: FaceDetection) -> None:
        self.faces = list(faces)

    def locate(self, photo_srgb: np.ndarray) -> list[FaceDetection]:
        """Faces of an upright photo (H, W, 3), the largest first."""
        height, width = photo_srgb.shape[:2]
        return [face for face in self.faces if face.box_px[2] <= width and face.box_px[3] <= height]


def main() -> None:
    # Photo pixels: the box goes from brow to chin and from cheek to cheek; the points are the subject's right
    # eye, left eye, nose tip, right and left mouth corner. A rough box will do: landmarks refine it.
    annotated = FaceDetection(
        box_px=(170.0, 70.0, 265.0, 190.0),
        points_px=np.array([[196.0, 113.0], [241.0, 108.0], [222.0, 132.0], [202.0, 157.0], [247.0, 152.0]]),
        score=1.0,
    )
    face = Reconstructor(locator=KnownFaces(annotated)).reconstruct(PHOTO)
    print(f"{face.metrics['detail'].psnr_db:.1f} dB with the annotated box")
    face.save(OUT)
    print(f"look at {OUT / 'overlay.png'}")


if __name__ == "__main__":
    main()
