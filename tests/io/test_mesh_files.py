from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from facelume.io.obj import save_obj
from facelume.io.ply import save_ply, vertex_colours
from facelume.types import Mesh


@pytest.fixture
def quad() -> Mesh:
    """A 0.2 m square; its top-left corner has UV (0, 0)."""
    vertices = np.array([[-0.1, 0.1, 0], [-0.1, -0.1, 0], [0.1, -0.1, 0], [0.1, 0.1, 0]], np.float32)
    uvs = np.array([[0, 0], [0, 1], [1, 1], [1, 0]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return Mesh(vertices, faces, uvs, faces)


@pytest.fixture
def texture() -> np.ndarray:
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[0, 0] = [250, 10, 20]
    pixels[3, 3] = [5, 240, 30]
    return pixels


def test_obj_texture_is_upright(tmp_path: Path, quad: Mesh, texture: np.ndarray) -> None:
    Image.fromarray(texture).save(tmp_path / "albedo.png")
    normals = np.tile(np.array([[0, 0, 1]], np.float32), (4, 1))
    save_obj(tmp_path / "mesh.obj", quad, normals, np.array([0, 0]), "albedo.png")
    loaded = trimesh.load(tmp_path / "mesh.obj", process=False, force="mesh")
    assert len(loaded.faces) == 2
    corner = np.flatnonzero(np.isclose(loaded.vertices, quad.vertices[0]).all(axis=1))[0]
    colour = loaded.visual.to_color().vertex_colors[corner]
    assert colour[:3].tolist() == [250, 10, 20]
    assert "map_Kd albedo.png" in (tmp_path / "mesh.mtl").read_text()


def test_obj_groups_by_part(tmp_path: Path, quad: Mesh) -> None:
    normals = np.tile(np.array([[0, 0, 1]], np.float32), (4, 1))
    save_obj(tmp_path / "mesh.obj", quad, normals, np.array([1, 5]), "albedo.png")
    text = (tmp_path / "mesh.obj").read_text()
    assert "usemtl eyes\nf 1/1/1 2/2/2 3/3/3\n" in text
    assert "usemtl mouth\nf 1/1/1 3/3/3 4/4/4\n" in text
    assert "usemtl skin" not in text


def test_ply_keeps_positions_normals_and_colours(tmp_path: Path, quad: Mesh, texture: np.ndarray) -> None:
    normals = np.tile(np.array([[0, 0, 1]], np.float32), (4, 1))
    colours = vertex_colours(quad, texture)
    assert colours[0].tolist() == [250, 10, 20]
    assert colours[2].tolist() == [5, 240, 30]
    save_ply(tmp_path / "mesh.ply", quad, normals, colours)
    loaded = trimesh.load(tmp_path / "mesh.ply", process=False)
    np.testing.assert_array_equal(loaded.vertices.astype(np.float32), quad.vertices)
    np.testing.assert_array_equal(loaded.faces, quad.faces)
    np.testing.assert_array_equal(loaded.visual.vertex_colors[:, :3], colours)
    np.testing.assert_allclose(loaded.vertex_normals, normals)
