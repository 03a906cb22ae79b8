"""Fitting the face model to what was seen: dense landmarks, and the colours of the skin."""

from facelume.fitting.landmark_rows import LandmarkBasis, landmark_basis
from facelume.fitting.landmarks import (
    FitConfig,
    FitResult,
    FitStart,
    fit_landmarks,
    pose_from_landmarks,
    project_landmarks,
)
from facelume.fitting.photometric import (
    PhotometricConfig,
    PhotometricFit,
    fit_light_and_albedo,
)

__all__ = [
    "FitConfig",
    "FitResult",
    "FitStart",
    "LandmarkBasis",
    "PhotometricConfig",
    "PhotometricFit",
    "fit_landmarks",
    "fit_light_and_albedo",
    "landmark_basis",
    "pose_from_landmarks",
    "project_landmarks",
]
