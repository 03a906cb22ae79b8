import dataclasses
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from facelume.data.distributions import Mixture
from facelume.fitting.tone_cues import NUM_CUES
from facelume.networks.tone import ToneConfig, ToneNetwork
from facelume.weights import WeightRecord, architecture_of, find_record, save_weights

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


def _places(config: Any) -> Iterator[tuple[str, ...]]:
    """The path of every value below a configuration; a mixture counts as one value."""
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value) and not isinstance(value, Mixture):
            yield from ((field.name, *below) for below in _places(value))
        else:
            yield (field.name,)


def _value_at(config: Any, place: tuple[str, ...]) -> Any:
    return _value_at(getattr(config, place[0]), place[1:]) if place else config


def _with_value(config: Any, place: tuple[str, ...], value: Any) -> Any:
    if not place:
        return value
    return replace(config, **{place[0]: _with_value(getattr(config, place[0]), place[1:], value)})


_OTHER_TUPLES = {
    "weights": lambda value: (0.0,) * (len(value) - 1) + (1.0,),
    "groups": lambda _: (),
    "beta": lambda value: (value[1] * 2, value[0]),
    "choices": lambda value: tuple(0.3 * entry + 0.1 for entry in value),
    "tints": lambda value: tuple(0.3 * entry + 0.1 for entry in value),
    "mean": lambda value: tuple(0.3 * entry + 0.1 for entry in value),
}


def _other(name: str, value: Any) -> Any:
    """Another value that the field can hold."""
    words = name.split("_")
    if isinstance(value, Mixture):
        return type(value)(1.0, *(0.0 for _ in value.shares[1:]))
    if isinstance(value, tuple) and "range" in words:
        return (value[1], value[1] + 1) if isinstance(value[0], int) else (0.5 * (value[0] + value[1]),) * 2
    if isinstance(value, tuple):
        return next(change(value) for word, change in _OTHER_TUPLES.items() if word in words)
    if isinstance(value, bool):
        return not value
    if "fraction" in words:
        return 0.0 if value == 1.0 else 1.0
    return value / 20 if "limit" in words else 2 * value + type(value)(1)


@pytest.fixture(scope="session")
def every_change() -> Callable[[Any], Iterator[tuple[str, Any]]]:
    """Walks a configuration of drawn data: dotted name of each value, and the whole with that one changed."""

    def changes(config: Any) -> Iterator[tuple[str, Any]]:
        for place in _places(config):
            changed = _with_value(config, place, _other(place[-1], _value_at(config, place)))
            assert changed != config
            yield ".".join(place), changed

    return changes


@pytest.fixture(scope="session")
def all_changed() -> Callable[[Any], Any]:
    """Changes every value of a configuration of drawn data."""

    def change(config: Any) -> Any:
        for place in _places(config):
            config = _with_value(config, place, _other(place[-1], _value_at(config, place)))
        return config

    return change


@pytest.fixture(scope="session")
def tone_saying() -> Callable[..., ToneNetwork]:
    """Builds a tone network that says the same of every face.

    Its raw answers are the numbers given: 0 is the middle of each range, a tone of -1 the darkest measured.
    """

    def build(tone: float = 0.0, hue: tuple[float, float] = (0.0, 0.0), sigma: float = 0.0) -> ToneNetwork:
        config = ToneConfig(NUM_CUES, width=4, num_hidden=1, picture_width=4)
        network = ToneNetwork(config).eval().requires_grad_(False)
        (member,) = network.members
        member.answer.weight.zero_()
        member.answer.bias.copy_(torch.tensor([tone, *hue, sigma, sigma, sigma]))
        return network

    return build


@pytest.fixture
def shipped_tone() -> WeightRecord:
    """The tone network of the package."""
    return find_record("tone")[0]


@pytest.fixture
def own_tone(
    shipped_tone: WeightRecord, tone_saying, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> WeightRecord:
    """A tone network of the user's own, found before the package's, that learned from nobody's photos."""
    network = tone_saying()
    record = WeightRecord(
        id="tone-own",
        kind="tone",
        architecture=architecture_of(ToneNetwork),
        config=dataclasses.asdict(network.config),
        input="",
        training_data="",
        licence="CC0",
        terms="free",
    )
    monkeypatch.setenv("FACELUME_WEIGHTS", str(tmp_path / "own_weights"))
    return save_weights(network.state_dict(), record, folder=tmp_path / "own_weights")
