"""Plausible variants of a completed albedo: melanin and blood, brows, lips, beard shadow, uneven tone, scalp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from face_model_build.albedo_complete import Zones, pull_push
from face_model_build.albedo_samples import LUMINANCE

HAIR_COLOURS = np.array(
    [
        [0.012, 0.010, 0.009],
        [0.030, 0.019, 0.012],
        [0.070, 0.042, 0.024],
        [0.160, 0.105, 0.060],
        [0.120, 0.050, 0.022],
        [0.250, 0.235, 0.220],
    ]
)
"""Linear RGB of black, dark brown, brown, blond, red and grey hair."""
BLOOD = np.array([0.25, 1.0, 0.85])
"""Absorbance of haemoglobin in linear R, G, B, up to scale."""


@dataclass(frozen=True)
class Pigments:
    """What varies between people, learned from the samples.

    Attributes:
        melanin: (3,) change of log linear RGB per unit of log luminance along the line of skin tones.
        beard: (S, S) density of a full beard shadow in [0, 1], mirror symmetric.
        scalp: (S, S) weight of the part of the head that hair grows on.
    """

    melanin: np.ndarray
    beard: np.ndarray
    scalp: np.ndarray


def melanin_direction(colours: np.ndarray) -> np.ndarray:
    """Slope of log RGB against log luminance over people's median skin colours (N, 3)."""
    log_value = np.log(colours @ LUMINANCE)
    centred = log_value - log_value.mean()
    return (np.log(colours) * centred[:, None]).sum(0) / (centred**2).sum()


def beard_density(albedos: list[np.ndarray], zones: Zones, num_bearded: int = 8) -> np.ndarray:
    """Where beards darken skin, from the people with the darkest lower face."""
    rows = (np.arange(len(zones.face)) + 0.5) / len(zones.face)
    y, x = np.meshgrid(rows, rows, indexing="ij")
    lower = zones.face & (y > 0.52) & ~zones.lips
    darkening = []
    for albedo in albedos:
        value = np.log((albedo @ LUMINANCE).clip(1e-3))
        darkening.append(np.where(lower, np.median(value[zones.skin & (y < 0.5)]) - value, 0))
    order = np.argsort([-d[lower].mean() for d in darkening])[:num_bearded]
    mean = np.mean([darkening[i].clip(0, 1.2) for i in order], 0)
    mean = gaussian_filter(0.5 * (mean + mean[:, ::-1]), 1.5)
    density = (mean / np.percentile(mean[lower], 95)).clip(0, 1) * lower
    return gaussian_filter(density, 1.0)


def with_tone(albedo: np.ndarray, pigments: Pigments, log_shift: float, lips: np.ndarray) -> np.ndarray:
    """More or less melanin: ``log_shift`` of the skin's log luminance, weaker on the lips."""
    amount = log_shift * (1 - 0.3 * lips)
    return albedo * np.exp(amount[..., None] * pigments.melanin)


def with_brows(albedo: np.ndarray, zones: Zones, strength: float) -> np.ndarray:
    """Brows thinned (``strength`` < 1) or thickened against the skin around them."""
    log_albedo = np.log(albedo.clip(1e-3))
    bare = pull_push(log_albedo, zones.skin)
    soft = gaussian_filter(zones.brows.astype(np.float32), 1.5)[..., None]
    return np.exp(log_albedo + soft * (strength - 1) * (log_albedo - bare))


def with_blood(albedo: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """More (positive) or less haemoglobin; ``amount`` (S, S) in units of the absorbance of green."""
    return albedo * np.exp(-amount[..., None] * BLOOD)


def with_hair(albedo: np.ndarray, density: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Short hair of a colour over the skin."""
    return albedo + density[..., None] * (colour - albedo)


def smooth_noise(size: int, sigma: float, rng: np.random.Generator, *, asymmetry: float) -> np.ndarray:
    """(S, S) smooth noise of unit variance, mostly mirror symmetric."""
    noise = gaussian_filter(rng.normal(size=(size, size)), sigma, mode="nearest")
    mirrored = 0.5 * (noise + noise[:, ::-1])
    mixed = mirrored + asymmetry * (noise - mirrored)
    return mixed / mixed.std()


def random_variant(
    albedo: np.ndarray, zones: Zones, pigments: Pigments, log_shift: float, rng: np.random.Generator
) -> np.ndarray:
    """One random relative of a person: shifted in tone by about ``log_shift`` and changed everywhere a little."""
    size = len(albedo)
    lips = gaussian_filter(zones.lips.astype(np.float32), 1.0)
    out = with_brows(albedo, zones, rng.uniform(0.35, 1.5))
    out = with_tone(out, pigments, log_shift, lips)
    uneven = rng.uniform(0.01, 0.07) * smooth_noise(size, rng.uniform(10, 28), rng, asymmetry=0.4)
    out = out * np.exp(uneven[..., None] * pigments.melanin)
    blood = rng.normal(0, 0.08) + rng.uniform(0.01, 0.06) * smooth_noise(size, 16, rng, asymmetry=0.3)
    blood = blood + lips * rng.normal(0.05, 0.25)
    out = with_blood(out, blood)
    colour = HAIR_COLOURS[rng.choice(len(HAIR_COLOURS), p=[0.32, 0.25, 0.18, 0.1, 0.05, 0.1])]
    colour = np.minimum(colour, 0.8 * np.median(out[zones.skin], 0))
    if rng.random() < 0.4:
        density = pigments.beard ** rng.uniform(0.7, 1.6) * rng.uniform(0.1, 0.8)
        out = with_hair(out, density, colour)
    out = with_hair(out, pigments.scalp * rng.uniform(0, 0.6), colour)
    return out.clip(0.004, 0.95)
