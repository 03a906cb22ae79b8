"""The page of conventions names a test for each of them; every named test must exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_test_that_the_page_names_exists():
    page = (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) > 20
    missing = []
    for file, function in named:
        path = ROOT / file
        functions = {n.name for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)}
        if function not in functions:
            missing.append(f"{file}::{function}")
    assert missing == []


def test_every_convention_of_the_page_names_a_test():
    page = (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8")
    bullets = re.findall(r"^- .*?(?=^- |^#|^$)", page, flags=re.MULTILINE | re.DOTALL)
    assert bullets
    assert [bullet for bullet in bullets if "`tests/" not in bullet] == []
