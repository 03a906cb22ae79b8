"""Reading evaluation folders and choosing photos."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facelume.errors import UnreadableInputError, UsageError
from facelume.evaluation import EvaluationOptions, describe_unread, read_references
from facelume.evaluation.evaluate import select
from facelume.evaluation.summary import summarise
from facelume.io.photo import PHOTO_SUFFIXES


def make_set(folder: Path, names: list[str]) -> None:
    (folder / "images").mkdir(parents=True)
    for name in names:
        Image.new("RGB", (8, 8)).save(folder / "images" / name)
    points = np.full((len(names), 478, 3), 16 * 3 + 8, np.int16)
    np.savez(folder / "landmarks.npz", names=np.array(names), points=points)


def test_a_set_gives_photos_with_landmarks_in_pixels(tmp_path: Path) -> None:
    make_set(tmp_path / "utkface", ["00000.png", "00001.png"])
    references = read_references(tmp_path / "utkface")
    assert [r.photo.name for r in references] == ["00000.png", "00001.png"]
    assert references[0].set_name == "utkface"
    assert references[0].landmarks_px is not None
    np.testing.assert_allclose(references[0].landmarks_px, 3.5)


def test_a_folder_of_sets_gives_them_all_and_the_limit_is_per_set(tmp_path: Path) -> None:
    make_set(tmp_path / "a", [f"{i}.png" for i in range(5)])
    make_set(tmp_path / "b", [f"{i}.png" for i in range(3)])
    references = read_references(tmp_path)
    assert len(references) == 8
    assert len(select(references, EvaluationOptions(limit=2))) == 4


def test_a_plain_folder_of_photos_has_no_references(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "me.jpg")
    (reference,) = read_references(tmp_path)
    assert reference.landmarks_px is None
    assert reference.albedo_truth() is None


def test_an_empty_or_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInputError, match="no photo in this folder"):
        read_references(tmp_path)
    with pytest.raises(UsageError, match="not a folder"):
        read_references(tmp_path / "nowhere")


def test_the_split_is_by_person(tmp_path: Path) -> None:
    make_set(tmp_path / "london", [f"{i:03d}_{kind}.png" for i in range(60) for kind in ("neutral", "smile")])
    references = read_references(tmp_path)
    people: dict[str, set[bool]] = {}
    for reference in references:
        people.setdefault(reference.photo.stem[:3], set()).add(reference.is_validation)
    assert all(len(choices) == 1 for choices in people.values())
    share = np.mean([choices.pop() for choices in people.values()])
    assert 0.02 < share < 0.25
    with pytest.raises(UsageError, match="split"):
        select(references, EvaluationOptions(split="test"))


def test_a_summary_counts_what_was_not_found() -> None:
    rows = [
        {"set": "a", "found": True, "nme": 0.02, "detail": {"psnr_db": 30.0}},
        {"set": "a", "found": False},
    ]
    summary = summarise(rows)
    assert (summary["all"]["photos"], summary["all"]["failed"]) == (2, 0)
    assert summary["all"]["found_share"] == 0.5
    assert summary["failures"] == []
    assert summary["all"]["nme"]["mean"] == pytest.approx(0.02)
    assert summary["sets"]["a"]["detail"]["psnr_db"]["count"] == 1


def test_a_summary_lists_what_could_not_be_judged_and_counts_it_in_no_share() -> None:
    rows = [
        {"set": "a", "name": "0.png", "found": True, "nme": 0.02},
        {"set": "a", "name": "1.png", "found": False, "error": "no face found"},
        {"set": "a", "name": "2.png", "found": None, "error": "2.png: the file is empty (0 bytes)"},
        {"set": "b", "name": "3.png", "found": None, "error": "3.png: the file is empty (0 bytes)"},
    ]
    summary = summarise(rows)
    assert (summary["all"]["photos"], summary["all"]["failed"], summary["all"]["found_share"]) == (4, 2, 0.5)
    assert (summary["sets"]["b"]["failed"], summary["sets"]["b"]["found_share"]) == (1, None)
    assert [(f["set"], f["name"]) for f in summary["failures"]] == [("a", "2.png"), ("b", "3.png")]


def test_every_kind_of_photo_that_reconstruct_reads_is_evaluated(tmp_path: Path) -> None:
    for suffix in PHOTO_SUFFIXES:
        (tmp_path / f"photo{suffix[1:]}{suffix.upper()}").write_bytes(b"x")
    assert {r.photo.suffix.lower() for r in read_references(tmp_path)} == PHOTO_SUFFIXES
    assert describe_unread(tmp_path) == []


def test_what_is_not_evaluated_is_said(tmp_path: Path) -> None:
    make_set(tmp_path / "a", ["0.png"])
    for name in ("a/images/notes.txt", "a/images/.hidden", "a/licence.md", "0.jpg"):
        (tmp_path / name).write_text("x")
    (tmp_path / "b").mkdir()
    assert describe_unread(tmp_path) == [
        f"{tmp_path / 'a' / 'images'}: 1 of 2 files are left out (.txt)",
        f"{tmp_path}: 1 of 1 files are left out (.jpg)",
        f"{tmp_path}: folders without images/ or groups/ are left out (b)",
    ]
    plain = tmp_path / "plain"
    make_set(plain, ["0.png"])
    (plain / "images" / "0.png").rename(plain / "0.png")
    (plain / "images").rmdir()
    assert describe_unread(plain) == []  # landmarks.npz is read
    (plain / "0.raw").write_text("x")
    assert describe_unread(plain) == [f"{plain}: 1 of 3 files are left out (.raw)"]


def test_photos_that_would_share_a_result_are_refused(tmp_path: Path) -> None:
    make_set(tmp_path / "a", ["0.png", "1.png"])
    Image.new("RGB", (8, 8)).save(tmp_path / "a" / "images" / "1.GIF")
    with pytest.raises(UsageError, match=r"1\.GIF and 1\.png"):
        read_references(tmp_path)


@pytest.mark.parametrize("kind", ["no archive", "68 points", "one name too many", "no points"])
def test_damaged_landmarks_are_refused(tmp_path: Path, kind: str) -> None:
    make_set(tmp_path / "a", ["0.png"])
    file = tmp_path / "a" / "landmarks.npz"
    if kind == "no archive":
        file.write_bytes(b"PK broken")
    elif kind == "68 points":
        np.savez(file, names=np.array(["0.png"]), points=np.zeros((1, 68, 3), np.int16))
    elif kind == "one name too many":
        np.savez(file, names=np.array(["0.png", "1.png"]), points=np.zeros((1, 478, 3), np.int16))
    else:
        np.savez(file, names=np.array(["0.png"]))
    with pytest.raises(UnreadableInputError, match=r"landmarks\.npz"):
        read_references(tmp_path)


@pytest.mark.parametrize("kind", ["no archive", "no mask", "other size", "not finite"])
def test_damaged_albedo_truth_is_refused(tmp_path: Path, kind: str) -> None:
    make_set(tmp_path / "a", ["0.png"])
    file = tmp_path / "a" / "albedo" / "0.npz"
    file.parent.mkdir()
    arrays = {"albedo_linear": np.ones((8, 8, 3), np.float16), "mask": np.ones((8, 8), bool)}
    if kind == "other size":
        arrays["mask"] = np.ones((8, 9), bool)
    elif kind == "not finite":
        arrays["albedo_linear"][2, 3] = np.nan
    elif kind == "no mask":
        del arrays["mask"]
    if kind == "no archive":
        file.write_bytes(b"PK broken")
    else:
        np.savez(file, **arrays)
    (reference,) = read_references(tmp_path)
    with pytest.raises(UnreadableInputError, match=r"0\.npz"):
        reference.albedo_truth()
