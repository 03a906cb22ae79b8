"""The devices of a training: Lightning Fabric set up from a run file."""

from __future__ import annotations

from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from lightning_fabric.strategies.ddp import DDPStrategy

from facelume.errors import UsageError
from facelume.training.checkpoint import SafetensorsCheckpoint
from facelume.training.config import LoopConfig


class _WholeInputs(MixedPrecision):
    """Autocast inside the network alone: pictures enter in float32, not rounded to eight bits of mantissa."""

    def convert_input(self, data: Any) -> Any:
        return data


def start_fabric(config: LoopConfig) -> Fabric:
    """Start the processes of a training; call it before anything is prepared.

    Raises:
        UsageError: There is no such device, or the batch cannot be shared evenly.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("loop.device: there is no CUDA GPU here; use cpu or auto")
    if config.devices < 1 or config.batch_size % config.devices:
        raise UsageError(f"loop: batch_size {config.batch_size} cannot be shared by {config.devices} devices")
    is_cuda = config.device == "cuda" or (config.device == "auto" and torch.cuda.is_available())
    if is_cuda and config.devices > torch.cuda.device_count():
        raise UsageError(f"loop.devices is {config.devices}, but there are {torch.cuda.device_count()} GPUs")
    device = "cuda" if is_cuda else "cpu"
    plugins: list[Any] = [SafetensorsCheckpoint()]
    if config.precision == "bfloat16":
        plugins.append(_WholeInputs("bf16-mixed", device))
    strategy = DDPStrategy(find_unused_parameters=True) if config.devices > 1 else "auto"
    fabric = Fabric(accelerator=device, devices=config.devices, strategy=strategy, plugins=plugins)
    torch.set_num_threads(config.num_threads)
    fabric.launch()
    torch.manual_seed(config.seed)
    return fabric
