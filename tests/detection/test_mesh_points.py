import numpy as np

from facelume.detection.mesh_points import five_points, mesh_box


def test_irises_do_not_widen_the_box():
    landmarks = np.zeros((478, 3))
    landmarks[:468, 0] = np.linspace(10, 20, 468)
    landmarks[:468, 1] = np.linspace(-5, 40, 468)
    landmarks[468:] = 1000.0
    np.testing.assert_allclose(mesh_box(landmarks), (10, -5, 20, 40))


def test_eye_centres_are_the_means_of_the_eye_corners():
    landmarks = np.zeros((478, 2))
    landmarks[33], landmarks[133] = (10, 10), (20, 12)
    landmarks[362], landmarks[263] = (30, 12), (40, 10)
    landmarks[1], landmarks[61], landmarks[291] = (25, 20), (18, 30), (32, 30)
    expected = [(15, 11), (35, 11), (25, 20), (18, 30), (32, 30)]
    np.testing.assert_allclose(five_points(landmarks), expected)
