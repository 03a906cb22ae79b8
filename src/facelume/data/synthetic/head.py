"""Random people for synthetic faces: identity, expression, pose and place in the crop."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from facelume.camera import CROP_CAMERA, CROP_FACE_SIZE_PX, cam_from_model, transform_points
from facelume.data.distributions import draw_count
from facelume.data.synthetic.config import HeadConfig, PoseConfig
from facelume.geometry import box_centre, box_size, mesh_box, rotation_from_rotvec, rotvec_from_rotation


def random_coefficients(
    count: int, sigma: float, limit: float, rng: np.random.Generator
) -> Float[np.ndarray, " count"]:
    """Normally distributed numbers of a given spread, none larger than ``limit`` in size."""
    return (sigma * rng.normal(size=count)).clip(-limit, limit).astype(np.float32)


def random_identity(
    num_identity: int, config: HeadConfig, rng: np.random.Generator
) -> Float[np.ndarray, " I"]:
    """The head of a new person, standard deviations."""
    return random_coefficients(num_identity, config.identity_sigma, config.identity_limit, rng)


def random_expression(
    names: Sequence[str], config: HeadConfig, rng: np.random.Generator
) -> Float[np.ndarray, " E"]:
    """Mostly a few frequent groups (smile, open jaw, blink), sometimes any units, sometimes none."""
    index = {name: position for position, name in enumerate(names)}
    weights = np.zeros(len(names), dtype=np.float32)
    if rng.random() < config.neutral_fraction:
        return weights
    for group in config.groups:
        if rng.random() < group.fraction:
            value = group.largest * rng.beta(*config.group_beta)
            for name in group.units:
                if name in index:
                    weights[index[name]] = value * rng.uniform(*config.unevenness_range)
    num_single = min(draw_count(config.num_single_range, rng), len(names))
    for position in rng.choice(len(names), size=num_single, replace=False):
        weights[position] = max(weights[position], rng.beta(*config.single_beta))
    look_x, look_y = rng.normal(0.0, config.gaze_sigma, size=2)
    for name, value in (
        ("eyeLookInLeft", look_x),
        ("eyeLookOutRight", look_x),
        ("eyeLookOutLeft", -look_x),
        ("eyeLookInRight", -look_x),
        ("eyeLookUpLeft", look_y),
        ("eyeLookUpRight", look_y),
        ("eyeLookDownLeft", -look_y),
        ("eyeLookDownRight", -look_y),
    ):
        if name in index:
            weights[index[name]] = max(0.0, value)
    return weights.clip(0.0, 1.0)


def random_rotvec(config: PoseConfig, rng: np.random.Generator) -> Float[Tensor, " 3"]:
    """Turn of the head away from the camera (rotation vector, radians)."""
    if rng.random() < config.frontal_fraction:
        yaw = rng.normal(0.0, config.frontal_yaw_sigma_rad)
    else:
        yaw = rng.uniform(-config.yaw_limit_rad, config.yaw_limit_rad)
    pitch = np.clip(rng.normal(0.0, config.pitch_sigma_rad), -config.pitch_limit_rad, config.pitch_limit_rad)
    is_upright = rng.random() < config.upright_fraction
    sigma = config.upright_roll_sigma_rad if is_upright else config.tilted_roll_sigma_rad
    roll = np.clip(rng.normal(0.0, sigma), -config.roll_limit_rad, config.roll_limit_rad)
    turns = torch.tensor([[0.0, yaw, 0.0], [pitch, 0.0, 0.0], [0.0, 0.0, roll]], dtype=torch.float32)
    matrices = rotation_from_rotvec(turns)
    return rotvec_from_rotation(matrices[2] @ matrices[1] @ matrices[0])


def random_place(
    landmarks: Float[Tensor, "478 3"],
    rotvec: Float[Tensor, " 3"],
    config: PoseConfig,
    rng: np.random.Generator,
) -> Float[Tensor, " 3"]:
    """Translation (camera axes, metres) at which the face about fills the crop, see :func:`place_in_crop`."""
    shift_x, shift_y = rng.normal(0.0, config.shift_sigma_px, size=2)
    size_factor = math.exp(rng.normal(0.0, config.size_sigma))
    return place_in_crop(landmarks, rotvec, size_factor, (float(shift_x), float(shift_y)))


def place_in_crop(
    landmarks: Float[Tensor, "478 3"],
    rotvec: Float[Tensor, " 3"],
    size_factor: float = 1.0,
    shift_px: tuple[float, float] = (0.0, 0.0),
) -> Float[Tensor, " 3"]:
    """Translation at which the face fills the canonical crop.

    Args:
        landmarks: Model axes, metres.
        rotvec: Rotation away from a frontal face.
        size_factor: Times the 150 px of the canonical crop.
        shift_px: Offset of the face box from the crop centre.

    Returns:
        Translation in camera axes, metres.
    """
    translation = torch.tensor([0.0, 0.0, 1.0])
    target = torch.tensor(CROP_CAMERA.principal_point_px) + torch.tensor(shift_px)
    for _ in range(5):
        points = transform_points(cam_from_model(rotvec, translation), landmarks)
        box = mesh_box(CROP_CAMERA.project(points))
        depth = float(translation[2]) * float(box_size(box)) / (CROP_FACE_SIZE_PX * size_factor)
        offset = (target - box_centre(box)) * translation[2] / CROP_CAMERA.focal_px
        lateral = (translation[:2] + offset) * depth / translation[2]
        translation = torch.cat([lateral, torch.tensor([depth])])
    return translation
