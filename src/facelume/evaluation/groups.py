"""One person in several photos: how much the albedo changes with light and exposure, where no truth is known.

What is asked of an albedo here: that it is the same on each photo of a person (spread, distance within), that
it is not the same for everyone (distance between), and that it explains another photo of the same person
under that photo's light (cross-light).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from facelume.evaluation.skin import read_visible_skin
from facelume.evaluation.summary import Row, statistics
from facelume.face_model import FaceModel
from facelume.io.picture import decode_srgb, encode_srgb, load_png
from facelume.metrics import TONE_AXES, albedo_distance, between_spread, psnr_db, within_spread
from facelume.pipeline import read_result

DISTANCE_SIZE = 128
"""Texels along an edge at which albedos of two photos are compared."""

LEAST_SHARED_SHARE = 0.1
"""Share of the face's skin that two photos must both show for their albedos to be compared."""

MAX_BETWEEN_PAIRS = 3000
"""Of more pairs of different people so many are drawn, always the same."""


def result_folder(out: Path, set_name: str, name: str) -> Path:
    """Where the result of a photo lies below the folder of an evaluation.

    Args:
        out: The evaluation's folder.
        set_name: Name of the photo's set.
        name: The photo's name within it, see ``PhotoReference.name``.
    """
    return out / "results" / set_name / Path(name).with_suffix("")


def measure_groups(rows: Sequence[Row], out: Path, model: FaceModel) -> dict[str, Any]:
    """The rows of one set's groups; faces that were not found are left out.

    Args:
        rows: Finished rows of the set's photos, those of groups with ``person``.
        out: The evaluation's folder with the results.
        model: The face model they were made with.

    Returns:
        ``spread``, ``albedo_distance`` and ``cross_light`` as ``docs/benchmarks.md`` describes them.

    Raises:
        UnreadableInputError: A result is missing or damaged.
    """
    people: dict[str, list[Row]] = {}
    for row in rows:
        if "person" in row and row["found"]:
            people.setdefault(row["person"], []).append(row)
    return {
        "people": len(people),
        "photos": sum(len(members) for members in people.values()),
        "spread": {axis: _spread(list(people.values()), axis) for axis in TONE_AXES},
        "albedo_distance": _distances(people, out, model),
        "cross_light": _cross_light(people, out),
    }


def _spread(people: Sequence[Sequence[Row]], axis: str) -> dict[str, float] | None:
    """Spread of one coordinate of the median skin colour; None for a hue where no photo has colour."""
    is_hue = axis != "log_luminance"
    document = {}
    for key, name in (("ours", "skin_median"), ("of_photo", "skin_median_of_photo")):
        kept = [
            np.array([row[name][axis] for row in rows if name in row and not (is_hue and row["is_grey"])])
            for rows in people
        ]
        kept = [values[np.isfinite(values)] for values in kept]
        if not any(len(values) for values in kept):
            return None
        document[key] = within_spread(kept)
        document[f"between_people_{key}"] = between_spread(kept)
    return document


@dataclass(frozen=True, eq=False)
class _Seen:
    """Albedo of one photo at the size of comparison, half precision, and where it shows bare skin."""

    person: str
    albedo: Float[np.ndarray, "S S 3"]
    mask: Bool[np.ndarray, "S S"]


def _distances(people: dict[str, list[Row]], out: Path, model: FaceModel) -> dict[str, Any]:
    """Mean distance of two albedos of one person, of two of different people, and their quotient."""
    seen = []
    for person, rows in people.items():
        for row in rows:
            skin = read_visible_skin(result_folder(out, row["set"], row["name"]), model, DISTANCE_SIZE)
            seen.append(_Seen(person, skin.albedo_linear.astype(np.float16), skin.mask))
    pairs = list(itertools.combinations(range(len(seen)), 2))
    within = [pair for pair in pairs if seen[pair[0]].person == seen[pair[1]].person]
    between = [pair for pair in pairs if seen[pair[0]].person != seen[pair[1]].person]
    if len(between) > MAX_BETWEEN_PAIRS:
        chosen = np.random.default_rng(0).choice(len(between), MAX_BETWEEN_PAIRS, replace=False)
        between = [between[i] for i in chosen]
    least = LEAST_SHARED_SHARE * int((model.uv_mask("skin", DISTANCE_SIZE) > 0.5).sum())

    def distances(chosen: Sequence[tuple[int, int]]) -> list[float]:
        values = []
        for i, j in chosen:
            shared = seen[i].mask & seen[j].mask
            if shared.sum() >= least:
                first, second = (seen[k].albedo.astype(np.float32) for k in (i, j))
                values.append(albedo_distance(first, second, shared))
        return values

    own, others = statistics(distances(within)), statistics(distances(between))
    ratio = own["mean"] / others["mean"] if own["count"] and others["count"] else None
    return {"within": own, "between": others, "ratio": ratio}


def _cross_light(people: dict[str, list[Row]], out: Path) -> dict[str, Any]:
    """Each photo explained by the albedo of each other photo of its person, under its own detailed light."""
    crossed, own = [], []
    for rows in people.values():
        folders = [result_folder(out, row["set"], row["name"]) for row in rows]
        for row, values in zip(rows, cross_light_psnr_db(folders), strict=True):
            crossed += values
            own += [row["detail"]["psnr_db"]] * len(values)
    pairs = [(c, o) for c, o in zip(crossed, own, strict=True) if np.isfinite(c) and np.isfinite(o)]
    return {
        "pairs": len(pairs),
        "psnr_db": statistics([c for c, _ in pairs]),
        "own_light_psnr_db": statistics([o for _, o in pairs]),
        "loss_db": statistics([o - c for c, o in pairs]),
    }


def cross_light_psnr_db(folders: Sequence[Path]) -> Iterator[list[float]]:
    """Puts the albedo of each photo of a person into the geometry and detailed light of each other one.

    Args:
        folders: Result folders of one person.

    Yields:
        For each photo the PSNR of the others' albedos against it inside M_face, decibels, in their order.

    Raises:
        UnreadableInputError: A result is missing or damaged.
    """
    albedos = [decode_srgb(load_png(folder / "albedo.png")).astype(np.float16) for folder in folders]
    for target, folder in enumerate(folders):
        if len(folders) == 1:
            yield []
            continue
        result = read_result(folder)
        photo = load_png(folder / "input_crop.png").astype(np.float32) / 255
        mask = load_png(folder / "face_mask.png", "L") > 127
        values = []
        for index, albedo in enumerate(albedos):
            if index == target:
                continue
            with torch.inference_mode():
                rendering = result.posed.render(albedo.astype(np.float32), result.illumination)
            values.append(psnr_db(encode_srgb(rendering).astype(np.float32) / 255, photo, mask))
        yield values
