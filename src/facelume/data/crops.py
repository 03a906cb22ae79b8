"""Uint8 cache of face crops with a margin, cut once and read by every training."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from facelume.camera import CROP_FACE_SIZE_PX, CROP_SIZE_PX
from facelume.data.fingerprint import Fingerprint, photos_digest, plain, require_same
from facelume.data.photos import PhotoRecord, read_parsing_mask
from facelume.errors import UsageError
from facelume.geometry import box_centre, box_size, mesh_box

INDEX_NAME = "cache.json"
MARGIN_PX = 320.0
"""What a cached picture shows, in pixels of the canonical crop."""


@dataclass(frozen=True)
class CropCache:
    """Crops with a margin around the canonical crop, memory-mapped.

    A cached picture shows ``margin_px`` x ``margin_px`` pixels of the canonical crop around its centre.

    Attributes:
        pictures: sRGB pictures.
        masks: ``M_parsing`` x 255, zero where a photo has none.
        has_mask: Which photos have a parsing mask.
        landmarks_px: Landmarks in pixels of the canonical crop (box centre at (112, 112), box size 150).
        is_validation: Which photos are in the validation split.
        sets: Photo set of each crop.
        margin_px: Extent of a cached picture in pixels of the canonical crop.
        fingerprint: What the crops were cut from, see :func:`crop_fingerprint`.
    """

    pictures: UInt8[np.ndarray, "n S S 3"]
    masks: UInt8[np.ndarray, "n S S"]
    has_mask: Bool[np.ndarray, " n"]
    landmarks_px: Float[np.ndarray, "n 478 3"]
    is_validation: Bool[np.ndarray, " n"]
    sets: np.ndarray
    margin_px: float
    fingerprint: dict[str, Any]

    @property
    def side_px(self) -> int:
        """Side of a cached picture in its own pixels."""
        return int(self.pictures.shape[1])


def canonical_landmarks(landmarks_px: Float[np.ndarray, "478 3"]) -> Float[np.ndarray, "478 3"]:
    """Map photo landmarks into the unrotated canonical crop."""
    box = mesh_box(landmarks_px)
    centre, size = box_centre(box), float(box_size(box))
    scale = CROP_FACE_SIZE_PX / size
    offset = np.array([CROP_SIZE_PX / 2 - centre[0] * scale, CROP_SIZE_PX / 2 - centre[1] * scale, 0.0])
    return (landmarks_px * scale + offset).astype(np.float32)


def _cut(
    picture: Image.Image, landmarks_px: np.ndarray, side_px: int, margin_px: float, fill: bool
) -> Image.Image:
    """Cut the square around the face box, antialiased; outside the photo its edge is repeated (or zero)."""
    face = mesh_box(landmarks_px)
    centre, size = box_centre(face), float(box_size(face))
    half = size * margin_px / CROP_FACE_SIZE_PX / 2
    left, top = float(centre[0]) - half, float(centre[1]) - half
    pad = int(
        np.ceil(max(0.0, -left, -top, left + 2 * half - picture.width, top + 2 * half - picture.height))
    )
    array = np.asarray(picture)
    if pad:
        widths = ((pad, pad), (pad, pad), (0, 0))[: array.ndim]
        array = np.pad(array, widths, mode="edge") if fill else np.pad(array, widths)
    box = (left + pad, top + pad, left + pad + 2 * half, top + pad + 2 * half)
    method = Image.Resampling.BICUBIC if fill else Image.Resampling.BILINEAR
    return Image.fromarray(array).resize((side_px, side_px), method, box=box)


def crop_fingerprint(
    records: Sequence[PhotoRecord], *, side_px: int, margin_px: float = MARGIN_PX
) -> Fingerprint:
    """What a cache of crops depends on: photos, landmarks, resolution and extent of the pictures."""
    return {
        "photo_sets": sorted({record.photo_set for record in records}),
        "num_photos": len(records),
        "photos": photos_digest(records),
        "side_px": side_px,
        "margin_px": margin_px,
    }


def build_crop_cache(
    records: Sequence[PhotoRecord],
    folder: Path,
    *,
    side_px: int,
    margin_px: float = MARGIN_PX,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Cut every photo and write ``pictures.npy``, ``masks.npy``, ``labels.npz`` and ``cache.json``.

    Args:
        records: Photos with landmarks.
        folder: Where to write; ``cache.json`` comes last: a broken-off cache is never taken for whole.
        side_px: Resolution of the cached pictures.
        margin_px: What they show, in pixels of the canonical crop.
        on_progress: Called with done and total from time to time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shape = (len(records), side_px, side_px)
    pictures = np.lib.format.open_memmap(folder / "pictures.npy", "w+", np.uint8, (*shape, 3))
    masks = np.lib.format.open_memmap(folder / "masks.npy", "w+", np.uint8, shape)
    for index, record in enumerate(records):
        with Image.open(record.path) as picture:
            pictures[index] = np.asarray(
                _cut(picture.convert("RGB"), record.landmarks_px, side_px, margin_px, True)
            )
        if record.mask_path is not None:
            mask = Image.fromarray(read_parsing_mask(record.mask_path).astype(np.uint8) * 255)
            masks[index] = np.asarray(_cut(mask, record.landmarks_px, side_px, margin_px, False))
        if on_progress is not None and index % 100 == 0:
            on_progress(index, len(records))
    pictures.flush()
    masks.flush()
    np.savez(
        folder / "labels.npz",
        landmarks_px=np.stack([canonical_landmarks(record.landmarks_px) for record in records]),
        has_mask=np.array([record.mask_path is not None for record in records]),
        is_validation=np.array([record.is_validation for record in records]),
        sets=np.array([record.photo_set for record in records]),
    )
    fingerprint = plain(crop_fingerprint(records, side_px=side_px, margin_px=margin_px))
    partial = folder / f"{INDEX_NAME}.partial"
    partial.write_text(json.dumps({"fingerprint": fingerprint}, indent=2) + "\n", encoding="utf-8")
    partial.replace(folder / INDEX_NAME)


def open_crop_cache(folder: Path, fingerprint: Fingerprint) -> CropCache:
    """Open a cache that :func:`build_crop_cache` wrote.

    Args:
        folder: Where it is.
        fingerprint: What the crops would be cut from now, see :func:`crop_fingerprint`.

    Raises:
        UsageError: The folder holds no whole cache, or one of other photos or another size.
    """
    try:
        found = json.loads((folder / INDEX_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"no crop cache in {folder}: build it first (it is cut from the photo sets)"
        ) from error
    require_same(found.get("fingerprint"), fingerprint, folder, "crops")
    with np.load(folder / "labels.npz", allow_pickle=False) as labels:
        return CropCache(
            pictures=np.load(folder / "pictures.npy", mmap_mode="r"),
            masks=np.load(folder / "masks.npy", mmap_mode="r"),
            has_mask=labels["has_mask"],
            landmarks_px=labels["landmarks_px"],
            is_validation=labels["is_validation"],
            sets=labels["sets"],
            margin_px=float(found["fingerprint"]["margin_px"]),
            fingerprint=found["fingerprint"],
        )
