"""Skins of synthetic people: the pattern of known people, measured colours, detail that no basis holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from facelume.data.synthetic.head import random_coefficients
from facelume.data.synthetic.part_colours import paint_parts, part_regions, sample_part_colours
from facelume.data.synthetic.skin_config import SkinConfig
from facelume.data.synthetic.skin_detail import SkinDetail, random_hair_colour
from facelume.data.synthetic.skin_tone import mean_colour, random_skin_colour, with_skin_colour
from facelume.errors import AssetError
from facelume.face_model import FaceModel
from facelume.face_model.albedo import AlbedoBasis
from facelume.reflectance import luminance
from facelume.types import FacePart
from facelume.uv import texel_map

_BARE_SHARE = 0.95
# Size at which the nearest albedo of the basis is found, and the variance that it leaves unexplained.
_FIT_SIZE, _FIT_NOISE = 128, 0.02
# Dark brown: the hair over an albedo of which nothing else is known.
_PLAIN_HAIR = (0.025, 0.015, 0.010)


@dataclass(frozen=True, eq=False)
class SyntheticSkin:
    """The albedo of one person, linear.

    Attributes:
        albedo: Over the atlas.
        coeffs: The nearest albedo of the face model, standard deviations; hair and make-up left out.
        colour: Mean of the bare skin of the face, under hair and make-up.
        hair: Colour of the hair.
    """

    albedo: Float[Tensor, "3 s s"]
    coeffs: Float[Tensor, " A"]
    colour: Float[Tensor, " 3"]
    hair: Float[np.ndarray, " 3"]


class SyntheticSkins:
    """Draws skins; what depends on the face model alone is computed once.

    Args:
        model: The face model.
        config: What skins look like.
        size: Texels along an edge of the albedo.
    """

    def __init__(self, model: FaceModel, config: SkinConfig, size: int) -> None:
        self.model, self.config, self.size = model, config, size
        self._skin = skin_of_atlas(model, size)
        self._bare = bare_skin(model, size)
        self._detail = SkinDetail(model, config.detail)
        self._basis = model.albedo if isinstance(model.albedo, AlbedoBasis) else None
        if self._basis is not None:
            examples = model.albedo_map(self._basis.example_coeffs, _FIT_SIZE)
            bare = bare_skin(model, _FIT_SIZE)
            self._tones = np.array([float(luminance(mean_colour(e, bare)).log()) for e in examples])
            self._nearest = _NearestAlbedo(model)

    def draw(self, rng: np.random.Generator) -> SyntheticSkin:
        """Draw the skin of a new person.

        Raises:
            AssetError: The face model has no example skins.
        """
        if self._basis is None:
            raise AssetError(
                f"face model {self.model.name!r} has no example skins: photograph with a skin of your own"
            )
        config, wanted, tone = self.config, None, None
        if rng.random() < config.colour.measured_fraction:
            wanted = random_skin_colour(config.colour, rng)
            tone = float(luminance(torch.from_numpy(wanted)).log())
        coeffs = random_skin(self._basis.example_coeffs.numpy(), config, rng, self._tones, tone)
        albedo = self.model.albedo_map(torch.from_numpy(coeffs), self.size)
        if config.has_detail:
            albedo = self._detail.pigmented(albedo, rng)
        if wanted is not None:
            albedo = with_skin_colour(albedo, self._skin, self._bare, wanted)
        brow = None
        if rng.random() < config.parts_fraction:
            median = albedo[:, self._bare > 0.5].median(dim=-1).values
            parts = sample_part_colours(median.log().double().numpy(), rng)
            albedo = paint_parts(albedo, part_regions(self.model, self.size), parts)
            brow = np.exp(parts["brows"])
        naked = albedo
        colour = mean_colour(naked, self._bare)
        hair = random_hair_colour(float(luminance(colour).log()), config.hair, rng)
        if config.has_detail:
            beard = hair * np.exp(rng.normal(0, config.hair.beard_sigma))
            albedo = self._detail.adorned(albedo, rng, beard, brow)
        return SyntheticSkin(albedo, self._nearest(naked), colour, hair)

    def wear(self, albedo: Float[Tensor, "3 s s"]) -> SyntheticSkin:
        """A given linear albedo as a skin; its coefficients are 0, its hair is dark brown."""
        bare = self._bare if albedo.shape[-1] == self.size else bare_skin(self.model, albedo.shape[-1])
        return SyntheticSkin(
            albedo, torch.zeros(self.model.num_albedo), mean_colour(albedo, bare), np.array(_PLAIN_HAIR)
        )


class _NearestAlbedo:
    """Coefficients of the albedo of the basis that is nearest to a map, under the basis' own prior."""

    def __init__(self, model: FaceModel) -> None:
        origin = torch.zeros(1, model.num_albedo)
        counted = model.uv_mask("face", _FIT_SIZE) * (1.0 - model.uv_mask("eyes", _FIT_SIZE))
        self._texels = counted.flatten() > _BARE_SHARE
        step = 0.25
        mean = model.albedo_map(origin, _FIT_SIZE)
        shifted = model.albedo_map(step * torch.eye(model.num_albedo), _FIT_SIZE)
        rows = ((shifted - mean) / step).flatten(2)[..., self._texels].flatten(1)
        self._mean = mean[0].flatten(1)[:, self._texels].flatten()
        ridge = _FIT_NOISE**2 * len(self._mean) / model.num_albedo
        normal = rows @ rows.T + ridge * torch.eye(len(rows))
        self._solve = torch.linalg.solve(normal, rows)

    def __call__(self, albedo: Float[Tensor, "3 s s"]) -> Float[Tensor, " A"]:
        small = torch.nn.functional.interpolate(albedo[None], size=(_FIT_SIZE, _FIT_SIZE), mode="area")[0]
        return self._solve @ (small.flatten(1)[:, self._texels].flatten() - self._mean)


