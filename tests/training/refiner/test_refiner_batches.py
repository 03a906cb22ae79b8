import numpy as np
import pytest
import torch

from facelume.errors import UsageError
from facelume.illumination import irradiance_image
from facelume.training.refiner.batches import FaceDraw, PreparedFaces, to_batch
from facelume.training.refiner.config import FaceAugmentConfig


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
    faces.save(tmp_path / "a.npz", {"map_size": 32})
    loaded = PreparedFaces.load(tmp_path / "a.npz", {"map_size": 32})
    np.testing.assert_array_equal(loaded.texture, faces.texture)
    assert len(loaded) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_a_shard_made_from_something_else_is_refused_with_the_difference(tmp_path):
    random_faces(1).save(tmp_path / "a.npz", {"map_size": 32, "seed": [0, 1]})
    with pytest.raises(UsageError, match=r"map_size 32, now 64\).*delete them"):
        PreparedFaces.load(tmp_path / "a.npz", {"map_size": 64, "seed": (0, 1)})


def test_a_damaged_shard_is_refused(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(UsageError, match="damaged"):
        PreparedFaces.load(tmp_path / "a.npz", {})


def test_mirrored_maps_shade_like_the_mirrored_face():
    faces = random_faces(8)
    plain = to_batch([(faces, row) for row in range(8)])
    augmented = to_batch([(faces, row) for row in range(8)], FaceAugmentConfig(), np.random.default_rng(0))
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
    augmented = to_batch([(faces, row) for row in range(4)], FaceAugmentConfig(), np.random.default_rng(3))
    before = plain.maps.texture.mean(dim=(-1, -2)) / plain.maps.coarse_light[:, 0]
    after = augmented.maps.texture.mean(dim=(-1, -2)) / augmented.maps.coarse_light[:, 0]
    torch.testing.assert_close(after, before, rtol=0.02, atol=0)


def test_batches_hold_the_asked_share_of_synthetic_faces():
    shards = [random_faces(5), random_faces(50, has_truth=False)]
    faces, rng = FaceDraw(shards, 0.7), np.random.default_rng(0)
    shares = [sum(bool(s.has_truth[row]) for s, row in faces.draw(10, rng)) for _ in range(100)]
    assert np.mean(shares) == pytest.approx(7.0, abs=0.5)


def test_faces_of_one_kind_are_drawn_whatever_the_share():
    faces = FaceDraw([random_faces(5, has_truth=False)], 0.7)
    assert len(faces) == 5
    assert len(faces.draw(8, np.random.default_rng(0))) == 8
