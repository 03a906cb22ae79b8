"""A training that two processes on the CPU share; a program, since it starts itself again.

Usage: two_processes.py FOLDER NUM_STEPS
"""

import json
import sys
from collections.abc import Mapping
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
    folder, num_steps = Path(sys.argv[1]), int(sys.argv[2])
    config = LoopConfig(
        num_steps=num_steps,
        batch_size=8,
        learning_rate=0.05,
        average_decay=0.9,
        device="cpu",
        devices=2,
        validate_every_steps=0,
        log_every_steps=2,
    )
    fabric = start_fabric(config)
    objective = Line()
    trained = run_training(nn.Linear(1, 1), objective, folder, config, fabric=fabric)
    report = {
        "batch": len(objective.drawn),
        "drawn": objective.drawn,
        "weights": [float(value) for value in trained.network.parameters()],
    }
    (folder / f"process_{fabric.global_rank}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main()
