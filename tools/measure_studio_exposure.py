"""Measure the exposure of the studio set of the tone's run file: ``studio_gain`` and ``studio_surface``.

    python tools/measure_studio_exposure.py src/facelume/training/configs/tone.json

Prints JSON: the two values of the run file, the cast of the backdrop (the upper corners of the photos), how
far the hues of the skins then lie from measured skin, and their tones. Photos that are not unwrapped yet are.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from facelume.errors import UsageError
from facelume.face_model import load_open_face_model
from facelume.io.photo import read_photo
from facelume.refinement.inputs import model_tone_regions
from facelume.reflectance import hue, human_skin, linear_from_srgb, luminance
from facelume.training.config import read_run_file
from facelume.training.tone.config import ToneDataConfig, ToneTrainingConfig
from facelume.training.tone.rows import joined, known_skin, rows_of_shard
from facelume.training.tone.shards import STUDIO, FaceShards, studio_photos
from facelume.training.tone.studio import measure_studio

CORNER = (5, 10)
"""Share of height and width of a photo that each upper corner takes: 1 over these."""


def figures_of_studio(data: ToneDataConfig) -> dict[str, Any]:
    """Measure the studio of a run file's data.

    Raises:
        UsageError: It names none.
    """
    if data.studio_set is None or data.photos is None:
        raise UsageError("the run file names no data.studio_set in data.photos")
    model = load_open_face_model()
    shards = FaceShards(replace(data, groups=None, laboratory=None, judged=False), model)
    regions = model_tone_regions(model)
    rows = known_skin(joined([rows_of_shard(s, regions) for s in shards if s.kind == STUDIO]))
    backdrop = backdrop_colour([photo.path for photo in studio_photos(data.photos, data.studio_set)])
    found = measure_studio(rows.skin, backdrop)
    albedo = (rows.skin * rows.skin.new_tensor(found.gain) - found.surface).clamp(min=1e-3)
    tone = torch.log(luminance(albedo))
    quantiles = tone.quantile(tone.new_tensor([0.05, 0.25, 0.5, 0.75, 0.95]))
    return {
        "studio_gain": [round(value, 3) for value in found.gain],
        "studio_surface": round(found.surface, 4),
        "backdrop_log_rg_gb": [round(float(value), 3) for value in hue(backdrop)],
        "misfit": round(found.misfit, 3),
        "median_hue_distance": round(float(human_skin().hue_distance(albedo).median()), 2),
        "log_luminance_5_25_50_75_95": [round(value, 2) for value in quantiles.tolist()],
    }


def backdrop_colour(paths: Sequence[Path]) -> Float[Tensor, " 3"]:
    """Median over photos of the median linear colour of their two upper corners."""
    colours = []
    for path in paths:
        photo = torch.from_numpy(read_photo(path).srgb).float() / 255.0
        height, width = photo.shape[0] // CORNER[0], photo.shape[1] // CORNER[1]
        corners = torch.cat([photo[:height, :width].flatten(0, 1), photo[:height, -width:].flatten(0, 1)])
        colours.append(linear_from_srgb(corners).median(dim=0).values)
    return torch.stack(colours).median(dim=0).values


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, help="run file of the tone network")
    return parser


def main() -> None:
    """Run the tool."""
    config = read_run_file(command_line().parse_args().config, ToneTrainingConfig)
    print(json.dumps(figures_of_studio(config.data), indent=2))


if __name__ == "__main__":
    main()
