import numpy as np

from facelume.detection.suppression import merge_weights, suppress_overlaps


def test_the_better_of_two_overlapping_boxes_stays():
    boxes = np.array([(0, 0, 10, 10), (1, 1, 11, 11), (30, 0, 40, 10)], dtype=np.float64)
    assert suppress_overlaps(boxes, np.array([0.6, 0.9, 0.2])).tolist() == [1, 2]


def test_a_small_box_inside_a_better_large_one_goes_although_their_iou_is_small():
    boxes = np.array([(0, 0, 100, 100), (10, 10, 30, 30)], dtype=np.float64)
    assert suppress_overlaps(boxes, np.array([0.9, 0.8])).tolist() == [0]


def test_neighbours_that_touch_both_stay():
    boxes = np.array([(0, 0, 10, 10), (8, 0, 18, 10)], dtype=np.float64)
    assert sorted(suppress_overlaps(boxes, np.array([0.9, 0.8])).tolist()) == [0, 1]


def test_no_box_gives_no_box():
    assert suppress_overlaps(np.zeros((0, 4)), np.zeros(0)).tolist() == []


def test_boxes_that_agree_are_averaged_by_their_odds_and_others_do_not_count():
    boxes = np.array([(0, 0, 10, 10), (0, 0, 11, 11), (30, 0, 40, 10)], dtype=np.float64)
    weights = merge_weights(boxes, np.array([1.0 + np.log(3.0), 1.0, 5.0]), np.array([0, 2]))
    np.testing.assert_allclose(weights, [[0.75, 0.25, 0.0], [0.0, 0.0, 1.0]])


def test_a_box_without_area_still_counts_for_itself():
    weights = merge_weights(np.zeros((1, 4)), np.zeros(1), np.array([0]))
    np.testing.assert_allclose(weights, [[1.0]])
