"""Face models of the user on the open model's head: registered once, kept beside their official files."""

from __future__ import annotations

import dataclasses
import logging
import os
import warnings
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch

from facelume.errors import AssetError
from facelume.face_model import FaceModel, LinearShape, load_open_face_model
from facelume.face_model.licensed.albedo_maps import AlbedoMaps
from facelume.face_model.licensed.assemble import MissingPartWarning
from facelume.face_model.licensed.source import files_digest
from facelume.face_model.model import unchanged_subdivision
from facelume.face_model.sources import OPEN, face_model_source, load_face_model
from facelume.io.arrays import save_arrays
from facelume.networks.builders import PRIOR_BUILDERS
from facelume.registration.register import register, registration_digest
from facelume.weights import build_and_load, find_record

STORE_NAME = "facelume_registered.npz"
"""File beside a model's official files that holds its registration."""

_LOG = logging.getLogger(__name__)
_MM_PER_M = 1000.0


def registered_face_model(name: str, folder: Path | None = None) -> FaceModel:
    """A face model on the open model's head, so that every network of facelume knows its atlas.

    The first time this takes ten to thirty seconds of one CPU core; the result is kept as
    ``facelume_registered.npz`` beside the official files and made anew when they change. Where the folder
    cannot be written, the result is not kept, with a warning in the log.

    Args:
        name: Name of a face model or a folder that holds one, see
            :func:`facelume.face_model.sources.face_model_source`; ``open`` is the open model itself.
        folder: Folder with the official files; ``$FACELUME_MODELS/<name>`` if not given.

    Raises:
        UsageError: No model has this name.
        AssetError: Files are missing or damaged, or no face is seen in the model's mean.
    """
    source = face_model_source(name)
    if source is OPEN:
        return load_open_face_model()
    open_head = load_open_face_model()
    files = source.files(folder)
    record = find_record("prior")[0]
    digest = registration_digest(files_digest(files), open_head, record.sha256)
    path = files[0].parent / STORE_NAME
    stored = _read(path, source.name, open_head, digest)
    if stored is not None:
        return stored
    _LOG.info("laying face model %s on the open model's head; this is done once", name)
    original = load_original(name, folder)
    network, _ = build_and_load(record.id, PRIOR_BUILDERS)
    with torch.inference_mode():
        registered = register(original, open_head, network, asset_sha256=digest)
    model = registered.model
    try:
        _write(path, model)
    except OSError as error:
        _LOG.warning("the registration of %s is not kept: %s cannot be written (%s)", name, path, error)
    return model


def load_original(name: str, folder: Path | None = None) -> FaceModel:
    """A face model with its own mesh; what it lacks it gets on the open head, so no word of that.

    Args:
        name: Its name.
        folder: Folder with the official files; ``$FACELUME_MODELS/<name>`` if not given.

    Raises:
        UsageError: No model has this name.
        AssetError: Files are missing or damaged.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingPartWarning)
        return load_face_model(name, folder)


def _write(path: Path, model: FaceModel) -> None:
    arrays = {
        "asset_sha256": np.array(model.asset_sha256),
        "licence": np.array(model.licence),
        "num_identity": np.array(model.num_identity),
        "expression_names": np.array(model.expression_names),
        "from_open": np.array(model.from_open),
        "mean_m": model.linear.mean.numpy(),
        "basis_mm": (model.linear.basis * _MM_PER_M).half().numpy(),
    }
    if model.expression_limits is not None:
        arrays["expression_limits"] = model.expression_limits.numpy()
    if isinstance(model.albedo, AlbedoMaps):
        arrays |= {
            "albedo_mean": model.albedo.mean.numpy(),
            "albedo_basis": model.albedo.basis.half().numpy(),
        }
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_arrays(temporary, arrays)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _read(path: Path, name: str, open_head: FaceModel, digest: str) -> FaceModel | None:
    """The stored model, or None where there is none, or one of other files, networks or another version."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:
            if archive["asset_sha256"].item() != digest:
                _LOG.info("%s was made from other files; it is made anew", path)
                return None
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise AssetError(f"{path} is damaged ({error}): delete it") from error
    albedo = open_head.albedo
    if "albedo_mean" in arrays:
        albedo = AlbedoMaps(
            torch.from_numpy(arrays["albedo_mean"]), torch.from_numpy(arrays["albedo_basis"]).float()
        )
    limits = arrays.get("expression_limits")
    mean = torch.from_numpy(arrays["mean_m"])
    return dataclasses.replace(
        open_head,
        name=name,
        asset_sha256=digest,
        licence=arrays["licence"].item(),
        num_identity=arrays["num_identity"].item(),
        expression_names=tuple(str(name) for name in arrays["expression_names"]),
        expression_limits=None if limits is None else torch.from_numpy(limits),
        linear=LinearShape(
            mean, torch.from_numpy(arrays["basis_mm"]).float() / _MM_PER_M, unchanged_subdivision(len(mean))
        ),
        symmetry=None,
        albedo=albedo,
        from_open=tuple(str(part) for part in arrays["from_open"]),
    )
