"""Shards of prepared faces on disk: made where they are missing, refused where they differ."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from facelume.data.fingerprint import Fingerprint, file_digest, photos_digest
from facelume.data.photo_groups import load_photo_groups
from facelume.data.photos import PhotoRecord, load_photo_records
from facelume.data.synthetic import (
    SHARD_FACES,
    SyntheticFaces,
    draw_shard,
    load_environment_maps,
    read_shard,
)
from facelume.detection import NetworkLocator
from facelume.errors import UsageError
from facelume.face_model import FaceModel
from facelume.networks.builders import TONE_BUILDERS
from facelume.pipeline.finding import FaceFinder
from facelume.training.config import run_document
from facelume.training.prior.export import load_prior
from facelume.training.refiner.config import RefinerTrainingConfig
from facelume.training.refiner.laboratory import LampPhotos, laboratory_people
from facelume.training.refiner.prepare import (
    PREPARATION_VERSION,
    PreparationTools,
    face_of_photo,
    faces_from_synthetic,
    preparation_tools,
    prepare,
    prepare_laboratory,
)
from facelume.training.refiner.prepared import PreparedFace, PreparedFaces
from facelume.weights import build_and_load, find_record

_LOG = logging.getLogger(__name__)
_SUFFIX = ".prepared"


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
    make: Callable[[], list[PreparedFace]]

    def faces(self) -> PreparedFaces:
        """The faces, made if they are not there yet."""
        if not self.path.is_file():
            PreparedFaces.save(self.path, self.make(), self.fingerprint)
            _LOG.info("prepared %s", self.path)
        return PreparedFaces(self.path, self.fingerprint)


def prepare_all(
    config: RefinerTrainingConfig, model: FaceModel, shard_faces: int = SHARD_FACES
) -> tuple[list[PreparedFaces], list[PreparedFaces]]:
    """Find every face that a run needs, drawing and preparing those that its folders do not hold yet.

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
    training = [shard.faces() for shard in source.shards(is_held_out=False)]
    validation = [shard.faces() for shard in source.shards(is_held_out=True)]
    if not training:
        raise UsageError("no faces to learn from: name photos or num_synthetic in the run file's data")
    return training, validation


def prepare_part(
    config: RefinerTrainingConfig,
    model: FaceModel,
    part: int = 0,
    num_parts: int = 1,
    shard_faces: int = SHARD_FACES,
) -> int:
    """Draw and prepare a part of the faces that a run needs, so that several processes share the work.

    Args:
        config: The run.
        model: The face model.
        part: Which part, from 0.
        num_parts: How many processes there are; each takes every so many-th file.
        shard_faces: See :func:`prepare_all`.

    Returns:
        Files of this part, those that were there already included.

    Raises:
        UsageError: A file holds faces that were made from something else.
    """
    source = _ShardSource(config, model, shard_faces)
    shards = [shard for held_out in (True, False) for shard in source.shards(is_held_out=held_out)]
    mine = shards[part::num_parts]
    for shard in mine:
        shard.faces()
    return len(mine)


