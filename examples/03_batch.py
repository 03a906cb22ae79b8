"""A folder of photos: networks are loaded once, and one bad photo does not stop the others."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from facelume import NoFaceError, Reconstructor, UnreadableInputError

PHOTO = Path(__file__).with_name("astronaut.png")
PHOTOS = Path("example_results/photos")
OUT = Path("example_results/batch")


def make_photos() -> None:
    """Three files as they turn up in practice: a face, a mirrored face, and something else."""
    PHOTOS.mkdir(parents=True, exist_ok=True)
    photo = Image.open(PHOTO)
    photo.save(PHOTOS / "anna.jpg")
    photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(PHOTOS / "berta.png")
    Image.new("RGB", (320, 240), "grey").save(PHOTOS / "wall.png")


def main() -> None:
    make_photos()
    reconstructor = Reconstructor(device="auto", uv_size=256)
    for path in sorted(PHOTOS.iterdir()):
        try:
            faces = reconstructor.reconstruct_all(path)  # every face, the largest first
        except NoFaceError as error:
            print(f"{path.name}: skipped, {error}")
            continue
        except UnreadableInputError as error:
            print(f"{path.name}: no picture, {error}")
            continue
        for index, face in enumerate(faces):
            face.save(OUT / f"{path.stem}_{index}", meshes=False)  # only maps and renderings: faster
        print(f"{path.name}: {len(faces)} face(s), {sum(faces[0].timings_s.values()):.2f} s for the first")


if __name__ == "__main__":
    main()
