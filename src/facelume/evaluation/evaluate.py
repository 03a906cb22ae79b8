"""Reconstructs every photo of a folder and writes per-photo figures and their summary."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from facelume.errors import NoFaceError, UnreadableInputError, UsageError
from facelume.evaluation.groups import measure_groups, result_folder
from facelume.evaluation.measure import FOUND_IOU, measure_result, prior_albedo_error
from facelume.evaluation.peak_memory import peak_memory_bytes
from facelume.evaluation.references import AlbedoTruth, PhotoReference, describe_unread, read_references
from facelume.evaluation.skin import measure_skin
from facelume.evaluation.summary import finite, summarise
from facelume.metrics import ImageFidelity, image_fidelity
from facelume.pipeline import Reconstruction, Reconstructor
from facelume.reflectance import srgb_from_linear
from facelume.uv import resize_map


@dataclass(frozen=True)
class EvaluationOptions:
    """How an evaluation is run.

    Attributes:
        split: ``validation`` keeps the people held out of training, ``all`` keeps everyone.
        limit: At most this many photos per set, evenly spread, people in groups whole; 0 means no limit.
        uv_size: Texels of an edge of the maps.
        face_model: Name of the face model.
    """

    split: str = "all"
    limit: int = 0
    uv_size: int = 256
    face_model: str = "open"


def select(references: Sequence[PhotoReference], options: EvaluationOptions) -> list[PhotoReference]:
    """Applies split and limit.

    Raises:
        UsageError: The split is unknown or leaves nothing.
    """
    if options.split not in {"all", "validation"}:
        raise UsageError(f"split {options.split!r} is unknown; use 'all' or 'validation'")
    kept = [r for r in references if options.split == "all" or r.is_validation]
    if options.limit > 0:
        sets = [[r for r in kept if r.set_name == name] for name in sorted({r.set_name for r in kept})]
        kept = [r for members in sets for r in _limited(members, options.limit)]
    if not kept:
        raise UsageError(
            "no photo is left to evaluate; use split 'all' or another folder", arguments=("split", "data")
        )
    return kept


def _limited(members: Sequence[PhotoReference], limit: int) -> list[PhotoReference]:
    """At most ``limit`` photos of a set, evenly spread; people in groups stay whole."""
    units: dict[str, list[PhotoReference]] = {}
    for reference in members:
        units.setdefault(reference.person or reference.name, []).append(reference)
    groups = list(units.values())
    for count in range(min(limit, len(groups)), 0, -1):
        picks = np.linspace(0, len(groups) - 1, count).round().astype(int)
        chosen = [reference for i in picks for reference in groups[i]]
        if len(chosen) <= limit:
            return chosen
    return groups[0][:limit]


def evaluate(
    data: Path,
    out: Path,
    options: EvaluationOptions,
    *,
    reconstructor: Reconstructor | None = None,
    on_photo: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Runs the whole pipeline on a folder and measures it.

    A photo without a face counts as not found. A photo that cannot be read, or whose true albedo cannot, is
    listed under ``failures`` and counts in no share; a missing or damaged asset ends the run.

    Args:
        data: See :func:`read_references`.
        out: Receives ``photos.jsonl`` (one line per photo), ``summary.json`` and ``results/``.
        options: How to run.
        reconstructor: Made from ``options`` when absent.
        on_photo: Called with (done, total) after each photo.

    Returns:
        The content of ``summary.json``.

    Raises:
        UsageError: ``data`` or ``out`` is no such folder, or no photo is left to evaluate.
        UnreadableInputError: A folder of ``data`` cannot be read, or its reference landmarks are damaged.
        AssetError: Weights or the face model are missing or damaged.
    """
    references = select(read_references(data), options)
    left_out = describe_unread(data)
    try:
        out.mkdir(parents=True, exist_ok=True)
        log = (out / "photos.jsonl").open("w", encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{out}: cannot be written ({error.strerror or error}); choose another folder", arguments=("out",)
        ) from error
    reconstructor = reconstructor or Reconstructor(uv_size=options.uv_size, face_model=options.face_model)
    rows = []
    with log:
        for done, reference in enumerate(references, start=1):
            row = _evaluate_photo(reference, out, reconstructor)
            rows.append(row)
            log.write(json.dumps(finite(row), allow_nan=False) + "\n")
            log.flush()
            if on_photo is not None:
                on_photo(done, len(references))
    summary = summarise(rows)
    for name in sorted({reference.set_name for reference in references if reference.person is not None}):
        members = [row for row in rows if row["set"] == name]
        summary["sets"][name]["groups"] = finite(measure_groups(members, out, reconstructor.model))
    summary["run"] = {
        "data": data.absolute().name,
        "left_out": left_out,
        "options": asdict(options),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": platform.processor() or platform.machine(),
        "peak_memory_bytes": peak_memory_bytes(),
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n")
    return summary


def _evaluate_photo(reference: PhotoReference, out: Path, reconstructor: Reconstructor) -> dict[str, Any]:
    """The figures of one photo; ``found`` is None, beside ``error``, where the photo could not be judged."""
    row: dict[str, Any] = {"set": reference.set_name, "name": reference.name}
    if reference.person is not None:
        row["person"] = reference.person
    folder = result_folder(out, reference.set_name, reference.name)
    try:
        truth = reference.albedo_truth()
        started = time.perf_counter()
        face = reconstructor.reconstruct(reference.photo)
        row["seconds"] = time.perf_counter() - started
        _require_truth_of_photo(truth, reference, face)
    except NoFaceError as error:
        return row | {"found": False, "error": str(error)}
    except (UnreadableInputError, UsageError) as error:
        return row | {"found": None, "error": str(error)}
    face.save(folder, meshes=False)
    row |= measure_result(folder, reference.landmarks_px, truth) | measure_skin(folder, face.posed.model)
    row["detail_light_64"] = asdict(smooth_light_fidelity(face))
    if truth is not None:
        row["albedo"]["error_of_prior"] = prior_albedo_error(face, truth)
    row["found"] = bool(row.get("box_iou", 1.0) >= FOUND_IOU)
    return row


def _require_truth_of_photo(
    truth: AlbedoTruth | None, reference: PhotoReference, face: Reconstruction
) -> None:
    width, height = face.photo.size_px
    if truth is not None and truth.mask.shape != (height, width):
        raise UnreadableInputError(
            f"{reference.albedo_file}: is {truth.mask.shape[1]} x {truth.mask.shape[0]} pixels, its photo "
            f"{width} x {height}; make it again for this photo"
        )


def smooth_light_fidelity(face: Reconstruction, size: int = 64) -> ImageFidelity:
    """Fidelity of the detailed rendering with its light low-passed: what the light map hides is lost here.

    Args:
        face: A finished reconstruction.
        size: Texels along an edge to which the light map is averaged before it is enlarged again.
    """
    light = torch.tensor(face.illumination).flatten(2).permute(2, 0, 1)[None]
    small = functional.interpolate(light, size=(size, size), mode="area")
    smooth = resize_map(small, light.shape[-1])
    array = np.ascontiguousarray(smooth[0].permute(1, 2, 0).unflatten(-1, (9, 3)).numpy())
    rendering = srgb_from_linear(torch.from_numpy(face.render(array))).numpy()
    photo = face.photo.input_crop.astype(np.float32) / 255.0
    return image_fidelity(rendering, photo, face.face_mask)
