import math

import numpy as np
import pytest
import torch

from facelume.data.synthetic.lamps import random_lamps, random_studio_light
from facelume.data.synthetic.light import (
    SceneLight,
    Surroundings,
    light_from_environment,
    random_rotation,
)
from facelume.data.synthetic.light_config import FillConfig, LightConfig, LightKinds, StudioConfig
from facelume.data.synthetic.random_light import random_light
from facelume.illumination import sh_from_environment_map


def test_lights_of_a_map_add_up_to_the_map():
    rng = np.random.default_rng(0)
    radiance = rng.uniform(0.1, 1.0, size=(64, 128, 3)).astype(np.float32)
    radiance[20:24, 40:44] += 200.0
    light = light_from_environment(radiance, np.eye(3), 0.001)
    expected = sh_from_environment_map(torch.from_numpy(radiance))
    torch.testing.assert_close(light.total_sh(), expected, atol=0.02 * float(expected.abs().max()), rtol=0)


def test_a_sun_becomes_the_first_light_with_its_own_softness():
    radiance = np.full((64, 128, 3), 0.1, dtype=np.float32)
    radiance[16, 32] = 1e5  # 45 degrees up, a quarter left of the centre column (+Z): towards +X
    light = light_from_environment(radiance, np.eye(3), 0.0007)
    expected = torch.tensor([math.cos(math.pi / 4), math.cos(math.pi / 4), 0.0])
    torch.testing.assert_close(light.directions[0], expected, atol=0.03, rtol=0)
    assert float(light.softness_m[0]) == pytest.approx(0.0007)


def test_rotations_are_orthogonal_and_keep_up_roughly_up():
    rng = np.random.default_rng(1)
    for _ in range(20):
        rotation = random_rotation(LightConfig().tilt_sigma_rad, rng)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert rotation[1, 1] > 0.6


def test_one_light_from_the_front_is_the_delta_projection():
    light = SceneLight(torch.tensor([[0.0, 0.0, 1.0]]), torch.ones(1, 3), torch.ones(1), torch.zeros(9, 3))
    sh = light.total_sh()
    assert float(sh[0, 0]) == pytest.approx(0.5 / math.sqrt(math.pi))
    assert float(sh[2, 0]) == pytest.approx(math.sqrt(3 / (4 * math.pi)))
    assert float(sh[1, 0]) == float(sh[3, 0]) == 0.0


def test_lights_repeat_with_the_seed():
    maps = [np.random.default_rng(0).uniform(0, 1, size=(16, 32, 3)).astype(np.float32)]
    first, second = (random_light(maps, LightConfig(), np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(first.total_sh(), second.total_sh())


def only(kind: str) -> LightConfig:
    none = dict.fromkeys(
        ("environment", "studio", "sun", "lamp", "window", "flash", "stage", "backlight"), 0.0
    )
    return LightConfig(kinds=LightKinds(**{**none, kind: 1.0}))


def drawn(kind: str, count: int = 60) -> list[SceneLight]:
    rng = np.random.default_rng(0)
    return [random_light([], only(kind), rng) for _ in range(count)]


def test_one_lamp_comes_from_every_side():
    directions = torch.cat([light.directions for light in drawn("lamp", 200)])
    assert float(directions[:, 1].min()) < -0.6
    assert float(directions[:, 1].max()) > 0.8
    for axis in (0, 2):
        assert float(directions[:, axis].min()) < -0.8
        assert float(directions[:, axis].max()) > 0.8


def test_kinds_of_light_stand_where_their_names_say():
    assert min(float(light.directions[0, 2]) for light in drawn("flash")) > 0.95
    assert max(float(light.directions[:, 2].max()) for light in drawn("backlight")) < 0.0
    assert {len(light.directions) for light in drawn("window")} == {7}
    window = drawn("window")[0]
    cosines = window.directions @ window.directions[0]
    assert 0.7 < float(cosines.min()) < 0.99
    white, stage = (
        [float((light.radiant_flux[0].max() / light.radiant_flux[0].min()).log()) for light in drawn(kind)]
        for kind in ("flash", "stage")
    )
    assert np.median(stage) > 3 * np.median(white)


def test_a_window_is_as_bright_as_one_lamp_of_its_strength():
    config = LightConfig().window
    flux = [
        float(random_lamps(config, FillConfig(), np.random.default_rng(seed)).radiant_flux[:, 1].sum())
        for seed in range(40)
    ]
    assert 0.6 * math.pi < min(flux) < max(flux) < 1.5 * math.pi


def test_fill_leans_up_and_to_the_viewer():
    rng = np.random.default_rng(0)
    fills = [random_studio_light(StudioConfig(), FillConfig(), rng).ambient_sh for _ in range(400)]
    up, ahead, right = torch.stack([fill[1:4, 1] / fill[0, 1] for fill in fills]).mean(0).tolist()
    # The standard error of each mean is 0.013.
    assert up == pytest.approx(0.2, abs=0.04)
    assert ahead == pytest.approx(0.1, abs=0.04)
    assert right == pytest.approx(0.0, abs=0.04)


def test_without_maps_the_studio_stands_in_for_them():
    assert all(light.surroundings is None for light in drawn("environment", 5))
    lit = random_light([np.ones((16, 32, 3), np.float32)], only("environment"), np.random.default_rng(0))
    assert lit.surroundings is not None


def test_what_is_seen_of_the_surroundings_is_where_its_light_comes_from():
    radiance = np.full((64, 128, 3), 0.1, dtype=np.float32)
    radiance[10:14, 40:44] = 1e4
    rotation = random_rotation(0.3, np.random.default_rng(3))
    light = light_from_environment(radiance, rotation, 0.001)
    around = np.random.default_rng(0).normal(size=(40, 50, 3))
    around /= np.linalg.norm(around, axis=-1, keepdims=True)
    around[0, 0] = light.directions[0].numpy()
    seen = light.surroundings.seen_along(around)[..., 1]
    assert seen[0, 0] == pytest.approx(1e4, rel=0.3)
    is_near = around @ light.directions[0].numpy() > 0.98
    assert seen[~is_near].max() < 1.0


def test_surroundings_meet_at_the_back():
    ramp = np.broadcast_to(np.cos(np.linspace(0, 2 * np.pi, 128, endpoint=False)), (64, 128))
    view = Surroundings(np.repeat(ramp[..., None], 3, -1).astype(np.float32), np.eye(3))
    left, right = (np.array([[[side, 0.0, -1.0]]]) / math.hypot(side, 1.0) for side in (-1e-3, 1e-3))
    np.testing.assert_allclose(view.seen_along(left), view.seen_along(right), atol=1e-3)


def test_open_irradiance_is_that_of_the_lamps_and_the_fill():
    light = SceneLight(torch.tensor([[0.0, 0.0, 1.0]]), torch.ones(1, 3), torch.ones(1), torch.zeros(9, 3))
    normals = torch.tensor([[0.0, 0.0, 1.0], [0.0, math.sin(1.0), math.cos(1.0)], [0.0, 0.0, -1.0]])
    torch.testing.assert_close(light.open_irradiance(normals)[:, 0], torch.tensor([1.0, math.cos(1.0), 0.0]))
    np.testing.assert_allclose(light.shading_of((0.0, 0.0, 2.0)), 1 / math.pi, rtol=1e-5)
