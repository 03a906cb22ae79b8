"""Colours of lips, eyes, brows and teeth relative to the skin around them, as they are on people.

What a face tells of its own skin tone, whatever the exposure, is how its parts differ from its skin: lips
contrast less with darker skin, the white of the eye more. A synthetic face whose parts do not follow their
skin teaches the opposite.

The table is measured on 82 people in one even studio light (Face Research Lab London Set, DeBruine and
Jones): log(part / skin) of linear R, G, B at mean skin, its slope over the log luminance of the skin, and the
residual's spread and correlation; teeth on the 46 of them whose smile shows teeth. Skin is the median of the
cheeks, sclera the brightest third of the eye opening, brow its darker half. The table is of what a photo
shows, light reflected at the surface and the shade of lids included; both are taken out of the albedo.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter
from torch import Tensor

from facelume.errors import UsageError
from facelume.face_model import FaceModel
from facelume.reflectance.colour import REC709_LUMINANCE
from facelume.types import EYE_PARTS, FacePart
from facelume.uv import interpolate_texels, texel_map

Map = Float[np.ndarray, "s s"]
Rgb = Float[np.ndarray, " 3"]

MEAN_SKIN_LOG_LUMINANCE = -1.245
"""Of the people of the table, surface included. The lighter ones show -1.05, the darker ones -2.47; measured
skin of their ITA classes has -1.05 and -2.45 with ``SKIN_SURFACE``: the photos are exposed to reflectance."""

SKIN_SURFACE = 0.02
"""Light that skin reflects at its surface in even light, linear, whatever its tone: a spectrophotometer that
collects all of it reads 0.028."""

_LARGEST_SURFACE_SHARE = 0.6
"""Of what is seen of a part: the darkest lips are not black."""

_BLUEST_LIPS = 0.55
"""Blue over red: nobody's lips of the set exceed it."""

_TONE_RANGE = (-1.8, 0.62)
"""Log luminance of the darkest and lightest person about the mean: the slopes are not led beyond it."""

_COLOUR_RANGE = (0.006, 0.75)

_IRIS_RADIUS_M, _PUPIL_RADIUS_M, _IRIS_EDGE_M = 0.0059, 0.0019, 0.0005
"""Disc of the eyes of the albedo basis, about the gaze axis of the open model's eyeball."""

_SHOWN_IRIS_M, _SHOWN_SCLERA_M = (0.0026, 0.0051), (0.0076, 0.0110)
"""Distance from the gaze axis of what is iris alone, and of the sclera alone that an open eye shows."""

_LEAST_BROW_CONTRAST = 0.15
"""Log luminance that the darker half of a brow must lie below the skin for its own pattern to be kept."""


@dataclass(frozen=True)
class PartStatistics:
    """How one part differs from the skin of its face.

    Attributes:
        at_mean: Mean of log(part / skin) for linear R, G, B at mean skin.
        slope: Its change per log luminance of the skin.
        spread: Standard deviation of what is left.
        correlation: Of what is left, between R and G, R and B, G and B.
        shade: Log of the light on the part over that on the cheek in even light.
        surface: Light reflected at its surface in even light, linear; none where it gathers in a highlight.
    """

    at_mean: tuple[float, float, float]
    slope: tuple[float, float, float]
    spread: tuple[float, float, float]
    correlation: tuple[float, float, float]
    shade: float
    surface: float

    def mean_seen(self, log_seen_skin: Rgb) -> Rgb:
        """Mean log colour of the part as a photo in even light shows it, beside skin that it shows so."""
        tone = np.log(np.exp(log_seen_skin) @ np.array(REC709_LUMINANCE)) - MEAN_SKIN_LOG_LUMINANCE
        slope = np.array(self.slope) * np.clip(tone, *_TONE_RANGE)
        return np.asarray(log_seen_skin + np.array(self.at_mean) + slope)

    def sample_seen(self, log_seen_skin: Rgb, rng: np.random.Generator) -> Rgb:
        """Draw the log colour of one person's part as such a photo shows it."""
        red_green, red_blue, green_blue = self.correlation
        correlation = np.array(
            [[1.0, red_green, red_blue], [red_green, 1.0, green_blue], [red_blue, green_blue, 1.0]]
        )
        residual = np.linalg.cholesky(correlation) @ rng.normal(size=3) * np.array(self.spread)
        return np.asarray(self.mean_seen(log_seen_skin) + residual)


