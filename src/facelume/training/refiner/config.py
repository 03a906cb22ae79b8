"""Configuration of a refiner training, read strictly from JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cattrs

from facelume.errors import UsageError
from facelume.networks.refiner import RefinerConfig
from facelume.training.refiner.losses import LossWeights


@dataclass(frozen=True)
class OptimiserConfig:
    """How the weights are updated.

    Attributes:
        learning_rate: Adam's first step size.
        learning_rate_final: Its last one.
        decay: ``epoch``: times 0.98 per epoch down to the final rate (paper); ``planned``: a cosine over
        all steps. batch_size: Faces per step.
        num_steps: Length of the training; 0 to take it from ``num_epochs``.
        num_epochs: Passes over the training faces, where ``num_steps`` is 0.
        prior_l1_epochs: Epochs with the L1-to-prior term; all where negative.
        ema_decay: Decay of the averaged weights that are kept; 0 keeps the last ones.
        costly_every: Steps from one with the cross-perceptual and adversarial terms to the next.
        precision: Arithmetic of the network's convolutions.
    """

    learning_rate: float = 1e-4
    learning_rate_final: float = 1e-5
    decay: Literal["epoch", "planned"] = "epoch"
    batch_size: int = 16
    num_steps: int = 0
    num_epochs: int = 10
    prior_l1_epochs: int = 1
    ema_decay: float = 0.0
    costly_every: int = 1
    precision: Literal["float32", "bfloat16"] = "float32"


@dataclass(frozen=True)
class RefinerDataConfig:
    """Where faces come from; prepared once, kept afterwards.

    Attributes:
        photos: Folder with the photo sets (see :func:`facelume.data.photos.load_photo_records`), or None.
        photo_sets: Sets to learn from; only photos with a parsing mask, and sets in ``clear_sets``, are used.
        clear_sets: Sets whose faces are bare, so that no parsing mask is needed.
        environment_maps: ``.npz`` of lat-long HDR maps for the synthetic faces, or None for studio lamps
        only. num_synthetic: Synthetic faces to draw for training.
        num_synthetic_validation: Synthetic faces to draw for validation, under held-out maps.
        prepared: Folder for the prepared faces.
        prior_weights: Prior network whose albedo starts the appearance fit of photos and of most synthetic
            faces, or None to start photos at the mean skin and synthetic faces near their truth.
    """

    prepared: Path
    photos: Path | None = None
    photo_sets: tuple[str, ...] = ("celebahq", "london")
    clear_sets: tuple[str, ...] = ("london",)
    environment_maps: Path | None = None
    num_synthetic: int = 2400
    num_synthetic_validation: int = 80
    prior_weights: str | None = "prior"

    @property
    def train_folder(self) -> Path:
        """Prepared faces to learn from."""
        return self.prepared / "train"

    @property
    def validation_folder(self) -> Path:
        """Prepared faces to measure on."""
        return self.prepared / "validation"


@dataclass(frozen=True)
class RefinerTrainingConfig:
    """One run.

    Attributes:
        data: Faces.
        output: Folder of checkpoints and metrics.
        network: Architecture.
        losses: Weights of the terms.
        optimiser: Updates.
        space: Where renderings are compared: ``crop`` (paper) or ``atlas`` (about four times cheaper).
        synthetic_share: Share of synthetic faces in a batch; as they come where ``None``.
        is_augmented: Mirror faces, change their exposure (``atlas`` only, not where a step renders the crop).
        recognition_weights: MobileFaceNet weights, for the cross-perceptual term.
        checkpoint_s: Seconds between checkpoints and measurements.
        num_threads: Torch threads.
        seed: Of weights, order and noise.
    """

    data: RefinerDataConfig
    output: Path
    network: RefinerConfig = field(default_factory=RefinerConfig)
    losses: LossWeights = field(default_factory=LossWeights)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    space: Literal["crop", "atlas"] = "crop"
    synthetic_share: float | None = None
    is_augmented: bool = False
    recognition_weights: Path | None = None
    checkpoint_s: float = 300.0
    num_threads: int = 2
    seed: int = 0


def read_config(path: Path) -> RefinerTrainingConfig:
    """Read a run file; unknown keys are refused, relative folders are taken from the current directory.

    Raises:
        UsageError: Missing file, invalid JSON, unknown or missing keys, contradictory values.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the training configuration {path}: {error}") from error
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(Path, lambda value, _: Path(value))
    try:
        config = converter.structure(data, RefinerTrainingConfig)
    except cattrs.BaseValidationError as error:
        reasons = "; ".join(cattrs.transform_error(error))
        raise UsageError(f"{path} is no refiner training configuration: {reasons}") from error
    if config.losses.cross_perceptual > 0 and config.recognition_weights is None:
        raise UsageError(
            f"{path}: losses.cross_perceptual needs recognition_weights; set both, or the weight to 0"
        )
    if config.is_augmented and config.space == "crop":
        raise UsageError(f"{path}: is_augmented works with space = 'atlas' only; set one of the two")
    return config
