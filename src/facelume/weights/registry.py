"""The registry of network weights: ``registry.json`` beside a ``files/`` folder of safetensors.

A folder of weights holds ``registry.json`` and ``files/<name>.safetensors``. The package carries one; a user
names another with the argument ``folder`` or the variable ``FACELUME_WEIGHTS``, whose records come first.
Matrices and kernels are stored in half precision, vectors (biases, running statistics) in single precision.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import cattrs
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from facelume.errors import AssetError, UsageError

FOLDER_VARIABLE = "FACELUME_WEIGHTS"
_PACKAGE_FOLDER = Path(__file__).parent
_SCHEMA_VERSION = 1
Terms = Literal["free", "credit", "research", "unstated"]
"""What a licence allows: anything; anything with credit; research only; nobody said."""
_Network = TypeVar("_Network", bound=nn.Module)


@dataclass(frozen=True)
class WeightRecord:
    """What one weight file is.

    Attributes:
        id: Unique name, for instance ``prior-small-1``.
        kind: What the network does in the pipeline: ``locator``, ``prior``, ``refiner``, ...
        file: File name inside ``files/``; filled in by ``save_weights``.
        sha256: Hash of that file; filled in by ``save_weights``.
        architecture: Class that the state belongs to, for instance ``facelume.networks.prior.PriorNetwork``.
        config: Arguments of the architecture's config dataclass, JSON values only.
        input: Size, range, colour space and layout of the network's input, in words.
        training_data: Data sets the weights learned from, with their licences.
        licence: Terms under which the weights may be used, in words.
        terms: The same as one of four words: ``free``, ``credit`` (the data's authors must be named),
            ``research`` (non-commercial research only), ``unstated``.
        metrics: Numbers measured on the validation split, by name.
        training: How they were trained: each run file as JSON with the first step that used it; empty where
            that was not recorded.
        face_model_sha256: Face-model asset the network was trained on; ``None`` if it knows no face model.
        atlas_id: Texture atlas the network was trained on; ``None`` if it knows no atlas.
    """

    id: str
    kind: str
    architecture: str
    config: dict[str, Any]
    input: str
    training_data: str
    licence: str
    terms: Terms = "unstated"
    metrics: dict[str, float] = field(default_factory=dict)
    training: list[dict[str, Any]] = field(default_factory=list)
    face_model_sha256: str | None = None
    atlas_id: str | None = None
    file: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class _Registry:
    schema_version: int
    defaults: dict[str, str]
    records: list[WeightRecord]


def list_records(folder: Path | None = None) -> list[tuple[WeightRecord, Path]]:
    """Returns every known record with its file's path, those of the user's folder first.

    Args:
        folder: Folder of weights that comes before the package's; default: ``$FACELUME_WEIGHTS`` if set.

    Raises:
        AssetError: A registry is missing or damaged.
    """
    found: dict[str, tuple[WeightRecord, Path]] = {}
    for place in _search_folders(folder):
        for record in _read_registry(place).records:
            found.setdefault(record.id, (record, place / "files" / record.file))
    return list(found.values())


def find_record(id_or_kind: str, folder: Path | None = None) -> tuple[WeightRecord, Path]:
    """Returns a record and its file's path by id, or the default record of a kind.

    Args:
        id_or_kind: For instance ``prior-small-1``, or ``prior`` for the default one.
        folder: As in :func:`list_records`.

    Raises:
        AssetError: There is no such record.
    """
    known = list_records(folder)
    by_id = {record.id: (record, path) for record, path in known}
    if id_or_kind in by_id:
        return by_id[id_or_kind]
    for place in _search_folders(folder):
        default = _read_registry(place).defaults.get(id_or_kind)
        if default in by_id:
            return by_id[default]
    places = ", ".join(str(place) for place in _search_folders(folder))
    names = ", ".join(sorted(by_id)) or "none"
    raise AssetError(
        f"no weights named {id_or_kind!r} in {places} (known: {names}); "
        f"set {FOLDER_VARIABLE} to a folder with registry.json, or reinstall facelume"
    )


def verify_record(record: WeightRecord, path: Path) -> None:
    """Raises AssetError if the file of a record is missing or its hash differs."""
    try:
        digest = _sha256_of(path)
    except OSError as error:
        raise AssetError(
            f"weights {record.id!r}: cannot read {path} ({error.strerror or error}); "
            f"reinstall facelume or put the file back"
        ) from error
    if digest != record.sha256:
        raise AssetError(
            f"weights {record.id!r}: {path} is damaged (sha256 {digest[:12]}…, registry says "
            f"{record.sha256[:12]}…); reinstall facelume or put the original file back"
        )


def load_weights(id_or_kind: str, folder: Path | None = None) -> tuple[WeightRecord, dict[str, Tensor]]:
    """Reads and verifies a weight file.

    Returns:
        The record and the state dict on the CPU, floating tensors in float32.

    Raises:
        AssetError: Unknown name, missing file, wrong hash or unreadable content.
    """
    record, path = find_record(id_or_kind, folder)
    verify_record(record, path)
    try:
        state = load_file(path, device="cpu")
    except (SafetensorError, OSError) as error:
        raise AssetError(f"weights {record.id!r}: {path} is not a safetensors file ({error})") from error
    return record, {name: t.float() if t.is_floating_point() else t for name, t in state.items()}


def require_same_model(
    record: WeightRecord, *, face_model_sha256: str | None, atlas_id: str | None = None
) -> None:
    """Raises AssetError if weights were trained on another face model or atlas than the given one."""
    pairs = (
        ("face model", record.face_model_sha256, face_model_sha256),
        ("texture atlas", record.atlas_id, atlas_id),
    )
    for what, trained_on, given in pairs:
        if trained_on is not None and given is not None and trained_on != given:
            raise AssetError(
                f"weights {record.id!r} were trained on another {what} "
                f"({trained_on[:12]}…, here {given[:12]}…); "
                f"train them again with `facelume train {record.kind}` or use the {what} they belong to"
            )


def build_and_load(
    id_or_kind: str,
    builders: Mapping[type[_Network], Callable[[Mapping[str, Any]], _Network]],
    *,
    face_model_sha256: str | None = None,
    atlas_id: str | None = None,
    folder: Path | None = None,
) -> tuple[_Network, WeightRecord]:
    """Builds the network that a record names from the record's configuration and fills it, strictly.

    Args:
        id_or_kind: As in :func:`find_record`.
        builders: Networks that can do what is wanted, each with what makes it from ``record.config``.
        face_model_sha256: Hash of the face model in use; compared when the record names one.
        atlas_id: Name of the atlas in use; compared when the record names one.
        folder: As in :func:`list_records`.

    Returns:
        The network in evaluation mode, without gradients, on the CPU, and its record.

    Raises:
        AssetError: The file is missing or damaged, the record's architecture is none of ``builders``, the
            model differs, or a tensor does not fit.
    """
    record, state = load_weights(id_or_kind, folder)
    require_same_model(record, face_model_sha256=face_model_sha256, atlas_id=atlas_id)
    build = _builder_of(record, builders)
    try:
        network = build(record.config)
        network.load_state_dict(state, strict=True)
    except (RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise AssetError(
            f"weights {record.id!r} do not fit {record.architecture} of this facelume: {reason}"
        ) from error
    return network.eval().requires_grad_(False), record


def architecture_of(network: type[nn.Module]) -> str:
    """How a record names the class of its network: ``facelume.networks.prior.PriorNetwork``."""
    return f"{network.__module__}.{network.__qualname__}"


def _builder_of(
    record: WeightRecord, builders: Mapping[type[_Network], Callable[[Mapping[str, Any]], _Network]]
) -> Callable[[Mapping[str, Any]], _Network]:
    known = {architecture_of(network): build for network, build in builders.items()}
    if record.architecture not in known:
        raise AssetError(
            f"weights {record.id!r} belong to a {record.architecture}, but a {' or '.join(known)} is needed "
            "here; name weights of that architecture"
        )
    return known[record.architecture]


def save_weights(
    state_dict: Mapping[str, Tensor],
    record: WeightRecord,
    *,
    folder: Path | None = None,
    make_default: bool = True,
) -> WeightRecord:
    """Writes a weight file in half precision and its record; an older record of the same id is replaced.

    Args:
        state_dict: State of the network, any device.
        record: Description; ``file`` and ``sha256`` are filled in.
        folder: Folder of weights to write to (made if missing); default: the package's own.
        make_default: The record becomes the default of its kind.

    Returns:
        The completed record.

    Raises:
        UsageError: A value is not finite.
    """
    packed: dict[str, Tensor] = {}
    for name, value in state_dict.items():
        tensor = value.detach().cpu().contiguous().clone()
        if tensor.is_floating_point():
            tensor = tensor.float() if tensor.ndim <= 1 else tensor.to(torch.float16)
            if not bool(torch.isfinite(tensor).all()):
                raise UsageError(f"weights {record.id!r}: {name} is not finite in half precision; not saved")
        packed[name] = tensor
    place = folder or _PACKAGE_FOLDER
    (place / "files").mkdir(parents=True, exist_ok=True)
    data = save(packed, metadata={"id": record.id, "architecture": record.architecture})
    complete = replace(record, file=f"{record.id}.safetensors", sha256=hashlib.sha256(data).hexdigest())
    _write_atomically(place / "files" / complete.file, data)
    has_registry = (place / "registry.json").exists()
    registry = _read_registry(place) if has_registry else _Registry(_SCHEMA_VERSION, {}, [])
    records = sorted([r for r in registry.records if r.id != record.id] + [complete], key=lambda r: r.id)
    defaults = dict(registry.defaults)
    if make_default or record.kind not in defaults:
        defaults[record.kind] = record.id
    document = cattrs.unstructure(_Registry(_SCHEMA_VERSION, dict(sorted(defaults.items())), records))
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    _write_atomically(place / "registry.json", text.encode())
    return complete


def _search_folders(folder: Path | None) -> list[Path]:
    named = folder or (Path(os.environ[FOLDER_VARIABLE]) if os.environ.get(FOLDER_VARIABLE) else None)
    return [_PACKAGE_FOLDER] if named is None else [named, _PACKAGE_FOLDER]


def _read_registry(folder: Path) -> _Registry:
    path = folder / "registry.json"
    converter = cattrs.Converter(forbid_extra_keys=True)
    try:
        registry = converter.structure(json.loads(path.read_text(encoding="utf-8")), _Registry)
    except FileNotFoundError as error:
        raise AssetError(f"{folder} is no folder of weights: registry.json is missing") from error
    except (OSError, ValueError, cattrs.BaseValidationError) as error:
        raise AssetError(f"{path} cannot be read ({error}); restore it") from error
    if registry.schema_version != _SCHEMA_VERSION:
        raise AssetError(
            f"{path} has schema_version {registry.schema_version}, this facelume reads {_SCHEMA_VERSION}; "
            f"use the facelume that wrote it"
        )
    return registry


def _sha256_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write_atomically(path: Path, data: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    partial.replace(path)
