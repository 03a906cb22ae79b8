"""Fine detail of the photo carried into the albedo: what no network at 256 texels can draw."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from facelume.uv.fill import DARK_OFFSET, complete_field
from facelume.uv.resize import resize_map

LOW_PASS_SIZE = 256
BRIGHTENING_LIMIT = 0.35


def transfer_detail(
    texture: Float[Tensor, "b 3 S S"],
    shading: Float[Tensor, "b 3 s2 s2"],
    visibility: Float[Tensor, "b S S"],
    albedo_low: Float[Tensor, "b 3 s3 s3"],
    gate: Float[Tensor, "b 1 s4 s4"],
    *,
    box_px: int = 17,
    brightening_limit: float = BRIGHTENING_LIMIT,
) -> Float[Tensor, "b 3 S S"]:
    """Replace the fine detail of a smooth albedo by the photo's, as far as the gate allows.

    In the log domain: the photo divided by the shading, minus its own low-pass, takes the place of the
    albedo's high-pass, so that brows and lips that the albedo already has are not drawn twice. The hidden
    side borrows the mirrored side's detail before the low-pass is taken, hence no dark seam at the
    visibility border. A detail that is brighter than its surroundings is compressed (highlights); a darker
    one is not (brows, lashes, moles). Differentiable in shading, albedo and gate.

    Args:
        texture: The unwrapped photo, linear; its size is the size of the result.
        shading: Irradiance / pi, linear; any size.
        visibility: Of the texture, in [0, 1].
        albedo_low: Smooth albedo, linear, [0, 1]; any size.
        gate: 0 keeps the albedo, 1 takes the photo's detail; any size.
        box_px: Side of the low-pass box at 256 texels, odd.
        brightening_limit: Largest log brightening (0.35 = factor 1.4).

    Returns:
        Albedo, linear, in [0, 1].
    """
    size = texture.shape[-1]
    shading, albedo_low, gate = (resize_map(x, size) for x in (shading, albedo_low, gate))
    log_low = torch.log(albedo_low.clamp(min=0) + DARK_OFFSET)
    reflected = texture.clamp(min=0) / shading.clamp(min=DARK_OFFSET)
    difference = torch.log(reflected + DARK_OFFSET) - log_low
    completed, known = complete_field(difference, visibility[:, None])
    # How much the photo's detail differs from the albedo's: the high-pass is linear in the log.
    low_pass = masked_low_pass(completed, known, box_px)
    detail = _faded_at_border(known) * (completed - low_pass)
    brighter = brightening_limit * torch.tanh(detail.clamp(min=0) / brightening_limit)
    detail = brighter + detail.clamp(max=0)
    return (torch.exp(log_low + gate * detail) - DARK_OFFSET).clamp(0, 1)


def masked_low_pass(
    field: Float[Tensor, "b C S S"], weight: Float[Tensor, "b 1 S S"], box_px: int
) -> Float[Tensor, "b C S S"]:
    """Weighted box mean, of the same share of the map at any size (maps above 256 are averaged down first).

    Args:
        field: Values, finite everywhere.
        weight: In [0, 1]; texels of weight 0 do not count.
        box_px: Side of the box at 256 texels, odd.
    """
    size = field.shape[-1]
    factor = max(1, size // LOW_PASS_SIZE)
    box = max(1, round(box_px * (size / factor) / LOW_PASS_SIZE)) | 1
    total = _box_mean(functional.avg_pool2d(field * weight, factor), box)
    count = _box_mean(functional.avg_pool2d(weight, factor), box)
    return resize_map(total / count.clamp(min=1e-6), size)


def _faded_at_border(known: Float[Tensor, "b 1 S S"]) -> Float[Tensor, "b 1 S S"]:
    """Let detail begin within about two texels (of 256) instead of at once, or the border draws a line."""
    box = 2 * max(1, round(2 * known.shape[-1] / LOW_PASS_SIZE)) + 1
    return known * ((_box_mean(known, box) - 0.5) * 2).clamp(0, 1)


def _box_mean(values: Tensor, box: int) -> Tensor:
    half = box // 2
    rows = functional.avg_pool2d(values, (box, 1), stride=1, padding=(half, 0))
    return functional.avg_pool2d(rows, (1, box), stride=1, padding=(0, half))
