"""BFM 2009 in Deep3D's layout, from files in miniature."""

import numpy as np
import pytest
import torch
from scipy.io import savemat

from facelume.errors import AssetError
from facelume.face_model.licensed import bfm2009
from facelume.face_model.licensed.bfm2009 import load_bfm2009
from facelume.reflectance import linear_from_srgb

NUM_SHAPE, NUM_EXPRESSION_VERTICES = 100, 90
COLOUR = np.array([200.0, 150.0, 120.0])


@pytest.fixture
def truth(dome, rng):
    """What must come out: metres, 0-255 colours, components already scaled by their deviations."""
    return {
        "mean": dome.vertices,
        "identity": rng.normal(0, 1e-3, (5, dome.count, 3)),
        "expression": rng.normal(0, 1e-3, (4, dome.count, 3)),
        "colour_basis": rng.normal(0, 4, (3, dome.count, 3)),
        "landmarks": rng.permutation(dome.count)[:68],
        "front": np.flatnonzero(np.abs(dome.vertices[:, 0]) < 0.05),
    }


def interleaved(components: np.ndarray) -> np.ndarray:
    """(K, V, 3) as MATLAB's (3V, K)."""
    return components.reshape(len(components), -1).T.astype(np.float32)


def info(dome, truth) -> dict[str, np.ndarray]:
    return {
        "tri": (dome.faces + 1).astype(np.float64),
        "tri_mask2": (dome.faces + 1).astype(np.float64),
        "keypoints": (truth["landmarks"] + 1).astype(np.float64)[None],
        "frontmask2_idx": (truth["front"] + 1).astype(np.float64)[:, None],
        "skinmask": np.ones((1, dome.count)),
        "point_buf": np.ones((dome.count, 8)),
    }


@pytest.fixture
def originals(tmp_path, dome, truth, rng):
    """The six files; kept vertices are scattered among others, the deviations are kept apart."""
    folder = tmp_path / "originals"
    folder.mkdir()
    trim = rng.permutation(NUM_SHAPE)[:NUM_EXPRESSION_VERTICES]
    front = rng.permutation(NUM_EXPRESSION_VERTICES)[: dome.count]

    def scatter(values, indices, size):
        full = rng.normal(0, 1, (len(values), size, 3))
        full[:, indices] = values
        return full

    shape_deviations, colour_deviations = np.linspace(3, 1, 5), np.linspace(30, 10, 3)
    kept = trim[front]
    savemat(
        folder / "01_MorphableModel.mat",
        {
            "shapeMU": interleaved(scatter(truth["mean"][None] * 1e6, kept, NUM_SHAPE)),
            "shapePC": interleaved(
                scatter(truth["identity"] * 1e6 / shape_deviations[:, None, None], kept, NUM_SHAPE)
            ),
            "shapeEV": shape_deviations[:, None],
            "texMU": interleaved(scatter(np.broadcast_to(COLOUR, (1, dome.count, 3)), kept, NUM_SHAPE)),
            "texPC": interleaved(
                scatter(truth["colour_basis"] / colour_deviations[:, None, None], kept, NUM_SHAPE)
            ),
            "texEV": colour_deviations[:, None],
        },
    )
    expression_deviations = np.linspace(2, 1, 4)
    scaled = truth["expression"] * 1e6 / expression_deviations[:, None, None]
    with (folder / "Exp_Pca.bin").open("wb") as stream:
        stream.write(np.int32(4).tobytes())
        stream.write(rng.normal(0, 1, 3 * NUM_EXPRESSION_VERTICES).astype(np.float32).tobytes())
        stream.write(scatter(scaled, front, NUM_EXPRESSION_VERTICES).astype(np.float32).tobytes())
    np.savetxt(folder / "std_exp.txt", expression_deviations[None])
    savemat(folder / "BFM_exp_idx.mat", {"trimIndex": (trim + 1)[:, None]})
    savemat(folder / "BFM_front_idx.mat", {"idx": (front + 1)[:, None]})
    savemat(folder / "facemodel_info.mat", info(dome, truth))
    return folder


