"""Write a trained prior network into a folder of weights, with its record; read one back."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from facelume.data.provenance import MODEL_FITS, OPEN_MODEL_FACES, DataSource, photo_sources, weights_source
from facelume.face_model import FaceModel
from facelume.networks.builders import PRIOR_BUILDERS
from facelume.networks.prior import PriorNetwork
from facelume.training.export import WEIGHTS_FOLDER, Release, register
from facelume.training.loop import Trained
from facelume.training.prior.config import PriorTrainingConfig
from facelume.weights import WeightRecord, build_and_load, find_record

_INPUT = "canonical crop, (b, 3, 224, 224), sRGB in [0, 1]; resized inside to input_px"


def sources_of(config: PriorTrainingConfig) -> tuple[DataSource, ...]:
    """Everything that a run learns from, the data of the weights that it starts from included."""
    sources = photo_sources(config.data.photos, config.data.photo_sets)
    if config.has_coefficients:
        sources.append(MODEL_FITS)
        if config.data.synthetic is not None and config.data.synthetic_per_step > 0:
            sources.append(OPEN_MODEL_FACES)
    if config.initial_weights is not None:
        sources.append(weights_source(find_record("prior", config.initial_weights)[0]))
    return tuple(sources)


def export_weights(
    trained: Trained, config: PriorTrainingConfig, model: FaceModel, folder: Path | None = None
) -> WeightRecord:
    """Save a prior network as the default of its kind.

    Args:
        trained: What the training left.
        config: Its run file.
        model: The face model whose coefficients it knows, if it was trained on any.
        folder: Folder of weights; by default ``weights`` in the run's output.
    """
    network = cast(PriorNetwork, trained.network)
    release = Release(
        weights_id=config.weights_id or f"prior-{config.output.name}",
        kind="prior",
        input=_INPUT,
        sources=sources_of(config),
        model=model if config.has_coefficients else None,
    )
    place = folder or config.output / WEIGHTS_FOLDER
    return register(network, network.config, release, trained.metrics, trained.history, place)


def load_prior(
    weights: str, model: FaceModel, folder: Path | None = None
) -> tuple[PriorNetwork, WeightRecord]:
    """Read a prior network that knows a face model.

    Args:
        weights: Id, or ``prior`` for the default one.
        model: The face model in use.
        folder: Folder of weights that comes before the package's.

    Raises:
        AssetError: There is none, or it belongs to another face model.
    """
    return build_and_load(
        weights,
        PRIOR_BUILDERS,
        face_model_sha256=model.asset_sha256,
        atlas_id=model.atlas_id,
        folder=folder,
    )
