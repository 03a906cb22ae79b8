"""Perspective projection. Camera axes: x right, y down, z forward (OpenCV); metres."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class PinholeCamera:
    """A perspective camera without distortion.

    Attributes:
        focal_px: Focal length in pixels, the same along x and y.
        principal_point_px: Where the optical axis meets the picture; pixel (0, 0) is centred at (0.5, 0.5).
        width_px: Picture width.
        height_px: Picture height.
    """

    focal_px: float
    principal_point_px: tuple[float, float]
    width_px: int
    height_px: int

    def project(self, points_cam: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 2"]:
        """Picture position (x, y) in pixels of points in camera axes.

        A point with z <= 0 lies behind the camera and has no meaningful position (its value is not clamped).
        """
        centre = points_cam.new_tensor(self.principal_point_px)
        return self.focal_px * points_cam[..., :2] / points_cam[..., 2:] + centre

    def unproject(
        self, points_px: Float[Tensor, "*batch N 2"], depth_m: Float[Tensor, "*batch N"]
    ) -> Float[Tensor, "*batch N 3"]:
        """Points in camera axes (metres) at picture positions and depths ``z`` (not ray lengths)."""
        centre = points_px.new_tensor(self.principal_point_px)
        lateral = (points_px - centre) * (depth_m[..., None] / self.focal_px)
        return torch.cat((lateral, depth_m[..., None]), dim=-1)

    def resized(self, size_px: int) -> PinholeCamera:
        """The same square camera with ``size_px`` pixels along each side."""
        factor = size_px / self.width_px
        centre = (self.principal_point_px[0] * factor, self.principal_point_px[1] * factor)
        return PinholeCamera(self.focal_px * factor, centre, size_px, round(self.height_px * factor))
