"""Losses beyond the paper: supervised terms for synthetic faces, and what keeps the light a light."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from facelume.losses.masked import mean_over_mask

_DARK_ALBEDO = 0.02


def albedo_truth(
    albedo_srgb: Float[Tensor, "b 3 h w"],
    true_albedo_srgb: Float[Tensor, "b 3 h w"],
    mask: Float[Tensor, "b 1 h w"],
) -> Float[Tensor, ""]:
    """Mean over the mask of ``|A' - truth|``."""
    return mean_over_mask((albedo_srgb - true_albedo_srgb).abs(), mask)


def albedo_shape(
    albedo_srgb: Float[Tensor, "b 3 h w"],
    true_albedo_srgb: Float[Tensor, "b 3 h w"],
    mask: Float[Tensor, "b 1 h w"],
) -> Float[Tensor, ""]:
    """Like :func:`albedo_truth` after the mean difference of each face and channel is taken out.

    A single photo does not tell a dark skin in bright light from a light skin in dim light; this term judges
    everything but that one number per channel.
    """
    difference = albedo_srgb - true_albedo_srgb
    total = mask.sum(dim=(-1, -2), keepdim=True).clamp_min(1e-6)
    offset = (difference * mask).sum(dim=(-1, -2), keepdim=True) / total
    return mean_over_mask((difference - offset).abs(), mask)


def detail(
    picture_srgb: Float[Tensor, "b 3 h w"],
    true_picture_srgb: Float[Tensor, "b 3 h w"],
    mask: Float[Tensor, "b 1 h w"],
    distances: tuple[int, ...] = (1, 3),
) -> Float[Tensor, ""]:
    """Mean of ``|grad P - grad truth|``, over texels that are so far apart, where both are in the mask.

    What a brow, a wrinkle or a freckle is worth: in the mean error of an albedo they hardly count. The edge
    of a shadow costs as much as the detail that is lost when edges are refused.

    Args:
        picture_srgb: Albedo or rendering, sRGB-encoded.
        true_picture_srgb: Likewise.
        mask: How much each texel counts, [0, 1].
        distances: Texels from one to the other.
    """
    difference = picture_srgb - true_picture_srgb
    total = picture_srgb.new_zeros(())
    for distance in distances:
        for axis in (-1, -2):
            length = difference.shape[axis] - distance
            far, near = (difference.narrow(axis, start, length) for start in (distance, 0))
            pair = mask.narrow(axis, distance, length) * mask.narrow(axis, 0, length)
            total = total + mean_over_mask((far - near).abs(), pair)
    return total / (2 * len(distances))


def same_albedo(
    albedo_linear: Float[Tensor, "b 3 h w"],
    person: Int[Tensor, " b"],
    mask: Float[Tensor, "b 1 h w"],
    pool: int = 4,
) -> Float[Tensor, ""]:
    """Mean absolute difference of the log albedo between pictures of one person, after one factor per colour.

    One person's albedo is one, whatever the light: what differs is a shadow, a highlight or a stain. It needs
    no truth. Expressions and make-up are no light either, so that only what is coarser than ``pool`` texels
    counts; where there is no pair, it is 0.

    Args:
        albedo_linear: Albedo, linear.
        person: Faces of one person have one number.
        mask: How much each texel counts, [0, 1].
        pool: Side of the blocks that are compared, texels.
    """
    first, second = torch.triu_indices(len(person), len(person), offset=1, device=person.device)
    is_pair = person[first] == person[second]
    first, second = first[is_pair], second[is_pair]
    if len(first) == 0:
        return albedo_linear.sum() * 0.0
    logs = torch.log(functional.avg_pool2d(albedo_linear, pool) + _DARK_ALBEDO)
    small = functional.avg_pool2d(mask, pool)
    shared = small[first] * small[second]
    difference = logs[first] - logs[second]
    total = shared.sum(dim=(-1, -2), keepdim=True).clamp_min(1e-6)
    offset = (difference * shared).sum(dim=(-1, -2), keepdim=True) / total
    return mean_over_mask((difference - offset).abs(), shared)


def light_smoothness(
    light: Float[Tensor, "b 27 h w"],
    coarse_light: Float[Tensor, "b 9 3"],
    uv_mask: Float[Tensor, "#b 1 h w"],
) -> Float[Tensor, ""]:
    """Mean absolute step of a light between neighbouring texels, relative to the coarse light's mean.

    Args:
        light: A light per texel, or what it differs from a coarse one by: shadows that the coarse light casts
            are steps that nobody minds.
        coarse_light: The light of the whole face.
        uv_mask: M_uv.
    """
    scale = coarse_light[:, 0].mean(dim=-1).abs().clamp_min(1e-3)[:, None, None, None]
    relative = light / scale
    mask = uv_mask.expand(light.shape[0], -1, -1, -1)
    total = light.new_zeros(())
    for axis in (-1, -2):
        length = mask.shape[axis] - 1
        pair = mask.narrow(axis, 0, length) * mask.narrow(axis, 1, length)
        total = total + mean_over_mask(relative.diff(dim=axis).abs(), pair)
    return total


def light_hue(
    irradiance: Float[Tensor, "b 3 h w"],
    coarse_irradiance: Float[Tensor, "b 3 h w"],
    uv_mask: Float[Tensor, "#b 1 h w"],
) -> Float[Tensor, ""]:
    """Mean squared difference of log chromaticity between detailed and coarse irradiance.

    Keeps the colour of lips, brows and beard out of the light: a shadow may be darker, it may not be redder.
    """
    ratio = torch.log(irradiance.clamp_min(0.02) / coarse_irradiance.clamp_min(0.02))
    return mean_over_mask((ratio - ratio.mean(dim=1, keepdim=True)).square(), uv_mask)


def confidence_bce(
    confidence_logit: Float[Tensor, "b 1 h w"],
    albedo_error: Float[Tensor, "b 1 h w"],
    mask: Float[Tensor, "b 1 h w"],
    tolerance: float = 0.05,
) -> Float[Tensor, ""]:
    """Binary cross-entropy of the confidence against "the linear albedo error is below ``tolerance``"."""
    is_right = (albedo_error < tolerance).to(confidence_logit.dtype)
    loss = functional.binary_cross_entropy_with_logits(confidence_logit, is_right, reduction="none")
    return mean_over_mask(loss, mask)
