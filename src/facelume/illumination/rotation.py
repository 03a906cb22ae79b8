"""Rotating a light that is given as spherical harmonics."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from facelume.illumination.sh import sh_basis


def sh_rotation_matrix(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 9 9"]:
    """Matrix that rotates coefficients: the light from direction d comes from ``rotation @ d`` afterwards.

    Exact: products of two basis functions have degree 4, and the quadrature behind it integrates those
        exactly.
    Differentiable with respect to the rotation.
    """
    directions, weights = _quadrature()
    nodes = rotation.new_tensor(directions)
    projection = sh_basis(nodes).T * rotation.new_tensor(weights)
    # Radiance after turning, at node d, is the old radiance at R^T d; rows are directions, hence ``nodes @
    # R``.
    return projection @ sh_basis(nodes @ rotation)


def rotate_sh(
    sh_radiance: Float[Tensor, "*#batch 9 3"], rotation: Float[Tensor, "*#batch 3 3"]
) -> Float[Tensor, "*batch 9 3"]:
    """Turn a light: what came from d comes from ``rotation @ d`` (light axes). Batch axes broadcast."""
    return sh_rotation_matrix(rotation) @ sh_radiance


def yaw_rotation(yaw_rad: float) -> Float[Tensor, "3 3"]:
    """Rotation about +Y (up), right-handed: light from the viewer (+Z) moves to picture right (+X)."""
    cosine, sine = math.cos(yaw_rad), math.sin(yaw_rad)
    return torch.tensor([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])


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
