import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from facelume.errors import UsageError
from facelume.training.checkpoint import Progress
from facelume.training.loop import CHECKPOINT_NAME, METRICS_NAME, LoopConfig, run_training, schedule

CONFIG = LoopConfig(num_steps=60, learning_rate=0.05, num_warmup_steps=5, num_threads=1, log_every_steps=20)


def line_losses(network: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
    """Fit y = 2 x - 1."""
    x = torch.rand(16, 1, generator=generator)
    return {"square": (network(x) - (2 * x - 1)).square().mean()}


def test_schedule_warms_up_and_ends_by_steps_or_by_time():
    config = LoopConfig(num_steps=1000, time_budget_s=100.0, num_warmup_steps=10, final_fraction=0.01)
    assert schedule(Progress(0, 0.0), config) == pytest.approx(0.1)
    assert schedule(Progress(500, 0.0), config) == pytest.approx(0.505)
    assert schedule(Progress(500, 99.9), config) < 0.011
    assert schedule(Progress(1000, 0.0), config) == pytest.approx(0.01)


def test_training_learns_logs_and_validates_the_average(tmp_path: Path):
    network = nn.Linear(1, 1)
    seen = []

    def validate(average: nn.Module) -> dict[str, float]:
        assert not average.training
        seen.append(float(average.weight.item()))
        return {"weight": seen[-1]}

    config = LoopConfig(
        num_steps=400,
        learning_rate=0.05,
        num_warmup_steps=5,
        num_threads=1,
        average_decay=0.9,
        weight_decay=0.0,
    )
    average = run_training(network, line_losses, tmp_path, config, validate)
    assert average["weight"].item() == pytest.approx(2.0, abs=0.1)
    assert seen == [pytest.approx(average["weight"].item())]
    lines = [json.loads(line) for line in (tmp_path / METRICS_NAME).read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "training"] == list(range(50, 401, 50))
    assert lines[-1]["kind"] == "validation"


def test_a_finished_training_goes_on_only_when_given_more_steps(tmp_path: Path):
    first = run_training(nn.Linear(1, 1), line_losses, tmp_path, CONFIG)
    again = run_training(nn.Linear(1, 1), line_losses, tmp_path, CONFIG)
    torch.testing.assert_close(first, again)
    longer = LoopConfig(**{**vars(CONFIG), "num_steps": 80})
    further = run_training(nn.Linear(1, 1), line_losses, tmp_path, longer)
    assert not torch.equal(further["weight"], first["weight"])
    lines = [json.loads(line) for line in (tmp_path / METRICS_NAME).read_text().splitlines()]
    assert lines[-1]["step"] == 80


def test_a_damaged_checkpoint_is_refused(tmp_path: Path):
    (tmp_path / CHECKPOINT_NAME).write_bytes(b"not a checkpoint")
    with pytest.raises(UsageError, match="another output_folder"):
        run_training(nn.Linear(1, 1), line_losses, tmp_path, CONFIG)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path):
    run_training(nn.Linear(1, 1), line_losses, tmp_path, CONFIG)
    with pytest.raises(UsageError, match="another output_folder"):
        run_training(nn.Linear(1, 2), line_losses, tmp_path, CONFIG)
