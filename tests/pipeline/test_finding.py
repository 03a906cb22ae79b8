"""Faces that are hard to find: the right place, or a refusal, never half a face."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facelume.detection import FaceLocator, NetworkLocator
from facelume.errors import NoFaceError
from facelume.face_model import load_open_face_model
from facelume.fitting import landmark_basis
from facelume.metrics import normalised_mean_error
from facelume.pipeline import Reconstruction, Reconstructor
from facelume.pipeline.alignment import AlignedFace, align_face, doubt
from facelume.pipeline.finding import FaceFinder
from facelume.pipeline.timing import StageTimer
from facelume.reflectance import linear_from_srgb, srgb_from_linear
from facelume.training.prior.export import load_prior
from facelume.types import FaceDetection

FACE = FaceDetection(
    (180.0, 70.0, 270.0, 178.0),
    np.array([(206, 104), (247, 108), (224, 131), (206, 145), (242, 149)], np.float32),
    1.0,
)
"""The astronaut's face, read off by eye."""


@pytest.fixture(scope="module")
def photo(astronaut: Path) -> np.ndarray:
    return np.asarray(Image.open(astronaut).convert("RGB"))


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    model = load_open_face_model()
    prior, _ = load_prior("prior", model)
    return FaceFinder(NetworkLocator.load(), prior, landmark_basis(model), with_coefficients=True)


def _lit(photo: np.ndarray, factor: np.ndarray | float) -> np.ndarray:
    """The photo with its light multiplied."""
    linear = linear_from_srgb(torch.tensor(photo).float() / 255) * torch.as_tensor(factor)
    return np.rint(255 * srgb_from_linear(linear.float()).numpy()).astype(np.uint8)


def _error(found: AlignedFace, face: Reconstruction) -> float:
    """Mean distance of the landmarks to those of the photo as it is, fraction of the face's size."""
    reference_px = face.landmarks_px["mediapipe478"].astype(np.float64)
    return float(normalised_mean_error(found.landmarks_photo_px().astype(np.float64), reference_px))


def _align(finder: FaceFinder, photo: np.ndarray, detection: FaceDetection) -> AlignedFace:
    return align_face(
        photo, detection, finder.network, finder.basis, with_coefficients=True, timer=StageTimer()
    )


@pytest.mark.parametrize("light_left", [0.0, 1 / 300])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("edge_px", [205, 215, 224, 235, 245])
def test_half_a_face_is_found_whole_or_refused(
    finder: FaceFinder, face: Reconstruction, photo: np.ndarray, edge_px: int, side: str, light_left: float
) -> None:
    """The nose is at column 224."""
    columns = np.arange(photo.shape[1])
    is_dark = columns < edge_px if side == "left" else columns > edge_px
    half = _lit(photo, np.where(is_dark, light_left, 1.0)[:, None])
    try:
        (found,) = finder.find(half, StageTimer(), only_largest=True)
    except NoFaceError:
        return
    assert _error(found, face) < 0.05


@pytest.mark.parametrize("light_left", [1 / 30, 1 / 100])
def test_a_nearly_black_photo_shows_its_face(
    finder: FaceFinder, face: Reconstruction, photo: np.ndarray, light_left: float
) -> None:
    (found,) = finder.find(_lit(photo, light_left), StageTimer(), only_largest=True)
    assert _error(found, face) < 0.03


def test_that_shadows_had_to_be_lifted_is_said(reconstructor: Reconstructor, photo: np.ndarray) -> None:
    dark = reconstructor.reconstruct(_lit(photo, 1 / 300))
    assert any("shadows lifted" in warning for warning in dark.warnings)
    assert not any("shadows lifted" in warning for warning in reconstructor.reconstruct(photo).warnings)


@pytest.mark.parametrize("size", [(1, 1), (40, 30), (600, 800)])
def test_a_black_picture_is_refused_in_one_line(reconstructor: Reconstructor, size: tuple[int, int]) -> None:
    with pytest.raises(NoFaceError, match="no face found; use a photo where a face is") as raised:
        reconstructor.reconstruct(np.zeros((*size, 3), np.uint8))
    assert "\n" not in str(raised.value)


