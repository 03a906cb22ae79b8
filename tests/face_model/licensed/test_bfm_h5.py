"""BFM 2017 and 2019 in Statismo's HDF5 layout, from files in miniature."""

import json
import sys

import numpy as np
import pytest
import torch

from facelume.errors import AssetError
from facelume.face_model.licensed.bfm_h5 import BFM2017, BFM2019, load_bfm_h5
from facelume.reflectance import linear_from_srgb

h5py = pytest.importorskip("h5py")
COLOUR = np.array([0.8, 0.6, 0.5])
EYES = {
    "right.eye.corner_outer": (-45.0, 32.0, 10.0),
    "right.eye.corner_inner": (-20.0, 32.0, 14.0),
    "left.eye.corner_inner": (20.0, 32.0, 14.0),
    "left.eye.corner_outer": (45.0, 32.0, 10.0),
}


def write_h5(path, dome, rng, *, colour_scale=1.0):
    """The official groups; the mean is split between shape and expression."""
    truth = {
        name: rng.normal(0, 1e-3, (count, dome.count, 3)) for name, count in (("shape", 4), ("expression", 3))
    }
    truth["color"] = rng.normal(0, 0.02, (2, dome.count, 3))
    part = rng.normal(0, 1e-3, dome.vertices.shape)
    means = {
        "shape": (dome.vertices - part) * 1000,
        "expression": part * 1000,
        "color": np.broadcast_to(COLOUR, dome.vertices.shape) * colour_scale,
    }
    with h5py.File(path, "w") as archive:
        for name, mean in means.items():
            scale = colour_scale if name == "color" else 1000
            variance = np.linspace(4, 1, len(truth[name]))
            basis = truth[name] * scale / np.sqrt(variance)[:, None, None]
            archive[f"{name}/model/mean"] = mean.reshape(-1).astype(np.float32)
            archive[f"{name}/model/pcaBasis"] = basis.reshape(len(basis), -1).T.astype(np.float32)
            archive[f"{name}/model/pcaVariance"] = variance
            archive[f"{name}/model/noiseVariance"] = 0.0
            archive[f"{name}/representer/cells"] = dome.faces.T.astype(np.int32)
            archive[f"{name}/representer/points"] = (dome.vertices * 1000).T.astype(np.float32)
        archive["metadata/landmarks/json"] = json.dumps(
            [{"id": k, "coordinates": v} for k, v in EYES.items()]
        )
    return truth


@pytest.mark.parametrize(
    ("source", "file"), [(BFM2017, "model2017-1_face12_nomouth.h5"), (BFM2019, "model2019_bfm.h5")]
)
def test_values_units_and_axes(tmp_path, dome, rng, load_quietly, source, file):
    truth = write_h5(tmp_path / file, dome, rng)
    model = load_quietly(load_bfm_h5, source, tmp_path)
    origin = torch.tensor([0.0, 0.032, 0.012 - 0.06])
    mean = torch.tensor(dome.vertices).float() - origin
    torch.testing.assert_close(model.mean_shape, mean, atol=1e-6, rtol=0)
    assert (model.name, model.num_identity, model.num_expression) == (source.name, 4, 3)
    identity = model.shape(torch.eye(4), torch.zeros(4, 3)) - model.mean_shape
    expression = model.shape(torch.zeros(3, 4), torch.eye(3)) - model.mean_shape
    torch.testing.assert_close(identity, torch.tensor(truth["shape"]).float(), atol=1e-7, rtol=1e-4)
    torch.testing.assert_close(expression, torch.tensor(truth["expression"]).float(), atol=1e-7, rtol=1e-4)
    assert torch.equal(model.topology.faces, torch.from_numpy(dome.faces))
    assert model.landmarks68 is None
    with pytest.raises(AssetError, match="lacks these landmarks"):
        model.points_on_surface(model.mean_shape, model.landmarks68)


@pytest.mark.parametrize("colour_scale", [1.0, 255.0])
def test_colours_of_either_scale_become_linear(tmp_path, dome, rng, load_quietly, colour_scale):
    write_h5(tmp_path / "model2019_face12.h5", dome, rng, colour_scale=colour_scale)
    model = load_quietly(load_bfm_h5, BFM2019, tmp_path)
    seen = model.mean_albedo[:, model.uv_mask("skin") > 0]
    expected = linear_from_srgb(torch.tensor(COLOUR).float())[:, None].expand_as(seen)
    torch.testing.assert_close(seen, expected, atol=1e-5, rtol=0)


def test_the_face_front_is_an_oval_around_the_face(tmp_path, dome, rng, load_quietly):
    write_h5(tmp_path / "model2019_face12.h5", dome, rng)
    model = load_quietly(load_bfm_h5, BFM2019, tmp_path)
    centres = model.mean_shape[model.topology.faces].mean(1)
    front = model.topology.face_front
    assert 0.5 < front.float().mean() < 1
    assert front[(centres[:, :2].norm(dim=1) < 0.03)].all()
    assert not front[centres[:, :2].norm(dim=1).argmax()]


@pytest.mark.parametrize(
    "store",
    [
        lambda text: text,
        lambda text: np.array([text.encode() + b"\0\0"]),
        lambda text: np.frombuffer(text.encode(), np.int8),
    ],
    ids=["string", "fixed length", "characters"],
)
def test_landmarks_are_read_however_the_text_is_stored(tmp_path, dome, rng, load_quietly, store):
    path = tmp_path / "model2019_face12.h5"
    write_h5(path, dome, rng)
    with h5py.File(path, "a") as archive:
        text = archive["metadata/landmarks/json"][()].decode()
        del archive["metadata/landmarks/json"]
        archive["metadata/landmarks/json"] = store(text)
    mean = load_quietly(load_bfm_h5, BFM2019, tmp_path).mean_shape
    origin = torch.tensor([0.0, 0.032, 0.012 - 0.06])
    torch.testing.assert_close(mean, torch.tensor(dome.vertices).float() - origin, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("shape/model/pcaBasis", "has no shape/model/pcaBasis"),
        ("metadata/landmarks/json", "has no metadata"),
        ("color", "has no color/model/mean"),
    ],
)
def test_another_layout_is_refused(tmp_path, dome, rng, key, message):
    path = tmp_path / "model2019_face12.h5"
    write_h5(path, dome, rng)
    with h5py.File(path, "a") as archive:
        del archive[key]
    with pytest.raises(AssetError, match=message):
        load_bfm_h5(BFM2019, tmp_path)


def test_wrong_shapes_and_damaged_files_are_refused(tmp_path, dome, rng):
    path = tmp_path / "model2019_face12.h5"
    write_h5(path, dome, rng)
    with h5py.File(path, "a") as archive:
        del archive["shape/model/pcaBasis"]
        archive["shape/model/pcaBasis"] = np.zeros((30, 4), np.float32)
    with pytest.raises(AssetError, match=r"has shape \(30, 4\)"):
        load_bfm_h5(BFM2019, tmp_path)
    path.write_bytes(b"<html>log in first</html>")
    with pytest.raises(AssetError, match="not a readable HDF5 file"):
        load_bfm_h5(BFM2019, tmp_path)


def test_without_h5py_the_extra_is_named(tmp_path, dome, rng, monkeypatch):
    write_h5(tmp_path / "model2019_face12.h5", dome, rng)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(AssetError, match=r"pip install facelume\[bfm\]"):
        load_bfm_h5(BFM2019, tmp_path)
