import numpy as np
import pytest

from facelume.geometry import TriangleSurface, closest_on_triangles


@pytest.fixture
def triangles() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 1, 3)) + 0.3 * rng.normal(size=(40, 3, 3))


def sampled(triangles: np.ndarray, steps: int = 60) -> np.ndarray:
    """Points all over each triangle."""
    grid = np.linspace(0, 1, steps)
    v, w = (axis.reshape(-1) for axis in np.meshgrid(grid, grid))
    inside = v + w <= 1
    bary = np.stack([1 - v - w, v, w], axis=1)[inside]
    return np.einsum("pk,fkd->fpd", bary, triangles)


def test_no_point_of_any_triangle_is_nearer(triangles):
    points = np.random.default_rng(1).normal(size=(50, 3)) * 1.5
    face, bary = closest_on_triangles(points, triangles)
    found = np.linalg.norm(TriangleSurface(triangles).at(face, bary) - points, axis=1)
    others = np.linalg.norm(sampled(triangles)[None] - points[:, None, None], axis=-1).min(axis=(1, 2))
    assert (bary >= 0).all()
    np.testing.assert_allclose(bary.sum(axis=1), 1, atol=1e-12)
    assert (found <= others + 1e-12).all()
    assert (others - found < 0.02).all()


def test_a_point_of_the_surface_is_its_own_nearest(triangles):
    bary = np.random.default_rng(2).dirichlet(np.ones(3), size=40)
    points = np.einsum("fkd,fk->fd", triangles, bary)
    surface = TriangleSurface(triangles)
    np.testing.assert_allclose(surface.at(*surface.closest(points)), points, atol=1e-9)


def test_many_points_are_answered_as_one_by_one(triangles):
    points = np.random.default_rng(3).normal(size=(5000, 3))
    surface = TriangleSurface(triangles)
    face, bary = surface.closest(points)
    for row in (0, 4095, 4096, 4999):
        alone_face, alone_bary = surface.closest(points[row : row + 1])
        assert alone_face[0] == face[row]
        np.testing.assert_allclose(alone_bary[0], bary[row])
