import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from facelume.geometry import rotation_from_rotvec, rotvec_from_rotation

components = st.floats(-math.pi / math.sqrt(3), math.pi / math.sqrt(3), allow_nan=False)
rotvecs = st.tuples(components, components, components).map(lambda v: torch.tensor(v, dtype=torch.float64))


@settings(max_examples=50, deadline=None)
@given(rotvecs)
def test_rotation_agrees_with_scipy(rotvec):
    expected = Rotation.from_rotvec(rotvec.numpy()).as_matrix()
    np.testing.assert_allclose(rotation_from_rotvec(rotvec).numpy(), expected, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(rotvecs)
def test_rotvec_is_the_inverse(rotvec):
    back = rotvec_from_rotation(rotation_from_rotvec(rotvec))
    torch.testing.assert_close(back, rotvec, atol=1e-9, rtol=0)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-4, 1e-3, 3.0, math.pi - 1e-4, math.pi])
@pytest.mark.parametrize("axis", [(1.0, 0.0, 0.0), (0.6, 0.0, -0.8), (-0.48, 0.6, 0.64)])
def test_inverse_holds_near_zero_and_pi_in_float32(angle, axis):
    rotation = rotation_from_rotvec(angle * torch.tensor(axis))
    again = rotation_from_rotvec(rotvec_from_rotation(rotation))
    torch.testing.assert_close(again, rotation, atol=2e-6, rtol=0)


def test_batch_shapes_agree():
    rotvec = torch.linspace(-1, 1, 18).reshape(2, 3, 3)
    single = torch.stack([rotation_from_rotvec(v) for v in rotvec.reshape(-1, 3)]).reshape(2, 3, 3, 3)
    torch.testing.assert_close(rotation_from_rotvec(rotvec), single)
    torch.testing.assert_close(rotvec_from_rotation(single), rotvec, atol=1e-6, rtol=0)


@pytest.mark.parametrize("scale", [0.0, 1e-5, 1e-3, 0.7])
def test_gradients_are_right_also_at_zero(scale):
    rotvec = (scale * torch.tensor([0.3, -0.8, 0.5], dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(rotation_from_rotvec, (rotvec,))
    assert torch.autograd.gradcheck(lambda v: rotvec_from_rotation(rotation_from_rotvec(v)), (rotvec,))
