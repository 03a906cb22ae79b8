"""Imports inside the package go one way: from a later layer to an earlier one."""

import ast
import graphlib
from pathlib import Path

import pytest

import facelume

PACKAGE = Path(facelume.__file__).parent
LAYERS = (
    ("types", "errors", "version", "choices"),
    ("io", "weights"),
    ("geometry", "camera", "illumination", "reflectance"),
    ("raster", "face_model", "uv"),
    ("losses", "networks", "fitting", "metrics"),
    ("detection", "refinement"),
    ("pipeline",),
    ("data", "training", "evaluation", "app"),
    ("cli",),
)
LAYER_OF = {name: index for index, names in enumerate(LAYERS) for name in names}


def unit_of(path: Path) -> str:
    """Top-level module or package that a file belongs to."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported_modules(source: str) -> list[str]:
    """Every module imported anywhere in a source, also inside functions; relative ones start with a dot."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            found += [f"{base}.{alias.name}" for alias in node.names] if base == "facelume" else [base]
    return found


def edges() -> list[tuple[Path, str, str]]:
    """File, its unit, and the unit it imports, for every import of the package from itself."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.parent == PACKAGE and path.name in {"__init__.py", "__main__.py"}:
            continue
        for module in imported_modules(path.read_text(encoding="utf-8")):
            parts = module.split(".")
            if parts[0] == "facelume" and len(parts) > 1:
                found.append((path, unit_of(path), parts[1]))
    return found


def test_every_unit_of_the_package_has_a_layer():
    units = {unit_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__", "__main__"}
    assert units - LAYER_OF.keys() == set()


def test_no_unit_imports_a_later_layer():
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {target}"
        for path, unit, target in edges()
        if LAYER_OF[target] > LAYER_OF[unit]
    ]
    assert wrong == []


def test_units_of_one_layer_form_no_cycle():
    graph: dict[str, set[str]] = {}
    for _, unit, target in edges():
        if unit != target:
            graph.setdefault(unit, set()).add(target)
    assert list(graphlib.TopologicalSorter(graph).static_order())


def test_no_relative_imports_and_nothing_from_tools_or_tests():
    for path in PACKAGE.rglob("*.py"):
        for module in imported_modules(path.read_text(encoding="utf-8")):
            assert module.split(".")[0] not in {"", "tools", "tests"}, f"{path} imports {module}"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import facelume.raster", ["facelume.raster"]),
        ("from facelume import cli", ["facelume.cli"]),
        ("def f():\n    from facelume.io.photo import read", ["facelume.io.photo"]),
        ("from . import cli", ["."]),
    ],
)
def test_the_walker_sees_every_kind_of_import(source, expected):
    assert imported_modules(source) == expected
