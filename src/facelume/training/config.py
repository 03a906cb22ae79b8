"""Run files: one reader for every training, strict JSON into frozen dataclasses."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import cattrs
import cattrs.v

from facelume.data.places import name_of, place_of
from facelume.errors import FacelumeError, UsageError

_Config = TypeVar("_Config")


@dataclass(frozen=True)
class LoopConfig:
    """How a network is trained: length, rates, arithmetic, device.

    Attributes:
        num_steps: Length of the training; 0 to take it from ``num_epochs``.
        num_epochs: Passes over the training samples, where ``num_steps`` is 0.
        batch_size: Samples of a step, over all devices together.
        learning_rate: Peak rate of AdamW.
        final_fraction: Rate at the end, as a fraction of the peak.
        decay: ``cosine``: down to the final rate over all steps; ``epoch``: times ``epoch_factor`` per epoch,
            not below the final rate (paper).
        epoch_factor: See ``decay``.
        num_warmup_steps: Steps of linear warm-up.
        betas: Decay of AdamW's two running moments.
        weight_decay: Of matrices and kernels; vectors have none. With 0, AdamW is Adam.
        average_decay: Decay per step of the running average that is validated and exported; 0 keeps the last
            weights.
        max_gradient_norm: Longer gradients are shortened to this.
        precision: Arithmetic of the network's convolutions.
        device: ``auto`` takes a GPU if there is one.
        devices: Devices (on the CPU: processes) that share each batch.
        num_threads: CPU threads of each process.
        seed: Of everything random.
        checkpoint_every_steps: Steps between checkpoints.
        validate_every_steps: Steps between validations; 0 validates at the end only.
        log_every_steps: Steps between log lines.
        best_by: Validation metric whose lowest value chooses the weights that are kept; the last ones where
            it is empty.
    """

    num_steps: int = 0
    num_epochs: int = 0
    batch_size: int = 16
    learning_rate: float = 1e-3
    final_fraction: float = 0.01
    decay: Literal["cosine", "epoch"] = "cosine"
    epoch_factor: float = 0.98
    num_warmup_steps: int = 0
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    average_decay: float = 0.0
    max_gradient_norm: float = 1.0
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = 1
    num_threads: int = 1
    seed: int = 0
    checkpoint_every_steps: int = 200
    validate_every_steps: int = 1000
    log_every_steps: int = 50
    best_by: str = ""

    def length(self, num_samples: int) -> int:
        """Steps of the training.

        Args:
            num_samples: Samples of an epoch.

        Raises:
            UsageError: Neither steps nor epochs are given.
        """
        if self.num_steps <= 0 and self.num_epochs <= 0:
            raise UsageError("loop: give num_steps or num_epochs")
        return self.num_steps or self.num_epochs * self.steps_per_epoch(num_samples)

    def steps_per_epoch(self, num_samples: int) -> int:
        """Steps after which every sample was drawn once on average."""
        return max(1, num_samples // self.batch_size)


def config_converter() -> cattrs.Converter:
    """Strict converter between run files and dataclasses: unknown names are refused, folders are paths."""
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(Path, lambda value, _: place_of(value))
    converter.register_structure_hook_func(
        lambda kind: kind == tuple[Path, ...], lambda value, _: _places_of(value)
    )
    converter.register_unstructure_hook(Path, name_of)
    return converter


def _places_of(value: Any) -> tuple[Path, ...]:
    """Several places; one name stands for itself."""
    return tuple(place_of(name) for name in ([value] if isinstance(value, str) else value))


def read_run_file(path: Path, kind: type[_Config]) -> _Config:
    """Read a run file; relative folders are taken from the current directory, see ``data.places``.

    Args:
        path: JSON file.
        kind: Dataclass of the training.

    Raises:
        UsageError: Missing file, invalid JSON, unknown or missing names, contradictory values.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the run file {path}: {error}") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path} is no run file: it must hold a JSON object")
    try:
        return config_converter().structure(document, kind)
    except cattrs.BaseValidationError as error:
        reasons = "; ".join(cattrs.transform_error(error, format_exception=_reason))
        raise UsageError(f"{path} is no run file for this training: {reasons}") from error


def _reason(error: BaseException, kind: type | None) -> str:
    """What a person can do about one wrong value; contradictions speak for themselves."""
    return str(error) if isinstance(error, FacelumeError) else cattrs.v.format_exception(error, kind)


def run_document(config: Any) -> dict[str, Any]:
    """A configuration as the JSON document that a run file, a checkpoint and a weight record hold."""
    document: dict[str, Any] = json.loads(json.dumps(config_converter().unstructure(config), allow_nan=False))
    return document
