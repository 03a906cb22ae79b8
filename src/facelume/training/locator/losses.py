"""Dense targets of the locator and its loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from facelume.networks.locator import STRIDE_PX, LocatorOutput
from facelume.training.locator.config import LocatorLossWeights
from facelume.training.locator.scenes import SceneFace

MIN_FACE_PX = 10.5
MAX_FACE_PX = 92.0
"""Faces outside this band are for another level of the pyramid: near their centre nothing is asked."""
MIN_VISIBLE = 0.6
_CLOSE_UP_PX = 150.0
_SPREAD = 0.11
_REGRESSION_FLOOR = 0.3


@dataclass(frozen=True)
class LocatorTargets:
    """What the network should say at each cell.

    Attributes:
        heat: 1 at the cell of a face centre, a Gaussian of 0.11 face sizes around it.
        ignored: Cells without a say (faces too small, too large or too hidden).
        box_px: Box of the cell's face.
        points_px: Five points of the cell's face.
        weight: Weight of box and points: the heat where it exceeds 0.3, else 0.
    """

    heat: Float[Tensor, "*b h w"]
    ignored: Bool[Tensor, "*b h w"]
    box_px: Float[Tensor, "*b 4 h w"]
    points_px: Float[Tensor, "*b 5 2 h w"]
    weight: Float[Tensor, "*b h w"]


def encode_faces(faces: list[SceneFace], side_px: int) -> LocatorTargets:
    """Targets of one scene of ``side_px`` x ``side_px``."""
    cells = side_px // STRIDE_PX
    grid = (np.arange(cells) + 0.5) * STRIDE_PX
    heat, weight = np.zeros((cells, cells), np.float32), np.zeros((cells, cells), np.float32)
    ignored = np.zeros((cells, cells), bool)
    box, points = np.zeros((4, cells, cells), np.float32), np.zeros((5, 2, cells, cells), np.float32)
    for face in faces:
        size = face.size_px
        centre = (face.box_px[:2] + face.box_px[2:]) / 2
        squared = (grid[None] - centre[0]) ** 2 + (grid[:, None] - centre[1]) ** 2
        if size > MAX_FACE_PX:
            if size < _CLOSE_UP_PX:
                ignored |= squared < (0.2 * size + STRIDE_PX) ** 2
            continue
        if face.visible < MIN_VISIBLE or size < MIN_FACE_PX:
            if face.visible > 0.1:
                ignored |= squared < (0.35 * size + STRIDE_PX) ** 2
            continue
        spread = max(3.0, _SPREAD * size)
        near = np.exp(-(squared - squared.min()) / (2 * spread**2)).astype(np.float32)
        mine = (near > _REGRESSION_FLOOR) & (near > weight)
        weight[mine] = near[mine]
        box[:, mine] = face.box_px[:, None]
        points[:, :, mine] = face.points_px[..., None]
        heat = np.maximum(heat, near)
    ignored &= heat < _REGRESSION_FLOOR
    return LocatorTargets(*(torch.from_numpy(part) for part in (heat, ignored, box, points, weight)))


def stack_targets(targets: list[LocatorTargets]) -> LocatorTargets:
    """Targets of a batch."""
    names = ("heat", "ignored", "box_px", "points_px", "weight")
    return LocatorTargets(*(torch.stack([getattr(t, name) for t in targets]) for name in names))


def locator_losses(
    output: LocatorOutput, targets: LocatorTargets, weights: LocatorLossWeights
) -> dict[str, Float[Tensor, ""]]:
    """Losses of a batch by name, weighted."""
    logits = output.centre_logits
    probability = logits.sigmoid()
    is_centre = targets.heat > 0.99
    positive = (1 - probability).square() * F.logsigmoid(logits)
    negative = (1 - targets.heat).pow(4) * probability.square() * F.logsigmoid(-logits)
    each = torch.where(is_centre, positive, negative * ~targets.ignored)
    num_centres = is_centre.sum().clamp(min=1)
    centre = -each.sum() / num_centres
    share = targets.weight / targets.weight.sum().clamp(min=1.0)
    extent = targets.box_px[:, 2:] - targets.box_px[:, :2]
    size = extent.clamp(min=1.0).prod(dim=1).sqrt()
    beta = weights.smooth_until
    box = F.smooth_l1_loss(
        output.box_px / size[:, None], targets.box_px / size[:, None], beta=beta, reduction="none"
    )
    scale = size[:, None, None]
    points = F.smooth_l1_loss(
        output.points_px / scale, targets.points_px / scale, beta=beta, reduction="none"
    )
    return {
        "centre": weights.centre * centre,
        "box": weights.box * (box.mean(dim=1) * share).sum(),
        "points": weights.points * (points.mean(dim=(1, 2)) * share).sum(),
    }
