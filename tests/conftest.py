import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

# Relative and absolute tolerance of results that should be equal, where a test names none of its own. On the
# CPU they are those of torch.testing; a GPU sums in another order.
TOLERANCES = {
    ("cpu", torch.float32): (1.3e-6, 1e-5),
    ("cpu", torch.float64): (1e-7, 1e-7),
    ("cuda", torch.float32): (1e-4, 1e-4),
    ("cuda", torch.float64): (1e-7, 1e-7),
}

_SCRIPT = """
const validator = require('gltf-validator'); const fs = require('fs');
validator.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1])), {maxIssues: 20})
  .then(report => console.log(JSON.stringify(report.issues)));
"""


@pytest.fixture(scope="session", params=["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def device(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    """Every device there is: a test that makes its tensors there runs once on each, in full precision."""
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield torch.device(request.param)
    torch.backends.cudnn.allow_tf32 = allowed


@pytest.fixture(scope="session")
def assert_close(device: torch.device) -> Callable[[torch.Tensor, torch.Tensor], None]:
    """``torch.testing.assert_close`` within the tolerances of the device; both tensors must lie there."""

    def check(actual: torch.Tensor, expected: torch.Tensor) -> None:
        assert actual.device.type == expected.device.type == device.type
        rtol, atol = TOLERANCES.get((device.type, actual.dtype), (0.0, 0.0))
        torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol)

    return check


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
