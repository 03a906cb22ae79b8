"""The stage from a prepared face to its albedo and light: the network, then the corrections of the light."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from facelume.fitting.appearance import refit_lamps
from facelume.fitting.tone_cues import CUE_MAP_SIZE, ToneRegions
from facelume.illumination import light_map_from_lamps
from facelume.raster import render
from facelume.refinement.inputs import FaceInPhoto, InputBasis, PreparedInput
from facelume.refinement.light_map import (
    inner_mouth_gain,
    light_inner_mouth,
    refit_light,
    settle_light,
)
from facelume.refinement.usual_tone import refine_in_usual_tone
from facelume.reflectance import linear_from_srgb
from facelume.types import MOUTH_PARTS, is_part
from facelume.uv import resize_map

_BARE_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class RefinedFace:
    """Albedo and light of one face.

    Attributes:
        albedo: Light-free albedo, linear, (0, 1), at the size of the texture.
        light: SH radiance per texel, channel ``3 k + rgb``, light frame, at the size of the network's maps.
        coarse_light: SH radiance of the whole face, light frame, as if nothing were in shadow.
        coarse_map: The same per texel, from lamps that the head hides, channel ``3 k + rgb``.
        confidence: Probability that the albedo error is below 0.05 (linear), at the size of the network's
            maps.
    """

    albedo: Float[Tensor, "1 3 s s"]
    light: Float[Tensor, "1 27 m m"]
    coarse_light: Float[Tensor, "1 9 3"]
    coarse_map: Float[Tensor, "1 27 l l"]
    confidence: Float[Tensor, "1 1 m m"]


def refine_face(
    refiner: nn.Module, face: FaceInPhoto, prepared: PreparedInput, basis: InputBasis
) -> RefinedFace:
    """Refines albedo and light of one face and brings both lights into agreement with its photo.

    The light map is settled where the photo is seen, the light of the whole face is fitted again under the
    refined albedo, and the inner mouth, which no network sees, takes the share of it that the photo shows.

    Args:
        refiner: The network, on the device of the face.
        face: The face in its photo.
        prepared: The same face in the atlas.
        basis: Says which texels count for the tone and for the light of the whole face.
    """
    maps = prepared.maps
    refined = refine_in_usual_tone(refiner, maps, prepared.tone, basis.toned)
    gain = tone_gain(refined.albedo, prepared.tone.log_albedo, basis.tone_regions)
    albedo = (refined.albedo * gain[..., None, None]).clamp(0, 1)
    shading = refined.shading / gain[..., None, None]
    light = refined.light / gain.repeat(1, 9)[..., None, None]
    lit = resize_map(albedo, light.shape[-1]) * shading
    light = settle_light(light, lit, maps.texture, maps.visibility)
    coarse_light = refit_light(
        basis.albedo,
        albedo,
        maps.texture,
        maps.visibility,
        prepared.texels.normal_light,
        maps.coarse_light,
    )
    lamps = refit_lamps(
        basis.albedo,
        albedo,
        maps.texture,
        maps.visibility,
        prepared.texels.normal_light,
        prepared.lamps,
        prepared.appearance.lamps,
    )
    coarse_map = light_map_from_lamps(lamps, prepared.lamps, prepared.coarse_normals)
    is_mouth = is_part(face.buffers.part[0], MOUTH_PARTS) & (face.parsing[0] > _BARE_SHARE)
    crop_linear = linear_from_srgb(torch.from_numpy(face.crop_srgb)).to(light).permute(2, 0, 1)
    mouth_gain = inner_mouth_gain(render(face.buffers, albedo, coarse_light)[0], crop_linear, is_mouth)
    return RefinedFace(
        albedo=albedo,
        light=light_inner_mouth(light, coarse_light, prepared.texels.part, mouth_gain),
        coarse_light=coarse_light,
        coarse_map=light_inner_mouth(
            resize_map(coarse_map, light.shape[-1]), coarse_light, prepared.texels.part, mouth_gain
        ),
        confidence=refined.confidence,
    )


def tone_gain(
    albedo: Float[Tensor, "b 3 s s"], tone: Float[Tensor, "b 3"], regions: ToneRegions
) -> Float[Tensor, "b 3"]:
    """The factor per colour that gives the middle of an albedo's skin its tone.

    Args:
        albedo: Linear albedo.
        tone: Log of the colour that the middle of the skin has.
        regions: Where the skin is.
    """
    skin = resize_map(albedo, CUE_MAP_SIZE).flatten(2)[..., regions.skin]
    return torch.exp(tone) / skin.median(dim=-1).values.clamp(min=1e-3)
