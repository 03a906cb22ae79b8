"""Measure the exposure of the studio set of the tone's run file: ``studio_gain`` and ``studio_surface``.

    python tools/measure_studio_exposure.py src/facelume/training/configs/tone.json

Prints JSON: the two values of the run file, the cast of the backdrop (the upper corners of the photos), how
far the hues of the skins then lie from measured skin, and their tones.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro
from jaxtyping import Float
from torch import Tensor
from tyro.conf import Positional

from facelume.errors import FacelumeError, UsageError
from facelume.face_model import load_open_face_model
from facelume.io.photo import read_photo
from facelume.refinement.inputs import model_tone_regions
from facelume.reflectance import hue, human_skin, linear_from_srgb, luminance
from facelume.training.config import read_run_file
from facelume.training.tone.config import ToneTrainingConfig
from facelume.training.tone.rows import joined, known_skin, rows_of_shard
from facelume.training.tone.shards import STUDIO, FaceShards, studio_photos
from facelume.training.tone.studio import measure_studio

CORNER = (5, 10)
"""Share of height and width of a photo that each upper corner takes: 1 over these."""


@dataclass(frozen=True)
class MeasureStudioExposure:
    """Measure the exposure of a run file's studio set."""

    config: Positional[Path]
    """Run file of the tone network."""

    def run(self) -> None:
        """Unwraps the set's photos where they are missing; prints the figures."""
        data = read_run_file(self.config, ToneTrainingConfig).data
        data = replace(data, groups=None, laboratory=None, judged=False)
        model = load_open_face_model()
        regions = model_tone_regions(model)
        parts = [rows_of_shard(s, regions) for s in FaceShards(data, model) if s.kind == STUDIO]
        if not parts:
            raise UsageError(f"{self.config}: no data.studio_set")
        rows = known_skin(joined(parts))
        photos = studio_photos(data.photos or Path(), data.studio_set or "")
        backdrop = backdrop_colour([photo.path for photo in photos])
        found = measure_studio(rows.skin, backdrop)
        albedo = (rows.skin * rows.skin.new_tensor(found.gain) - found.surface).clamp(min=1e-3)
        tone = torch.log(luminance(albedo))
        quantiles = tone.quantile(tone.new_tensor([0.05, 0.25, 0.5, 0.75, 0.95]))
        figures = {
            "studio_gain": [round(value, 3) for value in found.gain],
            "studio_surface": round(found.surface, 4),
            "backdrop_log_rg_gb": [round(float(value), 3) for value in hue(backdrop)],
            "misfit": round(found.misfit, 3),
            "median_hue_distance": round(float(human_skin().hue_distance(albedo).median()), 2),
            "log_luminance_5_25_50_75_95": [round(value, 2) for value in quantiles.tolist()],
        }
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")


def backdrop_colour(paths: Sequence[Path]) -> Float[Tensor, " 3"]:
    """Median over photos of the median linear colour of their two upper corners."""
    colours = []
    for path in paths:
        photo = torch.from_numpy(read_photo(path).srgb).float() / 255.0
        height, width = photo.shape[0] // CORNER[0], photo.shape[1] // CORNER[1]
        corners = torch.cat([photo[:height, :width].flatten(0, 1), photo[:height, -width:].flatten(0, 1)])
        colours.append(linear_from_srgb(corners).median(dim=0).values)
    return torch.stack(colours).median(dim=0).values


if __name__ == "__main__":
    try:
        tyro.cli(MeasureStudioExposure).run()
    except FacelumeError as error:
        sys.exit(f"measure_studio_exposure: {error}")
