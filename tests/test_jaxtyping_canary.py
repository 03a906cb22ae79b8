"""Shapes and dtypes are checked while the tests run. If this fails, no other test checks annotations."""

import jaxtyping
import pytest
import torch

from facelume.camera import CropTransform, PinholeCamera
from facelume.geometry import rotation_from_rotvec


def test_a_wrong_shape_is_refused():
    with pytest.raises(jaxtyping.TypeCheckError):
        rotation_from_rotvec(torch.zeros(2, 4))


def test_a_wrong_dtype_is_refused():
    with pytest.raises(jaxtyping.TypeCheckError):
        rotation_from_rotvec(torch.zeros(2, 3, dtype=torch.int64))


def test_shapes_of_two_arguments_must_agree():
    camera = PinholeCamera(100.0, (5.0, 5.0), 10, 10)
    with pytest.raises(jaxtyping.TypeCheckError):
        camera.unproject(torch.zeros(4, 2), torch.ones(5))


def test_a_plain_argument_of_another_type_is_refused():
    with pytest.raises(jaxtyping.TypeCheckError):
        CropTransform(photo_from_crop=[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
