"""Photos whose skin tone was judged by eye, one ITA class or a place between two for each.

Studio and synthetic faces are not like photos as people take them, and of those nobody knows the tone. A
look at one says which class a skin is about, light and surroundings taken into account: a judge with a large
error, but one who does not take a dark skin in bright light for a light one.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facelume.data.photos import load_photo_records
from facelume.errors import UsageError
from facelume.reflectance import human_skin
from facelume.training.tone.faces import NamedPhoto

TABLE = Path(__file__).with_name("judged_tones.csv")
"""``set,name,ita_class``: 1 is dark, 6 very light, as ``reflectance.ITA_CLASSES`` counts; 250 photos of the
sets celebahq, utkface and aaf, none of them of the validation split, judged on 2026-11-25 by one judge."""


def judged_classes(table: Path = TABLE) -> dict[str, float]:
    """The judged class of each photo, by ``set/name``.

    Raises:
        UsageError: The table cannot be read or names no number.
    """
    try:
        with table.open(newline="", encoding="utf-8") as stream:
            return {f"{row['set']}/{row['name']}": float(row["ita_class"]) for row in csv.DictReader(stream)}
    except (OSError, KeyError, ValueError) as error:
        raise UsageError(f"{table}: no table with the columns set, name, ita_class ({error})") from error


def judged_photos(root: Path, table: Path = TABLE) -> list[NamedPhoto]:
    """The judged photos that a folder of photo sets holds.

    Raises:
        UsageError: It lacks one of them.
    """
    wanted = judged_classes(table)
    sets = sorted({name.split("/")[0] for name in wanted})
    records = {f"{r.photo_set}/{r.path.name}": r for r in load_photo_records(root, sets)}
    missing = sorted(set(wanted) - set(records))
    if missing:
        raise UsageError(f"{table}: no photo {missing[0]} in {root} ({len(missing)} are missing)")
    return [
        NamedPhoto(records[name].path, f"{name}:{name}", records[name].landmarks_px[:, :2]) for name in wanted
    ]


def tone_of_class(ita_class: Sequence[float]) -> np.ndarray:
    """Mean log luminance of measured skin of a class (1 to 6), linear between classes."""
    knots = human_skin().knots.numpy()
    return np.interp(ita_class, np.arange(1, len(knots) + 1), knots)
