import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

_SCRIPT = """
const validator = require('gltf-validator'); const fs = require('fs');
validator.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1])), {maxIssues: 20})
  .then(report => console.log(JSON.stringify(report.issues)));
"""


@pytest.fixture(scope="session")
def gltf_issues() -> Callable[[Path], dict]:
    """Khronos' validator (npm package gltf-validator), where node finds it: NODE_PATH=.../node_modules."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    found = subprocess.run([node, "-e", "require('gltf-validator')"], capture_output=True, check=False)
    if found.returncode != 0:
        pytest.skip("npm package gltf-validator is not installed (NODE_PATH)")

    def validate(path: Path) -> dict:
        done = subprocess.run([node, "-e", _SCRIPT, str(path)], capture_output=True, check=True, text=True)
        return json.loads(done.stdout)

    return validate
