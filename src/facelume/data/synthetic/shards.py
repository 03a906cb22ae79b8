"""Synthetic faces on disk: shards that say what they were drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from facelume.data.fingerprint import Fingerprint, load_stamp, load_stamped, require_same, save_stamped
from facelume.data.synthetic.faces import SyntheticFace, SyntheticFaces, stack

_OF_ONE_SHARD = ("seed", "faces")


def write_shard(path: Path, faces: Sequence[SyntheticFace], fingerprint: Fingerprint) -> None:
    """Write pictures and labels, stacked by field, to an uncompressed ``.npz``, whole or not at all.

    Args:
        path: The file.
        faces: What is written.
        fingerprint: What they were drawn from, see :attr:`SyntheticFaces.fingerprint`.
    """
    save_stamped(path, stack(faces), fingerprint)


def read_shard(path: Path, face_model_sha256: str) -> dict[str, np.ndarray]:
    """Read a shard of :func:`write_shard`: field name to array, one row per picture.

    Raises:
        UsageError: The faces show another face model, or do not say which; the file is damaged.
    """
    stamp = load_stamp(path)
    shown = None if stamp is None else {"face_model": stamp.get("face_model")}
    require_same(shown, {"face_model": face_model_sha256}, path, "faces")
    names = ["image_srgb", *(f.name for f in fields(SyntheticFace) if f.name != "picture_file")]
    return load_stamped(path, names, stamp or {}, "faces")


def drawn_with(folder: Path) -> list[Fingerprint]:
    """What the shards of a folder were drawn from, each different answer once; seeds and numbers left out."""
    found: list[Fingerprint] = []
    for path in sorted(folder.glob("*.npz")):
        stamp = {k: v for k, v in (load_stamp(path) or {}).items() if k not in _OF_ONE_SHARD}
        if stamp not in found:
            found.append(stamp)
    return found


def generate(
    faces: SyntheticFaces, folder: Path, *, num_shards: int, shard_size: int = 40, seed: int = 0
) -> None:
    """Fill ``folder`` with shards ``<seed>_<number>.npz``; shards that are there already are kept.

    Raises:
        UsageError: A shard that is there was drawn from something else, or does not say from what.
    """
    for number in range(num_shards):
        path = folder / f"{seed:03d}_{number:05d}.npz"
        fingerprint = {**faces.fingerprint, "seed": [seed, number], "faces": shard_size}
        if path.exists():
            require_same(load_stamp(path), fingerprint, path, "faces")
            continue
        rng = np.random.default_rng([seed, number])
        write_shard(path, [faces.draw(rng) for _ in range(shard_size)], fingerprint)
