"""Processes killed while they publish a result, for real, and the next run that finds what they left."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from facelume.errors import UsageError
from facelume.io import leftovers
from facelume.io.leftovers import clear_leftovers, working_folder
from facelume.io.result_folder import SCHEMA_VERSION, publish, read_manifest, write_manifest

_WRITER = """
import sys, time
from pathlib import Path
from facelume.io.result_folder import publish, write_manifest

def stop(*_):
    print("here", flush=True)
    sys.stdin.readline()

def fill(folder):
    (folder / "albedo.png").write_text("x")
    write_manifest(folder, {"schema_version": 1, "note": "new"})
    if sys.argv[2] == "while filling":
        stop()

rename, remove = Path.rename, publish.__globals__["shutil"].rmtree

def stopping_rename(place, target):
    if sys.argv[2] == "between the renames" and ".partial-" in place.name:
        stop()
    return rename(place, target)

def stopping_remove(place, **options):
    if sys.argv[2] == "before the old one is removed" and ".retired-" in place.name:
        stop()
    return remove(place, **options)

Path.rename, publish.__globals__["shutil"].rmtree = stopping_rename, stopping_remove
publish(Path(sys.argv[1]), fill, overwrite=True)
"""


def _fill(note: str):
    def fill(folder: Path) -> None:
        write_manifest(folder, {"schema_version": SCHEMA_VERSION, "note": note})

    return fill


def _writer(target: Path, moment: str) -> subprocess.Popen[str]:
    """A process that publishes ``target`` and has come to the moment, where it waits for a line."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", _WRITER, str(target), moment], text=True, **pipes)
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    return process


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("had_result", [False, True])
def test_a_run_killed_while_filling_leaves_nothing_to_the_next(tmp_path: Path, had_result: bool) -> None:
    target = tmp_path / "face"
    if had_result:
        publish(target, _fill("old"))
    _kill(_writer(target, "while filling"))
    assert len(_names(tmp_path)) == 1 + had_result
    assert clear_leftovers(tmp_path) == []
    assert _names(tmp_path) == ["face"] * had_result
    assert not had_result or read_manifest(target)["note"] == "old"


def test_a_run_killed_between_its_renames_costs_no_result(tmp_path: Path) -> None:
    target = tmp_path / "face"
    publish(target, _fill("old"))
    _kill(_writer(target, "between the renames"))
    assert not target.exists()
    assert clear_leftovers(tmp_path) == [target]
    assert read_manifest(target)["note"] == "old"
    assert _names(tmp_path) == ["face"]


def test_a_run_killed_before_the_old_result_is_removed_leaves_the_new_one(tmp_path: Path) -> None:
    target = tmp_path / "face"
    publish(target, _fill("old"))
    _kill(_writer(target, "before the old one is removed"))
    assert len(_names(tmp_path)) == 2
    assert clear_leftovers(tmp_path) == []
    assert read_manifest(target)["note"] == "new"
    assert _names(tmp_path) == ["face"]


@pytest.mark.parametrize("moment", ["while filling", "between the renames"])
def test_a_run_that_lives_is_left_alone(tmp_path: Path, moment: str) -> None:
    target = tmp_path / "face"
    publish(target, _fill("old"))
    process = _writer(target, moment)
    before = _names(tmp_path)
    assert clear_leftovers(tmp_path) == []
    assert _names(tmp_path) == before
    process.communicate("go on\n")
    assert process.returncode == 0
    assert read_manifest(target)["note"] == "new"
    assert _names(tmp_path) == ["face"]


def test_publishing_looks_for_leftovers_in_its_folder(tmp_path: Path) -> None:
    _kill(_writer(tmp_path / "other", "while filling"))
    publish(tmp_path / "face", _fill("new"))
    assert _names(tmp_path) == ["face"]


def test_the_newest_of_several_retired_results_comes_back(tmp_path: Path) -> None:
    own = working_folder(tmp_path / "face", "retired").name
    for age_s, note, run in (
        (200, "older", "aaaaaaaa"),
        (100, "newer", "bbbbbbbb"),
        (300, "oldest", "cccccccc"),
    ):
        place = tmp_path / (own[:-8] + run)
        place.mkdir()
        _fill(note)(place)
        os.utime(place, (time.time() - age_s,) * 2)
    assert clear_leftovers(tmp_path) == [tmp_path / "face"]
    assert read_manifest(tmp_path / "face")["note"] == "newer"
    assert _names(tmp_path) == ["face"]


def test_working_folders_of_this_process_are_its_own_also_where_numbers_come_again(tmp_path: Path) -> None:
    own = working_folder(tmp_path / "face", "partial")
    own.mkdir()
    namesake = tmp_path / (own.name[:-8] + "00000000")  # an earlier process with our number
    namesake.mkdir()
    clear_leftovers(tmp_path)
    assert _names(tmp_path) == [own.name]


@pytest.mark.parametrize("where", ["another host", "Windows"])
def test_processes_that_cannot_be_asked_for_are_gone_after_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("os.kill(pid, 0) ends a process on Windows")

    monkeypatch.setattr(leftovers.os, "kill", never)
    if where == "Windows":
        monkeypatch.setattr(leftovers.sys, "platform", "win32")
    host = leftovers._HOST if where == "Windows" else "00000000"
    places = {age_s: tmp_path / f".face{age_s}.partial-{host}-1-00000000" for age_s in (60, 7200)}
    for age_s, place in places.items():
        place.mkdir()
        os.utime(place, (time.time() - age_s,) * 2)
    clear_leftovers(tmp_path)
    assert _names(tmp_path) == [places[60].name]


def test_nothing_else_is_touched(tmp_path: Path) -> None:
    own = working_folder(tmp_path / "face", "partial").name
    (tmp_path / (own[:-8] + "00000000")).write_text("a file")
    for name in (".face.partial-1", ".face.partial", "face.partial-00000000-1-00000000", ".git"):
        (tmp_path / name).mkdir()
    before = _names(tmp_path)
    assert clear_leftovers(tmp_path) == []
    assert _names(tmp_path) == before
    assert clear_leftovers(tmp_path / "absent") == []


def test_a_rename_that_fails_brings_the_old_result_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "face"
    publish(target, _fill("old"))
    rename = Path.rename

    def refuse(place: Path, to: Path) -> Path:
        if ".partial-" in place.name:
            raise PermissionError(13, "Permission denied")
        return rename(place, to)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(UsageError, match="Permission denied"):
        publish(target, _fill("new"), overwrite=True)
    assert read_manifest(target)["note"] == "old"
    assert _names(tmp_path) == ["face"]
