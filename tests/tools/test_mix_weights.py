from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import mix_weights
from facelume.errors import UsageError
from facelume.weights import WeightRecord, load_weights, save_weights


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three weights: 1 and 3 of one network, 3 of another."""
    place = tmp_path / "own"
    record = WeightRecord(
        id="one",
        kind="refiner",
        architecture="a.B",
        config={"width": 2},
        input="",
        training_data="",
        licence="CC0",
    )
    save_weights({"w": torch.full((2, 2), 1.0), "count": torch.tensor(7)}, record, folder=place)
    trained = {"training": [{"first_step": 0, "run": {}}], "metrics": {"error": 0.1}}
    other = replace(record, id="other", **trained)
    save_weights({"w": torch.full((2, 2), 3.0), "count": torch.tensor(9)}, other, folder=place)
    wider = replace(record, id="wider", config={"width": 4})
    save_weights({"w": torch.full((4, 4), 3.0), "count": torch.tensor(9)}, wider, folder=place)
    monkeypatch.setenv("FACELUME_WEIGHTS", str(place))
    return place


def test_weights_lie_between_and_the_record_says_of_what(folder: Path, tmp_path: Path) -> None:
    mix_weights.mix("one", "other", share=0.25, new_id="between", out=tmp_path / "mixed")
    record, state = load_weights("between", tmp_path / "mixed")
    assert torch.equal(state["w"], torch.full((2, 2), 1.5, dtype=torch.float16))
    assert int(state["count"]) == 9
    assert record.training[-1] == {"mixed": ["one", "other"], "share": 0.25}
    assert record.training[0] == {"first_step": 0, "run": {}}
    assert record.metrics == {}


def test_only_weights_of_one_network_mix(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one and wider differ in config"):
        mix_weights.mix("one", "wider", share=0.5, new_id="no", out=tmp_path)
    with pytest.raises(UsageError, match="--share"):
        mix_weights.mix("one", "other", share=1.5, new_id="no", out=tmp_path)
