import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facelume.data.split import is_validation
from facelume.data.synthetic import SyntheticConfig, SyntheticFaces, generate
from facelume.errors import UsageError
from facelume.face_model import load_open_face_model
from facelume.networks.builders import PRIOR_BUILDERS
from facelume.networks.prior import PriorConfig
from facelume.training.config import LoopConfig
from facelume.training.log import METRICS_NAME
from facelume.training.loop import StepReport
from facelume.training.prior.config import PriorDataConfig, PriorTrainingConfig
from facelume.training.prior.export import export_weights
from facelume.training.prior.train import train
from facelume.weights import build_and_load

NETWORK = PriorConfig(
    input_px=64, stage_widths=(8, 8, 16, 16), blocks_per_stage=1, landmark_hidden=16, coefficient_hidden=16
)


def config_of(face_photos: Path, tmp_path: Path, **data: Any) -> PriorTrainingConfig:
    values = {
        "photos": face_photos,
        "crops": tmp_path / "crops",
        "photo_sets": ("celebahq",),
        "crop_side_px": 96,
    }
    return PriorTrainingConfig(
        data=PriorDataConfig(**{**values, **data}),
        output=tmp_path / "run",
        loop=LoopConfig(num_steps=3, batch_size=4, log_every_steps=1, checkpoint_every_steps=2),
        network=NETWORK,
    )


def lines(folder: Path, kind: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / METRICS_NAME).read_text().splitlines()]
    return [line for line in found if line["kind"] == kind]


def test_landmark_stage_trains_validates_and_exports(face_photos: Path, tmp_path: Path):
    assert any(is_validation("celebahq", f"{number}.jpg") for number in range(12))
    config = config_of(face_photos, tmp_path)
    trained = train(config)
    assert [line["step"] for line in lines(config.output, "training")] == [1, 2, 3]
    (validation,) = lines(config.output, "validation")
    assert 0 < validation["nme_second_pass"] < 1
    assert 0 <= validation["parsing_iou_second_pass"] <= 1
    assert (config.output / "pictures" / "landmarks.png").is_file()

    record = export_weights(trained, config, load_open_face_model())
    assert record.metrics["nme_second_pass"] == pytest.approx(validation["nme_second_pass"], abs=1e-4)
    assert record.face_model_sha256 is None
    assert record.terms == "research"
    assert record.training_data.startswith("photos and parsing masks of CelebAMask-HQ")
    assert "UTKFace" not in record.training_data
    loaded, _ = build_and_load("prior", PRIOR_BUILDERS, folder=config.output / "weights")
    crop = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        found, wanted = loaded(crop).landmarks_px, trained.network(crop).landmarks_px
    torch.testing.assert_close(found, wanted, atol=0.2, rtol=0)


def test_crops_of_other_photos_or_another_size_are_refused_not_reused(face_photos: Path, tmp_path: Path):
    train(config_of(face_photos, tmp_path))
    with pytest.raises(UsageError, match=r"side_px 96, now 64"):
        train(replace(config_of(face_photos, tmp_path, crop_side_px=64), output=tmp_path / "b"))
    with np.load(face_photos / "celebahq" / "landmarks.npz") as archive:
        names, points = archive["names"], archive["points"]
    np.savez(face_photos / "celebahq" / "landmarks.npz", names=names[1:], points=points[1:])
    with pytest.raises(UsageError, match=r"num_photos 12, now 11"):
        train(replace(config_of(face_photos, tmp_path), output=tmp_path / "b"))


class PowerCutError(Exception):
    """The training dies without a chance to save."""


def test_an_interrupted_training_equals_a_straight_one(face_photos: Path, tmp_path: Path):
    config = replace(config_of(face_photos, tmp_path), output=tmp_path / "straight")
    straight = train(config)

    def die(report: StepReport) -> None:
        if report.step == 2:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        train(replace(config, output=tmp_path / "broken"), on_step=die)
    resumed = train(replace(config, output=tmp_path / "broken"))
    for name, value in straight.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name


def test_coefficient_stage_labels_the_photos_and_trains(face_photos: Path, tmp_path: Path):
    model = load_open_face_model()
    first = config_of(face_photos, tmp_path)
    export_weights(train(first), first, model)
    faces = SyntheticFaces(model, [], SyntheticConfig())
    generate(faces, tmp_path / "synthetic", num_shards=1, shard_size=2)
    second = replace(
        config_of(face_photos, tmp_path, synthetic=tmp_path / "synthetic", synthetic_per_step=2),
        output=tmp_path / "second",
        initial_weights=first.output / "weights",
        has_coefficients=True,
    )
    record = export_weights(train(second), second, model)
    training, validation = lines(second.output, "training"), lines(second.output, "validation")
    assert {"shape", "reprojection", "albedo", "light", "landmark_distance"} <= set(training[0])
    assert validation[-1]["nme_fit_second_pass"] > 0
    assert all(math.isfinite(v) for line in training + validation for k, v in line.items() if k != "kind")
    assert record.face_model_sha256 == model.asset_sha256
    assert "answers of the network prior-run" in record.training_data
    assert "synthetic faces of the open face model" in record.training_data
    (drawn,) = record.training[-1]["run"]["synthetic_drawn_with"]
    assert drawn["face_model"] == model.asset_sha256
    assert drawn["config"]["head"]["identity_sigma"] == SyntheticConfig().head.identity_sigma

    other = replace(second, output=tmp_path / "third", network=replace(NETWORK, landmark_hidden=8))
    with pytest.raises(UsageError, match="another architecture"):
        train(other)
