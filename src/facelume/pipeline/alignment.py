"""From a located face to its crop, shape and pose: landmarks by the prior network, then the landmark fit."""

from __future__ import annotations

import math
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
from facelume.pipeline.timing import StageTimer
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
        return _in_photo(self.fit.landmarks_px, self.crop)


def align_face(
    photo_srgb: UInt8[np.ndarray, "H W 3"],
    detection: FaceDetection,
    network: PriorNetwork,
    basis: LandmarkBasis,
    limits: AlignmentLimits,
    *,
    with_coefficients: bool,
    timer: StageTimer,
) -> AlignedFace:
    """Aligns one face: guess the crop, read landmarks, crop again by them, fit, crop by the fitted mesh.

    Args:
        photo_srgb: Upright photo.
        detection: The face, roughly.
        network: Prior network.
        basis: Landmark rows of the face model, on the network's device.
        limits: When to refuse.
        with_coefficients: The network knows the face model: its coefficients start the fit and are its prior.
        timer: Books the stages ``prior`` and ``fit``.

    Raises:
        NoFaceError: What was located does not look like a face.
    """
    with timer.stage("prior"):
        crop = _guess_crop(detection)
        prior = read_prior(sample_crop(photo_srgb, crop), network)
    with timer.stage("fit"):
        landmarks_px = _in_photo(prior.landmarks_px, crop)
        crop = crop_of_landmarks(landmarks_px, basis, sigma_px=prior.landmark_sigma_px)
    with timer.stage("prior"):
        prior = read_prior(sample_crop(photo_srgb, crop), network)
    with timer.stage("fit"):
        landmarks_px = _in_photo(prior.landmarks_px, crop)
        start = fit_start(prior) if with_coefficients else None
        crop, fit = settle_fit(landmarks_px, crop, basis, sigma_px=prior.landmark_sigma_px, start=start)
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


def read_prior(crop_srgb: Float[np.ndarray, "224 224 3"], network: PriorNetwork) -> PriorOutput:
    """What the prior network says about one crop (sRGB-encoded in [0, 1]), on the network's device."""
    device = next(network.parameters()).device
    return network(torch.from_numpy(crop_srgb).to(device).permute(2, 0, 1)[None])


def fit_start(prior: PriorOutput) -> FitStart:
    """The network's coefficients and pose as the start of the landmark fit."""
    return FitStart(prior.identity, prior.expression, prior.rotvec, prior.translation)


def level_crop(landmarks_photo_px: Float[np.ndarray, "478 2"]) -> CropTransform:
    """The canonical crop with the eye line level."""
    right, left = five_points(landmarks_photo_px)[:2]
    return crop_from_landmarks(landmarks_photo_px, math.atan2(left[1] - right[1], left[0] - right[0]))


def crop_of_landmarks(
    landmarks_photo_px: Float[np.ndarray, "478 2"],
    basis: LandmarkBasis,
    *,
    sigma_px: Float[Tensor, "1 478"] | None = None,
) -> CropTransform:
    """The level crop around the mesh that follows given landmarks; what the prior network should look at.

    Args:
        landmarks_photo_px: Landmarks in photo pixels.
        basis: Landmark rows of the face model.
        sigma_px: Expected error of each landmark in crop pixels; 1 px where not given.
    """
    crop = level_crop(landmarks_photo_px)
    fit = fit_landmarks(basis, _in_crop(landmarks_photo_px, crop, basis), sigma_px)
    return level_crop(_in_photo(fit.landmarks_px, crop))


def settle_fit(
    landmarks_photo_px: Float[np.ndarray, "478 2"],
    crop: CropTransform,
    basis: LandmarkBasis,
    *,
    sigma_px: Float[Tensor, "1 478"] | None = None,
    start: FitStart | None = None,
) -> tuple[CropTransform, FitResult]:
    """Fits shape and pose and moves the crop around the fitted mesh, until the two agree.

    Canonical is the box of the mesh, not of the landmarks; this settles within hundredths of a pixel.

    Args:
        landmarks_photo_px: Landmarks in photo pixels.
        crop: The crop so far.
        basis: Landmark rows of the face model.
        sigma_px: Expected error of each landmark in crop pixels; 1 px where not given.
        start: Where each fit starts and the centre of its prior; the mean face where not given.

    Returns:
        The crop, and the face in its camera.
    """
    config = FitConfig() if start is None else _WARM_FIT
    fit = fit_landmarks(
        basis, _in_crop(landmarks_photo_px, crop, basis), sigma_px, start=start, config=config
    )
    for _ in range(_NUM_CROP_UPDATES):
        crop = level_crop(_in_photo(fit.landmarks_px, crop))
        fit = fit_landmarks(
            basis, _in_crop(landmarks_photo_px, crop, basis), sigma_px, start=start, config=config
        )
    return crop, fit


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


def _in_photo(landmarks_px: Float[Tensor, "1 478 2"], crop: CropTransform) -> Float[np.ndarray, "478 2"]:
    return crop.to_photo(landmarks_px[0].numpy(force=True).astype(np.float64))


def _in_crop(
    landmarks_photo_px: Float[np.ndarray, "478 2"], crop: CropTransform, basis: LandmarkBasis
) -> Float[Tensor, "1 478 2"]:
    return basis.mean.new_tensor(crop.to_crop(landmarks_photo_px))[None]


def _refuse_absurd(face: AlignedFace, limits: AlignmentLimits) -> None:
    if face.residual > limits.absurd_residual or face.sigma > limits.absurd_sigma:
        raise NoFaceError(
            f"what was found is no face that the model can explain (landmark residual {face.residual:.1%}, "
            f"expected error {face.sigma:.1%} of the face's size); use a clearer or more frontal photo"
        )
