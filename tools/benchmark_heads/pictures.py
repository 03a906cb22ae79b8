"""Light and camera of the benchmark's heads: surroundings, lamps, one hard lamp; two ways to meter."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from facelume.data.synthetic import (
    LightConfig,
    LightKinds,
    StudioConfig,
    SyntheticConfig,
    SyntheticScene,
)
from facelume.illumination import irradiance
from facelume.raster import sample_map
from facelume.reflectance import shading_from_irradiance, srgb_from_linear

LIGHT_SHARES = {"surroundings": 0.5, "studio": 0.15, "hard lamp": 0.35}
"""Held-out environment maps; one to three lamps over a fill; one small lamp from anywhere in front or beside,
nearly without fill."""

_HARD_LAMP = StudioConfig(
    num_lamps_weights=(1.0,),
    azimuth_sigma_rad=0.9,
    elevation_mean_rad=0.35,
    elevation_sigma_rad=0.4,
    softness_choices_m=(0.0008, 0.002),
    fill_log_mean=-2.6,
    fill_log_sigma=0.5,
)

METERS = ("face", "picture")
FACE_LEVEL, FACE_SPREAD = 0.2, 0.45
"""Median of the face's mean linear value where the meter reads the face, and the spread of its logarithm."""

PICTURE_LEVEL, PICTURE_SPREAD = 0.18, 0.2
"""The same of the whole picture where the meter reads that."""

FACE_RANGE = (0.03, 0.65)
"""Nobody keeps a portrait whose face has a mean linear value beyond this."""

BACKDROP_BLUR_PX = 1.5

HEAD_SHARE_RANGE = (0.1, 0.4)
"""Share of the whole picture that the head takes."""

WALL_RANGE = (0.06, 0.5)
"""Reflectance of the wall behind a head in lamp light, drawn evenly in its logarithm."""

BALANCE_RANGE, BALANCE_SPREAD = (0.55, 1.0), 0.05
"""Share of the light's cast that is balanced away, and spread of the log gains beyond that."""


def scene_config(light: str) -> SyntheticConfig:
    """Heads without hair, glasses or hands under one kind of light."""
    kinds = {
        "surroundings": LightConfig(kinds=_only("environment")),
        "studio": LightConfig(kinds=_only("studio")),
        "hard lamp": LightConfig(kinds=_only("studio"), studio=_HARD_LAMP),
    }
    return SyntheticConfig(is_plain=True, light=kinds[light])


def _only(kind: str) -> LightKinds:
    """One kind of light alone."""
    return LightKinds(**{field.name: float(field.name == kind) for field in fields(LightKinds)})


@dataclass(frozen=True, eq=False)
class Portrait:
    """A picture and the albedo in it.

    Attributes:
        image_srgb: (224, 224, 3) uint8.
        albedo_linear: (224, 224, 3) true albedo of the head; 0 beyond it.
    """

    image_srgb: np.ndarray
    albedo_linear: np.ndarray


def photograph(
    scene: SyntheticScene, albedo_map: torch.Tensor, light: str, meter: str, rng: np.random.Generator
) -> Portrait:
    """Take the picture of a scene's head with an albedo; values above 1 are clipped, nothing else is done.

    Args:
        scene: The lit head.
        albedo_map: (3, S, S) linear albedo.
        light: Kind of the scene's light, of ``LIGHT_SHARES``.
        meter: ``face``: the face comes out at about one brightness, whatever its skin; ``picture``: what is
            behind the head counts too, so that dark skin comes out dark.
        rng: Source of white balance, exposure and wall.
    """
    uv = torch.from_numpy(scene.uv.astype(np.float32))[None]
    albedo = sample_map(albedo_map[None], uv)[0].movedim(0, -1).numpy() * scene.is_head[..., None]
    head = albedo * scene.shading + scene.highlight
    cast = np.maximum(scene.light_sh[0], 1e-4)
    balance = (cast.mean() / cast) ** rng.uniform(*BALANCE_RANGE)
    balance = balance * np.exp(rng.normal(0.0, BALANCE_SPREAD, size=3))
    face = float((head[scene.is_skin] * balance).mean())
    behind = _behind(scene, light, rng) * balance
    if meter == "face":
        gain = FACE_LEVEL * np.exp(rng.normal(0.0, FACE_SPREAD)) / face
    else:
        share = rng.uniform(*HEAD_SHARE_RANGE)
        metered = share * (head[scene.is_head] * balance).mean() + (1 - share) * behind.mean()
        gain = PICTURE_LEVEL * np.exp(rng.normal(0.0, PICTURE_SPREAD)) / metered
    gain = np.clip(gain * face, *FACE_RANGE) / face
    backdrop = gaussian_filter(scene.behind, (BACKDROP_BLUR_PX, BACKDROP_BLUR_PX, 0))
    backdrop = backdrop * (behind * gain / backdrop.mean(axis=(0, 1)).clip(1e-4))
    image = np.where(scene.is_head[..., None], head * balance * gain, backdrop)
    encoded = srgb_from_linear(torch.from_numpy(image)).numpy()
    return Portrait((encoded * 255 + 0.5).astype(np.uint8), albedo)


def _behind(scene: SyntheticScene, light: str, rng: np.random.Generator) -> np.ndarray:
    """(3,) mean radiance of what the camera sees beside the head: the surroundings there, or a lit wall."""
    sh = torch.from_numpy(scene.light_sh)[None]
    away, towards = torch.tensor([[0.0, 0.0, -1.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    if light == "surroundings":
        return shading_from_irradiance(irradiance(sh, away)).numpy()[0].clip(1e-3)
    lit = shading_from_irradiance(irradiance(sh, towards)).numpy()[0].clip(1e-2)
    return np.exp(rng.uniform(*np.log(WALL_RANGE))) * lit
