"""Skins of synthetic faces: mixtures of known people, and pigment beyond what the albedo basis spans."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from facelume.data.synthetic.head import random_coefficients
from facelume.data.synthetic.skin_config import SkinConfig
from facelume.data.synthetic.skin_detail import BLOOD, MELANIN
from facelume.face_model import FaceModel
from facelume.types import FacePart
from facelume.uv import texel_map

_REFLECTANCE_RANGE = (0.005, 0.9)


def random_skin(
    example_coeffs: Float[np.ndarray, "E A"], config: SkinConfig, rng: np.random.Generator
) -> Float[np.ndarray, " A"]:
    """Albedo coefficients of a new skin: a few known ones mixed plus a random part."""
    count = example_coeffs.shape[1]
    if len(example_coeffs) == 0:
        return random_coefficients(count, config.free_sigma, config.free_limit, rng)
    chosen = example_coeffs[rng.integers(len(example_coeffs), size=config.num_mixed)]
    mixed = rng.dirichlet([config.mixing_concentration] * config.num_mixed) @ chosen
    own = rng.uniform(*config.own_range) * rng.normal(size=count)
    return (mixed + own).clip(-config.mixed_limit, config.mixed_limit).astype(np.float32)


def skin_of_atlas(model: FaceModel, size: int) -> Float[Tensor, "{size} {size}"]:
    """1 on skin, lips and brows all over the head, 0 on eyes, teeth and mouth and beyond the charts."""
    is_skin = (texel_map(model.topology, size).part == FacePart.SKIN).float()
    return is_skin * (1.0 - model.uv_mask("eyes", size))


def shift_pigment(
    albedo: Float[Tensor, "3 s s"],
    skin: Float[Tensor, "s s"],
    config: SkinConfig,
    rng: np.random.Generator,
) -> Float[Tensor, "3 s s"]:
    """Give the whole skin more or less melanin and blood: skins the basis does not span.

    Args:
        albedo: Linear albedo.
        skin: See :func:`skin_of_atlas`.
        config: How much.
        rng: Source of the amounts.
    """
    melanin, blood = rng.uniform(*config.melanin_range), rng.uniform(*config.blood_range)
    absorbance = config.pigment_strength * (melanin * MELANIN + blood * BLOOD)
    factor = torch.from_numpy(np.exp(-absorbance).astype(np.float32)).to(albedo)[:, None, None]
    return torch.where(skin > 0.5, (albedo * factor).clamp(*_REFLECTANCE_RANGE), albedo)
