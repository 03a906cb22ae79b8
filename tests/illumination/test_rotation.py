import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facelume.geometry import rotation_from_rotvec
from facelume.illumination import (
    irradiance,
    mirror_sh,
    roll_rotation,
    rotate_sh,
    sh_basis,
    sh_rotation_matrix,
    yaw_rotation,
)

component = st.floats(-3, 3)
rotations = st.tuples(component, component, component).map(
    lambda v: rotation_from_rotvec(torch.tensor(v, dtype=torch.float64))
)


def light(seed=0, *, device):
    return torch.randn(9, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(device)


def directions(num=30, *, device):
    generator = torch.Generator().manual_seed(4)
    return torch.nn.functional.normalize(
        torch.randn(num, 3, generator=generator, dtype=torch.float64).to(device), dim=-1
    )


@settings(max_examples=40, deadline=None)
@given(rotations)
def test_a_rotated_light_at_a_rotated_direction_is_the_light(assert_close, device, rotation):
    rotation = rotation.to(device)
    turned = rotate_sh(light(device=device), rotation)
    assert_close(
        sh_basis(directions(device=device) @ rotation.T) @ turned,
        sh_basis(directions(device=device)) @ light(device=device),
    )
    assert_close(
        irradiance(turned[None], directions(device=device) @ rotation.T),
        irradiance(light(device=device)[None], directions(device=device)),
    )


@settings(max_examples=40, deadline=None)
@given(rotations, rotations)
def test_rotations_compose_and_the_matrix_is_orthogonal(assert_close, device, first, second):
    first, second = first.to(device), second.to(device)
    matrix = sh_rotation_matrix(second @ first)
    assert_close(matrix, sh_rotation_matrix(second) @ sh_rotation_matrix(first))
    assert_close(matrix @ matrix.T, torch.eye(9, dtype=torch.float64, device=device))


def test_bands_do_not_mix(device):
    matrix = sh_rotation_matrix(
        rotation_from_rotvec(torch.tensor([0.3, -1.1, 0.4], dtype=torch.float64, device=device))
    )
    band = torch.tensor([0, 1, 1, 1, 2, 2, 2, 2, 2], device=device)
    assert matrix[band[:, None] != band[None, :]].abs().max() < 1e-14


def test_positive_yaw_moves_a_light_from_the_viewer_to_picture_right(assert_close, device):
    assert_close(
        yaw_rotation(math.pi / 2).to(device) @ torch.tensor([0.0, 0, 1], device=device),
        torch.tensor([1.0, 0, 0], device=device),
    )
    front = sh_basis(torch.tensor([0.0, 0.0, 1.0], device=device))[:, None].expand(9, 3)
    right = sh_basis(torch.tensor([1.0, 0.0, 0.0], device=device))[:, None].expand(9, 3)
    torch.testing.assert_close(
        rotate_sh(front, yaw_rotation(math.pi / 2).to(device)), right, atol=1e-6, rtol=0
    )


def test_the_mirrored_light_comes_from_the_mirrored_direction_and_back(assert_close, device):
    flip = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64, device=device)
    mirrored = mirror_sh(light(device=device))
    assert_close(
        sh_basis(directions(device=device) * flip) @ mirrored,
        sh_basis(directions(device=device)) @ light(device=device),
    )
    assert_close(mirror_sh(mirrored), light(device=device))
    assert (mirrored - light(device=device)).abs().max() > 0.1


def test_positive_roll_moves_a_light_from_picture_right_up(assert_close, device):
    turns = roll_rotation(torch.tensor([0.0, math.pi / 2], device=device))
    assert_close(turns[0], torch.eye(3, device=device))
    assert_close(
        turns[1] @ torch.tensor([1.0, 0, 0], device=device), torch.tensor([0.0, 1.0, 0], device=device)
    )


def test_a_roll_mixes_coefficients_in_pairs_of_equal_order(assert_close, device):
    angle = torch.tensor([0.7, -2.0], dtype=torch.float64, device=device)
    lights = torch.stack((light(0, device=device), light(1, device=device)))
    turned = rotate_sh(lights, roll_rotation(angle))
    expected = lights.clone()
    for x_index, y_index, order in ((3, 1, 1), (7, 5, 1), (8, 4, 2)):
        cosine, sine = (order * angle).cos()[:, None], (order * angle).sin()[:, None]
        expected[:, x_index] = cosine * lights[:, x_index] - sine * lights[:, y_index]
        expected[:, y_index] = sine * lights[:, x_index] + cosine * lights[:, y_index]
    assert_close(turned, expected)


def test_one_rotation_turns_a_batch_of_lights(assert_close, device):
    lights = torch.stack((light(0, device=device), light(1, device=device)))
    rotation = rotation_from_rotvec(torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64, device=device))
    expected = torch.stack([rotate_sh(one, rotation) for one in lights])
    assert_close(rotate_sh(lights, rotation), expected)
