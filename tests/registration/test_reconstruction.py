"""A photo with another face model, from the photo to the result folder and back."""

import json
from pathlib import Path

import numpy as np
import pygltflib
import pytest

from facelume import Reconstructor, read_result, relight
from facelume.cli.main import main
from facelume.errors import UsageError
from facelume.face_model import load_open_face_model
from facelume.io.obj import read_obj_geometry
from facelume.io.picture import load_png
from facelume.io.ply import vertex_colours
from facelume.registration import load_original
from facelume.types import Mesh

PHOTO = Path(__file__).parents[2] / "examples" / "astronaut.png"


@pytest.fixture(params=["bfm", "flame"])
def known(request, monkeypatch):
    """Folder, truth and registration of a model that is found by its name."""
    known = request.getfixturevalue(request.param)
    monkeypatch.setenv("FACELUME_MODELS", str(known[0].parent))
    return known


def test_from_the_photo_to_the_result_and_a_new_light(known, tmp_path):
    _, _, model = known
    face = Reconstructor(device="cpu", face_model=model.name).reconstruct(PHOTO)
    assert face.metrics["detail"].psnr_db > 22
    assert face.metrics["coarse"].psnr_db > 19
    assert not any("mesh follows the landmarks only" in warning for warning in face.warnings)
    face.save(tmp_path / "result")
    document = json.loads((tmp_path / "result" / "result.json").read_text())
    assert document["face_model"] == model.name
    assert document["face_model_sha256"] == model.asset_sha256
    assert document["face_model_from_open"] == list(model.from_open)
    assert "teeth and inner mouth" in model.from_open
    assert {name: len(values) for name, values in document["coefficients"].items()} == {
        "identity": model.num_identity,
        "expression": model.num_expression,
        "albedo": model.num_albedo,
        "pose": 6,
    }
    rig = pygltflib.GLTF2().load(str(tmp_path / "result" / "mesh.glb"))
    assert rig.meshes[0].extras["targetNames"] == list(model.expression_names)
    again = read_result(tmp_path / "result")
    np.testing.assert_allclose(again.posed.vertices.numpy(), face.posed.vertices.numpy(), rtol=0, atol=1e-5)
    relight(tmp_path / "result", tmp_path / "lit.png", light="left")
    assert (tmp_path / "lit.png").stat().st_size > 1000


def test_from_the_command_line(known, tmp_path, capsys):
    name = known[2].name
    assert main(["reconstruct", str(PHOTO), "--out", str(tmp_path), "--face-model", name]) == 0
    assert (tmp_path / "astronaut" / "mesh.obj").is_file()
    capsys.readouterr()


def test_the_models_own_mesh_and_atlas_can_be_had_too(known, tmp_path, capsys):
    """Each of its vertices lies where the same place of the open head lies; both atlases show one colour."""
    folder, head, model = known
    command = ["reconstruct", str(PHOTO), "--out", str(tmp_path), "--face-model", model.name]
    assert main([*command, "--topology", "source"]) == 0
    original = load_original(model.name, folder)
    own = read_obj_geometry(tmp_path / "astronaut" / "mesh_source.obj")
    assert np.array_equal(np.sort(own.triangles.ravel()), np.sort(original.topology.faces.numpy().ravel()))
    result = read_result(tmp_path / "astronaut")
    expected = original.shape(result.posed.identity, result.posed.expression).numpy()
    np.testing.assert_allclose(own.vertices, expected, rtol=0, atol=2e-6)
    theirs = result.posed.vertices.numpy()[head.origin]
    assert 1000 * np.median(np.linalg.norm(own.vertices - theirs, axis=1)) < 2
    albedo = load_png(tmp_path / "astronaut" / "albedo_source.png")
    assert albedo.shape == (256, 256, 3)
    mesh = Mesh(own.vertices, own.triangles, own.uvs * (1, -1) + (0, 1), own.uv_triangles)
    open_albedo = load_png(tmp_path / "astronaut" / "albedo.png")
    colours = vertex_colours(mesh, albedo).astype(float)
    open_colours = vertex_colours(result.posed.mesh(result.posed.vertices), open_albedo)[head.origin]
    if model.name == "bfm2019":  # the miniature FLAME's atlas is a projection: front over back
        assert np.median(np.abs(colours - open_colours)) < 6
    first = capsys.readouterr()
    assert main([*command, "--topology", "source"]) == 0
    assert "already there, kept" in capsys.readouterr().err
    assert "already there" not in first.err


def test_the_open_model_has_no_other_topology(tmp_path, capsys):
    command = ["reconstruct", str(PHOTO), "--out", str(tmp_path), "--topology", "source"]
    assert main(command) == 2
    with pytest.raises(UsageError, match="no other topology"):
        Reconstructor(face_model=load_open_face_model(), topology="source")
    assert "--topology" in capsys.readouterr().err


def test_a_folder_may_stand_for_the_name(known, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("FACELUME_MODELS")
    folder = known[0]
    assert main(["reconstruct", str(PHOTO), "--out", str(tmp_path), "--face-model", str(folder)]) == 0
    assert read_result(tmp_path / "astronaut").posed.model.name == str(folder.resolve())
    capsys.readouterr()


def test_an_evaluation_measures_the_model_that_it_is_asked_for(known, tmp_path, capsys):
    name = known[2].name
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / PHOTO.name).write_bytes(PHOTO.read_bytes())
    where = ["--data", str(tmp_path / "photos"), "--out", str(tmp_path / "out")]
    assert main(["evaluate", *where, "--face-model", name]) == 0
    capsys.readouterr()
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["run"]["options"]["face_model"] == name
    (manifest,) = (tmp_path / "out").rglob("result.json")
    assert json.loads(manifest.read_text())["face_model"] == name


def test_a_model_whose_files_are_absent_ends_with_status_4(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FACELUME_MODELS", str(tmp_path))
    assert main(["reconstruct", str(PHOTO), "--out", str(tmp_path), "--face-model", "bfm2009"]) == 4
    said = capsys.readouterr().err
    assert "01_MorphableModel.mat" in said
    assert "https://faces.dmi.unibas.ch/bfm/" in said
    assert said.count("\n") == 1
