"""ICT-FaceKit: a folder of OBJ files, in miniature."""

import json

import numpy as np
import pytest
import torch

from facelume.errors import AssetError
from facelume.face_model.licensed.ict import OFFICIAL_LAYOUT, IctLayout, load_ict, pack_tiles

NAMES = ["browDown_L", "jawOpen", "mouthSmile_R"]
NUM_FACE = 81
LAYOUT = IctLayout(
    num_vertices=NUM_FACE + 15,
    narrow_face=(0, NUM_FACE),
    mouth=(),
    upper_teeth=(NUM_FACE, NUM_FACE + 3),
    lower_teeth=(NUM_FACE + 3, NUM_FACE + 3),
    left_eye=(NUM_FACE + 3, NUM_FACE + 7),
    right_eye=(NUM_FACE + 7, NUM_FACE + 11),
    accessories_from=NUM_FACE + 11,
    landmarks68=tuple(range(68)),
)
LEFT_EYE, RIGHT_EYE = np.array([0.03, 0.02, 0.01]), np.array([-0.03, 0.02, 0.01])
BALL = np.array([[0.012, 0, 0], [-0.012, 0, 0], [0, 0.012, 0.012], [0, -0.012, -0.012]])


@pytest.fixture
def truth(dome, rng):
    """Metres: face, three corners of a tooth, two eyeballs, four vertices of lashes."""
    tooth = np.array([[0, -0.05, 0.02], [0.01, -0.05, 0.02], [0, -0.04, 0.02]])
    parts = [dome.vertices, tooth, BALL + LEFT_EYE, BALL + RIGHT_EYE, np.zeros((4, 3))]
    return {
        "neutral": np.concatenate(parts),
        "identity": rng.normal(0, 1e-3, (3, LAYOUT.num_vertices, 3)),
        "expression": rng.normal(0, 1e-3, (3, LAYOUT.num_vertices, 3)),
    }