def test_values_units_and_axes(originals, truth, load_quietly):
    model = load_quietly(load_bfm2009, originals)
    eyes = truth["mean"][truth["landmarks"][36:48]].mean(0)
    origin = torch.tensor(eyes - (0, 0, 0.06)).float()
    torch.testing.assert_close(
        model.mean_shape + origin, torch.tensor(truth["mean"]).float(), atol=1e-6, rtol=0
    )
    assert (model.num_identity, model.num_expression, model.num_albedo) == (5, 4, 3)
    identity = model.shape(torch.eye(5), torch.zeros(5, 4)) - model.mean_shape
    expression = model.shape(torch.zeros(4, 5), torch.eye(4)) - model.mean_shape
    torch.testing.assert_close(identity, torch.tensor(truth["identity"]).float(), atol=1e-7, rtol=1e-4)
    torch.testing.assert_close(expression, torch.tensor(truth["expression"]).float(), atol=1e-7, rtol=1e-4)
    assert model.mean_shape[:, 2].argmax() == np.argmax(truth["mean"][:, 2])


def test_the_finished_file_gives_the_same_model(originals, tmp_path, dome, truth, load_quietly):
    folder = tmp_path / "finished"
    folder.mkdir()
    savemat(
        folder / "BFM_model_front.mat",
        {
            "meanshape": truth["mean"].reshape(1, -1) * 10,
            "meantex": np.tile(COLOUR, dome.count)[None],
            "idBase": interleaved(truth["identity"] * 10),
            "exBase": interleaved(truth["expression"] * 10),
            "texBase": interleaved(truth["colour_basis"]),
            **info(dome, truth),
        },
    )
    made, finished = load_quietly(load_bfm2009, originals), load_quietly(load_bfm2009, folder)
    torch.testing.assert_close(made.linear.mean, finished.linear.mean, atol=1e-6, rtol=0)
    torch.testing.assert_close(made.linear.basis, finished.linear.basis, atol=1e-7, rtol=1e-4)
    torch.testing.assert_close(made.albedo.basis, finished.albedo.basis, atol=1e-5, rtol=1e-3)
    assert torch.equal(made.topology.faces, finished.topology.faces)
    assert made.asset_sha256 != finished.asset_sha256


def test_components_are_cut_to_what_is_asked_for(originals, load_quietly):
    model = load_quietly(load_bfm2009, originals, num_identity=2, num_expression=3, num_albedo=1)
    assert (model.num_identity, model.num_expression, model.num_albedo) == (2, 3, 1)
    assert model.expression_names == ("expression_000", "expression_001", "expression_002")
    assert torch.isinf(model.expression_limits).all()


def test_albedo_is_linear_and_first_order_in_the_srgb_basis(originals, truth, load_quietly):
    model = load_quietly(load_bfm2009, originals)
    seen = model.uv_mask("skin") > 0
    mean_srgb = torch.tensor(COLOUR / 255).float()
    at_zero = model.albedo_map(torch.zeros(3))[:, seen]
    torch.testing.assert_close(
        at_zero, linear_from_srgb(mean_srgb)[:, None].expand_as(at_zero), atol=1e-5, rtol=0
    )
    step = 1e-2
    moved = model.albedo_map(torch.tensor([step, 0.0, 0.0]))[:, seen]
    texel = int((moved - at_zero).abs().sum(0).argmax())
    change = torch.linalg.lstsq(torch.diag(_slope(mean_srgb)), (moved - at_zero)[:, texel] / step).solution
    low, high = truth["colour_basis"][0].min(0) / 255, truth["colour_basis"][0].max(0) / 255
    assert ((change.numpy() >= low - 1e-3) & (change.numpy() <= high + 1e-3)).all()
    assert change.abs().max() > 0.5 * np.abs(truth["colour_basis"][0]).max() / 255


def _slope(srgb: torch.Tensor) -> torch.Tensor:
    return (linear_from_srgb(srgb + 1e-3) - linear_from_srgb(srgb - 1e-3)) / 2e-3


