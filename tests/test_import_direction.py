"""Imports inside the package go one way: downwards between units, and never in a circle between files."""

import ast
import graphlib
from pathlib import Path

import pytest

import facelume

PACKAGE = Path(facelume.__file__).parent
PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"
LAYERS = (
    ("choices", "errors", "losses", "reflectance", "types", "version"),
    ("geometry", "io", "weights"),
    ("camera", "illumination", "metrics"),
    ("fitting", "networks", "raster"),
    ("detection", "uv"),
    ("face_model",),
    ("data", "refinement", "registration"),
    ("pipeline",),
    ("evaluation", "training"),
    ("cli",),
)
"""Floors, the lowest first: what stands on one imports from those below it alone."""
LAYER_OF = {name: index for index, names in enumerate(LAYERS) for name in names}


def unit_of(module: str) -> str:
    """The module or package right below ``facelume`` that a module belongs to."""
    return module.split(".")[1]


def module_of(path: Path) -> str:
    """Dotted name of a file of the package."""
    parts = ("facelume", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported_modules(source: str, known: set[str]) -> set[str]:
    """Modules of ``known`` that a source imports anywhere: in functions and for annotations as well.

    Importing a name from a package means the module of that name where there is one, else the package's face.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in names}
    return found & known


def packages_of(module: str) -> set[str]:
    """The packages around a module, without ``facelume`` itself."""
    parts = module.split(".")
    return {".".join(parts[:count]) for count in range(2, len(parts))}


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """What each module of the package imports of it."""
    return {
        name: imported_modules(path.read_text(encoding="utf-8"), set(MODULES))
        for name, path in MODULES.items()
    }


@pytest.fixture(scope="module")
def units(imports) -> dict[str, dict[str, str]]:
    """For each unit the other units that it imports, each with one file that does."""
    found: dict[str, dict[str, str]] = {}
    for module, targets in imports.items():
        if module == "facelume":
            continue
        others = {unit_of(target) for target in targets - {"facelume"}} - {unit_of(module)}
        found.setdefault(unit_of(module), {}).update(dict.fromkeys(others, module))
    return found


def test_every_unit_of_the_package_has_a_floor(units):
    assert units.keys() == LAYER_OF.keys()
    assert len(LAYER_OF) == sum(len(names) for names in LAYERS)


def test_no_unit_imports_from_its_own_floor_or_a_higher_one(units):
    wrong = [
        f"{module} imports {target}"
        for unit, targets in units.items()
        for target, module in targets.items()
        if LAYER_OF[target] >= LAYER_OF[unit]
    ]
    assert wrong == []


def test_every_unit_stands_as_low_as_its_imports_allow(units):
    """A higher place would permit imports that nobody needs."""
    lowest = {unit: max((LAYER_OF[t] + 1 for t in targets), default=0) for unit, targets in units.items()}
    assert {unit: (floor, LAYER_OF[unit]) for unit, floor in lowest.items() if floor != LAYER_OF[unit]} == {}


def test_no_file_imports_itself_by_a_detour(imports):
    """Not even for annotations. The face of another package counts: importing a module runs it."""
    graph = {
        module: targets | {face for t in targets for face in packages_of(t) - packages_of(module) - {module}}
        for module, targets in imports.items()
    }
    assert list(graphlib.TopologicalSorter(graph).static_order())


def test_the_face_of_the_package_is_imported_by_nobody(imports):
    assert [module for module, targets in imports.items() if "facelume" in targets] == []


def test_the_page_of_the_architecture_draws_these_floors():
    drawn = PAGE.read_text(encoding="utf-8").split("## Layers")[1].split("```text\n")[1].split("```")[0]
    assert [sorted(line.split()) for line in drawn.splitlines()] == [sorted(names) for names in LAYERS]


def test_no_relative_imports_and_nothing_from_tools_or_tests():
    for path in MODULES.values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not {str(n).split(".")[0] for n in names} & {"tools", "tests", "face_model_build"}, path


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import facelume.raster", {"facelume.raster"}),
        ("from facelume import cli", {"facelume.cli"}),
        ("from facelume import reconstruct", {"facelume"}),
        ("def f():\n    from facelume.io.photo import read_photo", {"facelume.io.photo"}),
        ("from facelume.io import photo", {"facelume.io.photo"}),
        ("if TYPE_CHECKING:\n    from facelume.camera import PinholeCamera", {"facelume.camera"}),
        ("import numpy", set()),
    ],
)
def test_the_walker_sees_every_kind_of_import(source, expected):
    assert imported_modules(source, set(MODULES)) == expected