@pytest.fixture
def folder(tmp_path, dome, truth):
    """Quads for the face in the first tile, the rest in the ninth."""
    quads = dome.faces[: len(dome.faces) // 2].tolist()
    corner_d = dome.faces[len(dome.faces) // 2 :, 2].tolist()
    polygons = [[*quad, d] for quad, d in zip(quads, corner_d, strict=True)]
    polygons += [[81, 82, 83], [84, 85, 86], [88, 90, 89], [92, 93, 94, 95]]
    lines = ["mtllib m.mtl", *(f"v {x:.9f} {y:.9f} {z:.9f}" for x, y, z in truth["neutral"] * 100)]
    lines += [f"vt {0.5 + x * 5:.6f} {0.5 + y * 4:.6f}" for x, y, _ in truth["neutral"][:NUM_FACE]]
    lines += [f"vt {8.1 + 0.05 * k:.6f} {0.2 + 0.01 * k:.6f}" for k in range(15)]
    lines += ["usemtl M_Face", *("f " + " ".join(f"{i + 1}/{i + 1}" for i in p) for p in polygons)]
    place = tmp_path / "FaceXModel"
    place.mkdir()
    (place / "generic_neutral_mesh.obj").write_text("\n".join(lines) + "\n")
    (place / "vertex_indices.json").write_text(json.dumps({"expressions": NAMES, "incompatibilities": []}))
    targets = [(f"identity{k:03d}", offset) for k, offset in enumerate(truth["identity"])]
    for name, offset in [*targets, *zip(NAMES, truth["expression"], strict=True)]:
        moved = (truth["neutral"] + offset) * 100
        (place / f"{name}.obj").write_text("".join(f"v {x:.9f} {y:.9f} {z:.9f}\n" for x, y, z in moved))
    return tmp_path


def test_values_units_and_axes(folder, truth, load_quietly):
    model = load_quietly(load_ict, folder, layout=LAYOUT)
    origin = torch.tensor([0.0, 0.02, 0.01 - 0.05])
    neutral = torch.tensor(truth["neutral"]).float()
    torch.testing.assert_close(model.mean_shape + origin, neutral, atol=1e-6, rtol=0)
    identity = model.shape(torch.eye(3), torch.zeros(3, 3)) - model.mean_shape
    expression = model.shape(torch.zeros(3, 3), torch.eye(3)) - model.mean_shape
    torch.testing.assert_close(identity, torch.tensor(truth["identity"]).float(), atol=1e-7, rtol=1e-4)
    torch.testing.assert_close(expression, torch.tensor(truth["expression"]).float(), atol=1e-7, rtol=1e-4)


def test_expressions_carry_arkit_names_and_limits(folder, load_quietly):
    model = load_quietly(load_ict, folder, layout=LAYOUT)
    assert model.expression_names == ("browDownLeft", "jawOpen", "mouthSmileRight")
    assert model.expression_limits.tolist() == [[0, 1]] * 3


def test_parts_front_landmarks_and_no_albedo(folder, load_quietly):
    model = load_quietly(load_ict, folder, layout=LAYOUT)
    assert model.topology.face_part.tolist() == [0] * 128 + [4, 1, 2]
    assert model.topology.face_front.tolist() == [True] * 128 + [False, True, True]
    assert len(model.topology.faces) == 131
    points = model.points_on_surface(model.mean_shape, model.landmarks68)
    assert torch.equal(points, model.mean_shape[:68])
    with pytest.raises(AssetError, match="no albedo"):
        model.albedo_map(torch.zeros(0))


def test_tiles_are_packed_without_overlap(folder, load_quietly):
    model = load_quietly(load_ict, folder, layout=LAYOUT)
    uvs = model.topology.uvs
    assert uvs.min() >= 0
    assert uvs.max() <= 1
    face, rest = uvs[model.topology.uv_faces[:128]], uvs[model.topology.uv_faces[128:]]
    assert face.max() <= 0.5
    assert rest[..., 0].min() >= 0.5
    assert (
        face[..., 1].flatten().argmin()
        == model.mean_shape[model.topology.faces[:128]][..., 1].flatten().argmax()
    )


def test_eight_small_tiles_leave_the_face_four_fifths():
    rng = np.random.default_rng(1)
    inside = rng.uniform(0.01, 0.99, (9, 3, 2))
    uvs = (inside + np.stack([np.arange(9), np.zeros(9)], 1)[:, None]).reshape(-1, 2)
    faces = np.arange(27).reshape(9, 3)
    packed = pack_tiles(uvs, faces, np.arange(9) == 0)
    np.testing.assert_allclose(packed[:3], (inside[0] * (1, -1) + (0, 1)) * 0.8)
    cells = {tuple(cell) for cell in np.floor(packed.reshape(9, 3, 2)[1:].mean(1) * 5).astype(int)}
    assert len(cells) == 8
    assert all(max(cell) == 4 for cell in cells)


def test_one_tile_keeps_the_whole_square():
    uvs = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 1.0]])
    packed = pack_tiles(uvs, np.array([[0, 1, 2]]), np.array([True]))
    np.testing.assert_allclose(packed, [[0, 1], [1, 1], [0.5, 0]])


def test_the_published_layout_is_consistent():
    layout = OFFICIAL_LAYOUT
    assert len(layout.landmarks68) == 68
    assert max(layout.landmarks68) < layout.narrow_face[1]
    assert layout.upper_teeth[1] == layout.lower_teeth[0]
    assert layout.left_eye[1] - layout.left_eye[0] == layout.right_eye[1] - layout.right_eye[0] == 1570
    assert layout.right_eye[1] == layout.accessories_from < layout.num_vertices


def test_another_mesh_is_refused(folder):
    with pytest.raises(AssetError, match=r"has 96 vertices .* not 26719"):
        load_ict(folder)


def test_missing_and_wrong_targets_are_refused(folder):
    place = folder / "FaceXModel"
    (place / "identity001.obj").write_text("v 0 0 0\n")
    with pytest.raises(AssetError, match=r"identity001.obj has 1 vertices"):
        load_ict(folder, layout=LAYOUT)
    (place / "jawOpen.obj").unlink()
    with pytest.raises(AssetError, match=r"lacks jawOpen.obj in .*github.com/ICT-VGL"):
        load_ict(folder, layout=LAYOUT)
    (place / "generic_neutral_mesh.obj").write_text("v 1 2 three\nf 1 2 3\n")
    with pytest.raises(AssetError, match="not a readable OBJ"):
        load_ict(folder, layout=LAYOUT)
