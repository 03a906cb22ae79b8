"""``facelume train`` from a run file to a folder of weights that the pipeline takes."""

import json
from pathlib import Path

import pytest

from facelume.cli.main import main
from facelume.weights import WeightRecord, find_record


@pytest.fixture
def run_file(tmp_path: Path, own_tone: WeightRecord) -> Path:
    """A run of one step that draws its own three faces, judged by a tone network of its own."""
    document = {
        "data": {
            "prepared": str(tmp_path / "prepared"),
            "num_synthetic": 2,
            "num_synthetic_validation": 1,
            "prior_weights": None,
            "tone_weights": own_tone.id,
        },
        "output": str(tmp_path / "tiny"),
        "network": {"width": 2, "map_size": 32},
        "losses": {"cross_perceptual": 0.0, "adversarial": 0.0, "albedo_truth": 1.0},
        "loop": {"num_steps": 1, "batch_size": 2, "device": "cpu"},
    }
    path = tmp_path / "run.json"
    path.write_text(json.dumps(document))
    return path


def test_a_training_prints_its_folder_of_weights_and_says_what_they_allow(run_file, tmp_path, capsys):
    assert main(["train", "refiner", str(run_file)]) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'tiny' / 'weights'}\n"
    assert "refiner-tiny: Apache-2.0, with credit for: synthetic faces of the open face model" in err
    record, _ = find_record("refiner", tmp_path / "tiny" / "weights")
    assert record.training[0]["run"]["loop"]["num_steps"] == 1
    assert record.training[0]["run"]["data"]["synthetic"]["skin"]["colour"]["measured_fraction"] == 1.0
    assert record.metrics["synthetic/albedo_error"] > 0
    assert record.terms == "credit"


def test_a_misspelt_run_file_is_one_line_and_the_status_of_usage(run_file, capsys):
    run_file.write_text(run_file.read_text().replace("num_steps", "num_step"))
    assert main(["train", "refiner", str(run_file)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "num_step" in err
