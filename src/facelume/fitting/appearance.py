"""Albedo coefficients and coarse light of an unwrapped photo."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from facelume.fitting.photometric import PhotometricConfig, fit_light_and_albedo


@runtime_checkable
class AlbedoModel(Protocol):
    """The part of a face model that this fit needs; a protocol, so that fits know no face model."""

    def uv_mask(self, name: str, size: int = 256) -> Float[Tensor, "size size"]:
        """Region mask of the atlas."""

    @property
    def num_albedo(self) -> int:
        """Number of albedo coefficients."""

    def albedo_map(
        self, coeffs: Float[Tensor, "*batch A"], size: int = 256
    ) -> Float[Tensor, "*batch 3 size size"]:
        """Linear albedo in the atlas."""


@dataclass(frozen=True)
class LinearAlbedo:
    """First-order albedo of a face model at a small atlas size.

    Attributes:
        mean: Albedo at zero coefficients, linear.
        rows: Change per unit of each coefficient.
        mask: Texels that count: the skin of the face, without eyes and inner mouth.
    """

    mean: Float[Tensor, "3 s s"]
    rows: Float[Tensor, "A 3 s s"]
    mask: Float[Tensor, "s s"]

    @property
    def size(self) -> int:
        """Side of the maps in texels."""
        return self.mean.shape[-1]

    def albedo(self, coeffs: Float[Tensor, "b A"]) -> Float[Tensor, "b 3 s s"]:
        """Linear albedo of coefficients, to first order, kept above 0.01."""
        change = coeffs @ self.rows.flatten(1)
        return (self.mean + change.unflatten(-1, self.mean.shape)).clamp(0.01, 1.0)


def linear_albedo(
    model: AlbedoModel, mask: Float[Tensor, "m m"] | None = None, size: int = 64
) -> LinearAlbedo:
    """Read the first-order albedo off a face model by evaluating it at small coefficients.

    Args:
        model: The face model.
        mask: Texels that count, any size, on the device of the model; the face without its eyes where not
            given.
        size: Side of the maps that are fitted.
    """
    if mask is None:
        mask = model.uv_mask("face", 256) * (1.0 - model.uv_mask("eyes", 256))
    step = 0.25
    with torch.no_grad():
        mean = model.albedo_map(torch.zeros(1, model.num_albedo, device=mask.device), 4 * size)
        shifted = model.albedo_map(step * torch.eye(model.num_albedo, device=mask.device), 4 * size)
    rows = (functional.avg_pool2d(shifted, 4) - functional.avg_pool2d(mean, 4)) / step
    shrunk = functional.interpolate(mask[None, None], size=(size, size), mode="area")[0, 0]
    return LinearAlbedo(functional.avg_pool2d(mean, 4)[0], rows, (shrunk > 0.95).float())


@dataclass(frozen=True)
class AppearanceConfig:
    """Weights of the appearance fit.

    Attributes:
        photometric: Priors of the light and of the picture. Light is held closer to grey than for whole
            photographs of known tone: a skin the basis does not span must not end up as a coloured light.
        start_sigma: Expected error, in standard deviations, of the coefficients the fit starts from.
        max_texels: About how many texels are fitted.
    """

    photometric: PhotometricConfig = field(
        default_factory=lambda: PhotometricConfig(hue_sigma=0.15, exposure_hue_sigma=0.07, noise=0.2)
    )
    start_sigma: float = 0.7
    max_texels: int = 900


@dataclass(frozen=True, eq=False)
class Appearance:
    """Coefficients that explain an unwrapped photo.

    Attributes:
        albedo: Albedo coefficients in standard deviations.
        light: SH radiance in the light frame.
    """

    albedo: Float[Tensor, "b A"]
    light: Float[Tensor, "b 9 3"]


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


def fit_appearance(
    basis: LinearAlbedo,
    texture: Float[Tensor, "b 3 t t"],
    visibility: Float[Tensor, "b t t"],
    normals_light: Float[Tensor, "b 3 t t"],
    *,
    start: Appearance | None = None,
    config: AppearanceConfig | None = None,
) -> Appearance:
    """Fit albedo coefficients and light to an unwrapped photo.

    The most probable pair: overall brightness and hue, which one photo
    cannot divide between skin and light, are divided by what is usual. Shadows and highlights are set aside.

    Args:
        basis: See :func:`linear_albedo`.
        texture: The unwrapped photo, linear.
        visibility: How well each texel is seen, [0, 1].
        normals_light: Unit normals of the texels, light frame.
        start: A prior network's coefficients, the centre of their prior then; its light is not used.
        config: Weights.
    """
    config = config or AppearanceConfig()
    chosen = basis.mask.flatten().nonzero()[:, 0]
    chosen = chosen[:: max(1, len(chosen) // config.max_texels)]
    seen, image, normals = average_down(texture, visibility, normals_light, basis.size)
    rows = basis.rows.flatten(2)[..., chosen].permute(2, 1, 0)
    mean = basis.mean.flatten(1)[:, chosen].T
    batch, sigma = texture.shape[0], 1.0
    centre = texture.new_zeros(batch, rows.shape[-1])
    if start is not None:
        centre, sigma = start.albedo, config.start_sigma
    observed, facing = (maps.flatten(2)[..., chosen].transpose(1, 2) for maps in (image, normals))
    fit = fit_light_and_albedo(
        (mean + torch.einsum("nca,ba->bnc", rows, centre)).clamp(0.01, 1.0),
        (sigma * rows).expand(batch, -1, -1, -1),
        observed,
        facing,
        seen.flatten(1)[:, chosen],
        config=config.photometric,
    )
    return Appearance(centre + sigma * fit.albedo_coeffs, fit.sh_radiance)
