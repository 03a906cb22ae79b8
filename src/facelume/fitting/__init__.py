"""Fitting the face model to what was seen: dense landmarks, and the colours of the skin."""

from facelume.fitting.landmarks import (
    FitConfig,
    FitResult,
    FitStart,
    LandmarkBasis,
    fit_landmarks,
    landmark_basis,
    pose_from_landmarks,
    project_landmarks,
)

__all__ = [
    "FitConfig",
    "FitResult",
    "FitStart",
    "LandmarkBasis",
    "fit_landmarks",
    "landmark_basis",
    "pose_from_landmarks",
    "project_landmarks",
]
