"""The locator's training on faces drawn by the test: a disc with two eyes, a nose and a mouth."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from facelume.data.photos import load_photo_records
from facelume.data.provenance import SOURCE_NAME, DataSource
from facelume.data.split import is_validation
from facelume.detection import NetworkLocator
from facelume.errors import UsageError
from facelume.networks.locator import LocatorConfig, LocatorOutput
from facelume.training.config import LoopConfig
from facelume.training.locator.backgrounds import faceless_windows, load_environment_pictures, sample_edge
from facelume.training.locator.batches import read_pictures
from facelume.training.locator.config import LocatorDataConfig, LocatorLossWeights, LocatorTrainingConfig
from facelume.training.locator.export import export_weights, sources_of
from facelume.training.locator.losses import encode_faces, locator_losses, stack_targets
from facelume.training.locator.scene_config import SceneConfig, SceneKinds
from facelume.training.locator.scenes import SceneComposer, SceneFace, load_scene_photo
from facelume.training.locator.train import train
from facelume.training.locator.validation import calibrate
from facelume.training.log import METRICS_NAME
from facelume.training.loop import StepReport

RED_EYE, BLUE_EYE = (255, 0, 0), (0, 0, 255)


def _draw_face(folder: Path, name: str, centre: tuple[float, float], radius: float) -> np.ndarray:
    """Write a picture of a drawn face (subject's right eye red, left eye blue) and return its 478 points."""
    picture = Image.new("RGB", (160, 180), (60, 90, 60))
    pen = ImageDraw.Draw(picture)
    x, y = centre
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(200, 160, 130))
    points = np.zeros((478, 3))
    turn = np.linspace(0, 2 * np.pi, 468, endpoint=False)
    points[:468, 0], points[:468, 1] = x + radius * np.cos(turn), y + radius * np.sin(turn)
    for corners, sign, colour in (((33, 133), -1, RED_EYE), ((362, 263), 1, BLUE_EYE)):
        eye = np.array((x + sign * 0.4 * radius, y - 0.3 * radius))
        points[corners[0], :2], points[corners[1], :2] = eye - np.array((4, 0)), eye + np.array((4, 0))
        pen.ellipse((eye[0] - 5, eye[1] - 5, eye[0] + 5, eye[1] + 5), fill=colour)
    points[1, :2] = (x, y + 0.1 * radius)
    points[61, :2], points[291, :2] = (
        (x - 0.3 * radius, y + 0.5 * radius),
        (x + 0.3 * radius, y + 0.5 * radius),
    )
    pen.line((*points[61, :2], *points[291, :2]), fill=(120, 20, 20), width=4)
    picture.save(folder / name)
    return points


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    folder = root / "drawn" / "images"
    folder.mkdir(parents=True)
    names = [f"{i:03d}.png" for i in range(12)]
    rng = np.random.default_rng(0)
    points = [
        _draw_face(folder, n, (rng.uniform(60, 100), rng.uniform(60, 120)), rng.uniform(35, 55))
        for n in names
    ]
    np.savez(
        root / "drawn" / "landmarks.npz",
        names=np.array(names),
        points=np.round(np.array(points) * 16).astype(np.int16),
    )
    maps = {"room": rng.uniform(0, 2, (16, 32, 3)).astype(np.float16)}
    np.savez(root / "maps.npz", **maps)
    (root / "plain").mkdir()
    Image.fromarray(rng.integers(0, 255, (90, 90, 3), dtype=np.uint8)).save(root / "plain" / "noise.png")
    return root


def _config(data_root: Path, output: Path, **changes) -> LocatorTrainingConfig:
    network = LocatorConfig(stem_channels=4, middle_channels=8, channels=12, middle_blocks=1, blocks=1)
    config = LocatorTrainingConfig(
        data=LocatorDataConfig(
            photos=data_root,
            environment_maps=data_root / "maps.npz",
            background_folders=(data_root / "plain",),
            photo_sets=("drawn",),
            environment_names=("room",),
            side_px=64,
        ),
        output=output,
        loop=LoopConfig(num_steps=3, batch_size=4, average_decay=0.999, checkpoint_every_steps=2),
        network=network,
        num_calibration_scenes=30,
        num_validation_scenes=4,
    )
    return replace(config, **changes)


