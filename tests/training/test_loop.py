import json
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from facelume.errors import UsageError
from facelume.training.checkpoint import CHECKPOINT_NAME
from facelume.training.config import LoopConfig
from facelume.training.log import METRICS_NAME
from facelume.training.loop import StepReport, Trained, best_so_far, rate_factor, run_training
from facelume.training.objective import Objective, Step

CONFIG = LoopConfig(
    num_steps=60,
    batch_size=8,
    learning_rate=0.05,
    num_warmup_steps=5,
    betas=(0.9, 0.99),
    weight_decay=0.02,
    average_decay=0.9,
    precision="float32",
    checkpoint_every_steps=7,
    validate_every_steps=30,
    log_every_steps=20,
)


class Line(Objective):
    """Fit y = 2 x - 1 from points of both generators, with a term that comes every third step only."""

    num_samples = 80

    def losses(self, network: nn.Module, step: Step) -> Mapping[str, Tensor]:
        x = torch.rand(step.batch_size, 1, generator=step.random.torch)
        x = x + float(step.random.numpy.normal(0, 0.1)) + 0.01 * torch.rand(())
        terms = {"square": (network(x) - (2 * x - 1)).square().mean()}
        return terms | ({"size": 0.01 * network(x).square().mean()} if step.index % 3 == 0 else {})

    def validate(self, network: nn.Module) -> dict[str, float]:
        assert not network.training
        assert not network.network.training
        weight = float(network.network.weight)
        return {"weight": weight, "distance": abs(weight - 1.0)}

    def pictures(self, network: nn.Module) -> dict[str, np.ndarray]:
        return {"line": np.full((4, 5, 3), 7, np.uint8)}


class WithPartner(Line):
    """A second network with its own optimiser that learns from the same steps."""

    def setup(self, fabric: Any) -> None:
        super().setup(fabric)
        torch.manual_seed(3)
        partner = nn.Linear(1, 1)
        optimizer = torch.optim.Adam(partner.parameters(), 0.05)
        self.partner, self.optimizer = fabric.setup(partner, optimizer)

    def after_step(self, step: Step) -> Mapping[str, Tensor]:
        x = torch.rand(4, 1, generator=step.random.torch)
        loss = (self.partner(x) - x).square().mean()
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        self.optimizer.step()
        return {"partner": loss}

    def state_dict(self) -> dict[str, Any]:
        return {"partner": self.partner.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.partner.load_state_dict(state["partner"])
        self.optimizer.load_state_dict(state["optimizer"])


class Net(nn.Module):
    """One weight, and statistics that an average has to follow too."""

    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1)
        self.line = nn.Linear(1, outputs)

    @property
    def weight(self) -> Tensor:
        return self.line.weight[0, 0]

    def forward(self, x: Tensor) -> Tensor:
        return self.line(x) + 0.0 * self.norm(x)


def fresh() -> Net:
    torch.manual_seed(1)
    return Net()


def lines(folder: Path, kind: str | None = None) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / METRICS_NAME).read_text().splitlines()]
    return [{k: v for k, v in x.items() if k != "elapsed_s"} for x in found if kind in {None, x["kind"]}]


class KilledError(Exception):
    """As if the power had gone."""


def train_until(step: int, folder: Path, objective: Objective, config: LoopConfig = CONFIG) -> None:
    """Train and die right after a step, without a chance to save."""

    def die(report: StepReport) -> None:
        if report.step == step:
            raise KilledError

    with pytest.raises(KilledError):
        run_training(fresh(), objective, folder, config, on_step=die)


def assert_equal_state(first: nn.Module, second: nn.Module) -> None:
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


@pytest.mark.parametrize("kind", [Line, WithPartner])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_interrupted_training_equals_a_straight_one_bit_for_bit(tmp_path, kind, precision):
    config = replace(CONFIG, precision=precision)
    straight = run_training(fresh(), kind(), tmp_path / "straight", config)
    for step in (10, 33, 59):
        train_until(step, tmp_path / "broken", kind(), config)
    torch.rand(17)  # whatever else happened in between
    resumed = run_training(fresh(), kind(), tmp_path / "broken", config)
    assert_equal_state(straight.network, resumed.network)
    assert lines(tmp_path / "straight") == lines(tmp_path / "broken")
    assert straight.metrics == resumed.metrics


