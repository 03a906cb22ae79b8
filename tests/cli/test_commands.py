"""Commands that need no network: parsing, lists, and every usage error with its exit status."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import pytest
import torch
from PIL import Image

from facelume.choices import UvSize
from facelume.cli import main
from facelume.cli.reconstruct import collect_photos, require_distinct_names
from facelume.errors import UnreadableInputError, UsageError

_COMMANDS = (
    "reconstruct",
    "relight",
    "evaluate",
    "preprocess",
    "train",
    "doctor",
    "weights",
    "face-model",
    "lights",
)


def _run(*arguments: str) -> int:
    try:
        return main(list(arguments))
    except SystemExit as stop:
        return int(stop.code or 0)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photos" / "a.png"
    path.parent.mkdir()
    Image.new("RGB", (64, 64), (90, 120, 90)).save(path)
    return path


def test_help_is_fast_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "import facelume\n"
        "from facelume.cli import main\n"
        "try:\n    main(['reconstruct', '--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'warp', 'numpy', 'PIL', 'scipy', 'trimesh'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "facelume.cli", "--help"], check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 1.0  # 0.3 s on an idle machine; tests run beside others


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_command_of_the_contract_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(command, "--help") == 0
    assert "usage: facelume" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("reconstrukt",),
        ("reconstruct", "a.png"),
        ("reconstruct", "a.png", "--out", "x", "--uv-size", "300"),
        ("reconstruct", "a.png", "--out", "x", "--face-model", "bfm1999"),
        ("reconstruct", "a.png", "--out", "x", "--overwrit"),
        ("reconstruct", "--out", "x"),
        ("relight", "r"),
        ("train", "everything", "c.json"),
    ],
)
def test_usage_errors_exit_2_without_a_traceback(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("app",), "facelume app"),
        (("app", "--port", "8080"), "facelume app"),
        (("preprocess", "folder", "--out", "x"), "facelume preprocess"),
        (("reconstruct", "a.png", "--out", "x", "--engine", "ray"), "--engine ray"),
        (("reconstruct", "a.png", "--out", "x", "--engine=ray"), "--engine ray"),
        (("reconstruct", "a.png", "--out", "x", "--engine"), "--engine"),
        (("evaluate", "--data", "d", "--out", "x", "--experiment", "relight"), "--experiment relight"),
    ],
)
def test_reserved_names_are_answered_in_one_line(
    arguments: tuple[str, ...], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(*arguments) == 2
    line = capsys.readouterr().err.strip()
    assert name in line
    assert "not part of this version" in line
    assert "\n" not in line


def test_reserved_names_are_not_in_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ((), ("reconstruct",), ("evaluate",)):
        assert _run(*arguments, "--help") == 0
    text = capsys.readouterr().out
    assert "reconstruct" in text
    for name in ("app", "preprocess", "--engine", "--experiment", "not part of"):
        assert not re.search(rf"(?<![\w-]){name}(?!\w)", text), name


def test_reserved_options_accept_their_one_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent = str(tmp_path / "absent")
    for engine in (("--engine", "local"), ("--engine=local",)):
        assert _run("reconstruct", absent + ".png", *engine, "--out", str(tmp_path / "out")) == 5
        assert "absent.png" in capsys.readouterr().err
    _run("evaluate", "--experiment", "reconstruction", "--data", absent, "--out", str(tmp_path))
    assert "absent is not a folder" in capsys.readouterr().err


def test_the_choices_of_the_command_line_are_those_of_the_library() -> None:
    from facelume.face_model.sources import face_model_sources
    from facelume.pipeline import Reconstructor

    with pytest.raises(UsageError, match=", ".join(source.name for source in face_model_sources())):
        Reconstructor(face_model="nobody")
    with pytest.raises(UsageError, match=", ".join(map(str, get_args(UvSize)))):
        Reconstructor(uv_size=300)


def test_licensed_face_models_exit_4_and_say_where_to_get_them(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = _run("reconstruct", str(photo), "--out", str(tmp_path / "out"), "--face-model", "bfm2009")
    assert status == 4
    line = capsys.readouterr().err.strip()
    assert "01_MorphableModel.mat" in line
    assert "faces.dmi.unibas.ch" in line
    assert "\n" not in line


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("lights") == 0
    table = capsys.readouterr().out
    assert "CC0" in table
    assert _run("lights", "--json") == 0
    lights = json.loads(capsys.readouterr().out)["lights"]
    assert all(len(light["sh_radiance"]) == 9 and light["source"] and light["licence"] for light in lights)
    assert _run("face-model") == 0
    text = capsys.readouterr().out
    assert "open: " in text
    assert "registration" in text
    assert _run("face-model", "--json") == 0
    models = json.loads(capsys.readouterr().out)["face_models"]
    assert [m["name"] for m in models if m["is_included"]] == ["open"]


def test_two_inputs_of_one_stem_exit_2_before_any_work(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = photo.with_suffix(".jpg")
    Image.new("RGB", (64, 64)).save(twin)
    out = tmp_path / "out"
    for inputs in ((str(photo), str(twin)), (str(photo.parent),), (str(photo), str(photo))):
        assert _run("reconstruct", *inputs, "--out", str(out)) == 2
        assert "rename one" in capsys.readouterr().err
    assert not out.exists()


def test_names_of_further_faces_may_not_collide() -> None:
    photos = [Path("a.png"), Path("a_1.png")]
    require_distinct_names(photos, all_faces=False)
    with pytest.raises(UsageError, match="a_1"):
        require_distinct_names(photos, all_faces=True)
    with pytest.raises(UsageError, match="rename one"):
        require_distinct_names([Path("A.png"), Path("x/a.jpg")], all_faces=False)


def test_collect_photos(photo: Path, tmp_path: Path) -> None:
    assert collect_photos([photo]) == ([photo], False)
    assert collect_photos([photo.parent]) == ([photo], True)
    assert collect_photos([photo, photo])[1] is True
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UnreadableInputError, match="no photo"):
        collect_photos([empty])


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (
            ("relight", "r", "--out", "x.png", "--light", "left", "--light-from", "r"),
            "(--light, --light-from)",
        ),
        (("relight", "r", "--out", "x.jpg"), "(--out)"),
        (("relight", "r", "--out", "x.png", "--coarse", "--shadows"), "(--coarse, --shadows)"),
        (("relight", "r", "--out", "x.png", "--shadows", "--no-shadows"), "leave one of the two out"),
        (("evaluate", "--data", "{photos}", "--out", "{photo}"), "(--out)"),
        (("evaluate", "--data", "{photos}", "--out", "x", "--split", "validation"), "(--split, --data)"),
        (("reconstruct", "{photo}", "--out", "{photos}"), "(--out)"),
        (("reconstruct", "{photo}", "--out", "x", "--device", "cuda"), "(--device)"),
    ],
)
def test_errors_of_the_library_name_the_option(
    arguments: tuple[str, ...],
    options: str,
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    monkeypatch.chdir(tmp_path)
    (photo.parent / "a").mkdir()
    (photo.parent / "a" / "novel.txt").write_text("chapter one")
    places = {"photo": str(photo), "photos": str(photo.parent)}
    assert _run(*(argument.format(**places) for argument in arguments)) == 2
    line = capsys.readouterr().err.strip()
    assert line.endswith(options)
    assert "\n" not in line


def test_train_refuses_a_missing_run_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for network in ("locator", "prior", "refiner"):
        assert _run("train", network, str(tmp_path / "absent.json")) == 2
        assert "absent.json" in capsys.readouterr().err
