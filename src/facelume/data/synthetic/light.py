"""Lights for synthetic faces: a few distant lights that cast shadows, and a soft rest as spherical harmonics.

Everything is in the light frame (camera-attached, +X right, +Y up, +Z to the viewer), linear Rec.709.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from facelume.data.synthetic.config import LightConfig, StudioConfig
from facelume.illumination import directions_of_environment_map, sh_basis, solid_angles

_PATCH_ROWS, _PATCH_COLUMNS = 16, 32
NUM_SHADOW_LIGHTS = 10
# Half a patch of 11 degrees over 5 cm of face: the penumbra of a patch that does not outshine its map.
_PATCH_SOFTNESS_M = 0.005
# A patch that holds more than this share of its map's light is a sun: its penumbra is drawn.
_SUN_SHARE = 0.5
# A warmer light loses a little more blue than it gains red.
_BLUE_EXPONENT = -1.2
# The patches that become shadow-casting lights hold at least this share of the strongest patch's light.
_MIN_SHARE = 0.04


@dataclass(frozen=True)
class SceneLight:
    """What shines on a synthetic face.

    Attributes:
        directions: Unit vectors from the face to each distant light.
        radiant_flux: Radiance times solid angle of each light: irradiance of a surface that faces it.
        softness_m: Radius of each light's penumbra on the face, metres.
        ambient_sh: SH radiance of everything else (9 coefficients per colour); casts no shadow but is
            occluded.
    """

    directions: Float[Tensor, "K 3"]
    radiant_flux: Float[Tensor, "K 3"]
    softness_m: Float[Tensor, " K"]
    ambient_sh: Float[Tensor, "9 3"]

    def total_sh(self) -> Float[Tensor, "9 3"]:
        """SH radiance (order 2) of all of it: the label that a network is asked for."""
        return self.ambient_sh + torch.einsum("kb,kc->bc", sh_basis(self.directions), self.radiant_flux)


def _patch_lights(
    radiance: Float[np.ndarray, "H W 3"],
) -> tuple[Float[np.ndarray, "P 3"], Float[np.ndarray, "P 3"]]:
    """Direction (energy-weighted) and flux of the 16 x 32 patches of a lat-long map."""
    height, width, _ = radiance.shape
    directions = directions_of_environment_map(height, width).numpy()
    flux = radiance * solid_angles(height, width).numpy()[:, None, None]
    weight = flux.sum(axis=-1, keepdims=True) + 1e-9

    def pooled(values: np.ndarray) -> np.ndarray:
        rows, columns = height // _PATCH_ROWS, width // _PATCH_COLUMNS
        blocks = values.reshape(_PATCH_ROWS, rows, _PATCH_COLUMNS, columns, -1)
        return blocks.sum(axis=(1, 3)).reshape(_PATCH_ROWS * _PATCH_COLUMNS, -1)

    centres = pooled(directions * weight)
    centres /= np.linalg.norm(centres, axis=-1, keepdims=True)
    return centres.astype(np.float32), pooled(flux).astype(np.float32)


def light_from_environment(
    radiance: Float[np.ndarray, "H W 3"], rotation: Float[np.ndarray, "3 3"], sun_softness_m: float
) -> SceneLight:
    """Turn an environment map into distant lights and a rest.

    The strongest of 16 x 32 patches become distant lights at their centres of energy; all others go into the
    ambient SH, so that the total is the map's.

    Args:
        radiance: Lat-long map, row 0 = up, centre column = +Z, linear; sides are multiples of 16 and 32.
        rotation: Orthogonal matrix (a mirror is allowed) that takes map directions to the light frame.
        sun_softness_m: Penumbra radius of a patch that holds more light than all the others together.
    """
    centres, flux = _patch_lights(np.asarray(radiance, dtype=np.float32))
    directions = centres @ rotation.T.astype(np.float32)
    energy = flux.sum(axis=-1)
    strongest = np.argsort(-energy)[:NUM_SHADOW_LIGHTS]
    strongest = strongest[energy[strongest] > _MIN_SHARE * energy[strongest[0]]]
    is_rest = np.ones(len(energy), dtype=bool)
    is_rest[strongest] = False
    softness = np.full(len(strongest), _PATCH_SOFTNESS_M, dtype=np.float32)
    softness[energy[strongest] > _SUN_SHARE * energy.sum()] = sun_softness_m
    rest = torch.einsum(
        "pb,pc->bc", sh_basis(torch.from_numpy(directions[is_rest])), torch.from_numpy(flux[is_rest])
    )
    return SceneLight(
        torch.from_numpy(directions[strongest]),
        torch.from_numpy(flux[strongest]),
        torch.from_numpy(softness),
        rest,
    )


def random_rotation(tilt_sigma_rad: float, rng: np.random.Generator) -> Float[np.ndarray, "3 3"]:
    """Any yaw about +Y, a tilt of the given spread about +X and +Z, mirrored half of the time."""
    yaw = rng.uniform(-math.pi, math.pi)
    tilt, roll = rng.normal(0.0, tilt_sigma_rad, size=2)
    cy, sy, ct, st = math.cos(yaw), math.sin(yaw), math.cos(tilt), math.sin(tilt)
    cr, sr = math.cos(roll), math.sin(roll)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, ct, -st], [0, st, ct]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    mirror = np.diag([rng.choice([-1.0, 1.0]), 1.0, 1.0])
    return about_z @ about_x @ about_y @ mirror


def _random_tint(rng: np.random.Generator, spread: float) -> Float[np.ndarray, " 3"]:
    """A warm or cool white of luminance about 1."""
    warmth = rng.normal(0.0, spread)
    return np.array([math.exp(warmth), 1.0, math.exp(_BLUE_EXPONENT * warmth)], dtype=np.float32)


def random_studio_light(config: StudioConfig, rng: np.random.Generator) -> SceneLight:
    """A few lamps of random place, size and tint over a smooth fill: sun, flash, window, rim light."""
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
        directions.append(
            [
                math.cos(elevation) * math.sin(azimuth),
                math.sin(elevation),
                math.cos(elevation) * math.cos(azimuth),
            ]
        )
        strength = 1.0 if index == 0 else rng.uniform(*config.second_strength_range)
        flux.append(math.pi * strength * _random_tint(rng, config.lamp_tint_sigma))
        softness.append(rng.choice(config.softness_choices_m))
    ambient = np.zeros((9, 3), dtype=np.float32)
    level = math.exp(rng.normal(config.fill_log_mean, config.fill_log_sigma))
    ambient[0] = level * 2 * math.sqrt(math.pi) * _random_tint(rng, config.fill_tint_sigma)
    slope = rng.normal(0.0, config.fill_slope_sigma, size=(3, 1)) + np.array(config.fill_slope_mean)[:, None]
    ambient[1:4] = slope * ambient[0] * _random_tint(rng, config.fill_slope_tint_sigma)
    return SceneLight(
        torch.tensor(directions, dtype=torch.float32),
        torch.from_numpy(np.asarray(flux, dtype=np.float32)),
        torch.tensor(softness, dtype=torch.float32),
        torch.from_numpy(ambient),
    )


def random_light(
    environment_maps: Sequence[Float[np.ndarray, "H W 3"]], config: LightConfig, rng: np.random.Generator
) -> SceneLight:
    """An environment map in a random turn, where maps are given, or studio lamps."""
    if len(environment_maps) > 0 and rng.random() < config.environment_fraction:
        radiance = environment_maps[int(rng.integers(len(environment_maps)))]
        rotation = random_rotation(config.tilt_sigma_rad, rng)
        return light_from_environment(radiance, rotation, float(rng.choice(config.sun_softness_choices_m)))
    return random_studio_light(config.studio, rng)
