"""The first-order albedo of a face model: what its photos' colours are fitted with."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from facelume.face_model import FaceModel
from facelume.fitting.appearance import LinearAlbedo
from facelume.fitting.tone_cues import bare_skin_above_lips

_MASK_SIZE = 256
_STEP = 0.25


def linear_albedo(model: FaceModel, size: int = 64) -> LinearAlbedo:
    """Read the first-order albedo off a face model by evaluating it at small coefficients.

    Args:
        model: The face model.
        size: Side of the maps that are fitted.
    """
    face, eyes, brows, lips = (model.uv_mask(n, _MASK_SIZE) for n in ("face", "eyes", "brows", "lips"))
    steps = _STEP * torch.eye(model.num_albedo, device=face.device)
    with torch.no_grad():
        mean, shifted = (
            functional.avg_pool2d(model.albedo_map(coeffs, 4 * size), 4)
            for coeffs in (torch.zeros_like(steps[:1]), steps)
        )
    return LinearAlbedo(
        mean=mean[0],
        rows=(shifted - mean) / _STEP,
        mask=_shrunk(face * (1.0 - eyes), size),
        tone_mask=_shrunk(bare_skin_above_lips(face, eyes, brows, lips).float(), size) > 0,
    )


def _shrunk(mask: Float[Tensor, "m m"], size: int) -> Float[Tensor, "s s"]:
    """1 where a coarse texel lies in the mask as a whole."""
    return (functional.interpolate(mask[None, None], size=(size, size), mode="area")[0, 0] > 0.95).float()
