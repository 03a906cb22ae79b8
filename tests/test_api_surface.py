"""The public API is what tests/api_surface.json says: no name or signature changes unseen."""

import difflib
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import facelume

_ROOT = Path(__file__).parents[1]
_RECORDED = json.loads((_ROOT / "tests" / "api_surface.json").read_text(encoding="utf-8"))


def _load_tool():
    spec = importlib.util.spec_from_file_location(
        "write_api_surface", _ROOT / "tools" / "write_api_surface.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_public_names_and_signatures_are_those_of_the_inventory():
    found = json.dumps(_load_tool().api_surface(), indent=1, ensure_ascii=False).splitlines()
    recorded = json.dumps(_RECORDED, indent=1, ensure_ascii=False).splitlines()
    changed = "\n".join(difflib.unified_diff(recorded, found, "recorded", "found", n=0, lineterm=""))
    assert not changed, (
        f"the public API has changed:\n{changed}\nIf that is meant, run `python tools/write_api_surface.py`, "
        "commit tests/api_surface.json with the change and say it in the changelog"
    )


@pytest.mark.parametrize("module", sorted(_RECORDED["modules"]))
def test_every_name_of_the_inventory_can_be_imported(module):
    loaded = importlib.import_module(module)
    for name, home in _RECORDED["modules"][module].items():
        value = getattr(loaded, name)
        record = _RECORDED["definitions"][home]
        assert inspect.isclass(value) or not isinstance(record, dict), name
        if isinstance(record, dict) or record.startswith("function"):
            assert f"{inspect.unwrap(value).__module__}.{name}" == home


def test_the_package_offers_what_it_lists_and_nothing_else():
    assert set(facelume.__all__) <= set(dir(facelume))
    assert facelume.__all__ == sorted(facelume.__all__)
    with pytest.raises(AttributeError, match="facelume"):
        facelume.no_such_name  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, facelume\n"
        "facelume.NoFaceError, facelume.__version__, dir(facelume)\n"
        "heavy = {'torch', 'warp', 'numpy', 'PIL', 'scipy', 'trimesh', 'tyro'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_version_is_the_one_of_the_installed_package():
    assert importlib.metadata.version("facelume") == facelume.__version__
