"""Metering, white balance, rendering and flaws of the camera of synthetic faces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from facelume.data.synthetic.camera import (
    CameraFlaws,
    Rendering,
    decoded,
    exposure_gain,
    random_flaws,
    rendered,
    take_picture,
)
from facelume.data.synthetic.camera_config import (
    BalanceConfig,
    CameraConfig,
    ExposureConfig,
    RenderingConfig,
)

CLEAN = CameraFlaws(
    blur_px=0.0, detail=1.0, shot_noise=0.0, read_noise=0.0, jpeg_quality=95, rendering=Rendering()
)
WHITE, SKIN = np.ones(3), np.array([0.25, 0.19, 0.15])
EVEN = BalanceConfig(poor_fraction=0.0, tint_sigma=0.0)


def picture_of(image_linear: np.ndarray, flaws: CameraFlaws) -> np.ndarray:
    return decoded(np.frombuffer(take_picture(image_linear, flaws, np.random.default_rng(0)), np.uint8))


def test_a_clean_camera_encodes_srgb():
    picture = picture_of(np.full((32, 32, 3), 0.2140), CLEAN)
    assert picture.dtype == np.uint8
    np.testing.assert_allclose(picture, 127.5, atol=1.5)


def test_light_above_white_is_clipped_each_colour_on_its_own():
    assert picture_of(np.full((16, 16, 3), 7.0), CLEAN).min() == 255
    red = rendered(np.full((2, 2, 3), [3.0, 0.2, 0.2]), Rendering())
    np.testing.assert_allclose(red[0, 0], [1.0, 0.4845, 0.4845], atol=1e-3)


def test_noise_grows_with_its_setting():
    """JPEG smooths colour noise, so only the proportion is exact."""
    deviations = []
    for read_noise in (0.0, 0.01, 0.02):
        flaws = replace(CLEAN, read_noise=read_noise, jpeg_quality=100)
        picture = picture_of(np.full((128, 128, 3), 0.5), flaws) / 255.0
        deviations.append(float(picture.mean(axis=-1).std()))
    assert deviations[0] < 1e-3
    assert deviations[2] == pytest.approx(2 * deviations[1], rel=0.1)


def test_contrast_turns_about_middle_grey_and_a_shoulder_keeps_highlights_apart():
    ramp = np.array([0.05, 0.18, 0.6])[:, None, None].repeat(3, -1)
    plain, steep = rendered(ramp, Rendering()), rendered(ramp, Rendering(contrast=1.3))
    assert steep[0, 0, 0] < plain[0, 0, 0]
    assert steep[1, 0, 0] == pytest.approx(plain[1, 0, 0], abs=1e-6)
    assert steep[2, 0, 0] > plain[2, 0, 0]
    bright = np.array([0.9, 1.3, 2.0])[:, None, None].repeat(3, -1)
    assert rendered(bright, Rendering())[1:].min() > 0.9999
    soft = rendered(bright, Rendering(shoulder=0.5))[:, 0, 0]
    assert np.all(np.diff(soft) > 0)
    assert soft[-1] < 1.0


def test_black_and_white_pictures_have_no_colour_and_toned_ones_one_hue():
    colours = np.random.default_rng(0).uniform(0.05, 0.6, (8, 8, 3))
    grey = rendered(colours, Rendering(grey_mix=(0.3, 0.6, 0.1)))
    assert np.ptp(grey, axis=-1).max() < 1e-9
    assert np.ptp(grey[..., 0]) > 0.1
    toned = rendered(colours, Rendering(grey_mix=(0.3, 0.6, 0.1), toning=(1.0, 0.9, 0.8)))
    np.testing.assert_allclose(toned, grey * [1.0, 0.9, 0.8], atol=1e-9)


def test_as_many_pictures_are_black_and_white_as_asked():
    rng, config = np.random.default_rng(0), CameraConfig(rendering=RenderingConfig(grey_fraction=0.3))
    grey = sum(random_flaws(config, rng).rendering.grey_mix is not None for _ in range(1000))
    assert grey == pytest.approx(300, abs=45)


def gains(config: CameraConfig, face_value: float, behind_value: float, count: int = 200) -> np.ndarray:
    """Log luminance gains of a face that fills a quarter of the picture."""
    image, face = np.full((8, 8, 3), behind_value), np.zeros((8, 8), bool)
    face[:4, :4] = True
    image[face] = face_value
    rng = np.random.default_rng(0)
    return np.log([exposure_gain(image, face, WHITE, SKIN, config, rng)[1] for _ in range(count)])


def test_a_meter_on_the_face_does_not_see_the_background_and_one_on_the_picture_does():
    on_face, on_picture = (
        CameraConfig(exposure=ExposureConfig(face_fraction=share, over_fraction=0.0), balance=EVEN)
        for share in (1.0, 0.0)
    )
    np.testing.assert_allclose(gains(on_face, 0.1, 0.01), gains(on_face, 0.1, 1.0), atol=1e-6)
    difference = gains(on_picture, 0.1, 0.05) - gains(on_picture, 0.1, 0.3)
    assert difference.min() > 0.5


def test_exposure_spreads_as_wide_as_that_of_photos():
    """Over faces of one brightness before backgrounds of any."""
    config = CameraConfig(balance=EVEN)
    found = [gains(config, 0.1, behind, 50) for behind in np.exp(np.linspace(-4.5, 0.0, 12))]
    assert np.concatenate(found).std() > 0.5


def test_a_meter_that_follows_the_skin_keeps_tones_apart():
    image, face, rng = np.full((4, 4, 3), 0.1), np.ones((4, 4), bool), np.random.default_rng(0)
    exposure = ExposureConfig(face_fraction=1.0, face_sigma=0.0, follow_range=(0.5, 0.5), over_fraction=0.0)
    config = CameraConfig(exposure=exposure, balance=EVEN)
    light, dark = (exposure_gain(image, face, WHITE, k * SKIN, config, rng) for k in (1.0, 0.25))
    np.testing.assert_allclose(light / dark, 2.0, rtol=1e-5)


def test_exposure_balances_a_coloured_light_and_not_beyond_its_limit():
    image = np.ones((8, 8, 3)) * np.array([0.8, 0.4, 0.2])
    face, cast = np.ones((8, 8), bool), np.array([2.0, 1.0, 0.5])
    found = [
        exposure_gain(image, face, cast, SKIN, CameraConfig(), np.random.default_rng(seed))
        for seed in range(30)
    ]
    balanced = np.mean([image[0, 0] * gain for gain in found], axis=0)
    assert balanced.max() / balanced.min() < 2.5 < image[0, 0].max() / image[0, 0].min()
    stage = np.array([30.0, 1.0, 0.01])
    limited = exposure_gain(
        image, face, stage, SKIN, CameraConfig(balance=replace(EVEN, limit=0.5)), np.random.default_rng(0)
    )
    np.testing.assert_allclose(np.log(limited / limited[1]), [-0.5, 0.0, 0.5], atol=1e-5)
