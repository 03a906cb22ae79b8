"""Run file of the refiner's training."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from facelume.data.distributions import Distributions
from facelume.data.synthetic import SyntheticConfig
from facelume.errors import UsageError
from facelume.networks.refiner import RefinerConfig
from facelume.training.config import LoopConfig


@dataclass(frozen=True)
class LabelErrorConfig(Distributions):
    """Errors that labels of synthetic faces get before they are prepared, as a prior network makes them.

    Attributes:
        together_sigma_px: Shift of all landmarks of a face, crop pixels.
        stretch_sigma: Relative stretch of all landmarks of a face about the crop's centre, along x and y.
        landmark_sigma_px: Shift of each landmark on its own, crop pixels.
    """

    together_sigma_px: float = 0.6
    stretch_sigma: float = 0.012
    landmark_sigma_px: float = 0.6


@dataclass(frozen=True)
class FaceAugmentConfig(Distributions):
    """Changes of prepared faces while they are drawn.

    Attributes:
        tone_sigma: Spread of the log of a gain of the albedo, the light taking the opposite: the tone may be
            judged wrongly.
        tone_hue_sigma: Spread of the log of a further gain of each colour.
        mirror_fraction: Share of faces that are mirrored.
    """

    tone_sigma: float = 0.2
    tone_hue_sigma: float = 0.04
    mirror_fraction: float = 0.5


@dataclass(frozen=True)
class RefinerDataConfig:
    """Where faces come from; prepared once, kept afterwards.

    Attributes:
        prepared: Folder for the prepared faces.
        photos: Folder with the photo sets (see :func:`facelume.data.photos.load_photo_records`), or None.
        photo_sets: Sets to learn from; only photos with a parsing mask, and sets in ``clear_sets``, are used.
        clear_sets: Sets that are used without parsing masks: the prior network says what is bare face.
        photo_groups: CSV of photos of one person each (see :mod:`facelume.data.photo_groups`), or None.
        environment_maps: ``.npz`` files of lat-long HDR maps for the synthetic faces; none for lamps alone.
        drawn: Folder for the synthetic faces before they are prepared; by default in ``prepared``.
        num_synthetic: Synthetic faces to draw for training.
        first_synthetic: Number of the first of them, a multiple of the faces of a file (40): a training that
            starts from weights can go on behind the faces that they have seen.
        num_synthetic_validation: Synthetic faces to draw for validation, under held-out maps.
        synthetic: What synthetic faces look like.
        synthetic_share: Share of synthetic faces in a batch; as they come where None.
        pair_share: Share of faces that come with another picture of the same person, where there is one.
        label_errors: Errors of the labels of synthetic faces.
        augment: Changes of faces while they are drawn, or None (``space`` ``atlas`` only, and not in steps
            that render the crop).
        laboratory: Folder with a folder of grey photos of each person under single lamps, or None (see
            ``laboratory.py``); its faces count as synthetic ones, for their albedo is known.
        laboratory_exponents: Tone curves that its photos, whose values are linear, are stored with.
        prior_weights: Prior network that looks at every photo as in use (pose, landmark errors, parsing), or
            None to fit from the mean face.
        locator_weights: Locator that finds the faces of the laboratory.
        tone_weights: Tone network that judges the skin of every face.
    """

    prepared: Path
    photos: Path | None = None
    photo_sets: tuple[str, ...] = ("celebahq", "london")
    clear_sets: tuple[str, ...] = ("london",)
    photo_groups: Path | None = None
    environment_maps: tuple[Path, ...] = ()
    drawn: Path | None = None
    num_synthetic: int = 2400
    first_synthetic: int = 0
    num_synthetic_validation: int = 80
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    synthetic_share: float | None = None
    pair_share: float = 0.0
    label_errors: LabelErrorConfig = field(default_factory=LabelErrorConfig)
    augment: FaceAugmentConfig | None = None
    laboratory: Path | None = None
    laboratory_exponents: tuple[float, ...] = (1.0, 0.45)
    prior_weights: str | None = "prior"
    locator_weights: str = "locator"
    tone_weights: str = "tone"

    def __post_init__(self) -> None:
        if self.laboratory is not None and self.prior_weights is None:
            raise UsageError("data.laboratory needs data.prior_weights, which align its faces")

    @property
    def drawn_folder(self) -> Path:
        """Synthetic faces that are not prepared yet."""
        return self.drawn or self.prepared / "drawn"

    @property
    def train_folder(self) -> Path:
        """Prepared faces to learn from."""
        return self.prepared / "train"

    @property
    def validation_folder(self) -> Path:
        """Prepared faces to measure on."""
        return self.prepared / "validation"


@dataclass(frozen=True)
class LossWeights:
    """Weight of each term; 0 switches it off and saves its cost. The defaults are the paper's.

    Attributes:
        illumination_regularisation: Detailed light near the coarse one, squared, in radiance units.
        cross_perceptual: Identity under another photo's light (needs recognition weights and the image
            space).
        symmetry: Albedo equal to its mirror image.
        albedo_smoothness: Albedo smooth where the prior is.
        prior_l1: Albedo near the prior; in the first ``prior_l1_epochs`` epochs only.
        adversarial: Albedo that the PatchGAN takes for the face model's.
        image_gradient: Gradients of the coarse-light rendering.
        image: The detailed-light rendering.
        coarse_image: The coarse-light rendering itself, absolute difference (ours).
        coarse_detail: Steps between texels of the coarse-light rendering of photos (ours).
        albedo_truth: Absolute albedo error where the truth is known (ours).
        albedo_shape: The same up to one offset per face and channel (ours).
        albedo_detail: Steps between texels where the truth is known (ours).
        same_albedo: Coarse albedo equal in two pictures of one person (ours); needs ``data.pair_share``.
        light_smoothness: Steps of the light between texels (ours).
        light_hue: Colour of the detailed light near the coarse one's (ours).
        confidence: Cross-entropy of the confidence where the truth is known (ours).
    """

    illumination_regularisation: float = 1.0
    cross_perceptual: float = 0.5
    symmetry: float = 5.0
    albedo_smoothness: float = 5.0
    prior_l1: float = 1.0
    adversarial: float = 0.001
    image_gradient: float = 1.0
    image: float = 5.0
    coarse_image: float = 0.0
    coarse_detail: float = 0.0
    albedo_truth: float = 0.0
    albedo_shape: float = 0.0
    albedo_detail: float = 0.0
    same_albedo: float = 0.0
    light_smoothness: float = 0.0
    light_hue: float = 0.0
    confidence: float = 0.0


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
        start_weights: Id or kind of the weight record to start from, or None for random weights. Its
            optimiser is not in the record, so a run goes on from its own checkpoint where there is one.
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
    start_weights: str | None = None
    weights_id: str = ""

    def __post_init__(self) -> None:
        if self.losses.cross_perceptual > 0 and self.recognition_weights is None:
            raise UsageError(
                "losses.cross_perceptual needs recognition_weights; set both, or the weight to 0"
            )
        if self.data.augment is not None and self.space == "crop":
            raise UsageError("data.augment works with space = 'atlas' only; set one of the two")
