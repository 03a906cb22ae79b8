"""Faces on disk: drawn, aligned and unwrapped where they are missing, refused where they differ."""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from facelume.data.fingerprint import Fingerprint, file_digest
from facelume.data.photo_groups import load_photo_groups
from facelume.data.photos import load_photo_records
from facelume.data.split import person_of
from facelume.data.synthetic import SyntheticConfig, SyntheticFaces, load_environment_maps
from facelume.detection import NetworkLocator
from facelume.errors import UsageError
from facelume.face_model import FaceModel
from facelume.fitting import landmark_basis
from facelume.pipeline.finding import FaceFinder
from facelume.training.config import run_document
from facelume.training.prior.export import load_prior
from facelume.training.tone.config import ToneDataConfig
from facelume.training.tone.faces import FaceReader, NamedPhoto, UnwrappedFaces, load_unwrapped
from facelume.training.tone.judged import judged_photos
from facelume.weights import find_record

_LOG = logging.getLogger(__name__)
_HEADS_PER_SHARD = 8
_PHOTOS_PER_SHARD = 50
UNWRAPPING_VERSION = 2
"""Part of every shard's fingerprint: counted up when the same photo would be unwrapped otherwise."""

SYNTHETIC, STUDIO, GROUPS, LABORATORY = "synthetic", "studio", "groups", "laboratory"
JUDGED = "judged"
"""What a shard's faces teach: the tone itself, the tone but for the studio's exposure, agreement (twice), the
class of the tone."""

HELD_OUT, PLAIN, CLOSED = "held_out", "plain", "closed"
_SEEDS = (SYNTHETIC, HELD_OUT, PLAIN, CLOSED)
_CLOSED_BETA = (9.0, 1.0)
"""Shape of the weight of a lid that is about closed, between 0 and 1."""


@dataclass(frozen=True)
class FaceShard:
    """One file of unwrapped faces.

    Attributes:
        kind: What its faces teach.
        is_held_out: Synthetic faces to measure on.
        path: The file.
        fingerprint: What its faces are made from.
        make: Makes them.
    """

    kind: str
    is_held_out: bool
    path: Path
    fingerprint: Fingerprint
    make: Callable[[], UnwrappedFaces]

    def faces(self) -> UnwrappedFaces:
        """Read the faces, made first where the file is missing."""
        if not self.path.is_file():
            self.make().save(self.path, self.fingerprint)
            _LOG.info("unwrapped %s", self.path)
        return load_unwrapped(self.path, self.fingerprint)


class FaceShards:
    """All faces of a run.

    Args:
        data: Where they come from.
        model: The face model.

    Raises:
        UsageError: The prior network knows no face model, or photos are asked for without their folder.
    """

    def __init__(self, data: ToneDataConfig, model: FaceModel) -> None:
        self.data, self.model = data, model
        self._common: dict[str, Any] = {"unwrapping": UNWRAPPING_VERSION, "face_model": model.asset_sha256}
        finder, self._locator_sha256 = None, None
        if data.prior_weights is None:
            self._common |= {"prior": None, "label_errors": run_document(data.label_errors)}
        else:
            prior, record = load_prior(data.prior_weights, model)
            if record.face_model_sha256 is None:
                raise UsageError(f"prior_weights {record.id!r} know no face model: no face can be unwrapped")
            locator = NetworkLocator.load(data.locator_weights)
            finder = FaceFinder(locator, prior, landmark_basis(model), with_coefficients=True)
            self._common["prior"] = record.sha256
            self._locator_sha256 = find_record(data.locator_weights)[0].sha256
        self._reader = functools.cache(lambda: FaceReader(model, finder, data.label_errors))

    def __iter__(self) -> Iterator[FaceShard]:
        """Photos first: they are few."""
        for kind, photos in self._photo_lists().items():
            yield from self._of_photos(kind, photos)
        data = self.data
        plain = replace(data.synthetic, skin=replace(data.synthetic.skin, parts_fraction=0.0))
        yield from self._of_heads(HELD_OUT, data.num_heads_validation, data.synthetic)
        yield from self._of_heads(PLAIN, data.num_plain_heads, plain)
        yield from self._of_heads(CLOSED, data.num_closed_heads, with_closed_eyes(data.synthetic))
        yield from self._of_heads(SYNTHETIC, data.num_heads, data.synthetic)

    def _photo_lists(self) -> dict[str, list[NamedPhoto]]:
        data = self.data
        lists: dict[str, list[NamedPhoto]] = {}
        if data.studio_set is not None:
            lists[STUDIO] = studio_photos(_needed(data.photos, "studio_set"), data.studio_set)
        if data.groups is not None:
            lists[GROUPS] = group_photos(_needed(data.photos, "groups"), data.groups, data.group_sets)
        if data.judged:
            lists[JUDGED] = judged_photos(_needed(data.photos, "judged"))
        if data.laboratory is not None:
            lists[LABORATORY] = laboratory_photos(data.laboratory)
        return lists

    def _of_photos(self, kind: str, photos: Sequence[NamedPhoto]) -> Iterator[FaceShard]:
        for first in range(0, len(photos), _PHOTOS_PER_SHARD):
            part = photos[first : first + _PHOTOS_PER_SHARD]
            known = self._common | {"locator": self._locator_sha256, "photos": _digest(part)}
            if self.data.prior_weights is None:
                known["landmarks"] = _landmarks_digest(part)

            def make(part: Sequence[NamedPhoto] = part) -> UnwrappedFaces:
                return self._reader().photos(part)

            path = self.data.prepared / f"{kind}_{first // _PHOTOS_PER_SHARD:05d}.npz"
            yield FaceShard(kind, is_held_out=False, path=path, fingerprint=known, make=make)

    def _of_heads(self, name: str, total: int, config: SyntheticConfig) -> Iterator[FaceShard]:
        is_held_out, seed = name == HELD_OUT, _SEEDS.index(name)

        @functools.cache
        def faces() -> SyntheticFaces:
            maps = load_environment_maps(self.data.environment_maps, held_out=is_held_out)
            return SyntheticFaces(self.model, list(maps.values()), config)

        known = self._common | {
            "environment_maps": [file_digest(path) for path in self.data.environment_maps],
            "held_out_maps": is_held_out,
            "synthetic": run_document(config),
        }
        for number, first in enumerate(range(0, total, _HEADS_PER_SHARD)):
            count, seeds = min(_HEADS_PER_SHARD, total - first), [seed, number]

            def make(count: int = count, seeds: list[int] = seeds) -> UnwrappedFaces:
                return self._reader().heads(faces(), count, seeds)

            fingerprint = known | {"seed": seeds, "heads": count}
            path = self.data.prepared / f"{name}_{number:05d}.npz"
            yield FaceShard(SYNTHETIC, is_held_out, path, fingerprint, make)


