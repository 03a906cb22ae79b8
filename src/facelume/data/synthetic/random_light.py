"""Which light shines on a synthetic face: an environment map or lamps of some kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from facelume.data.synthetic.lamps import random_lamps, random_studio_light
from facelume.data.synthetic.light import SceneLight, light_from_environment, random_rotation
from facelume.data.synthetic.light_config import LightConfig


def random_light(
    environment_maps: Sequence[Float[np.ndarray, "H W 3"]], config: LightConfig, rng: np.random.Generator
) -> SceneLight:
    """An environment map in a random turn, or lamps; without maps the studio stands in for them."""
    kind = config.kinds.pick(rng.random())
    if kind == "environment" and len(environment_maps) > 0:
        radiance = environment_maps[int(rng.integers(len(environment_maps)))]
        rotation = random_rotation(config.tilt_sigma_rad, rng)
        return light_from_environment(radiance, rotation, float(rng.choice(config.sun_softness_choices_m)))
    if kind in ("environment", "studio"):
        return random_studio_light(config.studio, config.fill, rng)
    return random_lamps(getattr(config, kind), config.fill, rng)
