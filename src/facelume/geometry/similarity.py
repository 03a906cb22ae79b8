"""Similarity alignment of corresponding points (Umeyama 1991)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from facelume.errors import UsageError


@dataclass(frozen=True)
class Similarity:
    """``target = scale * rotation @ source + translation``, in any dimension.

    Attributes:
        scale: Positive factor.
        rotation: Proper rotation (determinant +1).
        translation: Offset in units of the target.
    """

    scale: Float[Tensor, "*batch"]
    rotation: Float[Tensor, "*batch D D"]
    translation: Float[Tensor, "*batch D"]

    def apply(self, points: Float[Tensor, "*batch N D"]) -> Float[Tensor, "*batch N D"]:
        """Map points from the source frame to the target frame."""
        turned = points @ self.rotation.transpose(-1, -2)
        return self.scale[..., None, None] * turned + self.translation[..., None, :]

    @property
    def matrix(self) -> Float[Tensor, "*batch D E"]:
        """The affine matrix ``[scale * rotation | translation]`` (D, D + 1)."""
        return torch.cat((self.scale[..., None, None] * self.rotation, self.translation[..., None]), dim=-1)


def similarity_from_points(
    source: Float[Tensor, "*batch N D"],
    target: Float[Tensor, "*batch N D"],
    weights: Float[Tensor, "*batch N"] | None = None,
) -> Similarity:
    """Similarity that brings ``source`` onto ``target`` with the least weighted squared error.

    Args:
        source: Points in the source frame, at least D of them not all equal.
        target: The same points in the target frame.
        weights: Non-negative weight of each pair; None weighs all the same.

    Raises:
        UsageError: Fewer than two pairs, or the source points (with weight) coincide.

    Source: S. Umeyama, "Least-squares estimation of transformation parameters between two point
    patterns", PAMI 1991.
    """
    num_points, dimension = source.shape[-2:]
    if num_points < 2:
        raise UsageError(f"similarity_from_points needs at least 2 point pairs, got {num_points}; pass more")
    share = torch.ones_like(source[..., 0]) if weights is None else weights
    share = share / share.sum(dim=-1, keepdim=True)
    source_mean = (share[..., None] * source).sum(dim=-2)
    target_mean = (share[..., None] * target).sum(dim=-2)
    source_centred = source - source_mean[..., None, :]
    target_centred = target - target_mean[..., None, :]
    variance = (share[..., None] * source_centred**2).sum(dim=(-2, -1))
    if not bool((variance > 0).all()):
        raise UsageError(
            "similarity_from_points: the weighted source points coincide; pass points that differ in place"
        )
    covariance = (share[..., None] * target_centred).transpose(-1, -2) @ source_centred
    left, singular, right = torch.linalg.svd(covariance)
    # A reflection would fit mirrored points better: flip the weakest axis to stay a rotation.
    handedness = torch.linalg.det(left) * torch.linalg.det(right)
    signs = torch.ones_like(singular)
    signs = torch.cat((signs[..., : dimension - 1], torch.sign(handedness)[..., None]), dim=-1)
    rotation = (left * signs[..., None, :]) @ right
    scale = (singular * signs).sum(dim=-1) / variance
    translation = target_mean - scale[..., None] * (rotation @ source_mean[..., None]).squeeze(-1)
    return Similarity(scale=scale, rotation=rotation, translation=translation)
