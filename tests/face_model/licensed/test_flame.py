"""FLAME 2020 and 2023: pickled model with chumpy and sparse arrays, textures, landmarks, in miniature."""

import os
import pickle  # noqa: TID251 - writes the official files in miniature
import sys
import types

import numpy as np
import pytest
import torch
from scipy import sparse

from facelume.errors import AssetError
from facelume.face_model.licensed.flame import FLAME2020, FLAME2023, load_flame
from facelume.reflectance import linear_from_srgb

LEFT_EYE, RIGHT_EYE, JAW = (
    np.array([0.03, 0.02, 0.03]),
    np.array([-0.03, 0.02, 0.03]),
    np.array([0.0, -0.01, 0.0]),
)
RED_FIRST = np.array([0.6, 0.4, 0.3])


@pytest.fixture
def content(dome, rng):
    """The dict of the official pickle: face, two tetrahedra as eyeballs, 300 + 100 directions, 5 joints."""
    ball = np.array([[0, 0, 0.01], [0, 0.01, -0.005], [0.01, -0.005, -0.005], [-0.01, -0.005, -0.005]])
    shell = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])[:, ::-1]
    n = dome.count
    vertices = np.concatenate([dome.vertices, ball + LEFT_EYE, ball + RIGHT_EYE])
    weights = np.zeros((len(vertices), 5))
    weights[:n, 1] = 1
    weights[n - 27 : n, 1], weights[n - 27 : n, 2] = 0.25, 0.75
    weights[n : n + 4, 3] = 1
    weights[n + 4 :, 4] = 1
    regressor = np.zeros((5, len(vertices)))
    for joint, place in enumerate([np.zeros(3), np.zeros(3), JAW, LEFT_EYE, RIGHT_EYE]):
        system = np.vstack([vertices.T, np.ones(len(vertices))])
        regressor[joint] = np.linalg.pinv(system) @ np.append(place, 1)
    return {
        "v_template": vertices,
        "f": np.concatenate([dome.faces, shell + n, shell + n + 4]).astype(np.uint32),
        "shapedirs": rng.normal(0, 1e-3, (len(vertices), 3, 400)),
        "posedirs": rng.normal(0, 1e-3, (len(vertices), 3, 36)),
        "weights": weights,
        "J_regressor": regressor,
        "J": regressor @ vertices,
        "kintree_table": np.array([[4294967295, 0, 1, 1, 1], [0, 1, 2, 3, 4]]),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }


def write_pickle(path, content, monkeypatch):
    """As chumpy and an old scipy wrote it under Python 2: protocol 2, ``chumpy.ch.Ch`` inside."""
    module = types.ModuleType("chumpy.ch")
    module.Ch = type("Ch", (), {"__module__": "chumpy.ch"})
    monkeypatch.setitem(sys.modules, "chumpy.ch", module)
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    wrapped = module.Ch()
    wrapped.__dict__.update(x=content["shapedirs"], _dirty_vars={"x"}, _itr=None, _depends_on_deps=[])
    pickled = content | {"shapedirs": wrapped, "J_regressor": sparse.csc_matrix(content["J_regressor"])}
    stream = pickle.dumps(pickled, 2)
    path.write_bytes(
        stream.replace(b"numpy._core", b"numpy.core").replace(b"scipy.sparse._csc\n", b"scipy.sparse.csc\n")
    )
    monkeypatch.undo()


def texture(content, *, blue_first=True, scale=255.0, names=("mean", "tex_dir")):
    """An 8 x 8 texture of one colour with two components, and an atlas that fills the square."""
    colour = RED_FIRST[::-1] if blue_first else RED_FIRST
    mean = np.broadcast_to(colour * scale, (8, 8, 3))
    directions = np.stack([np.full((8, 8, 3), 0.01 * scale), np.zeros((8, 8, 3))], -1)
    xy = content["v_template"][:, :2]
    vt = (xy - xy.min(0)) / np.ptp(xy, axis=0)
    return {names[0]: mean, names[1]: directions, "vt": vt, "ft": content["f"]}


@pytest.fixture
def folder(tmp_path, content, monkeypatch):
    write_pickle(tmp_path / "generic_model.pkl", content, monkeypatch)
    np.savez(tmp_path / "FLAME_texture.npz", **texture(content))
    return tmp_path


