"""Training of the locator."""

from __future__ import annotations

from collections.abc import Callable

from facelume.networks.locator import LocatorNetwork
from facelume.training.config import run_document
from facelume.training.devices import start_fabric
from facelume.training.locator.batches import LocatorObjective
from facelume.training.locator.config import LocatorTrainingConfig
from facelume.training.loop import StepReport, Trained, run_training


def train(config: LocatorTrainingConfig, *, on_step: Callable[[StepReport], None] | None = None) -> Trained:
    """Train, or go on from the checkpoint in the output folder.

    Args:
        config: The run.
        on_step: Called after each step.

    Returns:
        The averaged network with its batch normalisation, uncalibrated.

    Raises:
        UsageError: There is nothing to learn from, or the checkpoint belongs to another network.
    """
    fabric = start_fabric(config.loop)
    network = LocatorNetwork(config.network)
    objective, run = LocatorObjective(config), run_document(config)
    return run_training(
        network, objective, config.output, config.loop, fabric=fabric, run=run, on_step=on_step
    )
