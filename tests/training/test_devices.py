"""Several processes on the CPU share a training as several GPUs would."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from facelume.errors import UsageError
from facelume.training.config import LoopConfig
from facelume.training.devices import start_fabric
from facelume.training.log import METRICS_NAME

PROGRAM = Path(__file__).with_name("two_processes.py")


def test_two_processes_share_a_batch_keep_equal_weights_and_resume_exactly(tmp_path):
    # Processes that share a training find each other by these: not those of a training that runs the tests.
    environment = {k: v for k, v in os.environ.items() if k not in {"LOCAL_RANK", "NODE_RANK", "WORLD_SIZE"}}
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = (json.loads((tmp_path / f"process_{rank}.json").read_text()) for rank in range(2))
    assert first["straight"]["drawn"] != second["straight"]["drawn"]
    for run in first:
        assert first[run]["weights"] == second[run]["weights"]
    assert first["resumed"]["drawn"] == first["straight"]["drawn"][3:]
    assert second["resumed"]["drawn"] == second["straight"]["drawn"][3:]
    lines = [json.loads(line) for line in (tmp_path / "broken" / METRICS_NAME).read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "training"] == [2, 3, 4, 6]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_file_chooses_device_and_arithmetic(precision):
    fabric = start_fabric(LoopConfig(num_steps=1, device="cpu", precision=precision))
    assert fabric.device.type == "cpu"
    picture = torch.rand(1, 3, 8, 8) * 1e-3 + 0.5
    seen = {}

    class Probe(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 2, 3)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            seen["input"], answer = image, self.layer(image)
            seen["inside"] = answer.dtype
            return answer

    answer = fabric.setup(Probe())(picture)
    assert torch.equal(seen["input"], picture)  # not rounded to eight bits of mantissa
    assert seen["inside"] == getattr(torch, precision)
    assert answer.dtype == torch.float32


def test_an_uneven_batch_is_refused():
    config = LoopConfig(num_steps=1, batch_size=7, device="cpu", devices=2)
    with pytest.raises(UsageError, match="batch_size 7 cannot be shared by 2"):
        start_fabric(config)
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no CUDA GPU"):
            start_fabric(replace(config, device="cuda", devices=1))
