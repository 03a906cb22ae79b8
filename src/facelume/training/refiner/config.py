"""Run file of the refiner's training."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from facelume.data.synthetic import SkinConfig, SyntheticConfig
from facelume.errors import UsageError
from facelume.networks.refiner import RefinerConfig
from facelume.training.config import LoopConfig
from facelume.training.refiner.losses import LossWeights


@dataclass(frozen=True)
class RefinerDataConfig:
    """Where faces come from; prepared once, kept afterwards.

    Attributes:
        prepared: Folder for the prepared faces.
        photos: Folder with the photo sets (see :func:`facelume.data.photos.load_photo_records`), or None.
        photo_sets: Sets to learn from; only photos with a parsing mask, and sets in ``clear_sets``, are used.
        clear_sets: Sets whose faces are bare, so that no parsing mask is needed.
        environment_maps: ``.npz`` of lat-long HDR maps for the synthetic faces, or None for studio lamps.
        num_synthetic: Synthetic faces to draw for training.
        num_synthetic_validation: Synthetic faces to draw for validation, under held-out maps.
        synthetic: What synthetic faces look like; by default half of the skins have pigment beyond the
            albedo basis. A run file that sets another part has to set ``skin.pigment_fraction`` as well.
        synthetic_share: Share of synthetic faces in a batch; as they come where None.
        is_augmented: Mirror faces, change their exposure (``space`` ``atlas`` only, and not in steps that
            render the crop).
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
    synthetic: SyntheticConfig = field(
        default_factory=lambda: SyntheticConfig(skin=SkinConfig(pigment_fraction=0.5))
    )
    synthetic_share: float | None = None
    is_augmented: bool = False
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
        output: Folder of checkpoint, metrics and weights.
        loop: Length, rates, device.
        network: Architecture.
        losses: Weights of the terms.
        prior_l1_epochs: Epochs with the L1-to-prior term; all where negative.
        costly_every: Steps from one with the cross-perceptual and adversarial terms to the next.
        space: Where renderings are compared: ``crop`` (paper) or ``atlas`` (about four times cheaper).
        recognition_weights: MobileFaceNet weights, for the cross-perceptual term.
        weights_id: Id of the weight record; by default the output folder's name.
    """

    data: RefinerDataConfig
    output: Path
    loop: LoopConfig
    network: RefinerConfig = field(default_factory=RefinerConfig)
    losses: LossWeights = field(default_factory=LossWeights)
    prior_l1_epochs: int = 1
    costly_every: int = 1
    space: Literal["crop", "atlas"] = "crop"
    recognition_weights: Path | None = None
    weights_id: str = ""

    def __post_init__(self) -> None:
        if self.losses.cross_perceptual > 0 and self.recognition_weights is None:
            raise UsageError(
                "losses.cross_perceptual needs recognition_weights; set both, or the weight to 0"
            )
        if self.data.is_augmented and self.space == "crop":
            raise UsageError("data.is_augmented works with space = 'atlas' only; set one of the two")
