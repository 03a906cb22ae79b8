import numpy as np
import pytest
import torch

from facelume.face_model import load_open_face_model
from facelume.geometry import face_mesh, five_points, mesh_box


def test_irises_do_not_widen_the_box():
    landmarks = np.zeros((478, 3))
    landmarks[:468, 0] = np.linspace(10, 20, 468)
    landmarks[:468, 1] = np.linspace(-5, 40, 468)
    landmarks[468:] = 1000.0
    np.testing.assert_allclose(mesh_box(landmarks), (10, -5, 20, 40))
    np.testing.assert_allclose(mesh_box(landmarks[:468]), (10, -5, 20, 40))
    torch.testing.assert_close(
        mesh_box(torch.tensor(landmarks)[None]), torch.tensor([[10.0, -5, 20, 40]]).double()
    )


def test_eye_centres_are_the_means_of_the_eye_corners():
    landmarks = np.zeros((478, 2))
    landmarks[33], landmarks[133] = (10, 10), (20, 12)
    landmarks[362], landmarks[263] = (30, 12), (40, 10)
    landmarks[1], landmarks[61], landmarks[291] = (25, 20), (18, 30), (32, 30)
    expected = [(15, 11), (35, 11), (25, 20), (18, 30), (32, 30)]
    np.testing.assert_allclose(five_points(landmarks), expected)


@pytest.fixture(scope="module")
def mean_face():
    """The mean of the open model as a picture shows it: x to the right, y down, millimetres."""
    model = load_open_face_model()
    points = model.landmarks(torch.zeros(model.num_identity), torch.zeros(model.num_expression))
    return 1000.0 * points.numpy()[:, :2] * (1.0, -1.0)


def test_every_named_point_lies_where_its_name_says_on_the_mean_face(mean_face):
    left, top, right, bottom = mesh_box(mean_face)
    x, y = mean_face.T
    assert y[face_mesh.FOREHEAD_TOP] == pytest.approx(top, abs=2)
    assert y[face_mesh.CHIN] == pytest.approx(bottom, abs=2)
    assert x[face_mesh.FACE_SIDES[0]] == pytest.approx(left, abs=5)
    assert x[face_mesh.FACE_SIDES[1]] == pytest.approx(right, abs=5)
    middle = 0.5 * (left + right)
    for index in (face_mesh.NOSE_TIP, face_mesh.NOSE_BRIDGE, face_mesh.CHIN, face_mesh.FOREHEAD_TOP):
        assert x[index] == pytest.approx(middle, abs=1)
    assert y[face_mesh.NOSE_BRIDGE] < y[face_mesh.NOSE_TIP] < y[face_mesh.MOUTH_CORNERS[0]] < bottom
    assert np.all(np.diff(x[[*face_mesh.RIGHT_EYE_CORNERS, *face_mesh.LEFT_EYE_CORNERS]]) > 0)
    for iris, corners, contour in zip(
        face_mesh.IRIS_CENTRES,
        (face_mesh.RIGHT_EYE_CORNERS, face_mesh.LEFT_EYE_CORNERS),
        (face_mesh.RIGHT_EYE_CONTOUR, face_mesh.LEFT_EYE_CONTOUR),
        strict=True,
    ):
        assert set(corners) < set(contour)
        assert x[corners[0]] < x[iris] < x[corners[1]]
        assert y[list(contour)].min() < y[iris] < y[list(contour)].max()
    assert x[list(face_mesh.INNER_LIP_CONTOUR)].min() > x[face_mesh.MOUTH_CORNERS[0]]


def test_the_two_kinds_of_five_points_differ_in_the_eyes_alone(mean_face):
    with_irises = mean_face[list(face_mesh.FIVE_POINTS_WITH_IRISES)]
    by_corners = five_points(mean_face)
    np.testing.assert_array_equal(with_irises[2:], by_corners[2:])
    distance = np.linalg.norm(with_irises[:2] - by_corners[:2], axis=1)
    assert distance.max() < 5.0
    assert distance.min() > 0.1


def test_points_of_an_aperture_are_above_each_other_and_belong_to_their_contours(mean_face):
    upper, lower = face_mesh.UPPER_APERTURE_POINTS, face_mesh.LOWER_APERTURE_POINTS
    assert len(upper) == len(lower)
    offset = mean_face[list(lower)] - mean_face[list(upper)]
    assert np.abs(offset[:, 0]).max() < 3.0
    assert offset[face_mesh.NUM_LIP_PAIRS :, 1].min() > 3.0
    lips = {*upper[: face_mesh.NUM_LIP_PAIRS], *lower[: face_mesh.NUM_LIP_PAIRS]}
    assert lips < set(face_mesh.INNER_LIP_CONTOUR)
    lids = {*upper[face_mesh.NUM_LIP_PAIRS :], *lower[face_mesh.NUM_LIP_PAIRS :]}
    assert lids < {*face_mesh.RIGHT_EYE_CONTOUR, *face_mesh.LEFT_EYE_CONTOUR}
