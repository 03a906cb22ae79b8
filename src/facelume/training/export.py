"""From a trained network to a weight record that says what this run learned from, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from facelume.data.provenance import DataSource, describe_sources, licence_of
from facelume.face_model import FaceModel
from facelume.training.config import run_document
from facelume.weights import WeightRecord, architecture_of, save_weights

WEIGHTS_FOLDER = "weights"
"""Folder of weights that a training leaves in its output folder."""


@dataclass(frozen=True)
class Release:
    """What a network is, for its record.

    Attributes:
        weights_id: Unique name of the weights.
        kind: What the network does: ``locator``, ``prior``, ``refiner``.
        input: Size, range, colour space and layout of its input, in words.
        sources: Everything that was learned from in this run.
        model: Face model that it is bound to, or None.
        has_atlas: It is bound to the model's atlas too.
    """

    weights_id: str
    kind: str
    input: str
    sources: tuple[DataSource, ...]
    model: FaceModel | None = None
    has_atlas: bool = False


def register(
    network: nn.Module,
    config: Any,
    release: Release,
    metrics: Mapping[str, float],
    history: Iterable[Mapping[str, Any]],
    folder: Path,
) -> WeightRecord:
    """Save a network into a folder of weights, as the default of its kind.

    Args:
        network: The averaged network.
        config: Its architecture's configuration, a dataclass.
        release: What it is.
        metrics: Measured on the validation split.
        history: Its run files, see :attr:`facelume.training.loop.Trained.history`.
        folder: Folder of weights to write to, made if missing.
    """
    licence, terms = licence_of(release.sources)
    model = release.model
    record = WeightRecord(
        id=release.weights_id,
        kind=release.kind,
        architecture=architecture_of(type(network)),
        config=run_document(config),
        input=release.input,
        training_data=describe_sources(release.sources),
        licence=licence,
        terms=terms,
        metrics={name: round(float(value), 5) for name, value in metrics.items()},
        training=[dict(part) for part in history],
        face_model_sha256=None if model is None else model.asset_sha256,
        atlas_id=model.atlas_id if model is not None and release.has_atlas else None,
    )
    return save_weights(network.state_dict(), record, folder=folder)
