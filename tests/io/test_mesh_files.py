from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from facelume.errors import AssetError
from facelume.io.obj import read_obj_geometry, read_obj_vertices, save_obj
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


def test_obj_comes_back_with_vertices_on_a_seam_kept_whole(tmp_path: Path) -> None:
    """Two triangles that share an edge in space and not in the atlas: 4 vertices, 6 atlas points."""
    vertices = np.array([[-0.1, 0.1, 0], [-0.1, -0.1, 0], [0.1, -0.1, 0], [0.1, 0.1, 0]], np.float32)
    uvs = np.array([[0, 0], [0, 0.4], [0.4, 0.4], [0.5, 0.5], [1, 1], [1, 0.5]], np.float32)
    mesh = Mesh(vertices, np.array([[0, 1, 2], [0, 2, 3]]), uvs, np.array([[0, 1, 2], [3, 4, 5]]))
    normals = np.tile(np.array([[0, 0, 1]], np.float32), (4, 1))
    save_obj(tmp_path / "mesh.obj", mesh, normals, np.array([0, 0]), "albedo.png")
    found = read_obj_geometry(tmp_path / "mesh.obj")
    np.testing.assert_allclose(found.vertices, vertices, atol=1e-6)
    np.testing.assert_allclose(found.uvs, uvs * [1, -1] + [0, 1], atol=1e-6)
    np.testing.assert_array_equal(found.triangles, mesh.faces)
    np.testing.assert_array_equal(found.uv_triangles, mesh.uv_faces)
    np.testing.assert_array_equal(read_obj_vertices(tmp_path / "mesh.obj"), found.vertices)


def test_obj_polygons_become_fans_and_negative_indices_count_back(tmp_path: Path) -> None:
    quad = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
    (tmp_path / "a.obj").write_text(f"{quad}f 1//1 2//1 3//1 4//1\n{quad}f -4 -3 -1\nv 9 9 9\n")
    found = read_obj_geometry(tmp_path / "a.obj")
    assert found.vertices.shape == (9, 3)
    assert found.triangles.tolist() == [[0, 1, 2], [0, 2, 3], [4, 5, 7]]
    assert found.uv_triangles.shape == (0, 3)


@pytest.mark.parametrize(
    "line", ["f 1 2 4", "f 0 1 2", "f 1 2 -4", "f 1/1 2/1 3/2", "f 1 2 x", "v 1 2 three"]
)
def test_damaged_obj_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.obj").write_text(f"v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\n{line}\n")
    with pytest.raises(AssetError, match=r"a\.obj is not a readable OBJ file"):
        read_obj_geometry(tmp_path / "a.obj")


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
