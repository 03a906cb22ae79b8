"""Upright boxes (left, top, right, bottom; y downwards): centre, size, overlap. Batch axes broadcast."""

from __future__ import annotations

from typing import overload

import numpy as np
from jaxtyping import Float
from torch import Tensor

_SMALLEST_AREA = 1e-9


@overload
def box_centre(box: Float[np.ndarray, "*batch 4"]) -> Float[np.ndarray, "*batch 2"]: ...


@overload
def box_centre(box: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 2"]: ...


def box_centre(
    box: Float[np.ndarray, "*batch 4"] | Float[Tensor, "*batch 4"],
) -> Float[np.ndarray, "*batch 2"] | Float[Tensor, "*batch 2"]:
    """Middle of each box."""
    return 0.5 * (box[..., :2] + box[..., 2:])


@overload
def box_size(box: Float[np.ndarray, "*batch 4"]) -> Float[np.ndarray, "*batch"]: ...


@overload
def box_size(box: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch"]: ...


def box_size(
    box: Float[np.ndarray, "*batch 4"] | Float[Tensor, "*batch 4"],
) -> Float[np.ndarray, "*batch"] | Float[Tensor, "*batch"]:
    """``sqrt(width * height)``: the size of a face wherever the package speaks of one; NaN if turned over."""
    extent = box[..., 2:] - box[..., :2]
    area = extent[..., 0] * extent[..., 1]
    return area.sqrt() if isinstance(area, Tensor) else np.asarray(np.sqrt(area))


def box_area(box: Float[np.ndarray, "*batch 4"]) -> Float[np.ndarray, "*batch"]:
    """Area of each box; 0 for one that is turned over."""
    extent = np.maximum(0.0, box[..., 2:] - box[..., :2])
    return np.asarray(extent[..., 0] * extent[..., 1])


def shared_area(
    first: Float[np.ndarray, "*#batch 4"], second: Float[np.ndarray, "*#batch 4"]
) -> Float[np.ndarray, "*batch"]:
    """Area of what two boxes have in common; 0 where they do not touch."""
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., 2:], second[..., 2:])
    extent = np.maximum(0.0, high - low)
    return np.asarray(extent[..., 0] * extent[..., 1])


def box_iou(
    first: Float[np.ndarray, "*#batch 4"], second: Float[np.ndarray, "*#batch 4"]
) -> Float[np.ndarray, "*batch"]:
    """Intersection over union of two boxes, in [0, 1]; 0 where both are empty."""
    shared = shared_area(first, second)
    union = box_area(first) + box_area(second) - shared
    return np.asarray(shared / np.maximum(union, _SMALLEST_AREA))
