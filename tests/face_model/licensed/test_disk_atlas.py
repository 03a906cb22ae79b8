"""The atlas for face masks without one: no flips, whatever the shape."""

import numpy as np
import pytest

from facelume.errors import AssetError
from facelume.face_model.licensed.disk_atlas import disk_atlas


def test_a_mask_with_holes_and_folds_flattens_without_flips(dome, rng, count_flipped):
    centres = dome.vertices[dome.faces].mean(1)
    holes = [(-0.03, 0.03), (0.03, 0.03), (0.0, -0.05)]
    kept = dome.faces[np.min([np.hypot(*(centres[:, :2] - h).T) for h in holes], axis=0) > 0.012]
    used, faces = np.unique(kept, return_inverse=True)
    faces = faces.reshape(-1, 3)
    vertices = dome.vertices[used] + rng.normal(0, 0.004, (len(used), 3))
    uvs, uv_faces = disk_atlas(vertices, faces)
    assert len(faces) < len(dome.faces)
    assert count_flipped(uvs, uv_faces) == 0
    assert np.abs(uvs - 0.5).max() <= 0.4801


def test_the_face_stands_upright_with_the_subjects_left_on_the_right(dome):
    uvs, _ = disk_atlas(dome.vertices, dome.faces)
    correlation = np.corrcoef(np.hstack([dome.vertices[:, :2], uvs]).T)
    assert correlation[0, 2] > 0.95
    assert correlation[1, 3] < -0.95
    np.testing.assert_allclose(uvs[dome.count // 2, 0], 0.5, atol=0.02)


def test_small_pieces_stand_below_the_large_one(dome, count_flipped):
    triangle = np.array([[0.1, 0, 0], [0.11, 0, 0], [0.1, 0.01, 0]])
    vertices = np.concatenate([dome.vertices, triangle, triangle + 1])
    more = np.array([[0, 1, 2], [3, 4, 5]]) + dome.count
    faces = np.concatenate([more, dome.faces])
    uvs, uv_faces = disk_atlas(vertices, faces)
    assert count_flipped(uvs, uv_faces) == 0
    assert uvs[: dome.count, 1].max() < 0.88 <= uvs[dome.count :, 1].min()
    assert uvs[dome.count : dome.count + 3, 0].max() < uvs[dome.count + 3 :, 0].min()
    assert 0 <= uvs.min() <= uvs.max() <= 1


def test_flips_are_counted(dome, count_flipped):
    uvs, uv_faces = disk_atlas(dome.vertices, dome.faces)
    assert count_flipped(uvs * (-1, 1) + (1, 0), uv_faces) == len(dome.faces)
    assert count_flipped(uvs * (0, 1), uv_faces) == len(dome.faces)


def test_what_is_no_disk_is_refused():
    tetrahedron = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    closed = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    with pytest.raises(AssetError, match="closed surface"):
        disk_atlas(tetrahedron, closed)


def test_parts_that_touch_at_one_vertex_are_cut_there(dome, count_flipped):
    """A crop by vertices can leave such places on its rim."""
    size = 9
    rows, columns = np.divmod(dome.faces, size)
    is_left_out = ((rows == 4) | (columns == 4)).any(1) & ~((rows == 4) & (columns == 4)).any(1)
    faces = dome.faces[~is_left_out]
    uvs, uv_faces = disk_atlas(dome.vertices, faces)
    assert len(uvs) > dome.count
    assert count_flipped(uvs, uv_faces) == 0
    owner = np.full(len(uvs), -1)
    owner[uv_faces] = faces
    assert np.array_equal(owner[uv_faces], faces)


def test_an_edge_of_three_triangles_is_cut_open(dome, count_flipped):
    vertices = np.concatenate([dome.vertices, [[0.0, 0.0, 0.2]]])
    inner = np.flatnonzero((dome.faces == 40).any(1))[0]
    extra = np.array([[dome.faces[inner, 1], dome.faces[inner, 0], dome.count]])
    faces = np.concatenate([dome.faces, extra])
    uvs, uv_faces = disk_atlas(vertices, faces)
    assert count_flipped(uvs, uv_faces) == 0
    assert len(uvs) > len(vertices)
