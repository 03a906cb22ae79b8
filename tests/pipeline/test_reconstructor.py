"""Behaviour of the pipeline on real input of every kind."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import facelume
from facelume.errors import AssetError, NoFaceError, UsageError
from facelume.metrics import normalised_mean_error
from facelume.pipeline import Reconstruction, Reconstructor
from facelume.reflectance import human_skin


@pytest.fixture(scope="module")
def photo(astronaut: Path) -> Image.Image:
    return Image.open(astronaut).convert("RGB")


def _error(face: Reconstruction, reference: Reconstruction) -> float:
    return _distance(face.landmarks_px["mediapipe478"], reference)


def _distance(points_px: np.ndarray, reference: Reconstruction) -> float:
    """Mean distance to the reference's landmarks, as a fraction of its face's size."""
    others = reference.landmarks_px["mediapipe478"].astype(np.float32)
    return normalised_mean_error(points_px.astype(np.float32), others)


def test_public_names_are_those_of_the_pipeline() -> None:
    assert facelume.Reconstructor is Reconstructor
    assert facelume.Reconstruction is Reconstruction
    assert callable(facelume.reconstruct)
    with pytest.raises(AttributeError):
        facelume.nothing  # noqa: B018


def test_fields_of_the_python_api(face: Reconstruction) -> None:
    assert face.albedo.shape == (256, 256, 3)
    assert face.albedo.dtype == np.float32
    assert 0 <= face.albedo.min() <= face.albedo.max() <= 1
    assert face.illumination.shape == (256, 256, 9, 3)
    assert face.camera.cam_from_model.shape == (4, 4)
    assert face.mesh.vertices.shape[1] == 3
    assert sum(face.timings_s.values()) > 0
    assert {"locate", "prior", "fit", "unwrap", "light", "refine"} <= face.timings_s.keys()


def test_same_photo_gives_the_same_result_and_leaves_torch_alone(
    reconstructor: Reconstructor, face: Reconstruction, astronaut: Path
) -> None:
    threads, default = torch.get_num_threads(), torch.get_default_dtype()
    again = reconstructor.reconstruct(astronaut)
    np.testing.assert_array_equal(again.albedo, face.albedo)
    np.testing.assert_array_equal(again.mesh.vertices, face.mesh.vertices)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    assert (torch.get_num_threads(), torch.get_default_dtype()) == (threads, default)


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P"])
def test_colour_modes(
    reconstructor: Reconstructor, face: Reconstruction, photo: Image.Image, mode: str
) -> None:
    assert _error(reconstructor.reconstruct(photo.convert(mode)), face) < 0.02


def test_sixteen_bits_and_floats(
    reconstructor: Reconstructor, face: Reconstruction, photo: Image.Image
) -> None:
    grey16 = np.asarray(photo.convert("L")).astype(np.uint16) * 257
    assert _error(reconstructor.reconstruct(grey16), face) < 0.02
    assert _error(reconstructor.reconstruct(np.asarray(photo) / 255.0), face) < 1e-3


def test_exif_rotation(
    reconstructor: Reconstructor, face: Reconstruction, photo: Image.Image, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.png"
    photo.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    assert _error(reconstructor.reconstruct(path), face) < 1e-6


def test_rolled_head_is_levelled(
    reconstructor: Reconstructor, face: Reconstruction, photo: Image.Image
) -> None:
    turned = reconstructor.reconstruct(photo.rotate(20, Image.Resampling.BICUBIC))
    assert np.degrees(turned.crop.roll_rad - face.crop.roll_rad) == pytest.approx(-20, abs=3)
    assert _error(turned, face) > 0.1
    angle = np.radians(-20)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    back = (turned.landmarks_px["mediapipe478"] - 256) @ matrix + 256
    assert (
        normalised_mean_error(back.astype(np.float32), face.landmarks_px["mediapipe478"].astype(np.float32))
        < 0.03
    )


def test_mirrored_photo_gives_the_mirrored_face(
    reconstructor: Reconstructor, face: Reconstruction, photo: Image.Image
) -> None:
    mirrored = reconstructor.reconstruct(photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    box = face.landmarks_px["mediapipe478"][:468]
    other = mirrored.landmarks_px["mediapipe478"][:468] * [-1, 1] + [512, 0]
    for reduce in (np.min, np.max):
        assert np.abs(reduce(box, axis=0) - reduce(other, axis=0)).max() < 4
    assert np.abs(face.albedo - mirrored.albedo[:, ::-1]).mean() < 0.06


def test_small_face_works_with_a_warning(
    reconstructor: Reconstructor, face: Reconstruction, photo: Image.Image
) -> None:
    points = face.landmarks_px["mediapipe478"]
    scale = 20 / np.sqrt(np.prod(np.ptp(points[:468], axis=0)))
    side = round(512 * scale)
    small = reconstructor.reconstruct(photo.resize((side, side), Image.Resampling.LANCZOS))
    assert any("px large" in warning for warning in small.warnings)
    found = small.landmarks_px["mediapipe478"] * 512 / side
    assert _distance(found, face) < 0.08


@pytest.mark.parametrize("tint", [(1.0, 1.0, 1.0), (1.0, 0.85, 0.65)])
def test_a_black_and_white_photo_gives_a_skin_that_people_have_and_says_so(
    reconstructor: Reconstructor, face: Reconstruction, photo: Image.Image, tint: tuple[float, float, float]
) -> None:
    grey = np.asarray(photo.convert("L"))[..., None] * np.array(tint)
    found = reconstructor.reconstruct(grey.astype(np.uint8))
    assert any("black and white" in warning for warning in found.warnings)
    assert not any("black and white" in warning for warning in face.warnings)
    skin = torch.from_numpy(np.median(found.albedo[80:120, 90:166].reshape(-1, 3), axis=0))
    assert float(human_skin().hue_distance(skin[None])) < 3


def test_an_over_exposed_face_is_reported(
    reconstructor: Reconstructor, face: Reconstruction, photo: Image.Image
) -> None:
    bright = (np.asarray(photo).astype(np.float32) * 2.0).clip(0, 255).astype(np.uint8)
    found = reconstructor.reconstruct(bright)
    assert any("over-exposed" in warning for warning in found.warnings)
    assert not any("over-exposed" in warning for warning in face.warnings)


@pytest.mark.parametrize("part", ["left half", "without chin", "without forehead", "one eye and mouth"])
def test_face_cut_by_the_border_works_or_is_refused(
    reconstructor: Reconstructor, face: Reconstruction, photo: Image.Image, part: str
) -> None:
    pixels, points = np.asarray(photo), face.landmarks_px["mediapipe478"]
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    middle_x, top = round((x0 + x1) / 2), round(0.75 * y0 + 0.25 * y1)
    cut = {
        "left half": pixels[:, : middle_x + 5],
        "without chin": pixels[: round(0.25 * y0 + 0.75 * y1)],
        "without forehead": pixels[top:],
        "one eye and mouth": pixels[round(y0) : round(y1), middle_x : round(x1)],
    }[part]
    offset = {"without forehead": (0, top), "one eye and mouth": (middle_x, round(y0))}
    try:
        found = reconstructor.reconstruct(np.ascontiguousarray(cut))
    except NoFaceError:
        return
    shifted = found.landmarks_px["mediapipe478"] + offset.get(part, (0, 0))
    assert _distance(shifted, face) < 0.2
    height, width = cut.shape[:2]
    rows, columns = np.nonzero(found.face_mask)
    masked_px = found.crop.to_photo(np.stack([columns + 0.5, rows + 0.5], axis=-1))
    assert ((masked_px >= 0) & (masked_px <= (width, height))).all()
    assert any("border cuts off" in warning for warning in found.warnings)


@pytest.mark.parametrize("kind", ["flat", "noise", "gradient", "one pixel", "thin", "flag"])
def test_no_face_is_said(reconstructor: Reconstructor, photo: Image.Image, kind: str) -> None:
    generator = np.random.default_rng(1)
    picture = {
        "flat": np.full((200, 300, 3), 128, np.uint8),
        "noise": generator.integers(0, 256, (240, 240, 3), dtype=np.uint8),
        "gradient": np.repeat(np.linspace(0, 255, 200).astype(np.uint8)[:, None], 200, axis=1),
        "one pixel": np.zeros((1, 1, 3), np.uint8),
        "thin": np.zeros((2, 3000, 3), np.uint8),
        "flag": np.asarray(photo)[:150, :150],
    }[kind]
    with pytest.raises(NoFaceError) as raised:
        reconstructor.reconstruct(np.ascontiguousarray(picture))
    assert "\n" not in str(raised.value)


def test_all_faces_largest_first(
    reconstructor: Reconstructor, face: Reconstruction, photo: Image.Image
) -> None:
    pixels = np.asarray(photo)
    large = pixels[20:240, 110:330]
    canvas = np.full((260, 420, 3), 110, np.uint8)
    canvas[20:240, 180:400] = large
    canvas[80:190, 30:140] = np.asarray(Image.fromarray(large).resize((110, 110), Image.Resampling.LANCZOS))
    faces = reconstructor.reconstruct_all(canvas)
    assert [f.photo.face_index for f in faces] == [0, 1]
    assert faces[0].crop.scale == pytest.approx(2 * faces[1].crop.scale, rel=0.1)
    assert {f.photo.num_faces for f in faces} == {2}
    assert reconstructor.reconstruct(canvas).crop.scale == pytest.approx(faces[0].crop.scale, rel=1e-6)


@pytest.mark.slow
def test_hundred_megapixels(reconstructor: Reconstructor, face: Reconstruction, photo: Image.Image) -> None:
    large = np.asarray(photo).repeat(20, axis=0).repeat(20, axis=1)
    found = reconstructor.reconstruct(large)
    assert _distance(found.landmarks_px["mediapipe478"] / 20, face) < 0.02
    assert found.photo.size_px == (10240, 10240)
    assert max(found.photo.backdrop_srgb.shape) == 2048


def test_arguments_are_checked() -> None:
    with pytest.raises(UsageError, match="uv_size"):
        Reconstructor(uv_size=300)
    with pytest.raises(UsageError, match="no face model named"):
        Reconstructor(face_model="basel")
    with pytest.raises(AssetError, match=r"registry\.json is missing"):
        Reconstructor(weights=Path("/nonexistent"))
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="CUDA"):
            Reconstructor(device="cuda")
