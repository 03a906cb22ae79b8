"""Pose of the head in the crop camera.

A *pose* is six numbers: a rotation vector (radians) and a translation (metres, camera axes). The rotation
vector is relative to a frontal face, whose matrix is ``diag(1, -1, -1)`` because model axes are +Y up, +Z out
of the face and camera axes are y down, z forward: ``R = exp(rotvec) @ diag(1, -1, -1)``.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from facelume.geometry import rotation_from_rotvec, rotvec_from_rotation

LIGHT_FROM_CAM = (1.0, -1.0, -1.0)
"""Diagonal that turns camera axes into light axes (+X right, +Y up, +Z to the viewer), and back."""


def cam_from_model(
    rotvec_rad: Float[Tensor, "*batch 3"], translation_m: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch 4 4"]:
    """Rigid matrix from model axes to camera axes.

    Args:
        rotvec_rad: Rotation away from a frontal face, in camera axes; zero looks straight into the camera.
        translation_m: Model origin in camera axes.
    """
    flip = rotvec_rad.new_tensor(LIGHT_FROM_CAM)
    rotation = rotation_from_rotvec(rotvec_rad) * flip
    upper = torch.cat((rotation, translation_m[..., None]), dim=-1)
    last = rotvec_rad.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(*upper.shape[:-2], 1, 4)
    return torch.cat((upper, last), dim=-2)


def cam_from_pose(pose: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 4 4"]:
    """Rigid matrix from model axes to camera axes of a pose (rotation vector, translation in metres)."""
    return cam_from_model(pose[..., :3], pose[..., 3:])


def pose_from_cam(matrix: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 6"]:
    """Pose (rotation vector, translation in metres) of a matrix; inverse of ``cam_from_pose``."""
    flip = matrix.new_tensor(LIGHT_FROM_CAM)
    return torch.cat((rotvec_from_rotation(matrix[..., :3, :3] * flip), matrix[..., :3, 3]), dim=-1)


def transform_points(
    matrix: Float[Tensor, "*batch 4 4"], points: Float[Tensor, "*batch N 3"]
) -> Float[Tensor, "*batch N 3"]:
    """Apply a rigid or affine matrix: ``transform_points(b_from_a, points_a)`` gives points in b."""
    return points @ matrix[..., :3, :3].transpose(-1, -2) + matrix[..., None, :3, 3]
