"""Run file of the prior's training."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from facelume.data.augment import AugmentConfig
from facelume.data.photos import PHOTO_SETS
from facelume.errors import UsageError
from facelume.networks.prior import PriorConfig
from facelume.training.config import LoopConfig


@dataclass(frozen=True)
class PriorDataConfig:
    """Where faces come from.

    Attributes:
        photos: Folder of the photo sets.
        crops: Folder of the crop cache; it is made where there is none.
        photo_sets: Photo sets to learn from (their validation split is left out).
        set_weights: How often a photo of a set is drawn, relative to one of a set not named.
        crop_side_px: Resolution of the cached pictures.
        augment: Strength of the augmentation.
        appearance_stride: Label albedo and light of every n-th photo only.
        synthetic: Folder with shards of synthetic faces, or None.
        synthetic_per_step: Synthetic faces added to each step.
    """

    photos: Path
    crops: Path
    photo_sets: tuple[str, ...] = PHOTO_SETS
    set_weights: dict[str, float] = field(default_factory=lambda: {"celebahq": 2.0, "london": 1.5})
    crop_side_px: int = 192
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    appearance_stride: int = 1
    synthetic: Path | None = None
    synthetic_per_step: int = 0


@dataclass(frozen=True)
class PriorLossWeights:
    """Weight of each term.

    Attributes:
        landmark_likelihood: Negative log-likelihood of the landmarks (Laplace law in the plane).
        landmark_distance: Mean distance of the landmarks, px.
        aperture: Mean error of the openings of mouth and eyes, px; points that are each a little off leave a
            closed mouth open.
        parsing: Binary cross-entropy of the parsing mask.
        shape: Mean distance of the 3D landmarks in model axes, mm.
        coefficients: Mean squared identity error plus ten times the mean absolute expression error.
        reprojection: Mean distance of the projected landmarks of the coefficients, px.
        albedo: Mean absolute error of the albedo over probe texels, linear.
        light: Mean absolute error of the shading over front normals, relative to its mean.
    """

    landmark_likelihood: float = 1.0
    landmark_distance: float = 0.1
    aperture: float = 0.5
    parsing: float = 2.0
    shape: float = 0.3
    coefficients: float = 0.1
    reprojection: float = 0.1
    albedo: float = 10.0
    light: float = 3.0


@dataclass(frozen=True)
class PriorTrainingConfig:
    """One run.

    Attributes:
        data: Faces.
        output: Folder of checkpoint, metrics, labels and weights.
        loop: Length, rates, device.
        network: Architecture; ``input_px`` is the resolution of the training.
        losses: Weight of each loss.
        initial_weights: Folder of weights to start from, or None for random ones.
        has_coefficients: Train the coefficient heads (needs ``initial_weights`` of a stage-one network).
        weights_id: Id of the weight record; by default the output folder's name.
    """

    data: PriorDataConfig
    output: Path
    loop: LoopConfig
    network: PriorConfig = field(default_factory=PriorConfig)
    losses: PriorLossWeights = field(default_factory=PriorLossWeights)
    initial_weights: Path | None = None
    has_coefficients: bool = False
    weights_id: str = ""

    def __post_init__(self) -> None:
        if self.has_coefficients and self.initial_weights is None:
            raise UsageError("has_coefficients needs initial_weights: train landmarks and parsing first")
        if self.data.synthetic is None and self.data.synthetic_per_step > 0:
            raise UsageError("data.synthetic_per_step needs data.synthetic: name the folder, or set it to 0")