@pytest.fixture(scope="module")
def composer(data_root: Path) -> SceneComposer:
    photos = [load_scene_photo(record) for record in load_photo_records(data_root, ("drawn",))]
    background = [np.full((80, 80, 3), 90, np.uint8)]
    return SceneComposer(photos, background, SceneConfig(), side_px=128, rng=np.random.default_rng(1))


def test_points_of_composed_faces_lie_on_the_eyes_and_keep_their_order(composer):
    """One eye is red, the other blue; a mirrored face has them exchanged, but not the order of its points."""
    differences, is_red_first = [], []
    for _ in range(250):
        scene = composer.draw()
        for face in scene.faces:
            right, left, _, *mouth = face.points_px
            across, down = left - right, np.mean(mouth, axis=0) - (left + right) / 2
            assert across[0] * down[1] - across[1] * down[0] > 0
            cells = np.floor(face.points_px[:2]).astype(int)
            if face.visible > 0.95 and face.size_px > 30 and cells.min() >= 0 and cells.max() < 128:
                first, second = (scene.picture[y, x].astype(int) for x, y in cells)
                difference = (first[0] - first[2]) - (second[0] - second[2])
                differences.append(abs(difference))
                is_red_first.append(difference > 0)
    assert len(differences) > 15
    assert np.mean(np.array(differences) > 40) > 0.7
    assert 0.2 < np.mean(is_red_first) < 0.8


def test_scenes_without_faces_and_with_hidden_ones_occur(composer):
    faces = [composer.draw().faces for _ in range(80)]
    assert sum(not found for found in faces) > 8
    assert any(len(found) > 1 for found in faces)
    assert any(face.visible < 0.6 for found in faces for face in found)


def test_targets_mark_the_cell_of_the_centre():
    face = SceneFace(np.array((20.0, 28.0, 44.0, 60.0)), np.full((5, 2), 30.0), 1.0)
    targets = encode_faces([face], 96)
    assert np.argwhere(targets.heat.numpy() == 1.0).tolist() == [[5, 3], [5, 4]]
    row, column = divmod(int(targets.heat.argmax()), 12)
    assert targets.box_px[:, row, column].tolist() == [20.0, 28.0, 44.0, 60.0]
    assert targets.weight[row, column] == 1.0
    assert targets.weight.sum() < 8
    assert not targets.ignored.any()


@pytest.mark.parametrize(("side", "visible"), [(6.0, 1.0), (40.0, 0.4)])
def test_tiny_and_hidden_faces_are_ignored_not_negative(side, visible):
    box = np.array((48 - side / 2, 48 - side / 2, 48 + side / 2, 48 + side / 2))
    targets = encode_faces([SceneFace(box, np.full((5, 2), 48.0), visible)], 96)
    assert targets.heat.max() == 0.0
    assert targets.ignored[5:7, 5:7].all()
    assert not targets.ignored[0].any()


def test_the_loss_of_the_truth_is_zero_and_each_error_raises_it():
    face = SceneFace(np.array((20.0, 28.0, 44.0, 60.0)), np.arange(10.0).reshape(5, 2) + 30, 1.0)
    targets = stack_targets([encode_faces([face], 96)])

    def total(output: LocatorOutput) -> float:
        return float(torch.stack(list(locator_losses(output, targets, LocatorLossWeights()).values())).sum())

    logits = torch.where(targets.heat > 0.99, 30.0, -30.0)
    assert total(LocatorOutput(logits, targets.box_px, targets.points_px)) < 1e-6
    for worse in (
        LocatorOutput(-logits, targets.box_px, targets.points_px),
        LocatorOutput(logits, targets.box_px + 3.0, targets.points_px),
        LocatorOutput(logits, targets.box_px, targets.points_px + 3.0),
    ):
        assert total(worse) > 0.05


class PowerCutError(Exception):
    """The training dies without a chance to save."""


def test_an_interrupted_training_equals_a_straight_one(data_root, tmp_path):
    straight = train(_config(data_root, tmp_path / "straight"))

    def die(report: StepReport) -> None:
        if report.step == 2:
            raise PowerCutError

    config = _config(data_root, tmp_path / "broken")
    with pytest.raises(PowerCutError):
        train(config, on_step=die)
    resumed = train(config)
    for name, value in straight.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
    assert (tmp_path / "broken" / "pictures" / "scenes.png").is_file()
    assert set(resumed.metrics) == {"centre", "box", "points"}


