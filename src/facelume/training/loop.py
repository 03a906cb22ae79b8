"""The one training loop, on Lightning Fabric: any device, float32 or bfloat16, exactly resumable."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from facelume.errors import UsageError
from facelume.training.checkpoint import CHECKPOINT_NAME, SafetensorsCheckpoint
from facelume.training.config import LoopConfig
from facelume.training.devices import start_fabric
from facelume.training.log import TrainingLog
from facelume.training.objective import InRunPrecision, Objective, Randomness, Step

_LOG = logging.getLogger(__name__)
BEST_NAME = "best.safetensors"


@dataclass(frozen=True)
class StepReport:
    """How far a training is.

    Attributes:
        step: Steps done.
        num_steps: Steps in all.
        samples_per_s: Throughput of this run so far.
        remaining_s: Seconds left at this pace.
    """

    step: int
    num_steps: int
    samples_per_s: float
    remaining_s: float


@dataclass(frozen=True)
class Trained:
    """What a training left.

    Attributes:
        network: The averaged network (the best one where ``best_by`` asks for it), in evaluation mode, CPU.
        metrics: Its validation metrics.
        history: The run files that it was trained with, each with the first step that used it.
    """

    network: nn.Module
    metrics: Mapping[str, float]
    history: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class _Progress:
    """What a checkpoint keeps beside weights: JSON values only."""

    step: int = 0
    elapsed_s: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    best: float | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)


def rate_factor(step: int, num_steps: int, steps_per_epoch: int, config: LoopConfig) -> float:
    """Factor on the peak learning rate: warm-up times the decay."""
    warmup = min(1.0, (step + 1) / max(1, config.num_warmup_steps))
    if config.decay == "epoch":
        return warmup * max(config.final_fraction, config.epoch_factor ** (step // steps_per_epoch))
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / num_steps)))
    return warmup * (config.final_fraction + (1 - config.final_fraction) * cosine)


def running_average(network: nn.Module, decay: float) -> AveragedModel:
    """An average of a network's weights and statistics that follows faster in the first steps."""

    def follow(
        kept: tuple[Tensor, ...] | list[Tensor], new: tuple[Tensor, ...] | list[Tensor], count: Tensor | int
    ) -> None:
        number = int(count)
        share = 1 - min(decay, (number + 1) / (number + 10))
        for mine, theirs in zip(kept, new, strict=True):
            if mine.is_floating_point():
                mine.lerp_(theirs, share)
            else:
                mine.copy_(theirs)

    return AveragedModel(network, multi_avg_fn=torch.no_grad()(follow), use_buffers=True)


def best_so_far(network: nn.Module, folder: Path) -> Trained:
    """The best network of a training that is under way, or was broken off.

    Args:
        network: A network of the run's architecture; it takes the weights.
        folder: Output of a run that asks for ``best_by``.

    Returns:
        The network, its own figures, and as ``steps`` how many the training has done, which may be more than
        the network has seen.

    Raises:
        UsageError: The run has not measured a network yet, or belongs to another architecture.
    """
    paths = [folder / BEST_NAME, folder / CHECKPOINT_NAME]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise UsageError(
            f"no {missing[0]}: the training has not measured a network yet, or asks for no best_by"
        )
    best, checkpoint = (SafetensorsCheckpoint().load_checkpoint(path) for path in paths)
    progress = _Progress(**checkpoint["progress"])
    try:
        network.load_state_dict(best["average"])
    except RuntimeError as error:
        raise UsageError(f"{paths[0]} belongs to another network than the run file asks for") from error
    network.cpu().eval().requires_grad_(requires_grad=False)
    return Trained(network, {**progress.metrics, "steps": float(progress.step)}, progress.history)


def run_training(
    network: nn.Module,
    objective: Objective,
    folder: Path,
    config: LoopConfig,
    *,
    fabric: Fabric | None = None,
    run: Mapping[str, Any] | None = None,
    on_step: Callable[[StepReport], None] | None = None,
) -> Trained:
    """Train a network, going on from the checkpoint in the folder if there is one.

    SIGINT and SIGTERM save a checkpoint after the step at hand and end the training with
    ``KeyboardInterrupt``; started again, it ends in the same weights and log as if it had never been stopped
    (bit for bit on one CPU with the same number of threads).

    Args:
        network: The network; it is moved to the device.
        objective: Batches, losses, validation.
        folder: Receives ``checkpoint.safetensors``, ``metrics.jsonl``, ``tensorboard/`` and ``pictures/``.
        config: Length and rates.
        fabric: What :func:`start_fabric` gave; started here when absent.
        run: The run file as JSON, for checkpoint and log; a changed one is allowed and noted.
        on_step: Called after each step in the first process.

    Raises:
        UsageError: The checkpoint is damaged or belongs to another network or number of devices.
    """
    return _Loop(network, objective, folder, config, fabric or start_fabric(config)).train(run or {}, on_step)


