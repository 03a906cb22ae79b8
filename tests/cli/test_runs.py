"""Whole runs of the command line: result folders, batches, exit statuses."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facelume.cli import main
from facelume.io.leftovers import working_folder

_PHOTO = Path(__file__).parents[2] / "examples" / "astronaut.png"


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small part of the demo photo, so that runs stay short."""
    path = tmp_path_factory.mktemp("photos") / "head.png"
    Image.open(_PHOTO).convert("RGB").crop((110, 0, 330, 220)).save(path)
    return path


@pytest.fixture(scope="module")
def out(head: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    assert main(["reconstruct", str(head), "--out", str(folder)]) == 0
    return folder


def _bad_files(folder: Path, head: Path) -> dict[str, int]:
    """Writes one file of each bad kind; returns the exit status of each."""
    data = head.read_bytes()
    files = {
        "zero.jpg": b"",
        "text.png": b"this is no picture",
        "cut.png": data[: len(data) // 2],
        "header.png": data[:20],
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    return dict.fromkeys(files, 5) | {"noise.png": 3, "absent.png": 5}


def test_relight_from_the_command_line(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "relit.png"
    arguments = ["relight", str(out / "head"), "--out", str(picture)]
    assert main([*arguments, "--light", "left", "--yaw-deg", "-30", "--size", "300"]) == 0
    assert capsys.readouterr().out.strip() == str(picture)
    assert Image.open(picture).size == (300, 300)
    with_shadows = picture.read_bytes()
    assert main([*arguments, "--light", "left", "--yaw-deg", "-30", "--size", "300", "--no-shadows"]) == 0
    assert picture.read_bytes() != with_shadows
    assert main([*arguments, "--light", "left", "--yaw-deg", "-30", "--size", "300", "--shadows"]) == 0
    assert picture.read_bytes() == with_shadows
    assert main([*arguments, "--shadows"]) == 2
    line = capsys.readouterr().err.strip()
    assert line.startswith("facelume: shadows need a light whose lamps are known")
    assert line.endswith("(--shadows, --light)")
    assert main([*arguments, "--light", "moonlight"]) == 2
    assert main(["relight", str(tmp_path), "--out", str(picture)]) == 5


def test_single_bad_photo_has_its_own_status_and_one_line(
    head: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, status in _bad_files(tmp_path, head).items():
        assert main(["reconstruct", str(tmp_path / name), "--out", str(tmp_path / "out")]) == status, name
        captured = capsys.readouterr()
        assert captured.out == ""
        assert len(captured.err.strip().splitlines()) == 1
        assert name in captured.err
    assert not list((tmp_path / "out").glob("*"))


def test_folders_without_photos_exit_5(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["reconstruct", str(tmp_path / "empty"), "--out", str(tmp_path / "out")]) == 5
    assert "no photo" in capsys.readouterr().err


def test_existing_result_is_kept_refused_or_replaced(
    out: Path, head: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = out / "head" / "result.json"
    before = manifest.stat().st_mtime_ns
    arguments = ["reconstruct", str(head), "--out", str(out), "--json"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["results"][0]["status"] == "kept"
    assert manifest.stat().st_mtime_ns == before
    other = tmp_path / "head.png"
    Image.open(head).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(other)
    assert main(["reconstruct", str(other), "--out", str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*arguments, "--overwrite"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["results"][0]["status"] == "written"
    assert report["results"][0]["metrics"]["detail"]["psnr_db"] > 10
    assert report["failures"] == []
    assert manifest.stat().st_mtime_ns > before


def test_foreign_folder_is_not_touched(
    head: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "head").mkdir()
    (tmp_path / "head" / "novel.txt").write_text("chapter one")
    assert main(["reconstruct", str(head), "--out", str(tmp_path), "--overwrite"]) == 2
    assert "not a facelume result" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "head").iterdir()] == ["novel.txt"]
    assert main(["reconstruct", str(head), "--out", str(tmp_path / "head" / "novel.txt")]) == 2
    assert "is a file" in capsys.readouterr().err


def test_batch_does_the_rest_and_lists_failures(
    head: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, target = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    bad = _bad_files(folder, head)
    for name in ("one", "two"):
        (folder / f"{name}.png").write_bytes(head.read_bytes())
    (folder / "notes.txt").write_text("not a photo")
    assert main(["reconstruct", str(folder), "--out", str(target), "--json"]) == 1
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert "Traceback" not in captured.err
    assert "1 of 8 files are left out (.txt)" in captured.err
    assert {Path(entry["folder"]).name for entry in report["results"]} == {"one", "two"}
    found = {Path(f["photo"]).name: f["exit_code"] for f in report["failures"]}
    assert found == {name: status for name, status in bad.items() if name != "absent.png"}
    assert json.loads((target / "failures.json").read_text()) == report["failures"]
    assert sorted(path.name for path in target.iterdir()) == ["failures.json", "one", "two"]
    for name in bad:
        (folder / name).unlink(missing_ok=True)
    assert main(["reconstruct", str(folder), "--out", str(target)]) == 0
    assert not (target / "failures.json").exists()
    assert capsys.readouterr().out.splitlines() == [str(target / "one"), str(target / "two")]


def test_all_faces_of_a_photo(head: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = Image.new("RGB", (420, 260), (110, 110, 110))
    picture.paste(Image.open(head), (190, 20))
    picture.paste(Image.open(head).resize((120, 120)), (30, 70))
    picture.save(tmp_path / "pair.png")
    arguments = ["reconstruct", str(tmp_path / "pair.png"), "--out", str(tmp_path / "out"), "--all-faces"]
    assert main(arguments) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "out" / n) for n in ("pair", "pair_1")]
    assert main([*arguments, "--json"]) == 0
    assert [r["status"] for r in json.loads(capsys.readouterr().out)["results"]] == ["kept", "kept"]
    # A former run found a third face; another photo's result stands where a fourth one would.
    for name, index in (("pair_2", 2), ("pair_3", 0)):
        shutil.copytree(tmp_path / "out" / "pair_1", tmp_path / "out" / name)
        manifest = tmp_path / "out" / name / "result.json"
        manifest.write_text(manifest.read_text().replace('"face_index": 1', f'"face_index": {index}'))
    assert main([*arguments, "--overwrite"]) == 0
    assert "pair_2: a face that is no longer found, removed" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["pair", "pair_1", "pair_3"]
    # The place of the second face is taken by the result of a photo that is named like it.
    manifest = tmp_path / "out" / "pair_1" / "result.json"
    manifest.write_text(manifest.read_text().replace('"face_index": 1', '"face_index": 0'))
    (tmp_path / "out" / "pair" / "albedo.png").unlink()
    assert main([*arguments, "--overwrite"]) == 2
    assert "another photo" in capsys.readouterr().err
    assert not (tmp_path / "out" / "pair" / "albedo.png").exists()


def test_doctor_and_weights(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert all(check["ok"] for check in checks)
    assert main(["weights", "--json"]) == 0
    weights = json.loads(capsys.readouterr().out)["weights"]
    assert {"locator", "prior", "refiner"} <= {record["kind"] for record in weights}
    assert not any(record["problem"] for record in weights)
    assert main(["weights"]) == 0
    assert "licence" in capsys.readouterr().out


def test_a_result_that_a_killed_run_was_replacing_is_put_back_and_kept(
    out: Path, head: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    retired = working_folder(tmp_path / "head", "retired").name[:-8] + "00000000"  # an earlier process's
    shutil.copytree(out / "head", tmp_path / retired)
    assert main(["reconstruct", str(head), "--out", str(tmp_path), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["results"][0]["status"] == "kept"
    assert "put back" in captured.err
    assert [path.name for path in tmp_path.iterdir()] == ["head"]


def test_incomplete_result_is_not_kept(
    out: Path, head: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(out / "head", tmp_path / "head")
    (tmp_path / "head" / "albedo.png").unlink()
    assert main(["reconstruct", str(head), "--out", str(tmp_path)]) == 2
    assert "incomplete" in capsys.readouterr().err


def test_odd_names_and_places_give_one_line(
    head: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long_name = str(tmp_path / ("a" * 300 + ".png"))
    assert main(["reconstruct", long_name, "--out", str(tmp_path / "out")]) == 5
    assert main(["reconstruct", long_name, str(tmp_path / "absent.png"), "--out", "/dev/null/out"]) == 2
    assert main(["evaluate", "--data", str(head.parent), "--out", str(head)]) == 2
    assert "Traceback" not in capsys.readouterr().err
    latin = tmp_path / os.fsdecode(b"caf\xe9.png")
    try:
        latin.write_bytes(head.read_bytes())
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert main(["reconstruct", str(latin), "--out", str(tmp_path / "out"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["results"][0]["photo"].endswith("caf?.png")
    assert (tmp_path / "out" / latin.stem / "result.json").is_file()
