"""The built-in locator with its real weights on real and on faceless pictures."""

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facelume.detection import CandidateLocator, NetworkLocator, YuNetLocator
from facelume.errors import AssetError, UsageError

ASTRONAUT = Path(__file__).parents[2] / "examples" / "astronaut.png"
# Read off the picture by eye: box of the face from forehead to chin, eyes, nose tip, mouth corners.
FACE_BOX = np.array((180.0, 70.0, 270.0, 178.0))
FACE_POINTS = np.array([(206, 104), (247, 108), (224, 131), (206, 145), (242, 149)], dtype=np.float64)


@pytest.fixture(scope="module")
def locator() -> NetworkLocator:
    return NetworkLocator.load()


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return np.asarray(Image.open(ASTRONAUT).convert("RGB"))


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    shared = np.prod(np.maximum(0.0, np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])))
    return float(shared / (np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2]) - shared))


def _assert_is_face(
    detections, box: np.ndarray, points: np.ndarray, *, points_tolerance: float = 0.1
) -> None:
    assert len(detections) == 1
    face = detections[0]
    size = np.sqrt(np.prod(box[2:] - box[:2]))
    assert _overlap(np.array(face.box_px), box) > 0.7
    assert np.linalg.norm(face.points_px - points, axis=1).max() < points_tolerance * size
    assert 0.5 < face.score <= 1.0


def test_finds_the_one_face_of_a_real_photo(locator, astronaut):
    _assert_is_face(locator.locate(astronaut), FACE_BOX, FACE_POINTS)


def test_a_mirrored_photo_gives_the_mirrored_face(locator, astronaut):
    mirrored = np.ascontiguousarray(astronaut[:, ::-1])
    box = np.array((512 - FACE_BOX[2], FACE_BOX[1], 512 - FACE_BOX[0], FACE_BOX[3]))
    points = FACE_POINTS[[1, 0, 2, 4, 3]] * (-1, 1) + (512, 0)
    _assert_is_face(locator.locate(mirrored), box, points)


@pytest.mark.parametrize("angle_deg", [-40, -20, 20, 40])
def test_finds_a_tilted_face_and_its_tilt(locator, astronaut, angle_deg):
    picture = Image.fromarray(astronaut).rotate(angle_deg, Image.Resampling.BICUBIC, center=(225, 122))
    faces = locator.locate(np.asarray(picture))
    assert len(faces) == 1
    turn = np.deg2rad(-angle_deg)
    rotation = np.array([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))])
    expected = (FACE_POINTS - (225, 122)) @ rotation.T + (225, 122)
    assert np.linalg.norm(faces[0].points_px - expected, axis=1).max() < 14
    eyes = faces[0].points_px[1] - faces[0].points_px[0]
    measured = np.rad2deg(np.arctan2(eyes[1], eyes[0]))
    true = np.rad2deg(np.arctan2(*(expected[1] - expected[0])[::-1]))
    assert abs(measured - true) < 8


def test_finds_a_face_that_fills_the_picture(locator, astronaut):
    offset = np.array((178, 66))
    crop = np.ascontiguousarray(astronaut[66:180, 178:272])
    points = FACE_POINTS - offset
    _assert_is_face(locator.locate(crop), FACE_BOX - np.tile(offset, 2), points)


def test_finds_a_20_px_face_in_a_large_photo(locator, astronaut):
    small = Image.fromarray(astronaut).resize((104, 104), Image.Resampling.BOX)
    canvas = np.full((1200, 1920, 3), 120, np.uint8)
    canvas[700:804, 1500:1604] = np.asarray(small)
    scale, offset = 104 / 512, np.array((1500, 700))
    _assert_is_face(
        locator.locate(canvas),
        FACE_BOX * scale + np.tile(offset, 2),
        FACE_POINTS * scale + offset,
        points_tolerance=0.2,
    )


def test_finds_a_grey_dark_and_noisy_face(locator, astronaut):
    grey = np.asarray(Image.fromarray(astronaut).convert("L"), dtype=np.float64) * 0.4
    noisy = np.clip(grey + np.random.default_rng(0).normal(0, 6, grey.shape), 0, 255).astype(np.uint8)
    _assert_is_face(locator.locate(np.repeat(noisy[..., None], 3, axis=-1)), FACE_BOX, FACE_POINTS)