def test_landmarks_front_and_atlas(originals, dome, truth, load_quietly, count_flipped):
    model = load_quietly(load_bfm2009, originals)
    points = model.points_on_surface(model.mean_shape, model.landmarks68)
    assert torch.equal(points, model.mean_shape[truth["landmarks"]])
    is_front = np.isin(dome.faces, truth["front"]).all(1)
    assert np.array_equal(model.topology.face_front.numpy(), is_front)
    uvs = model.topology.uvs.numpy()
    assert count_flipped(uvs, model.topology.uv_faces.numpy()) == 0
    assert uvs.min() >= 0
    assert uvs.max() <= 1
    order_u = np.argsort(truth["mean"][:, 0])
    order_v = np.argsort(truth["mean"][:, 1])
    assert uvs[order_u[-9:], 0].min() > 0.5 > uvs[order_u[:9], 0].max()
    assert uvs[order_v[:9], 1].min() > 0.5 > uvs[order_v[-9:], 1].max()
    mirror = model.topology.mirror_vertices
    assert torch.equal(mirror[mirror], torch.arange(dome.count))
    torch.testing.assert_close(uvs.mean(0), np.array([0.5, 0.5], np.float32), atol=0.05, rtol=0)


def test_what_the_model_lacks_is_none_and_asking_for_it_raises(originals, load_quietly):
    model = load_quietly(load_bfm2009, originals)
    assert model.landmarks478 is None
    assert model.symmetry is None
    with pytest.raises(AssetError, match="478 dense landmarks"):
        model.landmarks(torch.zeros(5), torch.zeros(4))
    with pytest.raises(AssetError, match="mirror image"):
        model.mirror_identity(torch.zeros(5))


def test_triangles_wound_the_other_way_are_turned(originals, dome, truth, load_quietly):
    savemat(originals / "facemodel_info.mat", info(dome, truth) | {"tri": dome.faces[:, ::-1] + 1.0})
    assert torch.equal(load_quietly(load_bfm2009, originals).topology.faces, torch.from_numpy(dome.faces))


@pytest.mark.parametrize("name", ["Exp_Pca.bin", "std_exp.txt", "BFM_front_idx.mat", "facemodel_info.mat"])
def test_a_missing_file_is_named_with_where_to_get_it(originals, name):
    (originals / name).unlink()
    with pytest.raises(AssetError, match=r"Register at") as caught:
        load_bfm2009(originals)
    message = str(caught.value)
    assert "faces.dmi.unibas.ch" in message
    assert str(originals) in message
    assert f"lacks {name} in" in message
    assert "or instead: BFM_model_front.mat" in message


def test_wrong_sizes_are_refused(originals, dome, truth):
    with (originals / "Exp_Pca.bin").open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(AssetError, match=r"Exp_Pca.bin has \d+ bytes"):
        load_bfm2009(originals)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("BFM_front_idx.mat", {"idx": np.array([[0], [5]])}, "points outside"),
        ("BFM_front_idx.mat", {"index": np.array([[1], [5]])}, "has no idx"),
        ("BFM_exp_idx.mat", {"trimIndex": np.arange(1, 12)[:, None]}, "not of one release"),
        ("facemodel_info.mat", {"tri": np.ones((4, 3)), "keypoints": np.ones((1, 51))}, "keypoints 68"),
        ("01_MorphableModel.mat", {"shapeMU": np.ones((7, 1))}, "has no shapePC"),
    ],
)
def test_files_that_do_not_fit_are_refused(originals, file, content, message):
    savemat(originals / file, content)
    with pytest.raises(AssetError, match=message):
        load_bfm2009(originals)


def test_a_damaged_matlab_file_is_refused(originals):
    (originals / "01_MorphableModel.mat").write_bytes(b"<html>please register</html>")
    with pytest.raises(AssetError, match="not a readable MATLAB file"):
        load_bfm2009(originals)


def test_the_official_release_must_have_the_official_crop(originals, monkeypatch):
    counts = {
        "01_MorphableModel.mat": NUM_SHAPE,
        "Exp_Pca.bin": NUM_EXPRESSION_VERTICES,
        "BFM_front_idx.mat": 9,
    }
    monkeypatch.setattr(bfm2009, "NUM_OFFICIAL_VERTICES", counts)
    with pytest.raises(AssetError, match="35,709"):
        load_bfm2009(originals)
