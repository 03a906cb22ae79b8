"""Errors speak to a Python caller; the command line adds its options for the arguments they name."""

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import facelume
from facelume.cli.main import Command
from facelume.cli.reporting import OPTIONS, with_options
from facelume.errors import FacelumeError, UsageError

PACKAGE = Path(facelume.__file__).parent
OPTION = re.compile(r"(?<![-\w])--[a-z]")


def library_sources() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if "cli" not in path.relative_to(PACKAGE).parts]


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and text of every string, those inside f-strings included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def asked_for(tree: ast.AST) -> set[str]:
    """Every name in an ``arguments=(...)`` of a call."""
    keywords = [k for node in ast.walk(tree) if isinstance(node, ast.Call) for k in node.keywords]
    named = [k.value for k in keywords if k.arg == "arguments"]
    return {text for value in named for _, text in texts(value)}


def test_no_text_of_the_library_names_an_option_of_the_command_line() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line}: {text}"
        for path in library_sources()
        for line, text in texts(ast.parse(path.read_text(encoding="utf-8")))
        if OPTION.search(text)
    ]
    assert wrong == []


def test_the_search_sees_options_in_every_kind_of_text() -> None:
    source = 'x = "pass --overwrite"\ny = f"{x}: use --out"\nz = f"{x}`--light`"\nw = "-- a--b ---"'
    found = [text for _, text in texts(ast.parse(source)) if OPTION.search(text)]
    assert found == ["pass --overwrite", ": use --out", "`--light`"]


def test_the_table_of_options_knows_every_argument_that_an_error_asks_to_change() -> None:
    names = {name for path in library_sources() for name in asked_for(ast.parse(path.read_text("utf-8")))}
    assert {"overwrite", "target", "device", "light_from"} <= names
    assert names == OPTIONS.keys()


def test_every_option_of_the_table_exists() -> None:
    commands = [get_args(command)[0] for command in get_args(Command)]
    options = {
        "--" + field.name.replace("_", "-") for command in commands for field in dataclasses.fields(command)
    }
    assert set(OPTIONS.values()) <= options


def test_an_error_is_followed_by_its_options() -> None:
    error = UsageError("light and light_from both name the light", arguments=("light", "light_from"))
    assert str(error) == "light and light_from both name the light"
    assert with_options(error) == "light and light_from both name the light (--light, --light-from)"
    assert with_options(UsageError("no options here")) == "no options here"


@pytest.mark.parametrize("kind", [FacelumeError, *FacelumeError.__subclasses__()])
def test_every_error_of_the_tree_takes_arguments(kind: type[FacelumeError]) -> None:
    assert kind("line").arguments == ()
    assert kind("line", arguments=("out",)).arguments == ("out",)