def test_values_units_and_axes(folder, content, load_quietly):
    model = load_quietly(load_flame, FLAME2020, folder)
    origin = torch.tensor([0.0, 0.02, 0.03 - 0.05])
    vertices = torch.tensor(content["v_template"]).float()
    torch.testing.assert_close(model.mean_shape + origin, vertices, atol=1e-6, rtol=0)
    assert (model.num_identity, model.num_expression, model.num_albedo) == (80, 64 + 11, 2)
    identity = model.shape(torch.eye(80), torch.zeros(80, 75)) - model.mean_shape
    expression = model.shape(torch.zeros(64, 80), torch.eye(75)[:64]) - model.mean_shape
    directions = torch.tensor(np.moveaxis(content["shapedirs"], -1, 0)).float()
    torch.testing.assert_close(identity, directions[:80], atol=1e-7, rtol=1e-4)
    torch.testing.assert_close(expression, directions[300:364], atol=1e-7, rtol=1e-4)
    assert torch.equal(model.topology.faces, torch.tensor(content["f"].astype(np.int64)))
    assert model.topology.face_part.bincount().tolist() == [128, 4, 4]


def test_a_plain_npz_gives_the_same_model(folder, tmp_path, content, load_quietly):
    other = tmp_path / "npz"
    other.mkdir()
    np.savez(other / "generic_model.npz", **content)
    np.savez(other / "FLAME_texture.npz", **texture(content))
    plain = load_quietly(load_flame, FLAME2020, other)
    pickled = load_quietly(load_flame, FLAME2020, folder)
    assert torch.equal(plain.linear.basis, pickled.linear.basis)
    torch.testing.assert_close(plain.linear.mean, pickled.linear.mean)


