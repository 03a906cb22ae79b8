"""Lamps for synthetic faces: studio, sun, window, flash, stage, light from behind. Light frame, linear."""

from __future__ import annotations

import colorsys
import math

import numpy as np
import torch
from jaxtyping import Float

from facelume.data.distributions import draw_count
from facelume.data.synthetic.light import SceneLight
from facelume.data.synthetic.light_config import FillConfig, LampConfig, StudioConfig

# A warmer light loses a little more blue than it gains red.
_BLUE_EXPONENT = -1.2
# The penumbra of a light of one radian over 5 cm of face; larger lights are drawn as points on a disc.
_PENUMBRA_M_PER_RAD, _LARGEST_PENUMBRA_M = 0.05, 0.006
_DISC_RADIUS = 0.7
_DISC = [(0.0, 0.0), *((math.cos(k * math.pi / 3), math.sin(k * math.pi / 3)) for k in range(6))]


def random_studio_light(config: StudioConfig, fill: FillConfig, rng: np.random.Generator) -> SceneLight:
    """A few lamps in front of the head, of random place, size and tint, over a smooth fill."""
    weights = config.num_lamps_weights
    num_lamps = int(rng.choice(np.arange(1, len(weights) + 1), p=weights))
    directions, flux, softness = [], [], []
    for index in range(num_lamps):
        is_rim = index > 0 and rng.random() < config.rim_fraction
        if is_rim:
            azimuth = rng.uniform(*config.rim_azimuth_range_rad) * rng.choice([-1, 1])
        else:
            azimuth = rng.normal(0.0, config.azimuth_sigma_rad)
        elevation = rng.normal(config.elevation_mean_rad, config.elevation_sigma_rad)
        directions.append(_direction(azimuth, elevation))
        strength = 1.0 if index == 0 else rng.uniform(*config.second_strength_range)
        flux.append(math.pi * strength * _random_tint(rng, config.lamp_tint_sigma))
        softness.append(float(rng.choice(config.softness_choices_m)))
    level = math.exp(rng.normal(config.fill_log_mean, config.fill_log_sigma))
    ambient = _fill(level, fill, rng)
    return _lit(directions, flux, softness, ambient, rng.uniform(*config.behind_log_range))


def random_lamps(config: LampConfig, fill: FillConfig, rng: np.random.Generator) -> SceneLight:
    """Lamps of one kind over a smooth fill; a large lamp is several points that share its light."""
    directions: list[np.ndarray] = []
    flux: list[np.ndarray] = []
    softness: list[float] = []
    for _ in range(draw_count(config.num_lamps_range, rng)):
        azimuth = rng.uniform(*config.azimuth_range_rad) * rng.choice([-1, 1])
        elevation = rng.uniform(*config.elevation_range_rad)
        extent = rng.uniform(*config.extent_range_rad)
        colour = math.pi * rng.uniform(*config.strength_range) * _random_colour(config, rng)
        penumbra = extent * _PENUMBRA_M_PER_RAD
        offsets = _DISC if penumbra > _LARGEST_PENUMBRA_M else _DISC[:1]
        for right, up in offsets:
            reach = _DISC_RADIUS * extent
            # Degrees of azimuth are shorter near the poles.
            aside = reach * right / max(math.cos(elevation), 0.3)
            directions.append(_direction(azimuth + aside, elevation + reach * up))
            flux.append(colour / len(offsets))
            softness.append(min(penumbra, _LARGEST_PENUMBRA_M))
    ambient = _fill(math.exp(rng.uniform(*config.fill_log_range)), fill, rng)
    return _lit(directions, flux, softness, ambient, rng.uniform(*config.behind_log_range))


def _direction(azimuth: float, elevation: float) -> np.ndarray:
    ring = math.cos(elevation)
    return np.array([ring * math.sin(azimuth), math.sin(elevation), ring * math.cos(azimuth)])


def _random_tint(rng: np.random.Generator, spread: float) -> Float[np.ndarray, " 3"]:
    """A warm or cool white of luminance about 1."""
    warmth = rng.normal(0.0, spread)
    return np.array([math.exp(warmth), 1.0, math.exp(_BLUE_EXPONENT * warmth)], dtype=np.float32)


def _random_colour(config: LampConfig, rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
    """A white with a share of one pure hue; its mean over the colours is about 1."""
    hue = np.array(colorsys.hsv_to_rgb(rng.random(), 1.0, 1.0))
    share = rng.uniform(*config.saturation_range)
    return ((1 - share) + share * hue / hue.mean()) * _random_tint(rng, config.tint_sigma)


def _fill(level: float, config: FillConfig, rng: np.random.Generator) -> Float[np.ndarray, "9 3"]:
    """Smooth light from all around with a slope, SH radiance."""
    ambient = np.zeros((9, 3), dtype=np.float32)
    ambient[0] = level * 2 * math.sqrt(math.pi) * _random_tint(rng, config.tint_sigma)
    up, ahead, right = np.array(config.slope_mean) + rng.normal(0.0, config.slope_sigma, size=3)
    # Band 1 of the basis is y, z, x: up, to the viewer, to +X.
    slope = np.array([up, ahead, right])[:, None]
    ambient[1:4] = slope * ambient[0] * _random_tint(rng, config.slope_tint_sigma)
    return ambient


def _lit(
    directions: list[np.ndarray],
    flux: list[np.ndarray],
    softness: list[float],
    ambient: Float[np.ndarray, "9 3"],
    behind_log: float,
) -> SceneLight:
    return SceneLight(
        torch.from_numpy(np.stack(directions).astype(np.float32)),
        torch.from_numpy(np.stack(flux).astype(np.float32)),
        torch.tensor(softness, dtype=torch.float32),
        torch.from_numpy(ambient),
        behind_level=math.exp(behind_log),
    )