def test_log_lines_are_means_of_what_was_summed(tmp_path):
    class Constant(Line):
        def losses(self, network: nn.Module, step: Step) -> Mapping[str, Tensor]:
            one = network(torch.ones(2, 1)).mean() * 0 + 1.0
            return {"always": one} | ({"rarely": 2 * one} if step.index % 5 == 0 else {})

    config = replace(CONFIG, num_steps=45)
    train_until(30, tmp_path, Constant(), config)
    run_training(fresh(), Constant(), tmp_path, config)
    training = lines(tmp_path, "training")
    assert [line["step"] for line in training] == [20, 40, 45]
    assert [(line["always"], line["rarely"]) for line in training] == [(1.0, 2.0)] * 3


def test_a_stop_signal_saves_and_ends_between_two_steps(tmp_path):
    def stop(report: StepReport) -> None:
        if report.step == 11:
            os.kill(os.getpid(), signal.SIGTERM)

    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        run_training(fresh(), Line(), tmp_path / "broken", CONFIG, on_step=stop)
    assert signal.getsignal(signal.SIGTERM) is handler
    seen: list[StepReport] = []
    resumed = run_training(fresh(), Line(), tmp_path / "broken", CONFIG, on_step=seen.append)
    assert seen[0].step == 12
    straight = run_training(fresh(), Line(), tmp_path / "straight", CONFIG)
    assert_equal_state(straight.network, resumed.network)


def test_training_learns_and_validates_its_average(tmp_path):
    config = replace(CONFIG, num_steps=400, weight_decay=0.0, log_every_steps=100, validate_every_steps=0)
    trained = run_training(fresh(), Line(), tmp_path, config)
    assert trained.network.weight.item() == pytest.approx(2.0, abs=0.15)
    (validation,) = lines(tmp_path, "validation")
    assert validation["weight"] == pytest.approx(trained.network.weight.item(), abs=1e-5)
    assert (
        np.asarray(Image.open(tmp_path / "pictures" / "line.png")).tolist() == np.full((4, 5, 3), 7).tolist()
    )
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("training/square")] == [100, 200, 300, 400]
    assert [event.step for event in events.Images("line")] == [400]


def test_the_average_follows_weights_and_statistics_and_zero_keeps_the_last(tmp_path):
    network = fresh()
    last = run_training(network, Line(), tmp_path, replace(CONFIG, average_decay=0.0))
    assert_equal_state(network.cpu(), last.network)
    averaged = run_training(fresh(), Line(), tmp_path / "averaged", CONFIG)
    assert not torch.equal(averaged.network.norm.running_mean, last.network.norm.running_mean)
    assert averaged.network.norm.num_batches_tracked == last.network.norm.num_batches_tracked


def test_the_best_validation_is_kept_where_asked_for(tmp_path):
    config = replace(CONFIG, num_steps=200, validate_every_steps=10, best_by="distance", weight_decay=0.0)
    trained = run_training(fresh(), Line(), tmp_path, config)
    best = min(lines(tmp_path, "validation"), key=lambda line: line["distance"])
    assert best["step"] < 200
    assert trained.metrics["distance"] == pytest.approx(best["distance"], abs=1e-6)
    assert abs(trained.network.weight.item() - 1.0) == pytest.approx(best["distance"], abs=1e-6)
    with pytest.raises(UsageError, match="no metric named 'psnr'; there are distance, weight"):
        run_training(fresh(), Line(), tmp_path / "b", replace(config, best_by="psnr"))


