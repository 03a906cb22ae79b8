"""Faces in the atlas, aligned and unwrapped as in use, with the tone of their skin where it is known."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from facelume.camera import CROP_SIZE_PX, CropTransform, sample_crop
from facelume.data.fingerprint import Fingerprint, load_stamped, save_stamped
from facelume.data.synthetic import SyntheticFaces, stack
from facelume.detection import detection_of_landmarks
from facelume.errors import NoFaceError
from facelume.face_model import FaceModel
from facelume.fitting import FitResult, landmark_basis
from facelume.io.photo import read_photo
from facelume.pipeline.alignment import AlignedFace, crop_of_landmarks, settle_fit
from facelume.pipeline.finding import FaceFinder
from facelume.pipeline.posed_face import pose_face
from facelume.pipeline.timing import StageTimer
from facelume.refinement.inputs import input_basis, unwrap_face
from facelume.reflectance import srgb_from_linear
from facelume.training.refiner.config import LabelErrorConfig
from facelume.training.refiner.prepare import LabelledFace, face_in_photo, faces_from_synthetic, true_tone

_LOG = logging.getLogger(__name__)
_Unwrapped = tuple[UInt8[np.ndarray, "3 s s"], UInt8[np.ndarray, "s s"]]


@dataclass(frozen=True, eq=False)
class UnwrappedFaces:
    """Photos of faces in the atlas.

    Attributes:
        texture: Colour of each texel, sRGB-encoded.
        visibility: How well it is seen, x 255.
        true_tone: Log of the linear albedo of the middle of the skin; NaN where it is not known.
        source: Which photo or scene a face comes from.
    """

    texture: UInt8[np.ndarray, "n 3 s s"]
    visibility: UInt8[np.ndarray, "n s s"]
    true_tone: Float[np.ndarray, "n 3"]
    source: Shaped[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.texture)

    def save(self, path: Path, fingerprint: Fingerprint) -> None:
        """Write faces and what they were made from, whole or not at all."""
        save_stamped(path, {f.name: getattr(self, f.name) for f in fields(self)}, fingerprint)


def load_unwrapped(path: Path, fingerprint: Fingerprint) -> UnwrappedFaces:
    """Read faces.

    Raises:
        UsageError: They were made from something else, or the file is damaged.
    """
    names = [f.name for f in fields(UnwrappedFaces)]
    return UnwrappedFaces(**load_stamped(path, names, fingerprint, "unwrapped faces"))


@dataclass(frozen=True, eq=False)
class NamedPhoto:
    """A photo of a person.

    Attributes:
        path: Picture file.
        source: ``person:photo``, the person as the split names it.
        landmarks_px: The 478 points in photo pixels, where they are known and no network shall find them.
    """

    path: Path
    source: str
    landmarks_px: Float[np.ndarray, "478 2"] | None = None


class FaceReader:
    """Aligns and unwraps faces: with the networks that do it in use, or by labels.

    Args:
        model: The face model.
        finder: Finds and aligns faces; None to take landmarks (and parsing) as they are labelled.
        label_errors: Errors of the labels of synthetic faces, where no network looks at them.
    """

    def __init__(
        self,
        model: FaceModel,
        finder: FaceFinder | None,
        label_errors: LabelErrorConfig,
    ) -> None:
        self._finder, self._label_errors = finder, label_errors
        self._landmarks = landmark_basis(model)
        self._basis = input_basis(model)

    def photos(self, photos: Sequence[NamedPhoto]) -> UnwrappedFaces:
        """Unwrap the largest face of each photo; photos without one are left out, and named in the log."""
        rows = []
        for photo in photos:
            try:
                rows.append((*self._of_photo(photo), np.full(3, np.nan, np.float32), photo.source))
            except NoFaceError as error:
                _LOG.info("left out %s: %s", photo.source, error)
        return _stacked(rows, self._basis.texels.size)

    def heads(self, faces: SyntheticFaces, number: int, seed: Sequence[int]) -> UnwrappedFaces:
        """Draw and unwrap synthetic faces; those that the alignment refuses are left out.

        Args:
            faces: What they look like; how many pictures there are of a head says ``config.group``.
            number: Heads.
            seed: Of everything random.
        """
        rng, errors, rows = np.random.default_rng(list(seed)), np.random.default_rng([*seed, 1]), []
        for index in range(number):
            drawn = stack(faces.draw_group(rng))
            labelled = faces_from_synthetic(drawn, self._label_errors, errors)
            for row, face in enumerate(labelled):
                albedo_srgb = torch.from_numpy(drawn["albedo_srgb"][row]).movedim(-1, 0)[None].float() / 255.0
                truth = true_tone(albedo_srgb, self._basis)[0].numpy()
                source = f"{'-'.join(str(part) for part in (*seed, index, face.person))}:{row}"
                try:
                    rows.append((*self._unwrap(face, drawn["landmarks_px"][row]), truth, source))
                except NoFaceError:
                    continue
        return _stacked(rows, self._basis.texels.size)

    @torch.no_grad()
    def _of_photo(self, photo: NamedPhoto) -> _Unwrapped:
        srgb = read_photo(photo.path).srgb
        if self._finder is not None:
            (aligned,) = self._finder.find(srgb, StageTimer(), only_largest=True)
            return self._carry_aligned(srgb, aligned)
        if photo.landmarks_px is None:
            raise NoFaceError("its landmarks are not known, and no network may find them")
        return self._unwrap(LabelledFace(srgb, photo.landmarks_px), photo.landmarks_px)

    @torch.no_grad()
    def _unwrap(self, face: LabelledFace, place_px: Float[np.ndarray, "478 2"]) -> _Unwrapped:
        """Unwrap a face whose landmarks are known; networks are only told where it is."""
        if self._finder is not None:
            place = detection_of_landmarks(place_px)
            aligned = self._finder.find_at(face.photo_srgb, place, StageTimer())
            return self._carry_aligned(face.photo_srgb, aligned)
        points_px = face.landmarks_px.astype(np.float64)
        crop, fit = settle_fit(points_px, crop_of_landmarks(points_px, self._landmarks), self._landmarks)
        parsing = torch.ones(1, CROP_SIZE_PX, CROP_SIZE_PX)
        if face.parsing is not None:
            channels = np.repeat(face.parsing[..., None], 3, axis=-1)
            parsing = torch.from_numpy(sample_crop(channels, crop)[None, ..., 0])
        return self._carry(face.photo_srgb, crop, fit, parsing)

    def _carry_aligned(self, photo_srgb: UInt8[np.ndarray, "H W 3"], aligned: AlignedFace) -> _Unwrapped:
        return self._carry(photo_srgb, aligned.crop, aligned.fit, aligned.prior.parsing())

    def _carry(
        self,
        photo_srgb: UInt8[np.ndarray, "H W 3"],
        crop: CropTransform,
        fit: FitResult,
        parsing: Float[Tensor, "1 224 224"],
    ) -> _Unwrapped:
        """Carry an aligned face into the atlas: colours (sRGB) and visibility (x 255)."""
        in_photo = face_in_photo(photo_srgb, crop, pose_face(self._basis.model, fit), parsing)
        photo = unwrap_face(in_photo, self._basis).photo
        return _bytes(srgb_from_linear(photo.texture[0])), _bytes(photo.visibility[0])


def _stacked(rows: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray, str]], size: int) -> UnwrappedFaces:
    return UnwrappedFaces(
        texture=np.array([row[0] for row in rows], np.uint8).reshape(-1, 3, size, size),
        visibility=np.array([row[1] for row in rows], np.uint8).reshape(-1, size, size),
        true_tone=np.array([row[2] for row in rows], np.float32).reshape(-1, 3),
        source=np.array([row[3] for row in rows], np.str_),
    )


def _bytes(values: Tensor) -> UInt8[np.ndarray, "..."]:
    encoded: np.ndarray = (values.clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()
    return encoded
