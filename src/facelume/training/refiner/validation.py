"""Quick measures of a refiner on prepared validation faces, in the atlas."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from facelume.refinement.refine import refine
from facelume.reflectance import srgb_from_linear
from facelume.training.refiner.batches import to_batch
from facelume.training.refiner.losses import render_in_atlas
from facelume.training.refiner.prepared import PreparedFaces
from facelume.uv import resize_map


def measure(
    refiner: nn.Module,
    shards: Sequence[PreparedFaces],
    uv_mask: Float[Tensor, "1 1 s s"],
    batch_size: int = 8,
) -> dict[str, float]:
    """Fidelity of the renderings and scale-free albedo error of synthetic faces, over seen texels of M_uv.

    Args:
        refiner: The network, on the device of ``uv_mask``, without gradients.
        shards: Faces to measure on.
        uv_mask: M_uv at the network's size.
        batch_size: Faces at a time.

    Returns:
        ``od_psnr_db`` and ``oc_psnr_db`` (mean over faces, photos and synthetic ones apart: prefixes
        ``real/`` and ``synthetic/``), ``albedo_error`` beside that of the prior, of the photo and of the
        whole map, ``confidence_brier``.
    """
    rows: dict[str, list[float]] = {}
    items = [(shard, row) for shard in shards for row in range(len(shard))]
    for start in range(0, len(items), batch_size):
        batch = to_batch(items[start : start + batch_size], device=uv_mask.device)
        output = refine(refiner, batch.maps)
        renderings = render_in_atlas(batch, output, uv_mask)
        whole = uv_mask.expand(len(batch.has_truth), -1, -1, -1)
        values = {
            "od_psnr_db": _psnr(renderings.detail, renderings.target, renderings.mask),
            "oc_psnr_db": _psnr(renderings.coarse, renderings.target, renderings.mask),
        }
        truth_values = {
            "albedo_error": _scale_free(output.albedo, batch.truth, renderings.mask),
            "albedo_error_whole": _scale_free(output.albedo, batch.truth, whole),
            "prior_albedo_error": _scale_free(batch.maps.prior_albedo, batch.truth, renderings.mask),
            "photo_albedo_error": _scale_free(batch.maps.texture, batch.truth, renderings.mask),
        }
        for index, has_truth in enumerate(batch.has_truth.tolist()):
            prefix = "synthetic" if has_truth else "real"
            for name, per_face in (values | (truth_values if has_truth else {})).items():
                rows.setdefault(f"{prefix}/{name}", []).append(float(per_face[index]))
    return {name: sum(found) / len(found) for name, found in rows.items()}


def draw_faces(
    refiner: nn.Module,
    shards: Sequence[PreparedFaces],
    uv_mask: Float[Tensor, "1 1 s s"],
    num_faces: int = 8,
) -> UInt8[np.ndarray, "_ _ 3"]:
    """Evenly spread faces, one row each: photo, detailed and coarse rendering, albedo, truth (or prior).

    Args:
        refiner: The network, on the device of ``uv_mask``, without gradients.
        shards: Faces to choose from.
        uv_mask: M_uv at the network's size.
        num_faces: Rows.
    """
    items = [(shard, row) for shard in shards for row in range(len(shard))]
    if not items:
        return np.zeros((1, 1, 3), np.uint8)
    chosen = np.unique(np.linspace(0, len(items) - 1, num_faces).round().astype(int))
    batch = to_batch([items[index] for index in chosen], device=uv_mask.device)
    output = refine(refiner, batch.maps)
    renderings = render_in_atlas(batch, output, uv_mask)
    known = torch.where(batch.has_truth[:, None, None, None] > 0, batch.truth, batch.maps.prior_albedo)
    columns = [
        renderings.target * (renderings.mask > 0),
        renderings.detail,
        renderings.coarse,
        srgb_from_linear(output.albedo),
        srgb_from_linear(known),
    ]
    rows = torch.cat([resize_map(column, renderings.target.shape[-1]) for column in columns], dim=-1)
    sheet = torch.cat(list(rows), dim=1).movedim(0, -1)
    return (sheet.clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy(force=True)


def _psnr(
    image: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, " b"]:
    error = ((image - target).square() * mask).sum((1, 2, 3)) / (3 * mask.sum((1, 2, 3))).clamp_min(1e-6)
    return -10.0 * torch.log10(error.clamp_min(1e-10))


def _scale_free(
    albedo: Float[Tensor, "b 3 h w"], truth: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, " b"]:
    """Root mean square error after the best common factor, over the mean truth."""
    dims = (1, 2, 3)
    gain = (mask * albedo * truth).sum(dims) / (mask * albedo.square()).sum(dims).clamp_min(1e-9)
    error = (mask * (gain[:, None, None, None] * albedo - truth).square()).sum(dims)
    total = (3 * mask.sum(dims)).clamp_min(1e-6)
    mean = (mask * truth).sum(dims) / total
    return (error / total).sqrt() / mean.clamp_min(1e-6)
