"""Write a trained refiner into a folder of weights, with its record."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from facelume.data.provenance import (
    ENVIRONMENT_MAPS,
    LABORATORY_PHOTOS,
    OPEN_MODEL_FACES,
    RECOGNITION,
    DataSource,
    photo_sources,
    weights_source,
)
from facelume.face_model import FaceModel
from facelume.networks.refiner import Refiner
from facelume.networks.unet_refiner import UNetRefiner
from facelume.training.export import WEIGHTS_FOLDER, Release, register
from facelume.training.loop import Trained
from facelume.training.refiner.config import RefinerTrainingConfig
from facelume.weights import WeightRecord, find_record

_INPUT = (
    "maps of the atlas (facelume.refinement.refine.RefinerInput): unwrapped photo, visibility, normals, "
    "prior albedo, coarse light per texel, exposure; assembled by facelume.refinement.refine.network_input"
)


def sources_of(config: RefinerTrainingConfig) -> tuple[DataSource, ...]:
    """Everything that a run learns from: faces, their light, and the networks that taught or started it."""
    data = config.data
    sources: list[DataSource] = []
    if data.num_synthetic > 0:
        sources += [OPEN_MODEL_FACES] + ([ENVIRONMENT_MAPS] if data.environment_maps else [])
    if data.photos is not None:
        sources += photo_sources(data.photos, data.photo_sets)
    if data.laboratory is not None:
        sources.append(LABORATORY_PHOTOS)
    if data.prior_weights is not None:
        sources.append(weights_source(find_record(data.prior_weights)[0]))
    sources.append(weights_source(find_record(data.tone_weights)[0]))
    if config.start_weights is not None:
        sources.append(weights_source(find_record(config.start_weights)[0]))
    if config.losses.cross_perceptual > 0:
        sources.append(RECOGNITION)
    return tuple(sources)


def export_weights(
    trained: Trained, config: RefinerTrainingConfig, model: FaceModel, folder: Path | None = None
) -> WeightRecord:
    """Save a refiner as the default of its kind; the run files of what it started from come first.

    Args:
        trained: What the training left.
        config: Its run file.
        model: The face model whose atlas and prior albedo it learned on.
        folder: Folder of weights; by default ``weights`` in the run's output.
    """
    network = cast(Refiner | UNetRefiner, trained.network)
    release = Release(
        weights_id=config.weights_id or f"refiner-{config.output.name}",
        kind="refiner",
        input=_INPUT,
        sources=sources_of(config),
        model=model,
        has_atlas=True,
    )
    before = [] if config.start_weights is None else find_record(config.start_weights)[0].training
    place = folder or config.output / WEIGHTS_FOLDER
    return register(network, network.config, release, trained.metrics, [*before, *trained.history], place)
