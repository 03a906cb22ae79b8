"""The eight losses of the refinement stage as pure functions, each a mean over its mask.

Names ending in ``_srgb`` want sRGB-encoded values in [0, 1]: the paper's weights and its smoothness
constant were chosen on encoded values. ``light`` is linear radiance per texel, channel ``3 k + rgb``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from facelume.losses.masked import mean_over_mask

SMOOTHNESS_ALPHA = 80.0


def illumination_regularisation(
    light: Float[Tensor, "b 27 h w"],
    coarse_map: Float[Tensor, "b 27 #h #w"],
    uv_mask: Float[Tensor, "#b 1 h w"],
) -> Float[Tensor, ""]:
    """Mean over M_uv of ``(L' - L)^2``; the paper's coarse light is the same at every texel (one texel)."""
    difference = light - coarse_map
    return mean_over_mask(difference.square(), uv_mask)


def symmetry(albedo_srgb: Float[Tensor, "b 3 h w"], uv_mask: Float[Tensor, "#b 1 h w"]) -> Float[Tensor, ""]:
    """Mean over M_uv of ``(A' - flip A')^2``; the atlas is exactly left-right symmetric."""
    return mean_over_mask((albedo_srgb - albedo_srgb.flip(-1)).square(), uv_mask)


def albedo_smoothness(
    albedo_srgb: Float[Tensor, "b 3 h w"],
    prior_albedo_srgb: Float[Tensor, "b 3 h w"],
    uv_mask: Float[Tensor, "#b 1 h w"],
    alpha: float = SMOOTHNESS_ALPHA,
) -> Float[Tensor, ""]:
    """Mean over M_uv of ``sum_j exp(-alpha |A_i - A_j|^2) |A'_i - A'_j|^2``.

    ``j`` runs over the four neighbours of texel ``i`` that lie in M_uv; the weight comes from the prior
    albedo, so that the borders of lips and brows are free to stay sharp. Every pair of neighbours counts
    twice.
    """
    mask = uv_mask.expand(albedo_srgb.shape[0], -1, -1, -1)
    total = albedo_srgb.new_zeros(())
    for axis in (-1, -2):
        prior_step = prior_albedo_srgb.diff(dim=axis).square().sum(dim=1, keepdim=True)
        step = albedo_srgb.diff(dim=axis).square().sum(dim=1, keepdim=True)
        length = mask.shape[axis] - 1
        pair = mask.narrow(axis, 0, length) * mask.narrow(axis, 1, length)
        total = total + 2.0 * (pair * torch.exp(-alpha * prior_step) * step).sum()
    return total / mask.sum().clamp_min(1e-6)


def prior_l1(
    albedo_srgb: Float[Tensor, "b 3 h w"],
    prior_albedo_srgb: Float[Tensor, "b 3 h w"],
    uv_mask: Float[Tensor, "#b 1 h w"],
) -> Float[Tensor, ""]:
    """Mean over M_uv of ``|A' - A|``; the paper uses it in the first epoch only."""
    return mean_over_mask((albedo_srgb - prior_albedo_srgb).abs(), uv_mask)


def discriminator_loss(
    real_logits: Float[Tensor, "b 1 p q"], fake_logits: Float[Tensor, "c 1 p q"]
) -> Float[Tensor, ""]:
    """Binary cross-entropy of the discriminator: real = prior albedo, fake = refined albedo (detached)."""
    return functional.softplus(-real_logits).mean() + functional.softplus(fake_logits).mean()


def adversarial(fake_logits: Float[Tensor, "b 1 p q"]) -> Float[Tensor, ""]:
    """Mean of ``-log D(A')``, the generator's side (the sign printed as eq. 12 would train fakes)."""
    return functional.softplus(-fake_logits).mean()


def image_gradient(
    rendered_srgb: Float[Tensor, "b 3 h w"],
    image_srgb: Float[Tensor, "b 3 h w"],
    face_mask: Float[Tensor, "b 1 h w"],
) -> Float[Tensor, ""]:
    """Mean of ``(grad R - grad I)^2``, horizontal plus vertical, where both pixels of a step are in the mask.

    ``rendered_srgb`` is the rendering under the **coarse** light, so that detail goes to the albedo.
    """
    difference = rendered_srgb - image_srgb
    total = rendered_srgb.new_zeros(())
    for axis in (-1, -2):
        length = face_mask.shape[axis] - 1
        pair = face_mask.narrow(axis, 0, length) * face_mask.narrow(axis, 1, length)
        total = total + mean_over_mask(difference.diff(dim=axis).square(), pair)
    return total


def image(
    rendered_srgb: Float[Tensor, "b 3 h w"],
    image_srgb: Float[Tensor, "b 3 h w"],
    face_mask: Float[Tensor, "b 1 h w"],
) -> Float[Tensor, ""]:
    """Mean over the mask of ``(R(A', L') - I)^2``."""
    return mean_over_mask((rendered_srgb - image_srgb).square(), face_mask)


def cross_perceptual(
    rendered_srgb: Float[Tensor, "b 3 h w"],
    image_srgb: Float[Tensor, "b 3 h w"],
    face_mask: Float[Tensor, "b 1 h w"],
    embed: Callable[[Float[Tensor, "b 3 h w"]], Float[Tensor, "b d"]],
) -> Float[Tensor, ""]:
    """Mean of ``1 - cos`` between a face rendered under another photo's light and its own photo.

    Args:
        rendered_srgb: The photo's own albedo, mesh and pose under another photo's detailed light.
        image_srgb: The photo itself, sRGB-encoded.
        face_mask: M_face of that photo; both pictures are masked with it.
        embed: Aligns the masked pictures to the recognition network's template and embeds them.
    """
    rendered = embed(rendered_srgb * face_mask)
    with torch.no_grad():
        target = embed(image_srgb * face_mask)
    return (1.0 - functional.cosine_similarity(rendered, target, dim=-1)).mean()
