"""Random people for synthetic faces: identity, expression, pose and place in the crop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from facelume.camera import CROP_CAMERA, CROP_FACE_SIZE_PX, cam_from_model, transform_points
from facelume.geometry import box_centre, box_size, mesh_box, rotation_from_rotvec, rotvec_from_rotation

# (names of ARKit units that go together, largest value)
_FREQUENT = (
    (("mouthSmileLeft", "mouthSmileRight", "cheekSquintLeft", "cheekSquintRight"), 1.0),
    (("jawOpen",), 0.7),
    (("eyeBlinkLeft", "eyeBlinkRight"), 1.0),
    (("browInnerUp", "browOuterUpLeft", "browOuterUpRight"), 0.9),
    (("browDownLeft", "browDownRight"), 0.9),
    (("eyeSquintLeft", "eyeSquintRight"), 0.8),
    (("mouthUpperUpLeft", "mouthUpperUpRight", "mouthLowerDownLeft", "mouthLowerDownRight"), 0.7),
    (("mouthPucker",), 0.8),
    (("mouthFrownLeft", "mouthFrownRight"), 0.8),
)


def random_coefficients(count: int, rng: np.random.Generator) -> Float[np.ndarray, " count"]:
    """Standard deviations, from a slightly narrowed normal distribution."""
    return (0.9 * rng.normal(size=count)).clip(-2.5, 2.5).astype(np.float32)


def random_head(
    num_identity: int, expression_names: Sequence[str], rng: np.random.Generator
) -> tuple[Float[Tensor, " I"], Float[Tensor, " E"]]:
    """A random identity (standard deviations) and a plausible expression (ARKit weights)."""
    identity = torch.from_numpy(random_coefficients(num_identity, rng))
    return identity, torch.from_numpy(random_expression(expression_names, rng))


def random_expression(names: Sequence[str], rng: np.random.Generator) -> Float[np.ndarray, " E"]:
    """Mostly a few frequent groups (smile, open jaw, blink), sometimes any units, sometimes none."""
    index = {name: position for position, name in enumerate(names)}
    weights = np.zeros(len(names), dtype=np.float32)
    if rng.random() < 0.15:
        return weights
    for group, largest in _FREQUENT:
        if rng.random() < (0.4 if group[0] == "mouthSmileLeft" else 0.18):
            value = largest * rng.beta(1.2, 1.6)
            for name in group:
                if name in index:
                    weights[index[name]] = value * rng.uniform(0.8, 1.0)
    for position in rng.choice(len(names), size=int(rng.integers(0, 6)), replace=False):
        weights[position] = max(weights[position], rng.beta(1.0, 3.0))
    look_x, look_y = rng.normal(0.0, 0.35, size=2)
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


def random_rotvec(rng: np.random.Generator) -> Float[Tensor, " 3"]:
    """Turn of the head away from the camera: yaw to 60 degrees, pitch to about 25, mostly upright."""
    yaw = rng.normal(0.0, 0.28) if rng.random() < 0.6 else rng.uniform(-1.05, 1.05)
    pitch = float(np.clip(rng.normal(0.0, 0.17), -0.5, 0.5))
    roll = float(np.clip(rng.normal(0.0, 0.1 if rng.random() < 0.8 else 0.3), -0.6, 0.6))
    turns = torch.tensor([[0.0, yaw, 0.0], [pitch, 0.0, 0.0], [0.0, 0.0, roll]], dtype=torch.float32)
    matrices = rotation_from_rotvec(turns)
    return rotvec_from_rotation(matrices[2] @ matrices[1] @ matrices[0])


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
