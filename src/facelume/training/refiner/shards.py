"""Shards of prepared faces on disk: made where they are missing, refused where they differ."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facelume.data.fingerprint import Fingerprint, file_digest, photos_digest
from facelume.data.photos import PhotoRecord, load_photo_records
from facelume.data.synthetic import SyntheticFaces, load_environment_maps, stack
from facelume.errors import UsageError
from facelume.face_model import FaceModel
from facelume.networks.builders import TONE_BUILDERS
from facelume.training.config import run_document
from facelume.training.prior.export import load_prior
from facelume.training.refiner.batches import PreparedFaces
from facelume.training.refiner.config import RefinerDataConfig, RefinerTrainingConfig
from facelume.training.refiner.prepare import (
    PREPARATION_VERSION,
    face_of_photo,
    faces_from_synthetic,
    preparation_tools,
    prepare,
)
from facelume.weights import build_and_load

_LOG = logging.getLogger(__name__)
_SHARD_FACES = 40


@dataclass(frozen=True)
class _Shard:
    """One file of faces.

    Attributes:
        path: The file.
        fingerprint: What its faces are made from.
        make: Makes them.
    """

    path: Path
    fingerprint: Fingerprint
    make: Callable[[], PreparedFaces]


def prepare_all(
    config: RefinerTrainingConfig, model: FaceModel, shard_faces: int = _SHARD_FACES
) -> tuple[list[PreparedFaces], list[PreparedFaces]]:
    """Read every face that a run needs, drawing and preparing those that its folders do not hold yet.

    Args:
        config: The run.
        model: The face model.
        shard_faces: Faces of one file.

    Returns:
        Shards to learn from, and shards to measure on.

    Raises:
        UsageError: There are none, or a file holds faces that were made from something else.
    """
    source = _ShardSource(config, model, shard_faces)
    training = [_made(shard) for shard in source.shards(is_held_out=False)]
    validation = [_made(shard) for shard in source.shards(is_held_out=True)]
    if not training:
        raise UsageError("no faces to learn from: name photos or num_synthetic in the run file's data")
    return training, validation


def _made(shard: _Shard) -> PreparedFaces:
    if not shard.path.is_file():
        shard.make().save(shard.path, shard.fingerprint)
        _LOG.info("prepared %s", shard.path)
    return PreparedFaces.load(shard.path, shard.fingerprint)


class _ShardSource:
    def __init__(self, config: RefinerTrainingConfig, model: FaceModel, shard_faces: int) -> None:
        self.data, self.model, self.shard_faces = config.data, model, shard_faces
        prior, prior_sha256 = None, None
        if self.data.prior_weights is not None:
            prior, record = load_prior(self.data.prior_weights, model)
            prior_sha256 = record.sha256
            if record.face_model_sha256 is None:
                raise UsageError(
                    f"prior_weights {record.id!r} know no face model, so no fit can start at them; "
                    f"name weights that were trained with coefficients, or null"
                )
        tone, tone_record = build_and_load(self.data.tone_weights, TONE_BUILDERS, atlas_id=model.atlas_id)
        self.tools = preparation_tools(model, config.network.map_size, tone, prior)
        self.common: dict[str, Any] = {
            "preparation": PREPARATION_VERSION,
            "face_model": model.asset_sha256,
            "map_size": config.network.map_size,
            "prior": prior_sha256,
            "tone": tone_record.sha256,
        }

    def shards(self, *, is_held_out: bool) -> Iterator[_Shard]:
        folder = self.data.validation_folder if is_held_out else self.data.train_folder
        yield from self._synthetic(folder, is_held_out=is_held_out)
        if self.data.photos is not None:
            yield from self._photos(self.data.photos, folder, is_held_out=is_held_out)

    def _synthetic(self, folder: Path, *, is_held_out: bool) -> Iterator[_Shard]:
        data = self.data
        total = data.num_synthetic_validation if is_held_out else data.num_synthetic
        lights, errors = data.environment_maps, data.label_errors
        faces = _LazyFaces(self.model, data, is_held_out=is_held_out)
        known = self.common | {
            "environment_maps": file_digest(lights) if lights is not None and total > 0 else None,
            "held_out_maps": is_held_out,
            "synthetic": run_document(data.synthetic),
            "label_errors": run_document(errors),
        }
        for number in range(math.ceil(total / self.shard_faces)):
            count = min(self.shard_faces, total - number * self.shard_faces)
            seed = [int(is_held_out), number]

            def make(count: int = count, seed: list[int] = seed) -> PreparedFaces:
                rng = np.random.default_rng(seed)
                drawn = stack([faces().draw(rng) for _ in range(count)])
                return prepare(faces_from_synthetic(drawn, errors, rng), self.tools)

            yield _Shard(folder / f"synthetic_{number:05d}.npz", known | {"seed": seed, "faces": count}, make)

    def _photos(self, root: Path, folder: Path, *, is_held_out: bool) -> Iterator[_Shard]:
        records = load_photo_records(root, self.data.photo_sets)
        usable = [r for r in records if r.mask_path is not None or r.photo_set in self.data.clear_sets]
        chosen = [r for r in usable if r.is_validation == is_held_out]
        for number in range(math.ceil(len(chosen) / self.shard_faces)):
            part = chosen[number * self.shard_faces : (number + 1) * self.shard_faces]

            def make(part: list[PhotoRecord] = part) -> PreparedFaces:
                return prepare([face_of_photo(record) for record in part], self.tools)

            fingerprint = self.common | {"photos": photos_digest(part)}
            yield _Shard(folder / f"photos_{number:05d}.npz", fingerprint, make)


class _LazyFaces:
    """Synthetic faces that are set up when the first one is drawn."""

    def __init__(self, model: FaceModel, data: RefinerDataConfig, *, is_held_out: bool) -> None:
        self._model, self._data, self._is_held_out = model, data, is_held_out
        self._faces: SyntheticFaces | None = None

    def __call__(self) -> SyntheticFaces:
        if self._faces is None:
            path = self._data.environment_maps
            maps = (
                [] if path is None else list(load_environment_maps(path, held_out=self._is_held_out).values())
            )
            self._faces = SyntheticFaces(self._model, maps, self._data.synthetic)
        return self._faces
