import json
import math
from pathlib import Path

import pytest
import torch

from facelume.data.split import is_validation
from facelume.errors import UsageError
from facelume.networks.prior import PriorConfig
from facelume.training.loop import METRICS_NAME, LoopConfig
from facelume.training.prior.export import export_weights
from facelume.training.prior.train import WEIGHTS_NAME, PriorTrainingConfig, train
from facelume.weights import build_and_load

NETWORK = PriorConfig(
    input_px=64, stage_widths=(8, 8, 16, 16), blocks_per_stage=1, landmark_hidden=16, coefficient_hidden=16
)


def config_of(face_photos: Path, tmp_path: Path, **changes: object) -> PriorTrainingConfig:
    values = {
        "data_root": str(face_photos),
        "output_folder": str(tmp_path / "run"),
        "cache_folder": str(tmp_path / "cache"),
        "loop": LoopConfig(num_steps=3, num_threads=1, log_every_steps=1),
        "network": NETWORK,
        "photo_sets": ("celebahq",),
        "cache_side_px": 96,
        "batch_size": 4,
    }
    return PriorTrainingConfig(**{**values, **changes})


def test_landmark_stage_trains_validates_and_exports(face_photos: Path, tmp_path: Path):
    assert any(is_validation("celebahq", f"{number}.jpg") for number in range(12))
    config = config_of(face_photos, tmp_path)
    network = train(config)
    assert (tmp_path / "run" / WEIGHTS_NAME).is_file()
    lines = [json.loads(line) for line in (tmp_path / "run" / METRICS_NAME).read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "training"] == [1, 2, 3]
    assert 0 < lines[-1]["nme_second_pass"] < 1
    assert 0 <= lines[-1]["parsing_iou_second_pass"] <= 1

    export_weights(network, "prior-test", {"nme": 0.5}, face_model_sha256=None, folder=tmp_path / "weights")
    loaded, record = build_and_load(
        "prior-test", lambda _: type(network)(NETWORK), folder=tmp_path / "weights"
    )
    assert record.kind == "prior"
    crop = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(loaded(crop).landmarks_px, network(crop).landmarks_px, atol=0.2, rtol=0)


def test_coefficients_need_weights_to_start_from(face_photos: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="initial_weights"):
        train(config_of(face_photos, tmp_path, has_coefficients=True))


def test_coefficient_stage_labels_the_photos_and_trains(face_photos: Path, tmp_path: Path):
    train(config_of(face_photos, tmp_path))
    second = config_of(
        face_photos,
        tmp_path,
        output_folder=str(tmp_path / "second"),
        initial_weights=str(tmp_path / "run" / WEIGHTS_NAME),
        has_coefficients=True,
    )
    train(second)
    lines = [json.loads(line) for line in (tmp_path / "second" / METRICS_NAME).read_text().splitlines()]
    assert {"shape", "reprojection", "albedo", "light"} <= set(lines[0])
    assert lines[-1]["nme_fit_second_pass"] > 0
    assert all(math.isfinite(value) for line in lines for key, value in line.items() if key != "kind")
