import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from facelume.data.provenance import weights_source
from facelume.errors import UsageError
from facelume.face_model import load_open_face_model
from facelume.networks.refiner import Refiner, RefinerConfig
from facelume.training.checkpoint import CHECKPOINT_NAME, SafetensorsCheckpoint
from facelume.training.config import LoopConfig
from facelume.training.log import METRICS_NAME
from facelume.training.loop import StepReport, Trained, run_training
from facelume.training.refiner.config import LossWeights, RefinerDataConfig, RefinerTrainingConfig
from facelume.training.refiner.export import export_weights, sources_of
from facelume.training.refiner.prepared import PreparedFaces
from facelume.training.refiner.train import RefinerObjective, start_network, train
from facelume.weights import WeightRecord, load_weights

OURS = LossWeights(
    illumination_regularisation=0.0,
    cross_perceptual=0.0,
    albedo_smoothness=0.0,
    adversarial=0.0,
    albedo_truth=2.0,
    albedo_shape=2.0,
    albedo_detail=1.0,
    coarse_detail=0.5,
    light_smoothness=0.02,
    light_hue=0.1,
    confidence=0.05,
)


@pytest.fixture
def shaded_faces(shard_of, face_of) -> Callable[..., PreparedFaces]:
    """Faces with a bright spot that the truth does not have."""

    def build(count: int, size: int = 32, seed: int = 0) -> PreparedFaces:
        rng, faces = np.random.default_rng(seed), []
        for _ in range(count):
            truth = rng.integers(110, 150, size=(3, 1, 1)) * np.ones((1, size, size))
            texture = truth.copy()
            texture[:, 10:16, 10:16] += 60
            faces.append(face_of(texture, truth))
        return shard_of(faces)

    return build


LOOP = LoopConfig(
    num_steps=4,
    batch_size=4,
    learning_rate=2e-3,
    precision="float32",
    checkpoint_every_steps=2,
    validate_every_steps=0,
    log_every_steps=2,
)


@pytest.fixture
def config(tmp_path: Path) -> RefinerTrainingConfig:
    return RefinerTrainingConfig(
        data=RefinerDataConfig(prepared=tmp_path / "prepared"),
        output=tmp_path / "run",
        loop=LOOP,
        network=RefinerConfig(width=4, map_size=32, head="residual", with_context=True, with_gate=True),
        losses=OURS,
        prior_l1_epochs=-1,
        space="atlas",
    )


@pytest.fixture
def train_shaded(shaded_faces) -> Callable[..., Trained]:
    """Train on the faces with a bright spot, without preparing anything."""

    def run(config: RefinerTrainingConfig, **options: Any) -> Trained:
        torch.manual_seed(0)
        model, faces = load_open_face_model(), [shaded_faces(8)]
        objective = RefinerObjective(config, model, faces, [shaded_faces(2, seed=1)])
        return run_training(Refiner(config.network), objective, config.output, config.loop, **options)

    return run


