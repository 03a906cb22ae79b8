"""Which networks can stand in which place of the pipeline, and how each is built from its weight record.

Another architecture for a place is one more line here: the record says which of them its weights are for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from facelume.networks.configuration import read_network_config
from facelume.networks.locator import LocatorNetwork, build_locator
from facelume.networks.prior import PriorNetwork, build_prior
from facelume.networks.refiner import Refiner, RefinerConfig
from facelume.networks.tone import ToneNetwork, build_tone
from facelume.networks.unet_refiner import UNetRefiner


def build_refiner(config: Mapping[str, Any]) -> Refiner | UNetRefiner:
    """The refiner of a weight record's configuration; unknown names are refused with ValueError."""
    return make_refiner(read_network_config(config, RefinerConfig))


def make_refiner(config: RefinerConfig) -> Refiner | UNetRefiner:
    """The refiner of a configuration, untrained."""
    return UNetRefiner(config) if config.trunk == "unet" else Refiner(config)


LOCATOR_BUILDERS = {LocatorNetwork: build_locator}
PRIOR_BUILDERS = {PriorNetwork: build_prior}
REFINER_BUILDERS = {Refiner: build_refiner, UNetRefiner: build_refiner}
TONE_BUILDERS = {ToneNetwork: build_tone}
