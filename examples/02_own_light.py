"""Light of your own: coefficients from a formula or from an environment map, kept in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from facelume import reconstruct
from facelume.illumination import (
    directions_of_environment_map,
    sh_from_environment_map,
    with_front_shading,
)
from facelume.io.picture import encode_srgb

PHOTO = Path(__file__).with_name("astronaut.png")
OUT = Path("example_results/own_light")


def sunset() -> torch.Tensor:
    """A lat-long map (H, W, 3) of linear radiance: a low warm sun at picture left, a blue sky above."""
    directions = directions_of_environment_map(64, 128)  # light axes: +X right, +Y up, +Z to the viewer
    sun = torch.nn.functional.normalize(torch.tensor([-1.0, 0.15, 0.4]), dim=0)
    glow = (directions @ sun).clamp(min=0)[..., None] ** 16 * torch.tensor([30.0, 14.0, 5.0])
    sky = directions[..., 1:2].clamp(min=0) * torch.tensor([0.3, 0.5, 1.0])
    return glow + sky + 0.05


def main() -> None:
    face = reconstruct(PHOTO)
    OUT.mkdir(parents=True, exist_ok=True)

    # The unit of a map is arbitrary, so it is exposed as the presets are.
    coefficients = with_front_shading(sh_from_environment_map(sunset())).numpy()  # (9, 3)
    Image.fromarray(encode_srgb(face.render(light=coefficients))).save(OUT / "sunset.png")

    # A light file works wherever a preset's name does: facelume relight RESULT --light sunset.npz
    np.savez(OUT / "sunset.npz", sh_radiance=coefficients)
    again = face.render(light=OUT / "sunset.npz", yaw_rad=np.pi)
    Image.fromarray(encode_srgb(again)).save(OUT / "sunset_from_behind.png")
    print(f"pictures and light file in {OUT}")


if __name__ == "__main__":
    main()
