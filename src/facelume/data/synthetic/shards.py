"""Synthetic faces on disk: shards that say what they were drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from facelume.data.fingerprint import Fingerprint, require_same
from facelume.data.packed_rows import RowFile, write_rows
from facelume.data.synthetic.camera import decoded
from facelume.data.synthetic.faces import SyntheticFace, SyntheticFaces

SHARD_SUFFIX = ".faces"
SHARD_FACES = 40
"""Faces of a shard."""

_OF_ONE_SHARD = ("seed", "faces")
_PICTURE, _IMAGE = "picture_file", "image_srgb"


def shard_paths(folder: Path) -> list[Path]:
    """The shards in a folder, in order."""
    return sorted(folder.glob(f"*{SHARD_SUFFIX}"))


def write_shard(path: Path, faces: Sequence[SyntheticFace], fingerprint: Fingerprint) -> None:
    """Write pictures and labels, whole or not at all; what faces have in common is kept once.

    Args:
        path: The file.
        faces: What is written.
        fingerprint: What they were drawn from, see :attr:`SyntheticFaces.fingerprint`.
    """
    names = [f.name for f in fields(SyntheticFace)]
    write_rows(
        path, [{name: np.asarray(getattr(face, name)) for name in names} for face in faces], fingerprint
    )


def read_shard(
    path: Path, face_model_sha256: str, names: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Read a shard of :func:`write_shard`: one row per picture.

    Args:
        path: The file.
        face_model_sha256: The face model that the faces must show.
        names: Fields of :class:`SyntheticFace` to read, ``image_srgb`` among them; all where not given.

    Returns:
        Arrays by field; ``image_srgb`` instead of the files of the pictures.

    Raises:
        UsageError: The faces show another face model, or do not say which; the file is damaged.
    """
    file = RowFile(path)
    shown = {"face_model": file.fingerprint.get("face_model")}
    require_same(shown, {"face_model": face_model_sha256}, path, "faces")
    wanted = names or [_IMAGE, *(f.name for f in fields(SyntheticFace) if f.name != _PICTURE)]
    read = {name: file.column(name) for name in wanted if name != _IMAGE}
    if _IMAGE in wanted:
        files = (file.row(row, [_PICTURE])[_PICTURE] for row in range(len(file)))
        read[_IMAGE] = np.stack([decoded(picture) for picture in files])
    return read


def drawn_with(folder: Path) -> list[Fingerprint]:
    """What the shards of a folder were drawn from, each different answer once; seeds and numbers left out."""
    found: list[Fingerprint] = []
    for path in shard_paths(folder):
        stamp = {k: v for k, v in RowFile(path).fingerprint.items() if k not in _OF_ONE_SHARD}
        if stamp not in found:
            found.append(stamp)
    return found


def draw_shard(
    faces: SyntheticFaces, folder: Path, *, seed: int, number: int, shard_size: int = SHARD_FACES
) -> Path:
    """Draw the shard ``<seed>_<number>`` of a folder, or keep the one that is there.

    Args:
        faces: Draws them.
        folder: Where shards lie.
        seed: Of everything random, together with the number.
        number: Of the shard.
        shard_size: Faces in it: whole groups, the last one cut where they do not add up.

    Raises:
        UsageError: The one that is there was drawn from something else, or is damaged.
    """
    path = folder / f"{seed:03d}_{number:05d}{SHARD_SUFFIX}"
    fingerprint = shard_fingerprint(faces.fingerprint, seed=seed, number=number, shard_size=shard_size)
    if path.exists():
        RowFile(path).require(fingerprint, "faces")
        return path
    rng = np.random.default_rng([seed, number])
    drawn: list[SyntheticFace] = []
    while len(drawn) < shard_size:
        # No shard has more people than faces, so numbers of people are unique in a folder of one seed.
        first = number * shard_size + len({face.person for face in drawn})
        drawn += faces.draw_group(rng, first)
    write_shard(path, drawn[:shard_size], fingerprint)
    return path


def shard_fingerprint(drawn_from: Fingerprint, *, seed: int, number: int, shard_size: int) -> Fingerprint:
    """What one shard is drawn from.

    Args:
        drawn_from: See :attr:`SyntheticFaces.fingerprint`.
        seed: See :func:`draw_shard`.
        number: Likewise.
        shard_size: Likewise.
    """
    return {**drawn_from, "seed": [seed, number], "faces": shard_size}


def generate(
    faces: SyntheticFaces,
    folder: Path,
    *,
    num_shards: int,
    first_shard: int = 0,
    shard_size: int = SHARD_FACES,
    seed: int = 0,
) -> None:
    """Fill ``folder`` with shards; those that are there already are kept.

    Args:
        faces: Draws them.
        folder: Where shards lie.
        num_shards: How many.
        first_shard: Number of the first: several processes may fill one folder, each its own numbers.
        shard_size: Faces in each.
        seed: See :func:`draw_shard`.

    Raises:
        UsageError: A shard that is there was drawn from something else, or is damaged.
    """
    for number in range(first_shard, first_shard + num_shards):
        draw_shard(faces, folder, seed=seed, number=number, shard_size=shard_size)
