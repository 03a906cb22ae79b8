from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facelume.data.augment import (
    AugmentConfig,
    CropBatch,
    augment_appearance,
    augment_exposure,
    crop_batch,
    random_placement,
)
from facelume.data.crops import build_crop_cache, crop_fingerprint, open_crop_cache
from facelume.data.photos import load_photo_records, mirror_permutation
from facelume.errors import UsageError


def symmetric_points(num_pairs: int = 234, seed: int = 0) -> np.ndarray:
    """478 points of a mirror-symmetric face in a 100 px square, right half first, irises last."""
    rng = np.random.default_rng(seed)
    right = np.stack(
        [rng.uniform(10, 48, num_pairs), rng.uniform(10, 90, num_pairs), rng.uniform(0, 9, num_pairs)], 1
    )
    left = right * [-1, 1, 1] + [100, 0, 0]
    irises = np.concatenate([right[:5] * [1, 0.5, 1], left[:5] * [1, 0.5, 1]])
    return np.concatenate([right, left, irises]).astype(np.float32)


@pytest.fixture
def photo_root(tmp_path: Path) -> Path:
    """One set of two photos with a red dot at landmark 7, one with a mask."""
    folder = tmp_path / "faces" / "celebahq"
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    points = symmetric_points()
    for name, offset in (("a.jpg", 0), ("b.jpg", 30)):
        picture = np.full((160, 150, 3), 90, np.uint8)
        x, y = (points[7, :2] + offset).astype(int)
        picture[y - 3 : y + 3, x - 3 : x + 3] = (255, 0, 0)
        Image.fromarray(picture).save(folder / "images" / name, quality=95)
    mask = np.zeros((160, 150), np.uint8)
    mask[40:90] = 1
    mask[90:100] = 13
    Image.fromarray(mask, "P").save(folder / "masks" / "a.png")
    stacked = np.stack([points, points + np.array([30, 30, 0])]) * 16
    np.savez(folder / "landmarks.npz", names=np.array(["a.jpg", "b.jpg"]), points=stacked.astype(np.int16))
    return tmp_path / "faces"


def test_mirror_permutation_is_derived_from_shapes():
    points = np.stack([symmetric_points(seed=1) * scale for scale in (1.0, 2.0)]).astype(np.float64)
    points += np.random.default_rng(0).normal(0, 0.05, points.shape)
    permutation = mirror_permutation(points)
    np.testing.assert_array_equal(permutation[:234], np.arange(234, 468))
    np.testing.assert_array_equal(permutation[468:], [473, 474, 475, 476, 477, 468, 469, 470, 471, 472])


def test_missing_landmarks_are_named(tmp_path: Path):
    with pytest.raises(UsageError, match=r"landmarks\.npz"):
        load_photo_records(tmp_path, ("celebahq",))


def test_cache_shows_the_canonical_crop_and_keeps_landmarks_on_the_picture(photo_root: Path, tmp_path: Path):
    records = load_photo_records(photo_root, ("celebahq",))
    build_crop_cache(records, tmp_path / "cache", side_px=320)
    cache = open_crop_cache(tmp_path / "cache", crop_fingerprint(records, side_px=320))
    mesh = cache.landmarks_px[:, :468, :2]
    extent = mesh.max(axis=1) - mesh.min(axis=1)
    np.testing.assert_allclose(np.sqrt(extent.prod(axis=-1)), 150, atol=1e-3)
    np.testing.assert_allclose((mesh.max(axis=1) + mesh.min(axis=1)) / 2, 112, atol=1e-3)
    assert cache.has_mask.tolist() == [True, False]
    for index in range(2):
        x, y = (cache.landmarks_px[index, 7, :2] + (320 - 224) / 2).astype(int)
        assert cache.pictures[index, y, x, 0] > 180
        assert cache.pictures[index, y, x, 2] < 80


def test_a_broken_off_cache_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="no crop cache"):
        open_crop_cache(tmp_path, {})


def cropped(photo_root: Path, tmp_path: Path, config: AugmentConfig, seed: int) -> CropBatch:
    records = load_photo_records(photo_root, ("celebahq",))
    build_crop_cache(records, tmp_path / "cache", side_px=320)
    cache = open_crop_cache(tmp_path / "cache", crop_fingerprint(records, side_px=320))
    index = torch.tensor([0, 1] * 8)
    points = symmetric_points()[None].repeat(2, axis=0).astype(np.float64)
    return crop_batch(
        torch.from_numpy(np.array(cache.pictures))[index],
        torch.from_numpy(np.array(cache.masks))[index],
        torch.from_numpy(cache.landmarks_px[..., :2].copy())[index],
        random_placement(16, config, torch.Generator().manual_seed(seed)),
        margin_px=cache.margin_px,
        side_px=224,
        mirror_permutation=torch.from_numpy(mirror_permutation(points)),
    )


def test_landmarks_follow_every_placement_and_mirror(photo_root: Path, tmp_path: Path):
    batch = cropped(photo_root, tmp_path, AugmentConfig(shift=0.03, scale_high=1.1), seed=2)
    assert 0 < batch.is_mirrored.sum() < 16
    for index in range(16):
        # The dot is landmark 7 of the photo; in a mirrored one its partner's number takes the place.
        number = 7 + 234 if batch.is_mirrored[index] > 0.5 else 7
        x, y = batch.landmarks_px[index, number].int().tolist()
        colour = batch.image_srgb[index, :, y, x]
        assert colour[0] > 0.6
        assert colour[2] < 0.4


def test_appearance_changes_leave_places_alone_and_stay_in_range(photo_root: Path, tmp_path: Path):
    batch = cropped(photo_root, tmp_path, AugmentConfig(), seed=3)
    changed = augment_appearance(batch, AugmentConfig(), torch.Generator().manual_seed(0))
    assert torch.equal(changed.landmarks_px, batch.landmarks_px)
    assert changed.image_srgb.min() >= 0
    assert changed.image_srgb.max() <= 1
    assert (changed.image_srgb - batch.image_srgb).abs().mean() > 0.02
    assert (changed.parsing <= batch.parsing + 1e-6).all()


def test_exposure_gain_is_a_gain_of_linear_light(photo_root: Path, tmp_path: Path):
    config = AugmentConfig(occlude_fraction=0.0, degrade_fraction=0.0, noise=0.0)
    batch = cropped(photo_root, tmp_path, config, seed=4)
    changed, gain = augment_exposure(batch, config, torch.Generator().manual_seed(0))
    linear = ((batch.image_srgb[:, :, 5, 5] + 0.055) / 1.055) ** 2.4
    found = ((changed.image_srgb[:, :, 5, 5] + 0.055) / 1.055) ** 2.4
    torch.testing.assert_close(found / linear, gain, atol=0.01, rtol=0.01)
