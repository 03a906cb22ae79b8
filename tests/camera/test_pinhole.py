import pytest
import torch

from facelume.camera import CROP_CAMERA, PinholeCamera


def test_crop_camera_is_the_one_of_deep3d():
    expected = PinholeCamera(focal_px=1015.0, principal_point_px=(112.0, 112.0), width_px=224, height_px=224)
    assert expected == CROP_CAMERA


def test_opencv_axes():
    picture = CROP_CAMERA.project(torch.tensor([[0.0, 0, 1], [0.1, 0, 1], [0, 0.1, 1], [0.1, 0.1, 2]]))
    expected = torch.tensor([[112.0, 112], [213.5, 112], [112, 213.5], [162.75, 162.75]])
    torch.testing.assert_close(picture, expected)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_unproject_inverts_project(batch):
    generator = torch.Generator().manual_seed(1)
    points = torch.randn(*batch, 7, 3, generator=generator, dtype=torch.float64)
    points[..., 2] = points[..., 2].abs() + 0.5
    camera = PinholeCamera(focal_px=800.0, principal_point_px=(100.0, 60.5), width_px=200, height_px=120)
    torch.testing.assert_close(camera.unproject(camera.project(points), points[..., 2]), points)
    picture = camera.project(points)
    torch.testing.assert_close(camera.project(camera.unproject(picture, points[..., 2])), picture)


def test_projection_gradient():
    points = torch.tensor([[0.1, -0.2, 1.1]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(CROP_CAMERA.project, (points,))


def test_a_resized_camera_scales_pixel_positions():
    points = torch.tensor([[0.05, -0.03, 0.9]])
    torch.testing.assert_close(
        CROP_CAMERA.resized(512).project(points), CROP_CAMERA.project(points) * (512 / 224)
    )
