"""Corrections of the light after refinement: the lit albedo agrees with the photo where it was seen."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from facelume.fitting.appearance import LinearAlbedo, average_down
from facelume.illumination import fit_sh_radiance
from facelume.types import MOUTH_PARTS, is_part
from facelume.uv import masked_low_pass

CLIPPED = 0.95
"""Linear value from which a colour, averaged over a texel of the light map, only says "at least this"."""

DARK_OFFSET = 0.01
LARGEST_LOG_GAIN = 1.0
FEWEST_MOUTH_PIXELS = 12
MOUTH_GAINS = (0.15, 0.6, 1.2)
"""Least, usual and largest share of the coarse light that gets into a mouth."""


def settle_light(
    light: Float[Tensor, "b 27 m m"],
    lit_albedo: Float[Tensor, "b 3 m m"],
    texture: Float[Tensor, "b 3 s s"],
    visibility: Float[Tensor, "b s s"],
    *,
    box_px: int = 5,
    colour_share: float = 0.5,
) -> Float[Tensor, "b 27 m m"]:
    """Scale the light of each texel by the low-passed ratio of the photo to the rendering.

    A cast shadow or a bright cheek that the network's light left out is light, not albedo: the albedo is not
    touched, and the correction is a box mean, so that fine detail cannot enter the light. Unseen texels keep
    their light.

    Args:
        light: SH radiance per texel, channel ``3 k + rgb``.
        lit_albedo: Albedo times shading under ``light``, linear.
        texture: The unwrapped photo, linear.
        visibility: Of the texture, in [0, 1].
        box_px: Side of the box at 256 texels, odd.
        colour_share: How much of the ratio's colour is followed; 0 corrects the brightness alone.

    Returns:
        The corrected light; no texel changes by more than a factor of e.
    """
    size = light.shape[-1]
    seen = functional.interpolate(texture, size=(size, size), mode="area")
    weight = functional.interpolate(visibility[:, None], size=(size, size), mode="area")
    ratio = torch.log(seen.clamp(min=0) + DARK_OFFSET) - torch.log(lit_albedo.clamp(min=0) + DARK_OFFSET)
    # A clipped colour says "at least this": light that the model has beyond it is not taken away.
    ratio = torch.where((seen > CLIPPED) & (ratio < 0), 0.0, ratio)
    brightness = ratio.mean(dim=1, keepdim=True)
    ratio = brightness + colour_share * (ratio - brightness)
    smooth = masked_low_pass(ratio, weight, box_px)
    trust = masked_low_pass(weight, torch.ones_like(weight), box_px).clamp(0, 1)
    gain = torch.exp((smooth * trust).clamp(-LARGEST_LOG_GAIN, LARGEST_LOG_GAIN))
    return (light.unflatten(1, (9, 3)) * gain[:, None]).flatten(1, 2)


def refit_light(
    basis: LinearAlbedo,
    albedo: Float[Tensor, "b 3 a a"],
    texture: Float[Tensor, "b 3 t t"],
    visibility: Float[Tensor, "b t t"],
    normals_light: Float[Tensor, "b 3 n n"],
    light: Float[Tensor, "b 9 3"],
    ridge: float = 0.01,
) -> Float[Tensor, "b 9 3"]:
    """The order-2 light that explains the photo best once the albedo is refined.

    Args:
        basis: Says which texels count.
        albedo: Refined albedo, linear.
        texture: The unwrapped photo, linear.
        visibility: How well each texel is seen, [0, 1].
        normals_light: Unit normals of the texels, light frame.
        light: The light before; directions that the face does not show stay near it.
        ridge: Pull to ``light``, see :func:`facelume.illumination.fit_sh_radiance`.
    """
    seen, image, normals = average_down(texture, visibility, normals_light, basis.size)
    small = functional.interpolate(albedo, size=(basis.size, basis.size), mode="area")
    reflected, observed, facing = (maps.flatten(2).transpose(1, 2) for maps in (small, image, normals))
    weights = (seen[:, 0] * basis.mask).flatten(1)
    return fit_sh_radiance(reflected, observed, facing, weights, prior=light, ridge=ridge)


def inner_mouth_gain(
    rendering: Float[Tensor, "3 H W"], photo_linear: Float[Tensor, "3 H W"], mask: Bool[Tensor, "H W"]
) -> float:
    """How much of the coarse light reaches teeth and tongue: the median ratio of the photo to the rendering.

    Args:
        rendering: The face under its coarse light, linear.
        photo_linear: The crop, linear.
        mask: Pixels that show the inner mouth.

    Returns:
        A factor between the bounds of ``MOUTH_GAINS``; its middle value where too little is seen.
    """
    least, usual, largest = MOUTH_GAINS
    if int(mask.sum()) < FEWEST_MOUTH_PIXELS:
        return usual
    ratio = photo_linear[:, mask].mean(dim=0) / rendering[:, mask].mean(dim=0).clamp(min=DARK_OFFSET)
    return float(ratio.median().clamp(least, largest))


def light_inner_mouth(
    light: Float[Tensor, "b 27 m m"],
    coarse_light: Float[Tensor, "b 9 3"],
    part: Int[Tensor, "s s"],
    gain: float,
) -> Float[Tensor, "b 27 m m"]:
    """Give the texels of teeth, tongue and inner mouth, which no network sees, a share of the coarse light.

    Args:
        light: SH radiance per texel, channel ``3 k + rgb``.
        coarse_light: SH radiance of the whole face.
        part: :class:`~facelume.types.FacePart` of each texel; its size is a multiple of the light map's.
        gain: See :func:`inner_mouth_gain`.
    """
    step = part.shape[-1] // light.shape[-1]
    is_mouth = is_part(part, MOUTH_PARTS)[step // 2 :: step, step // 2 :: step]
    return torch.where(is_mouth, gain * coarse_light.flatten(1)[..., None, None], light)
