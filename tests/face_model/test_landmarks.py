"""Landmark embeddings of the open model."""

import numpy as np
import pytest
import torch

from facelume.face_model import load_open_face_model
from facelume.face_model.open_model import ASSET_FOLDER, GEOMETRY_FILE

FLIP = torch.tensor([-1.0, 1.0, 1.0])
RIGHT_IRIS, LEFT_IRIS = slice(468, 473), slice(473, 478)


@pytest.fixture(scope="module")
def model():
    return load_open_face_model()


@pytest.fixture(scope="module")
def points(model):
    return model.landmarks(torch.zeros(80), torch.zeros(52))


@pytest.fixture(scope="module")
def partner():
    with np.load(ASSET_FOLDER / GEOMETRY_FILE, allow_pickle=False) as archive:
        return torch.from_numpy(archive["landmarks478_mirror"].astype(np.int64))


@pytest.mark.parametrize(("name", "count"), [("landmarks478", 478), ("landmarks68", 68)])
def test_every_landmark_lies_on_the_surface(model, name, count):
    embedding = getattr(model, name)
    assert embedding.bary_coords.shape == (count, 3)
    assert embedding.bary_coords.min() >= 0
    torch.testing.assert_close(embedding.bary_coords.sum(-1), torch.ones(count))
    assert embedding.face_index.min() >= 0
    assert embedding.face_index.max() < len(model.topology.faces)


def test_landmarks_lie_on_the_right_part(model):
    part = model.topology.face_part[model.landmarks478.face_index]
    assert (part[RIGHT_IRIS] == 2).all()
    assert (part[LEFT_IRIS] == 1).all()
    assert torch.isin(part[:468], torch.tensor([0, 3], dtype=torch.uint8)).all()


def test_landmarks_mirror_exactly(points, partner):
    assert torch.equal(partner[partner], torch.arange(478))
    assert (points[partner] * FLIP - points).abs().max() < 1e-7
    for right, left in ((33, 263), (61, 291), (133, 362), (105, 334), (468, 473), (20, 250), (238, 458)):
        assert partner[right] == left
    for middle in (1, 2, 4, 5, 6, 0, 13, 14, 17, 152, 10):
        assert partner[middle] == middle
        assert points[middle, 0].abs() < 1e-7


def test_landmarks_are_where_their_names_say(model, points):
    mean = model.mean_shape
    assert (points[1] - mean[mean[:, 2].argmax()]).norm() < 0.012
    assert points[10, 1] > points[9, 1] > points[6, 1] > points[1, 1] > points[13, 1] > points[152, 1]
    assert points[61, 0] < 0 < points[291, 0]
    for outer, inner, iris in ((33, 133, 468), (263, 362, 473)):
        low, high = sorted((points[outer, 0].item(), points[inner, 0].item()))
        assert low < points[iris, 0] < high
    assert points[159, 1] > points[468, 1] > points[145, 1]
    assert points[0, 1] > points[13, 1] >= points[14, 1] > points[17, 1]


def test_upper_and_lower_inner_lip_part_when_the_jaw_opens(model, points):
    opened = torch.zeros(52)
    opened[model.expression_names.index("jawOpen")] = 1.0
    moved = (model.landmarks(torch.zeros(80), opened) - points)[:, 1]
    assert moved[[82, 13, 312]].min() > -0.004
    assert moved[[87, 14, 317]].max() < -0.015


def test_ibug68_is_a_subset_of_the_dense_points(model, points):
    sparse = model.points_on_surface(model.mean_shape, model.landmarks68)
    assert (sparse[:, None] - points).norm(dim=-1).amin(-1).max() < 1e-7
    assert (sparse[:17, 0].diff() > 0).all()
    assert (sparse[27:31, 1].diff() < 0).all()
    assert sparse[36, 0] < sparse[39, 0] < sparse[42, 0] < sparse[45, 0]
    flipped = [*range(16, -1, -1)]
    assert (sparse[:17] * FLIP - sparse[flipped]).abs().max() < 1e-6
