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

from facelume.illumination import directions_of_environment_map, sh_basis, solid_angles

_PATCH_ROWS, _PATCH_COLUMNS = 16, 32
NUM_SHADOW_LIGHTS = 10
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
    softness = np.full(len(strongest), 0.005, dtype=np.float32)
    softness[energy[strongest] > 0.5 * energy.sum()] = sun_softness_m
    rest = torch.einsum(
        "pb,pc->bc", sh_basis(torch.from_numpy(directions[is_rest])), torch.from_numpy(flux[is_rest])
    )
    return SceneLight(
        torch.from_numpy(directions[strongest]),
        torch.from_numpy(flux[strongest]),
        torch.from_numpy(softness),
        rest,
    )


def random_rotation(rng: np.random.Generator) -> Float[np.ndarray, "3 3"]:
    """Any yaw about +Y, a tilt of about ten degrees, mirrored half of the time: suns stay up."""
    yaw = rng.uniform(-math.pi, math.pi)
    tilt, roll = rng.normal(0.0, 0.17, size=2)
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
    return np.array([math.exp(warmth), 1.0, math.exp(-1.2 * warmth)], dtype=np.float32)


def random_studio_light(rng: np.random.Generator) -> SceneLight:
    """One to three lamps of random place, size and tint over a smooth fill: sun, flash, window, rim light."""
    num_lamps = int(rng.choice([1, 2, 3], p=[0.55, 0.3, 0.15]))
    directions, flux, softness = [], [], []
    for index in range(num_lamps):
        is_rim = index > 0 and rng.random() < 0.5
        azimuth = rng.uniform(1.4, 2.6) * rng.choice([-1, 1]) if is_rim else rng.normal(0.0, 0.9)
        elevation = rng.normal(0.55, 0.4)
        directions.append(
            [
                math.cos(elevation) * math.sin(azimuth),
                math.sin(elevation),
                math.cos(elevation) * math.cos(azimuth),
            ]
        )
        strength = 1.0 if index == 0 else rng.uniform(0.15, 1.2)
        flux.append(math.pi * strength * _random_tint(rng, 0.2))
        softness.append(rng.choice([0.0008, 0.002, 0.005, 0.009]))
    ambient = np.zeros((9, 3), dtype=np.float32)
    level = math.exp(rng.normal(-0.9, 0.8))
    ambient[0] = level * 2 * math.sqrt(math.pi) * _random_tint(rng, 0.2)
    slope = rng.normal(0.0, 0.25, size=(3, 1)) + np.array([[0.2], [0.0], [0.1]])
    ambient[1:4] = slope * ambient[0] * _random_tint(rng, 0.1)
    return SceneLight(
        torch.tensor(directions, dtype=torch.float32),
        torch.from_numpy(np.asarray(flux, dtype=np.float32)),
        torch.tensor(softness, dtype=torch.float32),
        torch.from_numpy(ambient),
    )


def random_light(
    environment_maps: Sequence[Float[np.ndarray, "H W 3"]], rng: np.random.Generator
) -> SceneLight:
    """An environment map in a random turn (two thirds, where maps are given) or studio lamps."""
    if len(environment_maps) > 0 and rng.random() < 0.67:
        radiance = environment_maps[int(rng.integers(len(environment_maps)))]
        return light_from_environment(
            radiance, random_rotation(rng), float(rng.choice([0.0006, 0.0015, 0.004]))
        )
    return random_studio_light(rng)