def with_closed_eyes(config: SyntheticConfig) -> SyntheticConfig:
    """The same faces with their eyes about closed; whatever else moves, moves strongly."""
    closed = tuple(
        replace(group, fraction=1.0) if "eyeBlinkLeft" in group.units else group
        for group in config.head.groups
    )
    head = replace(config.head, neutral_fraction=0.0, group_beta=_CLOSED_BETA, groups=closed)
    return replace(config, head=head)


def studio_photos(root: Path, photo_set: str) -> list[NamedPhoto]:
    """The photos of a set."""
    return [
        NamedPhoto(r.path, f"{person_of(photo_set, r.path.name)}:{r.path.stem}", r.landmarks_px[:, :2])
        for r in load_photo_records(root, [photo_set])
    ]


def group_photos(root: Path, table: Path, photo_sets: Sequence[str]) -> list[NamedPhoto]:
    """The photos of a table of groups.

    Args:
        root: Folder of the photo sets.
        table: The table.
        photo_sets: Sets that it takes photos from.

    Raises:
        UsageError: It cannot be read, is no such table, or names a photo that the sets do not have.
    """
    groups = load_photo_groups(table).group_of_photo
    records = {(r.photo_set, r.path.name): r for r in load_photo_records(root, photo_sets)}
    missing = sorted("/".join(photo) for photo in groups if photo not in records)
    if missing:
        sets = ", ".join(photo_sets)
        raise UsageError(f"{table}: no photo {missing[0]} in the sets {sets} ({len(missing)} are missing)")
    return [
        NamedPhoto(records[photo].path, f"{group}:{'/'.join(photo)}", records[photo].landmarks_px[:, :2])
        for photo, group in groups.items()
    ]


def laboratory_photos(folder: Path) -> list[NamedPhoto]:
    """The photos of a folder with a folder for each person."""
    paths = sorted(folder.glob("*/*.jpg"))
    return [NamedPhoto(path, f"{folder.name}/{path.parent.name}:{path.stem}") for path in paths]


def _needed(photos: Path | None, name: str) -> Path:
    if photos is None:
        raise UsageError(f"data.{name} needs data.photos, the folder of the photo sets")
    return photos


def _digest(photos: Sequence[NamedPhoto]) -> str:
    digest = hashlib.sha256()
    for photo in photos:
        digest.update(repr((photo.source, photo.path.stat().st_size)).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _landmarks_digest(photos: Sequence[NamedPhoto]) -> str:
    digest = hashlib.sha256()
    for photo in photos:
        if photo.landmarks_px is not None:
            digest.update(photo.landmarks_px.tobytes())
    return digest.hexdigest()
