"""Which lamps the texels of a head see past the head itself."""

import pytest
import torch

from facelume.face_model import load_open_face_model
from facelume.geometry import vertex_normals
from facelume.illumination import lamp_directions
from facelume.types import FacePart
from facelume.uv import interpolate_texels, lamp_visibility, texel_map

SIZE = 64


@pytest.fixture(scope="module")
def model(device):
    return load_open_face_model().to(device)


def surface(vertices, topology):
    """Position and normal of each texel of a mesh, and which texels are on it."""
    texels = texel_map(topology, SIZE)
    both = torch.cat([vertices[None], vertex_normals(vertices[None], topology.faces)], dim=-1)
    spread = interpolate_texels(texels, both)[0]
    return spread[:3], torch.nn.functional.normalize(spread[3:], dim=0), texels


def seen_from(model, *directions, device):
    towards = torch.nn.functional.normalize(torch.tensor(directions, device=device), dim=-1)
    return lamp_visibility(model.topology, model.mean_shape, towards, SIZE)


def test_a_ball_sees_all_of_its_hemisphere_and_nothing_else(head, device):
    vertices, topology = head
    directions = lamp_directions(32).to(device)
    seen = lamp_visibility(topology, vertices, directions, SIZE)
    _, normals, texels = surface(vertices, topology)
    cosine = torch.einsum("lc,chw->lhw", directions, normals)
    assert float(seen[:, texels.part < 0].max()) == 0.0
    on_ball = texels.part >= 0
    assert float(seen[:, on_ball][cosine[:, on_ball] > 0.15].min()) == 1.0
    assert float(seen[:, on_ball][cosine[:, on_ball] < 0.0].max()) == 0.0
    assert bool(((seen >= 0) & (seen <= 1)).all())


def test_the_nose_shades_the_cheek_behind_it_and_not_the_one_before_it(model, device):
    position, normal, texels = surface(model.mean_shape, model.topology)
    skin = (texels.part == FacePart.SKIN) & texels.inside
    tip = position[:, skin][:, position[2][skin].argmax()]
    towards = torch.tensor([1.0, 0.0, 0.7], device=device)  # from the subject's left
    cosine = torch.einsum("c,chw->hw", towards / towards.norm(), normal)
    beside = skin & (cosine > 0.15) & ((position[1] - tip[1]).abs() < 0.01)
    right, left = (beside & (side > 0.02) & (side < 0.04) for side in (-position[0], position[0]))
    assert int(right.sum()) > 15
    side, front = seen_from(model, (1.0, 0.0, 0.7), (0.0, 0.0, 1.0), device=device)
    assert float(side[right].mean()) < 0.3
    assert float(side[left].mean()) > 0.99
    assert float(front[right].mean()) > 0.95


def test_mirrored_lamps_see_mirrored_texels(model, device):
    draw = torch.Generator().manual_seed(0)
    directions = torch.randn(12, 3, generator=draw).to(device)
    mirrored = directions * torch.tensor([-1.0, 1.0, 1.0], device=device)
    first, second = (
        lamp_visibility(model.topology, model.mean_shape, d, SIZE) for d in (directions, mirrored)
    )
    assert float((first - second.flip(-1)).abs().mean()) < 0.01
    assert float((first - second).abs().mean()) > 0.1


def test_a_lamp_before_the_face_is_seen_and_one_behind_the_head_is_not(model, device):
    in_front, behind = seen_from(model, (0.0, 0.0, 1.0), (0.0, 0.0, -1.0), device=device)
    face = model.uv_mask("face", SIZE) > 0.9
    assert float(in_front[face].mean()) > 0.9
    assert float(behind[face].max()) == 0.0


def test_a_wider_penumbra_is_softer(model, device):
    towards = torch.tensor([[1.0, 0.3, 0.5]], device=device)
    sharp, soft = (
        lamp_visibility(model.topology, model.mean_shape, towards, SIZE, penumbra_m=radius)
        for radius in (0.001, 0.012)
    )
    between = [float(((seen > 0.02) & (seen < 0.98)).float().mean()) for seen in (sharp, soft)]
    assert between[1] > 2 * between[0]