def test_the_best_so_far_can_be_taken_out_of_a_training_that_is_under_way(tmp_path):
    config = replace(
        CONFIG, num_steps=200, validate_every_steps=10, checkpoint_every_steps=10, best_by="distance"
    )

    def stop(report: StepReport) -> None:
        if report.step == 55:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training(fresh(), Line(), tmp_path, config, run={"a": 1}, on_step=stop)
    best = min(lines(tmp_path, "validation"), key=lambda line: line["distance"])
    taken = best_so_far(fresh(), tmp_path)
    assert taken.metrics["distance"] == pytest.approx(best["distance"], abs=1e-6)
    assert taken.metrics["steps"] == 50
    assert abs(taken.network.weight.item() - 1.0) == pytest.approx(best["distance"], abs=1e-6)
    assert taken.history == [{"first_step": 0, "run": {"a": 1}}]
    with pytest.raises(UsageError, match="has not measured a network yet"):
        best_so_far(fresh(), tmp_path / "nothing")
    with pytest.raises(UsageError, match="another network"):
        best_so_far(torch.nn.Linear(2, 2), tmp_path)


def test_rates_warm_up_and_decay_by_cosine_or_by_epoch():
    config = LoopConfig(num_steps=1000, num_warmup_steps=10, final_fraction=0.01)
    assert [rate_factor(step, 1000, 100, config) for step in (0, 9, 500, 1000)] == pytest.approx(
        [0.1, 0.9998, 0.505, 0.01], abs=1e-3
    )
    epochs = replace(config, decay="epoch", num_warmup_steps=0, final_fraction=0.9)
    assert [rate_factor(step, 1000, 100, epochs) for step in (0, 99, 100, 250, 900)] == pytest.approx(
        [1.0, 1.0, 0.98, 0.98**2, 0.9]
    )


def test_length_comes_from_steps_or_epochs():
    assert LoopConfig(num_epochs=3, batch_size=8).length(80) == 30
    assert LoopConfig(num_steps=7, num_epochs=3).length(80) == 7
    with pytest.raises(UsageError, match="num_steps or num_epochs"):
        LoopConfig().length(80)


def test_a_finished_training_goes_on_only_when_given_more_steps(tmp_path):
    first = run_training(fresh(), Line(), tmp_path, CONFIG, run={"a": 1})
    again = run_training(fresh(), Line(), tmp_path, CONFIG, run={"a": 1})
    assert_equal_state(first.network, again.network)
    further = run_training(fresh(), Line(), tmp_path, replace(CONFIG, num_steps=80), run={"a": 2})
    assert lines(tmp_path)[-1]["step"] == 80
    assert [(part["first_step"], part["run"]) for part in further.history] == [(0, {"a": 1}), (60, {"a": 2})]


@pytest.mark.parametrize("content", [b"not a checkpoint", b""])
def test_a_damaged_checkpoint_is_refused(tmp_path, content):
    (tmp_path / CHECKPOINT_NAME).write_bytes(content)
    with pytest.raises(UsageError, match=r"damaged.*another output folder"):
        run_training(fresh(), Line(), tmp_path, CONFIG)


def test_a_checkpoint_of_another_network_or_objective_is_refused(tmp_path):
    run_training(fresh(), Line(), tmp_path, CONFIG)
    with pytest.raises(UsageError, match=r"another network or training.*another output folder"):
        run_training(Net(2), Line(), tmp_path, CONFIG)
    with pytest.raises(UsageError, match="another network or training"):
        run_training(fresh(), WithPartner(), tmp_path, CONFIG)


def test_the_report_tells_throughput_and_time_left(tmp_path):
    seen: list[StepReport] = []
    run_training(fresh(), Line(), tmp_path, CONFIG, on_step=seen.append)
    assert [report.step for report in seen] == list(range(1, 61))
    assert seen[-1].remaining_s == 0.0
    assert seen[5].remaining_s == pytest.approx(54 * 8 / seen[5].samples_per_s)


def test_devices_that_are_not_there_are_refused(tmp_path):
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match=r"loop\.device"):
            run_training(fresh(), Line(), tmp_path, replace(CONFIG, device="cuda"))
    with pytest.raises(UsageError, match="cannot be shared by 3 devices"):
        run_training(fresh(), Line(), tmp_path, replace(CONFIG, devices=3))


def test_a_trained_network_is_on_the_cpu_in_evaluation_mode(tmp_path):
    trained: Trained = run_training(fresh(), Line(), tmp_path, CONFIG)
    assert not trained.network.training
    assert {p.device.type for p in trained.network.parameters()} == {"cpu"}
    assert not any(p.requires_grad for p in trained.network.parameters())
