"""From a located face to its crop, shape and pose: landmarks by the prior network, then the landmark fit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from facelume.camera import (
    CROP_FACE_SIZE_PX,
    CROP_SIZE_PX,
    CropTransform,
    crop_from_box,
    crop_from_landmarks,
    sample_crop,
)
from facelume.errors import NoFaceError
from facelume.fitting import FitConfig, FitResult, FitStart, LandmarkBasis, fit_landmarks
from facelume.geometry import box_iou, five_points, mesh_box, rotation_from_rotvec
from facelume.geometry.face_mesh import CHIN, NOSE_BRIDGE, NUM_MESH_POINTS
from facelume.networks.prior import PriorNetwork, PriorOutput
from facelume.pipeline.timing import StageTimer
from facelume.types import FaceDetection

_NUM_CROP_UPDATES = 2
_MIN_FACE_PX = 6.0
_WARM_FIT = FitConfig(num_steps=3)

# How much of the disagreement of a crop and its mirror image counts as doubt.
_MIRROR_WEIGHT = 1.0 / 3.0
# Brighter pixels show something. Doubt per radian of yaw where nothing is brighter beside half a face, and
# the shares of black from which it begins and at which it is full: dark hair and backdrops are black too.
_BLACK_SRGB = 12 / 255
_BLACK_YAW_WEIGHT = 0.04
_BLACK_SHARES = (0.2, 0.5)


@dataclass(frozen=True, eq=False)
class AlignedFace:
    """A face in its canonical crop.

    Attributes:
        crop: Where the crop lies in the photo.
        crop_srgb: The crop, sRGB-encoded in [0, 1].
        read_srgb: What ``prior`` was read off: the crop, or the same with its shadows lifted.
        prior: What the prior network says about it.
        fit: Shape and pose in the crop camera.
        residual: Mean distance of the fitted mesh to the network's landmarks, fraction of the face's size.
        sigma: Median landmark error that the network expects, fraction of the face's size.
    """

    crop: CropTransform
    crop_srgb: Float[np.ndarray, "224 224 3"]
    read_srgb: Float[np.ndarray, "224 224 3"]
    prior: PriorOutput
    fit: FitResult
    residual: float
    sigma: float

    @property
    def is_lifted(self) -> bool:
        """Whether the landmarks were read with the shadows lifted."""
        return self.read_srgb is not self.crop_srgb

    @property
    def black_doubt(self) -> float:
        """Doubt that the dark leaves: half a face with black beside it may be taken for a head turned away.

        It grows with the yaw, and with the share of black where the far half would be were the head not
        turned: where the near half's landmarks lie, mirrored at the line from the bridge of the nose to the
        chin. Fraction of the face's size.
        """
        points = self.fit.landmarks_px[0, :NUM_MESH_POINTS].numpy(force=True)
        along = points[CHIN] - points[NOSE_BRIDGE]
        across = np.array((-along[1], along[0])) / np.linalg.norm(along)
        away_px = (points - points[NOSE_BRIDGE]) @ across
        near = np.sign(away_px[np.abs(away_px).argmax()]) * away_px > 0
        mirrored = points[near] - 2 * away_px[near, None] * across
        columns, rows = mirrored.astype(int).clip(0, CROP_SIZE_PX - 1).T
        is_black = self.crop_srgb[rows, columns].max(axis=-1) < _BLACK_SRGB
        return _BLACK_YAW_WEIGHT * self._yaw_rad * float(np.interp(is_black.mean(), _BLACK_SHARES, (0, 1)))

    @property
    def turn_rad(self) -> float:
        """Angle between the direction the face looks in and the direction to the camera."""
        forward = rotation_from_rotvec(self.fit.rotvec[0])[:, 2]
        return math.acos(max(-1.0, min(1.0, float(forward[2]))))

    @property
    def _yaw_rad(self) -> float:
        forward = rotation_from_rotvec(self.fit.rotvec[0])[:, 2]
        return abs(math.atan2(float(forward[0]), float(forward[2])))

    def landmarks_photo_px(self) -> Float[np.ndarray, "478 2"]:
        """Projections of the fitted mesh's landmarks, photo pixels."""
        return _in_photo(self.fit.landmarks_px, self.crop)


def align_face(
    photo_srgb: UInt8[np.ndarray, "H W 3"],
    detection: FaceDetection,
    network: PriorNetwork,
    basis: LandmarkBasis,
    *,
    with_coefficients: bool,
    timer: StageTimer,
    lifted_srgb: UInt8[np.ndarray, "H W 3"] | None = None,
) -> AlignedFace:
    """Aligns one face: guess the crop, read landmarks, crop again by them, fit, crop by the fitted mesh.

    Whether it is a face at all, the caller judges by residual, sigma and :func:`doubt`.

    Args:
        photo_srgb: Upright photo.
        detection: The face, roughly.
        network: Prior network.
        basis: Landmark rows of the face model, on the network's device.
        with_coefficients: The network knows the face model: its coefficients start the fit and are its prior.
        timer: Books the stages ``prior`` and ``fit``.
        lifted_srgb: The photo with its shadows lifted, to read landmarks off; by default the photo itself.

    Raises:
        NoFaceError: What was located is too small.
    """
    read_srgb = photo_srgb if lifted_srgb is None else lifted_srgb
    with timer.stage("prior"):
        crop = _guess_crop(detection)
        prior = read_prior(sample_crop(read_srgb, crop), network)
    with timer.stage("fit"):
        landmarks_px = _in_photo(prior.landmarks_px, crop)
        crop = crop_of_landmarks(landmarks_px, basis, sigma_px=prior.landmark_sigma_px)
    with timer.stage("prior"):
        prior = read_prior(sample_crop(read_srgb, crop), network)
    with timer.stage("fit"):
        landmarks_px = _in_photo(prior.landmarks_px, crop)
        start = fit_start(prior) if with_coefficients else None
        crop, fit = settle_fit(landmarks_px, crop, basis, sigma_px=prior.landmark_sigma_px, start=start)
    crop_srgb = sample_crop(photo_srgb, crop)
    return AlignedFace(
        crop=crop,
        crop_srgb=crop_srgb,
        read_srgb=crop_srgb if lifted_srgb is None else sample_crop(lifted_srgb, crop),
        prior=prior,
        fit=fit,
        residual=float(fit.residual_px[0]) / CROP_FACE_SIZE_PX,
        sigma=float(prior.landmark_sigma_px[0, :NUM_MESH_POINTS].median()) / CROP_FACE_SIZE_PX,
    )


def doubt(face: AlignedFace, network: PriorNetwork, basis: LandmarkBasis) -> float:
    """How far off the landmarks of a face may be, fraction of its size; 0.015 and less is usual.

    The error that the network expects, a third of the mean distance between what it reads off a crop and off
    its mirror image, and the doubt that the dark leaves. Where there is no face, or half of it is guessed,
    the two readings disagree.
    """
    turned = read_prior(np.ascontiguousarray(face.read_srgb[:, ::-1]), network).landmarks_px[0]
    returned = turned.numpy(force=True)[basis.mirrored] * (-1.0, 1.0) + (CROP_SIZE_PX, 0.0)
    apart = np.linalg.norm(face.prior.landmarks_px[0].numpy(force=True) - returned, axis=-1)
    mirror_gap = float(apart[:NUM_MESH_POINTS].mean()) / CROP_FACE_SIZE_PX
    return face.sigma + _MIRROR_WEIGHT * mirror_gap + face.black_doubt


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
