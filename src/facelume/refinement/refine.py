"""From the unwrapped photo to albedo and light: the refinement network, what comes before and after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from facelume.fitting.tone_cues import CLIPPED
from facelume.illumination import irradiance_map
from facelume.networks.refiner import RefinerConfig, decode_albedo, decode_light
from facelume.reflectance import shading_from_irradiance, srgb_from_linear
from facelume.uv import fill_with_noise, pull_push, resize_map, transfer_detail

CANONICAL_EXPOSURE = 0.75
"""Shading of the skin, every colour alike, that the network sees all faces under."""

_NOISE_SEED = 20
# Below this share of the face's mean shading, detail is trusted less and less.
_DIM_SHARE = 0.35


@dataclass(frozen=True)
class RefinerInput:
    """What is known of a face before refinement, in the atlas.

    Attributes:
        texture: The unwrapped photo, linear; read only where seen.
        visibility: How well the photo shows each texel, in [0, 1].
        normals_light: Unit normals in the light frame, 0 beyond the charts.
        prior_albedo: Albedo of the face model, linear, [0, 1].
        coarse_light: SH radiance in the light frame, one per face, as if nothing were in shadow.
        coarse_map: Radiance coefficients per texel of what the coarse light's shadows leave, channel
            ``3 k + rgb``, light frame.
        exposure: Colour of the light on the skin: what the photo shows over the skin's albedo. The network
            sees the photo as if it were ``CANONICAL_EXPOSURE``, and so never how it was exposed.
    """

    texture: Float[Tensor, "b 3 s s"]
    visibility: Float[Tensor, "b s s"]
    normals_light: Float[Tensor, "b 3 n n"]
    prior_albedo: Float[Tensor, "b 3 p p"]
    coarse_light: Float[Tensor, "b 9 3"]
    coarse_map: Float[Tensor, "b 27 l l"]
    exposure: Float[Tensor, "b 3"]


@dataclass(frozen=True)
class RefinerOutput:
    """What refinement says about a face.

    Attributes:
        albedo: Light-free albedo, linear, (0, 1), at the size of the texture (of the network without gate).
        light: SH radiance per texel, channel ``3 k + rgb``, light frame, at the size of the network's maps.
        gate: How much of the photo's fine detail was taken over, [0, 1], at the size of the network's maps.
        confidence: Probability that the albedo error is below 0.05 (linear), at the size of the network's
            maps.
        albedo_low: The network's own albedo, before detail was transferred.
        confidence_logit: Logit of ``confidence``.
        shading: Irradiance / pi of ``light`` at the texels' normals, linear.
    """

    albedo: Float[Tensor, "b 3 s s"]
    light: Float[Tensor, "b 27 m m"]
    gate: Float[Tensor, "b 1 m m"]
    confidence: Float[Tensor, "b 1 m m"]
    albedo_low: Float[Tensor, "b 3 m m"]
    confidence_logit: Float[Tensor, "b 1 m m"]
    shading: Float[Tensor, "b 3 m m"]


def resize_input(maps: RefinerInput, size: int) -> RefinerInput:
    """The same maps at ``size`` texels a side, as the network sees them."""
    return RefinerInput(
        texture=resize_map(maps.texture, size),
        visibility=resize_map(maps.visibility[:, None], size)[:, 0],
        normals_light=resize_map(maps.normals_light, size),
        prior_albedo=resize_map(maps.prior_albedo, size),
        coarse_light=maps.coarse_light,
        coarse_map=maps.coarse_map,
        exposure=maps.exposure,
    )


def network_input(
    maps: RefinerInput, config: RefinerConfig, generator: torch.Generator | None = None
) -> tuple[Float[Tensor, "b c m m"], Float[Tensor, "b 3 m m"]]:
    """Assemble the network's input and the prior albedo at the network's size.

    sRGB-encoded texture with N(0, 1) noise where it is unseen, and sRGB-encoded prior, both in [-1, 1]; with
    ``with_context`` also the visibility and the log of the coarse shading, with ``with_geometry`` the normals
    and what is clipped. Unless the head is the paper's, texture and shading are those of
    ``CANONICAL_EXPOSURE``.
    """
    small = resize_input(maps, config.map_size)
    balance = _balance(small, config)
    texture = 2.0 * srgb_from_linear(small.texture * balance) - 1.0
    prior = 2.0 * srgb_from_linear(small.prior_albedo) - 1.0
    parts = [fill_with_noise(texture, small.visibility, generator), prior]
    if config.with_context:
        shading = balance * map_shading(resize_map(small.coarse_map, config.map_size), small.normals_light)
        parts += [2.0 * small.visibility[:, None] - 1.0, torch.log(shading.clamp(0.05, 20.0))]
    if config.with_geometry:
        is_clipped = (small.texture.amax(dim=1, keepdim=True) > CLIPPED).to(texture)
        parts += [small.normals_light, is_clipped * small.visibility[:, None]]
    return torch.cat(parts, dim=1), small.prior_albedo


def refine(refiner: nn.Module, maps: RefinerInput, generator: torch.Generator | None = None) -> RefinerOutput:
    """Refine albedo and light of unwrapped faces; differentiable in the network.

    Args:
        refiner: A :class:`~facelume.networks.refiner.Refiner`, or what wraps it for training. Run it under
            ``torch.autocast`` to compute its convolutions in bfloat16.
        maps: The face, at any texture size; the result's albedo has that size.
        generator: Source of the noise in unseen texels; a fixed one where not given, so that results repeat.
    """
    if generator is None:
        generator = torch.Generator().manual_seed(_NOISE_SEED)
    config = cast(RefinerConfig, refiner.config)
    inputs, prior = network_input(maps, config, generator)
    raw_albedo, raw_light = refiner(inputs)
    raw_albedo, raw_light = raw_albedo.float(), raw_light.float()
    albedo_low = decode_albedo(raw_albedo, prior, config)
    if config.head == "residual":
        # The photo says nothing about the light on unseen texels: continue it smoothly from the seen ones.
        raw_light = pull_push(raw_light, resize_map(maps.visibility[:, None], raw_light.shape[-1]))
    light = decode_light(raw_light, resize_map(maps.coarse_map, raw_light.shape[-1]), config)
    light = resize_map(light, config.map_size)
    shading = map_shading(light, maps.normals_light)
    if not config.with_gate:
        unknown = torch.zeros_like(raw_albedo[:, :1])
        albedo = resize_map(albedo_low, maps.texture.shape[-1])
        return RefinerOutput(albedo, light, unknown, unknown + 0.5, albedo_low, unknown, shading)
    # What counts as dark must not depend on the exposure either.
    balance = _balance(maps, config)
    balanced = shading * balance
    gate = config.least_gate + (1.0 - config.least_gate) * torch.sigmoid(raw_albedo[:, 3:4])
    gate = gate * _light_enough(balanced, maps.visibility)
    confidence_logit = raw_albedo[:, 4:5]
    albedo = transfer_detail(maps.texture * balance, balanced, maps.visibility, albedo_low, gate)
    confidence = torch.sigmoid(confidence_logit)
    return RefinerOutput(albedo, light, gate, confidence, albedo_low, confidence_logit, shading)


def _balance(maps: RefinerInput, config: RefinerConfig) -> Float[Tensor, "b 3 1 1"]:
    """Factor on photo and shading that gives the skin its canonical exposure; the paper knows none."""
    if config.head == "absolute":
        return torch.ones_like(maps.exposure)[..., None, None]
    return (CANONICAL_EXPOSURE / maps.exposure)[..., None, None]


def _light_enough(
    shading: Float[Tensor, "b 3 m m"], visibility: Float[Tensor, "b s s"]
) -> Float[Tensor, "b 1 m m"]:
    """Trust in the photo's detail, falling to 0 with the light: dividing by little light magnifies noise."""
    level = shading.mean(dim=1, keepdim=True)
    weight = resize_map(visibility[:, None], level.shape[-1])
    usual = (level * weight).sum(dim=(-1, -2), keepdim=True) / weight.sum(
        dim=(-1, -2), keepdim=True
    ).clamp_min(1e-6)
    return (level / (_DIM_SHARE * usual).clamp_min(1e-6)).clamp(0.0, 1.0)


def map_shading(
    light: Float[Tensor, "b 27 m m"], normals_light: Float[Tensor, "b 3 n n"]
) -> Float[Tensor, "b 3 m m"]:
    """Irradiance / pi of a light map at the texels' normals, linear, at the size of the light map."""
    normals = resize_map(normals_light, light.shape[-1])
    return shading_from_irradiance(irradiance_map(light, normals))
