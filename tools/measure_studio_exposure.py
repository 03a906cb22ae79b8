"""Measure the exposure of the studio set of a tone run file: ``data.studio_gain`` and ``data.studio_surface``.

``python tools/measure_studio_exposure.py src/facelume/training/configs/tone.json``

Prints JSON: the two values of the run file, how far the skins' hues then lie from measured skin, and the tones.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro
from tyro.conf import Positional

from facelume.errors import FacelumeError, UsageError
from facelume.face_model import load_open_face_model
from facelume.refinement.inputs import model_tone_regions
from facelume.reflectance import human_skin, luminance
from facelume.training.config import read_run_file
from facelume.training.tone.config import ToneTrainingConfig
from facelume.training.tone.rows import joined, known_skin, rows_of_shard
from facelume.training.tone.shards import STUDIO, FaceShards
from facelume.training.tone.studio import measure_studio


@dataclass(frozen=True)
class MeasureStudioExposure:
    """Measure the exposure of a run file's studio set."""

    config: Positional[Path]
    """Run file of the tone network."""

    def run(self) -> None:
        """Unwraps the set's photos where they are missing; prints the figures."""
        data = replace(read_run_file(self.config, ToneTrainingConfig).data, groups=None, laboratory=None)
        model = load_open_face_model()
        regions = model_tone_regions(model)
        parts = [rows_of_shard(s, regions) for s in FaceShards(data, model) if s.kind == STUDIO]
        if not parts:
            raise UsageError(f"{self.config}: no data.studio_set")
        rows = known_skin(joined(parts))
        found = measure_studio(rows.skin, len(set(rows.person)))
        albedo = (rows.skin * rows.skin.new_tensor(found.gain) - found.surface).clamp(min=1e-3)
        tone = torch.log(luminance(albedo))
        quantiles = tone.quantile(tone.new_tensor([0.05, 0.25, 0.5, 0.75, 0.95]))
        figures = {
            "studio_gain": [round(value, 3) for value in found.gain],
            "studio_surface": round(found.surface, 4),
            "misfit": round(found.misfit, 3),
            "median_hue_distance": round(float(human_skin().hue_distance(albedo).median()), 2),
            "log_luminance_5_25_50_75_95": [round(value, 2) for value in quantiles.tolist()],
        }
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    try:
        tyro.cli(MeasureStudioExposure).run()
    except FacelumeError as error:
        sys.exit(f"measure_studio_exposure: {error}")