PART_STATISTICS = {
    "lips": PartStatistics(
        (-0.46, -0.82, -0.51), (-0.16, -0.48, -0.56), (0.17, 0.21, 0.22), (0.81, 0.68, 0.90), -0.20, 0.03
    ),
    "sclera": PartStatistics(
        (-0.20, 0.13, 0.36), (-0.62, -0.76, -0.83), (0.21, 0.22, 0.25), (0.90, 0.70, 0.92), -0.17, 0.0
    ),
    "brows": PartStatistics(
        (-1.63, -1.59, -1.56), (-0.07, -0.25, -0.39), (0.47, 0.43, 0.39), (0.98, 0.93, 0.97), -0.07, 0.01
    ),
    "iris": PartStatistics(
        (-2.69, -2.40, -2.16), (-0.16, -0.31, -0.54), (0.34, 0.44, 0.48), (0.91, 0.73, 0.94), -0.15, 0.0
    ),
    "teeth": PartStatistics(
        (0.09, 0.40, 0.56), (-0.65, -0.80, -0.94), (0.34, 0.44, 0.46), (0.97, 0.95, 0.98), -0.30, 0.0
    ),
}
"""By name. Shades are of the open model's own renderings under soft boxes and an even sky; that of the teeth
is what the reflectance of enamel, about 0.6, leaves to explain. The teeth's correlations are not measured:
their spread is shadow of the mouth above all, which has no hue."""


@dataclass(frozen=True, eq=False)
class PartRegions:
    """Where the parts lie in the atlas: soft masks in [0, 1].

    Attributes:
        masks: By the names of :data:`PART_STATISTICS`; what a colour changes.
        judged: The texels over which the mean of a part is taken, by the same names.
        bare_skin: The texels that are skin of the face front and nothing else.
    """

    masks: dict[str, Map]
    judged: dict[str, Bool[np.ndarray, "s s"]]
    bare_skin: Bool[np.ndarray, "s s"]


@lru_cache(maxsize=4)
def part_regions(model: FaceModel, size: int) -> PartRegions:
    """Find the parts in an atlas of ``size`` texels; iris and sclera by their distance from the gaze axis."""
    part = texel_map(model.topology, size).part.cpu().numpy()
    radius = _distance_from_gaze(model, size, part)
    inside_iris = 1 / (1 + np.exp(((radius - _IRIS_RADIUS_M) / _IRIS_EDGE_M).clip(-30, 30)))
    inside_pupil = 1 / (1 + np.exp(((radius - _PUPIL_RADIUS_M) / _IRIS_EDGE_M).clip(-30, 30)))
    eyes, teeth = (
        np.isin(part, numbers) for numbers in (EYE_PARTS, (FacePart.UPPER_TEETH, FacePart.LOWER_TEETH))
    )
    lips, brows, skin = (model.uv_mask(name, size).cpu().numpy() for name in ("lips", "brows", "skin"))
    masks = {
        "lips": gaussian_filter(lips, 0.8 * size / 256) * (part == FacePart.SKIN),
        "sclera": eyes * (1 - inside_iris),
        "brows": brows * (part == FacePart.SKIN),
        "iris": eyes * inside_iris * (1 - inside_pupil),
        "teeth": teeth.astype(np.float64),
    }
    judged = {name: mask > 0.5 for name, mask in masks.items()}
    for name, (least, largest) in (("iris", _SHOWN_IRIS_M), ("sclera", _SHOWN_SCLERA_M)):
        judged[name] = eyes & (radius > least) & (radius < largest)
    bare = (skin > 0.5) & (part == FacePart.SKIN)
    return PartRegions({n: m.astype(np.float64) for n, m in masks.items()}, judged, bare)


