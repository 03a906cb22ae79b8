"""Turning and mirroring a light that is given as spherical harmonics."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from facelume.geometry import rotation_from_rotvec
from facelume.illumination.sh import sh_basis

# x -> -x: the basis functions x, xy and xz are odd in x.
_MIRROR_SIGNS = (1.0, 1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0, 1.0)


def sh_rotation_matrix(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 9 9"]:
    """Matrix that rotates coefficients: the light from direction d comes from ``rotation @ d`` afterwards.

    Exact up to rounding: products of two basis functions have degree 4, which the quadrature behind it
    integrates exactly. Differentiable with respect to the rotation.

    Args:
        rotation: Proper rotation of light axes (+X right, +Y up, +Z to the viewer).

    Returns:
        Matrix that turns a column of nine radiance coefficients.
    """
    directions, weights = _quadrature()
    nodes = rotation.new_tensor(directions)
    projection = sh_basis(nodes).T * rotation.new_tensor(weights)
    # Radiance after turning, at node d, is the old radiance at R^T d; rows are directions: ``nodes @ R``.
    return projection @ sh_basis(nodes @ rotation)


def rotate_sh(
    sh_radiance: Float[Tensor, "*#batch 9 3"], rotation: Float[Tensor, "*#batch 3 3"]
) -> Float[Tensor, "*batch 9 3"]:
    """Turn a light: what came from d comes from ``rotation @ d`` (light axes). Batch axes broadcast."""
    return sh_rotation_matrix(rotation) @ sh_radiance


def mirror_sh(sh_radiance: Float[Tensor, "*batch 9 3"]) -> Float[Tensor, "*batch 9 3"]:
    """The light of the mirrored picture: what came from the left comes from the right (light axes)."""
    return sh_radiance * sh_radiance.new_tensor(_MIRROR_SIGNS)[:, None]


def yaw_rotation(yaw_rad: float) -> Float[Tensor, "3 3"]:
    """Rotation about +Y (up), right-handed: light from the viewer (+Z) moves to picture right (+X)."""
    cosine, sine = math.cos(yaw_rad), math.sin(yaw_rad)
    return torch.tensor([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])


def roll_rotation(roll_rad: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation about +Z (to the viewer), right-handed: light from picture right (+X) moves up (+Y)."""
    zero = torch.zeros_like(roll_rad)
    return rotation_from_rotvec(torch.stack((zero, zero, roll_rad), dim=-1))


@functools.cache
def _quadrature() -> tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, " N"]]:
    """Gauss-Legendre in z times trapezoid in azimuth, exact for polynomials of degree 4 on the sphere."""
    heights, height_weights = np.polynomial.legendre.leggauss(3)
    azimuth = 2.0 * np.pi * np.arange(5) / 5
    ring = np.sqrt(1.0 - heights**2)
    directions = np.stack(
        (
            ring[:, None] * np.cos(azimuth),
            ring[:, None] * np.sin(azimuth),
            np.broadcast_to(heights[:, None], (3, 5)),
        ),
        axis=-1,
    )
    weights = np.repeat(height_weights * (2.0 * np.pi / 5), 5)
    return directions.reshape(-1, 3), weights
