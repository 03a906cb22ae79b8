"""Run file of the tone network's training."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from facelume.data.distributions import Distributions
from facelume.data.synthetic import SyntheticConfig
from facelume.errors import UsageError
from facelume.fitting.tone_cues import BANDS, CUE_PICTURE_SIZE, NUM_CUES
from facelume.networks.tone import ToneConfig
from facelume.training.config import LoopConfig
from facelume.training.refiner.config import LabelErrorConfig


@dataclass(frozen=True)
class ToneAugmentConfig(Distributions):
    """How much cues are changed; all but the shares are spreads of logarithms.

    Attributes:
        region_sigma: Brightness of a region against the skin.
        band_sigma: Brightness of a band of a region, dark to bright.
        region_hue_sigma: Each colour of a region.
        contrast_sigma: Power that all relative colours are raised to, as a camera's tone curve does.
        tint_sigma: Each hue of the photo's tint.
        shading_sigma: Brightness of parts of the picture, smooth.
        texel_sigma: Brightness of single texels of the picture.
        patch_fraction: Share of pictures a part of which is covered.
        blind_fraction: Share of pictures that are not shown at all.
        grey_fraction: Share of faces that lose their colour.
        hidden_fraction: Share of regions that are taken as not known; the skin itself never is.
    """

    region_sigma: float = 0.08
    band_sigma: float = 0.04
    region_hue_sigma: float = 0.03
    contrast_sigma: float = 0.08
    tint_sigma: float = 0.1
    shading_sigma: float = 0.12
    texel_sigma: float = 0.04
    patch_fraction: float = 0.3
    blind_fraction: float = 0.0
    grey_fraction: float = 0.1
    hidden_fraction: float = 0.1


@dataclass(frozen=True)
class ToneDataConfig:
    """Where faces come from; unwrapped once, kept afterwards.

    Attributes:
        prepared: Folder for the unwrapped faces and what was read off them.
        environment_maps: ``.npz`` files of lat-long HDR maps for the synthetic faces; none for lamps alone.
        synthetic: What synthetic faces look like.
        num_heads: Synthetic heads to draw for training; ``synthetic.group`` says how many pictures of each.
        num_plain_heads: Further ones whose lips, eyes and brows are those of the albedo basis whatever their
            skin, as other makers' heads have them.
        num_closed_heads: Further ones whose eyes are about closed, so that what lies where the eyes should be
            is lid; one in eighty of the others has its eyes closed.
        num_heads_validation: Synthetic heads to draw for validation, under held-out maps.
        photos: Folder of the photo sets, or None.
        studio_set: Set whose photos share one light and one exposure, or None.
        studio_gain: Factor from the colours (R, G, B) that its photos show to what the skin reflects.
        studio_surface: The part of that which the skin's surface reflects; the rest is the albedo.
            ``tools/measure_studio_exposure.py`` measures both.
        groups: Table of photos that show one person (``set,group,name``), or None.
        group_sets: Photo sets that the table takes photos from.
        laboratory: Folder with a folder of grey photos of each person, or None.
        judged: Learn from the table of photos whose ITA class was judged by eye (``judged.py``).
        judged_sigma: Spread of the judge's error, log luminance.
        num_folds: Where not 0, people whose hash falls into ``fold`` are held out as well: cross-validation.
        fold: See ``num_folds``.
        augment: Changes of cues while they are drawn.
        cues: Regions that the network may look at.
        studio_share: Studio faces in a batch, for each synthetic one.
        group_share: Pairs of photos of one person, likewise.
        laboratory_share: Pairs of laboratory photos, likewise.
        judged_share: Judged photos, for each synthetic one.
        prior_weights: Prior network that aligns the faces, as in use; None to align them by their labels.
        locator_weights: Locator that finds the faces of photos, where there is a prior network.
        label_errors: Errors of the labels of synthetic faces, where there is none.
    """

    prepared: Path
    environment_maps: tuple[Path, ...] = ()
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    num_heads: int = 2000
    num_plain_heads: int = 0
    num_closed_heads: int = 0
    num_heads_validation: int = 56
    photos: Path | None = None
    studio_set: str | None = None
    studio_gain: tuple[float, float, float] = (1.162, 1.131, 1.11)
    studio_surface: float = 0.0115
    groups: Path | None = None
    group_sets: tuple[str, ...] = ("aaf", "celebahq", "utkface")
    laboratory: Path | None = None
    judged: bool = False
    judged_sigma: float = 0.2
    num_folds: int = 0
    fold: int = 0
    augment: ToneAugmentConfig = field(default_factory=ToneAugmentConfig)
    cues: tuple[str, ...] = tuple(BANDS)
    studio_share: float = 0.5
    group_share: float = 0.67
    laboratory_share: float = 0.33
    judged_share: float = 0.33
    prior_weights: str | None = "prior"
    locator_weights: str = "locator"
    label_errors: LabelErrorConfig = field(default_factory=LabelErrorConfig)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.cues) - set(BANDS))
        if unknown:
            raise UsageError(f"data.cues: no region {', '.join(unknown)}; there are {', '.join(BANDS)}")
        if not 0 <= self.fold < max(1, self.num_folds):
            raise UsageError(f"data.fold must be from 0 to num_folds - 1, not {self.fold}")


@dataclass(frozen=True)
class ToneLossWeights:
    """Weight of each term; 0 switches it off.

    Attributes:
        synthetic: Negative log-likelihood of the true tones of synthetic faces.
        studio: The same of the studio's faces.
        groups: Negative log-likelihood of the difference of two answers to photos of one person.
        laboratory: The same of grey photos, of the luminance alone.
        judged: Negative log-likelihood of the luminance of judged photos.
        brightness: Luminance near what the photo's own brightness says, on groups and laboratory photos.
        class_bias: Squared mean error of the luminance in each ITA class, of faces whose tone is known.
    """

    synthetic: float = 1.0
    studio: float = 1.0
    groups: float = 1.0
    laboratory: float = 1.0
    judged: float = 1.0
    brightness: float = 0.5
    class_bias: float = 0.0


@dataclass(frozen=True)
class BrightnessConfig:
    """What a photo's brightness says of a skin: log of its luminance over the skin's, mean and spread.

    Attributes:
        log_mean: Mean of photos as people take them.
        log_sigma: Its spread.
        laboratory_log_mean: Mean of the laboratory's photos.
        laboratory_log_sigma: Its spread.
    """

    log_mean: float = 0.3
    log_sigma: float = 0.5
    laboratory_log_mean: float = -0.9
    laboratory_log_sigma: float = 1.0


def _network() -> ToneConfig:
    return ToneConfig(NUM_CUES, picture_size=CUE_PICTURE_SIZE)


@dataclass(frozen=True)
class ToneTrainingConfig:
    """One run.

    Attributes:
        data: Faces.
        output: Folder of checkpoint, metrics and weights.
        loop: Length, rates, device; ``batch_size`` counts the synthetic faces of a step.
        network: Architecture.
        losses: Weights of the terms.
        brightness: What a photo's own brightness says of a skin.
        weights_id: Id of the weight record; by default the output folder's name.
    """

    data: ToneDataConfig
    output: Path
    loop: LoopConfig
    network: ToneConfig = field(default_factory=_network)
    losses: ToneLossWeights = field(default_factory=ToneLossWeights)
    brightness: BrightnessConfig = field(default_factory=BrightnessConfig)
    weights_id: str = ""

    def __post_init__(self) -> None:
        if self.network.num_cues != NUM_CUES:
            raise UsageError(f"network.num_cues must be {NUM_CUES}: that many are read off a face")
        if self.network.picture_size != CUE_PICTURE_SIZE:
            raise UsageError(f"network.picture_size must be {CUE_PICTURE_SIZE}")
        wanted = {
            "studio": self.data.studio_set,
            "groups": self.data.groups,
            "laboratory": self.data.laboratory,
        }
        for name, source in wanted.items():
            if source is None and getattr(self.losses, name) > 0:
                raise UsageError(f"losses.{name} needs its photos in data; name them, or set it to 0")
        if self.data.prior_weights is None and self.data.laboratory is not None:
            raise UsageError("data.laboratory needs prior_weights: nobody labelled its faces")