def _distance_from_gaze(model: FaceModel, size: int, part: np.ndarray) -> Map:
    """Metres from the axis along which each eyeball of the mean looks; infinite off the eyeballs' fronts."""
    position = interpolate_texels(texel_map(model.topology, size), model.mean_shape[None])[0]
    place = position.permute(1, 2, 0).cpu().numpy()
    radius = np.full(part.shape, np.inf)
    for number in EYE_PARTS:
        corners = model.topology.faces[model.topology.face_part == number].unique()
        vertices = model.mean_shape[corners].cpu().numpy()
        centre = 0.5 * (vertices.min(0) + vertices.max(0))
        front = (part == number) & (place[..., 2] > centre[2])
        radius[front] = np.linalg.norm((place - centre)[front][:, :2], axis=1)
    return radius


def sample_part_colours(log_skin: Rgb, rng: np.random.Generator) -> dict[str, Rgb]:
    """Draw the colours of the parts of one face.

    Args:
        log_skin: Natural logarithm of the skin's linear albedo, the median of bare skin.
        rng: Source of chance; parts differ from their means independently of one another.

    Returns:
        Natural logarithm of the linear albedo of each part, by the names of :data:`PART_STATISTICS`.
    """
    seen_skin = np.log(np.exp(log_skin) + SKIN_SURFACE)
    colours = {}
    for name, part in PART_STATISTICS.items():
        seen = np.exp(part.sample_seen(seen_skin, rng))
        albedo = (seen - np.minimum(part.surface, _LARGEST_SURFACE_SHARE * seen)) / np.exp(part.shade)
        if name == "lips":
            albedo[2] = min(albedo[2], _BLUEST_LIPS * albedo[0])
        colours[name] = np.log(np.clip(albedo, *_COLOUR_RANGE))
    return colours


def paint_parts(
    albedo_map: Float[Tensor, "3 s s"], regions: PartRegions, colours: Mapping[str, Rgb]
) -> Float[Tensor, "3 s s"]:
    """Give the parts of an albedo map their colours and keep the pattern that each has.

    The mean log colour of a part (of a brow: of its darker half) becomes the wanted one; what differs from
    that mean differs as before. A brow changes as far as it is darker than the skin; a map without brows gets
    even ones. Pupils, the inside of the mouth and all skin stay as they are.

    Args:
        albedo_map: Linear albedo, positive.
        regions: Of an atlas of the same size.
        colours: Natural logarithm of the albedo wanted, by part; parts that are not named stay as they are.

    Raises:
        UsageError: Map and regions differ in size, or a colour is of no known part.
    """
    unknown = sorted(set(colours) - set(regions.masks))
    if unknown or albedo_map.shape[1:] != regions.bare_skin.shape:
        raise UsageError(
            f"albedo map {tuple(albedo_map.shape)} and colours of {', '.join(colours)}: the regions are of "
            f"{regions.bare_skin.shape} texels and know {', '.join(regions.masks)}; take regions of that size"
        )
    before = np.log(albedo_map.detach().cpu().numpy().astype(np.float64).clip(1e-3)).transpose(1, 2, 0)
    after = before.copy()
    for name, wanted in colours.items():
        judged, mask = regions.judged[name], regions.masks[name]
        if name == "brows":
            judged, mask = _brow_hair(before, regions)
        change = (wanted - before[judged].mean(axis=0)) / mask[judged].mean()
        after += mask[..., None] * change
    return torch.from_numpy(np.exp(after).clip(0.005, 0.95).transpose(2, 0, 1)).to(albedo_map)


def _brow_hair(log_albedo: np.ndarray, regions: PartRegions) -> tuple[np.ndarray, Map]:
    """The darker half of the brows, and how much of the change each texel takes."""
    brows, mask = regions.judged["brows"], regions.masks["brows"]
    value = np.log(np.exp(log_albedo) @ np.array(REC709_LUMINANCE))
    dark = brows & (value <= np.median(value[brows]))
    darkness = np.median(value[regions.bare_skin]) - value
    if darkness[dark].mean() < _LEAST_BROW_CONTRAST:
        return brows, mask
    return dark, mask * (darkness / darkness[dark].mean()).clip(0, 1)
