"""Every example runs as it stands, writes what it says, and stays short."""

import ast
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
WRITES = {
    "00_hello_face.py": ["hello_face/preview.png", "hello_face/mesh.glb", "hello_face/albedo.png"],
    "01_relight.py": [
        *("relight/left.png", "relight/top.png"),
        *("relight/own_light_turned_-60.png", "relight/own_light_turned_+60.png"),
    ],
    "02_own_light.py": ["own_light/sunset.png", "own_light/sunset.npz", "own_light/sunset_from_behind.png"],
    "03_batch.py": ["batch/anna_0/albedo.png", "batch/berta_0/albedo.png"],
    "04_read_a_result.py": ["read_a_result/astronaut/result.json", "read_a_result/again.png"],
    "05_own_detector.py": ["own_detector/overlay.png"],
    "06_face_crops_and_landmarks.py": ["crops/face_0.png", "crops/landmarks.png"],
    "07_own_albedo.py": ["own_albedo/albedo_prior.png", "own_albedo/preview.png"],
}
MOST_LINES = {"07_own_albedo.py": 125}
"""Examples that may be longer than the others: one has a network and its training."""


def run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    runpy.run_path(str(FOLDER / name), run_name="__main__")
    return folder / "example_results"


def brightness(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("L"), dtype=float)


def test_what_every_example_writes_is_known():
    assert [path.name for path in EXAMPLES] == sorted(WRITES)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_short_and_says_what_it_shows(path):
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) < MOST_LINES.get(path.name, 60)
    assert ast.get_docstring(ast.parse(source))
    assert f"]({path.name})" in (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs_and_writes_what_it_says(path, tmp_path, monkeypatch, capsys):
    results = run(path.name, tmp_path, monkeypatch)
    assert [name for name in WRITES[path.name] if not (results / name).is_file()] == []
    said = capsys.readouterr().out
    check = CHECKS.get(path.name)
    if check is not None:
        check(results, said)


def check_relight(results: Path, said: str) -> None:
    left = brightness(results / "relight/left.png")
    half = left.shape[1] // 2
    assert left[:, :half].sum() > 1.3 * left[:, half:].sum()
    turned_left, turned_right = (
        brightness(results / f"relight/own_light_turned_{degrees}.png") for degrees in ("-60", "+60")
    )
    assert turned_left.shape == (448, 448)
    assert turned_left[:, :224].sum() > turned_right[:, :224].sum()


def check_own_light(results: Path, said: str) -> None:
    sunset = np.asarray(Image.open(results / "own_light/sunset.png"), dtype=float)
    assert sunset[..., 0].sum() > sunset[..., 2].sum()
    assert sunset[:, :112].sum() > sunset[:, 112:].sum()
    behind = np.asarray(Image.open(results / "own_light/sunset_from_behind.png"), dtype=float)
    assert behind[:, :112].sum() < behind[:, 112:].sum()


def check_batch(results: Path, said: str) -> None:
    assert "wall.png: skipped" in said
    assert not (results / "batch/wall_0").exists()
    assert not (results / "batch/anna_0/mesh.glb").exists()


def check_read(results: Path, said: str) -> None:
    assert Image.open(results / "read_a_result/again.png").size == (448, 448)
    assert "nose tip in the photo: [22" in said


def check_crops(results: Path, said: str) -> None:
    assert Image.open(results / "crops/face_0.png").size == (224, 224)
    photo, marked = (
        np.asarray(Image.open(path).convert("RGB"), dtype=int)
        for path in (FOLDER / "astronaut.png", results / "crops/landmarks.png")
    )
    changed = (photo != marked).any(axis=2)
    assert 300 < changed.sum() <= 478
    assert (marked[changed] == (0, 255, 0)).all()


def check_own_albedo(results: Path, said: str) -> None:
    errors = re.search(r"mean error of the people's albedo ([\d.]+), of one mean for all ([\d.]+)", said)
    assert errors is not None
    assert float(errors[1]) < 0.5 * float(errors[2])
    figures = dict(re.findall(r"(linear basis|generated albedo): .* coarse ([\d.]+) dB", said))
    assert float(figures["generated albedo"]) > float(figures["linear basis"]) - 1


CHECKS = {
    "01_relight.py": check_relight,
    "02_own_light.py": check_own_light,
    "03_batch.py": check_batch,
    "04_read_a_result.py": check_read,
    "06_face_crops_and_landmarks.py": check_crops,
    "07_own_albedo.py": check_own_albedo,
}
