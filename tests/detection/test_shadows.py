"""Lifting the shadows of a picture."""

import numpy as np
import pytest
import torch

from facelume.detection import lift_shadows
from facelume.reflectance import srgb_from_linear


def _lifted(levels: np.ndarray) -> np.ndarray:
    """What becomes of grey pixels of these levels."""
    picture = np.repeat(np.rint(levels).astype(np.uint8)[:, None], 3, axis=-1)
    return lift_shadows(picture)[:, 0].astype(int)


def test_black_and_white_stay_and_order_is_kept():
    lifted = _lifted(np.arange(256))
    assert (lifted[0], lifted[-1]) == (0, 255)
    assert (np.diff(lifted) >= 0).all()


def test_any_size_of_picture_keeps_its_shape():
    for shape in ((0, 4, 3), (3,), (2, 5, 3)):
        lifted = lift_shadows(np.full(shape, 16, np.uint8))
        assert lifted.shape == shape
        assert lifted.dtype == np.uint8


@pytest.mark.parametrize("exposure", [1 / 4, 1 / 16, 1 / 64])
def test_the_contrast_of_a_face_hardly_depends_on_how_dark_it_is(exposure):
    """Lit skin against its own shade: by the levels of the photo the contrast falls with the exposure."""
    skin = torch.tensor([0.1, 0.4])
    usual, dark = (255 * srgb_from_linear(skin * factor).numpy() for factor in (1.0, exposure))
    assert np.ptp(dark) < 0.6 * np.ptp(usual)
    assert np.ptp(_lifted(dark)) > 0.9 * np.ptp(_lifted(usual))
