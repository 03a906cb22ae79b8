"""From a half-seen, evenly lit face to a whole, matt albedo map: highlights out, unseen texels filled, one scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter
from torch.nn import functional

from face_model_build.albedo_samples import LUMINANCE, AlbedoSample

EUROPEAN_LUMINANCE = 0.39
"""Linear luminance given to the lightest fifth of the portraits: CIE L* of 69, light skin by spectrophotometry."""
FLATTENING = 0.7
"""Share of the low-frequency luminance common to everybody that counts as occlusion, not as pigment."""


@dataclass(frozen=True)
class Zones:
    """Masks of the atlas, (S, S) bool, mirror symmetric.

    Attributes:
        face: Face front.
        skin: Bare skin of the face front, without lips, brows and eyes.
        brows: Brows with a margin.
        lips: Lips.
        part: (S, S) part number, -1 beyond the charts.
    """

    face: np.ndarray
    skin: np.ndarray
    brows: np.ndarray
    lips: np.ndarray
    part: np.ndarray


def pull_push(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Continue ``values`` (S, S, C) smoothly from the known texels to all others."""
    value = torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1)[None]
    weight = torch.from_numpy(known.astype(np.float32))[None, None]
    levels = [(value * weight, weight)]
    while levels[-1][0].shape[-1] > 1:
        levels.append(tuple(functional.avg_pool2d(x, 2) for x in levels[-1]))
    filled = levels[-1][0] / levels[-1][1].clamp(min=1e-8)
    for weighted, mass in reversed(levels[:-1]):
        up = functional.interpolate(filled, scale_factor=2, mode="bilinear", align_corners=False)
        trust = mass.clamp(max=1)
        filled = torch.where(mass > 1e-6, weighted / mass.clamp(min=1e-6), up) * trust + up * (1 - trust)
    return filled[0].permute(1, 2, 0).numpy()


def skin_colour(sample: AlbedoSample, zones: Zones) -> np.ndarray:
    """Median linear RGB of the bare skin."""
    return np.median(sample.colour[sample.known & zones.skin], axis=0)


def without_highlights(sample: AlbedoSample, zones: Zones) -> AlbedoSample:
    """Take white gloss out of bare skin: what is brighter and paler than the person's own skin colour."""
    skin = skin_colour(sample, zones)
    value = sample.colour
    # value = d * skin + s * white: solved from the red and blue channels, which melanin separates most
    spread = max(float(skin[0] - skin[2]), 1e-3)
    body = (value[..., 0] - value[..., 2]) / spread
    gloss = (value - body[..., None] * skin).mean(-1)
    excess = (value @ LUMINANCE) / (skin @ LUMINANCE) - 1.0
    gloss = np.where((excess > 0.1) & sample.known, gloss.clip(0), 0) * zones.skin
    gloss = np.minimum(gaussian_filter(gloss, 1.5), 0.9 * (excess.clip(0) * (skin @ LUMINANCE)))
    return AlbedoSample(
        sample.name, (value - gloss[..., None]).clip(1e-3), sample.known, sample.normal_light
    )


def common_occlusion(samples: list[AlbedoSample], zones: Zones, sigma_texels: float = 12.0) -> np.ndarray:
    """(S, S) factor: smooth symmetric darkening that all samples share, 1 where nobody knows."""
    total = np.zeros(zones.face.shape, np.float32)
    count = np.zeros_like(total)
    for sample in samples:
        use = sample.known & zones.skin
        ratio = np.log((sample.colour @ LUMINANCE).clip(1e-3) / (skin_colour(sample, zones) @ LUMINANCE))
        total += np.where(use, ratio.clip(-0.7, 0.7), 0)
        count += use
    total, count = total + total[:, ::-1], count + count[:, ::-1]
    smooth = gaussian_filter(total, sigma_texels) / (gaussian_filter(count, sigma_texels) + 0.05 * len(samples))
    return np.exp(FLATTENING * smooth)


def divided(sample: AlbedoSample, factor: np.ndarray) -> AlbedoSample:
    """The sample with its colour divided by a map or a number."""
    factor = np.asarray(factor, np.float32)
    colour = sample.colour / (factor[..., None] if factor.ndim else factor)
    return AlbedoSample(sample.name, colour, sample.known, sample.normal_light)


def reference_map(skins: list[AlbedoSample], zones: Zones) -> np.ndarray:
    """(S, S, 3) log colour of the head relative to the face's bare skin, averaged over the skins."""
    logs = [np.log(s.colour.clip(1e-3)) - np.log(skin_colour(s, zones)) for s in skins]
    mean = np.mean(logs, 0)
    known = np.logical_and.reduce([s.known for s in skins])
    mean = np.where(known[..., None], mean, pull_push(mean, known))
    return 0.5 * (mean + mean[:, ::-1])


def completed(sample: AlbedoSample, reference: np.ndarray, zones: Zones) -> np.ndarray:
    """(S, S, 3) linear albedo of the whole skin atlas.

    Unseen texels take the other side of the face, then the reference head in the person's colours; seams are
    carried away by a smooth log ratio.
    """
    known = binary_erosion(sample.known & zones.face, iterations=2) & ~_not_skin(sample, zones)
    log_ratio = np.log(sample.colour.clip(1e-3)) - reference
    both = known | known[:, ::-1]
    mirrored = np.where(known[..., None], log_ratio, log_ratio[:, ::-1])
    smooth = pull_push(mirrored, both & (zones.skin | zones.lips))
    broad = np.stack([gaussian_filter(smooth[..., c], 6) for c in range(3)], -1)
    inside = gaussian_filter(binary_erosion(both, iterations=3).astype(np.float32), 2)[..., None]
    inside = inside * binary_erosion(both, iterations=1)[..., None]
    ratio = inside * np.where(both[..., None], mirrored, broad) + (1 - inside) * broad
    side = gaussian_filter(known.astype(np.float32), 3)
    side = (side + 1e-3) / (side + side[:, ::-1] + 2e-3)
    ratio = np.where((known & known[:, ::-1])[..., None], ratio, _blend_sides(ratio, side))
    return np.exp(reference + ratio).clip(0.004, 0.95).astype(np.float32)


def _blend_sides(ratio: np.ndarray, side: np.ndarray) -> np.ndarray:
    return side[..., None] * ratio + (1 - side[..., None]) * ratio[:, ::-1]


def _not_skin(sample: AlbedoSample, zones: Zones) -> np.ndarray:
    """Hair, background and clothes along the outline of the face."""
    rows = (np.arange(len(zones.face)) + 0.5) / len(zones.face)
    y, x = np.meshgrid(rows, rows, indexing="ij")
    outline = ((y < 0.21) | (np.abs(x - 0.5) > 0.31) | (y > 0.84)) & ~zones.brows
    log_value = np.log((sample.colour @ LUMINANCE).clip(1e-3) / (skin_colour(sample, zones) @ LUMINANCE))
    beard = (y > 0.55) & (log_value > -1.6)
    wrong = ((log_value < -0.5) & ~beard) | (log_value > 0.4)
    return binary_dilation(outline & sample.known & wrong, iterations=4)
