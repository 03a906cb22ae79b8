"""What highlights cost: albedo errors of synthetic faces, and of the same faces without highlights.

    python benchmarks/highlights.py --maps data/lights/environment_maps.npz [--heads 120] [--seed 11]

Each head is photographed twice, the second time with a skin that reflects nothing at its surface; everything
else is the same. The difference between the two is the most that a highlight layer beside the diffuse light
could gain, however well it were fitted. Prints one JSON object:

- ``shiny``, ``matte``: mean ``scale_free_error`` and ``absolute_error`` of the albedo over the seen skin;
- ``gained``: mean of the differences of the scale-free errors, with its standard error;
- ``share``: what part of the light on the skin is highlight, by the labels; ``gained_of_shiniest`` is over
  the third of the heads that has most.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from facelume.data.synthetic import SyntheticConfig, SyntheticFace, SyntheticFaces, load_environment_maps
from facelume.errors import NoFaceError
from facelume.evaluation.skin import SEEN
from facelume.metrics import absolute_error, scale_free_error
from facelume.pipeline import Reconstructor
from facelume.reflectance import linear_from_srgb
from facelume.uv import resize_map

_ERRORS = ("scale_free_error", "absolute_error")


def photograph_twice(faces: SyntheticFaces, seed: Sequence[int]) -> tuple[SyntheticFace, SyntheticFace]:
    """A head as it shines, and matte, by the same camera."""
    rng = np.random.default_rng(list(seed))
    scene, skin = faces.scenes.draw(rng), faces.skins.draw(rng)
    matte = replace(scene, highlight=np.zeros_like(scene.highlight))
    shiny, dull = (faces.photograph(s, np.random.default_rng([*seed, 1]), skin) for s in (scene, matte))
    return shiny, dull


def highlight_share(face: SyntheticFace) -> float:
    """Highlight over all light that the bare face reflects."""
    bare = face.parsing > 127
    highlight = face.highlight[bare].astype(np.float64).mean()
    diffuse = (face.shading[bare].astype(np.float64) * face.skin_linear).mean()
    return float(highlight / max(highlight + diffuse, 1e-9))


def albedo_errors(reconstructor: Reconstructor, face: SyntheticFace) -> tuple[float, float]:
    """Scale-free and absolute error over the skin that the photo shows, at the size of the true albedo.

    Raises:
        NoFaceError: The face is not found.
    """
    found = reconstructor.reconstruct(face.image_srgb)
    truth = linear_from_srgb(torch.from_numpy(face.albedo_srgb).float() / 255).numpy()
    size = truth.shape[0]
    seen = _resized(found.maps.visibility[..., None], size)[..., 0]
    mask = (seen > SEEN) & (reconstructor.model.uv_mask("skin", size).numpy() > SEEN)
    albedo = _resized(found.albedo, size)
    return scale_free_error(albedo, truth, mask), absolute_error(albedo, truth, mask)


def _resized(values: Float[np.ndarray, "S S c"], size: int) -> Float[np.ndarray, "s s c"]:
    channels_first = torch.from_numpy(np.array(values)).movedim(-1, 0)[None]
    smaller: np.ndarray = resize_map(channels_first, size)[0].movedim(0, -1).numpy()
    return smaller


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--maps", type=Path, required=True, help=".npz of lat-long HDR maps")
    parser.add_argument("--heads", type=int, default=120, help="heads to photograph")
    parser.add_argument("--seed", type=int, default=11, help="of everything random")
    return parser


def main() -> None:
    """Run the tool."""
    arguments = command_line().parse_args()
    reconstructor = Reconstructor(device="cpu")
    maps = load_environment_maps(arguments.maps, held_out=True)
    faces = SyntheticFaces(reconstructor.model, list(maps.values()), SyntheticConfig())
    errors, shares = [], []
    for index in range(arguments.heads):
        shiny, matte = photograph_twice(faces, (arguments.seed, index))
        try:
            errors.append([albedo_errors(reconstructor, face) for face in (shiny, matte)])
        except NoFaceError:
            continue
        shares.append(highlight_share(shiny))
    table, share = np.array(errors), np.array(shares)
    gained = table[:, 0, 0] - table[:, 1, 0]
    most = share >= np.quantile(share, 2 / 3)
    row = {
        "heads": len(table),
        "share": float(share.mean()),
        "shiny": dict(zip(_ERRORS, table[:, 0].mean(axis=0).tolist(), strict=True)),
        "matte": dict(zip(_ERRORS, table[:, 1].mean(axis=0).tolist(), strict=True)),
        "gained": float(gained.mean()),
        "gained_standard_error": float(gained.std(ddof=1) / np.sqrt(len(gained))),
        "gained_of_shiniest": float(gained[most].mean()),
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
