"""Results cannot be edited in place: what follows from them is computed once and would go stale."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facelume.pipeline import FaceResult, Reconstruction, Reconstructor, read_result
from facelume.types import FaceDetection, Mesh, read_only


def _arrays(record: object, path: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Every numpy array that can be reached from a record through dataclasses and mappings."""
    if isinstance(record, np.ndarray):
        yield path, record
    elif is_dataclass(record):
        for entry in fields(record):
            yield from _arrays(getattr(record, entry.name), f"{path}.{entry.name}")
    elif isinstance(record, dict):
        for name, value in record.items():
            yield from _arrays(value, f"{path}[{name}]")


def test_no_array_of_a_reconstruction_can_be_edited(face: Reconstruction) -> None:
    kept = [name for name, value in vars(FaceResult).items() if isinstance(value, cached_property)]
    derived = {name: getattr(face, name) for name in kept}
    found = dict(_arrays(face, "face")) | dict(_arrays(derived, "face"))
    assert {
        "face.maps.albedo",
        "face.crop.photo_from_crop",
        "face[mesh].faces",
        "face[face_mask]",
    } <= found.keys()
    assert [path for path, array in found.items() if array.flags.writeable] == []
    before = face.render_albedo.copy()
    with pytest.raises(ValueError, match="read-only"):
        face.albedo[:] = 0
    with pytest.raises(ValueError, match="read-only"):
        face.coefficients["pose"][5] = 2
    np.testing.assert_array_equal(face.render_albedo, before)


def test_no_array_of_a_saved_result_can_be_edited(result: Path) -> None:
    saved = read_result(result)
    found = dict(_arrays(saved, "saved"))
    assert {"saved.albedo", "saved.illumination", "saved.light_coarse"} <= found.keys()
    assert [path for path, array in found.items() if array.flags.writeable] == []


def test_a_result_keeps_its_photo_when_the_caller_s_array_changes(
    reconstructor: Reconstructor, astronaut: Path
) -> None:
    frame = np.asarray(Image.open(astronaut).convert("RGB")).copy()
    face = reconstructor.reconstruct(frame)
    before = face.photo.backdrop_srgb.copy()
    frame[:] = 0
    np.testing.assert_array_equal(face.photo.backdrop_srgb, before)


def test_a_record_leaves_the_caller_s_array_writeable() -> None:
    points = np.zeros((5, 2))
    detection = FaceDetection((0.0, 0.0, 1.0, 1.0), points, 0.9)
    points[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        detection.points_px[0] = 2
    triangle = np.zeros((3, 3), np.float32)
    mesh = Mesh(triangle, np.array([[0, 1, 2]]), np.zeros((3, 2), np.float32), np.array([[0, 1, 2]]))
    triangle[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        mesh.vertices[0] = 2
    assert not read_only(points).flags.writeable
    assert points.flags.writeable
