"""Run file of the locator's training."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from facelume.data.photos import PHOTO_SETS
from facelume.errors import UsageError
from facelume.networks.locator import STRIDE_PX, LocatorConfig
from facelume.training.config import LoopConfig
from facelume.training.locator.scene_config import SceneConfig


@dataclass(frozen=True)
class LocatorDataConfig:
    """What scenes are composed of.

    Attributes:
        photos: Folder of the photo sets.
        environment_maps: Archive of lat-long maps, used as pictures without faces.
        photo_sets: Photo sets to learn from (their validation split is left out).
        environment_names: Environment maps to use.
        validation_environment_names: Environment maps on which false positives are counted.
        background_folders: Folders of further pictures without faces (JPEG, PNG).
        validation_background_folders: Folders of pictures without faces on which false positives are counted.
        side_px: Side of a scene, a multiple of 8.
        scenes: What scenes look like.
    """

    photos: Path
    environment_maps: Path
    photo_sets: tuple[str, ...] = PHOTO_SETS
    environment_names: tuple[str, ...] = ()
    validation_environment_names: tuple[str, ...] = ()
    background_folders: tuple[Path, ...] = ()
    validation_background_folders: tuple[Path, ...] = ()
    side_px: int = 160
    scenes: SceneConfig = field(default_factory=SceneConfig)


@dataclass(frozen=True)
class LocatorLossWeights:
    """Weight of each term.

    Attributes:
        centre: Penalty-reduced focal loss on the centres (CenterNet, eq. 1).
        box: Smooth L1 on the box, in units of the true face size.
        points: Smooth L1 on the five points, likewise.
        smooth_until: Error, in face sizes, below which the smooth L1 is quadratic.
    """

    centre: float = 1.0
    box: float = 5.0
    points: float = 5.0
    smooth_until: float = 0.05


@dataclass(frozen=True)
class LocatorTrainingConfig:
    """One run.

    Attributes:
        data: Scenes.
        output: Folder of checkpoint, metrics and weights.
        loop: Length, rates, device; a sample is a scene.
        network: Architecture.
        losses: Weights of the terms.
        threshold: Working threshold on the calibrated score of the released network.
        num_calibration_scenes: Scenes on which the score is calibrated.
        num_validation_scenes: Scenes of validation photos on which the loss is measured while training.
        weights_id: Id of the weight record; by default the output folder's name.
    """

    data: LocatorDataConfig
    output: Path
    loop: LoopConfig
    network: LocatorConfig = field(default_factory=LocatorConfig)
    losses: LocatorLossWeights = field(default_factory=LocatorLossWeights)
    threshold: float = 0.75
    num_calibration_scenes: int = 600
    num_validation_scenes: int = 64
    weights_id: str = ""

    def __post_init__(self) -> None:
        if self.data.side_px % STRIDE_PX:
            raise UsageError(f"data.side_px must be a multiple of {STRIDE_PX}, not {self.data.side_px}")
