"""One photo in, one face out: what a reconstruction holds, and the folder with everything in it."""

from __future__ import annotations

from pathlib import Path

from facelume import reconstruct

PHOTO = Path(__file__).with_name("astronaut.png")
OUT = Path("example_results")


def main() -> None:
    face = reconstruct(PHOTO)

    # Colours are linear Rec.709 with the origin of every map top-left; lengths are metres.
    print("albedo without light:", face.albedo.shape)
    print("light per texel, nine coefficients per colour:", face.illumination.shape)
    print("mesh:", len(face.mesh.vertices), "vertices,", len(face.mesh.faces), "triangles")
    print("distance to the camera:", round(float(face.camera.cam_from_model[2, 3]), 2), "m")
    for name, fidelity in face.metrics.items():
        print(f"rendering under its {name} light: {fidelity.psnr_db:.1f} dB from the photo")
    for warning in face.warnings:
        print("note:", warning)

    folder = face.save(OUT / "hello_face")
    print(f"look at {folder / 'preview.png'} first; docs/results.md describes every file")


if __name__ == "__main__":
    main()
