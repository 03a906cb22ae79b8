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


def light(seed=0):
    return torch.randn(9, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def directions(num=30):
    generator = torch.Generator().manual_seed(4)
    return torch.nn.functional.normalize(
        torch.randn(num, 3, generator=generator, dtype=torch.float64), dim=-1
    )


@settings(max_examples=40, deadline=None)
@given(rotations)
def test_a_rotated_light_at_a_rotated_direction_is_the_light(rotation):
    turned = rotate_sh(light(), rotation)
    torch.testing.assert_close(sh_basis(directions() @ rotation.T) @ turned, sh_basis(directions()) @ light())
    torch.testing.assert_close(
        irradiance(turned[None], directions() @ rotation.T), irradiance(light()[None], directions())
    )


@settings(max_examples=40, deadline=None)
@given(rotations, rotations)
def test_rotations_compose_and_the_matrix_is_orthogonal(first, second):
    matrix = sh_rotation_matrix(second @ first)
    torch.testing.assert_close(matrix, sh_rotation_matrix(second) @ sh_rotation_matrix(first))
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(9, dtype=torch.float64))


def test_bands_do_not_mix():
    matrix = sh_rotation_matrix(rotation_from_rotvec(torch.tensor([0.3, -1.1, 0.4], dtype=torch.float64)))
    band = torch.tensor([0, 1, 1, 1, 2, 2, 2, 2, 2])
    assert matrix[band[:, None] != band[None, :]].abs().max() < 1e-14


def test_positive_yaw_moves_a_light_from_the_viewer_to_picture_right():
    torch.testing.assert_close(
        yaw_rotation(math.pi / 2) @ torch.tensor([0.0, 0, 1]), torch.tensor([1.0, 0, 0])
    )
    front = sh_basis(torch.tensor([0.0, 0.0, 1.0]))[:, None].expand(9, 3)
    right = sh_basis(torch.tensor([1.0, 0.0, 0.0]))[:, None].expand(9, 3)
    torch.testing.assert_close(rotate_sh(front, yaw_rotation(math.pi / 2)), right, atol=1e-6, rtol=0)


def test_the_mirrored_light_comes_from_the_mirrored_direction_and_back():
    flip = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    mirrored = mirror_sh(light())
    torch.testing.assert_close(sh_basis(directions() * flip) @ mirrored, sh_basis(directions()) @ light())
    torch.testing.assert_close(mirror_sh(mirrored), light())
    assert (mirrored - light()).abs().max() > 0.1


def test_positive_roll_moves_a_light_from_picture_right_up():
    turns = roll_rotation(torch.tensor([0.0, math.pi / 2]))
    torch.testing.assert_close(turns[0], torch.eye(3))
    torch.testing.assert_close(turns[1] @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1.0, 0]))


def test_a_roll_mixes_coefficients_in_pairs_of_equal_order():
    angle = torch.tensor([0.7, -2.0], dtype=torch.float64)
    lights = torch.stack((light(0), light(1)))
    turned = rotate_sh(lights, roll_rotation(angle))
    expected = lights.clone()
    for x_index, y_index, order in ((3, 1, 1), (7, 5, 1), (8, 4, 2)):
        cosine, sine = (order * angle).cos()[:, None], (order * angle).sin()[:, None]
        expected[:, x_index] = cosine * lights[:, x_index] - sine * lights[:, y_index]
        expected[:, y_index] = sine * lights[:, x_index] + cosine * lights[:, y_index]
    torch.testing.assert_close(turned, expected)


def test_one_rotation_turns_a_batch_of_lights():
    lights = torch.stack((light(0), light(1)))
    rotation = rotation_from_rotvec(torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64))
    expected = torch.stack([rotate_sh(one, rotation) for one in lights])
    torch.testing.assert_close(rotate_sh(lights, rotation), expected)