def random_skin(
    example_coeffs: Float[np.ndarray, "E A"],
    config: SkinConfig,
    rng: np.random.Generator,
    tones: Float[np.ndarray, " E"] | None = None,
    wanted_tone: float | None = None,
) -> Float[np.ndarray, " A"]:
    """Albedo coefficients of a new skin: a few known ones mixed plus a random part.

    Args:
        example_coeffs: The known ones.
        config: How they are mixed.
        rng: Source of the mixture.
        tones: Log luminance of each of them: a dark skin gets as much less of its own as it is darker than
            the mean, for the basis is linear in light.
        wanted_tone: Log luminance about which they are chosen; all alike where not given.
    """
    count = example_coeffs.shape[1]
    if len(example_coeffs) == 0:
        return random_coefficients(count, config.free_sigma, config.free_limit, rng)
    shares = None
    if tones is not None and wanted_tone is not None:
        distance = (tones - wanted_tone) / max(config.likeness_sigma, 1e-3)
        likely = np.exp(-0.5 * (distance**2 - np.min(distance**2)))
        shares = likely / likely.sum()
    chosen = rng.choice(len(example_coeffs), size=config.num_mixed, p=shares)
    weights = rng.dirichlet([config.mixing_concentration] * config.num_mixed)
    own = rng.uniform(*config.own_range) * rng.normal(size=count)
    if tones is not None:
        own = own * min(1.0, float(weights @ np.exp(tones[chosen]) / np.exp(tones).mean()))
    mixed = weights @ example_coeffs[chosen] + own
    return mixed.clip(-config.mixed_limit, config.mixed_limit).astype(np.float32)


def skin_of_atlas(model: FaceModel, size: int) -> Float[Tensor, "{size} {size}"]:
    """1 on skin, lips and brows all over the head, 0 on eyes, teeth and mouth and beyond the charts."""
    is_skin = (texel_map(model.topology, size).part == FacePart.SKIN).float()
    return is_skin * (1.0 - model.uv_mask("eyes", size))


def bare_skin(model: FaceModel, size: int) -> Float[Tensor, "{size} {size}"]:
    """1 on the skin of the face without brows, lips, eyes and nostrils, 0 elsewhere."""
    skin = model.uv_mask("skin", size) * model.uv_mask("face", size)
    covered = model.uv_mask("brows", size) + model.uv_mask("lips", size) + model.uv_mask("eyes", size)
    return ((skin > _BARE_SHARE) & (covered < 1 - _BARE_SHARE)).float()
