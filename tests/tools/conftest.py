import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]

# Starts every program of a list as `python PROGRAM --help` would, but in one interpreter: torch loads once.
_ASK_ALL = """
import contextlib, io, json, runpy, sys
answers = {}
for program in sys.argv[1:]:
    said = io.StringIO()
    sys.argv, sys.path[0] = [program, "--help"], program.rpartition("/")[0]
    with contextlib.redirect_stdout(said):
        try:
            runpy.run_path(program, run_name="__main__")
        except SystemExit as end:
            assert not end.code, f"{program}: {end.code}"
    answers[program] = said.getvalue()
print(json.dumps(answers))
"""


@pytest.fixture(scope="session")
def helps() -> dict[str, str]:
    """What each tool and benchmark prints for ``--help`` in a fresh interpreter, by its path."""
    paths = [*(ROOT / "tools").glob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
    names = [path.relative_to(ROOT).as_posix() for path in paths]
    done = subprocess.run(
        [sys.executable, "-c", _ASK_ALL, *names], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def environment_maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small lat-long maps of linear radiance, one of them under a held-out name."""
    path = tmp_path_factory.mktemp("lights") / "environment_maps.npz"
    rng = np.random.default_rng(0)
    sky = np.linspace(1.5, 0.2, 16)[:, None, None]
    studio, city = (sky * rng.uniform(0.5, 1.5, (16, 32, 3)) for _ in range(2))
    studio[4, 10] = 300.0
    np.savez(path, studio=studio.astype(np.float32), city=city.astype(np.float32))
    return path
