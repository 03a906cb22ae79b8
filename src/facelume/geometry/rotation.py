"""Rotation matrices and rotation vectors (axis times angle, radians), both ways."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def rotation_from_rotvec(rotvec_rad: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrix of a rotation vector (Rodrigues' formula); smooth at zero, gradients included.

    Args:
        rotvec_rad: Rotation axis times angle in radians, right-handed.

    Returns:
        Matrix ``R`` that turns column vectors: ``rotated = R @ point``.
    """
    angle_squared = (rotvec_rad * rotvec_rad).sum(dim=-1)
    is_small = angle_squared < 1e-6
    angle = torch.sqrt(torch.where(is_small, torch.ones_like(angle_squared), angle_squared))
    sine_ratio = torch.where(is_small, 1.0 - angle_squared / 6.0, torch.sin(angle) / angle)
    # 1 - cos(a) = 2 sin^2(a / 2): no cancellation for small angles.
    cosine_ratio = torch.where(
        is_small, 0.5 - angle_squared / 24.0, 2.0 * torch.sin(0.5 * angle) ** 2 / (angle * angle)
    )
    cross = _cross_matrix(rotvec_rad)
    identity = torch.eye(3, dtype=rotvec_rad.dtype, device=rotvec_rad.device)
    return identity + sine_ratio[..., None, None] * cross + cosine_ratio[..., None, None] * (cross @ cross)


def rotvec_from_rotation(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Rotation vector (radians, angle in [0, pi]) of a rotation matrix; accurate for every angle.

    At an angle of exactly pi the axis has two valid signs; one of them is returned.
    """
    w, x, y, z = _quaternion_candidates(rotation).unbind(dim=-1)
    vector = torch.stack((x, y, z), dim=-1)
    # q and -q are one rotation: choose w >= 0, so that the angle is at most pi.
    sign = torch.where(w < 0, -torch.ones_like(w), torch.ones_like(w))
    w, vector = w * sign, vector * sign[..., None]
    length_squared = (vector * vector).sum(dim=-1)
    is_small = length_squared < 1e-12
    length = torch.sqrt(torch.where(is_small, torch.ones_like(length_squared), length_squared))
    ratio = torch.where(is_small, 2.0 / w.clamp(min=0.5), 2.0 * torch.atan2(length, w) / length)
    return ratio[..., None] * vector


def _cross_matrix(vector: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    x, y, z = vector.unbind(dim=-1)
    zero = torch.zeros_like(x)
    rows = (zero, -z, y, z, zero, -x, -y, x, zero)
    return torch.stack(rows, dim=-1).reshape(*vector.shape[:-1], 3, 3)


def _quaternion_candidates(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """Unit quaternion (w, x, y, z), computed from its largest component (Shepperd's method)."""
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = rotation.flatten(-2).unbind(dim=-1)
    # Row i is 4 * q[i] * q: the row with the largest diagonal is the well-conditioned one.
    rows = torch.stack(
        (
            torch.stack((1 + m00 + m11 + m22, m21 - m12, m02 - m20, m10 - m01), dim=-1),
            torch.stack((m21 - m12, 1 + m00 - m11 - m22, m01 + m10, m02 + m20), dim=-1),
            torch.stack((m02 - m20, m01 + m10, 1 - m00 + m11 - m22, m12 + m21), dim=-1),
            torch.stack((m10 - m01, m02 + m20, m12 + m21, 1 - m00 - m11 + m22), dim=-1),
        ),
        dim=-2,
    )
    best = rows.diagonal(dim1=-2, dim2=-1).argmax(dim=-1)
    row = torch.take_along_dim(rows, best[..., None, None], dim=-2).squeeze(-2)
    return row / torch.linalg.vector_norm(row, dim=-1, keepdim=True)
