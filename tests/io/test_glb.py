import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pygltflib
import pytest
import trimesh
from PIL import Image

from facelume.io.glb import RiggedFace, encode_glb
from facelume.types import Mesh

_TARGETS = tuple(f"target{index}" for index in range(52))


def _rigged() -> RiggedFace:
    sphere = trimesh.creation.icosphere(subdivisions=3, radius=0.1)
    vertices = np.asarray(sphere.vertices, np.float32)
    faces = np.asarray(sphere.faces, np.int64)
    uvs = np.stack([0.5 + 4 * vertices[:, 0], 0.5 - 4 * vertices[:, 1]], axis=1).astype(np.float32)
    part = np.zeros(len(faces), np.int64)
    centres = vertices[faces].mean(axis=1)
    part[centres[:, 1] > 0.08] = 1
    part[centres[:, 1] < -0.08] = 3
    part[centres[:, 1] < -0.09] = 5
    normals = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    generator = np.random.default_rng(0)
    deltas = np.zeros((52, len(vertices), 3), np.float32)
    for index in range(52):
        moved = generator.choice(len(vertices), 20, replace=False)
        deltas[index, moved] = generator.normal(0, 0.002, (20, 3))
    target_normals = np.repeat(normals[None], 52, axis=0)
    target_normals[0, :5] = [0, 1, 0]
    weights = np.zeros(52, np.float32)
    weights[3] = 0.5
    albedo = generator.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    return RiggedFace(
        Mesh(vertices, faces, uvs, faces), normals, part, _TARGETS, deltas, target_normals, weights, albedo
    )


@pytest.fixture(scope="module")
def rigged() -> RiggedFace:
    return _rigged()


def _read_sparse(document: pygltflib.GLTF2, index: int) -> np.ndarray:
    accessor = document.accessors[index]
    assert accessor.bufferView is None
    values = np.zeros((accessor.count, 3), np.float32)
    if accessor.sparse is not None:
        blob = document.binary_blob()
        view = document.bufferViews[accessor.sparse.indices.bufferView]
        rows = np.frombuffer(blob, np.uint16, accessor.sparse.count, view.byteOffset)
        view = document.bufferViews[accessor.sparse.values.bufferView]
        values[rows] = np.frombuffer(blob, np.float32, accessor.sparse.count * 3, view.byteOffset).reshape(
            -1, 3
        )
    return values


def test_structure_names_weights_and_materials(rigged: RiggedFace) -> None:
    document = pygltflib.GLTF2.load_from_bytes(encode_glb(rigged))
    mesh = document.meshes[0]
    assert mesh.extras["targetNames"] == list(_TARGETS)
    assert mesh.weights == pytest.approx(list(rigged.weights))
    assert [m.name for m in document.materials] == ["skin", "eyes", "mouth"]
    for material in document.materials:
        assert material.pbrMetallicRoughness.metallicFactor == 0
        assert material.doubleSided is False
    assert [p.material for p in mesh.primitives] == [0, 1, 2]
    assert all(len(p.targets) == 52 for p in mesh.primitives)
    triangles = sum(document.accessors[p.indices].count // 3 for p in mesh.primitives)
    assert triangles == len(rigged.neutral.faces)


def test_morph_targets_are_sparse_and_true(rigged: RiggedFace) -> None:
    document = pygltflib.GLTF2.load_from_bytes(encode_glb(rigged))
    blob = document.binary_blob()
    found = np.zeros_like(rigged.target_deltas)
    seen = np.zeros(len(rigged.neutral.vertices), bool)
    for primitive in document.meshes[0].primitives:
        accessor = document.accessors[primitive.attributes.POSITION]
        start = document.bufferViews[accessor.bufferView].byteOffset
        positions = np.frombuffer(blob, np.float32, accessor.count * 3, start).reshape(-1, 3)
        rows = [np.flatnonzero((rigged.neutral.vertices == p).all(axis=1))[0] for p in positions]
        seen[rows] = True
        for index, target in enumerate(primitive.targets):
            found[index, rows] = _read_sparse(document, target["POSITION"])
    assert seen.all()
    np.testing.assert_allclose(found, rigged.target_deltas, atol=2.1e-5)


def test_texture_is_the_albedo_losslessly(rigged: RiggedFace) -> None:
    document = pygltflib.GLTF2.load_from_bytes(encode_glb(rigged))
    image = document.images[0]
    view = document.bufferViews[image.bufferView]
    data = document.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength]
    assert image.mimeType == "image/png"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), rigged.albedo_srgb)


def test_small_budget_takes_smaller_variants(rigged: RiggedFace) -> None:
    sizes = [len(encode_glb(rigged, max_bytes=limit)) for limit in (10**9, 0)]
    assert sizes[0] > sizes[1]
    document = pygltflib.GLTF2.load_from_bytes(encode_glb(rigged, max_bytes=0))
    assert document.images[0].mimeType == "image/jpeg"
    assert "NORMAL" not in document.meshes[0].primitives[0].targets[0]


def test_trimesh_reads_it_upright_in_metres(rigged: RiggedFace, tmp_path: Path) -> None:
    path = tmp_path / "face.glb"
    path.write_bytes(encode_glb(rigged))
    scene = trimesh.load(path)
    np.testing.assert_allclose(scene.bounds[1] - scene.bounds[0], 0.2, rtol=0.02)
    eyes = next(g for g in scene.geometry.values() if g.visual.material.name == "eyes")
    assert eyes.vertices[:, 1].min() > 0.06
    merged = scene.to_geometry()
    merged.merge_vertices(merge_tex=True, merge_norm=True)
    assert merged.volume > 0  # triangles wind counter-clockwise seen from outside


def test_khronos_validator_finds_nothing(
    rigged: RiggedFace, tmp_path: Path, gltf_issues: Callable[[Path], dict]
) -> None:
    path = tmp_path / "face.glb"
    path.write_bytes(encode_glb(rigged))
    issues = gltf_issues(path)
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]
