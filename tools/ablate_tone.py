"""Train the tone network without each of its cues, sources and terms in turn, and tabulate what that costs.

    python tools/ablate_tone.py src/facelume/training/configs/tone.json --heads DIR --out runs/tone/ablation
    python tools/ablate_tone.py RUN_FILE --numbers-alone --rows everything "no eyes" --heads DIR --out DIR_2

Every row is a cross-validation over people: ``--folds`` trainings, each measured on the people that it did
not see. ``DIR`` is a set of ``tools/make_albedo_benchmark.py``. A region that is left out is still to be seen
in the small picture; ``--numbers-alone`` trains one network without it, which takes a minute instead of half
an hour. Prints a table in Markdown; the folder of the runs keeps each row as JSON, and a row that is there
already is not trained again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from facelume.detection import NetworkLocator
from facelume.face_model import FaceModel, load_open_face_model
from facelume.fitting import landmark_basis
from facelume.fitting.tone_cues import BANDS
from facelume.pipeline.finding import FaceFinder
from facelume.refinement.inputs import model_tone_regions
from facelume.reflectance import luminance
from facelume.training.config import read_run_file
from facelume.training.prior.export import load_prior
from facelume.training.tone.config import ToneTrainingConfig
from facelume.training.tone.faces import FaceReader, NamedPhoto
from facelume.training.tone.losses import tone_and_hue
from facelume.training.tone.rows import ToneRows, known_skin, read_rows
from facelume.training.tone.split import SplitRows, load_rows
from facelume.training.tone.train import train_on_rows
from facelume.training.tone.validation import answers, errors, measure

Change = Callable[[ToneTrainingConfig], ToneTrainingConfig]


def without_cues(*names: str) -> Change:
    """A network that may not look at some regions."""
    left = tuple(name for name in BANDS if name not in names)
    return lambda run: replace(run, data=replace(run.data, cues=left))


def without_terms(*names: str) -> Change:
    """A network that is not taught by some terms."""
    return lambda run: replace(run, losses=replace(run.losses, **dict.fromkeys(names, 0.0)))


ABLATIONS: dict[str, Change] = {
    "everything": lambda run: run,
    "no eyes": without_cues("eye"),
    "no lips": without_cues("lips"),
    "no brows": without_cues("brow"),
    "no skin beside eyes and lips": without_cues("beside_eye", "beside_lips"),
    "no spread of the skin": without_cues("skin"),
    "eyes alone": without_cues("lips", "brow", "beside_eye", "beside_lips", "skin"),
    "lips alone": without_cues("eye", "brow", "beside_eye", "beside_lips", "skin"),
    "no picture": lambda run: replace(run, network=replace(run.network, picture_width=0)),
    "one network": lambda run: replace(run, network=replace(run.network, num_members=1)),
    "no closed eyes": lambda run: replace(run, data=replace(run.data, num_closed_heads=0)),
    "no synthetic faces": without_terms("synthetic"),
    "no studio": without_terms("studio"),
    "no judged photos": without_terms("judged"),
    "no photos of one person": without_terms("groups", "laboratory"),
    "no brightness": without_terms("brightness"),
    "no class bias": without_terms("class_bias"),
    "synthetic faces alone": without_terms("studio", "judged", "groups", "laboratory", "brightness"),
}
"""What is changed in each row."""

COLUMNS = {
    "synthetic/sd": "synthetic: sd",
    "studio/sd": "studio: sd",
    "studio/ita_error": "ITA°",
    "studio/class_gap": "class gap",
    "judged/sd": "judged: sd",
    "groups/within": "one person: within",
    "groups/between": "between",
    "laboratory/within": "lamps: within",
    "laboratory/between": "between ",
    "heads/sd": "heads: sd",
    "heads/a": "a",
    "heads/b": "b",
    "heads/ita_error": "ITA° ",
    "heads/class_gap": "class gap ",
}
"""Figures of the table, and what they are called in it."""


def measure_row(
    run: ToneTrainingConfig, num_folds: int, model: FaceModel, heads: ToneRows, folder: Path
) -> dict[str, float]:
    """Mean figures of one row over its folds.

    Args:
        run: What is trained.
        num_folds: Trainings.
        model: The face model.
        heads: Rendered heads, see :func:`rows_of_heads`.
        folder: Folder for the trainings.
    """
    measured: list[dict[str, float]] = []
    for fold in range(num_folds):
        data = replace(run.data, num_folds=num_folds, fold=fold)
        loop = replace(run.loop, validate_every_steps=0, log_every_steps=run.loop.num_steps)
        part = replace(run, data=data, loop=loop, output=folder / str(fold))
        rows = load_rows(data, model, model_tone_regions(model))
        if run.network.picture_width == 0:
            rows = {
                kind: SplitRows(*map(without_picture, vars(split).values())) for kind, split in rows.items()
            }
        network = train_on_rows(part, rows).network
        with torch.no_grad():
            found = measure(network, {kind: split.held_out for kind, split in rows.items()})
            measured.append(found | figures_of_heads(network, heads))
    names = set.intersection(*(set(found) for found in measured))
    return {name: round(float(np.mean([m[name] for m in measured])), 4) for name in sorted(names)}


def without_picture(rows: ToneRows) -> ToneRows:
    """The rows with a picture of one texel, which costs nothing to change: no network looks at it."""
    return replace(rows, picture=rows.picture[..., :1, :1])


def rows_of_heads(folder: Path, run: ToneTrainingConfig, model: FaceModel) -> ToneRows:
    """Rendered heads with their true tone: the median albedo of the pixels that count."""
    paths = sorted((folder / "images").iterdir())
    prior, _ = load_prior(run.data.prior_weights or "prior", model)
    locator = NetworkLocator.load(run.data.locator_weights)
    finder = FaceFinder(locator, prior, landmark_basis(model), with_coefficients=True)
    reader = FaceReader(model, finder, run.data.label_errors)
    rows = known_skin(
        read_rows(
            reader.photos([NamedPhoto(p, f"{p.stem}:{p.name}") for p in paths]), model_tone_regions(model)
        )
    )
    tones = []
    for name in rows.person:
        with np.load(folder / "albedo" / f"{name}.npz", allow_pickle=False) as truth:
            albedo = truth["albedo_linear"][truth["mask"]].astype(np.float32)
        tones.append(np.log(np.median(albedo, axis=0)))
    return replace(rows, true_tone=torch.from_numpy(np.stack(tones)))


def figures_of_heads(network: nn.Module, heads: ToneRows) -> dict[str, float]:
    """Errors, and how the log luminance follows the truth (a) and the photo (b)."""
    found = answers(network, heads).log_luminance
    true, shown = tone_and_hue(heads.true_tone)[:, 0], torch.log(luminance(heads.skin))
    inputs = torch.stack([true, shown, torch.ones_like(true)], dim=1)
    of_truth, of_photo, _ = torch.linalg.lstsq(inputs, found[:, None]).solution[:, 0].tolist()
    values = errors(network, heads) | {"a": of_truth, "b": of_photo}
    return {f"heads/{name}": value for name, value in values.items()}


def table(figures: dict[str, dict[str, float]]) -> str:
    """The figures in Markdown."""
    lines = ["| | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, row in figures.items():
        cells = [_cell(column, row.get(column)) for column in COLUMNS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(column: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1f}" if column.endswith("ita_error") else f"{value:.2f}"


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, help="run file of the tone network")
    parser.add_argument("--heads", type=Path, required=True, help="set of rendered heads with known albedo")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs and their figures")
    parser.add_argument("--folds", type=int, default=5, help="trainings of a row")
    parser.add_argument("--rows", nargs="+", default=list(ABLATIONS), choices=list(ABLATIONS), metavar="ROW")
    parser.add_argument("--numbers-alone", action="store_true", help="one network that sees no picture")
    return parser


def main() -> None:
    """Run the tool."""
    arguments = command_line().parse_args()
    run, model = read_run_file(arguments.config, ToneTrainingConfig), load_open_face_model()
    heads = rows_of_heads(arguments.heads, run, model)
    if arguments.numbers_alone:
        run = replace(run, network=replace(run.network, picture_width=0, num_members=1))
    figures = {}
    for name in arguments.rows:
        path = arguments.out / f"{name.replace(' ', '_')}.json"
        if not path.is_file():
            found = measure_row(ABLATIONS[name](run), arguments.folds, model, heads, path.with_suffix(""))
            path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        figures[name] = json.loads(path.read_text(encoding="utf-8"))
    print(table(figures), end="")


if __name__ == "__main__":
    main()
