"""What a network is trained for, and the randomness that it draws its batches with."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from lightning_fabric import Fabric
from torch import Tensor, nn


class Randomness:
    """Everything random in one process; with its state a resumed training equals a straight one.

    Attributes:
        torch: Source of random tensors, on the CPU.
        numpy: Source of random numbers and choices.
    """

    def __init__(self, seed: int, rank: int) -> None:
        self.numpy = np.random.default_rng([seed, rank])
        self.torch = torch.Generator().manual_seed(
            int(np.random.SeedSequence([seed, rank]).generate_state(1)[0])
        )

    def state(self) -> dict[str, Any]:
        """Both states and that of torch's global generator: tensors and JSON values."""
        numbers = json.dumps(self.numpy.bit_generator.state)
        return {"torch": self.torch.get_state(), "numpy": numbers, "global": torch.get_rng_state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state` was taken."""
        self.torch.set_state(state["torch"])
        self.numpy.bit_generator.state = json.loads(state["numpy"])
        torch.set_rng_state(state["global"])


@dataclass(frozen=True)
class Step:
    """What a step may depend on.

    Attributes:
        index: Steps done before it.
        epoch: Passes over the training samples done before it.
        rate_factor: Learning rate of this step over the peak rate.
        batch_size: Samples that this process draws.
        random: Sources of randomness.
    """

    index: int
    epoch: float
    rate_factor: float
    batch_size: int
    random: Randomness


class InRunPrecision(nn.Module):
    """A network that computes in the run's precision, inside alone: what it is given and gives is float32.

    Attributes:
        network: The network itself.
        config: Its configuration, where it has one.
    """

    def __init__(self, network: nn.Module, fabric: Fabric) -> None:
        super().__init__()
        self.network, self.fabric = network, fabric
        self.config = getattr(network, "config", None)

    def forward(self, *inputs: Tensor) -> Any:
        """Return what the network says."""
        with self.fabric.autocast():
            return self.network(*inputs)


class Objective(ABC):
    """What a network is trained for: draws batches, computes losses, measures the result.

    A second network that learns beside the first (a discriminator) lives in here: it is set up in
    :meth:`setup`, updated in :meth:`after_step`, and its state goes into the checkpoint.
    """

    fabric: Fabric

    def setup(self, fabric: Fabric) -> None:
        """Called once before the first step; move what is needed to ``fabric.device``."""
        self.fabric = fabric

    @property
    @abstractmethod
    def num_samples(self) -> int:
        """Samples of one epoch."""

    @abstractmethod
    def losses(self, network: nn.Module, step: Step) -> Mapping[str, Tensor]:
        """Draw a batch and return its weighted losses by name; their sum is minimised."""

    def after_step(self, step: Step) -> Mapping[str, Tensor]:
        """Whatever else learns from the same batch; returns values to report."""
        return {}

    def validate(self, network: nn.Module) -> Mapping[str, float]:
        """Measure the averaged network (see :class:`InRunPrecision`) on the validation split."""
        return {}

    def pictures(self, network: nn.Module) -> Mapping[str, UInt8[np.ndarray, "_ _ 3"]]:
        """Draw what the averaged network does, by name."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """State of what learns beside the network."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave.

        Raises:
            ValueError: There is state, but nothing here that it belongs to.
        """
        if state:
            raise ValueError(f"nothing to restore {', '.join(state)} into")
