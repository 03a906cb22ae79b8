"""Light as distant lamps that only ever add: what order-2 spherical harmonics cannot say of hard light.

A lamp is a direction and a strength per colour: the shading of a white surface that faces it and sees it.
The shading of a texel is ``sum_l strength_l * max(0, n . d_l) * seen_l``; which lamps a texel sees past the
rest of the head is its *transport*, so that attached and cast shadows follow from the shape.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from facelume.illumination.irradiance import irradiance_basis, irradiance_map
from facelume.illumination.sh import sh_basis

NUM_LAMPS = 128


def lamp_directions(count: int = NUM_LAMPS) -> Float[Tensor, "{count} 3"]:
    """Unit directions that cover the sphere evenly: a Fibonacci lattice about +Y."""
    index = torch.arange(count, dtype=torch.float64) + 0.5
    height = 1.0 - 2.0 * index / count
    ring = torch.sqrt(1.0 - height**2)
    azimuth = index * math.pi * (3.0 - math.sqrt(5.0))
    return torch.stack([ring * torch.cos(azimuth), height, ring * torch.sin(azimuth)], dim=-1).float()


@dataclass(frozen=True, eq=False)
class LampView:
    """What the texels of faces see of the lamps.

    Attributes:
        directions: Towards the lamps, light frame; they turn with the head.
        seen: Share of each lamp that each texel sees past the head, [0, 1].
    """

    directions: Float[Tensor, "b L 3"]
    seen: Float[Tensor, "L S S"]


@dataclass(frozen=True)
class LampFitConfig:
    """Priors and steps of the fit of lamps.

    Attributes:
        ridge: Pull of each lamp to the mean strength of all times ``unseen_share``, relative to what the
            texels say of a lamp.
        unseen_share: Where a lamp that no texel sees settles, as a share of the mean strength.
        hue: Pull of each lamp's colour to the colour of all lamps together, relative like ``ridge``.
        num_steps: Accelerated gradient steps.
    """

    ridge: float = 0.01
    unseen_share: float = 0.5
    hue: float = 0.05
    num_steps: int = 25


def fit_lamps(
    transport: Float[Tensor, "b N L"],
    shading: Float[Tensor, "b N 3"],
    weights: Float[Tensor, "b N 3"],
    start: Float[Tensor, "b L 3"] | None = None,
    config: LampFitConfig | None = None,
) -> Float[Tensor, "b L 3"]:
    """Non-negative lamps that explain the shading of texels best.

    Least squares with bounds, by projected gradients with momentum (Beck & Teboulle 2009).

    Args:
        transport: What each texel receives from each lamp of strength 1.
        shading: Shading of the texels, linear.
        weights: Non-negative weight of each texel and colour.
        start: Where to start; evenly lit from everywhere when absent, with a shading of 1 where nothing says
            how bright.
        config: Priors and steps.

    Returns:
        Strength of each lamp and colour.
    """
    config = config or LampFitConfig()
    share = weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-9)
    weighted = transport[:, None] * share.transpose(1, 2)[..., None]
    gram = weighted.transpose(-1, -2) @ transport[:, None]
    target = (weighted * shading.transpose(1, 2)[..., None]).sum(dim=2)
    scale = gram.diagonal(dim1=-2, dim2=-1).mean(dim=(1, 2))[:, None, None]
    # The largest eigenvalue of a non-negative matrix is at most its largest row sum.
    slope = gram.sum(dim=-1).amax(dim=(1, 2))[:, None, None] + scale * (config.ridge + config.hue)
    slope = slope.clamp(min=1e-9)
    if start is None:
        known = gram.sum(dim=(-1, -2))
        even = torch.where(known > 0, target.sum(dim=-1) / known.clamp(min=1e-9), 4.0 / target.shape[-1])
        lamps = even[..., None].expand_as(target)
    else:
        lamps = start.transpose(1, 2)
    ahead, momentum = lamps, 1.0
    for _ in range(config.num_steps):
        total = ahead.mean(dim=-1, keepdim=True)
        tint = total / total.mean(dim=1, keepdim=True).clamp(min=1e-9)
        grey = ahead.mean(dim=1, keepdim=True) * tint
        gradient = (gram @ ahead[..., None])[..., 0] - target
        gradient = gradient + scale * (
            config.ridge * (ahead - config.unseen_share * total) + config.hue * (ahead - grey)
        )
        moved = (ahead - gradient / slope).clamp(min=0)
        following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = moved + (momentum - 1) / following * (moved - lamps)
        lamps, momentum = moved, following
    return lamps.transpose(1, 2)


def sh_from_lamps(
    strengths: Float[Tensor, "*batch L 3"], directions: Float[Tensor, "*#batch L 3"]
) -> Float[Tensor, "*batch 9 3"]:
    """Radiance coefficients of lamps, for surfaces that see all of them.

    Args:
        strengths: Shading of a white surface that faces the lamp.
        directions: Towards the lamps, light frame.
    """
    return math.pi * sh_basis(directions).transpose(-1, -2) @ strengths


def light_map_from_lamps(
    strengths: Float[Tensor, "b L 3"],
    lamps: LampView,
    normals_light: Float[Tensor, "b 3 S S"],
) -> Float[Tensor, "b 27 S S"]:
    """Radiance coefficients of what each texel sees of the lamps.

    Nine numbers cannot follow one lamp; they are corrected, by as little as possible, so that their
    irradiance at the texel's own normal is the lamps'.

    Args:
        strengths: Shading of a white surface that faces the lamp.
        lamps: What the texels see of the lamps.
        normals_light: Unit normals, light frame; 0 beyond the charts.
    """
    directions, flat_seen = lamps.directions, lamps.seen.flatten(1)
    batch, size = strengths.shape[0], lamps.seen.shape[-1]
    per_lamp = math.pi * sh_basis(directions)[..., None] * strengths[:, :, None]
    light = (flat_seen.T @ per_lamp.flatten(2)).transpose(1, 2).reshape(batch, 27, size, size)
    normals = normals_light.flatten(2).transpose(1, 2)
    received = lamp_transport(directions, flat_seen, normals) @ strengths * math.pi
    error = received.transpose(1, 2).reshape(batch, 3, size, size) - irradiance_map(light, normals_light)
    basis = irradiance_basis(normals)
    step = (basis / basis.square().sum(dim=-1, keepdim=True)).transpose(1, 2).reshape(batch, 9, 1, size, size)
    return light + (step * error[:, None]).flatten(1, 2)


def lamp_transport(
    directions: Float[Tensor, "b L 3"], seen: Float[Tensor, "L N"], normals_light: Float[Tensor, "b N 3"]
) -> Float[Tensor, "b N L"]:
    """What each texel receives from each lamp of strength 1: ``max(0, n . d) * seen``."""
    return (normals_light @ directions.transpose(1, 2)).clamp(min=0) * seen.T
