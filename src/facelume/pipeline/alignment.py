"""From a located face to its crop, shape and pose: landmarks by the prior network, then the landmark fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from facelume.camera import CROP_FACE_SIZE_PX, CropTransform, crop_from_box, crop_from_landmarks, sample_crop
from facelume.errors import NoFaceError
from facelume.fitting import FitConfig, FitResult, FitStart, LandmarkBasis, fit_landmarks
from facelume.geometry import box_iou, five_points, mesh_box, rotation_from_rotvec
from facelume.geometry.face_mesh import NUM_MESH_POINTS
from facelume.networks.prior import PriorNetwork, PriorOutput
from facelume.types import FaceDetection

_NUM_CROP_UPDATES = 2
_MIN_FACE_PX = 6.0
_WARM_FIT = FitConfig(num_steps=3)


@dataclass(frozen=True)
class AlignmentLimits:
    """When an alignment is called doubtful, and when it is no face at all; fractions of the face's size.

    Attributes:
        doubtful_residual: Mean landmark residual of the fit that is reported as a warning.
        doubtful_sigma: Median landmark error that the network itself expects that is reported as a warning.
        doubtful_turn_rad: Turn of the head away from the camera that is reported as a warning.
        absurd_residual: Mean landmark residual from which there is no face.
        absurd_sigma: Median landmark error that the network itself expects from which there is no face.
    """

    doubtful_residual: float = 0.03
    doubtful_sigma: float = 0.02
    doubtful_turn_rad: float = 0.8
    absurd_residual: float = 0.08
    absurd_sigma: float = 0.03


@dataclass(frozen=True, eq=False)
class AlignedFace:
    """A face in its canonical crop.

    Attributes:
        crop: Where the crop lies in the photo.
        crop_srgb: The crop, sRGB-encoded in [0, 1].
        prior: What the prior network says about this crop.
        fit: Shape and pose in the crop camera.
        residual: Mean distance of the fitted mesh to the network's landmarks, fraction of the face's size.
        sigma: Median landmark error that the network expects, fraction of the face's size.
    """

    crop: CropTransform
    crop_srgb: Float[np.ndarray, "224 224 3"]
    prior: PriorOutput
    fit: FitResult
    residual: float
    sigma: float

    @property
    def turn_rad(self) -> float:
        """Angle between the direction the face looks in and the direction to the camera."""
        forward = rotation_from_rotvec(self.fit.rotvec[0])[:, 2]
        return math.acos(max(-1.0, min(1.0, float(forward[2]))))

    def landmarks_photo_px(self) -> Float[np.ndarray, "478 2"]:
        """Projections of the fitted mesh's landmarks, photo pixels."""
        return self.crop.to_photo(self.fit.landmarks_px[0].numpy(force=True).astype(np.float64))


def align_face(
    photo_srgb: UInt8[np.ndarray, "H W 3"],
    detection: FaceDetection,
    network: PriorNetwork,
    basis: LandmarkBasis,
    limits: AlignmentLimits,
    *,
    with_coefficients: bool,
    on_stage: Callable[[str], None],
) -> AlignedFace:
    """Aligns one face: guess the crop, read landmarks, crop again by them, fit, crop by the fitted mesh.

    Args:
        photo_srgb: Upright photo.
        detection: The face, roughly.
        network: Prior network.
        basis: Landmark rows of the face model, on the network's device.
        limits: When to refuse.
        with_coefficients: The network knows the face model: its coefficients start the fit and are its prior.
        on_stage: Called with ``prior`` or ``fit`` after each part of the work (for timing).

    Raises:
        NoFaceError: What was located does not look like a face.
    """
    crop = _guess_crop(detection)
    landmarks_px, prior = _read_landmarks(photo_srgb, crop, network)
    crop, landmarks_px = _level_crop(crop, landmarks_px)
    on_stage("prior")
    fit = _fit(landmarks_px, prior, basis, with_coefficients=False)
    crop = _crop_around_mesh(crop, fit)
    on_stage("fit")
    landmarks_px, prior = _read_landmarks(photo_srgb, crop, network)
    on_stage("prior")
    fit = _fit(landmarks_px, prior, basis, with_coefficients=with_coefficients)
    for _ in range(_NUM_CROP_UPDATES):
        # Canonical is the box of the mesh, not of the network's points; settles to hundredths of a pixel.
        crop, landmarks_px = _recrop(crop, landmarks_px, _crop_around_mesh(crop, fit))
        fit = _fit(landmarks_px, prior, basis, with_coefficients=with_coefficients)
    on_stage("fit")
    aligned = AlignedFace(
        crop=crop,
        crop_srgb=sample_crop(photo_srgb, crop),
        prior=prior,
        fit=fit,
        residual=float(fit.residual_px[0]) / CROP_FACE_SIZE_PX,
        sigma=float(prior.landmark_sigma_px[0, :NUM_MESH_POINTS].median()) / CROP_FACE_SIZE_PX,
    )
    _refuse_absurd(aligned, limits)
    return aligned


