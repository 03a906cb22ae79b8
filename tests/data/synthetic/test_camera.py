import numpy as np
import pytest

from facelume.data.synthetic.camera import CameraFlaws, exposure_gain, take_picture
from facelume.data.synthetic.config import CameraConfig

CLEAN = CameraFlaws(blur_px=0.0, detail=1.0, shot_noise=0.0, read_noise=0.0, gamma=1.0, jpeg_quality=95)


def test_a_clean_camera_encodes_srgb():
    picture = take_picture(np.full((32, 32, 3), 0.2140), CLEAN, np.random.default_rng(0))
    assert picture.dtype == np.uint8
    np.testing.assert_allclose(picture, 127.5, atol=1.5)


def test_light_above_white_is_clipped():
    assert take_picture(np.full((16, 16, 3), 7.0), CLEAN, np.random.default_rng(0)).min() == 255


def test_noise_grows_with_its_setting():
    """JPEG smooths colour noise, so only the proportion is exact."""
    deviations = []
    for read_noise in (0.0, 0.01, 0.02):
        flaws = CameraFlaws(0.0, 1.0, shot_noise=0.0, read_noise=read_noise, gamma=1.0, jpeg_quality=100)
        picture = take_picture(np.full((128, 128, 3), 0.5), flaws, np.random.default_rng(0)) / 255.0
        deviations.append(float(picture.mean(axis=-1).std()))
    assert deviations[0] < 1e-3
    assert deviations[2] == pytest.approx(2 * deviations[1], rel=0.1)


def test_exposure_balances_a_coloured_light():
    image = np.ones((8, 8, 3)) * np.array([0.8, 0.4, 0.2])
    gains = [
        exposure_gain(
            image,
            np.ones((8, 8), bool),
            np.array([2.0, 1.0, 0.5]),
            CameraConfig(),
            np.random.default_rng(seed),
        )
        for seed in range(30)
    ]
    balanced = np.mean([image[0, 0] * gain for gain in gains], axis=0)
    assert balanced.max() / balanced.min() < 2.0 < image[0, 0].max() / image[0, 0].min()
