"""Which rows a network learns from, and which are held out to measure it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch

from facelume.data.split import LABORATORY_STRIDE, is_validation
from facelume.face_model import FaceModel
from facelume.fitting.tone_cues import ToneRegions
from facelume.training.tone.config import ToneDataConfig
from facelume.training.tone.judged import judged_classes
from facelume.training.tone.rows import (
    ToneRows,
    joined,
    known_skin,
    rows_of_shard,
    with_judged_truth,
    with_studio_truth,
)
from facelume.training.tone.shards import GROUPS, JUDGED, LABORATORY, STUDIO, SYNTHETIC, FaceShards


@dataclass(frozen=True, eq=False)
class SplitRows:
    """Rows of one kind.

    Attributes:
        training: To learn from.
        held_out: To measure on; no person is in both.
    """

    training: ToneRows
    held_out: ToneRows


def load_rows(data: ToneDataConfig, model: FaceModel, regions: ToneRegions) -> dict[str, SplitRows]:
    """Every row of a run by kind, made first where it is missing.

    Args:
        data: Where faces come from.
        model: The face model.
        regions: Where cues are read.
    """
    found: dict[tuple[str, bool], list[ToneRows]] = {}
    for shard in FaceShards(data, model):
        found.setdefault((shard.kind, shard.is_held_out), []).append(rows_of_shard(shard, regions))
    rows = {key: known_skin(joined(parts)) for key, parts in found.items()}
    split = {kind: _split_people(part, kind, data) for (kind, _), part in rows.items() if kind != SYNTHETIC}
    if (SYNTHETIC, False) in rows:
        drawn = rows[SYNTHETIC, False]
        split[SYNTHETIC] = SplitRows(drawn, rows.get((SYNTHETIC, True), drawn.at([])))
    if STUDIO in split:
        both = (
            with_studio_truth(part, data.studio_gain, data.studio_surface)
            for part in vars(split[STUDIO]).values()
        )
        split[STUDIO] = SplitRows(*both)
    if JUDGED in split:
        classes = judged_classes()
        judged = (with_judged_truth(part, classes) for part in vars(split[JUDGED]).values())
        split[JUDGED] = SplitRows(*judged)
    return split


def _split_people(rows: ToneRows, kind: str, data: ToneDataConfig) -> SplitRows:
    people = sorted(set(rows.person))
    held = {person for person in people if _falls_into_fold(person, data.num_folds, data.fold)}
    if kind == LABORATORY:
        held |= set(people[::LABORATORY_STRIDE])
    for source, person in zip(rows.source, rows.person, strict=True):
        photo = source.split(":")[1] if kind == GROUPS else person
        if is_validation(*photo.split("/")):
            held.add(person)
    is_held = torch.tensor([person in held for person in rows.person])
    return SplitRows(rows.at(torch.nonzero(~is_held)[:, 0]), rows.at(torch.nonzero(is_held)[:, 0]))


def _falls_into_fold(person: str, num_folds: int, fold: int) -> bool:
    """Whether a person or group is held out in this round of a cross-validation."""
    digest = hashlib.sha256(person.encode()).hexdigest()
    return num_folds > 0 and int(digest, 16) // 10 % num_folds == fold
