"""``evaluate`` on a head of known landmarks and albedo, against figures worked out here by other means."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import rgb2lab

from facelume.cli import main
from facelume.errors import AssetError
from facelume.evaluation import EvaluationOptions, evaluate
from facelume.evaluation.measure import measure_result
from facelume.evaluation.references import AlbedoTruth
from facelume.face_model import load_open_face_model
from facelume.illumination import light_presets, unit_light
from facelume.io.picture import decode_srgb, encode_srgb
from facelume.pipeline import Reconstructor, read_result
from facelume.pipeline.posed_face import PosedFace, light_tensor
from facelume.raster import render
from facelume.types import FaceDetection

_HEAD_PX = 448
_PHOTO_SIZE = (560, 500)  # width and height
_CORNER = (70, 30)  # where the head's picture lies in the photo: x and y


@dataclass(frozen=True)
class KnownHead:
    """A rendered head in the corner of a photo, with what is known about it."""

    photo: np.ndarray
    landmarks_px: np.ndarray
    truth: AlbedoTruth


def _in_photo(picture: np.ndarray, background: float) -> np.ndarray:
    width, height = _PHOTO_SIZE
    photo = np.full((height, width, *picture.shape[2:]), background, picture.dtype)
    photo[_CORNER[1] : _CORNER[1] + _HEAD_PX, _CORNER[0] : _CORNER[0] + _HEAD_PX] = picture
    return photo


@pytest.fixture(scope="module")
def known() -> KnownHead:
    model = load_open_face_model()
    generator = torch.Generator().manual_seed(7)
    identity = 0.5 * torch.randn(model.num_identity, generator=generator)
    pose = torch.tensor([0.05, 0.2, 0.0, 0.0, 0.01, 1.3])
    head = PosedFace(model, identity, torch.zeros(model.num_expression), pose)
    albedo = model.albedo_map(model.albedo.example_coeffs[:1], size=512)
    buffers = head.buffers(_HEAD_PX)
    lit = render(buffers, albedo, light_tensor(light_presets()["left"].sh_radiance.numpy(), pose))
    image = torch.where(buffers.mask[:, None], lit, torch.tensor([0.1, 0.12, 0.15])[:, None, None])
    unlit = render(buffers, albedo, light_tensor(unit_light(), pose))
    skin = buffers.face_mask[0].numpy() & (buffers.part[0].numpy() == 0)
    # Beyond the mask the truth is absurd: whoever counts a pixel there gets an absurd error.
    truth = np.where(skin[..., None], unlit[0].permute(1, 2, 0).numpy(), 5.0)
    return KnownHead(
        photo=_in_photo(encode_srgb(image[0].permute(1, 2, 0).numpy()), 60),
        landmarks_px=head.landmarks_crop_px() * (_HEAD_PX / 224) + _CORNER,
        truth=AlbedoTruth(_in_photo(truth.astype(np.float32), 5.0), _in_photo(skin, False)),
    )


def _write_set(folder: Path, heads: dict[str, KnownHead]) -> None:
    for name in ("images", "albedo"):
        (folder / name).mkdir(parents=True)
    for name, head in heads.items():
        Image.fromarray(head.photo).save(folder / "images" / name)
        arrays = {"albedo_linear": head.truth.albedo_linear, "mask": head.truth.mask}
        np.savez(folder / "albedo" / f"{Path(name).stem}.npz", **arrays)
    points = [np.concatenate([head.landmarks_px, np.zeros((478, 1))], axis=1) for head in heads.values()]
    points_16ths = np.rint(np.stack(points) * 16).astype(np.int16)
    np.savez(folder / "landmarks.npz", names=np.array(list(heads)), points=points_16ths)


@dataclass(frozen=True)
class Evaluation:
    """One run of ``evaluate`` on a set with truth, a set of bare photos, and photos that fail."""

    out: Path
    summary: dict[str, Any]
    rows: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def reconstructor() -> Reconstructor:
    return Reconstructor()


@pytest.fixture(scope="module")
def data(known: KnownHead, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    _write_set(folder / "known", {"head.png": known})
    images = folder / "bare" / "images"
    images.mkdir(parents=True)
    photo = Image.fromarray(known.photo)
    photo.save(images / "animation.gif")
    photo.save(images / "portable.ppm")
    Image.new("RGB", (200, 160), (90, 120, 90)).save(images / "meadow.png")
    photo.save(images / "a_cut.jpg")
    (images / "a_cut.jpg").write_bytes((images / "a_cut.jpg").read_bytes()[:9000])
    (images / "notes.txt").write_text("not a photo")
    return folder


@pytest.fixture(scope="module")
def evaluation(
    data: Path, reconstructor: Reconstructor, tmp_path_factory: pytest.TempPathFactory
) -> Evaluation:
    out = tmp_path_factory.mktemp("out")
    calls: list[tuple[int, int]] = []
    summary = evaluate(
        data,
        out,
        EvaluationOptions(),
        reconstructor=reconstructor,
        on_photo=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(done, 5) for done in range(1, 6)]
    rows = [json.loads(line) for line in (out / "photos.jsonl").read_text().splitlines()]
    return Evaluation(out, summary, {row["name"]: row for row in rows})


def _result(evaluation: Evaluation) -> Path:
    return evaluation.out / "results" / "known" / "head"


def _pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def _error(albedo: np.ndarray, truth: np.ndarray, counted: np.ndarray) -> float:
    """RMS after the best common factor, divided by the mean truth; the factor by a general solver."""
    estimate, expected = albedo[counted].astype(float).ravel(), truth[counted].astype(float).ravel()
    gain = np.linalg.lstsq(estimate[:, None], expected, rcond=None)[0][0]
    return float(np.sqrt(np.mean((gain * estimate - expected) ** 2)) / expected.mean())


def _ita_deg(colour_linear: np.ndarray) -> float:
    encoded = np.where(
        colour_linear <= 0.0031308, 12.92 * colour_linear, 1.055 * colour_linear ** (1 / 2.4) - 0.055
    )
    lightness, _, yellow = rgb2lab(encoded[None, None])[0, 0]
    return float(np.degrees(np.arctan2(lightness - 50, yellow)))


def _truth_by_pillow(known: KnownHead, photo_from_crop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Truth and mask in the crop; Pillow's matrix takes a crop pixel to a photo pixel, centres at +0.5."""

    def moved(plane: np.ndarray) -> np.ndarray:
        image = Image.fromarray(plane.astype(np.float32))
        matrix = photo_from_crop.ravel().tolist()
        turned = image.transform((224, 224), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
        return np.asarray(turned)

    planes = [moved(known.truth.albedo_linear[..., c]) for c in range(3)]
    return np.stack(planes, axis=-1), moved(known.truth.mask) > 0.999


def test_the_summary_has_the_figures_of_the_photos(evaluation: Evaluation) -> None:
    summary = evaluation.summary
    assert summary == json.loads((evaluation.out / "summary.json").read_text())
    assert summary.keys() == {"all", "sets", "failures", "run"}
    known, bare = summary["sets"]["known"], summary["sets"]["bare"]
    assert known.keys() == {
        *("photos", "failed", "found_share", "nme", "seconds", "mask_share", "skin_share"),
        *("detail", "coarse", "detail_light_64", "albedo", "skin", "skin_of_photo", "hue_beyond_3sd"),
        *("tie_break", "ita_classes", "ita_bias"),
    }
    assert known["albedo"].keys() == {
        *(
            "error",
            "error_of_photo",
            "error_of_one_colour",
            "error_of_prior",
            "covered_share",
            "ita_error_deg",
            "absolute_error",
            "absolute_error_of_photo",
            "ita_error_of_photo_deg",
            "ita_difference_deg",
            "ita_difference_of_photo_deg",
            "hue_distance_sd",
            "hue_distance_of_truth_sd",
            "coarse_psnr_db",
            "coarse_psnr_of_truth_db",
        )
    }
    assert known["detail"].keys() == {"l1", "psnr_db", "ssim"}
    assert {"nme", "albedo", "tie_break", "ita_classes", "ita_bias"}.isdisjoint(bare)
    row = evaluation.rows["head.png"]
    assert (known["nme"]["count"], known["nme"]["mean"]) == (1, row["nme"])
    assert known["albedo"]["error"]["median"] == row["albedo"]["error"]
    found = [
        evaluation.rows[name]["detail"]["psnr_db"] for name in ("head.png", "animation.gif", "portable.ppm")
    ]
    assert summary["all"]["detail"]["psnr_db"]["count"] == 3
    assert summary["all"]["detail"]["psnr_db"]["mean"] == pytest.approx(np.mean(found))
    assert summary["run"]["peak_memory_bytes"] > 100_000_000


def test_a_photo_without_a_face_is_not_one_that_cannot_be_read(evaluation: Evaluation, data: Path) -> None:
    bare, everyone = evaluation.summary["sets"]["bare"], evaluation.summary["all"]
    assert (bare["photos"], bare["failed"], bare["found_share"]) == (4, 1, pytest.approx(2 / 3))
    assert (everyone["photos"], everyone["failed"], everyone["found_share"]) == (5, 1, pytest.approx(3 / 4))
    (failure,) = evaluation.summary["failures"]
    assert (failure["set"], failure["name"]) == ("bare", "a_cut.jpg")
    assert "damaged" in failure["error"]
    assert evaluation.rows["meadow.png"]["found"] is False
    assert "no face" in evaluation.rows["meadow.png"]["error"]
    assert evaluation.rows["a_cut.jpg"]["found"] is None
    left_out = f"{data / 'bare' / 'images'}: 1 of 5 files are left out (.txt)"
    assert evaluation.summary["run"]["left_out"] == [left_out]


def test_landmark_error_is_that_of_the_result(evaluation: Evaluation, known: KnownHead) -> None:
    row = evaluation.rows["head.png"]
    found = np.array(
        json.loads((_result(evaluation) / "result.json").read_text())["landmarks_px"]["mediapipe478"]
    )
    expected = np.rint(known.landmarks_px * 16) / 16
    size = np.sqrt(np.prod(np.ptp(expected[:468], axis=0)))
    distances = np.hypot(*(found[:468] - expected[:468]).T)
    assert row["nme"] == pytest.approx(distances.mean() / size, rel=1e-4)
    assert 0.002 < row["nme"] < 0.035
    assert row["found"] is True
    assert 0.8 < row["box_iou"] < 1


def test_fidelity_is_that_of_the_pictures_inside_the_face_mask(evaluation: Evaluation) -> None:
    row, folder = evaluation.rows["head.png"], _result(evaluation)
    mask = _pixels(folder / "face_mask.png") == 255
    assert row["mask_share"] == pytest.approx(mask.mean())
    assert 0.1 < mask.mean() < 0.6
    photo = _pixels(folder / "input_crop.png") / 255.0
    for name in ("detail", "coarse"):
        difference = (_pixels(folder / f"render_{name}.png") / 255.0 - photo)[mask]
        assert row[name]["l1"] == pytest.approx(np.abs(difference).mean(), rel=1e-4)
        assert row[name]["psnr_db"] == pytest.approx(-10 * np.log10(np.mean(difference**2)), abs=1e-3)
        assert 0.5 < row[name]["ssim"] <= 1
    # A light without its fine detail fits the photo a little worse, if at all.
    assert row["detail"]["psnr_db"] - 3 < row["detail_light_64"]["psnr_db"] < row["detail"]["psnr_db"] + 0.1


def test_the_coarse_light_is_judged_on_our_albedo_and_on_the_true_one(
    evaluation: Evaluation, known: KnownHead
) -> None:
    row, folder = evaluation.rows["head.png"]["albedo"], _result(evaluation)
    crop = json.loads((folder / "result.json").read_text())["crop"]
    truth, inside = _truth_by_pillow(known, np.array(crop["photo_from_crop"]))
    albedo, coarse, photo = (
        decode_srgb(_pixels(folder / name)).astype(float)
        for name in ("render_albedo.png", "render_coarse.png", "input_crop.png")
    )
    counted = inside & (albedo.sum(axis=-1) > 0)
    light = coarse[counted] / np.maximum(albedo[counted], 0.01)
    for name, reflecting in (("coarse_psnr_db", albedo), ("coarse_psnr_of_truth_db", truth)):
        shown, seen = reflecting[counted] * light, photo[counted]
        best = [np.linalg.lstsq(shown[:, c : c + 1], seen[:, c], rcond=None)[0][0] for c in range(3)]
        error = encode_srgb((shown * best)[None]) / 255.0 - encode_srgb(seen[None]) / 255.0
        assert row[name] == pytest.approx(-10 * np.log10(np.mean(error**2)), abs=0.1)


def test_albedo_errors_are_those_of_the_pictures_where_the_truth_counts(
    evaluation: Evaluation, known: KnownHead
) -> None:
    row, folder = evaluation.rows["head.png"]["albedo"], _result(evaluation)
    crop = json.loads((folder / "result.json").read_text())["crop"]
    truth, inside = _truth_by_pillow(known, np.array(crop["photo_from_crop"]))
    albedo = decode_srgb(_pixels(folder / "render_albedo.png"))
    counted = inside & (albedo.sum(axis=-1) > 0)
    assert counted.sum() > 5000
    assert row["error"] == pytest.approx(_error(albedo, truth, counted), rel=5e-3)
    photo = decode_srgb(_pixels(folder / "input_crop.png"))
    assert row["error_of_photo"] == pytest.approx(_error(photo, truth, counted), rel=5e-3)
    one_colour = np.broadcast_to(truth[counted].mean(axis=0), truth.shape)
    assert row["error_of_one_colour"] == pytest.approx(_error(one_colour, truth, counted), rel=5e-3)
    assert row["covered_share"] == pytest.approx(counted.sum() / inside.sum(), abs=5e-3)
    # A pixel row of the absurd truth beyond the mask would bring any of them far above 1.
    # How good the albedo is, the benchmark says: here it need only be better than the photo.
    assert row["error_of_one_colour"] < row["error_of_photo"]
    assert 0.01 < row["error"] < row["error_of_photo"] < 0.6
    assert 0.95 < row["covered_share"] <= 1
    angles = [_ita_deg(picture[counted].mean(axis=0)) for picture in (albedo, truth)]
    assert row["ita_error_deg"] == pytest.approx(abs(angles[0] - angles[1]), rel=5e-3)
    assert row["ita_difference_deg"] == pytest.approx(angles[0] - angles[1], rel=5e-3)
    for name, picture in (("", albedo), ("_of_photo", photo)):
        difference = (picture - truth)[counted].astype(float)
        expected = np.sqrt(np.mean(difference**2)) / truth[counted].mean()
        assert row[f"absolute_error{name}"] == pytest.approx(expected, rel=5e-3)
    tone = evaluation.rows["head.png"]["tone"]
    for who, picture in (("ours", albedo), ("truth", truth), ("photo", photo)):
        red, green, blue = picture[counted].mean(axis=0)
        hues = (np.log(red / green), np.log(green / blue))
        assert (tone[who]["log_rg"], tone[who]["log_gb"]) == pytest.approx(hues, abs=3e-3)


def test_the_prior_is_measured_like_the_result(
    evaluation: Evaluation, known: KnownHead, tmp_path: Path
) -> None:
    folder = _with_albedo(evaluation, tmp_path, None)
    saved = read_result(folder)
    prior = saved.posed.render(decode_srgb(_pixels(folder / "albedo_prior.png")), unit_light())
    Image.fromarray(encode_srgb(prior)).save(folder / "render_albedo.png")
    expected = measure_result(folder, None, known.truth)["albedo"]["error"]
    assert evaluation.rows["head.png"]["albedo"]["error_of_prior"] == pytest.approx(expected, rel=0.02)


def _with_albedo(evaluation: Evaluation, place: Path, albedo_linear: np.ndarray | None) -> Path:
    """A copy of the result with another unlit picture."""
    folder = place / "copy"
    shutil.copytree(_result(evaluation), folder)
    if albedo_linear is not None:
        Image.fromarray(encode_srgb(albedo_linear)).save(folder / "render_albedo.png")
    return folder


@pytest.mark.parametrize("gain", [1.0, 0.4])
def test_a_perfect_albedo_scores_nothing_whatever_its_brightness(
    evaluation: Evaluation, known: KnownHead, tmp_path: Path, gain: float
) -> None:
    crop = json.loads((_result(evaluation) / "result.json").read_text())["crop"]
    truth, inside = _truth_by_pillow(known, np.array(crop["photo_from_crop"]))
    perfect = np.where(inside[..., None], truth, 0.0)
    folder = _with_albedo(evaluation, tmp_path, gain * perfect)
    figures = measure_result(folder, None, known.truth)["albedo"]
    assert figures["error"] < 0.01  # what eight bits leave
    assert figures["covered_share"] == pytest.approx(1, abs=0.01)
    assert (figures["ita_error_deg"] < 0.5) == (gain == 1)
    assert figures["error_of_photo"] > 0.1


def test_an_albedo_a_few_pixels_off_is_noticed(
    evaluation: Evaluation, known: KnownHead, tmp_path: Path
) -> None:
    crop = json.loads((_result(evaluation) / "result.json").read_text())["crop"]
    truth, inside = _truth_by_pillow(known, np.array(crop["photo_from_crop"]))
    moved = np.roll(np.where(inside[..., None], truth, 0.0), 4, axis=1)
    figures = measure_result(_with_albedo(evaluation, tmp_path, moved), None, known.truth)["albedo"]
    assert figures["error"] > 0.03
    assert figures["covered_share"] < 0.99


class _BrokenAsset:
    """A face locator whose weights are damaged."""

    def locate(self, photo_srgb: np.ndarray) -> Sequence[FaceDetection]:
        raise AssetError("the weights of this locator are damaged; reinstall them")


def test_a_damaged_asset_ends_the_run(data: Path, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="damaged"):
        evaluate(data, tmp_path, EvaluationOptions(), reconstructor=Reconstructor(locator=_BrokenAsset()))
    assert not (tmp_path / "summary.json").exists()


def test_truth_that_does_not_fit_its_photo_is_a_failure_and_no_figure(
    known: KnownHead, reconstructor: Reconstructor, tmp_path: Path
) -> None:
    _write_set(tmp_path / "set", {"head.png": known})
    narrow = {"albedo_linear": known.truth.albedo_linear[:, :-1], "mask": known.truth.mask[:, :-1]}
    np.savez(tmp_path / "set" / "albedo" / "head.npz", **narrow)
    out = tmp_path / "out"
    summary = evaluate(tmp_path / "set", out, EvaluationOptions(), reconstructor=reconstructor)
    assert "559 x 500 pixels, its photo 560 x 500" in summary["failures"][0]["error"]
    assert summary["all"]["found_share"] is None


def test_from_the_command_line(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--data", str(data), "--out", str(tmp_path), "--limit", "2"]) == 1
    captured = capsys.readouterr()
    assert captured.out.strip() == str(tmp_path / "summary.json")
    assert "1 of 5 files are left out (.txt)" in captured.err
    assert "a_cut.jpg: damaged or truncated" in captured.err
    assert main(["evaluate", "--data", str(data / "known"), "--out", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["all"]["found_share"] == 1
