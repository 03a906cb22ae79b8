"""The result folder of the contract, read back with nothing of facelume but its face model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib
import pytest
import torch
import trimesh
from PIL import Image

from facelume.camera import CROP_CAMERA, cam_from_pose, transform_points
from facelume.face_model import load_open_face_model
from facelume.illumination import irradiance
from facelume.pipeline import Reconstruction, Reconstructor

_FILES = {
    *("result.json", "params.npz", "illumination.npz", "mesh.glb", "mesh.obj", "mesh.mtl", "mesh.ply"),
    *("input_crop.png", "render_detail.png", "render_coarse.png", "render_albedo.png", "face_mask.png"),
    *("albedo.png", "albedo_prior.png", "texture.png", "confidence.png", "shading.png"),
    *("overlay.png", "preview.png"),
}


@pytest.fixture(scope="module")
def manifest(result: Path) -> dict[str, Any]:
    return json.loads((result / "result.json").read_text())


def _pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_files_sizes_and_modes(result: Path) -> None:
    assert {path.name for path in result.iterdir()} == _FILES
    for name in ("input_crop", "render_detail", "render_coarse", "render_albedo"):
        assert _pixels(result / f"{name}.png").shape == (224, 224, 3)
    assert set(np.unique(_pixels(result / "face_mask.png"))) == {0, 255}
    for name, shape in (("albedo", (256, 256, 3)), ("texture", (256, 256, 4)), ("confidence", (256, 256))):
        assert _pixels(result / f"{name}.png").shape == shape
    assert _pixels(result / "shading.png").shape == (256, 256, 3)
    with np.load(result / "illumination.npz", allow_pickle=False) as light:
        assert light["sh_radiance"].shape == (256, 256, 9, 3)
        assert light["sh_radiance"].dtype == np.float32
        assert light["coarse"].shape == (9, 3)


def test_manifest_has_every_name_of_the_contract(manifest: dict[str, Any], astronaut: Path) -> None:
    names = {
        *("schema_version", "package_version", "weights", "input", "face_model", "crop", "camera"),
        *("light_coarse", "coefficients", "landmarks_px", "metrics", "timings_s", "warnings"),
    }
    assert names <= manifest.keys()
    assert manifest["input"]["size"] == [512, 512]
    assert manifest["input"]["path"] == str(astronaut)
    assert len(manifest["input"]["sha256"]) == 64
    assert manifest["face_model"] == "open"
    # Locator, prior, refiner and tone.
    assert len(manifest["weights"]) == 4
    assert all(len(sha256) == 64 for sha256 in manifest["weights"].values())
    assert np.shape(manifest["crop"]["photo_from_crop"]) == (2, 3)
    assert np.shape(manifest["camera"]["cam_from_model"]) == (4, 4)
    assert manifest["camera"]["focal_px"] == 1015.0
    assert manifest["camera"]["principal_point_px"] == [112.0, 112.0]
    assert np.shape(manifest["light_coarse"]) == (9, 3)
    assert np.shape(manifest["landmarks_px"]["ibug68"]) == (68, 2)
    assert np.shape(manifest["landmarks_px"]["mediapipe478"]) == (478, 2)
    assert set(manifest["metrics"]) == {"detail", "coarse"}
    assert {"l1", "psnr_db", "ssim"} == set(manifest["metrics"]["detail"])


def test_crop_is_the_canonical_one(manifest: dict[str, Any]) -> None:
    photo_from_crop = np.array(manifest["crop"]["photo_from_crop"])
    points = np.array(manifest["landmarks_px"]["mediapipe478"])[:468]
    in_crop = np.linalg.solve(photo_from_crop[:, :2], (points - photo_from_crop[:, 2]).T).T
    low, high = in_crop.min(axis=0), in_crop.max(axis=0)
    np.testing.assert_allclose((low + high) / 2, 112, atol=0.02)
    assert np.sqrt(np.prod(high - low)) == pytest.approx(150, abs=0.02)


def test_landmarks_are_projections_of_the_saved_mesh(result: Path, manifest: dict[str, Any]) -> None:
    model = load_open_face_model()
    mesh = trimesh.load(result / "mesh.ply", process=False)
    vertices = torch.from_numpy(np.array(mesh.vertices, np.float32))
    matrix = torch.tensor(manifest["camera"]["cam_from_model"], dtype=torch.float32)
    photo_from_crop = np.array(manifest["crop"]["photo_from_crop"])
    for name, embedding in (("ibug68", model.landmarks68), ("mediapipe478", model.landmarks478)):
        points = model.points_on_surface(vertices, embedding)
        in_crop = CROP_CAMERA.project(transform_points(matrix, points)).numpy()
        in_photo = in_crop @ photo_from_crop[:, :2].T + photo_from_crop[:, 2]
        np.testing.assert_allclose(in_photo, manifest["landmarks_px"][name], atol=0.02)


def test_landmarks_are_on_the_face(manifest: dict[str, Any]) -> None:
    # Pupils and upper lip of the astronaut, read off the photo by eye.
    points = np.array(manifest["landmarks_px"]["mediapipe478"])
    for index, place in ((468, (204.5, 101)), (473, (247.5, 103)), (13, (221, 143.5))):
        assert np.linalg.norm(points[index] - place) < 4


def test_parameters_give_the_saved_pose(result: Path, manifest: dict[str, Any]) -> None:
    with np.load(result / "params.npz", allow_pickle=False) as params:
        pose = torch.from_numpy(params["pose"])
        assert params["identity"].shape == (80,)
        assert params["expression"].shape == (52,)
        assert params["albedo"].shape == (80,)
        expression = params["expression"]
    assert expression.min() >= 0
    assert expression.max() <= 1
    np.testing.assert_allclose(cam_from_pose(pose).numpy(), manifest["camera"]["cam_from_model"], atol=1e-5)


def test_renderings_are_black_outside_one_mask_and_inside_it_they_differ(result: Path) -> None:
    albedo = _pixels(result / "render_albedo.png")
    shown = albedo.max(axis=-1) > 0
    assert 0.15 < shown.mean() < 0.6
    for name in ("render_detail", "render_coarse"):
        pixels = _pixels(result / f"{name}.png")
        assert (pixels[~shown] == 0).all()
    assert not shown[_pixels(result / "face_mask.png") == 0].all()
    assert shown[_pixels(result / "face_mask.png") == 255].all()


def test_metrics_are_those_of_the_saved_pictures(result: Path, manifest: dict[str, Any]) -> None:
    mask = _pixels(result / "face_mask.png") == 255
    photo = _pixels(result / "input_crop.png")[mask] / 255.0
    for name in ("detail", "coarse"):
        rendering = _pixels(result / f"render_{name}.png")[mask] / 255.0
        metrics = manifest["metrics"][name]
        assert np.abs(rendering - photo).mean() == pytest.approx(metrics["l1"], abs=1e-5)
        psnr = -10 * np.log10(np.mean((rendering - photo) ** 2))
        assert psnr == pytest.approx(metrics["psnr_db"], abs=1e-3)


def test_shading_is_clipped_irradiance(face: Reconstruction, result: Path) -> None:
    texture = _pixels(result / "shading.png")
    received = face.posed.irradiance_map(face.illumination, 256)
    row, column = 150, 128
    expected = np.clip(received[row, column] / (2 * np.pi), 0, 1)
    encoded = np.where(expected <= 0.0031308, 12.92 * expected, 1.055 * expected ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(texture[row, column] / 255, encoded, atol=1 / 255)
    # The light of that texel, at some normal, gives this irradiance: the map is no texel off.
    light = torch.tensor(face.illumination[row, column])
    directions = torch.nn.functional.normalize(torch.randn(4000, 3, generator=torch.manual_seed(0)), dim=1)
    possible = irradiance(light, directions).numpy()
    assert np.linalg.norm(possible - received[row, column], axis=1).min() < 0.1 * np.linalg.norm(
        received[row, column]
    )


def test_texture_shows_the_photo_where_it_is_seen(face: Reconstruction, result: Path) -> None:
    texture = _pixels(result / "texture.png")
    seen = texture[..., 3] > 250
    assert 0.1 < seen.mean() < 0.9
    assert (texture[texture[..., 3] == 0][:, :3] == 0).all()
    crop_mean = _pixels(result / "input_crop.png")[_pixels(result / "face_mask.png") == 255].mean(axis=0)
    assert np.abs(texture[seen][:, :3].mean(axis=0) - crop_mean).max() < 25


def test_glb_carries_the_rig(face: Reconstruction, result: Path) -> None:
    document = pygltflib.GLTF2.load(result / "mesh.glb")
    mesh = document.meshes[0]
    assert mesh.extras["targetNames"] == list(face.posed.model.expression_names)
    assert len(mesh.weights) == 52
    np.testing.assert_allclose(mesh.weights, face.coefficients["expression"], atol=1e-6)
    assert {material.name for material in document.materials} == {"skin", "eyes", "mouth"}
    scene = trimesh.load(result / "mesh.glb")
    extent = scene.bounds[1] - scene.bounds[0]
    assert 0.2 < extent[1] < 0.45
    assert 0.12 < extent[0] < 0.3


def test_khronos_validator_finds_nothing(result: Path, gltf_issues: Callable[[Path], dict]) -> None:
    issues = gltf_issues(result / "mesh.glb")
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]


def test_glb_stays_small_at_uv_1024(astronaut: Path) -> None:
    from facelume.io.glb import encode_glb
    from facelume.io.picture import encode_srgb
    from facelume.pipeline.result_files import rig

    face = Reconstructor(uv_size=1024).reconstruct(astronaut)
    assert face.albedo.shape == (1024, 1024, 3)
    assert len(encode_glb(rig(face, encode_srgb(face.albedo)))) <= 8_000_000


def test_obj_and_ply_agree(result: Path, face: Reconstruction) -> None:
    ply = trimesh.load(result / "mesh.ply", process=False)
    obj_vertices = np.array(
        [
            line.split()[1:]
            for line in (result / "mesh.obj").read_text().splitlines()
            if line.startswith("v ")
        ],
        dtype=float,
    )
    np.testing.assert_allclose(obj_vertices, ply.vertices, atol=2e-6)
    np.testing.assert_allclose(ply.vertices, face.mesh.vertices, atol=1e-6)


def test_overlay_and_preview_are_pictures_to_look_at(result: Path, astronaut: Path) -> None:
    overlay, photo = _pixels(result / "overlay.png"), np.asarray(Image.open(astronaut).convert("RGB"))
    changed = np.abs(overlay.astype(int) - photo).max(axis=-1) > 12
    rows, columns = np.nonzero(changed)
    assert columns.min() > 150
    assert columns.max() < 300
    assert rows.min() > 40
    assert rows.max() < 200
    assert min(_pixels(result / "preview.png").shape[:2]) > 800
