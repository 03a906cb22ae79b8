"""Writes one face as a result folder; its files are described in ``docs/results.md``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from facelume.io.arrays import save_arrays, shorten_mantissa
from facelume.io.glb import RiggedFace, encode_glb
from facelume.io.obj import save_obj
from facelume.io.picture import encode_srgb, quantise, save_png
from facelume.io.ply import save_ply, vertex_colours
from facelume.io.result_folder import SCHEMA_VERSION, publish, write_manifest
from facelume.metrics import ImageFidelity
from facelume.pipeline.face_result import FaceResult
from facelume.pipeline.previews import draw_overlay, draw_preview
from facelume.version import __version__

RESULT_FILES = (
    *("result.json", "params.npz", "illumination.npz", "mesh.glb", "mesh.obj", "mesh.mtl", "mesh.ply"),
    *("input_crop.png", "render_detail.png", "render_coarse.png", "render_albedo.png", "face_mask.png"),
    *("albedo.png", "albedo_prior.png", "texture.png", "confidence.png", "shading.png"),
    *("overlay.png", "preview.png"),
)
"""Every file of a whole result folder."""

SOURCE_FILES = ("mesh_source.obj", "mesh_source.mtl", "albedo_source.png")
"""Further files of a face on its model's own mesh."""


def save_result(face: FaceResult, target: Path, *, meshes: bool, overwrite: bool) -> Path:
    """Writes the folder atomically, see ``Reconstruction.save``."""

    def fill(folder: Path) -> None:
        started = time.perf_counter()
        with torch.inference_mode():
            _save_pictures(face, folder)
            _save_maps(face, folder)
            _save_parameters(face, folder)
            if meshes:
                _save_meshes(face, folder)
                overlay = draw_overlay(face)
                save_png(folder / "overlay.png", overlay)
                save_png(folder / "preview.png", draw_preview(face, overlay))
        document = manifest(face)
        document["timings_s"]["export"] = round(time.perf_counter() - started, 4)
        write_manifest(folder, document)

    publish(target, fill, overwrite=overwrite)
    return target


def manifest(face: FaceResult) -> dict[str, Any]:
    """The content of ``result.json``."""
    camera = face.camera
    return {
        "schema_version": SCHEMA_VERSION,
        "package_version": __version__,
        "weights": dict(face.weights),
        "input": {
            "path": face.photo.path,
            "sha256": face.photo.sha256,
            "size": list(face.photo.size_px),
            "face_index": face.photo.face_index,
            "num_faces": face.photo.num_faces,
        },
        "face_model": face.posed.model.name,
        "face_model_sha256": face.posed.model.asset_sha256,
        "face_model_from_open": list(face.posed.model.from_open),
        "uv_size": face.albedo.shape[0],
        "crop": {"photo_from_crop": face.crop.photo_from_crop.tolist()},
        "camera": {
            "focal_px": camera.focal_px,
            "principal_point_px": list(camera.principal_point_px),
            "cam_from_model": camera.cam_from_model.tolist(),
        },
        "light_coarse": _rounded(face.light_coarse),
        "coefficients": {name: _rounded(values) for name, values in face.coefficients.items()},
        "landmarks_px": {name: _rounded(points, 3) for name, points in face.landmarks_px.items()},
        "metrics": fidelity_document(face.metrics),
        "timings_s": {stage: round(seconds, 4) for stage, seconds in face.timings_s.items()},
        "warnings": list(face.warnings),
    }


def fidelity_document(metrics: Mapping[str, ImageFidelity]) -> dict[str, Any]:
    """Metrics as ``result.json`` holds them; ``null`` where no pixel counts."""
    return {
        name: {
            key: (round(value, 6) if np.isfinite(value) else None)
            for key, value in (("l1", fidelity.l1), ("psnr_db", fidelity.psnr_db), ("ssim", fidelity.ssim))
        }
        for name, fidelity in metrics.items()
    }


def _save_pictures(face: FaceResult, folder: Path) -> None:
    save_png(folder / "input_crop.png", face.photo.input_crop)
    save_png(folder / "render_detail.png", face.render_detail)
    save_png(folder / "render_coarse.png", face.render_coarse)
    save_png(folder / "render_albedo.png", face.render_albedo)
    save_png(folder / "face_mask.png", face.face_mask.astype(np.uint8) * 255)


def _save_maps(face: FaceResult, folder: Path) -> None:
    maps = face.maps
    save_png(folder / "albedo.png", encode_srgb(maps.albedo))
    save_png(folder / "albedo_prior.png", encode_srgb(maps.albedo_prior))
    seen = quantise(maps.visibility)[..., None]
    save_png(folder / "texture.png", np.concatenate([encode_srgb(maps.texture) * (seen > 0), seen], axis=-1))
    save_png(folder / "confidence.png", quantise(maps.confidence))
    save_png(folder / "shading.png", face.shading_picture)
    light = {"sh_radiance": shorten_mantissa(maps.illumination), "coarse": face.light_coarse}
    save_arrays(folder / "illumination.npz", light)


def _save_parameters(face: FaceResult, folder: Path) -> None:
    arrays = {
        "light_coarse": face.light_coarse,
        "photo_from_crop": face.crop.photo_from_crop,
        "cam_from_model": face.camera.cam_from_model,
        "parsing": face.parsing.astype(np.float32),
    }
    save_arrays(folder / "params.npz", arrays | face.coefficients)


def _save_meshes(face: FaceResult, folder: Path) -> None:
    posed = face.posed
    albedo_srgb = encode_srgb(face.albedo)
    face_part = posed.model.topology.face_part.numpy(force=True).astype(np.int64)
    (folder / "mesh.glb").write_bytes(encode_glb(rig(face, albedo_srgb)))
    normals = posed.normals(posed.vertices)
    save_obj(folder / "mesh.obj", face.mesh, normals, face_part, "albedo.png")
    save_ply(folder / "mesh.ply", face.mesh, normals, vertex_colours(face.mesh, albedo_srgb))
    own = face.source_mesh
    if own is not None:
        save_obj(folder / "mesh_source.obj", own.mesh, own.normals, own.face_part, "albedo_source.png")
        save_png(folder / "albedo_source.png", encode_srgb(own.albedo))


def rig(face: FaceResult, albedo_srgb: UInt8[np.ndarray, "S S 3"]) -> RiggedFace:
    """The neutral face with one morph target per expression of the model, at the photo's weights."""
    posed = face.posed
    names = tuple(posed.model.expression_names)
    units = torch.eye(len(names), dtype=posed.expression.dtype, device=posed.expression.device)
    identity = posed.identity.expand(len(names), -1)
    targets = posed.model.shape(identity, units)
    neutral = posed.neutral_vertices
    return RiggedFace(
        neutral=posed.mesh(neutral),
        normals=posed.normals(neutral),
        face_part=posed.model.topology.face_part.numpy(force=True).astype(np.int64),
        target_names=names,
        target_deltas=(targets - neutral).numpy(force=True).astype(np.float32),
        target_normals=posed.normals(targets),
        weights=posed.expression.numpy(force=True).astype(np.float32),
        albedo_srgb=albedo_srgb,
    )


def _rounded(values: Float[np.ndarray, "*shape"], digits: int = 6) -> list[Any]:
    return np.round(values.astype(np.float64), digits).tolist()