def overlap(first: AlignedFace, second: AlignedFace) -> float:
    """Intersection over union of the boxes of two faces in the photo."""
    return float(box_iou(*(mesh_box(face.landmarks_photo_px()) for face in (first, second))))


def _guess_crop(detection: FaceDetection) -> CropTransform:
    left, top, right, bottom = detection.box_px
    if not (np.isfinite(detection.box_px).all() and min(right - left, bottom - top) >= _MIN_FACE_PX):
        raise NoFaceError(f"the face found is smaller than {_MIN_FACE_PX:.0f} px; use a larger picture")
    # Mouth corners and eyes agree on the roll better than the eyes alone where one of them is hidden.
    points = detection.points_px
    down = points[3:5].mean(axis=0) - points[0:2].mean(axis=0)
    roll_rad = math.atan2(-float(down[0]), float(down[1])) if np.isfinite(down).all() else 0.0
    return crop_from_box(detection, roll_rad)


def _crop_around(landmarks_photo_px: Float[np.ndarray, "478 2"]) -> CropTransform:
    """The canonical crop with the eye line level."""
    right, left = five_points(landmarks_photo_px)[:2]
    return crop_from_landmarks(landmarks_photo_px, math.atan2(left[1] - right[1], left[0] - right[0]))


def _crop_around_mesh(crop: CropTransform, fit: FitResult) -> CropTransform:
    mesh_px = fit.landmarks_px[0].numpy(force=True).astype(np.float64)
    return _crop_around(crop.to_photo(mesh_px))


def _recrop(
    crop: CropTransform, landmarks_px: Float[Tensor, "1 478 2"], target: CropTransform
) -> tuple[CropTransform, Float[Tensor, "1 478 2"]]:
    """Moves crop landmarks into another crop of the same photo."""
    moved = target.to_crop(crop.to_photo(landmarks_px[0].numpy(force=True).astype(np.float64)))
    return target, landmarks_px.new_tensor(moved)[None]


def _level_crop(
    crop: CropTransform, landmarks_px: Float[Tensor, "1 478 2"]
) -> tuple[CropTransform, Float[Tensor, "1 478 2"]]:
    photo_px = crop.to_photo(landmarks_px[0].numpy(force=True).astype(np.float64))
    return _recrop(crop, landmarks_px, _crop_around(photo_px))


def _read_landmarks(
    photo_srgb: UInt8[np.ndarray, "H W 3"], crop: CropTransform, network: PriorNetwork
) -> tuple[Float[Tensor, "1 478 2"], PriorOutput]:
    crop_srgb = sample_crop(photo_srgb, crop)
    batch = torch.from_numpy(crop_srgb).permute(2, 0, 1)[None].to(next(network.parameters()).device)
    output = network(batch)
    return output.landmarks_px, output


def _fit(
    landmarks_px: Float[Tensor, "1 478 2"],
    prior: PriorOutput,
    basis: LandmarkBasis,
    *,
    with_coefficients: bool,
) -> FitResult:
    if not with_coefficients:
        return fit_landmarks(basis, landmarks_px, prior.landmark_sigma_px)
    start = FitStart(prior.identity, prior.expression, prior.rotvec, prior.translation)
    return fit_landmarks(basis, landmarks_px, prior.landmark_sigma_px, start=start, config=_WARM_FIT)


def _refuse_absurd(face: AlignedFace, limits: AlignmentLimits) -> None:
    if face.residual > limits.absurd_residual or face.sigma > limits.absurd_sigma:
        raise NoFaceError(
            f"what was found is no face that the model can explain (landmark residual {face.residual:.1%}, "
            f"expected error {face.sigma:.1%} of the face's size); use a clearer or more frontal photo"
        )
