"""Rendering again: from memory, from a folder, with other lights and albedos."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facelume.errors import AssetError, UnreadableInputError, UsageError
from facelume.illumination import light_presets, resolve_lamps, resolve_light, turn_light, unit_light
from facelume.io.picture import decode_srgb, encode_srgb
from facelume.pipeline import Reconstruction, read_result, relight, saved_result


def _pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def test_own_light_gives_the_saved_rendering_back(result: Path, tmp_path: Path) -> None:
    relight(result, tmp_path / "own.png")
    assert np.abs(_pixels(tmp_path / "own.png") - _pixels(result / "render_detail.png")).max() <= 2


def test_own_coarse_light_is_one_for_the_whole_face(
    face: Reconstruction, result: Path, tmp_path: Path
) -> None:
    relight(result, tmp_path / "coarse.png", coarse=True)
    expected = encode_srgb(face.posed.render(face.albedo, face.light_coarse)).astype(int)
    assert np.abs(_pixels(tmp_path / "coarse.png") - expected).max() <= 2


def test_every_preset_renders_inside_the_face_front_only(face: Reconstruction) -> None:
    front = face.posed.face_front()
    for name in light_presets():
        picture = face.render(name)
        assert (picture[~front] == 0).all()
        assert 0.02 < picture[front].mean() < 1


def test_unit_light_shows_the_albedo(face: Reconstruction) -> None:
    albedo = face.render(unit_light())
    np.testing.assert_array_equal(encode_srgb(albedo), face.render_albedo)


def test_light_from_the_right_brightens_the_picture_right(face: Reconstruction) -> None:
    light = np.zeros((9, 3), np.float32)
    light[0], light[3] = 2.0, 1.5  # more radiance from +X, picture right
    picture = face.render(light).sum(axis=-1)
    albedo = face.render(unit_light()).sum(axis=-1)
    ratio = np.divide(picture, albedo, out=np.zeros_like(picture), where=albedo > 0)
    assert ratio[:, 112:][albedo[:, 112:] > 0].mean() > 1.3 * ratio[:, :112][albedo[:, :112] > 0].mean()


def test_yaw_moves_frontal_light_to_picture_right(face: Reconstruction) -> None:
    light = np.zeros((9, 3), np.float32)
    light[0], light[2] = 2.0, 1.5
    turned = turn_light(light, np.pi / 2)
    assert turned[3, 0] == pytest.approx(1.5, abs=1e-5)
    assert turned[2, 0] == pytest.approx(0, abs=1e-5)
    np.testing.assert_allclose(face.render(light, yaw_rad=np.pi / 2), face.render(turned), atol=1e-6)


def test_other_results_give_light_and_albedo(face: Reconstruction, result: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(result, other)
    grey = np.full((256, 256, 3), 128, np.uint8)
    Image.fromarray(grey).save(other / "albedo.png")
    light = {"sh_radiance": np.zeros((256, 256, 9, 3), np.float32), "coarse": unit_light()}
    np.savez(other / "illumination.npz", **light)
    relight(result, tmp_path / "a.png", albedo_from=other)
    relight(result, tmp_path / "b.png", light_from=other, coarse=True)
    relight(result, tmp_path / "c.png", light_from=other)
    expected = face.posed.render(decode_srgb(grey), face.illumination)
    assert np.abs(_pixels(tmp_path / "a.png") - encode_srgb(expected)).max() <= 1
    assert np.abs(_pixels(tmp_path / "b.png") - _pixels(result / "render_albedo.png")).max() <= 2
    assert _pixels(tmp_path / "c.png").max() == 0


def test_light_files(face: Reconstruction, result: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "light.npz", sh_radiance=unit_light())
    np.testing.assert_allclose(face.render(tmp_path / "light.npz"), face.render(unit_light()))
    own = face.render(result / "illumination.npz")
    np.testing.assert_allclose(own, face.render(), atol=2e-3)
    header = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 32 +X 64\n"
    (tmp_path / "white.hdr").write_bytes(header + bytes([128, 128, 128, 129] * 2048))
    white = resolve_light(tmp_path / "white.hdr")
    assert np.abs(white[1:]).max() < 1e-2 * white[0].max()


def test_presets_and_environment_maps_cast_shadows_unless_told_not_to(
    face: Reconstruction, result: Path, tmp_path: Path
) -> None:
    header = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 32 +X 64\n"
    (tmp_path / "white.hdr").write_bytes(header + bytes([128, 128, 128, 129] * 2048))
    for light in ("pedestrian_overpass", str(tmp_path / "white.hdr")):
        shadowed, plain = face.render(light), face.render(light, shadows=False)
        np.testing.assert_array_equal(face.render(light, shadows=True), shadowed)
        np.testing.assert_array_equal(plain, face.posed.render(face.albedo, resolve_light(light)))
        assert np.abs(shadowed - plain).max() > 0.02
        for name, options in (("shadowed", {}), ("plain", {"shadows": False}), ("coarse", {"coarse": True})):
            relight(result, tmp_path / f"{name}.png", light=light, **options)
            expected = encode_srgb(shadowed if name == "shadowed" else plain)
            assert np.abs(_pixels(tmp_path / f"{name}.png") - expected).max() <= 2
    turned = face.render("pedestrian_overpass", yaw_rad=1.0)
    again = face.posed.render(face.albedo, turn_light(resolve_lamps("pedestrian_overpass"), 1.0))
    np.testing.assert_array_equal(turned, again)


def test_coefficients_cast_no_shadows_and_say_so(face: Reconstruction, result: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "light.npz", sh_radiance=unit_light())
    for light in (None, unit_light(), tmp_path / "light.npz"):
        with pytest.raises(UsageError, match="whose lamps are known"):
            face.render(light, shadows=True)
        np.testing.assert_array_equal(face.render(light), face.render(light, shadows=False))
    for options in ({}, {"light_from": result}, {"light": str(tmp_path / "light.npz")}):
        with pytest.raises(UsageError, match="whose lamps are known"):
            relight(result, tmp_path / "x.png", shadows=True, **options)
    with pytest.raises(UsageError, match="one light for the whole face"):
        relight(result, tmp_path / "x.png", light="left", coarse=True, shadows=True)


def test_size(face: Reconstruction, result: Path, tmp_path: Path) -> None:
    relight(result, tmp_path / "large.png", size_px=448)
    large = _pixels(tmp_path / "large.png")
    assert large.shape == (448, 448, 3)
    halved = large.reshape(224, 2, 224, 2, 3).mean(axis=(1, 3))
    assert np.abs(halved - _pixels(result / "render_detail.png")).mean() < 3


def test_errors(result: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.png"
    with pytest.raises(UsageError, match="no light named"):
        relight(result, out, light="sunshine")
    with pytest.raises(UsageError, match="both"):
        relight(result, out, light="left", light_from=result)
    with pytest.raises(UsageError, match="not possible"):
        relight(result, out, size_px=0)
    with pytest.raises(UsageError, match="finite"):
        relight(result, out, yaw_rad=float("nan"))
    with pytest.raises(UnreadableInputError, match="not a result"):
        relight(tmp_path, out)
    with pytest.raises(UnreadableInputError):
        relight(result, out, light=str(tmp_path / "absent.hdr"))
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="cannot be written"):
        relight(result, tmp_path / "file" / "x.png")
    with pytest.raises(UsageError, match=r"\(9, 3\)"):
        resolve_light(np.zeros((3, 9), np.float32))


def test_damaged_or_foreign_results_are_refused(result: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(result, damaged)
    (damaged / "params.npz").write_bytes(b"PK broken")
    with pytest.raises(UnreadableInputError, match=r"params\.npz"):
        read_result(damaged)
    foreign = tmp_path / "foreign"
    shutil.copytree(result, foreign)
    manifest = json.loads((foreign / "result.json").read_text())
    manifest["face_model_sha256"] = "0" * 64
    (foreign / "result.json").write_text(json.dumps(manifest))
    with pytest.raises(AssetError, match="another build"):
        read_result(foreign)


def test_cut_off_and_flipped_archives_are_refused(result: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(result, damaged)
    data = (result / "illumination.npz").read_bytes()
    middle = len(data) // 2
    for content in (data[:middle], data[:middle] + bytes(60) + data[middle + 60 :]):
        (damaged / "illumination.npz").write_bytes(content)
        with pytest.raises(UnreadableInputError, match=r"illumination\.npz"):
            read_result(damaged)
        with pytest.raises(UnreadableInputError, match=r"illumination\.npz"):
            resolve_light(damaged / "illumination.npz")


def test_maps_of_another_atlas_are_refused(
    result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    shutil.copytree(result, other)
    own = saved_result.registered_face_model("open")
    models = iter([own, dataclasses.replace(own, atlas_id="another")] * 3)
    monkeypatch.setattr(saved_result, "registered_face_model", lambda _: next(models))
    for option in ({"albedo_from": other}, {"light_from": other}):
        with pytest.raises(UsageError, match="face model"):
            relight(result, tmp_path / "x.png", **option)
    relight(result, tmp_path / "x.png", light_from=other, coarse=True)  # one light fits any face


def test_misleading_requests_are_refused(result: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.png"):
        relight(result, tmp_path / "x.jpg")
    with pytest.raises(UsageError, match="per texel"):
        relight(result, tmp_path / "x.png", light=str(result / "illumination.npz"), coarse=True)
    header = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 32 +X 32\n"
    (tmp_path / "probe.hdr").write_bytes(header + bytes([128, 128, 128, 129] * 1024))
    with pytest.raises(UnreadableInputError, match="twice as wide"):
        relight(result, tmp_path / "x.png", light=str(tmp_path / "probe.hdr"))
