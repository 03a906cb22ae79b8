"""Everything that `make` installs has one version, so that a run can be repeated."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
INSTALLED_EXTRAS = {"test", "train", "bfm"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {normal(name): version for name, version in found}


def requirements() -> list[Requirement]:
    extras = PROJECT["project"]["optional-dependencies"]
    lines = [*PROJECT["build-system"]["requires"], *PROJECT["project"]["dependencies"]]
    lines += [line for name in INSTALLED_EXTRAS for line in extras[name]]
    return [Requirement(line) for line in lines]


def test_every_requirement_is_pinned_to_a_version_in_its_range():
    versions = pins()
    wrong = [str(r) for r in requirements() if not r.specifier.contains(versions.get(normal(r.name), "0"))]
    assert wrong == []


def test_every_pin_is_a_version_and_stands_once():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    named = [line for line in lines if line and not line.startswith("#")]
    assert len(pins()) == len(named)
    assert [line for line in named if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


def test_the_checkers_know_the_oldest_python_that_is_promised():
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert PROJECT["tool"]["mypy"]["python_version"] == oldest
    assert PROJECT["tool"]["ruff"]["target-version"] == "py" + oldest.replace(".", "")
    assert f"Programming Language :: Python :: {oldest}" in PROJECT["project"]["classifiers"]
