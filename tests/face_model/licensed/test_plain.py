import numpy as np
import pytest
import torch

from facelume.errors import AssetError, UsageError
from facelume.face_model.licensed.plain import PLAIN_NAME
from facelume.face_model.sources import face_model_source, load_face_model
from facelume.types import FacePart

EYES = np.array([0.0, 0.02, 0.0])


@pytest.fixture
def arrays(dome, rng):
    return {
        "mean": dome.vertices,
        "identity": rng.normal(0, 1e-3, (4, dome.count, 3)),
        "faces": dome.faces,
        "eyes_middle": EYES,
    }


def written(folder, arrays):
    np.savez(folder / PLAIN_NAME, **arrays)
    return str(folder)


def test_values_and_axes(tmp_path, arrays, load_quietly):
    model = load_quietly(load_face_model, written(tmp_path, arrays))
    assert model.name == str(tmp_path.resolve()) == face_model_source(str(tmp_path)).name
    origin = torch.tensor([0.0, 0.02, -0.05])
    mean = torch.tensor(arrays["mean"]).float()
    torch.testing.assert_close(model.mean_shape + origin, mean, atol=1e-6, rtol=0)
    moved = model.shape(torch.eye(4), torch.zeros(4, 0)) - model.mean_shape
    torch.testing.assert_close(moved, torch.tensor(arrays["identity"]).float(), atol=1e-7, rtol=1e-4)
    assert model.num_expression == model.num_albedo == 0


def test_what_is_optional_is_read(tmp_path, arrays, dome, rng, load_quietly):
    ball = np.array([[0, 0, 0.01], [0, 0.01, -0.005], [0.01, -0.005, -0.005], [-0.01, -0.005, -0.005]])
    shell = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])[:, ::-1]
    n, sides = dome.count, np.array([[0.03, 0.02, 0.03], [-0.03, 0.02, 0.03]])
    count = n + 8
    full = {
        "mean": np.concatenate([dome.vertices, ball + sides[0], ball + sides[1]]),
        "identity": rng.normal(0, 1e-3, (2, count, 3)),
        "faces": np.concatenate([dome.faces, shell + n, shell + n + 4]),
        "face_part": np.repeat(
            [FacePart.SKIN, FacePart.LEFT_EYE, FacePart.RIGHT_EYE], [len(dome.faces), 4, 4]
        ),
        "expression": rng.normal(0, 1e-3, (2, count, 3)),
        "expression_names": np.array(["jawOpen", "mine"]),
        "expression_limits": np.array([[0.0, 1.0], [-2.0, 2.0]]),
        "colour_mean": np.full((count, 3), (0.5, 0.3, 0.2)),
        "colour_basis": rng.normal(0, 0.01, (3, count, 3)),
        "licence": np.array("CC0, drawn by the tests"),
    }
    uv = full["mean"][:, :2]
    full |= {"uvs": (uv - uv.min(0)) / np.ptp(uv, axis=0), "uv_faces": full["faces"]}
    model = load_quietly(load_face_model, written(tmp_path, full))
    assert model.expression_names == ("jawOpen", "mine")
    assert model.expression_limits.tolist() == [[0.0, 1.0], [-2.0, 2.0]]
    assert model.num_albedo == 3
    assert model.licence.startswith("CC0, drawn by the tests")
    assert set(model.topology.face_part.tolist()) == {0, 1, 2}
    middle = model.mean_shape[torch.tensor([n, n + 1, n + 2, n + 3])]
    assert abs(float((middle.amin(0) + middle.amax(0))[2]) / 2 - 0.05) < 1e-6


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"identity": None}, "lacks identity"),
        ({"identity": np.zeros((2, 5, 3))}, r"identity in .* has shape \(2, 5, 3\)"),
        ({"eyes_middle": None}, "needs eyes_middle"),
        ({"uvs": np.zeros((81, 2))}, "uvs and uv_faces belong together"),
        ({"faces": np.array([[0, 1, 999]])}, "faces is empty, or an index is outside its 81 points"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(tmp_path, arrays, change, said):
    changed = {name: value for name, value in (arrays | change).items() if value is not None}
    with pytest.raises(AssetError, match=said) as error:
        load_face_model(written(tmp_path, changed))
    assert "\n" not in str(error.value)


def test_a_damaged_archive_and_an_empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no complete face model"):
        load_face_model(str(tmp_path / "empty"))
    (tmp_path / PLAIN_NAME).write_bytes(b"no archive")
    with pytest.raises(AssetError, match="not a readable npz"):
        load_face_model(str(tmp_path))
