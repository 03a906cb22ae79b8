"""Training of the tone network on synthetic faces, a studio's photos and photos that show one person."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from lightning_fabric import Fabric

from facelume.errors import UsageError
from facelume.face_model import load_open_face_model
from facelume.fitting.tone_cues import CUE_REGIONS, region_of_cue
from facelume.networks.tone import ToneNetwork
from facelume.refinement.inputs import model_tone_regions
from facelume.training.config import run_document
from facelume.training.devices import start_fabric
from facelume.training.loop import StepReport, Trained, run_training
from facelume.training.tone.batches import ToneObjective
from facelume.training.tone.config import ToneTrainingConfig
from facelume.training.tone.rows import ToneRows, joined
from facelume.training.tone.shards import SYNTHETIC
from facelume.training.tone.split import SplitRows, load_rows

_PASSED_OVER = 1e6
"""Spread of a cue that the network may not look at."""

_LEAST_SCALE = 0.02
"""Added to the spread of a cue: shares that hardly ever change must not count for much."""


def train(config: ToneTrainingConfig, *, on_step: Callable[[StepReport], None] | None = None) -> Trained:
    """Draw and unwrap the faces that are not there yet, then train, or go on from the checkpoint.

    Args:
        config: The run.
        on_step: Called after each step.

    Raises:
        UsageError: There is nothing to learn from, or faces or checkpoint belong to another run.
    """
    fabric = start_fabric(config.loop)
    model = load_open_face_model()
    with fabric.rank_zero_first():
        rows = load_rows(config.data, model, model_tone_regions(model))
    if SYNTHETIC not in rows:
        raise UsageError("no synthetic faces to learn from: set data.num_heads")
    return train_on_rows(config, rows, fabric=fabric, on_step=on_step)


def train_on_rows(
    config: ToneTrainingConfig,
    rows: Mapping[str, SplitRows],
    *,
    fabric: Fabric | None = None,
    on_step: Callable[[StepReport], None] | None = None,
) -> Trained:
    """Train on rows that were read already; errors as in :func:`train`.

    Args:
        config: The run.
        rows: See :func:`facelume.training.tone.split.load_rows`.
        fabric: What ``start_fabric`` gave; started here when absent.
        on_step: Called after each step.
    """
    fabric = fabric or start_fabric(config.loop)
    network = ToneNetwork(config.network)
    taught = [split.training for kind, split in rows.items() if getattr(config.losses, kind) > 0]
    set_statistics(network, joined(taught), config.data.cues)
    return run_training(
        network,
        ToneObjective(config, rows),
        config.output,
        config.loop,
        fabric=fabric,
        run=run_document(config),
        on_step=on_step,
    )


def set_statistics(network: ToneNetwork, rows: ToneRows, cues: tuple[str, ...]) -> None:
    """Let a network normalise cues by the rows that it learns from, and pass over the other regions."""
    is_used = torch.tensor([name in cues for name in CUE_REGIONS])[region_of_cue()]
    network.cue_mean.copy_(rows.values.mean(dim=0))
    network.cue_scale.copy_(torch.where(is_used, rows.values.std(dim=0) + _LEAST_SCALE, _PASSED_OVER))