class _ShardSource:
    def __init__(self, config: RefinerTrainingConfig, model: FaceModel, shard_faces: int) -> None:
        self.config, self.data, self.model, self.shard_faces = config, config.data, model, shard_faces
        prior_sha256 = None
        if self.data.prior_weights is not None:
            record = find_record(self.data.prior_weights)[0]
            prior_sha256 = record.sha256
            if record.face_model_sha256 is None:
                raise UsageError(
                    f"prior_weights {record.id!r} know no face model, so no fit can start at them; "
                    f"name weights that were trained with coefficients, or null"
                )
        self.common: dict[str, Any] = {
            "preparation": PREPARATION_VERSION,
            "face_model": model.asset_sha256,
            "map_size": config.network.map_size,
            "prior": prior_sha256,
            "tone": find_record(self.data.tone_weights)[0].sha256,
        }

    @cached_property
    def tools(self) -> PreparationTools:
        """What preparation needs, set up when the first face is prepared."""
        prior = None
        if self.data.prior_weights is not None:
            prior = load_prior(self.data.prior_weights, self.model)[0]
        tone = build_and_load(self.data.tone_weights, TONE_BUILDERS, atlas_id=self.model.atlas_id)[0]
        return preparation_tools(self.model, self.config.network.map_size, tone, prior)

    @cached_property
    def finder(self) -> FaceFinder:
        """Finds the faces of photos without labels."""
        assert self.tools.prior is not None, "the run file is checked for it"
        locator = NetworkLocator.load(self.data.locator_weights)
        return FaceFinder(locator, self.tools.prior, self.tools.landmarks, with_coefficients=True)

    def shards(self, *, is_held_out: bool) -> Iterator[_Shard]:
        folder = self.data.validation_folder if is_held_out else self.data.train_folder
        yield from self._synthetic(folder, is_held_out=is_held_out)
        if self.data.laboratory is not None and not is_held_out:
            yield from self._laboratory(self.data.laboratory, folder)
        if self.data.photos is not None:
            yield from self._photos(self.data.photos, folder, is_held_out=is_held_out)

    def _synthetic(self, folder: Path, *, is_held_out: bool) -> Iterator[_Shard]:
        data, size, errors = self.data, self.shard_faces, self.data.label_errors
        total = data.num_synthetic_validation if is_held_out else data.num_synthetic
        if total == 0:
            return
        maps = load_environment_maps(data.environment_maps, held_out=is_held_out)
        faces = SyntheticFaces(self.model, list(maps.values()), data.synthetic)
        first, left_over = divmod(0 if is_held_out else data.first_synthetic, size)
        if left_over or first < 0:
            raise UsageError(f"data.first_synthetic must be a multiple of {size}, not {data.first_synthetic}")
        for place in range(math.ceil(total / size)):
            number, count, seed = first + place, min(size, total - place * size), int(is_held_out)

            def make(number: int = number, count: int = count, seed: int = seed) -> list[PreparedFace]:
                path = draw_shard(faces, data.drawn_folder, seed=seed, number=number, shard_size=count)
                drawn = read_shard(path, self.model.asset_sha256)
                rng = np.random.default_rng([seed, number])
                return prepare(faces_from_synthetic(drawn, errors, rng), self.tools)

            fingerprint = self.common | {
                "drawn": faces.fingerprint,
                "label_errors": run_document(errors),
                "seed": [seed, number],
                "faces": count,
            }
            yield _Shard(folder / f"synthetic_{number:05d}{_SUFFIX}", fingerprint, make)

    def _laboratory(self, root: Path, folder: Path) -> Iterator[_Shard]:
        exponents = self.data.laboratory_exponents
        locator_sha256 = find_record(self.data.locator_weights)[0].sha256
        for photos in laboratory_people(root):

            def make(photos: LampPhotos = photos) -> list[PreparedFace]:
                return prepare_laboratory(photos, self.finder, exponents, self.tools)

            fingerprint = self.common | {
                "locator": locator_sha256,
                "photos": [file_digest(path) for path in photos.paths],
                "exponents": list(exponents),
            }
            yield _Shard(folder / f"laboratory_{photos.person}{_SUFFIX}", fingerprint, make)

    def _photos(self, root: Path, folder: Path, *, is_held_out: bool) -> Iterator[_Shard]:
        records = load_photo_records(root, self.data.photo_sets)
        groups = load_photo_groups(self.data.photo_groups)
        usable = [r for r in records if r.mask_path is not None or r.photo_set in self.data.clear_sets]
        chosen = [r for r in usable if groups.is_validation(r) == is_held_out]
        for number in range(math.ceil(len(chosen) / self.shard_faces)):
            part = chosen[number * self.shard_faces : (number + 1) * self.shard_faces]
            people = [groups.person(record) for record in part]

            def make(part: list[PhotoRecord] = part, people: list[int] = people) -> list[PreparedFace]:
                return prepare(
                    [face_of_photo(*labelled) for labelled in zip(part, people, strict=True)], self.tools
                )

            fingerprint = self.common | {"photos": photos_digest(part), "people": people}
            yield _Shard(folder / f"photos_{number:05d}{_SUFFIX}", fingerprint, make)
