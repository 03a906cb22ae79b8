"""The atlas of the open model: symmetric, free of flips and overlaps, mostly face front."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from facelume.face_model import load_open_face_model
from facelume.face_model.open_model import ASSET_FOLDER, GEOMETRY_FILE


@pytest.fixture(scope="module")
def model():
    return load_open_face_model()


@pytest.fixture(scope="module")
def chart():
    with np.load(ASSET_FOLDER / GEOMETRY_FILE, allow_pickle=False) as archive:
        return archive["uv_chart"].astype(int)


@pytest.fixture(scope="module")
def corners(model):
    return model.topology.uvs.double().numpy()[model.topology.uv_faces.numpy()]


def signed_areas(corners):
    """Positive when counter-clockwise seen with v up, as on the outside of the mesh."""
    ab, ac = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return -(ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]) / 2


def test_no_triangle_is_flipped_or_outside(corners):
    assert signed_areas(corners).min() > 1e-9
    assert corners.min() > 0
    assert corners.max() < 1


def test_triangles_do_not_overlap(corners):
    size = 1024
    points = corners * size
    low = np.floor(points.min(1) - 0.5).astype(int)
    extent = np.ceil(points.max(1) + 0.5).astype(int) - low
    count = extent.prod(1)
    face = np.repeat(np.arange(len(points)), count)
    local = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    x = low[face, 0] + local % extent[face, 0] + 0.5
    y = low[face, 1] + local // extent[face, 0] + 0.5
    inside = np.ones(len(face), bool)
    for a, b in ((0, 1), (1, 2), (2, 0)):
        edge = points[face, b] - points[face, a]
        # strictly inside: a centre on a shared edge belongs to neither
        inside &= edge[:, 0] * (y - points[face, a, 1]) - edge[:, 1] * (x - points[face, a, 0]) < -1e-7
    covered = np.bincount((y[inside] * size).astype(int) // size * size + x[inside].astype(int))
    assert covered.max() == 1
    assert abs(inside.sum() / size**2 - signed_areas(corners).sum()) < 2e-3


def test_corners_mirror_exactly(model, corners):
    faces = model.topology.faces.numpy()
    partner = model.topology.mirror_vertices.numpy()
    index = {tuple(sorted(face)): n for n, face in enumerate(faces.tolist())}
    other = np.array([index[tuple(sorted(face))] for face in partner[faces].tolist()])
    assert (other[other] == np.arange(len(faces))).all()
    for n in range(0, len(faces), 7):
        mirrored = {int(v): tuple(uv) for v, uv in zip(faces[other[n]], corners[other[n]], strict=True)}
        for vertex, (u, v) in zip(faces[n], corners[n], strict=True):
            assert mirrored[int(partner[vertex])] == (1 - u, v)


def test_face_front_fills_seventy_percent(model, corners):
    front = model.topology.face_front.numpy()
    assert signed_areas(corners)[front].sum() > 0.70


def test_nose_tip_is_in_the_middle(model, corners):
    tip = int(model.mean_shape[:, 2].argmax())
    u, v = corners[(model.topology.faces == tip).numpy()][0]
    assert u == 0.5
    assert abs(v - 0.5) < 0.05


def test_midline_of_the_face_lies_on_the_middle_column(model, corners, chart):
    middle = (model.topology.mirror_vertices == torch.arange(model.num_vertices))[
        model.topology.faces
    ].numpy()
    on_face = middle & (chart == 0)[:, None]
    assert on_face.sum() > 300
    assert (corners[on_face][:, 0] == 0.5).all()


def test_central_square_is_all_face(model):
    assert model.uv_mask("face")[64:192, 64:192].min() == 1


def test_charts_keep_four_texels_apart(model, chart):
    uv_faces = model.topology.uv_faces.numpy()
    edges = np.concatenate([uv_faces[:, [0, 1]], uv_faces[:, [1, 2]], uv_faces[:, [2, 0]]])
    unique, count = np.unique(np.sort(edges, 1), axis=0, return_counts=True)
    border = unique[count == 1]
    chart_of = np.zeros(len(model.topology.uvs), int)
    chart_of[uv_faces.ravel()] = np.repeat(chart, 3)
    uvs = model.topology.uvs.double().numpy() * 256
    along = np.linspace(0, 1, 5)[:, None, None]
    points = ((1 - along) * uvs[border[:, 0]] + along * uvs[border[:, 1]]).reshape(-1, 2)
    owner = np.tile(chart_of[border[:, 0]], 5)
    for number in np.unique(chart):
        mine = owner == number
        assert cKDTree(points[~mine]).query(points[mine])[0].min() > 3.999
    assert points.min() >= 1.49
    assert points.max() <= 256 - 1.49


def test_eyes_lips_and_nose_are_not_starved(model, corners):
    vertices = model.mean_shape.double().numpy()[model.topology.faces.numpy()]
    area_m2 = (
        np.linalg.norm(np.cross(vertices[:, 1] - vertices[:, 0], vertices[:, 2] - vertices[:, 0]), axis=1) / 2
    )
    density = signed_areas(corners) * 256**2 / area_m2
    front = model.topology.face_front.numpy()
    typical = np.median(density[front])
    marks = model.landmark_rows[0].double().numpy()
    for landmark in (159, 386, 13, 14, 1, 0, 17):
        near = front & (np.linalg.norm(vertices.mean(1) - marks[landmark], axis=1) < 0.008)
        assert np.median(density[near]) > 0.6 * typical


def test_masks_are_symmetric_and_disjoint_where_they_should_be(model):
    for name, mask in model.uv_masks.items():
        assert mask.shape == (256, 256), name
        assert mask.min() >= 0
        assert mask.max() <= 1
        assert torch.equal(mask, mask.flip(-1)), name
        assert 20 < mask.sum() < 52_000, name
    face = model.uv_mask("face")
    for name in ("eyes", "lips", "brows", "nostrils", "skin"):
        assert (model.uv_mask(name) <= face + 1e-6).all(), name
    for name in ("ears", "neck", "scalp"):
        assert (model.uv_mask(name) * face).max() == 0, name
    skin_and_rest = sum(model.uv_mask(name) for name in ("skin", "eyes", "lips", "brows", "nostrils"))
    assert (skin_and_rest - face).abs().max() < 0.02


def test_masks_resample(model):
    for size in (64, 1024):
        mask = model.uv_mask("lips", size)
        assert mask.shape == (size, size)
        torch.testing.assert_close(mask.mean(), model.uv_mask("lips").mean(), atol=2e-4, rtol=0)
