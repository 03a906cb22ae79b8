import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from facelume.geometry import box_area, box_centre, box_iou, box_size, shared_area

_EDGES = st.floats(-100, 100, allow_subnormal=False)
BOXES = arrays(np.float64, (2, 2), elements=_EDGES).map(lambda c: np.concatenate([c.min(0), c.max(0)]))


def test_overlap_by_hand():
    square = np.array((0.0, 0, 2, 2))
    assert box_iou(square, np.array((1.0, 0, 3, 2))) == pytest.approx(1 / 3)
    assert shared_area(square, np.array((1.0, 1, 3, 5))) == 1
    assert box_iou(square, np.array((5.0, 5, 6, 6))) == 0
    assert box_iou(square, np.array((2.0, 0, 4, 2))) == 0, "boxes that share an edge alone"


@given(BOXES, BOXES)
def test_overlap_is_symmetric_between_zero_and_one_and_one_with_itself(first, second):
    overlap = box_iou(first, second)
    assert 0 <= overlap <= 1
    assert overlap == box_iou(second, first)
    if box_area(first) > 1e-6:
        assert box_iou(first, first) == 1


def test_batches_broadcast_and_agree_with_single_boxes():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 10, (5, 2, 2))
    boxes = np.concatenate([corners.min(1), corners.max(1)], -1)
    table = box_iou(boxes[:, None], boxes[None])
    assert table.shape == (5, 5)
    for i in range(5):
        for k in range(5):
            assert table[i, k] == box_iou(boxes[i], boxes[k])


def test_empty_and_overturned_boxes_overlap_nothing():
    point, overturned = np.array((1.0, 1, 1, 1)), np.array((3.0, 3, 1, 1))
    assert box_iou(point, point) == 0
    assert box_area(overturned) == 0
    assert box_iou(overturned, np.array((0.0, 0, 4, 4))) == 0


def test_centre_and_size_of_arrays_and_tensors():
    boxes = np.array([(0.0, 0, 4, 9), (-1.0, 2, 1, 4)])
    np.testing.assert_allclose(box_centre(boxes), [(2, 4.5), (0, 3)])
    np.testing.assert_allclose(box_size(boxes), [6, 2])
    torch.testing.assert_close(box_centre(torch.tensor(boxes)), torch.tensor(box_centre(boxes)))
    torch.testing.assert_close(box_size(torch.tensor(boxes)), torch.tensor(box_size(boxes)))
