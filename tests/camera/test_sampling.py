import time

import numpy as np
import pytest

from facelume.camera import CropTransform, sample_crop
from facelume.errors import UsageError


def crop_at(scale=1.0, roll_rad=0.0, centre_px=(112.0, 112.0)):
    cosine, sine = scale * np.cos(roll_rad), scale * np.sin(roll_rad)
    linear = np.array([[cosine, -sine], [sine, cosine]])
    shift = np.asarray(centre_px) - linear @ [112.0, 112.0]
    return CropTransform(np.concatenate((linear, shift[:, None]), axis=1))


def ramp(height, width, dtype=np.float32):
    """A photo whose value at pixel position (x, y) is known: red = x / width, green = y / height."""
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    photo = np.stack((x, y, np.full_like(x, 0.25)), axis=-1)
    return (photo * 255).round().astype(np.uint8) if dtype == np.uint8 else photo.astype(dtype)


def test_the_identity_crop_copies_the_photo():
    photo = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    crop = sample_crop(photo, crop_at())
    assert crop.dtype == np.float32
    np.testing.assert_allclose(crop, photo / np.float32(255), atol=1e-4)


@pytest.mark.parametrize("scale", [0.3, 0.99, 1.3, 2.6, 7.7])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_every_crop_pixel_lies_where_the_transform_says(scale, dtype):
    size = int(224 * scale * 1.5)
    photo = ramp(size, size + 10, dtype)
    transform = crop_at(scale, roll_rad=0.4, centre_px=(size / 2 + 3.3, size / 2 - 1.7))
    crop = sample_crop(photo, transform)
    x, y = np.meshgrid(np.arange(224) + 0.5, np.arange(224) + 0.5)
    expected = transform.to_photo(np.stack((x, y), axis=-1)) / [size + 10, size]
    inside = ((expected > 0.02) & (expected < 0.98)).all(axis=-1)
    assert inside.mean() > 0.9
    # 8-bit ramps are known to half a grey level only.
    tolerance = 0.0025 if dtype == np.uint8 else 2e-5
    np.testing.assert_allclose(crop[inside][:, :2], expected[inside], atol=tolerance)
    np.testing.assert_allclose(crop[..., 2], 0.25, atol=tolerance)


def test_outside_the_photo_its_edge_goes_on():
    photo = np.zeros((60, 80, 3), dtype=np.uint8)
    photo[:, -1], photo[-1, :, 1] = (255, 0, 0), 255
    crop = sample_crop(photo, crop_at(1.0, centre_px=(80.0, 30.0)))
    np.testing.assert_allclose(crop[82:141, 112:, 0], 1.0, atol=1e-5)
    np.testing.assert_allclose(crop[142:, :111, 1], 1.0, atol=1e-5)


def test_a_crop_beside_the_photo_is_its_edge():
    crop = sample_crop(np.full((50, 50, 3), 0.5, dtype=np.float32), crop_at(7.0, centre_px=(5000.0, -4000.0)))
    np.testing.assert_allclose(crop, 0.5, atol=1e-6)


@pytest.mark.parametrize("scale", [2.0, 3.7, 11.3])
def test_a_fine_checkerboard_becomes_grey(scale):
    size = int(260 * scale)
    board = ((np.indices((size, size)).sum(axis=0) % 2) * 255).astype(np.uint8)
    crop = sample_crop(np.repeat(board[..., None], 3, axis=-1), crop_at(scale, 0.2, (size / 2, size / 2)))
    # A single bilinear read would give a pattern of full contrast (standard deviation up to 0.5).
    assert crop.std() < 0.02
    assert crop.mean() == pytest.approx(0.5, abs=0.005)


def test_a_whole_number_scale_is_close_to_the_area_mean():
    photo = np.random.default_rng(1).uniform(0, 1, (896, 896, 3)).astype(np.float32)
    area = photo.reshape(224, 4, 224, 4, 3).mean(axis=(1, 3))
    crop = sample_crop(photo, crop_at(4.0, centre_px=(448.0, 448.0)))
    correlation = np.corrcoef(crop.ravel(), area.ravel())[0, 1]
    assert correlation > 0.95


def test_another_size_shows_the_same_part():
    photo = ramp(500, 500)
    transform = crop_at(1.7, 0.1, (250.0, 250.0))
    large = sample_crop(photo, transform, size_px=448)
    small = sample_crop(photo, transform)
    np.testing.assert_allclose(large.reshape(224, 2, 224, 2, 3).mean(axis=(1, 3)), small, atol=1e-4)


def test_strips_leave_no_trace(monkeypatch):
    photo = np.random.default_rng(2).integers(0, 256, (1500, 1100, 3), dtype=np.uint8)
    transform = crop_at(6.3, 0.3, (550.0, 750.0))
    whole = sample_crop(photo, transform)
    monkeypatch.setattr("facelume.camera.sampling._STRIP_PIXELS", 10_000)
    np.testing.assert_array_equal(sample_crop(photo, transform), whole)


def test_a_12_megapixel_photo_takes_few_milliseconds():
    photo = np.random.default_rng(3).integers(0, 256, (3000, 4000, 3), dtype=np.uint8)
    transform = crop_at(12.0, centre_px=(2000.0, 1500.0))
    durations = []
    for _ in range(4):
        start = time.perf_counter()
        sample_crop(photo, transform)
        durations.append(time.perf_counter() - start)
    # Measured 28 ms; the bound leaves room for a busy machine.
    assert min(durations) < 0.2


@pytest.mark.parametrize("photo", [np.zeros((0, 5, 3), np.uint8), np.zeros((5, 5, 3), np.int32)])
def test_what_is_no_photo_is_refused(photo):
    with pytest.raises(UsageError, match="uint8 or float"):
        sample_crop(photo, crop_at())