def test_a_checkpoint_of_another_network_is_refused(data_root, tmp_path):
    config = _config(data_root, tmp_path)
    train(config)
    other = replace(config, network=replace(config.network, channels=16))
    with pytest.raises(UsageError, match="another network"):
        train(other)


def test_validation_photos_are_not_learned_from(data_root):
    names = [
        record.path.name for record in load_photo_records(data_root, ("drawn",)) if not record.is_validation
    ]
    assert 0 < len(names) < 12
    assert not any(is_validation("drawn", name) for name in names)


def test_environment_maps_become_pictures_that_are_neither_black_nor_white(data_root):
    pictures = load_environment_pictures(data_root / "maps.npz", ("room",))
    assert len(pictures) == 2
    assert all(40 < picture.mean() < 250 and picture.shape == (16, 32, 3) for picture in pictures)


def test_faceless_windows_show_nothing_of_the_face(data_root):
    for record in load_photo_records(data_root, ("drawn",)):
        for window in faceless_windows(record):
            assert (window == (60, 90, 60)).all()


def test_sampling_repeats_the_edge():
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    sampled = sample_edge(picture, np.array([-5.0, 0.5, 9.0]), np.array([0.0, 0.0, 9.0]))
    assert sampled.tolist() == [[0, 1, 2], [2, 3, 4], [9, 10, 11]]


def test_calibration_recovers_a_known_slope_and_offset():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 20_000)
    is_face = rng.random(20_000) < 1 / (1 + np.exp(-(3.0 * logits - 1.5)))
    config = calibrate(LocatorConfig(), logits, is_face)
    assert config.score_slope == pytest.approx(3.0, rel=0.06)
    assert config.score_offset == pytest.approx(-1.5, rel=0.1)


def test_a_folder_of_backgrounds_says_where_its_pictures_come_from(data_root):
    data = _config(data_root, Path("x")).data
    assert any(source.terms == "unstated" for source in sources_of(data))
    stated = DataSource("noise", "CC0", "free")
    (data_root / "plain" / SOURCE_NAME).write_text(json.dumps(asdict(stated)))
    assert stated in sources_of(data)
    assert len(read_pictures(data.background_folders)) == 1  # source.json is no picture


def test_release_trains_calibrates_measures_and_registers(data_root, tmp_path):
    """After a few hundred scenes a higher logit means a likelier face; the record can be loaded and used."""
    loop = LoopConfig(num_steps=80, batch_size=8, learning_rate=1e-2, average_decay=0.999)
    config = _config(data_root, tmp_path / "run", weights_id="drawn-1", loop=loop)
    record = export_weights(train(config), config)
    assert record.metrics["validation_photos"] == 1
    assert record.config["score_slope"] > 0.3
    assert record.config["batch_norm"] is False
    assert record.terms == "unstated"
    assert "photos of the set 'drawn' (not stated)" in record.training_data
    assert "CelebA" not in record.training_data
    locator = NetworkLocator.load("drawn-1", folder=tmp_path / "run" / "weights")
    assert locator.locate(np.full((90, 90, 3), 90, np.uint8)) == []


def test_every_scene_of_a_run_is_as_its_run_file_says(data_root, tmp_path):
    """Without any face in its scenes a run has nothing to say about boxes, and nothing to calibrate on."""
    config = _config(data_root, tmp_path / "run")
    faceless = SceneConfig(kinds=SceneKinds(background=1.0, close_up=0.0, whole_photo=0.0, pasted=0.0))
    config = replace(config, data=replace(config.data, scenes=faceless))
    trained = train(config)
    lines = [json.loads(line) for line in (config.output / METRICS_NAME).read_text().splitlines()]
    assert {line["kind"] for line in lines} == {"training", "validation"}
    assert all(line["box"] == line["points"] == 0.0 for line in lines)
    with pytest.raises(UsageError, match="0 faces"):
        export_weights(trained, config)


def test_calibration_without_any_face_is_refused():
    with pytest.raises(UsageError, match="0 faces and 3 others"):
        calibrate(LocatorConfig(), np.zeros(3), np.zeros(3, dtype=bool))
