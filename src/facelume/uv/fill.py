"""Filling what the photo does not show: first from the other side of the face, then from the prior."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

DARK_OFFSET = 0.02


def fill_hidden(
    texture: Float[Tensor, "b C S S"],
    visibility: Float[Tensor, "b S S"],
    prior: Float[Tensor, "b C S S"],
) -> Float[Tensor, "b C S S"]:
    """Complete a texture (best: an albedo) without a seam, differentiably.

    Works on the log ratio texture / prior. Hidden texels take the ratio of the mirrored texel, shifted
    smoothly so that both sides agree where both are seen; texels hidden on both sides continue the ratio's
    low frequencies (pull-push). So with nothing seen the result is the prior, with everything seen the
    texture.

    Args:
        texture: Linear, non-negative; read only where seen.
        visibility: In [0, 1]; 1 keeps the texture, between is blended.
        prior: A complete, linear, positive map of the same kind.
    """
    log_prior = torch.log(prior.clamp(min=0) + DARK_OFFSET)
    log_ratio = torch.log(texture.clamp(min=0) + DARK_OFFSET) - log_prior
    filled, _ = complete_field(log_ratio, visibility[:, None])
    completed = torch.exp(log_prior + filled) - DARK_OFFSET
    keep = visibility[:, None]
    return keep * texture + (1 - keep) * completed.clamp(min=0)


def complete_field(
    field: Float[Tensor, "b C S S"], weight: Float[Tensor, "b 1 S S"]
) -> tuple[Float[Tensor, "b C S S"], Float[Tensor, "b 1 S S"]]:
    """Extend a field that is known where ``weight`` is high to the whole atlas, by mirror and then smoothly.

    Args:
        field: Any values; read only where known. The atlas is its own mirror image in u.
        weight: How well the field is known, in [0, 1].

    Returns:
        The field (unchanged where the weight is 1), and how well it is known now: own weight or the mirrored
        side's.
    """
    field = torch.where(weight > 0, field, 0.0)
    mirrored, mirrored_weight = field.flip(-1), weight.flip(-1)
    shift = pull_push(field - mirrored, weight * mirrored_weight)
    borrowed = (1 - weight) * mirrored_weight
    known = weight + borrowed
    mean = (weight * field + borrowed * (mirrored + shift)) / known.clamp(min=1e-6)
    return known * mean + (1 - known) * pull_push(mean, known), known


def pull_push(field: Float[Tensor, "b C h w"], weight: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b C h w"]:
    """Smooth continuation of a field from where its weight is high; 0 everywhere if it is known nowhere.

    Weighted means of 2 x 2 texels down to one texel, then back up, filling what each level lacks (Gortler et
    al. 1996, "The Lumigraph", section 3.6).

    Args:
        field: Values; their product with the weight must be finite.
        weight: In [0, 1].
    """
    height, width = field.shape[-2:]
    if max(height, width) == 1:
        return torch.where(weight > 0, field, 0.0)
    coarse_weight = functional.avg_pool2d(weight, 2, ceil_mode=True, count_include_pad=False)
    coarse_sum = functional.avg_pool2d(field * weight, 2, ceil_mode=True, count_include_pad=False)
    coarse = coarse_sum / torch.where(coarse_weight > 1e-8, coarse_weight, 1.0)
    below = pull_push(coarse, (coarse_weight * 4).clamp(max=1))
    spread = functional.interpolate(below, size=(height, width), mode="bilinear", align_corners=False)
    # Without this, the 2 x 2 blocks of the coarse levels show as squares.
    spread = functional.avg_pool2d(spread, 3, stride=1, padding=1, count_include_pad=False)
    return weight * field + (1 - weight) * spread
