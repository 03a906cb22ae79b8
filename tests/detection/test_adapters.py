"""The optional adapters: always their errors, and their results where library and model file are there.

The model files are those of docs/data.md: in ``weights/`` of FACELUME_DATA, or of ``data`` in the checkout.
"""

import importlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facelume.detection import FaceLocator, MediaPipeLocator, YuNetLocator
from facelume.errors import AssetError

ROOT = Path(__file__).parents[2]
MODELS = Path(os.environ.get("FACELUME_DATA", ROOT / "data")) / "weights"


def _has_module(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def _model(name: str) -> Path:
    path = MODELS / name
    if not path.is_file():
        pytest.skip(f"no {path}: set FACELUME_TEST_MODELS to a folder that holds it")
    return path


def _need_mediapipe() -> None:
    if not _has_module("mediapipe"):
        pytest.skip("mediapipe is not installed: pip install 'facelume[mediapipe]'")
    if int(importlib.import_module("mediapipe").__version__.split(".")[0]) < 1:
        pytest.skip("mediapipe is older than 1: pip install 'mediapipe>=1'")


def _need_opencv() -> None:
    if not _has_module("cv2"):
        pytest.skip("OpenCV is not installed: pip install 'facelume[yunet]'")


def _check_astronaut(locator: FaceLocator) -> None:
    photo = np.asarray(Image.open(ROOT / "examples" / "astronaut.png").convert("RGB"))
    faces = locator.locate(photo)
    assert len(faces) == 1
    expected = np.array([(206, 104), (247, 108), (224, 131), (206, 145), (242, 149)])
    assert np.linalg.norm(faces[0].points_px - expected, axis=1).max() < 12
    left, top, right, bottom = faces[0].box_px
    assert left < 200
    assert right > 250
    assert top < 90
    assert bottom > 155
    assert locator.locate(np.full((100, 140, 3), 127, np.uint8)) == []


def test_yunet_finds_the_face():
    _need_opencv()
    _check_astronaut(YuNetLocator(_model("yunet_n_dynamic.onnx")))


def test_yunet_finds_the_face_of_a_large_photo_at_its_place():
    _need_opencv()
    photo = Image.open(ROOT / "examples" / "astronaut.png").convert("RGB").resize((2048, 2048))
    faces = YuNetLocator(_model("yunet_n_dynamic.onnx")).locate(np.asarray(photo))
    assert len(faces) == 1
    assert np.linalg.norm(faces[0].points_px[0] / 4 - (206, 104)) < 8


def test_mediapipe_finds_the_face():
    _need_mediapipe()
    _check_astronaut(MediaPipeLocator(_model("face_landmarker.task")))


@pytest.mark.parametrize("kind", [YuNetLocator, MediaPipeLocator])
def test_a_missing_library_or_file_is_one_clear_error(kind, tmp_path):
    with pytest.raises(AssetError, match=r"pip install|download"):
        kind(tmp_path / "absent")


def test_a_file_that_is_no_yunet_is_refused(tmp_path):
    _need_opencv()
    path = tmp_path / "wrong.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(AssetError, match="no YuNet model"):
        YuNetLocator(path)


def test_a_file_that_is_no_landmarker_is_refused(tmp_path):
    _need_mediapipe()
    path = tmp_path / "wrong.task"
    path.write_bytes(b"not a network")
    with pytest.raises(AssetError, match="no face landmarker"):
        MediaPipeLocator(path)
