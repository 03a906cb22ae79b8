"""Albedo coefficients and coarse light of an unwrapped photo whose skin tone is known.

The tone says how bright and what colour the skin is, so the light's exposure and tint are what is left; the
lamps say which part of the shading is shadow; what no light explains is the albedo's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from facelume.illumination import LampFitConfig, LampView, fit_lamps, lamp_transport


@dataclass(frozen=True)
class LinearAlbedo:
    """First-order albedo of a face model at a small atlas size: all that the fits know of the model.

    Attributes:
        mean: Albedo at zero coefficients, linear.
        rows: Change per unit of each coefficient.
        mask: Texels that count: the skin of the face, without eyes and inner mouth.
        tone_mask: Texels whose middle colour is the tone of the skin: no lips, brows, beard or neck.
    """

    mean: Float[Tensor, "3 s s"]
    rows: Float[Tensor, "A 3 s s"]
    mask: Float[Tensor, "s s"]
    tone_mask: Bool[Tensor, "s s"]

    @property
    def size(self) -> int:
        """Side of the maps in texels."""
        return self.mean.shape[-1]


_REFIT_ROUNDS = 3


@dataclass(frozen=True)
class AppearanceConfig:
    """Weights of the appearance fit.

    Attributes:
        lamps: Priors of the light.
        coefficient_sigma: Spread of the albedo coefficients about those of the tone alone, standard
            deviations of the basis.
        tone_sigma: How closely the coefficients themselves are led to the tone, relative; what is left is
            made up by one factor per colour.
        noise: Standard deviation of the picture around the model, relative to its brightness.
        num_effective: Number of independent texels that all texels together count for.
        robust_scale: Relative error, in units of its own spread, from which a texel counts less.
        clipped: Linear value from which a colour of a texel only says "at least this".
        num_rounds: How often light and albedo take turns.
        max_texels: About how many texels are fitted.
    """

    lamps: LampFitConfig = field(default_factory=LampFitConfig)
    coefficient_sigma: float = 0.7
    tone_sigma: float = 0.03
    noise: float = 0.2
    num_effective: float = 150.0
    robust_scale: float = 1.5
    clipped: float = 0.93
    num_rounds: int = 8
    max_texels: int = 450


@dataclass(frozen=True, eq=False)
class Appearance:
    """What explains an unwrapped photo.

    Attributes:
        albedo: Albedo coefficients in standard deviations.
        tone_gain: Factor on the skin of the basis' albedo that gives it the tone.
        lamps: Strength of each lamp and colour: shading of a white surface that faces it.
    """

    albedo: Float[Tensor, "b A"]
    tone_gain: Float[Tensor, "b 3"]
    lamps: Float[Tensor, "b L 3"]


def average_down(
    texture: Float[Tensor, "b 3 t t"],
    visibility: Float[Tensor, "b t t"],
    normals_light: Float[Tensor, "b 3 n n"],
    size: int,
) -> tuple[Float[Tensor, "b 1 s s"], Float[Tensor, "b 3 s s"], Float[Tensor, "b 3 s s"]]:
    """Averages an unwrapped photo down to the size at which colours are fitted.

    Returns:
        How well each coarse texel is seen, the mean colour of what is seen in it, its unit normal.
    """

    def averaged(maps: Float[Tensor, "b c u u"]) -> Float[Tensor, "b c v v"]:
        return functional.interpolate(maps, size=(size, size), mode="area")

    seen = averaged(visibility[:, None])
    image = averaged(texture * visibility[:, None]) / seen.clamp_min(1e-3)
    return seen, image, functional.normalize(averaged(normals_light), dim=1)


@dataclass(frozen=True, eq=False)
class _Texels:
    """The texels that are fitted, in rows, and what is known of them."""

    image: Float[Tensor, "b n 3"]
    weight: Float[Tensor, "b n"]
    transport: Float[Tensor, "b n L"]
    mean: Float[Tensor, "n 3"]
    rows: Float[Tensor, "n 3 A"]

    @property
    def level(self) -> Float[Tensor, "b n"]:
        """What a texel's error is relative to: half its own brightness, half the picture's."""
        brightness = self.image.mean(dim=-1)
        total = self.weight.sum(dim=-1, keepdim=True).clamp(min=1e-6)
        mean = (brightness * self.weight).sum(dim=-1, keepdim=True) / total
        return 0.5 * brightness + 0.5 * mean + 0.02


@dataclass(frozen=True, eq=False)
class _LedToTone:
    """The tone that the skin of a face should have, and what the basis has."""

    wanted: Float[Tensor, "b 3"]
    mean: Float[Tensor, " 3"]
    rows: Float[Tensor, "A 3"]

    def equations(self, sigma: float) -> tuple[Float[Tensor, "b 3 A"], Float[Tensor, "b 3"]]:
        """Rows and right sides of the coefficients that have the tone, weighted by a relative error."""
        weight = 1.0 / (self.wanted * sigma)
        return self.rows.T * weight[..., None], (self.wanted - self.mean) * weight

    def coefficients(self, sigma: float) -> Float[Tensor, "b A"]:
        """The most probable coefficients of a face of which nothing but the tone is known."""
        rows, right = self.equations(sigma)
        precision = rows.transpose(1, 2) @ rows + torch.eye(rows.shape[-1]).to(rows)
        return torch.linalg.solve(precision, (right[:, None] @ rows)[:, 0][..., None])[..., 0]


def fit_appearance(
    basis: LinearAlbedo,
    texture: Float[Tensor, "b 3 t t"],
    visibility: Float[Tensor, "b t t"],
    normals_light: Float[Tensor, "b 3 t t"],
    lamps: LampView,
    tone: Float[Tensor, "b 3"],
    *,
    config: AppearanceConfig | None = None,
) -> Appearance:
    """Fit albedo coefficients and lamps to an unwrapped photo, in turns; what neither explains is set aside.

    Args:
        basis: The albedo of the face model.
        texture: The unwrapped photo, linear.
        visibility: How well each texel is seen, [0, 1].
        normals_light: Unit normals of the texels, light frame.
        lamps: What the texels see of the lamps, at the basis' size.
        tone: Log of the linear albedo that the middle of the skin has.
        config: Weights.
    """
    config = config or AppearanceConfig()
    texels = _gather(basis, texture, visibility, normals_light, lamps, config.max_texels)
    led = _LedToTone(torch.exp(tone), *tone_of_basis(basis))
    of_tone = led.coefficients(config.tone_sigma)
    coeffs = of_tone
    trust, level = torch.ones_like(texels.weight), texels.level
    strengths: Tensor | None = None
    not_over = torch.ones_like(texels.image)
    for turn in range(config.num_rounds):
        albedo, gain = _toned(texels, coeffs, led)
        weight = (texels.weight * trust * (albedo.mean(dim=-1) / level).square())[..., None] * not_over
        strengths = fit_lamps(texels.transport, texels.image / albedo, weight, strengths, config.lamps)
        shading = texels.transport @ strengths
        trust, not_over = _trust(texels, shading * albedo, level, config)
        if turn < config.num_rounds - 1:
            precision = (texels.weight * trust / level.square())[..., None] * not_over
            coeffs = _fit_coefficients(texels, shading * gain[:, None], precision, led, of_tone, config)
    assert strengths is not None
    return Appearance(coeffs, gain, strengths)


def refit_lamps(
    basis: LinearAlbedo,
    albedo: Float[Tensor, "b 3 a a"],
    texture: Float[Tensor, "b 3 t t"],
    visibility: Float[Tensor, "b t t"],
    normals_light: Float[Tensor, "b 3 t t"],
    lamps: LampView,
    start: Float[Tensor, "b L 3"],
    config: AppearanceConfig | None = None,
) -> Float[Tensor, "b L 3"]:
    """The lamps that explain the photo best once the albedo is refined.

    Args:
        basis: Says which texels count.
        albedo: Refined albedo, linear.
        texture: The unwrapped photo, linear.
        visibility: How well each texel is seen, [0, 1].
        normals_light: Unit normals of the texels, light frame.
        lamps: What the texels see of the lamps, at the basis' size.
        start: Strengths before.
        config: Weights.
    """
    config = config or AppearanceConfig()
    texels = _gather(basis, texture, visibility, normals_light, lamps, basis.size**2)
    small = functional.interpolate(albedo, size=(basis.size, basis.size), mode="area")
    reflected = small.flatten(2)[..., basis.mask.flatten() > 0].transpose(1, 2).clamp(min=0.01)
    level, strengths = texels.level, start
    weight = (texels.weight * (reflected.mean(dim=-1) / level).square())[..., None]
    factor = torch.ones_like(texels.image)
    for _ in range(_REFIT_ROUNDS):
        shading = texels.image / reflected
        strengths = fit_lamps(texels.transport, shading, weight * factor, strengths, config.lamps)
        trust, not_over = _trust(texels, texels.transport @ strengths * reflected, level, config)
        factor = trust[..., None] * not_over
    return strengths


def tone_of_basis(basis: LinearAlbedo) -> tuple[Float[Tensor, " 3"], Float[Tensor, "A 3"]]:
    """Mean colour of the skin of a basis, linear, and its change per coefficient."""
    return basis.mean[:, basis.tone_mask].mean(dim=-1), basis.rows[:, :, basis.tone_mask].mean(dim=-1)


def _gather(
    basis: LinearAlbedo,
    texture: Float[Tensor, "b 3 t t"],
    visibility: Float[Tensor, "b t t"],
    normals_light: Float[Tensor, "b 3 t t"],
    lamps: LampView,
    max_texels: int,
) -> _Texels:
    chosen = basis.mask.flatten().nonzero()[:, 0]
    chosen = chosen[:: max(1, len(chosen) // max_texels)]
    seen, image, normals = average_down(texture, visibility, normals_light, basis.size)
    observed, facing = (maps.flatten(2)[..., chosen].transpose(1, 2) for maps in (image, normals))
    return _Texels(
        image=observed,
        weight=seen.flatten(1)[:, chosen],
        transport=lamp_transport(lamps.directions, lamps.seen.flatten(1)[:, chosen], facing),
        mean=basis.mean.flatten(1)[:, chosen].T,
        rows=basis.rows.flatten(2)[..., chosen].permute(2, 1, 0),
    )


def _toned(
    texels: _Texels,
    coeffs: Float[Tensor, "b A"],
    led: _LedToTone,
) -> tuple[Float[Tensor, "b n 3"], Float[Tensor, "b 3"]]:
    """Albedo of the texels in the tone of the skin, and the factor that led there."""
    gain = led.wanted / (led.mean + coeffs @ led.rows).clamp(min=0.01)
    albedo = (texels.mean + torch.einsum("nca,ba->bnc", texels.rows, coeffs)).clamp(min=0.01)
    return (albedo * gain[:, None]).clamp(min=0.003, max=1.0), gain


def _trust(
    texels: _Texels, model: Float[Tensor, "b n 3"], level: Float[Tensor, "b n"], config: AppearanceConfig
) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n 3"]]:
    """Cauchy weight of the brightness error, and 0 for a clipped colour that the model exceeds."""
    relative = (model - texels.image).mean(dim=-1) / level
    counted = torch.where(texels.weight > 0.05, relative.abs(), torch.nan)
    middle = torch.nan_to_num(counted.nanmedian(dim=-1, keepdim=True).values)
    spread = (1.4826 * middle).clamp(min=config.noise / 2)
    not_over = 1.0 - ((texels.image > config.clipped) & (model > texels.image)).to(model)
    return 1.0 / (1.0 + (relative / (config.robust_scale * spread)).square()), not_over


def _fit_coefficients(
    texels: _Texels,
    shading: Float[Tensor, "b n 3"],
    precision: Float[Tensor, "b n 3"],
    led: _LedToTone,
    of_tone: Float[Tensor, "b A"],
    config: AppearanceConfig,
) -> Float[Tensor, "b A"]:
    """The most probable coefficients under a known shading: ridge regression."""
    total = texels.weight.sum(dim=-1).clamp(min=1e-6)[:, None, None]
    scale = (config.num_effective * precision / total).sqrt() / config.noise
    jacobian = (texels.rows * (shading * scale)[..., None]).flatten(1, 2)
    error = ((texels.image - shading * texels.mean) * scale).flatten(1)
    tone_rows, tone_right = led.equations(config.tone_sigma)
    rows = torch.cat([jacobian, tone_rows], dim=1)
    target = torch.cat([error, tone_right], dim=1) - (rows @ of_tone[..., None])[..., 0]
    ridge = torch.eye(rows.shape[-1]).to(rows) / config.coefficient_sigma**2
    right = (target[:, None] @ rows)[:, 0]
    return of_tone + torch.linalg.solve(rows.transpose(1, 2) @ rows + ridge, right[..., None])[..., 0]
