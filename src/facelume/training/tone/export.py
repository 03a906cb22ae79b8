"""Write a trained tone network into a folder of weights, with its record."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from facelume.data.provenance import (
    ENVIRONMENT_MAPS,
    LABORATORY_PHOTOS,
    LANDMARKS,
    OPEN_MODEL_FACES,
    DataSource,
    photo_set_source,
    weights_source,
)
from facelume.face_model import FaceModel
from facelume.networks.tone import ToneNetwork
from facelume.training.export import WEIGHTS_FOLDER, Release, register
from facelume.training.loop import Trained
from facelume.training.tone.config import ToneTrainingConfig
from facelume.training.tone.judged import judged_classes
from facelume.weights import WeightRecord, find_record

_INPUT = (
    "cues of an unwrapped photo (facelume.fitting.tone_cues): log colours of eyes, lips, brows and skin "
    "relative to the middle of the skin, (b, 153)"
)


def sources_of(config: ToneTrainingConfig) -> tuple[DataSource, ...]:
    """Everything that a run learns from, and the networks that align its faces."""
    data, losses = config.data, config.losses
    sources: list[DataSource] = [OPEN_MODEL_FACES] + ([ENVIRONMENT_MAPS] if data.environment_maps else [])
    if data.photos is not None and data.studio_set is not None and losses.studio > 0:
        sources.append(photo_set_source(data.photos, data.studio_set))
    if data.photos is not None and data.groups is not None and losses.groups > 0:
        sources += [photo_set_source(data.photos, name) for name in data.group_sets]
    if data.photos is not None and data.judged and losses.judged > 0:
        sources += [
            photo_set_source(data.photos, name)
            for name in sorted({n.split("/")[0] for n in judged_classes()})
        ]
    if data.laboratory is not None and losses.laboratory > 0:
        sources.append(LABORATORY_PHOTOS)
    if data.prior_weights is None:
        sources.append(LANDMARKS)
    else:
        sources.append(weights_source(find_record(data.prior_weights)[0]))
    return tuple(sources)


def export_weights(
    trained: Trained, config: ToneTrainingConfig, model: FaceModel, folder: Path | None = None
) -> WeightRecord:
    """Save a tone network as the default of its kind.

    Args:
        trained: What the training left.
        config: Its run file.
        model: The face model on whose atlas the cues are read.
        folder: Folder of weights; by default ``weights`` in the run's output.
    """
    network = cast(ToneNetwork, trained.network)
    release = Release(
        weights_id=config.weights_id or f"tone-{config.output.name}",
        kind="tone",
        input=_INPUT,
        sources=sources_of(config),
        model=model,
        has_atlas=True,
    )
    place = folder or config.output / WEIGHTS_FOLDER
    return register(network, network.config, release, trained.metrics, trained.history, place)
