"""The atlas for face masks without one: no flips, whatever the shape."""

import numpy as np
import pytest

from facelume.errors import AssetError
from facelume.face_model.disk_atlas import count_flipped, disk_atlas


def test_a_mask_with_holes_and_folds_flattens_without_flips(dome, rng):
    centres = dome.vertices[dome.faces].mean(1)
    holes = [(-0.03, 0.03), (0.03, 0.03), (0.0, -0.05)]
    kept = dome.faces[np.min([np.hypot(*(centres[:, :2] - h).T) for h in holes], axis=0) > 0.012]
    used, faces = np.unique(kept, return_inverse=True)
    faces = faces.reshape(-1, 3)
    vertices = dome.vertices[used] + rng.normal(0, 0.004, (len(used), 3))
    uvs = disk_atlas(vertices, faces)
    assert len(faces) < len(dome.faces)
    assert count_flipped(uvs, faces) == 0
    assert np.abs(uvs - 0.5).max() <= 0.4801


def test_the_face_stands_upright_with_the_subjects_left_on_the_right(dome):
    uvs = disk_atlas(dome.vertices, dome.faces)
    correlation = np.corrcoef(np.hstack([dome.vertices[:, :2], uvs]).T)
    assert correlation[0, 2] > 0.95
    assert correlation[1, 3] < -0.95
    np.testing.assert_allclose(uvs[dome.count // 2, 0], 0.5, atol=0.02)


def test_small_pieces_stand_below_the_large_one(dome):
    triangle = np.array([[0.1, 0, 0], [0.11, 0, 0], [0.1, 0.01, 0]])
    vertices = np.concatenate([dome.vertices, triangle, triangle + 1])
    more = np.array([[0, 1, 2], [3, 4, 5]]) + dome.count
    faces = np.concatenate([more, dome.faces])
    uvs = disk_atlas(vertices, faces)
    assert count_flipped(uvs, faces) == 0
    assert uvs[: dome.count, 1].max() < 0.88 <= uvs[dome.count :, 1].min()
    assert uvs[dome.count : dome.count + 3, 0].max() < uvs[dome.count + 3 :, 0].min()
    assert 0 <= uvs.min() <= uvs.max() <= 1


def test_flips_are_counted(dome):
    uvs = disk_atlas(dome.vertices, dome.faces)
    assert count_flipped(uvs * (-1, 1) + (1, 0), dome.faces) == len(dome.faces)
    assert count_flipped(uvs * (0, 1), dome.faces) == len(dome.faces)


def test_what_is_no_disk_is_refused():
    tetrahedron = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    closed = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    with pytest.raises(AssetError, match="closed surface"):
        disk_atlas(tetrahedron, closed)
    bow_tie = np.array([[0, 1, 2], [0, 3, 4]])
    points = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [-1, 0, 0], [-1, -1, 0]])
    with pytest.raises(AssetError, match="touches itself"):
        disk_atlas(points, bow_tie)
