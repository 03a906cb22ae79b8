"""Use a result folder: with any reader of JSON, PNG and GLB, and with facelume to render it again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from facelume import read_result, reconstruct
from facelume.io.picture import encode_srgb

PHOTO = Path(__file__).with_name("astronaut.png")
OUT = Path("example_results/read_a_result")


def main() -> None:
    folder = reconstruct(PHOTO).save(OUT / "astronaut")

    # 1. Without facelume. Where is the tip of the nose in the photo, and how does the skin reflect there?
    document = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    nose_px = document["landmarks_px"]["mediapipe478"][1]
    print("nose tip in the photo:", [round(value, 1) for value in nose_px], "px")
    albedo_srgb = np.asarray(Image.open(folder / "albedo.png"))
    seen = np.asarray(Image.open(folder / "texture.png"))[..., 3] > 127
    print("mean sRGB albedo of what the photo shows:", albedo_srgb[seen].mean(axis=0).round(1))
    head = trimesh.load_scene(folder / "mesh.glb")
    print("extent of the head in metres:", head.extents.round(3))
    with np.load(folder / "illumination.npz") as light:
        brightest = light["coarse"][0].argmax()
    print("the light has most", ("red", "green", "blue")[brightest])

    # 2. With facelume: shape, pose, albedo and light are read back and rendered at another size.
    result = read_result(folder)
    picture = result.posed.render(result.albedo, result.illumination, size_px=448)
    Image.fromarray(encode_srgb(picture)).save(OUT / "again.png")
    print(f"picture in {OUT}")


if __name__ == "__main__":
    main()
