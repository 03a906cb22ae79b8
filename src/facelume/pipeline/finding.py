"""The faces of a photo, located and aligned; where that leaves doubt, a closer look decides or refuses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import UInt8

from facelume.detection import CandidateLocator, FaceLocator, detection_of_landmarks, lift_shadows
from facelume.errors import NoFaceError
from facelume.fitting import LandmarkBasis
from facelume.geometry import box_area, box_iou, shared_area
from facelume.networks.prior import PriorNetwork
from facelume.pipeline.alignment import AlignedFace, align_face, doubt, overlap
from facelume.pipeline.timing import StageTimer
from facelume.types import FaceDetection

_SAME_FACE_OVERLAP = 0.5
# Places looked at more closely in the photo and as many in the photo with its shadows lifted.
_NUM_CANDIDATES = 3
# Smaller ones are not looked for more closely: too little is seen of them to tell a face from what is none.
_LEAST_CANDIDATE_PX = 24.0
# Boxes that overlap so much lead to the same alignment.
_SAME_BOX_IOU = 0.7
# A candidate is an alternative to a face if they share so much of the smaller of the two.
_SAME_PLACE_SHARE = 0.5
_NOTHING_FOUND = "no face found; use a photo where a face is larger, clearer or better lit"


@dataclass(frozen=True)
class AlignmentLimits:
    """When an alignment is taken, looked at again, reported or refused; fractions of the face's size.

    Attributes:
        sure_score: Score of the locator from which an alignment may be taken without a closer look.
        sure_sigma: Median landmark error that the network itself expects, and the doubt that the dark leaves,
            up to which it is.
        sure_doubt: Doubt (``alignment.doubt``) up to which no better alignment is looked for.
        absurd_doubt: Doubt from which there is no face.
        absurd_residual: Mean landmark residual of the fit from which there is no face.
        doubtful_residual: Mean landmark residual of the fit that is reported as a warning.
        doubtful_sigma: Median landmark error that the network itself expects that is reported as a warning.
        doubtful_turn_rad: Turn of the head away from the camera that is reported as a warning.
    """

    sure_score: float = 0.5
    sure_sigma: float = 0.01
    sure_doubt: float = 0.015
    absurd_doubt: float = 0.025
    absurd_residual: float = 0.08
    doubtful_residual: float = 0.03
    doubtful_sigma: float = 0.02
    doubtful_turn_rad: float = 0.8


@dataclass(frozen=True, eq=False)
class FaceFinder:
    """Finds and aligns the faces of photos.

    Most faces are located and read without doubt. Where one is not, or none is found, all that might be a
    face is looked at, in the photo and in the photo with its shadows lifted; the alignment that leaves the
    least doubt is taken, or none.

    Attributes:
        locator: Says where faces are.
        network: Prior network.
        basis: Landmark rows of the face model, on the network's device.
        with_coefficients: The network knows the face model.
        limits: When to look again and when to refuse.
    """

    locator: FaceLocator
    network: PriorNetwork
    basis: LandmarkBasis
    with_coefficients: bool
    limits: AlignmentLimits = AlignmentLimits()

    def find(
        self, photo_srgb: UInt8[np.ndarray, "H W 3"], timer: StageTimer, *, only_largest: bool
    ) -> list[AlignedFace]:
        """Return the faces of an upright photo in the order of the locator.

        Args:
            photo_srgb: Upright photo.
            timer: Books the stages ``locate``, ``prior`` and ``fit``.
            only_largest: The first face alone.

        Raises:
            NoFaceError: There is no face, or none whose landmarks can be trusted.
        """
        with timer.stage("locate"):
            detections = self.locator.locate(photo_srgb)
        search = _Search(self, photo_srgb, timer)
        faces: list[AlignedFace] = []
        for detection in detections:
            face = search.face_at(detection)
            if face is not None and all(overlap(face, other) < _SAME_FACE_OVERLAP for other in faces):
                faces.append(face)
            if faces and only_largest:
                break
        if not faces:
            face = search.least_doubtful(search.alignments(search.candidates))
            if face is None:
                raise NoFaceError(search.refusal if detections else _NOTHING_FOUND)
            faces.append(face)
        return faces

    def find_at(
        self, photo_srgb: UInt8[np.ndarray, "H W 3"], detection: FaceDetection, timer: StageTimer
    ) -> AlignedFace:
        """The face of an upright photo whose place is roughly known.

        Args:
            photo_srgb: Upright photo.
            detection: The face, roughly.
            timer: Books the stages ``locate``, ``prior`` and ``fit``.

        Raises:
            NoFaceError: There is none, or its landmarks cannot be trusted.
        """
        search = _Search(self, photo_srgb, timer)
        face = search.face_at(detection)
        if face is None:
            raise NoFaceError(search.refusal)
        return face


class _Search:
    """The search of one photo; what only a closer look needs is made when it is needed.

    Attributes:
        refusal: Why there is no face, if there is none.
    """

    def __init__(self, finder: FaceFinder, photo_srgb: UInt8[np.ndarray, "H W 3"], timer: StageTimer) -> None:
        self._finder = finder
        self._photo = photo_srgb
        self._timer = timer
        self.refusal = _NOTHING_FOUND

    @cached_property
    def _lifted(self) -> UInt8[np.ndarray, "H W 3"]:
        with self._timer.stage("locate"):
            return lift_shadows(self._photo)

    @cached_property
    def candidates(self) -> list[FaceDetection]:
        """All that might be a face, the likeliest first."""
        locator, found = self._finder.locator, list[FaceDetection]()
        for picture in (self._lifted, self._photo):
            with self._timer.stage("locate"):
                if isinstance(locator, CandidateLocator):
                    found += locator.candidates(picture, most=_NUM_CANDIDATES, least_px=_LEAST_CANDIDATE_PX)
                else:
                    found += locator.locate(picture)[:_NUM_CANDIDATES]
        kept: list[FaceDetection] = []
        for detection in sorted(found, key=lambda candidate: -candidate.score):
            if not any(_is_same_box(detection, other) for other in kept):
                kept.append(detection)
        return kept

    def face_at(self, detection: FaceDetection) -> AlignedFace | None:
        """The face that a detection marks, or another around or inside it that leaves less doubt."""
        limits = self._finder.limits
        face = self._align(detection, is_lifted=False)
        if face is None:
            return None
        is_read_surely = face.sigma + face.black_doubt <= limits.sure_sigma
        is_followed = face.residual <= limits.absurd_residual
        if detection.score >= limits.sure_score and is_read_surely and is_followed:
            return face
        return self.least_doubtful(self._alternatives(detection, face))

    def _alternatives(self, detection: FaceDetection, face: AlignedFace) -> Iterator[AlignedFace]:
        """An alignment, the same by the lifted photo, and those of the candidates at the same place."""
        yield face
        lifted = self._align(detection, is_lifted=True)
        if lifted is not None:
            yield lifted
        others = (c for c in self.candidates if not _is_same_box(c, detection))
        yield from self.alignments(c for c in others if _is_same_place(c, detection))

    def alignments(self, detections: Iterable[FaceDetection]) -> Iterator[AlignedFace]:
        """Each place aligned by the lifted photo, then by the photo itself."""
        for detection in detections:
            for is_lifted in (True, False):
                face = self._align(detection, is_lifted=is_lifted)
                if face is not None:
                    yield face

    def least_doubtful(self, faces: Iterable[AlignedFace]) -> AlignedFace | None:
        """The first alignment that leaves hardly any doubt, else that with the least, unless it is absurd."""
        limits = self._finder.limits
        face, left = self._least_doubtful(faces)
        if face is not None and left > limits.sure_doubt:
            # A poor box may have led it astray: once more, from where it arrived.
            again = self._align(detection_of_landmarks(face.landmarks_photo_px()), is_lifted=face.is_lifted)
            face, left = min((face, left), self._least_doubtful([again] if again else []), key=lambda x: x[1])
        if face is None or left > limits.absurd_doubt:
            self.refusal = (
                "what was found is no face, or too little of it is seen; "
                "use a clearer, more evenly lit or more frontal photo"
            )
            return None
        return face

    def _least_doubtful(self, faces: Iterable[AlignedFace]) -> tuple[AlignedFace | None, float]:
        """The same whatever the doubt, and the doubt; asks for no further alignment than it has to."""
        finder, best, least = self._finder, None, math.inf
        for face in faces:
            if face.residual > finder.limits.absurd_residual:
                continue
            with self._timer.stage("prior"):
                left = doubt(face, finder.network, finder.basis)
            if left < least:
                best, least = face, left
            if least <= finder.limits.sure_doubt:
                break
        return best, least

    def _align(self, detection: FaceDetection, *, is_lifted: bool) -> AlignedFace | None:
        finder = self._finder
        try:
            return align_face(
                self._photo,
                detection,
                finder.network,
                finder.basis,
                with_coefficients=finder.with_coefficients,
                timer=self._timer,
                lifted_srgb=self._lifted if is_lifted else None,
            )
        except NoFaceError as error:
            self.refusal = str(error)
            return None


def _is_same_box(first: FaceDetection, second: FaceDetection) -> bool:
    return bool(box_iou(np.array(first.box_px), np.array(second.box_px)) > _SAME_BOX_IOU)


def _is_same_place(first: FaceDetection, second: FaceDetection) -> bool:
    boxes = np.array(first.box_px), np.array(second.box_px)
    return bool(shared_area(*boxes) > _SAME_PLACE_SHARE * min(box_area(box) for box in boxes))
