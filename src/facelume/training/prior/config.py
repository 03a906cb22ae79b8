"""Run file of the prior's training."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import cattrs

from facelume.data.augment import AugmentConfig
from facelume.data.photos import PHOTO_SETS
from facelume.errors import UsageError
from facelume.networks.prior import PriorConfig
from facelume.training.loop import LoopConfig
from facelume.training.prior.losses import PriorLossWeights


@dataclass(frozen=True)
class PriorTrainingConfig:
    """What the training needs; read strictly from JSON.

    Attributes:
        data_root: Folder of the photo sets.
        output_folder: Receives checkpoint, metrics, labels and the final weights.
        cache_folder: Where the crop cache is, or is to be made.
        loop: Length and rates.
        network: Architecture; ``input_px`` is the resolution of the training.
        augment: Strength of the augmentation.
        loss_weights: Weight of each loss.
        photo_sets: Photo sets to learn from (their validation split is left out).
        cache_side_px: Resolution of the cached pictures.
        batch_size: Photos per step.
        set_weights: How often a photo of a set is drawn, relative to one of a set not named.
        initial_weights: Safetensors to start from; empty for random weights.
        has_coefficients: Train the coefficient heads (needs ``initial_weights`` of a stage-one network).
        appearance_stride: Label albedo and light of every n-th photo only.
        synthetic_folder: Shards of synthetic faces; empty for none.
        synthetic_per_step: Synthetic faces added to each step.
    """

    data_root: str
    output_folder: str
    cache_folder: str
    loop: LoopConfig
    network: PriorConfig = field(default_factory=PriorConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss_weights: PriorLossWeights = field(default_factory=PriorLossWeights)
    photo_sets: tuple[str, ...] = PHOTO_SETS
    cache_side_px: int = 192
    batch_size: int = 64
    set_weights: dict[str, float] = field(default_factory=lambda: {"celebahq": 2.0, "london": 1.5})
    initial_weights: str = ""
    has_coefficients: bool = False
    appearance_stride: int = 1
    synthetic_folder: str = ""
    synthetic_per_step: int = 0


def load_training_config(path: Path) -> PriorTrainingConfig:
    """Read a run file; unknown or missing names are refused.

    Raises:
        UsageError: The file is no valid configuration.
    """
    converter = cattrs.Converter(forbid_extra_keys=True)
    try:
        return converter.structure(json.loads(path.read_text(encoding="utf-8")), PriorTrainingConfig)
    except (OSError, ValueError, cattrs.BaseValidationError) as error:
        is_structure = isinstance(error, cattrs.BaseValidationError)
        reasons = cattrs.transform_error(error) if is_structure else [str(error)]
        raise UsageError(
            f"{path} is no configuration of the prior's training: {'; '.join(reasons)}"
        ) from error