def test_several_faces_come_largest_first(locator, astronaut):
    canvas = np.full((600, 1000, 3), 90, np.uint8)
    canvas[40:340, 20:320] = np.asarray(Image.fromarray(astronaut[:300, 80:380]))
    canvas[300:500, 500:700] = np.asarray(Image.fromarray(astronaut[:300, 80:380]).resize((200, 200)))
    canvas[50:150, 700:800] = np.asarray(Image.fromarray(astronaut[:300, 80:380]).resize((100, 100)))
    faces = locator.locate(canvas)
    widths = [face.box_px[2] - face.box_px[0] for face in faces]
    assert len(faces) == 3
    assert widths == sorted(widths, reverse=True)
    assert widths[0] == pytest.approx(3 * widths[2], rel=0.2)


@pytest.mark.parametrize(
    "kind", ["black", "white", "gradient", "noise", "coarse noise", "checkers", "discs", "bars"]
)
def test_finds_nothing_where_nothing_is(locator, kind):
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:300, :400]
    grey = {
        "black": np.zeros((300, 400)),
        "white": np.full((300, 400), 255),
        "gradient": x * 255 / 400,
        "noise": rng.integers(0, 256, (300, 400)),
        "coarse noise": np.kron(rng.integers(0, 256, (15, 20)), np.ones((20, 20))),
        "checkers": 255 * ((x // 25 + y // 25) % 2),
        "discs": 255 * (np.hypot(x % 80 - 40, y % 80 - 40) < 25),
        "bars": 255 * ((x // 12) % 2),
    }[kind]
    assert locator.locate(np.repeat(grey[..., None], 3, axis=-1).astype(np.uint8)) == []


def test_finds_nothing_once_the_face_is_covered(locator, astronaut):
    covered = astronaut.copy()
    covered[60:190, 165:285] = 128
    assert locator.locate(covered) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (7, 9), (3000, 20)])
def test_any_size_of_picture_works(locator, shape):
    assert locator.locate(np.full((*shape, 3), 127, np.uint8)) == []


def test_a_photo_without_pixels_is_refused(locator):
    with pytest.raises(UsageError, match="0 x 10"):
        locator.locate(np.zeros((10, 0, 3), np.uint8))


def test_the_same_photo_twice_gives_the_same_faces(locator, astronaut):
    first, second = locator.locate(astronaut)[0], locator.locate(astronaut)[0]
    assert first.box_px == second.box_px
    assert first.score == second.score


def test_a_100_megapixel_photo_is_quick(locator, astronaut):
    photo = np.asarray(Image.fromarray(astronaut).resize((10_000, 10_000), Image.Resampling.NEAREST))
    start = time.perf_counter()
    faces = locator.locate(photo)
    assert time.perf_counter() - start < 3.0
    _assert_is_face(faces, FACE_BOX * (10_000 / 512), FACE_POINTS * (10_000 / 512))


def test_missing_weights_are_an_error(tmp_path):
    with pytest.raises(AssetError, match="no-such-locator"):
        NetworkLocator.load("no-such-locator")


def test_the_likeliest_candidate_is_the_face_however_strict_the_threshold(locator, astronaut):
    strict = NetworkLocator(locator._network, threshold=1 - 1e-9)
    assert strict.locate(astronaut) == []
    candidates = strict.candidates(astronaut, most=5, least_px=20.0)
    _assert_is_face(candidates[:1], FACE_BOX, FACE_POINTS)
    scores = [candidate.score for candidate in candidates]
    assert scores == sorted(scores, reverse=True)


def test_candidates_below_the_threshold_may_lie_around_a_better_one(locator, astronaut):
    """The whole head with its shoulders is a faint detection around that of the face."""
    candidates = locator.candidates(astronaut, most=20, least_px=20.0)
    assert len(candidates) > len(locator.locate(astronaut)) == 1
    left, top, right, bottom = candidates[0].box_px
    around = [c.box_px for c in candidates if c.box_px[0] < left and c.box_px[1] < top]
    assert any(box[2] > right and box[3] > bottom for box in around)


def test_as_many_candidates_of_the_size_as_were_asked_for(locator, astronaut):
    candidates = locator.candidates(astronaut, most=20, least_px=20.0)
    few = locator.candidates(astronaut, most=2, least_px=20.0)
    assert [c.box_px for c in few] == [c.box_px for c in candidates[:2]]
    large = locator.candidates(astronaut, most=20, least_px=60.0)
    assert [c.box_px for c in large] == [c.box_px for c in candidates if _side(c) >= 60.0]
    assert 0 < len(large) < len(candidates)


def test_there_is_no_candidate_in_an_even_picture(locator):
    assert locator.candidates(np.full((90, 120, 3), 128, np.uint8), most=9, least_px=0.0) == []


def test_only_the_network_offers_candidates(locator):
    assert isinstance(locator, CandidateLocator)
    assert not issubclass(YuNetLocator, CandidateLocator)


def _side(face) -> float:
    left, top, right, bottom = face.box_px
    return float(np.sqrt((right - left) * (bottom - top)))
