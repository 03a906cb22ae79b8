"""Every tool and benchmark starts, and does a small piece of its work where no data of others is needed."""

import ast
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import hard_light
import numpy as np
import pytest
import raster
import relighting
import speed
import torch
from PIL import Image

import build_light_presets
import collect_locator_pictures
import draw_albedo_basis
import draw_face_model
import draw_synthetic_faces
from facelume.data.synthetic import read_shard
from facelume.errors import UsageError
from facelume.face_model import FaceModel, load_open_face_model
from facelume.reflectance import srgb_from_linear

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted([*(ROOT / "tools").glob("*.py"), *(ROOT / "benchmarks").glob("*.py")])


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_open_face_model()


def run(module, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [module.__file__, *map(str, arguments)])
    module.main()


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_help_says_what_the_program_does_and_how_it_is_called(path, helps):
    name = path.relative_to(ROOT).as_posix()
    first_line = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).splitlines()[0]
    assert helps[name].startswith("usage:")
    assert first_line in helps[name]
    assert f"python {name}" in helps[name]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_programs_leave_the_search_path_alone(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    touched = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and ast.unparse(n) == "sys.path"]
    assert touched == []


def test_a_tool_starts_from_another_folder(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "tools/collect_locator_pictures.py", "--help"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0


def test_draw_synthetic_faces_goes_on_behind_the_shards_that_are_there(
    tmp_path, monkeypatch, model, environment_maps
):
    arguments = ("--lights", environment_maps, "--out", tmp_path, "--shard-size", 2)
    run(draw_synthetic_faces, monkeypatch, *arguments, "--shards", 1)
    kept = tmp_path / "000_00000.faces"
    written_ns = kept.stat().st_mtime_ns
    run(draw_synthetic_faces, monkeypatch, *arguments, "--shards", 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == [kept.name, "000_00001.faces"]
    assert kept.stat().st_mtime_ns == written_ns
    faces = read_shard(tmp_path / "000_00001.faces", model.asset_sha256)
    assert faces["image_srgb"].shape == (2, 224, 224, 3)
    assert faces["landmarks_px"].shape == (2, 478, 2)
    assert (faces["parsing"] > 127).mean() > 0.05


def test_draw_synthetic_faces_draws_what_a_file_says_and_mixes_it_with_nothing_else(
    tmp_path, monkeypatch, model, environment_maps
):
    config = tmp_path / "faces.json"
    skin = {"has_detail": False, "parts_fraction": 0.0, "colour": {"measured_fraction": 0.0}}
    config.write_text(json.dumps({"skin": skin, "is_plain": True}))
    arguments = ("--lights", environment_maps, "--out", tmp_path / "faces", "--shards", 1, "--shard-size", 1)
    run(draw_synthetic_faces, monkeypatch, *arguments, "--config", config)
    face = read_shard(tmp_path / "faces" / "000_00000.faces", model.asset_sha256)
    spanned = srgb_from_linear(model.albedo_map(torch.from_numpy(face["albedo"][0]), 256)).movedim(0, -1)
    assert np.abs(face["albedo_srgb"][0] / 255.0 - spanned.numpy()).mean() < 0.01
    with pytest.raises(UsageError, match="is_plain true, now false"):
        run(draw_synthetic_faces, monkeypatch, *arguments)


def test_build_light_presets_makes_the_shipped_synthetic_lights(tmp_path, monkeypatch, environment_maps):
    out = tmp_path / "presets.json"
    run(build_light_presets, monkeypatch, "--maps", environment_maps, "--out", out)
    shipped = json.loads(build_light_presets.OUTPUT.read_text(encoding="utf-8"))
    built = json.loads(out.read_text(encoding="utf-8"))
    names = build_light_presets.SYNTHETIC_DIRECTIONS.keys()
    expected = [preset for preset in shipped["presets"] if preset["name"] in names]
    assert len(expected) == len(names)
    assert [p for p in built["presets"] if p["source"].startswith("synthetic")] == expected
    assert [p["name"] for p in built["presets"]][:2] == ["city", "studio"]
    assert built["front_shading"] == shipped["front_shading"]
    with (
        np.load(out.with_suffix(".npz")) as lamps,
        np.load(build_light_presets.OUTPUT.with_suffix(".npz")) as shipped_lamps,
    ):
        assert set(lamps) == {preset["name"] for preset in built["presets"]}
        for name in names:
            np.testing.assert_allclose(lamps[name], shipped_lamps[name], atol=1e-3)


def test_collect_locator_pictures_knows_pictures_that_scikit_image_has(tmp_path):
    source = Path(find_spec("skimage").origin).parent / "data"
    names = collect_locator_pictures.SKIMAGE_TRAINING + collect_locator_pictures.SKIMAGE_VALIDATION
    collect_locator_pictures.copy_pictures(names, source, tmp_path)
    assert len(set(names)) == len(list(tmp_path.iterdir())) == len(names)
    for path in tmp_path.iterdir():
        Image.open(path).load()


def test_collect_locator_pictures_names_a_picture_that_is_missing(tmp_path):
    with pytest.raises(SystemExit, match="no picture 'unicorn'"):
        collect_locator_pictures.copy_pictures(("unicorn",), tmp_path, tmp_path / "out")


@pytest.mark.skipif(find_spec("sklearn") is None, reason="scikit-learn is not installed")
def test_collect_locator_pictures_copies_both_packages(tmp_path, monkeypatch):
    run(collect_locator_pictures, monkeypatch, tmp_path)
    assert {p.stem for p in (tmp_path / "training").iterdir()} >= {"china", "flower", "brick"}
    assert len(list((tmp_path / "validation").iterdir())) == 8


def test_draw_albedo_basis_draws_the_model_without_the_skins(tmp_path, monkeypatch, capsys):
    run(draw_albedo_basis, monkeypatch, "--out", tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["albedo_components.jpg", "albedo_random.jpg"]
    tile = draw_albedo_basis.TILE_PX
    assert Image.open(tmp_path / "albedo_components.jpg").size == (7 * tile, 4 * tile)
    said = capsys.readouterr().out
    # the figures that docs/albedo_basis.md quotes
    assert "examples: ITA -83 to 75 degrees, luminance 0.033 to 0.519, 0.0 % black" in said
    assert "normal: ITA -135 to 71 degrees" in said


def test_draw_face_model_draws_each_kind_of_picture(model):
    artist = draw_face_model.Artist(model)
    mean = artist.vertices()
    head = np.asarray(artist.draw(mean, size=48, px_per_m=200))
    assert head.shape == (48, 48, 3)
    assert head[0, 0].tolist() == [255, 255, 255]
    assert head[24, 24].max() < 250
    smile = artist.vertices(names="mouthSmileLeft mouthSmileRight")
    assert np.abs(smile - mean).max() > 0.003
    assert (np.asarray(artist.draw(smile, size=48, px_per_m=200)) != head).any()
    assert draw_face_model.draw_atlas(model, 64).size == (64, 64)
    marks = np.asarray(draw_face_model.draw_landmarks(artist, size=96, px_per_m=540))
    assert marks.shape == (96, 192, 3)
    assert ((marks[..., 2] > 200) & (marks[..., 0] < 50)).sum() > 100


def test_raster_benchmark_times_every_operation():
    times = raster.measure("cpu", rows=16, repeats=1, atlas_sizes=(64,))
    assert times.pop("triangles") == 2 * 16 * 16
    assert len(times) == 13
    assert min(times.values()) > 0


def test_speed_benchmark_prints_one_document(monkeypatch, capsys):
    run(speed, monkeypatch, "--photo", ROOT / "examples/astronaut.png", "--runs", 1)
    figures = json.loads(capsys.readouterr().out)
    assert 0 < figures["warm_min_s"] <= figures["warm_median_s"]
    assert min(figures["first_s"], figures["export_s"]) > 0
    assert figures["peak_memory_mb"] > 100
    assert {"locate", "fit", "refine"} <= figures["stages_median_s"].keys()


def test_hard_light_benchmark_counts_heads_and_what_is_none(monkeypatch, capsys, environment_maps):
    run(hard_light, monkeypatch, "--maps", environment_maps, "--heads", 3)
    figures = json.loads(capsys.readouterr().out)
    heads = figures["heads"]
    assert heads["pictures"] == heads["found"] + len(heads["refused"]) == 3
    assert heads["rightly_aligned"] + len(heads["half_aligned"]) == heads["found"]
    assert figures["faceless"] == {"pictures": 8, "false_faces": []}


def test_hard_light_benchmark_darkens_half_a_face():
    points_px = np.full((478, 2), 30.0)
    points_px[hard_light.NOSE_BRIDGE], points_px[hard_light.CHIN] = (30.0, 10.0), (30.0, 50.0)
    case = hard_light.Case("any", np.full((60, 60, 3), 200, np.uint8), points_px)
    halves = np.split(hard_light.half_black(case).picture, 2, axis=1)
    outer = sorted((halves[0][:, :15].mean(), halves[1][:, 15:].mean()))
    assert outer[0] < 10
    assert outer[1] == 200


def test_relighting_benchmark_finds_shadows_closer_to_many_directions_than_none(
    monkeypatch, capsys, environment_maps
):
    run(
        relighting, monkeypatch, "--maps", environment_maps, "--directions", 32, "--size", 64, "--yaw-deg", 40
    )
    figures = json.loads(capsys.readouterr().out)
    quality = figures["psnr_db"]
    assert figures["maps"] == 2
    assert quality["with shadows"] > quality["lamps, none hidden"] + 3
    assert quality["with shadows"] > quality["nine coefficients"] + 3
