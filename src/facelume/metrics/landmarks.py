"""Landmark error."""

from __future__ import annotations

from typing import overload

import numpy as np
from jaxtyping import Float
from torch import Tensor

from facelume.geometry import box_size, mesh_box
from facelume.geometry.face_mesh import NUM_MESH_POINTS


@overload
def normalised_mean_error(
    points_px: Float[np.ndarray, "*batch 478 2"], reference_px: Float[np.ndarray, "*batch 478 2"]
) -> Float[np.ndarray, "*batch"]: ...


@overload
def normalised_mean_error(
    points_px: Float[Tensor, "*batch 478 2"], reference_px: Float[Tensor, "*batch 478 2"]
) -> Float[Tensor, "*batch"]: ...


def normalised_mean_error(
    points_px: Float[np.ndarray, "*batch 478 2"] | Float[Tensor, "*batch 478 2"],
    reference_px: Float[np.ndarray, "*batch 478 2"] | Float[Tensor, "*batch 478 2"],
) -> Float[np.ndarray, "*batch"] | Float[Tensor, "*batch"]:
    """Mean distance over points 0–467 divided by √(width·height) of the reference's box, as a fraction.

    Args:
        points_px: What was found.
        reference_px: What is true, in the same unit.
    """
    offset = (points_px - reference_px)[..., :NUM_MESH_POINTS, :]
    distance = (offset * offset).sum(-1) ** 0.5
    error = distance.mean(-1) / box_size(mesh_box(reference_px))
    return error if isinstance(error, Tensor) else np.asarray(error)
