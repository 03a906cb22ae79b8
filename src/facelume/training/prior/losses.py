"""Losses of the prior network: landmarks and their spread, parsing, shape, reprojection, albedo, light."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from facelume.fitting import LandmarkBasis, project_landmarks
from facelume.geometry.face_mesh import LOWER_APERTURE_POINTS, UPPER_APERTURE_POINTS
from facelume.illumination import irradiance_basis
from facelume.networks.prior import PriorOutput
from facelume.training.prior.config import PriorLossWeights

_SMOOTHING_PX = 0.1
_METRES_TO_MM = 1000.0


@dataclass(frozen=True, eq=False)
class CoefficientTargets:
    """Labels of the face model for a batch, and how far each sample's can be believed.

    Attributes:
        identity: Identity coefficients.
        expression: Expression coefficients.
        albedo_probe: Linear albedo at the probe texels.
        light: SH radiance in the light frame.
        shape_weight: 0 where identity and expression are unknown.
        appearance_weight: 0 where albedo and light are unknown or were changed by augmentation.
    """

    identity: Float[Tensor, "b I"]
    expression: Float[Tensor, "b E"]
    albedo_probe: Float[Tensor, "b P 3"]
    light: Float[Tensor, "b 9 3"]
    shape_weight: Float[Tensor, " b"]
    appearance_weight: Float[Tensor, " b"]


@dataclass(frozen=True, eq=False)
class AlbedoProbe:
    """Albedo of the face model at a few texels of the face, linear in the coefficients.

    Attributes:
        mean: Albedo at zero coefficients.
        rows: Change per standard deviation of each coefficient.
        mirror: Which probe texel lies on the other side.
    """

    mean: Float[Tensor, "P 3"]
    rows: Float[Tensor, "A P 3"]
    mirror: Tensor

    def albedo(self, coeffs: Float[Tensor, "b A"]) -> Float[Tensor, "b P 3"]:
        """Linear albedo at the probe texels."""
        return self.mean + torch.einsum("ba,apc->bpc", coeffs, self.rows)


def weighted_mean(values: Float[Tensor, " b"], weights: Float[Tensor, " b"]) -> Float[Tensor, ""]:
    """Mean over the samples that count; 0 when none does."""
    return (values * weights).sum() / weights.sum().clamp(min=1.0)


def apertures(landmarks_px: Float[Tensor, "b 478 2"]) -> Float[Tensor, "b 13 2"]:
    """Vectors across the openings: seven across the lips, then three across each eye."""
    return landmarks_px[:, list(LOWER_APERTURE_POINTS)] - landmarks_px[:, list(UPPER_APERTURE_POINTS)]


def landmark_losses(
    output: PriorOutput,
    landmarks_px: Float[Tensor, "b 478 2"],
    parsing: Float[Tensor, "b 1 q q"],
    has_parsing: Float[Tensor, " b"],
    weights: PriorLossWeights,
) -> dict[str, Float[Tensor, ""]]:
    """Losses that need no face model: landmarks and the parsing mask (at the network's output resolution)."""
    distance = ((output.landmarks_px - landmarks_px).square().sum(-1) + _SMOOTHING_PX**2).sqrt()
    sigma = output.landmark_sigma_px
    likelihood = (distance / sigma + 2 * sigma.log()).mean()
    opening = (apertures(output.landmarks_px) - apertures(landmarks_px)).abs().sum(-1)
    target = F.interpolate(parsing, size=output.parsing_logits.shape[-2:], mode="area")
    entropy = F.binary_cross_entropy_with_logits(output.parsing_logits, target, reduction="none")
    return {
        "landmark_likelihood": weights.landmark_likelihood * likelihood,
        "landmark_distance": weights.landmark_distance * distance.mean(),
        "aperture": weights.aperture * opening.mean(),
        "parsing": weights.parsing * weighted_mean(entropy.mean(dim=(1, 2, 3)), has_parsing),
    }


def front_normals(num_normals: int = 48) -> Float[Tensor, "N 3"]:
    """Unit normals spread evenly over the half sphere facing the camera (Fibonacci lattice), light axes."""
    index = torch.arange(num_normals) + 0.5
    height = 1 - 0.9 * index / num_normals
    azimuth = math.pi * (1 + math.sqrt(5.0)) * index
    ring = (1 - height**2).sqrt()
    return torch.stack([ring * azimuth.cos(), ring * azimuth.sin(), height], -1)


def coefficient_losses(
    output: PriorOutput,
    targets: CoefficientTargets,
    landmarks_px: Float[Tensor, "b 478 2"],
    basis: LandmarkBasis,
    probe: AlbedoProbe,
    weights: PriorLossWeights,
) -> dict[str, Float[Tensor, ""]]:
    """Losses of the coefficients, each measured where it shows: in mm, pixels, albedo and shading."""
    found = basis.points(output.identity, output.expression)
    wanted = basis.points(targets.identity, targets.expression)
    shape_mm = (found - wanted).norm(dim=-1).mean(dim=-1) * _METRES_TO_MM
    coefficients = (output.identity - targets.identity).square().mean(dim=-1)
    coefficients = coefficients + 10 * (output.expression - targets.expression).abs().mean(dim=-1)
    projected = project_landmarks(
        basis, output.identity, output.expression, output.rotvec, output.translation
    )
    reprojection = (projected - landmarks_px).norm(dim=-1).clamp(max=100.0).mean(dim=-1)
    opening = (apertures(projected) - apertures(landmarks_px)).abs().sum(-1).clamp(max=20.0).mean(dim=-1)
    albedo = (probe.albedo(output.albedo) - targets.albedo_probe).abs().mean(dim=(1, 2))
    basis_values = irradiance_basis(front_normals().to(landmarks_px)) / math.pi
    shading, wanted_shading = basis_values @ output.sh_radiance, basis_values @ targets.light
    level = wanted_shading.mean(dim=(1, 2)).clamp(min=0.1)
    light = (shading - wanted_shading).abs().mean(dim=(1, 2)) / level
    return {
        "shape": weights.shape * weighted_mean(shape_mm, targets.shape_weight),
        "coefficients": weights.coefficients * weighted_mean(coefficients, targets.shape_weight),
        "reprojection": weights.reprojection * weighted_mean(reprojection, targets.shape_weight),
        "reprojected_aperture": weights.aperture * weighted_mean(opening, targets.shape_weight),
        "albedo": weights.albedo * weighted_mean(albedo, targets.appearance_weight),
        "light": weights.light * weighted_mean(light, targets.appearance_weight),
    }
