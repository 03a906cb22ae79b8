import math

import numpy as np
import OpenEXR
import pytest
import torch

from facelume.errors import UnreadableInputError
from facelume.illumination import (
    directions_of_environment_map,
    environment_map_from_sh,
    load_environment_map,
    sh_basis,
    sh_from_environment_map,
    solid_angles,
)


def test_axes_of_a_map(device):
    directions = directions_of_environment_map(64, 128, device=device)
    near = 2 * math.pi / 64
    torch.testing.assert_close(
        directions[0].mean(0), torch.tensor([0.0, 1, 0], device=device), atol=near, rtol=0
    )  # row 0: up
    torch.testing.assert_close(
        directions[32, 64], torch.tensor([0.0, 0, 1], device=device), atol=near, rtol=0
    )  # centre: +Z
    torch.testing.assert_close(
        directions[32, 32], torch.tensor([1.0, 0, 0], device=device), atol=near, rtol=0
    )  # left: +X
    torch.testing.assert_close(
        directions[32, 96], torch.tensor([-1.0, 0, 0], device=device), atol=near, rtol=0
    )  # right: -X
    torch.testing.assert_close(
        directions[32, 0], torch.tensor([0.0, 0, -1], device=device), atol=near, rtol=0
    )  # borders: -Z


def test_a_map_is_seen_from_the_inside_without_mirroring(device):
    # For a viewer at the centre who looks at the map's centre, picture right is forward x up.
    directions = directions_of_environment_map(64, 128, dtype=torch.float64, device=device)
    to_the_right = directions[31, 66] - directions[31, 64]
    forward, up = (
        torch.tensor([0.0, 0, 1], device=device).double(),
        torch.tensor([0.0, 1, 0], device=device).double(),
    )
    assert to_the_right @ torch.linalg.cross(forward, up) > 0


def test_directions_are_unit_and_symmetric(assert_close, device):
    directions = directions_of_environment_map(16, 32, dtype=torch.float64, device=device)
    assert_close(directions.norm(dim=-1), torch.ones(16, 32, dtype=torch.float64, device=device))
    mirrored = directions.flip(1) * torch.tensor([-1.0, 1, 1], dtype=torch.float64, device=device)
    assert_close(mirrored, directions)


@pytest.mark.parametrize(("height", "width"), [(1, 2), (5, 9), (128, 256)])
def test_solid_angles_sum_to_the_sphere(height, width):
    total = solid_angles(height, width, dtype=torch.float64).sum() * width
    assert total.item() == pytest.approx(4 * math.pi, rel=1e-12)


def test_a_constant_map_is_the_constant_term(device):
    light = sh_from_environment_map(torch.full((64, 128, 3), 0.7, device=device))
    assert light[0, 0].item() == pytest.approx(0.7 * math.sqrt(4 * math.pi), rel=1e-6)
    assert light[1:].abs().max() < 1e-3


def test_a_band_limited_map_comes_back(device):
    light = torch.randn(9, 3, generator=torch.Generator().manual_seed(0)).to(device)
    found = sh_from_environment_map(environment_map_from_sh(light, 128, 256))
    torch.testing.assert_close(found, light, atol=2e-3, rtol=0)


def test_a_lamp_lights_from_where_it_is_in_the_map(assert_close, device):
    radiance = torch.zeros(64, 128, 3, device=device)
    radiance[20, 32] = 100.0
    direction = directions_of_environment_map(64, 128, device=device)[20, 32]
    expected = sh_basis(direction) * 100.0 * solid_angles(64, 128, device=device)[20]
    assert_close(sh_from_environment_map(radiance)[:, 1], expected)


def test_a_map_file_gives_radiance_that_is_never_negative(tmp_path):
    path = tmp_path / "map.exr"
    radiance = np.random.default_rng(0).uniform(-0.1, 3, (8, 16, 3)).astype(np.float32)
    OpenEXR.File({"type": OpenEXR.scanlineimage}, {"RGB": radiance}).write(str(path))
    np.testing.assert_array_equal(load_environment_map(path).numpy(force=True), np.maximum(radiance, 0))


def test_a_map_file_with_values_that_are_not_finite_is_refused(tmp_path):
    path = tmp_path / "map.exr"
    radiance = np.ones((8, 16, 3), np.float32)
    radiance[2, 3] = np.inf
    OpenEXR.File({"type": OpenEXR.scanlineimage}, {"RGB": radiance}).write(str(path))
    with pytest.raises(UnreadableInputError, match="not finite"):
        load_environment_map(path)


def test_a_map_and_its_coefficients_stay_on_their_device():
    # "meta" is a second device on any machine: an operation on tensors of two devices raises.
    light = sh_from_environment_map(torch.zeros(8, 16, 3, device="meta"))
    assert light.device.type == environment_map_from_sh(light).device.type == "meta"
