"""Numbers that define the canonical crop and the face mesh stand in one module each."""

import ast
from pathlib import Path

import pytest

import facelume
from facelume.camera import CROP_SIZE_PX
from facelume.cli.relight import Relight

PACKAGE = Path(facelume.__file__).parent


def modules_with(number: float) -> set[str]:
    """Modules of the package in whose code a number is written out."""
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and type(node.value) in {int, float} and node.value == number
    }


@pytest.mark.parametrize(
    ("number", "owner", "others"),
    [
        (478, "geometry/face_mesh.py", set()),
        (468, "geometry/face_mesh.py", set()),
        (1015, "camera/crop.py", set()),
        # The prior's last stage is 224 channels wide; the command line reads its default without torch.
        (224, "camera/crop.py", {"networks/prior.py", "cli/relight.py"}),
    ],
)
def test_a_number_of_the_crop_or_the_mesh_is_written_out_once(number, owner, others):
    assert modules_with(number) == {owner} | others


def test_the_default_of_the_command_line_is_the_size_of_the_crop():
    assert Relight.__dataclass_fields__["size"].default == CROP_SIZE_PX