@pytest.mark.parametrize(
    ("name", "joint", "axis", "angle"),
    [
        ("jawOpen", 2, 0, 0.35),
        ("jawLeft", 2, 1, 0.08),
        ("eyeLookUpLeft", 3, 0, -0.4),
        ("eyeLookInRight", 4, 1, 0.4),
    ],
)
def test_joint_poses_are_exact_at_strength_one(folder, content, load_quietly, name, joint, axis, angle):
    model = load_quietly(load_flame, FLAME2020, folder)
    which = model.expression_names.index(name)
    moved = (model.shape(torch.zeros(80), torch.eye(75)[which]) - model.mean_shape).numpy()
    c, s = np.cos(angle), np.sin(angle)
    about_x, about_y = [[1, 0, 0], [0, c, -s], [0, s, c]], [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    rotation = np.array([about_x, about_y][axis])
    correctives = content["posedirs"][:, :, 9 * (joint - 1) : 9 * joint] @ (rotation - np.eye(3)).ravel()
    posed = content["v_template"] + correctives
    centre = (JAW, LEFT_EYE, RIGHT_EYE)[joint - 2]
    weight = content["weights"][:, joint, None]
    expected = (
        (1 - weight) * posed + weight * ((posed - centre) @ rotation.T + centre) - content["v_template"]
    )
    np.testing.assert_allclose(moved, expected, atol=1e-6)
    assert model.expression_limits[which].tolist() == [0, 1]
    assert torch.isinf(model.expression_limits[:64]).all()


def test_joint_poses_go_the_way_their_names_say(folder, content, load_quietly):
    content["posedirs"] *= 0
    np.savez(folder / "generic_model.npz", **content)
    (folder / "generic_model.pkl").unlink()
    model = load_quietly(load_flame, FLAME2020, folder)
    chin, left_pupil, right_pupil = 76, 81, 85

    def motion(name, vertex):
        which = model.expression_names.index(name)
        return model.shape(torch.zeros(80), torch.eye(75)[which])[vertex] - model.mean_shape[vertex]

    assert motion("jawOpen", chin)[1] < -0.001
    assert motion("jawLeft", chin)[0] > 0.001
    assert motion("jawRight", chin)[0] < -0.001
    assert motion("eyeLookUpLeft", left_pupil)[1] > 0.001
    assert motion("eyeLookDownRight", right_pupil)[1] < -0.001
    assert motion("eyeLookOutLeft", left_pupil)[0] > 0.001
    assert motion("eyeLookInLeft", left_pupil)[0] < -0.001
    assert motion("eyeLookInRight", right_pupil)[0] > 0.001
    assert motion("eyeLookOutRight", right_pupil)[0] < -0.001


@pytest.mark.parametrize("blue_first", [True, False])
def test_the_texture_space_is_srgb_of_either_channel_order(folder, content, load_quietly, blue_first):
    np.savez(folder / "FLAME_texture.npz", **texture(content, blue_first=blue_first))
    model = load_quietly(load_flame, FLAME2020, folder)
    mean = linear_from_srgb(torch.tensor(RED_FIRST).float())
    torch.testing.assert_close(model.mean_albedo[:, 128, 128], mean, atol=1e-5, rtol=0)
    change = model.albedo_map(torch.tensor([0.1, 0.0]))[:, 128, 128] - mean
    exact = linear_from_srgb(torch.tensor(RED_FIRST + 0.001).float()) - mean
    torch.testing.assert_close(change, exact, atol=2e-6, rtol=2e-3)


def test_albedomm_is_linear_and_comes_first(folder, content, load_quietly):
    albedo = texture(content, scale=1.0, names=("MU", "PC"))
    np.savez(
        folder / "albedoModel2020_FLAME_albedoPart.npz", specMU=albedo["MU"], specPC=albedo["PC"], **albedo
    )
    model = load_quietly(load_flame, FLAME2020, folder)
    torch.testing.assert_close(
        model.mean_albedo[:, 60, 60], torch.tensor(RED_FIRST).float(), atol=1e-5, rtol=0
    )
    change = model.albedo_map(torch.tensor([1.0, 0.0]))[:, 60, 60] - model.mean_albedo[:, 60, 60]
    torch.testing.assert_close(change, torch.full((3,), 0.01), atol=1e-5, rtol=0)


def test_the_atlas_is_counted_from_the_top(folder, content, load_quietly):
    model = load_quietly(load_flame, FLAME2020, folder)
    vt = texture(content)["vt"]
    torch.testing.assert_close(model.topology.uvs, torch.tensor(vt * (1, -1) + (0, 1)).float())


def test_the_template_brings_the_atlas_where_there_is_no_texture(folder, content, load_quietly):
    (folder / "FLAME_texture.npz").unlink()
    vt = texture(content)["vt"]
    lines = [f"v {x} {y} {z}" for x, y, z in content["v_template"]] + [f"vt {u:.6f} {v:.6f}" for u, v in vt]
    lines += ["f " + " ".join(f"{i + 1}/{i + 1}" for i in face) for face in content["f"].astype(int)]
    (folder / "head_template.obj").write_text("\n".join(lines))
    model = load_quietly(load_flame, FLAME2020, folder)
    assert model.albedo is None
    torch.testing.assert_close(model.topology.uvs[:, 0], torch.tensor(vt[:, 0]).float(), atol=1e-6, rtol=0)
    with pytest.raises(AssetError, match="no albedo"):
        model.albedo_map(torch.zeros(0))


def test_landmarks_and_masks(folder, content, rng, load_quietly):
    index = rng.integers(0, 128, 68)
    weights = rng.dirichlet([1, 1, 1], 68)
    embedding = {"full_lmk_faces_idx": index[None], "full_lmk_bary_coords": weights[None]}
    np.save(folder / "landmark_embedding.npy", embedding, allow_pickle=True)
    is_face = np.abs(content["v_template"][:81, 0]) < 0.05
    masks = {
        "face": np.flatnonzero(is_face),
        "left_eyeball": np.arange(81, 85),
        "right_eyeball": np.arange(85, 89),
    }
    (folder / "FLAME_masks.pkl").write_bytes(pickle.dumps(masks, 2))
    model = load_quietly(load_flame, FLAME2020, folder)
    points = model.points_on_surface(model.mean_shape, model.landmarks68).numpy()
    corners = model.mean_shape.numpy()[content["f"].astype(int)[index]]
    np.testing.assert_allclose(points, (corners * weights[..., None]).sum(1), atol=1e-6)
    expected = np.append(is_face, np.ones(8, bool))[content["f"].astype(int)].all(1)
    assert np.array_equal(model.topology.face_front.numpy(), expected)


class Runs:
    def __init__(self, trace):
        self.trace = str(trace)

    def __reduce__(self):
        return os.mkdir, (self.trace,)


@pytest.mark.parametrize("name", ["generic_model.pkl", "FLAME_masks.pkl"])
def test_a_malicious_file_is_refused(folder, tmp_path, name):
    (folder / name).write_bytes(pickle.dumps({"v_template": Runs(tmp_path / "trace")}, 2))
    with pytest.raises(AssetError, match=r"mkdir"):
        load_flame(FLAME2020, folder)
    assert not (tmp_path / "trace").exists()


def test_pickled_arrays_in_an_npz_are_refused(folder):
    np.savez(folder / "FLAME_texture.npz", mean=np.array({"a": 1}, dtype=object))
    with pytest.raises(AssetError, match="not a readable npz"):
        load_flame(FLAME2020, folder)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("weights", np.zeros((3, 5)), r"weights in .* has shape \(3, 5\)"),
        ("shapedirs", np.zeros((89, 3, 300)), r"300 \+ expressions"),
        ("f", np.zeros((4, 3), np.int64), r"136 triangles"),
    ],
)
def test_wrong_shapes_are_refused(folder, content, key, value, message):
    np.savez(folder / "generic_model.npz", **(content | {key: value}))
    (folder / "generic_model.pkl").unlink()
    with pytest.raises(AssetError, match=message):
        load_flame(FLAME2020, folder)


def test_flame_2023_has_its_own_file_names(folder, load_quietly):
    with pytest.raises(AssetError, match=r"'flame2023' lacks flame2023.pkl or flame2023_Open.pkl"):
        load_flame(FLAME2023, folder)
    (folder / "generic_model.pkl").rename(folder / "flame2023_Open.pkl")
    assert load_quietly(load_flame, FLAME2023, folder).name == "flame2023"
