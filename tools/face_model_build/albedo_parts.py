"""Colours of what the portraits do not show: eyes, teeth, gums, tongue and inner mouth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from facelume.camera import cam_from_model
from facelume.face_model.model import FaceModel
from facelume.uv import pose_texels, texel_map

IRIS_DEG = 22.5
PUPIL_DEG = 7.5
IRIS_COLOURS = {
    "black-brown": (0.018, 0.009, 0.005),
    "brown": (0.060, 0.028, 0.012),
    "hazel": (0.130, 0.085, 0.035),
    "green": (0.120, 0.135, 0.075),
    "grey": (0.150, 0.175, 0.190),
    "blue": (0.095, 0.150, 0.220),
}
"""Linear RGB of the middle of the iris."""


@dataclass(frozen=True)
class EyeTexels:
    """Where the eyeballs are in the atlas.

    Attributes:
        angle_deg: (S, S) angle between a texel's direction from the eyeball's centre and straight ahead.
        turn_rad: (S, S) angle around the pupil, mirrored for the right eye.
        inside: (S, S) bool.
    """

    angle_deg: np.ndarray
    turn_rad: np.ndarray
    inside: np.ndarray


def eye_texels(model: FaceModel, size: int) -> EyeTexels:
    """Angles of the eyeball texels of the mean head."""
    texels = texel_map(model.topology, size)
    pose = cam_from_model(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1.0]]))
    position = pose_texels(texels, model.topology, model.mean_shape[None], pose).position_cam[0]
    place = position.permute(1, 2, 0).numpy() * np.array([1, -1, -1], np.float32)
    part = texels.part.numpy()
    angle = np.full((size, size), 180.0, np.float32)
    turn = np.zeros((size, size), np.float32)
    for number, sign in ((1, 1.0), (2, -1.0)):
        corners = model.topology.faces[model.topology.face_part == number].unique()
        points = model.mean_shape[corners].numpy() + np.array([0, 0, -1], np.float32)
        rows = np.concatenate([2 * points, np.ones((len(points), 1), np.float32)], 1)
        centre = np.linalg.lstsq(rows, (points**2).sum(1), rcond=None)[0][:3]
        ray = place[part == number] - centre
        ray /= np.linalg.norm(ray, axis=1, keepdims=True)
        angle[part == number] = np.degrees(np.arccos(ray[:, 2].clip(-1, 1)))
        turn[part == number] = np.arctan2(ray[:, 1], sign * ray[:, 0])
    return EyeTexels(angle, turn, (part == 1) | (part == 2))


def eye_colours(eyes: EyeTexels, iris: np.ndarray, sclera: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(S, S, 3) linear albedo of the eyeballs: pupil, patterned iris with a dark rim, sclera that reddens outwards."""
    angle = eyes.angle_deg[..., None]
    waves = sum(
        rng.normal(0, 0.05) * np.cos(k * eyes.turn_rad + rng.uniform(0, 2 * np.pi)) for k in (5, 9, 13, 21)
    )
    radius = (angle - PUPIL_DEG) / (IRIS_DEG - PUPIL_DEG)
    glow = rng.uniform(-0.2, 0.35) * (1 - radius)
    coloured = iris * (1 + waves[..., None] + glow).clip(0.3, 2.0)
    coloured = coloured * (1 - 0.6 * _step(angle, IRIS_DEG - 3.5, IRIS_DEG))
    redness = _step(angle, 30.0, 75.0) * np.array([0.10, 0.28, 0.30], np.float32)
    white = sclera * (1 - redness)
    colour = coloured + (white - coloured) * _step(angle, IRIS_DEG - 1.5, IRIS_DEG + 1.0)
    return 0.012 + (colour - 0.012) * _step(angle, PUPIL_DEG - 1.0, PUPIL_DEG + 1.0)


def random_iris(lightness: float, rng: np.random.Generator) -> np.ndarray:
    """An iris colour; light ones come with light skin.

    Args:
        lightness: Linear luminance of the skin.
        rng: Source of chance.
    """
    light = float(np.clip((lightness - 0.15) / 0.25, 0, 1))
    chances = np.array([1.2 - light, 1.0, 0.15 + 0.4 * light, 0.5 * light, 0.5 * light, 0.9 * light])
    colours = np.array(list(IRIS_COLOURS.values()))
    first, second = rng.choice(len(colours), 2, p=chances / chances.sum())
    mix = rng.uniform(0, 0.35)
    return colours[first] ** (1 - mix) * colours[second] ** mix * np.exp(rng.normal(0, 0.2))


def random_sclera(rng: np.random.Generator) -> np.ndarray:
    """A sclera colour, linear: off-white, sometimes yellowish or red."""
    tint = np.exp(-rng.uniform(0, 1) ** 2 * np.array([0.02, 0.10, 0.30]))
    return np.array([0.56, 0.51, 0.48]) * tint * np.exp(rng.normal(0, 0.10))


def inner_mouth_colours(
    part: np.ndarray, lightness: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(S, S, 3) linear albedo of cavity, teeth and tongue, and the mask of these parts."""
    size = part.shape[0]
    colour = np.zeros((size, size, 3))
    pigment = 1 - 0.45 * float(np.clip((0.2 - lightness) / 0.15, 0, 1)) * rng.uniform(0.3, 1.0)
    flesh = np.array([0.26, 0.085, 0.075]) * np.exp(rng.normal(0, 0.12)) * pigment
    teeth = np.array([0.62, 0.56, 0.46]) * np.exp(-abs(rng.normal(0, 0.25)) * np.array([0.15, 0.35, 0.8]))
    colour[part == 3] = 0.75 * flesh
    colour[(part == 4) | (part == 5)] = teeth * np.exp(rng.normal(0, 0.06))
    colour[part == 6] = flesh * np.array([1.15, 1.2, 1.2])
    return colour, part >= 3


def _step(value: np.ndarray, low: float, high: float) -> np.ndarray:
    t = ((value - low) / (high - low)).clip(0, 1)
    return t * t * (3 - 2 * t)
