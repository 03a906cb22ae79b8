"""Training checkpoints as safetensors: network, running average, optimiser state and progress."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from facelume.errors import UsageError


@dataclass(frozen=True)
class Progress:
    """How far a training has come.

    Attributes:
        step: Steps done.
        elapsed_s: Seconds spent in steps, over all runs.
    """

    step: int = 0
    elapsed_s: float = 0.0


def save_checkpoint(
    path: Path,
    network: nn.Module,
    average: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    progress: Progress,
) -> None:
    """Write a checkpoint; the file is replaced only when the new one is whole."""
    from safetensors.torch import save_file

    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    whole = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    partial = path.with_suffix(".partial")
    metadata = {"step": str(progress.step), "elapsed_s": f"{progress.elapsed_s:.1f}"}
    save_file(whole, partial, metadata=metadata)
    os.replace(partial, path)


def load_checkpoint(
    path: Path, network: nn.Module, average: dict[str, Tensor], optimizer: torch.optim.Optimizer
) -> Progress:
    """Fill network, average and optimiser from a checkpoint.

    Raises:
        UsageError: The file is damaged or belongs to another architecture.
    """
    try:
        with safe_open(path, framework="pt") as archive:
            metadata = archive.metadata() or {}
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118 - no mapping
        network.load_state_dict(_part(tensors, "network."))
        for name, value in average.items():
            value.copy_(tensors[f"average.{name}"])
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        raise UsageError(
            f"cannot go on from {path}: {str(error).splitlines()[0]}; choose another output_folder"
        ) from error
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in _part(tensors, "optimizer.").items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return Progress(int(metadata["step"]), float(metadata["elapsed_s"]))


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
