"""The lamps of an environment map: its brightest spots at their true places, the rest on an even lattice."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from facelume.illumination.environment import directions_of_environment_map, solid_angles
from facelume.illumination.lamps import lamp_directions
from facelume.reflectance import luminance

NUM_CELLS = 256
"""Cells of the sphere that hold what is no spot, a lamp each: 13 degrees wide."""
MAX_SPOTS = 6
SPOT_RADIUS_RAD = math.radians(6.0)
LEAST_SPOT_SHARE = 0.01
"""Share of the map's light that a spot holds at least."""
_MAX_HEIGHT = 256
_CENTRING_STEPS = 3


@dataclass(frozen=True, eq=False)
class Lamps:
    """A light as distant lamps.

    Attributes:
        directions: Unit vectors towards the lamps, light frame.
        strengths: Shading of a white surface that faces the lamp: radiance times solid angle over pi, linear
            Rec.709.
    """

    directions: Float[Tensor, "L 3"]
    strengths: Float[Tensor, "L 3"]

    def turned(self, rotation: Float[Tensor, "3 3"]) -> Lamps:
        """The lamps at the other end of a rotation: what came from direction d comes from ``R @ d``."""
        return Lamps(self.directions @ rotation.to(self.directions).T, self.strengths)

    def scaled(self, factor: float) -> Lamps:
        """The same lamps at another exposure."""
        return Lamps(self.directions, self.strengths * factor)

    def split(self, is_first: Bool[Tensor, " L"]) -> tuple[Lamps, Lamps]:
        """Two lights that add up to this one: the lamps that are marked, and the others."""
        first, second = (Lamps(self.directions[part], self.strengths[part]) for part in (is_first, ~is_first))
        return first, second


def lamps_from_environment_map(radiance: Float[Tensor, "H W 3"]) -> Lamps:
    """Gather a lat-long map of linear radiance into lamps, each at the centre of the light it holds.

    First the spots: up to ``MAX_SPOTS`` discs of ``SPOT_RADIUS_RAD`` where most of the light is (a sun, a
    window, a lamp); then one lamp for each of ``NUM_CELLS`` cells of what is left.

    Args:
        radiance: See ``illumination.environment``; more than 256 rows are averaged down first.
    """
    if radiance.shape[0] > _MAX_HEIGHT:
        planes = functional.adaptive_avg_pool2d(radiance.movedim(-1, 0)[None], (_MAX_HEIGHT, 2 * _MAX_HEIGHT))
        radiance = planes[0].movedim(0, -1)
    height, width, _ = radiance.shape
    towards = directions_of_environment_map(height, width).to(radiance).flatten(0, 1)
    solid_angle = solid_angles(height, width).to(radiance)[:, None, None]
    strength = (radiance * solid_angle / math.pi).flatten(0, 1)
    lattice = lamp_directions(NUM_CELLS).to(radiance)
    cell = (towards @ lattice.T).argmax(dim=1)
    spots: list[Bool[Tensor, " N"]] = []
    rest = strength
    while len(spots) < MAX_SPOTS:
        spot = _brightest_spot(towards, luminance(rest), cell)
        if not luminance(rest[spot]).sum() > LEAST_SPOT_SHARE * luminance(strength).sum():
            break
        spots.append(spot)
        rest = torch.where(spot[:, None], 0.0, rest)
    # Spots are counted before the cells; each pixel belongs to the first that holds it.
    group = len(spots) + cell
    for index, spot in reversed(list(enumerate(spots))):
        group = torch.where(spot, index, group)
    centres = strength.new_zeros(len(spots) + NUM_CELLS, 3)
    strengths = centres.index_add(0, group, strength)
    centres = centres.index_add(0, group, towards * luminance(strength)[:, None])
    centres[len(spots) :] += 1e-12 * lattice
    return Lamps(functional.normalize(centres, dim=1, eps=1e-20), strengths)


def _brightest_spot(
    towards: Float[Tensor, "N 3"], weight: Float[Tensor, " N"], cell: Int[Tensor, " N"]
) -> Bool[Tensor, " N"]:
    """The pixels of a disc about the centre of the light in the cell that holds most."""
    in_cell = weight.new_zeros(NUM_CELLS).index_add(0, cell, weight)
    inside = cell == in_cell.argmax()
    for _ in range(_CENTRING_STEPS):
        centre = functional.normalize(weight[inside] @ towards[inside], dim=0)
        inside = towards @ centre > math.cos(SPOT_RADIUS_RAD)
    return inside
