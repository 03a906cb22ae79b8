"""Which of several overlapping boxes stays, and what the others add to it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from facelume.geometry.boxes import box_area, box_iou, shared_area


def suppress_overlaps(
    boxes_px: Float[np.ndarray, "n 4"],
    scores: Float[np.ndarray, " n"],
    *,
    max_iou: float = 0.3,
    max_contained: float = 0.7,
) -> Int[np.ndarray, " k"]:
    """Indices of the boxes that stay, best score first.

    Args:
        boxes_px: Left, top, right, bottom.
        scores: Higher is better.
        max_iou: A box goes if its intersection over union with a better one exceeds this.
        max_contained: A box goes if a better one and it overlap by more than this share of the smaller of the
            two (an eye or a mouth taken for a face, or a head taken for a face around the face).
    """
    order = np.argsort(-scores, kind="stable")
    area = box_area(boxes_px)
    kept: list[int] = []
    for index in order:
        box, others = boxes_px[index], boxes_px[kept]
        iou = box_iou(box, others)
        contained = shared_area(box, others) / np.maximum(np.minimum(area[index], area[kept]), 1e-9)
        if not bool(((iou > max_iou) | (contained > max_contained)).any()):
            kept.append(int(index))
    return np.array(kept, dtype=np.int64)


def merge_weights(
    boxes_px: Float[np.ndarray, "n 4"],
    logits: Float[np.ndarray, " n"],
    kept: Int[np.ndarray, " k"],
    *,
    min_iou: float = 0.5,
) -> Float[np.ndarray, "k n"]:
    """How much each box counts in the mean of those that agree with a kept one; rows sum to 1.

    A box counts with ``exp(logit)`` where its intersection over union with the kept one exceeds ``min_iou``:
    the levels of a picture pyramid err each in its own way, so that the mean is better than the best.
    """
    iou = box_iou(boxes_px[kept, None], boxes_px[None])
    iou[np.arange(len(kept)), kept] = 1.0
    weights = (iou > min_iou) * np.exp(logits[None] - logits[kept, None])
    return weights / weights.sum(axis=1, keepdims=True)
