import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facelume.camera import CropTransform, crop_from_box, crop_from_landmarks
from facelume.errors import UsageError
from facelume.types import FaceDetection


def landmarks(num_points=478, seed=0, size_px=(180.0, 240.0), centre_px=(400.0, 300.0)):
    rng = np.random.default_rng(seed)
    return np.asarray(centre_px) + rng.uniform(-0.5, 0.5, (num_points, 2)) * np.asarray(size_px)


@settings(max_examples=40, deadline=None)
@given(st.floats(-math.pi, math.pi), st.floats(1e-2, 1e2), st.integers(0, 1000), st.sampled_from([468, 478]))
def test_the_box_is_canonical_in_the_crops_own_axes(roll_rad, zoom, seed, num_points):
    points = landmarks(num_points, seed) * zoom
    transform = crop_from_landmarks(points, roll_rad)
    box = transform.to_crop(points)[:468]
    low, high = box.min(axis=0), box.max(axis=0)
    np.testing.assert_allclose(0.5 * (low + high), [112.0, 112.0], atol=1e-6)
    assert math.sqrt(float(np.prod(high - low))) == pytest.approx(150.0)
    assert math.remainder(transform.roll_rad - roll_rad, 2 * math.pi) == pytest.approx(0.0, abs=1e-9)


def test_irises_do_not_count():
    points = landmarks()
    moved = points.copy()
    moved[468:] += 1000.0
    np.testing.assert_array_equal(
        crop_from_landmarks(points).photo_from_crop, crop_from_landmarks(moved).photo_from_crop
    )


@settings(max_examples=40, deadline=None)
@given(st.floats(-3, 3), st.integers(0, 1000))
def test_crop_and_photo_are_exact_inverses(roll_rad, seed):
    transform = crop_from_landmarks(landmarks(seed=seed), roll_rad)
    points = np.random.default_rng(seed).uniform(-100, 4000, (2, 5, 2))
    np.testing.assert_allclose(transform.to_photo(transform.to_crop(points)), points, atol=1e-8)
    np.testing.assert_allclose(transform.to_crop(transform.to_photo(points)), points, atol=1e-8)


def test_scale_is_photo_pixels_per_crop_pixel():
    transform = crop_from_landmarks(landmarks(), 0.3)
    step = transform.to_photo(np.array([[10.0, 20.0], [11.0, 20.0]]))
    assert float(np.hypot(*(step[1] - step[0]))) == pytest.approx(transform.scale)


def test_a_box_is_centred_and_scaled_like_the_box_of_the_landmarks():
    detection = FaceDetection((100.0, 50.0, 400.0, 350.0), np.zeros((5, 2)), 0.9)
    transform = crop_from_box(detection)
    np.testing.assert_allclose(transform.to_photo(np.array([112.0, 112.0])), [250.0, 200.0])
    assert transform.scale == pytest.approx(2.0)
    turned = crop_from_box(detection, roll_rad=0.5)
    np.testing.assert_allclose(turned.to_photo(np.array([112.0, 112.0])), [250.0, 200.0])
    assert turned.roll_rad == pytest.approx(0.5)


def test_positive_roll_turns_the_crops_x_axis_downwards_in_the_photo():
    transform = crop_from_landmarks(landmarks(), 0.5)
    step = transform.to_photo(np.array([[0.0, 0.0], [1.0, 0.0]]))
    assert step[1, 1] > step[0, 1]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (landmarks(68), "468 or 478"),
        (np.full((478, 2), 5.0), "empty"),
        (np.full((478, 2), np.nan), "empty or not finite"),
    ],
)
def test_impossible_landmarks_are_refused(points, message):
    with pytest.raises(UsageError, match=message):
        crop_from_landmarks(points)


@pytest.mark.parametrize(
    "matrix",
    [
        [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]],
        [[1.0, 0.0, 0.0], [0.0, -1.0, 0.0]],
        [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
        [[math.nan, 0.0, 0.0], [0.0, math.nan, 0.0]],
    ],
)
def test_a_matrix_that_is_no_similarity_is_refused(matrix):
    with pytest.raises(UsageError, match="no similarity"):
        CropTransform(photo_from_crop=np.array(matrix))


def test_pixels_inside_are_those_whose_centre_lies_in_the_photo():
    crop = CropTransform(np.array([[0.5, 0.0, -10.0], [0.0, 0.5, 20.0]]))
    inside = crop.pixels_inside(60, 100)
    expected = np.zeros((224, 224), dtype=bool)
    expected[:160, 20:140] = True
    np.testing.assert_array_equal(inside, expected)