class _Loop:
    def __init__(
        self, network: nn.Module, objective: Objective, folder: Path, config: LoopConfig, fabric: Fabric
    ) -> None:
        self.config, self.folder, self.fabric, self.objective = config, folder, fabric, objective
        folder.mkdir(parents=True, exist_ok=True)
        objective.setup(fabric)
        self.num_steps = config.length(objective.num_samples)
        self.steps_per_epoch = config.steps_per_epoch(objective.num_samples)
        optimizer = torch.optim.AdamW(
            _parameter_groups(network, config), lr=config.learning_rate, betas=config.betas
        )
        # Made before the optimiser is wrapped: it patches the methods of the one it is given.
        # A lambda, since torch would put a method's state into the checkpoint.
        self.schedule = LambdaLR(optimizer, lambda step: self._rate_factor(step))  # noqa: PLW0108
        self.network, self.optimizer = fabric.setup(network, optimizer)
        self.average = running_average(network, config.average_decay)
        self.random = Randomness(config.seed, fabric.global_rank)
        self.progress = _Progress()

    def _rate_factor(self, step: int) -> float:
        return rate_factor(step, self.num_steps, self.steps_per_epoch, self.config)

    def train(self, run: Mapping[str, Any], on_step: Callable[[StepReport], None] | None) -> Trained:
        self._restore()
        self._note_run(run)
        log = TrainingLog(self.folder, self.progress.step) if self.fabric.is_global_zero else None
        first, started = self.progress.step, time.monotonic()
        self.network.train()
        with _stop_asked() as is_stopping:
            while self.progress.step < self.num_steps:
                self._step()
                self._after_step(log)
                report = self._report(first, time.monotonic() - started)
                if log is not None and self.progress.step % self.config.log_every_steps == 0:
                    left = timedelta(seconds=round(report.remaining_s))
                    _LOG.info("%.1f samples/s, %s left", report.samples_per_s, left)
                if on_step is not None and self.fabric.is_global_zero:
                    on_step(report)
                if self._any_process(is_stopping()):
                    self._save()
                    raise KeyboardInterrupt
        if log is not None:
            log.close()
        return self._result()

    def _any_process(self, flag: bool) -> bool:
        """Whether the flag is set in one of the processes."""
        if self.fabric.world_size == 1:
            return flag
        mine = torch.tensor(float(flag), device=self.fabric.device)
        return bool(self.fabric.all_reduce(mine, reduce_op="max"))

    def _step(self) -> None:
        started = time.monotonic()
        done = self.progress.step
        step = Step(
            index=done,
            epoch=done / self.steps_per_epoch,
            rate_factor=self._rate_factor(done),
            batch_size=self.config.batch_size // self.fabric.world_size,
            random=self.random,
        )
        terms = self.objective.losses(self.network, step)
        self.optimizer.zero_grad()
        self.fabric.backward(torch.stack(list(terms.values())).sum())
        self.fabric.clip_gradients(
            self.network, self.optimizer, max_norm=self.config.max_gradient_norm, error_if_nonfinite=False
        )
        self.optimizer.step()
        self.schedule.step()
        self.average.update_parameters(self.network.module)
        reported = {**terms, **self.objective.after_step(step)}
        sums, counts = dict(self.progress.sums), dict(self.progress.counts)
        for name, value in reported.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
            counts[name] = counts.get(name, 0) + 1
        elapsed_s = self.progress.elapsed_s + time.monotonic() - started
        self.progress = replace(self.progress, step=done + 1, elapsed_s=elapsed_s, sums=sums, counts=counts)

    def _after_step(self, log: TrainingLog | None) -> None:
        """Log, validate and save where it is time to."""
        progress, config = self.progress, self.config
        is_last = progress.step == self.num_steps
        if progress.step % config.log_every_steps == 0 or is_last:
            means = {name: total / progress.counts[name] for name, total in progress.sums.items()}
            if log is not None:
                log.metrics("training", progress.step, progress.elapsed_s, means)
            self.progress = replace(progress, sums={}, counts={})
        every = config.validate_every_steps
        if is_last or (every > 0 and progress.step % every == 0):
            self._validate(log)
        if is_last or progress.step % config.checkpoint_every_steps == 0:
            self._save()

    def _validate(self, log: TrainingLog | None) -> None:
        """Measure the average in the first process; keep it when it is the best so far."""
        if log is not None:
            network = InRunPrecision(self.average.module, self.fabric).eval()
            with torch.no_grad():
                metrics = {name: float(value) for name, value in self.objective.validate(network).items()}
                pictures = self.objective.pictures(network)
            log.metrics("validation", self.progress.step, self.progress.elapsed_s, metrics)
            log.pictures(self.progress.step, pictures)
            network.train()
            self.progress = replace(self.progress, **self._judge(metrics))
        self.fabric.barrier()

    def _judge(self, metrics: dict[str, float]) -> dict[str, Any]:
        name = self.config.best_by
        if not name:
            return {"metrics": metrics}
        if name not in metrics:
            raise UsageError(
                f"loop.best_by: no metric named {name!r}; there are {', '.join(sorted(metrics))}"
            )
        if self.progress.best is not None and metrics[name] >= self.progress.best:
            return {}
        state = {"average": self.average.module.state_dict()}
        SafetensorsCheckpoint().save_checkpoint(state, self.folder / BEST_NAME)
        return {"metrics": metrics, "best": metrics[name]}

    def _state(self) -> dict[str, Any]:
        return {
            "network": self.network,
            "average": self.average,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "objective": self.objective,
        }

    def _save(self) -> None:
        state = self._state()
        state["random"] = self._random_states()
        state["progress"] = vars(self.progress)
        self.fabric.save(self.folder / CHECKPOINT_NAME, state)

    def _random_states(self) -> list[dict[str, Any]]:
        """States of every process, in order."""
        mine = self.random.state()
        if self.fabric.world_size == 1:
            return [mine]
        states: list[Any] = [None] * self.fabric.world_size
        torch.distributed.all_gather_object(states, mine)
        return states

    def _restore(self) -> None:
        """Fill everything from the checkpoint, if there is one."""
        path = self.folder / CHECKPOINT_NAME
        if not path.is_file():
            return
        state: dict[str, Any] = {**self._state(), "random": None, "progress": None}
        try:
            self.fabric.load(path, state)
            progress = _Progress(**state["progress"])
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UsageError(
                f"cannot go on from {path}: it belongs to another network or training ({reason}); "
                f"choose another output folder"
            ) from error
        states = state["random"]
        if len(states) != self.fabric.world_size:
            raise UsageError(
                f"cannot go on from {path}: it was trained on {len(states)} devices, now there are "
                f"{self.fabric.world_size}; set loop.devices back or choose another output folder"
            )
        self.random.restore(states[self.fabric.global_rank])
        self.progress = progress

    def _note_run(self, run: Mapping[str, Any]) -> None:
        history = list(self.progress.history)
        if not history or history[-1]["run"] != run:
            history.append({"first_step": self.progress.step, "run": dict(run)})
            self.progress = replace(self.progress, history=history)

    def _report(self, first: int, seconds: float) -> StepReport:
        done = self.progress.step - first
        pace_s = seconds / max(1, done)
        return StepReport(
            step=self.progress.step,
            num_steps=self.num_steps,
            samples_per_s=self.config.batch_size / max(pace_s, 1e-9),
            remaining_s=pace_s * (self.num_steps - self.progress.step),
        )

    def _result(self) -> Trained:
        network = self.average.module
        if self.config.best_by:
            network.load_state_dict(
                SafetensorsCheckpoint().load_checkpoint(self.folder / BEST_NAME)["average"]
            )
        network.cpu().eval().requires_grad_(requires_grad=False)
        return Trained(network, self.progress.metrics, self.progress.history)


def _parameter_groups(network: nn.Module, config: LoopConfig) -> list[dict[str, object]]:
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


@contextmanager
def _stop_asked() -> Iterator[Callable[[], bool]]:
    """Turn the first SIGINT or SIGTERM into a question that the loop answers between two steps."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, _: object) -> None:
        asked.set()
        signal.signal(number, before[signal.Signals(number)] or signal.SIG_DFL)  # a second one ends at once

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
