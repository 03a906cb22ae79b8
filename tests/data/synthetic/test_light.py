import math

import numpy as np
import pytest
import torch

from facelume.data.synthetic.config import LightConfig
from facelume.data.synthetic.light import (
    SceneLight,
    light_from_environment,
    random_light,
    random_rotation,
)
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
