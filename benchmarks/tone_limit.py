"""How well eyes, lips, brows and teeth beside the skin can tell its tone, were their colours read exactly.

    python benchmarks/tone_limit.py [--people 10000]

Draws people whose skins have the measured colours, every ITA class as often as in the synthetic faces, and
whose parts differ from their skin as those of the people that were measured
(``facelume.data.synthetic.part_colours``). What a photo in even light shows of each part relative to the skin
is known without error, exposure and tint of the light not at all. The tone is told from it by the best
polynomial of the second order, measured on people that it was not fitted to. Prints one JSON object with a
row for each choice of parts:

- ``luminance_sd``, ``rg_sd``, ``gb_sd``: standard deviation of the error of log luminance, log R/G, log G/B;
- ``luminance_a``, ``rg_a``, ``gb_a``: share of the truth that the answers keep, the ``truth_weight`` of
  ``facelume evaluate``;
- ``relative_error``: mean difference of the luminance, over the true one;
- ``ita_error``, ``ita_error_dark``: mean error, degrees; of dark skin alone.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
import torch
from jaxtyping import Float

from facelume.data.synthetic import (
    PART_STATISTICS,
    SKIN_SURFACE,
    PartStatistics,
    SyntheticConfig,
    random_skin_colour,
)
from facelume.reflectance import ITA_CLASSES, human_skin, ita_degrees
from facelume.training.tone.losses import tone_and_hue

CHOICES: dict[str, tuple[str, ...]] = {
    "sclera": ("sclera",),
    "sclera, teeth": ("sclera", "teeth"),
    "sclera, lips": ("sclera", "lips"),
    "sclera, lips, brows, iris": ("sclera", "lips", "brows", "iris"),
    "all": tuple(PART_STATISTICS),
}
_FIT_SHARE = 0.75
_DARK_ITA_DEG = ITA_CLASSES[0][0]


def draw_people(number: int, rng: np.random.Generator) -> Float[np.ndarray, "n 3"]:
    """Log of the linear diffuse albedo of skins."""
    colour = SyntheticConfig().skin.colour
    return np.log([random_skin_colour(colour, rng) for _ in range(number)])


def draw_part(
    part: PartStatistics, log_skin: Float[np.ndarray, "n 3"], rng: np.random.Generator
) -> Float[np.ndarray, "n 3"]:
    """Log of the colour that a photo shows of a part of each face, over that which it shows of the skin."""
    seen_skin = np.log(np.exp(log_skin) + SKIN_SURFACE)
    return np.array([part.sample_seen(skin, rng) - skin for skin in seen_skin])


def told_from(
    cues: Float[np.ndarray, "n K"], tone: Float[np.ndarray, "n 3"]
) -> tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, "m 3"]]:
    """What the best polynomial of the first people says of the last ones, and what is true of them."""
    normal = (cues - cues.mean(axis=0)) / cues.std(axis=0)
    first, second = np.triu_indices(normal.shape[1])
    terms = np.concatenate([np.ones((len(normal), 1)), normal, normal[:, first] * normal[:, second]], axis=1)
    fitted = int(len(terms) * _FIT_SHARE)
    weights = np.linalg.lstsq(terms[:fitted], tone[:fitted], rcond=None)[0]
    return terms[fitted:] @ weights, tone[fitted:]


def figures(said: Float[np.ndarray, "n 3"], true: Float[np.ndarray, "n 3"]) -> dict[str, float]:
    """The columns of a row.

    Args:
        said: Log luminance, log R/G, log G/B as they were told.
        true: As they are.
    """
    row: dict[str, float] = {}
    for name, a, b in zip(("luminance", "rg", "gb"), said.T, true.T, strict=True):
        row[f"{name}_sd"] = float((a - b).std())
        row[f"{name}_a"] = float(np.polyfit(b, a, 1)[0])
    row["relative_error"] = float(np.abs(np.exp(said[:, 0] - true[:, 0]) - 1).mean())
    true_ita = _ita_of_tone(true)
    ita_error = np.abs(_ita_of_tone(said) - true_ita)
    row["ita_error"] = float(ita_error.mean())
    row["ita_error_dark"] = float(ita_error[true_ita <= _DARK_ITA_DEG].mean())
    return row


def _ita_of_tone(tone: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
    values = torch.from_numpy(tone)
    skin = human_skin()
    offset = values[:, 1:] - skin.hue_of_tone(values[:, 0])
    found: np.ndarray = ita_degrees(torch.exp(skin.log_colour(values[:, 0], offset))).numpy()
    return found


def limits(people: int, seed: int) -> dict[str, dict[str, float]]:
    """The table's rows, after ``spread``: how much the tones of the people differ."""
    rng = np.random.default_rng(seed)
    log_skin = draw_people(people, rng)
    tone = tone_and_hue(torch.from_numpy(log_skin)).numpy()
    parts = {name: draw_part(part, log_skin, rng) for name, part in PART_STATISTICS.items()}
    rows = {"spread": dict(zip(("luminance_sd", "rg_sd", "gb_sd"), tone.std(axis=0).tolist(), strict=True))}
    for name, chosen in CHOICES.items():
        cues = np.concatenate([parts[part] for part in chosen], axis=1)
        rows[name] = figures(*told_from(cues, tone))
    return rows


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=10_000, help="people to draw")
    parser.add_argument("--seed", type=int, default=0, help="of everything random")
    return parser


def main() -> None:
    """Run the tool."""
    arguments = command_line().parse_args()
    print(json.dumps(limits(arguments.people, arguments.seed)))


if __name__ == "__main__":
    main()
