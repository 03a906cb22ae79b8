"""Networks come from the configuration of their weight record, strictly."""

from collections.abc import Callable
from dataclasses import asdict

import pytest
from torch import nn

from facelume.networks.builders import (
    LOCATOR_BUILDERS,
    PRIOR_BUILDERS,
    REFINER_BUILDERS,
    TONE_BUILDERS,
    build_refiner,
)
from facelume.networks.locator import build_locator
from facelume.networks.prior import build_prior
from facelume.networks.refiner import Refiner
from facelume.networks.tone import build_tone
from facelume.networks.unet_refiner import UNetRefiner
from facelume.weights import architecture_of, build_and_load, find_record

BUILDERS = {"locator": build_locator, "prior": build_prior, "refiner": build_refiner, "tone": build_tone}
BY_ARCHITECTURE = {
    "locator": LOCATOR_BUILDERS,
    "prior": PRIOR_BUILDERS,
    "refiner": REFINER_BUILDERS,
    "tone": TONE_BUILDERS,
}


@pytest.mark.parametrize("kind", BUILDERS)
def test_the_record_of_the_packaged_weights_builds_its_network(kind: str) -> None:
    network, record = build_and_load(kind, BY_ARCHITECTURE[kind])
    assert architecture_of(type(network)) == record.architecture
    built_from = asdict(network.config)
    assert {name: built_from[name] for name in record.config} == {
        name: tuple(value) if isinstance(value, list) else value for name, value in record.config.items()
    }


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_unknown_names_are_refused_by_name(build: Callable[[dict[str, object]], nn.Module]) -> None:
    with pytest.raises(ValueError, match="widht"):
        build({"widht": 3})


@pytest.mark.parametrize(
    ("kind", "name"),
    [("locator", "channels"), ("prior", "input_px"), ("refiner", "width"), ("tone", "width")],
)
def test_values_of_another_type_are_refused_by_name(kind: str, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        BUILDERS[kind]({name: "wide"})


def test_the_trunk_of_a_refiner_decides_its_class() -> None:
    assert type(build_refiner({"width": 8, "trunk": "unet"})) is UNetRefiner
    assert type(build_refiner({"width": 8})) is Refiner


def test_the_default_record_of_each_kind_is_found_by_its_kind() -> None:
    assert {kind: find_record(kind)[0].kind for kind in BUILDERS} == {kind: kind for kind in BUILDERS}
