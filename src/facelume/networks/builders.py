"""Which networks can stand in which place of the pipeline, and how each is built from its weight record.

Another architecture for a place is one more line here: the record says which of them its weights are for.
"""

from __future__ import annotations

from facelume.networks.locator import LocatorNetwork, build_locator
from facelume.networks.prior import PriorNetwork, build_prior
from facelume.networks.refiner import Refiner, build_refiner
from facelume.networks.tone import ToneNetwork, build_tone

LOCATOR_BUILDERS = {LocatorNetwork: build_locator}
PRIOR_BUILDERS = {PriorNetwork: build_prior}
REFINER_BUILDERS = {Refiner: build_refiner}
TONE_BUILDERS = {ToneNetwork: build_tone}
