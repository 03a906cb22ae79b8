"""Lights for synthetic faces: a few distant lights that cast shadows, and a soft rest as spherical harmonics.

Everything is in the light frame (camera-attached, +X right, +Y up, +Z to the viewer), linear Rec.709.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import map_coordinates
from torch import Tensor
from torch.nn import functional

from facelume.illumination import directions_of_environment_map, irradiance, sh_basis, solid_angles
from facelume.reflectance import shading_from_irradiance

_PATCH_ROWS, _PATCH_COLUMNS = 16, 32
NUM_SHADOW_LIGHTS = 10
# Half a patch of 11 degrees over 5 cm of face: the penumbra of a patch that does not outshine its map.
_PATCH_SOFTNESS_M = 0.005
# A patch that holds more than this share of its map's light is a sun: its penumbra is drawn.
_SUN_SHARE = 0.5
# The patches that become shadow-casting lights hold at least this share of the strongest patch's light.
_MIN_SHARE = 0.04
_LEAST_COLOUR = 0.01


@dataclass(frozen=True)
class Surroundings:
    """An environment map about a head.

    Attributes:
        radiance: Lat-long map, row 0 = up, centre column = +Z, linear.
        rotation: Orthogonal matrix that takes map directions to the light frame.
    """

    radiance: Float[np.ndarray, "H W 3"]
    rotation: Float[np.ndarray, "3 3"]

    def seen_along(self, directions: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
        """Radiance that comes from unit directions (light frame), linear between the map's pixels."""
        x, y, z = np.moveaxis(directions @ self.rotation, -1, 0)
        height, width, _ = self.radiance.shape
        rows = np.arccos(y.clip(-1, 1)) / math.pi * height - 0.5
        columns = (np.arctan2(-x, z) / (2 * math.pi) + 0.5) * width - 0.5
        rows = rows.clip(0, height - 1)
        planes = [
            map_coordinates(self.radiance[..., colour], [rows, columns], order=1, mode="grid-wrap")
            for colour in range(3)
        ]
        return np.stack(planes, axis=-1)


@dataclass(frozen=True)
class SceneLight:
    """What shines on a synthetic face.

    Attributes:
        directions: Unit vectors from the face to each distant light.
        radiant_flux: Radiance times solid angle of each light: irradiance of a surface that faces it.
        softness_m: Radius of each light's penumbra on the face, metres.
        ambient_sh: SH radiance of everything else (9 coefficients per colour); casts no shadow but is
            occluded.
        behind_level: Radiance of what is behind the head, over that of a white surface which faces the
            viewer; where there are ``surroundings``, they say it themselves.
        surroundings: The map that all of it comes from, if it comes from one.
    """

    directions: Float[Tensor, "K 3"]
    radiant_flux: Float[Tensor, "K 3"]
    softness_m: Float[Tensor, " K"]
    ambient_sh: Float[Tensor, "9 3"]
    behind_level: float = 1.0
    surroundings: Surroundings | None = None

    def total_sh(self) -> Float[Tensor, "9 3"]:
        """SH radiance (order 2) of all of it: the label that a network is asked for."""
        return self.ambient_sh + torch.einsum("kb,kc->bc", sh_basis(self.directions), self.radiant_flux)

    def open_irradiance(self, normals: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
        """Irradiance of surfaces in the open, without any shadow.

        Args:
            normals: Unit normals.
        """
        lamps = (normals @ self.directions.T).clamp_min(0.0) @ self.radiant_flux
        return irradiance(self.ambient_sh, normals).clamp_min(0.0) + lamps

    def shading_of(self, normal: tuple[float, float, float]) -> Float[np.ndarray, " 3"]:
        """Irradiance / pi of one surface in the open, no colour below a hundredth of the brightest."""
        received = self.open_irradiance(functional.normalize(torch.tensor(normal), dim=0))
        shading = shading_from_irradiance(received).numpy().astype(np.float64)
        return np.maximum(shading, max(_LEAST_COLOUR * shading.max(), 1e-4))


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
        surroundings=Surroundings(radiance, rotation),
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
