"""The same face under other lights: presets, the turned light of the photo, and a larger picture."""

from __future__ import annotations

import math
from pathlib import Path

from PIL import Image

from facelume import light_presets, reconstruct
from facelume.io.picture import encode_srgb

PHOTO = Path(__file__).with_name("astronaut.png")
OUT = Path("example_results/relight")


def main() -> None:
    face = reconstruct(PHOTO)
    OUT.mkdir(parents=True, exist_ok=True)
    print("presets:", ", ".join(light_presets()))

    for name in ("left", "top"):
        # (224, 224, 3), linear, black outside the face; with the nose's shadow, unless shadows=False
        linear = face.render(light=name)
        Image.fromarray(encode_srgb(linear)).save(OUT / f"{name}.png")

    # Without a name it is the light of the photo; a positive yaw moves it from the viewer to picture right.
    for degrees in (-60, 60):
        linear = face.render(yaw_rad=math.radians(degrees), size_px=448)
        Image.fromarray(encode_srgb(linear)).save(OUT / f"own_light_turned_{degrees:+d}.png")
    print(f"pictures in {OUT}")


if __name__ == "__main__":
    main()
