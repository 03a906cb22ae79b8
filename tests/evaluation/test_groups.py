"""Groups of photos of one person: reading them, and figures against those worked out here by other means."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facelume.errors import UnreadableInputError, UsageError
from facelume.evaluation import EvaluationOptions, describe_unread, evaluate, read_references
from facelume.evaluation.evaluate import select
from facelume.evaluation.groups import cross_light_psnr_db
from facelume.io.picture import decode_srgb, encode_srgb
from facelume.pipeline import Reconstructor, read_result

ASTRONAUT = Path(__file__).parents[2] / "examples" / "astronaut.png"


def make_group(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True)
    for name in names:
        Image.new("RGB", (8, 8)).save(folder / name)


def test_a_group_set_gives_the_photos_of_each_person(tmp_path: Path) -> None:
    make_group(tmp_path / "groups" / "ada", ["0.png", "1.png"])
    make_group(tmp_path / "groups" / "bob", ["0.png"])
    points = np.full((1, 478, 3), 16, np.int16)
    np.savez(tmp_path / "landmarks.npz", names=np.array(["bob/0.png"]), points=points)
    references = read_references(tmp_path)
    assert [(r.person, r.name) for r in references] == [
        ("ada", "ada/0.png"),
        ("ada", "ada/1.png"),
        ("bob", "bob/0.png"),
    ]
    assert [r.landmarks_px is not None for r in references] == [False, False, True]
    assert {r.set_name for r in references} == {tmp_path.name}
    assert describe_unread(tmp_path) == []


def test_groups_stand_beside_images_and_other_sets(tmp_path: Path) -> None:
    make_group(tmp_path / "a" / "images", ["0.png"])
    make_group(tmp_path / "a" / "groups" / "ada", ["0.png"])
    make_group(tmp_path / "b" / "groups" / "bob", ["0.png"])
    make_group(tmp_path / "c", ["0.png"])
    (tmp_path / "b" / "groups" / "list.csv").write_text("x")
    assert [(r.set_name, r.name) for r in read_references(tmp_path)] == [
        ("a", "0.png"),
        ("a", "ada/0.png"),
        ("b", "bob/0.png"),
    ]
    assert describe_unread(tmp_path) == [
        f"{tmp_path / 'b' / 'groups'}: 1 of 1 files are left out (.csv)",
        f"{tmp_path}: folders without images/ or groups/ are left out (c)",
    ]


def test_a_set_may_be_called_groups(tmp_path: Path) -> None:
    make_group(tmp_path / "groups" / "images", ["0.png"])
    (reference,) = read_references(tmp_path)
    assert (reference.set_name, reference.person) == ("groups", None)


def test_groups_that_cannot_be_told_apart_or_are_empty_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty" / "groups").mkdir(parents=True)
    with pytest.raises(UnreadableInputError, match="a folder of its own"):
        read_references(tmp_path / "empty")
    make_group(tmp_path / "twins" / "images", ["ada.png"])
    make_group(tmp_path / "twins" / "groups" / "Ada", ["0.png"])
    with pytest.raises(UsageError, match="like a person"):
        read_references(tmp_path / "twins")
    make_group(tmp_path / "two" / "groups" / "ada", ["0.png", "0.jpg"])
    with pytest.raises(UsageError, match="suffix only"):
        read_references(tmp_path / "two")


def test_a_limit_keeps_people_whole(tmp_path: Path) -> None:
    for person in "abcde":
        make_group(tmp_path / "groups" / person, ["0.png", "1.png", "2.png"])
    references = read_references(tmp_path)
    assert [r.person for r in select(references, EvaluationOptions(limit=8))] == [*"aaaeee"]
    assert len(select(references, EvaluationOptions(limit=14))) == 12
    assert len(select(references, EvaluationOptions(limit=2))) == 2
    split = {r.person: r.is_validation for r in references}
    assert all(split[r.person] == r.is_validation for r in references)


@pytest.fixture(scope="module")
def photos() -> dict[str, Image.Image]:
    photo = Image.open(ASTRONAUT).convert("RGB")
    pixels = decode_srgb(np.asarray(photo))
    return {
        "plain": photo,
        "warm": Image.fromarray(encode_srgb(pixels * np.array([1.0, 0.7, 0.5], np.float32))),
        "dim": Image.fromarray(encode_srgb(pixels * np.float32(0.5))),
        "grey": photo.convert("L"),
    }


@pytest.fixture(scope="module")
def reconstructor() -> Reconstructor:
    return Reconstructor()


@pytest.fixture(scope="module")
def evaluation(
    photos: dict[str, Image.Image], reconstructor: Reconstructor, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], dict[str, dict[str, Any]]]:
    """Two 'people', one of them the mirror image of the other, and a person of grey photos in another set."""
    data, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("out")
    for person, name in (("ada", "plain"), ("ada", "warm"), ("eva", "plain"), ("eva", "dim")):
        folder = data / "colour" / "groups" / person
        folder.mkdir(parents=True, exist_ok=True)
        photo = photos[name] if person == "ada" else photos[name].transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        photo.save(folder / f"{name}.png")
    folder = data / "grey" / "groups" / "ada"
    folder.mkdir(parents=True)
    photos["grey"].save(folder / "one.png")
    photos["grey"].transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "two.png")
    summary = evaluate(data, out, EvaluationOptions(), reconstructor=reconstructor)
    rows = [json.loads(line) for line in (out / "photos.jsonl").read_text().splitlines()]
    return out, summary, {f"{row['set']}/{row['name']}": row for row in rows}


def test_colours_are_those_of_the_visible_skin(
    evaluation: tuple[Path, dict[str, Any], dict[str, dict[str, Any]]], reconstructor: Reconstructor
) -> None:
    out, _, rows = evaluation
    row, folder = rows["colour/ada/plain.png"], out / "results" / "colour" / "ada" / "plain"
    seen = np.asarray(Image.open(folder / "texture.png"))[..., 3] >= 128
    mask = seen & (reconstructor.model.uv_mask("skin", 256).numpy() > 0.5)
    for key, file in (("skin", "albedo.png"), ("skin_of_photo", "texture.png")):
        texels = decode_srgb(np.asarray(Image.open(folder / file).convert("RGB")))[mask].astype(np.float64)
        mean, median = texels.mean(axis=0), np.median(texels, axis=0)
        assert row[key]["log_rg"] == pytest.approx(math.log(mean[0] / mean[1]), abs=1e-4)
        assert row[key]["log_gb"] == pytest.approx(math.log(mean[1] / mean[2]), abs=1e-4)
        luminance = float(median @ [0.2126, 0.7152, 0.0722])
        name = key.replace("skin", "skin_median")
        assert row[name]["log_luminance"] == pytest.approx(math.log(luminance), abs=1e-4)
    assert row["is_grey"] is False
    assert 0.3 < row["skin_share"] < 1
    warm = rows["colour/ada/warm.png"]
    assert warm["skin_of_photo"]["log_rg"] == pytest.approx(
        row["skin_of_photo"]["log_rg"] - math.log(0.7), abs=0.03
    )
    assert rows["grey/ada/one.png"]["is_grey"] is True


def test_group_figures_are_those_of_the_results(
    evaluation: tuple[Path, dict[str, Any], dict[str, dict[str, Any]]],
) -> None:
    out, summary, rows = evaluation
    groups = summary["sets"]["colour"]["groups"]
    assert (groups["people"], groups["photos"]) == (2, 4)
    medians = {
        key: [row["skin_median_of_photo"]["log_luminance"] for row in rows.values() if row["name"] in key]
        for key in (("ada/plain.png", "ada/warm.png"), ("eva/plain.png", "eva/dim.png"))
    }
    expected = math.sqrt(np.mean([np.var(values, ddof=1) for values in medians.values()]))
    spread = groups["spread"]["log_luminance"]
    assert spread["of_photo"] == pytest.approx(expected, rel=1e-5)
    # One person's photos differ by half the light, the other's by a filter that takes a quarter of it.
    assert 0.3 < spread["of_photo"] < 0.5
    distances = groups["albedo_distance"]
    assert (distances["within"]["count"], distances["between"]["count"]) == (2, 4)
    assert distances["ratio"] == pytest.approx(distances["within"]["mean"] / distances["between"]["mean"])
    cross = groups["cross_light"]
    assert cross["pairs"] == 4
    own = [row["detail"]["psnr_db"] for row in rows.values() if row["set"] == "colour"]
    assert cross["own_light_psnr_db"]["mean"] == pytest.approx(np.mean(own))
    places = [out / "results" / "colour" / "ada" / name for name in ("plain", "warm")]
    target = read_result(places[1])
    rendering = target.posed.render(read_result(places[0]).albedo, target.illumination)
    photo = np.asarray(Image.open(places[1] / "input_crop.png")) / 255
    mask = np.asarray(Image.open(places[1] / "face_mask.png")) > 127
    error = np.mean((encode_srgb(rendering) / 255 - photo)[mask] ** 2)
    others = list(cross_light_psnr_db(places))
    assert others[1] == pytest.approx([-10 * math.log10(error)], abs=0.02)
    assert len(others[0]) == 1
    assert cross["loss_db"]["mean"] == pytest.approx(
        cross["own_light_psnr_db"]["mean"] - cross["psnr_db"]["mean"], abs=1e-6
    )


def test_grey_photos_have_no_hue_to_spread(
    evaluation: tuple[Path, dict[str, Any], dict[str, dict[str, Any]]],
) -> None:
    _, summary, _ = evaluation
    grey = summary["sets"]["grey"]
    assert grey["hue_beyond_3sd"]["grey_photos"] == 2
    spread = grey["groups"]["spread"]
    assert (spread["log_rg"], spread["log_gb"]) == (None, None)
    # A photo and its mirror image are one light and one face.
    assert spread["log_luminance"]["ours"] < 0.05
    assert grey["groups"]["albedo_distance"]["between"] == {"count": 0}
    assert grey["groups"]["albedo_distance"]["ratio"] is None
