"""The training loop: AdamW, warm-up and cosine, bfloat16, running average, checkpoints, a log of metrics."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from facelume.training.checkpoint import Progress, load_checkpoint, save_checkpoint

_LOG = logging.getLogger(__name__)
CHECKPOINT_NAME = "checkpoint.safetensors"
METRICS_NAME = "metrics.jsonl"

LossFunction = Callable[[nn.Module, torch.Generator], Mapping[str, Tensor]]
"""Draws a batch and returns its weighted losses by name; they are summed."""
Validation = Callable[[nn.Module], Mapping[str, float]]
"""Measures a network in evaluation mode on the validation split."""


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast to train.

    Attributes:
        num_steps: Steps of the whole training.
        time_budget_s: Seconds after which the schedule has ended too, whatever the steps; 0 for no limit.
        learning_rate: Peak rate of AdamW.
        final_fraction: Fraction of the peak rate at the end of the cosine.
        num_warmup_steps: Steps of linear warm-up.
        weight_decay: Of matrices and kernels; vectors have none.
        average_decay: Decay per step of the running average that is validated and exported.
        max_gradient_norm: Longer gradients are shortened to this.
        seed: Of everything random.
        num_threads: CPU threads.
        checkpoint_every_s: Seconds between checkpoints and validations.
        log_every_steps: Steps between log lines.
    """

    num_steps: int
    time_budget_s: float = 0.0
    learning_rate: float = 2e-3
    final_fraction: float = 0.01
    num_warmup_steps: int = 200
    weight_decay: float = 0.02
    average_decay: float = 0.998
    max_gradient_norm: float = 5.0
    seed: int = 0
    num_threads: int = 2
    checkpoint_every_s: float = 300.0
    log_every_steps: int = 50


def schedule(progress: Progress, config: LoopConfig) -> float:
    """Factor on the learning rate: warm-up times a cosine over steps or time, whichever is further."""
    fraction = progress.step / config.num_steps
    if config.time_budget_s > 0:
        fraction = max(fraction, progress.elapsed_s / config.time_budget_s)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, fraction)))
    warmup = min(1.0, (progress.step + 1) / max(1, config.num_warmup_steps))
    return warmup * (config.final_fraction + (1 - config.final_fraction) * cosine)


def update_average(average: dict[str, Tensor], network: nn.Module, decay: float, step: int) -> None:
    """Move the running average towards the network, faster in the first steps; counters are copied."""
    decay = min(decay, (step + 1) / (step + 10))
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                average[name].lerp_(value, 1 - decay)
            else:
                average[name].copy_(value)


def run_training(
    network: nn.Module,
    losses: LossFunction,
    folder: Path,
    config: LoopConfig,
    validate: Validation | None = None,
) -> dict[str, Tensor]:
    """Train a network, going on from the checkpoint in the folder if there is one.

    Args:
        network: The network, on the device on which it is to be trained.
        losses: Draws a batch and computes its losses.
        folder: Receives ``checkpoint.safetensors`` and ``metrics.jsonl``.
        config: Length and rates.
        validate: Called with the averaged network at every checkpoint.

    Returns:
        The running average of the network's state at the end.
    """
    torch.set_num_threads(config.num_threads)
    folder.mkdir(parents=True, exist_ok=True)
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.AdamW(
        _parameter_groups(network, config), lr=config.learning_rate, betas=(0.9, 0.99)
    )
    checkpoint = folder / CHECKPOINT_NAME
    progress = (
        load_checkpoint(checkpoint, network, average, optimizer) if checkpoint.is_file() else Progress()
    )
    generator = torch.Generator().manual_seed(config.seed + progress.step)
    sums: dict[str, float] = {}
    saved_at_s = progress.elapsed_s
    network.train()
    while not _is_over(progress, config):
        started = time.monotonic()
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * schedule(progress, config)
        parts = losses(network, generator)
        total = torch.stack(list(parts.values())).sum()
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), config.max_gradient_norm)
        optimizer.step()
        update_average(average, network, config.average_decay, progress.step)
        progress = Progress(progress.step + 1, progress.elapsed_s + time.monotonic() - started)
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + value.item() / config.log_every_steps
        if progress.step % config.log_every_steps == 0:
            _log(folder, progress, "training", sums)
            sums = {}
        if progress.elapsed_s - saved_at_s > config.checkpoint_every_s or _is_over(progress, config):
            save_checkpoint(checkpoint, network, average, optimizer, progress)
            saved_at_s = progress.elapsed_s
            if validate is not None:
                _log(folder, progress, "validation", _validated(network, average, validate))
    return average


def _is_over(progress: Progress, config: LoopConfig) -> bool:
    is_out_of_time = config.time_budget_s > 0 and progress.elapsed_s >= config.time_budget_s
    return progress.step >= config.num_steps or is_out_of_time


def _parameter_groups(network: nn.Module, config: LoopConfig) -> list[dict[str, object]]:
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


def _validated(network: nn.Module, average: dict[str, Tensor], validate: Validation) -> Mapping[str, float]:
    """Measure the averaged network and put the trained state back."""
    trained = {name: value.detach().clone() for name, value in network.state_dict().items()}
    network.load_state_dict(average)
    network.eval()
    with torch.no_grad():
        metrics = validate(network)
    network.load_state_dict(trained)
    network.train()
    return metrics


def _log(folder: Path, progress: Progress, kind: str, values: Mapping[str, float]) -> None:
    rounded = {name: round(value, 5) for name, value in values.items()}
    line = {"kind": kind, "step": progress.step, "elapsed_s": round(progress.elapsed_s, 1), **rounded}
    with (folder / METRICS_NAME).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")
    _LOG.info("%s", line)