def test_a_clear_face_is_taken_at_the_first_look(finder: FaceFinder, photo: np.ndarray) -> None:
    (found,) = finder.find(photo, StageTimer(), only_largest=True)
    assert not found.is_lifted
    assert doubt(found, finder.network, finder.basis) < finder.limits.sure_doubt


def test_there_is_more_doubt_where_there_is_no_face(finder: FaceFinder, photo: np.ndarray) -> None:
    of_face = doubt(_align(finder, photo, FACE), finder.network, finder.basis)
    for shift in ((120, 0), (-110, 60), (150, 200), (-60, 300)):
        box = tuple(np.array(FACE.box_px) + np.tile(shift, 2))
        elsewhere = _align(finder, photo, replace(FACE, box_px=box, points_px=FACE.points_px + shift))
        assert doubt(elsewhere, finder.network, finder.basis) > max(3 * of_face, finder.limits.absurd_doubt)


def test_black_beside_a_turned_head_leaves_doubt(finder: FaceFinder, photo: np.ndarray) -> None:
    found = _align(finder, photo, FACE)
    assert found.black_doubt < 1e-3
    yaw_rad, black = torch.tensor([[0.0, 0.7, 0.0]]), np.zeros_like(found.crop_srgb)
    turned = replace(found, fit=replace(found.fit, rotvec=yaw_rad))
    assert turned.black_doubt < 1e-3
    unlit = replace(turned, crop_srgb=black)
    assert unlit.black_doubt > 0.02
    nodding = replace(unlit, fit=replace(found.fit, rotvec=yaw_rad[:, [1, 0, 2]]))
    assert nodding.black_doubt < 1e-3


@dataclass(frozen=True)
class _Deceived:
    """A locator that takes the mouth for the face."""

    usual: NetworkLocator

    def locate(self, photo_srgb: np.ndarray) -> list[FaceDetection]:
        points_px = np.array([(208, 128), (240, 128), (224, 140), (212, 152), (238, 152)], np.float32)
        return [FaceDetection((196.0, 112.0, 252.0, 166.0), points_px, 0.6)]

    def candidates(self, photo_srgb: np.ndarray, *, most: int, least_px: float) -> list[FaceDetection]:
        return self.usual.candidates(photo_srgb, most=most, least_px=least_px)


class _Blind:
    """A locator that finds nothing and has no candidates."""

    def locate(self, photo_srgb: np.ndarray) -> list[FaceDetection]:
        return []


def _with_locator(finder: FaceFinder, locator: FaceLocator) -> FaceFinder:
    return replace(finder, locator=locator)


def test_a_box_about_the_mouth_leads_to_the_face_around_it(
    finder: FaceFinder, face: Reconstruction, photo: np.ndarray
) -> None:
    assert isinstance(finder.locator, NetworkLocator)
    deceived = _with_locator(finder, _Deceived(finder.locator))
    (found,) = deceived.find(photo, StageTimer(), only_largest=True)
    assert _error(found, face) < 0.02


def test_a_locator_without_candidates_is_asked_twice_and_believed(
    finder: FaceFinder, photo: np.ndarray
) -> None:
    with pytest.raises(NoFaceError, match="no face found"):
        _with_locator(finder, _Blind()).find(photo, StageTimer(), only_largest=False)


def test_a_known_place_is_enough_and_a_wrong_one_is_refused(
    finder: FaceFinder, face: Reconstruction, photo: np.ndarray
) -> None:
    assert _error(finder.find_at(photo, FACE, StageTimer()), face) < 0.02
    away = replace(
        FACE,
        box_px=(400.0, 300.0, 490.0, 408.0),
        points_px=FACE.points_px + np.array((220, 230), np.float32),
    )
    with pytest.raises(NoFaceError, match="no face, or too little of it"):
        finder.find_at(photo, away, StageTimer())
