import json
from pathlib import Path

import numpy as np
import pytest
import torch

import facelume.training
from facelume.errors import UsageError
from facelume.illumination import irradiance_image
from facelume.training.refiner.batches import PreparedFaces, batches, load_shards, to_batch
from facelume.training.refiner.config import RefinerTrainingConfig, read_config

CONFIGS = Path(facelume.training.__file__).parent / "configs"


def random_faces(count: int, size: int = 32, *, has_truth: bool = True, seed: int = 0) -> PreparedFaces:
    """Grey faces under a side light, prepared as if by the real preparation."""
    rng = np.random.default_rng(seed)

    def colours() -> np.ndarray:
        return rng.integers(90, 160, size=(count, 3, size, size)).astype(np.uint8)

    normals = rng.normal(size=(count, 3, size, size))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    light = np.zeros((count, 9, 3), dtype=np.float32)
    light[:, 0], light[:, 3] = 3.0, 0.8
    return PreparedFaces(
        texture=colours(),
        visibility=np.full((count, size, size), 255, np.uint8),
        normals=(normals * 127).round().astype(np.int8),
        prior=colours(),
        truth=colours() * np.uint8(has_truth),
        has_truth=np.full(count, has_truth),
        coarse_light=light,
        image=np.zeros((count, 224, 224, 3), np.uint8),
        face_mask=np.full((count, 224, 224), 255, np.uint8),
        identity=np.zeros((count, 80), np.float32),
        expression=np.zeros((count, 52), np.float32),
        pose=np.zeros((count, 6), np.float32),
    )


def test_shards_come_back_as_they_were_saved(tmp_path):
    faces = random_faces(3)
    faces.save(tmp_path / "a.npz")
    (loaded,) = load_shards(tmp_path).values()
    np.testing.assert_array_equal(loaded.texture, faces.texture)
    assert len(loaded) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_new_shards_are_found_and_known_ones_are_kept(tmp_path):
    random_faces(1).save(tmp_path / "a.npz")
    first = load_shards(tmp_path)
    random_faces(2).save(tmp_path / "b.npz")
    second = load_shards(tmp_path, first)
    assert sorted(second) == ["a.npz", "b.npz"]
    assert second["a.npz"] is first["a.npz"]


def test_an_empty_folder_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no prepared faces"):
        load_shards(tmp_path)


def test_mirrored_maps_shade_like_the_mirrored_face():
    faces = random_faces(8)
    plain = to_batch([(faces, row) for row in range(8)])
    augmented = to_batch([(faces, row) for row in range(8)], np.random.default_rng(0))
    shading = irradiance_image(plain.maps.coarse_light, plain.maps.normals_light)
    new_shading = irradiance_image(augmented.maps.coarse_light, augmented.maps.normals_light)
    num_mirrored = 0
    for row in range(8):
        is_mirrored = torch.equal(augmented.truth[row], plain.truth[row].flip(-1))
        expected = shading[row].flip(-1) if is_mirrored else shading[row]
        ratio = new_shading[row] / expected
        gain = ratio.mean(dim=(-1, -2), keepdim=True)
        torch.testing.assert_close(ratio, gain.expand_as(ratio), atol=2e-3, rtol=2e-3)
        num_mirrored += is_mirrored
    assert 0 < num_mirrored < 8


def test_gain_keeps_texture_over_light():
    faces = random_faces(4)
    plain = to_batch([(faces, row) for row in range(4)])
    augmented = to_batch([(faces, row) for row in range(4)], np.random.default_rng(3))
    before = plain.maps.texture.mean(dim=(-1, -2)) / plain.maps.coarse_light[:, 0]
    after = augmented.maps.texture.mean(dim=(-1, -2)) / augmented.maps.coarse_light[:, 0]
    torch.testing.assert_close(after, before, rtol=0.02, atol=0)


def test_batches_hold_the_asked_share_of_synthetic_faces():
    shards = [random_faces(5), random_faces(50, has_truth=False)]
    drawn = batches(shards, 10, np.random.default_rng(0), 0.7)
    shares = [sum(bool(s.has_truth[row]) for s, row in next(drawn)) for _ in range(100)]
    assert np.mean(shares) == pytest.approx(7.0, abs=0.5)


@pytest.mark.parametrize("name", ["refiner_cpu.json", "refiner_clean.json", "refiner_paper.json"])
def test_shipped_configurations_are_valid(name):
    config = read_config(CONFIGS / name)
    assert config.network.map_size % 16 == 0


def test_clean_configuration_uses_no_research_only_data():
    data = read_config(CONFIGS / "refiner_clean.json").data
    assert data.photo_sets == ("london",)
    assert data.prior_weights is None


def test_paper_configuration_is_the_paper():
    config = read_config(CONFIGS / "refiner_paper.json")
    assert config.network.width == 64
    assert config.network.map_size == 256
    assert config.network.head == "absolute"
    assert (config.optimiser.batch_size, config.optimiser.num_epochs) == (16, 10)
    weights = config.losses
    assert (weights.symmetry, weights.albedo_smoothness, weights.image) == (5.0, 5.0, 5.0)
    assert (weights.cross_perceptual, weights.adversarial) == (0.5, 0.001)
    assert weights.albedo_truth == weights.confidence == 0.0


def test_unknown_keys_are_refused(tmp_path):
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"data": {"prepared": "x"}, "output": "y", "losses": {"imgae": 1.0}}))
    with pytest.raises(UsageError, match="imgae"):
        read_config(path)


def test_contradictions_are_refused(tmp_path):
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"data": {"prepared": "x"}, "output": "y"}))
    with pytest.raises(UsageError, match="cross_perceptual"):
        read_config(path)


def test_defaults_need_only_folders():
    config = RefinerTrainingConfig(data=read_config(CONFIGS / "refiner_cpu.json").data, output=Path("x"))
    assert config.space == "crop"
