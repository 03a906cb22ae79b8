"""Every field of every dataclass is described where a reader looks for it."""

import ast
import re
from pathlib import Path

import pytest

import facelume

PACKAGE = Path(facelume.__file__).parent


def dataclasses_in(source: str) -> list[ast.ClassDef]:
    """Every dataclass of a source, nested ones too."""
    return [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef) and any("dataclass" in ast.dump(d) for d in node.decorator_list)
    ]


def public_fields(node: ast.ClassDef) -> list[str]:
    """Names that a caller passes or reads; ``field(init=False, repr=False)`` and private names are inner."""
    return [
        entry.target.id
        for entry in node.body
        if isinstance(entry, ast.AnnAssign)
        and isinstance(entry.target, ast.Name)
        and not entry.target.id.startswith("_")
        and "ClassVar" not in ast.unparse(entry.annotation)
    ]


def described_fields(node: ast.ClassDef) -> set[str]:
    """Names with a line of their own under ``Attributes:``, or (commands) a docstring below the field."""
    found = set()
    docstring = ast.get_docstring(node) or ""
    section = re.search(r"^Attributes:\n((?:[ ]+.*\n?|\n)*)", docstring, flags=re.MULTILINE)
    if section:
        found |= set(re.findall(r"^    (\w+): \S", section.group(1), flags=re.MULTILINE))
    for entry, below in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(entry, ast.AnnAssign)
            and isinstance(entry.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            found.add(entry.target.id)
    return found


def undescribed(source: str) -> list[str]:
    """``Class.field`` of every field without a description; private classes may do without."""
    return [
        f"{node.name}.{name}"
        for node in dataclasses_in(source)
        if not node.name.startswith("_")
        for name in public_fields(node)
        if name not in described_fields(node)
    ]


def attributes_without_field(source: str) -> list[str]:
    """``Class.name`` of every described name that is no field (any more)."""
    return [
        f"{node.name}.{name}"
        for node in dataclasses_in(source)
        for name in sorted(described_fields(node) - set(public_fields(node)))
        if not name.startswith("_")
    ]


MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("module", MODULES)
def test_every_field_has_its_own_line(module):
    assert undescribed((PACKAGE / module).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("module", MODULES)
def test_every_described_name_is_a_field(module):
    assert attributes_without_field((PACKAGE / module).read_text(encoding="utf-8")) == []


GLUED = '''
@dataclass(frozen=True)
class Box:
    """A box.

    Attributes:
        left: Where it begins, and a line so long that it was
            wrapped. right: Where it ends.
        gone: No field.
    """

    left: float
    right: float
'''


def test_a_field_glued_into_another_ones_line_is_missed():
    assert undescribed(GLUED) == ["Box.right"]
    assert attributes_without_field(GLUED) == ["Box.gone"]


def test_a_command_may_describe_its_fields_below_them():
    source = '@dataclass\nclass Command:\n    """Do it."""\n\n    size: int = 3\n    """Its size."""\n'
    assert undescribed(source) == []
