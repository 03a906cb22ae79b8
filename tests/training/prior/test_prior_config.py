import json
from importlib.resources import files
from pathlib import Path

import pytest

from facelume.errors import UsageError
from facelume.training.prior.config import load_training_config


@pytest.mark.parametrize("name", ["prior_landmarks", "prior"])
def test_run_files_of_the_package_are_valid(name: str):
    path = files("facelume.training").joinpath("configs", f"{name}.json")
    config = load_training_config(Path(str(path)))
    assert config.loop.num_steps > 0
    assert config.has_coefficients == bool(config.initial_weights)


def test_a_misspelt_name_is_refused(tmp_path: Path):
    path = tmp_path / "run.json"
    document = {"data_root": "x", "output_folder": "y", "cache_folder": "z", "loop": {"num_steps": 3}}
    path.write_text(json.dumps({**document, "batchsize": 3}))
    with pytest.raises(UsageError, match="batchsize"):
        load_training_config(path)


def test_a_missing_name_is_refused(tmp_path: Path):
    path = tmp_path / "run.json"
    path.write_text("{}")
    with pytest.raises(UsageError, match="data_root"):
        load_training_config(path)
