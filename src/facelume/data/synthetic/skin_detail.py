"""Random detail on an albedo map that no albedo basis holds: pores, spots, wrinkles, hair and make-up.

Synthetic faces wear it so that a network cannot win by staying inside the basis. Colours are linear Rec.709.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from torch import Tensor

from facelume.data.synthetic.skin_regions import Map, SkinRegions, skin_regions
from facelume.face_model import FaceModel, load_open_face_model

MELANIN = np.array([0.62, 1.0, 1.55])
"""Absorbance of melanin in linear R, G, B, relative to green."""
BLOOD = np.array([0.20, 1.0, 0.80])
"""Absorbance of haemoglobin in linear R, G, B, relative to green."""
HAIR_COLOURS = np.array(
    [
        [0.010, 0.008, 0.007],
        [0.025, 0.015, 0.010],
        [0.065, 0.038, 0.022],
        [0.150, 0.098, 0.055],
        [0.115, 0.045, 0.020],
        [0.270, 0.260, 0.250],
    ]
)
"""Black, dark brown, brown, blond, red, grey."""
ALBEDO_RANGE = (0.005, 0.95)

Colour = Float[np.ndarray, "s s 3"]


def procedural_detail(albedo: Float[Tensor, "3 s s"], rng: np.random.Generator) -> Float[Tensor, "3 s s"]:
    """Add random detail to an albedo map of the open model's atlas.

    Args:
        albedo: Linear albedo in [0, 1].
        rng: Source of chance; the same state gives the same detail.

    Returns:
        A new linear albedo in [0.005, 0.95]; eyes, inner mouth and all off the face front are unchanged.
    """
    return skin_detail(_open_model())(albedo, rng)


def skin_detail(
    model: FaceModel,
) -> Callable[[Float[Tensor, "3 s s"], np.random.Generator], Float[Tensor, "3 s s"]]:
    """A function like :func:`procedural_detail` for the atlas of ``model``."""

    def detail(albedo: Float[Tensor, "3 s s"], rng: np.random.Generator) -> Float[Tensor, "3 s s"]:
        regions = skin_regions(model, albedo.shape[-1])
        before = albedo.detach().cpu().numpy().astype(np.float64).transpose(1, 2, 0)
        out = _with_pigment(before, regions, rng)
        if rng.random() < 0.5:
            out = _with_brow_hair(out, regions, rng)
        kind = rng.random()
        if kind < 0.35:
            out = _with_beard(out, regions, rng)
        elif kind < 0.7:
            out = _with_make_up(out, regions, rng)
        after = torch.from_numpy(out.clip(*ALBEDO_RANGE).transpose(2, 0, 1)).to(albedo)
        face = torch.from_numpy(regions.face).to(albedo)
        return torch.where(face > 0, albedo + face * (after - albedo), albedo)

    return detail


@lru_cache(maxsize=1)
def _open_model() -> FaceModel:
    return load_open_face_model()


def _with_pigment(albedo: Colour, regions: SkinRegions, rng: np.random.Generator) -> Colour:
    """Pores, uneven tone, freckles, moles, spots and wrinkles, all as absorbance in the skin."""
    skin, scale = regions.skin, regions.size / 256
    melanin = rng.uniform(0.01, 0.05) * _noise(regions.size, rng.uniform(0.5, 1.0) * scale, rng)
    melanin += rng.uniform(0.0, 0.06) * _noise(regions.size, rng.uniform(2, 5) * scale, rng)
    melanin += rng.uniform(0.0, 0.10) * _noise(regions.size, rng.uniform(8, 20) * scale, rng)
    blood = rng.uniform(0.0, 0.08) * _noise(regions.size, rng.uniform(3, 14) * scale, rng)
    if rng.random() < 0.3:
        place = skin * (0.05 + regions.cheeks + regions.nose_bridge)
        melanin += rng.uniform(0.15, 0.6) * _spots(place, rng.integers(30, 350), (0.4, 1.1), rng)
    melanin += rng.uniform(0.7, 2.0) * _spots(skin, rng.integers(0, 7), (0.5, 1.8), rng)
    if rng.random() < 0.4:
        melanin += rng.uniform(0.1, 0.4) * _spots(skin, rng.integers(1, 12), (1.5, 6.0), rng)
        blood += rng.uniform(0.1, 0.5) * _spots(skin, rng.integers(0, 14), (0.8, 3.0), rng)
    if rng.random() < 0.5:
        blood += rng.uniform(0.05, 0.35) * (regions.cheeks + rng.uniform(0, 1.2) * regions.nose_bridge)
    if rng.random() < 0.4:
        melanin += rng.uniform(0.05, 0.35) * regions.eyelids
    if rng.random() < 0.5:
        melanin += _wrinkles(regions, rng)
    absorbance = melanin[..., None] * MELANIN + blood[..., None] * BLOOD
    lips = regions.lips[..., None] * 0.4 * blood[..., None] * BLOOD
    return albedo * np.exp(-skin[..., None] * absorbance - lips)


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


def _spots(place: Map, count: int | np.int64, radius: tuple[float, float], rng: np.random.Generator) -> Map:
    """Soft blots of height up to 1 at random places; radii in texels of a 256 atlas."""
    size = len(place)
    out = np.zeros((size, size))
    cumulative = np.cumsum(place.ravel())
    for index in np.searchsorted(cumulative, rng.random(int(count)) * cumulative[-1]):
        row, column = divmod(min(int(index), size * size - 1), size)
        sigma = rng.uniform(*radius) * size / 256
        reach = int(np.ceil(3 * sigma))
        top, left = max(row - reach, 0), max(column - reach, 0)
        rows, columns = np.mgrid[top : min(row + reach + 1, size), left : min(column + reach + 1, size)]
        stretch = rng.uniform(0.7, 1.4)
        distance = ((rows - row) * stretch) ** 2 + ((columns - column) / stretch) ** 2
        window = out[rows[0, 0] : rows[-1, 0] + 1, columns[0, 0] : columns[0, -1] + 1]
        np.maximum(window, rng.uniform(0.4, 1.0) * np.exp(-((distance / (2 * sigma**2)) ** 1.5)), out=window)
    return out


def _wrinkles(regions: SkinRegions, rng: np.random.Generator) -> Map:
    """Dark lines along forehead, nose-to-mouth folds, under the eyes and beside them."""
    size, scale = regions.size, regions.size / 256
    paths: list[np.ndarray] = []
    for share in rng.uniform(0.05, 0.75, rng.integers(0, 5)):
        path = regions.forehead_low + share * (regions.forehead_high - regions.forehead_low)
        start, stop = sorted(rng.choice(len(path) + 1, 2, replace=False))
        if stop - start > 2:
            paths.append(path[start:stop])
    sided: list[np.ndarray] = []
    if rng.random() < 0.6:
        sided.append(regions.curves["nasolabial"])
    drops = rng.uniform(-1, 5, rng.integers(0, 3)) * scale
    sided.extend(regions.curves["under_eye"] + np.array([0, drop]) for drop in drops)
    for _ in range(rng.integers(0, 4)):
        ray = (regions.crow_end - regions.crow_start) * rng.uniform(0.35, 0.7)
        drop = np.array([0, rng.uniform(-9, 9) * scale])
        sided.append(np.stack([regions.crow_start + 0.2 * ray, regions.crow_start + ray + drop]))
    for path in sided:
        paths += [path, np.stack([size - path[:, 0], path[:, 1]], -1)]
    lines = _Strokes(size)
    for path in paths:
        wobble = rng.normal(0, 0.5 * scale, path.shape)
        lines.draw(path + wobble, rng.uniform(0.04, 0.25), rng.uniform(0.5, 1.4) * scale)
    return gaussian_filter(lines.coverage(), rng.uniform(0.5, 1.2) * scale)


def _with_brow_hair(albedo: Colour, regions: SkinRegions, rng: np.random.Generator) -> Colour:
    """Single hairs on the brows, in a hair colour not lighter than the skin."""
    size, scale = regions.size, regions.size / 256
    strokes = _Strokes(size)
    cumulative = np.cumsum((regions.brows**1.5).ravel())
    rise, length = rng.uniform(0.2, 1.0), rng.uniform(3.0, 7.0) * scale
    for index in np.searchsorted(cumulative, rng.random(rng.integers(60, 320)) * cumulative[-1]):
        row, column = divmod(min(int(index), size * size - 1), size)
        outwards = -1.0 if column < size / 2 else 1.0
        angle = np.arctan2(-rise, outwards) + rng.normal(0, 0.25)
        step = length * rng.uniform(0.5, 1.0) * np.array([np.cos(angle), np.sin(angle)])
        start = np.array([column, row]) + rng.normal(0, 0.7 * scale, 2)
        strokes.draw(np.stack([start - 0.5 * step, start + 0.5 * step]), rng.uniform(0.3, 0.9), 0.6 * scale)
    return _with_hair(albedo, strokes.coverage() * (1 - regions.eyelids), _hair_colour(albedo, regions, rng))


def _with_beard(albedo: Colour, regions: SkinRegions, rng: np.random.Generator) -> Colour:
    """Stubble or a short beard in one or more zones."""
    size, scale = regions.size, regions.size / 256
    names = [n for n in regions.beards if rng.random() < 0.7] or ["jaw", "chin", "moustache"]
    zone = np.max([regions.beards[n] * rng.uniform(0.6, 1.0) for n in names], axis=0)
    colour = _hair_colour(albedo, regions, rng)
    edge = (zone * (1 + 0.3 * _noise(size, 6 * scale, rng))).clip(0, 1)
    shadow = rng.uniform(0.05, 0.45) * edge
    dots = (rng.random((size, size)) < rng.uniform(0.05, 0.5) * edge) * rng.uniform(0.2, 1.0, (size, size))
    dots = gaussian_filter(dots, rng.uniform(0.35, 0.6) * scale) * rng.uniform(0.5, 1.3)
    out = _with_hair(albedo, shadow + (1 - shadow) * dots.clip(0, 1), colour)
    if rng.random() < 0.3:
        strand = gaussian_filter(rng.normal(size=(size, size)), (2.0 * scale, 0.5 * scale))
        thick = (edge * rng.uniform(0.5, 1.0) * (0.85 + 0.2 * strand / strand.std())).clip(0, 1)
        out = _with_hair(out, thick, colour)
    return out


def _with_make_up(albedo: Colour, regions: SkinRegions, rng: np.random.Generator) -> Colour:
    """Lipstick, eye shadow, liner and blush, each by chance; foundation evens the skin."""
    out = albedo
    if rng.random() < 0.4:
        evened = np.stack([gaussian_filter(out[..., c], regions.size / 85) for c in range(3)], -1)
        out = out + rng.uniform(0.2, 0.7) * regions.skin[..., None] * (evened - out)
    if rng.random() < 0.7:
        red, paleness = rng.uniform(0.12, 0.55), rng.uniform(0.06, 0.5)
        stick = red * np.array([1.0, paleness, min(0.6, paleness * rng.uniform(0.8, 1.6))])
        out = _with_hair(out, rng.uniform(0.2, 0.8) * regions.lips, stick)
    if rng.random() < 0.5:
        shade = rng.uniform(0.02, 0.35) * rng.uniform(0.4, 1.0, 3)
        out = _with_hair(out, rng.uniform(0.15, 0.7) * regions.eyelids, shade)
    if rng.random() < 0.5:
        out = _with_hair(out, rng.uniform(0.3, 0.9) * regions.lid_edge, np.full(3, 0.01))
    if rng.random() < 0.5:
        amount = rng.uniform(0.05, 0.4) * regions.cheeks * regions.skin
        out = out * np.exp(-amount[..., None] * BLOOD)
    return out


def _hair_colour(albedo: Colour, regions: SkinRegions, rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
    skin = np.median(albedo[regions.skin > 0.5], axis=0)
    colour = HAIR_COLOURS[rng.choice(len(HAIR_COLOURS), p=[0.3, 0.25, 0.2, 0.1, 0.05, 0.1])]
    return np.minimum(colour * np.exp(rng.normal(0, 0.2)), 0.7 * skin)


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
