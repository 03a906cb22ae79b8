"""Random detail on an albedo map that no albedo basis holds: pores, spots, wrinkles, hair and make-up.

Synthetic faces wear it so that a network cannot win by staying inside the basis. Colours are linear Rec.709.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from torch import Tensor

from facelume.data.distributions import Range, draw_count
from facelume.data.synthetic.skin_config import (
    HairColourConfig,
    MakeUpConfig,
    SkinDetailConfig,
    SpotConfig,
    WrinkleConfig,
)
from facelume.data.synthetic.skin_regions import Map, SkinRegions, skin_regions
from facelume.face_model import FaceModel, load_open_face_model
from facelume.reflectance import human_skin

MELANIN = np.array([0.62, 1.0, 1.55])
"""Absorbance of melanin in linear R, G, B, relative to green."""
BLOOD = np.array([0.20, 1.0, 0.80])
"""Absorbance of haemoglobin in linear R, G, B, relative to green."""
ALBEDO_RANGE = (0.005, 0.95)

Colour = Float[np.ndarray, "s s 3"]

# Linear colours: the two ends of hair with more and less melanin, the tint of grey hair.
_BLACK_HAIR, _BLOND_HAIR, _GREY_TINT = (0.012, 0.009, 0.008), (0.45, 0.27, 0.10), (1.0, 0.98, 0.95)
# Power of the share of light skin that hair keeps of its fairness: nearly none on brown skin.
_FAIR_HAIR_EXPONENT = 3.0
# Density of freckles away from cheeks and nose, against 1 on them.
_FRECKLES_ELSEWHERE = 0.05
# Share of the skin's uneven blood that lips have as well; they hide the rest.
_BLOOD_OF_LIPS = 0.4
# Blue over red of the bluest lipstick, linear value of eye liner, lightest hair over the skin around it.
_LARGEST_LIPSTICK_BLUE, _LINER_VALUE, _LIGHTEST_HAIR = 0.6, 0.01, 0.7


def procedural_detail(albedo: Float[Tensor, "3 s s"], rng: np.random.Generator) -> Float[Tensor, "3 s s"]:
    """Add random detail to an albedo map of the open model's atlas.

    Args:
        albedo: Linear albedo in [0, 1].
        rng: Source of chance; the same state gives the same detail.

    Returns:
        A new linear albedo in [0.005, 0.95]; eyes, inner mouth and all off the face front are unchanged.
    """
    detail = SkinDetail(_open_model(), SkinDetailConfig())
    hair = random_hair_colour(None, HairColourConfig(), rng)
    return detail.adorned(detail.pigmented(albedo, rng), rng, hair)


class SkinDetail:
    """What :func:`procedural_detail` draws, for another face model and configuration, in two steps.

    Args:
        model: The face model.
        config: What is drawn, and how often.
    """

    def __init__(self, model: FaceModel, config: SkinDetailConfig) -> None:
        self.model, self.config = model, config

    def pigmented(self, albedo: Float[Tensor, "3 s s"], rng: np.random.Generator) -> Float[Tensor, "3 s s"]:
        """Add what is in the skin: pores, uneven tone, marks, wrinkles."""
        regions = skin_regions(self.model, albedo.shape[-1])
        return _on_face(albedo, _with_pigment(_colours(albedo), regions, self.config, rng), regions)

    def adorned(
        self,
        albedo: Float[Tensor, "3 s s"],
        rng: np.random.Generator,
        hair: Float[np.ndarray, " 3"],
        brow: Float[np.ndarray, " 3"] | None = None,
    ) -> Float[Tensor, "3 s s"]:
        """Add what is on the skin: hairs of the brows, and a beard or make-up.

        Args:
            albedo: Linear albedo.
            rng: Source of chance.
            hair: Linear colour of the beard.
            brow: Linear colour of the brows' hairs; that of the hair where not given.
        """
        config, regions = self.config, skin_regions(self.model, albedo.shape[-1])
        out = _colours(albedo)
        if rng.random() < config.brows.fraction:
            out = _with_brow_hair(out, regions, config, rng, hair if brow is None else brow)
        adornment = config.adornments.pick(rng.random())
        if adornment == "beard":
            out = _with_beard(out, regions, config, rng, hair)
        elif adornment == "make_up":
            out = _with_make_up(out, regions, config.make_up, rng)
        return _on_face(albedo, out, regions)


def _colours(albedo: Float[Tensor, "3 s s"]) -> Colour:
    return albedo.detach().cpu().numpy().astype(np.float64).transpose(1, 2, 0)


def _on_face(albedo: Float[Tensor, "3 s s"], changed: Colour, regions: SkinRegions) -> Float[Tensor, "3 s s"]:
    """The changed albedo on the face front, the old one elsewhere."""
    after = torch.from_numpy(changed.clip(*ALBEDO_RANGE).transpose(2, 0, 1)).to(albedo)
    face = torch.from_numpy(regions.face).to(albedo)
    return torch.where(face > 0, albedo + face * (after - albedo), albedo)


@lru_cache(maxsize=1)
def _open_model() -> FaceModel:
    return load_open_face_model()


def _with_pigment(
    albedo: Colour, regions: SkinRegions, config: SkinDetailConfig, rng: np.random.Generator
) -> Colour:
    """Pores, uneven tone, freckles, moles, spots and wrinkles, all as absorbance in the skin."""
    skin, tone, marks = regions.skin, config.tone, config.marks
    melanin = _uneven(regions.size, tone.pore_range, tone.pore_size_range, rng)
    melanin += _uneven(regions.size, tone.fleck_range, tone.fleck_size_range, rng)
    melanin += _uneven(regions.size, tone.blotch_range, tone.blotch_size_range, rng)
    blood = _uneven(regions.size, tone.redness_range, tone.redness_size_range, rng)
    if rng.random() < marks.freckle_fraction:
        place = skin * (_FRECKLES_ELSEWHERE + regions.cheeks + regions.nose_bridge)
        melanin += _spots(place, marks.freckles, rng)
    melanin += _spots(skin, marks.moles, rng)
    if rng.random() < marks.spot_fraction:
        melanin += _spots(skin, marks.brown_spots, rng)
        blood += _spots(skin, marks.red_spots, rng)
    if rng.random() < marks.flush_fraction:
        strength = rng.uniform(*marks.flush_range)
        blood += strength * (regions.cheeks + rng.uniform(*marks.flush_nose_range) * regions.nose_bridge)
    if rng.random() < marks.lid_fraction:
        melanin += rng.uniform(*marks.lid_range) * regions.eyelids
    if rng.random() < config.wrinkles.fraction:
        melanin += _wrinkles(regions, config.wrinkles, rng)
    absorbance = melanin[..., None] * MELANIN + blood[..., None] * BLOOD
    lips = regions.lips[..., None] * _BLOOD_OF_LIPS * blood[..., None] * BLOOD
    return albedo * np.exp(-skin[..., None] * absorbance - lips)


def _uneven(size: int, strength_range: Range, grain_range: Range, rng: np.random.Generator) -> Map:
    """Smooth noise of a strength and a grain (texels of a 256 atlas) out of the ranges."""
    return rng.uniform(*strength_range) * _noise(size, rng.uniform(*grain_range) * (size / 256), rng)


def _noise(size: int, sigma: float, rng: np.random.Generator) -> Map:
    """Smooth noise of unit variance."""
    coarse = max(1, int(sigma // 2))
    small = gaussian_filter(rng.normal(size=(-(-size // coarse),) * 2), sigma / coarse, mode="nearest")
    small = small / small.std()
    if coarse == 1:
        return small
    return np.asarray(
        Image.fromarray(small.astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC)
    )


def _spots(place: Map, config: SpotConfig, rng: np.random.Generator) -> Map:
    """Soft blots at random places, more where ``place`` is large."""
    size = len(place)
    strength, count = rng.uniform(*config.strength_range), draw_count(config.num_range, rng)
    out = np.zeros((size, size))
    cumulative = np.cumsum(place.ravel())
    for index in np.searchsorted(cumulative, rng.random(count) * cumulative[-1]):
        row, column = divmod(min(int(index), size * size - 1), size)
        sigma = rng.uniform(*config.radius_range) * size / 256
        reach = int(np.ceil(3 * sigma))
        top, left = max(row - reach, 0), max(column - reach, 0)
        rows, columns = np.mgrid[top : min(row + reach + 1, size), left : min(column + reach + 1, size)]
        stretch = rng.uniform(0.7, 1.4)
        distance = ((rows - row) * stretch) ** 2 + ((columns - column) / stretch) ** 2
        window = out[rows[0, 0] : rows[-1, 0] + 1, columns[0, 0] : columns[0, -1] + 1]
        np.maximum(window, rng.uniform(0.4, 1.0) * np.exp(-((distance / (2 * sigma**2)) ** 1.5)), out=window)
    return strength * out


def _wrinkles(regions: SkinRegions, config: WrinkleConfig, rng: np.random.Generator) -> Map:
    """Dark lines along forehead, nose-to-mouth folds, under the eyes and beside them."""
    size, scale = regions.size, regions.size / 256
    paths: list[np.ndarray] = []
    for share in rng.uniform(*config.forehead_range, draw_count(config.num_forehead_range, rng)):
        path = regions.forehead_low + share * (regions.forehead_high - regions.forehead_low)
        start, stop = sorted(rng.choice(len(path) + 1, 2, replace=False))
        if stop - start > 2:
            paths.append(path[start:stop])
    sided: list[np.ndarray] = []
    if rng.random() < config.nasolabial_fraction:
        sided.append(regions.curves["nasolabial"])
    drops = rng.uniform(*config.under_eye_range, draw_count(config.num_under_eye_range, rng)) * scale
    sided.extend(regions.curves["under_eye"] + np.array([0, drop]) for drop in drops)
    for _ in range(draw_count(config.num_crow_range, rng)):
        ray = (regions.crow_end - regions.crow_start) * rng.uniform(*config.crow_length_range)
        drop = np.array([0, rng.uniform(*config.crow_drop_range) * scale])
        sided.append(np.stack([regions.crow_start + 0.2 * ray, regions.crow_start + ray + drop]))
    for path in sided:
        paths += [path, np.stack([size - path[:, 0], path[:, 1]], -1)]
    lines = _Strokes(size)
    for path in paths:
        wobble = rng.normal(0, 0.5 * scale, path.shape)
        strength, width = rng.uniform(*config.strength_range), rng.uniform(*config.width_range) * scale
        lines.draw(path + wobble, strength, width)
    return gaussian_filter(lines.coverage(), rng.uniform(*config.blur_range) * scale)


def _with_brow_hair(
    albedo: Colour,
    regions: SkinRegions,
    config: SkinDetailConfig,
    rng: np.random.Generator,
    hair: Float[np.ndarray, " 3"],
) -> Colour:
    """Single hairs on the brows, in a hair colour not lighter than the skin."""
    size, scale, brows = regions.size, regions.size / 256, config.brows
    strokes = _Strokes(size)
    cumulative = np.cumsum((regions.brows**1.5).ravel())
    rise, length = rng.uniform(*brows.rise_range), rng.uniform(*brows.length_range) * scale
    count = draw_count(brows.num_range, rng)
    for index in np.searchsorted(cumulative, rng.random(count) * cumulative[-1]):
        row, column = divmod(min(int(index), size * size - 1), size)
        outwards = -1.0 if column < size / 2 else 1.0
        angle = np.arctan2(-rise, outwards) + rng.normal(0, 0.25)
        step = length * rng.uniform(0.5, 1.0) * np.array([np.cos(angle), np.sin(angle)])
        start = np.array([column, row]) + rng.normal(0, 0.7 * scale, 2)
        path = np.stack([start - 0.5 * step, start + 0.5 * step])
        strokes.draw(path, rng.uniform(*brows.coverage_range), 0.6 * scale)
    return _with_hair(albedo, strokes.coverage() * (1 - regions.eyelids), _not_lighter(hair, albedo, regions))


def _with_beard(
    albedo: Colour,
    regions: SkinRegions,
    config: SkinDetailConfig,
    rng: np.random.Generator,
    hair: Float[np.ndarray, " 3"],
) -> Colour:
    """Stubble or a short beard in one or more zones."""
    size, scale, beard = regions.size, regions.size / 256, config.beard
    names = [n for n in regions.beards if rng.random() < beard.zone_fraction] or ["jaw", "chin", "moustache"]
    zone = np.max([regions.beards[n] * rng.uniform(*beard.zone_range) for n in names], axis=0)
    colour = _not_lighter(hair, albedo, regions)
    edge = (zone * (1 + 0.3 * _noise(size, 6 * scale, rng))).clip(0, 1)
    shadow = rng.uniform(*beard.shadow_range) * edge
    is_hair = rng.random((size, size)) < rng.uniform(*beard.stubble_range) * edge
    dots = is_hair * rng.uniform(*beard.hair_range, (size, size))
    dots = gaussian_filter(dots, rng.uniform(*beard.blur_range) * scale)
    dots = dots * rng.uniform(*beard.stubble_gain_range)
    out = _with_hair(albedo, shadow + (1 - shadow) * dots.clip(0, 1), colour)
    if rng.random() < beard.full_fraction:
        strand = gaussian_filter(rng.normal(size=(size, size)), (2.0 * scale, 0.5 * scale))
        streaks = 0.85 + 0.2 * strand / strand.std()
        thick = (edge * rng.uniform(*beard.full_range) * streaks).clip(0, 1)
        out = _with_hair(out, thick, colour)
    return out


def _with_make_up(
    albedo: Colour, regions: SkinRegions, config: MakeUpConfig, rng: np.random.Generator
) -> Colour:
    """Lipstick, eye shadow, liner and blush, each by chance; foundation evens the skin."""
    out = albedo
    if rng.random() < config.foundation_fraction:
        evened = np.stack([gaussian_filter(out[..., c], regions.size / 85) for c in range(3)], -1)
        out = out + rng.uniform(*config.foundation_range) * regions.skin[..., None] * (evened - out)
    if rng.random() < config.lipstick_fraction:
        red = rng.uniform(*config.lipstick_red_range)
        paleness = rng.uniform(*config.lipstick_paleness_range)
        blue = min(_LARGEST_LIPSTICK_BLUE, paleness * rng.uniform(*config.lipstick_blue_range))
        stick = red * np.array([1.0, paleness, blue])
        out = _with_hair(out, rng.uniform(*config.lipstick_coverage_range) * regions.lips, stick)
    if rng.random() < config.shadow_fraction:
        shade = rng.uniform(*config.shadow_brightness_range) * rng.uniform(*config.shadow_colour_range, 3)
        out = _with_hair(out, rng.uniform(*config.shadow_coverage_range) * regions.eyelids, shade)
    if rng.random() < config.liner_fraction:
        out = _with_hair(
            out, rng.uniform(*config.liner_coverage_range) * regions.lid_edge, np.full(3, _LINER_VALUE)
        )
    if rng.random() < config.blush_fraction:
        amount = rng.uniform(*config.blush_range) * regions.cheeks * regions.skin
        out = out * np.exp(-amount[..., None] * BLOOD)
    return out


def random_hair_colour(
    tone: float | None, config: HairColourConfig, rng: np.random.Generator
) -> Float[np.ndarray, " 3"]:
    """Linear colour of a person's hair, from black through brown and red to blond, grey at times.

    Args:
        tone: Log luminance of the skin; the lightest where not given.
        config: Shares and spreads.
        rng: Source of the colour.
    """
    if rng.random() < config.grey_fraction:
        return np.full(3, rng.uniform(*config.grey_range)) * np.array(_GREY_TINT)
    melanin = rng.beta(*config.melanin_beta)
    if tone is not None and rng.random() >= config.dyed_fraction:
        darkest, lightest = (float(end) for end in human_skin().tone_range)
        fairness = np.clip((tone - darkest) / (lightest - darkest), 0.0, 1.0)
        melanin = 1 - (1 - melanin) * fairness**_FAIR_HAIR_EXPONENT
    colour = np.exp(melanin * np.log(np.array(_BLACK_HAIR)) + (1 - melanin) * np.log(np.array(_BLOND_HAIR)))
    return colour * np.exp(rng.normal(0, config.colour_sigma, size=3))


def _not_lighter(
    hair: Float[np.ndarray, " 3"], albedo: Colour, regions: SkinRegions
) -> Float[np.ndarray, " 3"]:
    """The colour of the hair, darker than the skin around it."""
    return np.minimum(hair, _LIGHTEST_HAIR * np.median(albedo[regions.skin > 0.5], axis=0))


def _with_hair(albedo: Colour, density: Map, colour: Float[np.ndarray, " 3"]) -> Colour:
    return albedo + density[..., None] * (colour - albedo)


class _Strokes:
    """Antialiased strokes on one canvas, drawn at twice the size."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._canvas = Image.new("L", (2 * size, 2 * size))
        self._pen = ImageDraw.Draw(self._canvas)

    def draw(self, path: Float[np.ndarray, "P 2"], strength: float, width: float) -> None:
        """Add a polyline of texel points; ``strength`` in [0, 1], ``width`` in texels."""
        points = [tuple(p) for p in (2 * path).tolist()]
        self._pen.line(points, fill=int(255 * strength), width=max(1, round(2 * width)))

    def coverage(self) -> Map:
        """What the strokes cover, in [0, 1]."""
        small = self._canvas.resize((self._size, self._size), Image.Resampling.BOX)
        return np.asarray(small, np.float64) / 255
