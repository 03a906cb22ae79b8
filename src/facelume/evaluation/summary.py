"""Figures of many photos as one document: counts, means and tails, tone against truth, classes of skin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from facelume.metrics import TONE_AXES, tie_break
from facelume.reflectance import ITA_CLASSES, ita_class

LARGEST_HUE_DISTANCE_SD = 3.0
"""An albedo whose mean hue lies farther from measured skin of its luminance is no skin."""

_NUMBERS = ("nme", "seconds", "mask_share", "skin_share")
_GROUPS_OF_NUMBERS = (
    *("detail", "coarse", "detail_light_64", "albedo"),
    *("skin", "skin_of_photo"),
)
_CLASS_FIGURES = ("error", "absolute_error", "ita_error_deg", "ita_difference_deg", "hue_distance_sd")

Row = dict[str, Any]


def finite(value: Any) -> Any:
    """The same document with ``None`` where a figure does not exist (an empty mask)."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def statistics(values: Sequence[float]) -> dict[str, float | int]:
    """Count, mean, median and the 10th and 90th percentile of the finite values."""
    kept = np.asarray([v for v in values if np.isfinite(v)], dtype=np.float64)
    if kept.size == 0:
        return {"count": 0}
    return {
        "count": int(kept.size),
        "mean": float(kept.mean()),
        "median": float(np.median(kept)),
        "p10": float(np.percentile(kept, 10)),
        "p90": float(np.percentile(kept, 90)),
    }


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """Means, medians and tails over all photos and per set; fidelity counts found faces only.

    ``found_share`` counts photos that could be judged only; the others are ``failed`` and listed.
    """
    sets = sorted({row["set"] for row in rows})
    return {
        "all": _summarise_members(rows),
        "sets": {name: _summarise_members([r for r in rows if r["set"] == name]) for name in sets},
        "failures": [{key: r[key] for key in ("set", "name", "error")} for r in rows if r["found"] is None],
    }


def _summarise_members(members: Sequence[Row]) -> dict[str, Any]:
    judged = [row for row in members if row["found"] is not None]
    found = [row for row in judged if row["found"]]
    summary: dict[str, Any] = {
        "photos": len(members),
        "failed": len(members) - len(judged),
        "found_share": len(found) / len(judged) if judged else None,
    }
    for name in _NUMBERS:
        values = [row[name] for row in found if name in row]
        if values:
            summary[name] = statistics(values)
    for group in _GROUPS_OF_NUMBERS:
        with_group = [row[group] for row in found if group in row]
        if with_group:
            summary[group] = {key: statistics([g[key] for g in with_group]) for key in with_group[0]}
    coloured = [row for row in found if "skin" in row]
    if coloured:
        summary["hue_beyond_3sd"] = _hue_beyond(coloured)
    known = [row for row in found if "tone" in row and math.isfinite(row["tone"]["truth"]["ita_deg"])]
    if known:
        summary["tie_break"] = _tie_breaks(known)
        summary["ita_classes"] = _ita_classes(known)
        summary["ita_bias"] = _ita_bias(known)
    return summary


def _hue_beyond(rows: Sequence[Row]) -> dict[str, float | int]:
    """Shares of albedos and of photos whose mean hue no measured skin of their luminance has."""

    def share(name: str) -> float:
        # A colour with a channel at 0 has no hue: that is no skin either.
        return float(np.mean([not row[name]["hue_distance_sd"] <= LARGEST_HUE_DISTANCE_SD for row in rows]))

    return {
        "photos": len(rows),
        "grey_photos": sum(bool(row["is_grey"]) for row in rows),
        "share": share("skin"),
        "share_of_photo": share("skin_of_photo"),
    }


def _tie_breaks(rows: Sequence[Row]) -> dict[str, dict[str, Any] | None]:
    """The weights of truth and photo in our answer, for each coordinate of the colour."""
    document = {}
    for axis in TONE_AXES:
        columns = (np.array([row["tone"][who][axis] for row in rows]) for who in ("ours", "truth", "photo"))
        fit = tie_break(*columns)
        document[axis] = None if fit is None else asdict(fit)
    return document


def _by_class(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by the ITA class of their truth, dark to very light; classes without a row are absent."""
    groups: dict[str, list[Row]] = {name: [] for _, name in ITA_CLASSES}
    for row in rows:
        groups[ita_class(row["tone"]["truth"]["ita_deg"])].append(row)
    return {name: members for name, members in groups.items() if members}


def _ita_classes(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "photos": len(members),
            **{key: statistics([row["albedo"][key] for row in members]) for key in _CLASS_FIGURES},
            "tie_break": _tie_breaks(members),
        }
        for name, members in _by_class(rows).items()
    }


def _ita_bias(rows: Sequence[Row]) -> dict[str, Any]:
    """How far the signed ITA errors of the classes lie apart: 0 for a method that errs alike on all skin."""
    means = {}
    for name, members in _by_class(rows).items():
        values = [row["albedo"]["ita_difference_deg"] for row in members]
        kept = [value for value in values if math.isfinite(value)]
        if kept:
            means[name] = float(np.mean(kept))
    spread = float(np.std(list(means.values()))) if len(means) > 1 else None
    return {"mean_difference_deg": means, "spread_deg": spread}
