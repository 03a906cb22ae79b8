import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facelume.camera import (
    CROP_CAMERA,
    LIGHT_FROM_CAM,
    cam_from_model,
    cam_from_pose,
    pose_from_cam,
    transform_points,
)

small = st.floats(-1.5, 1.5)
vectors = st.tuples(*[small] * 6).map(lambda v: torch.tensor(v, dtype=torch.float64))


@settings(max_examples=50, deadline=None)
@given(vectors)
def test_pose_and_matrix_are_inverse_of_each_other(pose):
    torch.testing.assert_close(pose_from_cam(cam_from_pose(pose)), pose, atol=1e-9, rtol=1e-9)


def test_frontal_face_looks_into_the_camera_upright():
    matrix = cam_from_model(torch.zeros(3), torch.tensor([0.0, 0.0, 1.0]))
    model = torch.tensor(
        [[0.0, 0, 0], [0, 0.1, 0], [0.1, 0, 0], [0, 0, 0.1]]
    )  # origin, up, subject's left, nose
    cam = transform_points(matrix, model)
    picture = CROP_CAMERA.project(cam)
    assert picture[1, 1] < picture[0, 1]  # up is up
    assert picture[2, 0] > picture[0, 0]  # the subject's left is picture right
    assert cam[3, 2] < cam[0, 2]  # the nose is nearer


def test_light_axes_are_the_model_axes_of_a_frontal_face():
    rotation = cam_from_model(torch.zeros(3), torch.zeros(3))[:3, :3]
    torch.testing.assert_close(torch.diag(torch.tensor(LIGHT_FROM_CAM)) @ rotation, torch.eye(3))


def test_batches_agree():
    poses = torch.linspace(-1, 1, 36).reshape(2, 3, 6)
    single = torch.stack([cam_from_pose(p) for p in poses.reshape(-1, 6)]).reshape(2, 3, 4, 4)
    torch.testing.assert_close(cam_from_pose(poses), single)
    points = torch.linspace(0, 1, 2 * 3 * 5 * 3).reshape(2, 3, 5, 3)
    moved = transform_points(single, points)
    expected = torch.einsum("abij,abnj->abni", single[..., :3, :3], points) + single[..., None, :3, 3]
    torch.testing.assert_close(moved, expected)
