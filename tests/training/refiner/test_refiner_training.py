import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from facelume.face_model import load_open_face_model
from facelume.networks.refiner import Refiner, RefinerConfig
from facelume.training.refiner.batches import PreparedFaces
from facelume.training.refiner.config import OptimiserConfig, RefinerDataConfig, RefinerTrainingConfig
from facelume.training.refiner.losses import LossWeights
from facelume.training.refiner.train import run, train

OURS = LossWeights(
    illumination_regularisation=0.0,
    cross_perceptual=0.0,
    albedo_smoothness=0.0,
    adversarial=0.0,
    albedo_truth=2.0,
    albedo_shape=2.0,
    light_smoothness=0.02,
    light_hue=0.1,
    confidence=0.05,
)


def shaded_faces(count: int, size: int = 32, seed: int = 0) -> PreparedFaces:
    """Faces with a bright spot that the truth does not have."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(110, 150, size=(count, 3, 1, 1)) * np.ones((1, 1, size, size))
    texture = truth.copy()
    texture[..., :, 10:16, 10:16] += 60
    normals = np.zeros((count, 3, size, size), np.int8)
    normals[:, 2] = 127
    light = np.zeros((count, 9, 3), np.float32)
    light[:, 0] = 2 * np.sqrt(np.pi)
    pose = np.zeros((count, 6), np.float32)
    pose[:, 5] = 1.05
    return PreparedFaces(
        texture=texture.astype(np.uint8),
        visibility=np.full((count, size, size), 255, np.uint8),
        normals=normals,
        prior=truth.astype(np.uint8),
        truth=truth.astype(np.uint8),
        has_truth=np.ones(count, bool),
        coarse_light=light,
        image=np.full((count, 224, 224, 3), 128, np.uint8),
        face_mask=np.full((count, 224, 224), 255, np.uint8),
        identity=np.zeros((count, 80), np.float32),
        expression=np.zeros((count, 52), np.float32),
        pose=pose,
    )


@pytest.fixture
def config(tmp_path: Path) -> RefinerTrainingConfig:
    data = RefinerDataConfig(prepared=tmp_path / "prepared")
    shaded_faces(8).save(data.train_folder / "a.npz")
    shaded_faces(2, seed=1).save(data.validation_folder / "a.npz")
    return RefinerTrainingConfig(
        data=data,
        output=tmp_path / "run",
        network=RefinerConfig(width=4, map_size=32, head="residual", with_context=True, with_gate=True),
        losses=OURS,
        optimiser=OptimiserConfig(learning_rate=2e-3, batch_size=4, num_steps=4, prior_l1_epochs=-1),
        space="atlas",
        num_threads=1,
    )


def test_a_run_file_does_everything(tmp_path):
    run_file = {
        "data": {"prepared": str(tmp_path / "p"), "num_synthetic": 2, "num_synthetic_validation": 1},
        "output": str(tmp_path / "run"),
        "network": {"width": 2, "map_size": 32},
        "losses": {"cross_perceptual": 0.0, "adversarial": 0.0, "albedo_truth": 1.0},
        "optimiser": {"num_steps": 1, "batch_size": 2},
        "num_threads": 1,
    }
    run_file["data"]["prior_weights"] = None
    path = tmp_path / "run.json"
    path.write_text(json.dumps(run_file))
    weights = run(path)
    Refiner(RefinerConfig(width=2, map_size=32)).load_state_dict(load_file(weights))
    assert sorted(p.parent.name for p in (tmp_path / "p").rglob("*.npz")) == ["train", "validation"]


def reports(config: RefinerTrainingConfig) -> list[dict[str, float]]:
    return [json.loads(line) for line in (config.output / "metrics.jsonl").read_text().splitlines()]


def test_training_leaves_weights_metrics_and_architecture(config):
    path = train(config, load_open_face_model())
    Refiner(RefinerConfig(**json.loads((config.output / "network.json").read_text()))).load_state_dict(
        load_file(path)
    )
    (report,) = reports(config)
    assert report["step"] == 4
    assert report["synthetic/od_psnr_db"] > 5
    assert "loss/albedo_truth" in report
    assert "loss/adversarial" not in report


def test_training_continues_from_its_checkpoint(config):
    train(config, load_open_face_model())
    longer = dataclasses.replace(config, optimiser=dataclasses.replace(config.optimiser, num_steps=6))
    train(longer, load_open_face_model())
    assert [report["step"] for report in reports(config)] == [4, 6]


def test_training_learns_to_refuse_the_spot(config):
    longer = dataclasses.replace(config, optimiser=dataclasses.replace(config.optimiser, num_steps=60))
    train(config, load_open_face_model())
    before = reports(config)[-1]["synthetic/albedo_error"]
    train(longer, load_open_face_model())
    after = reports(config)[-1]["synthetic/albedo_error"]
    assert after < 0.8 * before


def test_the_paper_terms_train_in_crop_space(config):
    paper = dataclasses.replace(
        config,
        network=RefinerConfig(width=4, map_size=32),
        losses=LossWeights(cross_perceptual=0.0),
        optimiser=OptimiserConfig(batch_size=2, num_steps=5),
        space="crop",
    )
    train(paper, load_open_face_model())
    report = reports(paper)[-1]
    for name in (
        "illumination_regularisation",
        "symmetry",
        "albedo_smoothness",
        "adversarial",
        "discriminator",
    ):
        assert np.isfinite(report[f"loss/{name}"])
    state = load_file(paper.output / "checkpoint.safetensors")
    assert any(key.startswith("discriminator_adam.") for key in state)
    assert torch.isfinite(state["network.encoder.0.weight"]).all()
