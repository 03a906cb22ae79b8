"""The open face model's geometry: linear, mirror-symmetric, with parts that move as they should."""

import shutil

import numpy as np
import pytest
import torch

from facelume.errors import AssetError, UsageError
from facelume.face_model import load_open_face_model, read_open_face_model
from facelume.face_model.open_model import ASSET_FOLDER, GEOMETRY_FILE

FLIP = torch.tensor([-1.0, 1.0, 1.0])
ARKIT_COUNT = 52


@pytest.fixture(scope="module")
def model():
    return load_open_face_model()


@pytest.fixture(scope="module")
def arrays():
    with np.load(ASSET_FOLDER / GEOMETRY_FILE, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def coefficients(model, *batch, seed=0):
    generator = torch.Generator().manual_seed(seed)
    identity = torch.randn(*batch, model.num_identity, generator=generator)
    return identity, torch.rand(*batch, model.num_expression, generator=generator)


def expression(model, **strengths):
    out = torch.zeros(model.num_expression)
    for name, strength in strengths.items():
        out[model.expression_names.index(name)] = strength
    return out


def part_vertices(model, part):
    return torch.unique(model.topology.faces[model.topology.face_part == part])


def test_counts_and_size(model):
    assert (model.num_identity, model.num_expression, model.num_albedo) == (80, ARKIT_COUNT, 80)
    assert 15_000 < model.num_vertices < 20_000
    assert sum(path.stat().st_size for path in ASSET_FOLDER.iterdir()) <= 10_000_000
    assert model.topology.faces.max() == model.num_vertices - 1
    assert len(torch.unique(model.topology.faces)) == model.num_vertices


def test_zero_coefficients_give_the_mean(model):
    zero_id, zero_ex = torch.zeros(model.num_identity), torch.zeros(model.num_expression)
    torch.testing.assert_close(model.shape(zero_id, zero_ex), model.mean_shape)
    torch.testing.assert_close(model.neutral(zero_id), model.mean_shape)


def test_shape_is_linear(model):
    first, second = coefficients(model, seed=1), coefficients(model, seed=2)
    mixed = model.shape(0.3 * first[0] - 0.8 * second[0], 0.3 * first[1] - 0.8 * second[1])
    expected = model.mean_shape + 0.3 * (model.shape(*first) - model.mean_shape)
    expected = expected - 0.8 * (model.shape(*second) - model.mean_shape)
    torch.testing.assert_close(mixed, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_batch_shapes_agree(model, batch):
    identity, strength = coefficients(model, *batch)
    vertices, landmarks = model.shape(identity, strength), model.landmarks(identity, strength)
    assert vertices.shape == (*batch, model.num_vertices, 3)
    single = model.shape(identity.reshape(-1, 80)[-1], strength.reshape(-1, 52)[-1])
    torch.testing.assert_close(vertices.reshape(-1, model.num_vertices, 3)[-1], single, atol=1e-6, rtol=0)
    torch.testing.assert_close(
        model.points_on_surface(vertices, model.landmarks478), landmarks, atol=1e-6, rtol=0
    )


def test_gradient_reaches_every_coefficient(model):
    double = model.to("cpu", torch.float64)
    identity, strength = (x.double().requires_grad_() for x in coefficients(double))
    picked = torch.randint(0, double.num_vertices, (5,), generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(lambda i, e: double.shape(i, e)[picked], (identity, strength))
    double.shape(identity, strength).square().sum().backward()
    assert (identity.grad != 0).all()
    assert (strength.grad != 0).all()


def test_head_has_a_human_size_and_the_documented_axes(model):
    mean = model.mean_shape
    left, right = mean[part_vertices(model, 1)].mean(0), mean[part_vertices(model, 2)].mean(0)
    assert 0.060 < left[0] - right[0] < 0.066
    torch.testing.assert_close((left + right) / 2, torch.tensor([0.0, 0.0, 0.05]), atol=2e-3, rtol=0)
    nose = mean[mean[:, 2].argmax()]
    assert nose[0].abs() < 1e-6
    assert -0.06 < nose[1] < -0.02
    assert 0.15 < mean[:, 0].max() - mean[:, 0].min() < 0.20


def test_mean_is_mirror_symmetric(model):
    partner = model.topology.mirror_vertices
    assert torch.equal(partner[partner], torch.arange(model.num_vertices))
    mean = model.mean_shape
    assert (mean * FLIP - mean[partner]).abs().max() < 5e-8
    assert mean[partner == torch.arange(model.num_vertices), 0].abs().max() < 1e-8


def test_mirrored_coefficients_give_the_mirrored_face(model):
    identity, strength = coefficients(model, 4)
    mirrored = model.shape(model.mirror_identity(identity), model.mirror_expression(strength))
    expected = model.shape(identity, strength)[:, model.topology.mirror_vertices] * FLIP
    torch.testing.assert_close(mirrored, expected, atol=1e-6, rtol=0)
    assert torch.equal(model.mirror_identity(model.mirror_identity(identity)), identity)
    assert torch.equal(model.mirror_expression(model.mirror_expression(strength)), strength)


def test_variance_explained_is_within_bounds(arrays):
    explained = arrays["identity_explained"]
    assert (np.diff(explained) > 0).all()
    assert explained[0] < 0.5
    assert 0.98 < explained[-1] < 1.0


def test_components_are_ordered_and_people_differ_by_millimetres(model):
    front = torch.unique(model.topology.faces[model.topology.face_front])
    one_sigma = (model.neutral(torch.eye(80)) - model.mean_shape)[:, front].norm(dim=-1).mean(-1)
    assert one_sigma[:8].mean() > 5 * one_sigma[-8:].mean()
    people = model.neutral(coefficients(model, 32)[0])[:, front]
    spread_m = (people - model.mean_shape[front]).norm(dim=-1).mean()
    assert 0.002 < spread_m < 0.006


def test_expression_names_are_the_arkit_set(model):
    assert len(set(model.expression_names)) == ARKIT_COUNT
    assert {"jawOpen", "mouthSmileLeft", "eyeBlinkRight", "tongueOut", "cheekPuff"} <= set(
        model.expression_names
    )


def test_every_expression_moves_something_by_a_plausible_amount(model):
    offsets = model.shape(torch.zeros(ARKIT_COUNT, 80), torch.eye(ARKIT_COUNT)) - model.mean_shape
    largest = offsets.norm(dim=-1).amax(-1)
    assert largest.min() > 0.002
    assert largest.max() < 0.05


def test_jaw_carries_the_lower_teeth_only(model):
    opened = model.shape(torch.zeros(80), expression(model, jawOpen=1.0)) - model.mean_shape
    assert opened[part_vertices(model, 4)].norm(dim=-1).max() < 1e-5
    assert opened[part_vertices(model, 5), 1].mean() < -0.01


@pytest.mark.parametrize(
    ("unit", "axis", "sign"),
    [("eyeLookUpLeft", 1, 1), ("eyeLookDownLeft", 1, -1), ("eyeLookOutLeft", 0, 1), ("eyeLookInLeft", 0, -1)],
)
def test_gaze_turns_one_eyeball_about_its_centre(model, unit, axis, sign):
    mean, turned = model.mean_shape, model.shape(torch.zeros(80), expression(model, **{unit: 1.0}))
    ball = part_vertices(model, 1)
    pupil = ball[mean[ball, 2].argmax()]
    assert sign * (turned[pupil] - mean[pupil])[axis] > 0.002
    centre = mean[ball].mean(0)
    radius, after = (mean[ball] - centre).norm(dim=-1), (turned[ball] - centre).norm(dim=-1)
    assert (after / radius).min() > 0.85
    assert (turned - mean)[part_vertices(model, 2)].abs().max() < 1e-6


def test_closed_mouth_hides_the_teeth_and_a_blink_covers_the_eye(model):
    mean = model.mean_shape
    lips = model.landmarks(torch.zeros(80), torch.zeros(ARKIT_COUNT))
    assert (lips[13] - lips[14]).norm() < 0.002
    blink = model.landmarks(torch.zeros(80), expression(model, eyeBlinkLeft=1.0))
    assert (blink[386] - blink[374]).norm() < 0.45 * (lips[386] - lips[374]).norm()
    assert mean[part_vertices(model, 4), 2].max() < lips[13, 2]


def test_missing_and_damaged_assets_raise(tmp_path, arrays):
    with pytest.raises(AssetError, match="is missing"):
        read_open_face_model(tmp_path)
    for path in ASSET_FOLDER.iterdir():
        shutil.copy(path, tmp_path)
    target = tmp_path / GEOMETRY_FILE
    target.write_bytes(target.read_bytes()[:1000])
    with pytest.raises(AssetError, match="damaged"):
        read_open_face_model(tmp_path)
    np.savez(target, **(arrays | {"format_version": np.int32(99)}))
    with pytest.raises(AssetError, match="format 99"):
        read_open_face_model(tmp_path)
    np.savez(target, **{k: v for k, v in arrays.items() if k != "uvs"})
    with pytest.raises(AssetError, match="lacks 'uvs'"):
        read_open_face_model(tmp_path)


def test_unknown_mask_names_the_choices(model):
    with pytest.raises(UsageError, match="lips"):
        model.uv_mask("moustache")