def reports(config: RefinerTrainingConfig, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (config.output / METRICS_NAME).read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def drawing(tmp_path: Path, **data: Any) -> RefinerTrainingConfig:
    """A run that draws and prepares its own faces: two synthetic ones to learn from, one to measure on."""
    values = {"prepared": tmp_path / "p", "num_synthetic": 2, "num_synthetic_validation": 1} | data
    return RefinerTrainingConfig(
        data=RefinerDataConfig(**({"prior_weights": None} | values)),
        output=tmp_path / "run",
        loop=replace(LOOP, num_steps=1, batch_size=2),
        network=RefinerConfig(width=2, map_size=32),
        losses=LossWeights(cross_perceptual=0.0, adversarial=0.0, albedo_truth=1.0),
    )


def test_a_run_draws_prepares_trains_and_measures(tmp_path):
    trained = train(drawing(tmp_path))
    assert sorted(p.parent.name for p in (tmp_path / "p").rglob("*.prepared")) == ["train", "validation"]
    assert trained.metrics["synthetic/albedo_error"] > 0
    assert trained.metrics["synthetic/photo_albedo_error"] > 0


def test_faces_prepared_for_another_run_are_refused_not_reused(tmp_path, own_tone, shipped_tone):
    train(drawing(tmp_path))
    other = replace(drawing(tmp_path), output=tmp_path / "other")
    with pytest.raises(UsageError, match=r"map_size 32, now 64"):
        train(replace(other, network=RefinerConfig(width=2, map_size=64)))
    with pytest.raises(UsageError, match=r"faces 2, now 3"):
        train(replace(drawing(tmp_path, num_synthetic=3), output=tmp_path / "other"))
    with pytest.raises(UsageError, match=r"prior null, now"):
        train(replace(drawing(tmp_path, prior_weights="prior"), output=tmp_path / "other"))
    with pytest.raises(UsageError, match=r"tone .*, now"):
        train(replace(drawing(tmp_path, tone_weights=shipped_tone.id), output=tmp_path / "other"))


def test_only_the_faces_that_the_run_file_names_are_learned_from(tmp_path, caplog):
    train(drawing(tmp_path))
    (tmp_path / "p" / "train" / "synthetic_00007.prepared").write_bytes(b"of another run")
    train(replace(drawing(tmp_path), output=tmp_path / "again"))  # not even looked at: its stamp is wrong


def test_nothing_to_learn_from_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no faces to learn from"):
        train(drawing(tmp_path, num_synthetic=0))


def test_training_leaves_metrics_pictures_and_a_checkpoint(config, train_shaded):
    train_shaded(config)
    assert [line["step"] for line in reports(config, "training")] == [2, 4]
    (report,) = reports(config, "validation")
    assert report["synthetic/od_psnr_db"] > 5
    assert "albedo_truth" in reports(config, "training")[0]
    assert "adversarial" not in reports(config, "training")[0]
    assert Image.open(config.output / "pictures" / "faces.png").size == (5 * 32, 2 * 32)


def test_training_learns_to_refuse_the_spot(config, train_shaded):
    before = train_shaded(config).metrics["synthetic/albedo_error"]
    longer = replace(config, loop=replace(LOOP, num_steps=60))
    assert train_shaded(longer).metrics["synthetic/albedo_error"] < 0.8 * before


def paper(config: RefinerTrainingConfig) -> RefinerTrainingConfig:
    return replace(
        config,
        network=RefinerConfig(width=4, map_size=32),
        losses=LossWeights(cross_perceptual=0.0),
        loop=replace(LOOP, num_steps=5, batch_size=2, log_every_steps=1, checkpoint_every_steps=3),
        space="crop",
    )


def test_the_paper_terms_train_in_crop_space(config, train_shaded):
    train_shaded(paper(config))
    report = reports(config, "training")[-1]
    names = ("illumination_regularisation", "symmetry", "albedo_smoothness", "adversarial", "discriminator")
    assert all(np.isfinite(report[name]) for name in names)
    state = SafetensorsCheckpoint().load_checkpoint(config.output / CHECKPOINT_NAME)
    assert state["objective"]["optimizer"]["state"]
    assert torch.isfinite(state["network"]["encoder.0.weight"]).all()


class PowerCutError(Exception):
    """The training dies without a chance to save."""


def test_an_interrupted_training_with_a_discriminator_equals_a_straight_one(config, train_shaded):
    straight = train_shaded(paper(replace(config, output=config.output / "straight")))

    def die(report: StepReport) -> None:
        if report.step == 4:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        train_shaded(paper(config), on_step=die)
    resumed = train_shaded(paper(config))
    for name, value in straight.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
    assert straight.metrics == resumed.metrics


def test_a_checkpoint_of_another_width_is_one_clear_line(config, train_shaded):
    train_shaded(config)
    wider = replace(config, network=replace(config.network, width=8))
    with pytest.raises(UsageError, match="another network or training") as error:
        train_shaded(wider)
    assert "\n" not in str(error.value)


@pytest.fixture
def landed(config, train_shaded, tmp_path, monkeypatch) -> WeightRecord:
    """Record of a trained refiner in a folder that is searched before the package's."""
    folder = tmp_path / "landed"
    record = export_weights(train_shaded(config), config, load_open_face_model(), folder)
    monkeypatch.setenv("FACELUME_WEIGHTS", str(folder))
    return record


def test_a_training_may_start_from_weights_that_landed(config, landed):
    run = replace(config, start_weights=landed.id)
    start = start_network(run, load_open_face_model())
    _, tensors = load_weights(landed.id)
    for name, value in start.state_dict().items():
        torch.testing.assert_close(value, tensors[name].to(value.dtype), atol=0, rtol=0)
    assert start.training
    assert all(parameter.requires_grad for parameter in start.parameters())
    again = replace(run, output=config.output / "again")
    trained = Trained(start, {}, [{"first_step": 0, "run": {"start_weights": landed.id}}])
    record = export_weights(trained, again, load_open_face_model())
    assert record.training == [*landed.training, *trained.history]
    assert weights_source(landed) in sources_of(run)
    assert weights_source(landed) not in sources_of(config)


def test_weights_of_another_network_are_no_start(config, landed):
    wider = replace(config, start_weights=landed.id, network=replace(config.network, width=8))
    with pytest.raises(UsageError, match="has another network than the run file's"):
        start_network(wider, load_open_face_model())
