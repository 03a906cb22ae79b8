"""A training that two processes on the CPU share; a program, since it starts itself again.

It trains six steps in one go, and six again that are broken off after three.

Usage: two_processes.py FOLDER
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from facelume.training.config import LoopConfig
from facelume.training.devices import start_fabric
from facelume.training.loop import run_training
from facelume.training.objective import Objective, Step


class Line(Objective):
    """Fit y = 2 x - 1; notes what each process draws and has."""

    num_samples = 80

    def __init__(self) -> None:
        self.drawn: list[float] = []

    def losses(self, network: nn.Module, step: Step) -> Mapping[str, Tensor]:
        x = torch.rand(step.batch_size, 1, generator=step.random.torch)
        self.drawn.append(round(float(x[0, 0]), 6))
        return {"square": (network(x) - (2 * x - 1)).square().mean()}

    def validate(self, network: nn.Module) -> Mapping[str, float]:
        return {"weight": float(network.network.weight)}


def main() -> None:
    folder = Path(sys.argv[1])
    config = LoopConfig(
        num_steps=6,
        batch_size=8,
        learning_rate=0.05,
        average_decay=0.9,
        device="cpu",
        devices=2,
        validate_every_steps=0,
        log_every_steps=2,
    )
    fabric = start_fabric(config)
    report = {}
    for name, steps in (("straight", 6), ("broken", 3), ("resumed", 6)):
        objective, run = Line(), replace(config, num_steps=steps)
        torch.manual_seed(0)
        place = folder / ("straight" if name == "straight" else "broken")
        trained = run_training(nn.Linear(1, 1), objective, place, run, fabric=fabric)
        weights = [float(value) for value in trained.network.parameters()]
        report[name] = {"drawn": objective.drawn, "weights": weights}
    (folder / f"process_{fabric.global_rank}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main()
