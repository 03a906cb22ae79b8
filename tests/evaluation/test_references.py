"""Reading evaluation folders and choosing photos."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facelume.errors import UsageError
from facelume.evaluation import EvaluationOptions, read_references
from facelume.evaluation.evaluate import select, summarise


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
    with pytest.raises(UsageError, match="holds no photo"):
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
    assert summary["all"]["found_share"] == 0.5
    assert summary["all"]["nme"]["mean"] == pytest.approx(0.02)
    assert summary["sets"]["a"]["detail"]["psnr_db"]["count"] == 1
