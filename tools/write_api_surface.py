"""Write the inventory of the public API, tests/api_surface.json, from the source text.

    python tools/write_api_surface.py

Public is what ``facelume`` and the rooms that have an ``__all__`` offer, and the records and errors that all
of them share. The inventory holds the kind, signature and members of each name as they are written: nothing
is imported, so that it is the same for every version of Python and of the libraries.
"""

from __future__ import annotations

import argparse
import ast
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SURFACE = ROOT / "tests" / "api_surface.json"
_SOURCE = ROOT / "src"
_WITHOUT_LIST = ("facelume.errors", "facelume.types")
"""Public modules whose every own class and function is public."""


def api_surface() -> dict[str, Any]:
    """The inventory: where each public name is defined, and what is defined there."""
    modules: dict[str, dict[str, str]] = {}
    definitions: dict[str, Any] = {}
    for module in _public_modules():
        names = _own_names(module) if module in _WITHOUT_LIST else _listed_names(module)
        modules[module] = {}
        for name in sorted(names):
            home, node = _definition(module, name)
            modules[module][name] = f"{home}.{name}"
            definitions[f"{home}.{name}"] = _described(node)
    return {"modules": modules, "definitions": dict(sorted(definitions.items()))}


def _public_modules() -> list[str]:
    packages = [_SOURCE / "facelume", *sorted((_SOURCE / "facelume").iterdir())]
    with_init = [folder for folder in packages if (folder / "__init__.py").is_file()]
    names = [".".join(folder.relative_to(_SOURCE).parts) for folder in with_init]
    return sorted([*(name for name in names if _listed_names(name)), *_WITHOUT_LIST])


def _parsed(module: str) -> ast.Module:
    path = _SOURCE.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def _listed_names(module: str) -> list[str]:
    for node in _parsed(module).body:
        if isinstance(node, ast.Assign) and _target(node) == "__all__":
            return ast.literal_eval(node.value)
    return []


def _own_names(module: str) -> list[str]:
    kinds = (ast.ClassDef, ast.FunctionDef)
    return [n.name for n in _parsed(module).body if isinstance(n, kinds) and not n.name.startswith("_")]


def _definition(module: str, name: str) -> tuple[str, ast.stmt]:
    """The module that defines a name, and the statement that does; imports are followed."""
    for node in ast.walk(_parsed(module)):
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            return _definition(str(node.module), name)
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return module, node
        if isinstance(node, ast.Assign | ast.AnnAssign) and _target(node) == name:
            return module, node
    raise LookupError(f"{module}.__all__ lists {name}, which is not defined there")


def _target(node: ast.Assign | ast.AnnAssign) -> str:
    target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
    return target.id if isinstance(target, ast.Name) else ""


def _described(node: ast.stmt) -> Any:
    if isinstance(node, ast.FunctionDef):
        return f"function {_signature(node)}"
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in node.bases)
        decorators = "".join(f"@{ast.unparse(d)} " for d in node.decorator_list)
        members = dict(member for part in node.body for member in _member(part))
        return {"class": f"{decorators}({bases})"} | members
    assert isinstance(node, ast.Assign | ast.AnnAssign)
    is_counted = (
        _target(node) == "__version__"
    )  # changes with every release, and is no change of the interface
    return "constant" if is_counted or node.value is None else f"constant {ast.unparse(node.value)}"


def _member(node: ast.stmt) -> list[tuple[str, str]]:
    if isinstance(node, ast.AnnAssign) and not _target(node).startswith("_"):
        default = f" = {ast.unparse(node.value)}" if node.value else ""
        return [(_target(node), f"field {ast.unparse(node.annotation)}{default}")]
    if isinstance(node, ast.FunctionDef) and (node.name == "__init__" or not node.name.startswith("_")):
        kind = "".join(f"@{ast.unparse(d)} " for d in node.decorator_list) or "method "
        return [(node.name, kind + _signature(node))]
    return []


def _signature(node: ast.FunctionDef) -> str:
    returned = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"({ast.unparse(node.args)}){returned}"


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    return argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)


def main() -> None:
    """Run the tool."""
    command_line().parse_args()
    text = json.dumps(api_surface(), indent=1, ensure_ascii=False) + "\n"
    SURFACE.write_text(text, encoding="utf-8")
    print(f"{SURFACE.relative_to(ROOT)} written")


if __name__ == "__main__":
    main()
