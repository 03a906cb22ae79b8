"""Figures of one finished result folder against what is known about its photo."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image

from facelume.evaluation.references import AlbedoTruth
from facelume.geometry import box_iou, mesh_box
from facelume.illumination import unit_light
from facelume.io.picture import encode_srgb
from facelume.metrics import (
    absolute_error,
    image_fidelity,
    normalised_mean_error,
    psnr_db,
    scale_free_error,
    skin_colour,
)
from facelume.pipeline import Reconstruction
from facelume.reflectance import linear_from_srgb

FOUND_IOU = 0.5
_DARKEST_ALBEDO = 0.01


def _read_srgb(path: Path) -> Float[np.ndarray, "H W 3"]:
    return np.asarray(Image.open(path).convert("RGB"), dtype=np.float32) / 255.0


def _linear(srgb: Float[np.ndarray, "H W 3"]) -> Float[np.ndarray, "H W 3"]:
    return linear_from_srgb(torch.from_numpy(srgb)).numpy()


def truth_in_crop(
    truth: AlbedoTruth, photo_from_crop: Float[np.ndarray, "2 3"], size_px: int
) -> tuple[Float[np.ndarray, "S S 3"], Bool[np.ndarray, "S S"]]:
    """Bring the true albedo into the crop frame, bilinearly; pixels that touch the outside do not count."""
    from scipy.ndimage import map_coordinates

    centres = np.arange(size_px) + 0.5
    x, y = np.meshgrid(centres, centres)
    photo_x = photo_from_crop[0, 0] * x + photo_from_crop[0, 1] * y + photo_from_crop[0, 2] - 0.5
    photo_y = photo_from_crop[1, 0] * x + photo_from_crop[1, 1] * y + photo_from_crop[1, 2] - 0.5
    at = np.stack([photo_y, photo_x])
    albedo = np.stack(
        [map_coordinates(truth.albedo_linear[..., c], at, order=1, mode="nearest") for c in range(3)], axis=-1
    )
    inside = map_coordinates(truth.mask.astype(np.float32), at, order=1, mode="constant") > 0.999
    return albedo.astype(np.float32), inside


def measure_result(
    folder: Path, landmarks_px: Float[np.ndarray, "478 2"] | None, truth: AlbedoTruth | None
) -> dict[str, Any]:
    """Reads a result folder and returns its figures; keys without a reference are absent.

    Args:
        folder: A folder written by ``facelume reconstruct``.
        landmarks_px: Reference points in photo pixels, if there are any.
        truth: The true albedo of the photo, as large as it, if it is known.
    """
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    photo = _read_srgb(folder / "input_crop.png")
    mask = np.asarray(Image.open(folder / "face_mask.png").convert("L")) > 127
    figures: dict[str, Any] = {
        "mask_share": float(mask.mean()),
        "detail": asdict(image_fidelity(_read_srgb(folder / "render_detail.png"), photo, mask)),
        "coarse": asdict(image_fidelity(_read_srgb(folder / "render_coarse.png"), photo, mask)),
        "warnings": result["warnings"],
        "timings_s": result["timings_s"],
    }
    if landmarks_px is not None:
        points = np.asarray(result["landmarks_px"]["mediapipe478"], dtype=np.float32)
        figures["nme"] = float(normalised_mean_error(points, landmarks_px))
        figures["box_iou"] = float(box_iou(mesh_box(points), mesh_box(landmarks_px)))
    if truth is not None:
        figures |= _measure_albedo(folder, result, photo, truth)
    return figures


def _measure_albedo(
    folder: Path, result: dict[str, Any], photo: Float[np.ndarray, "S S 3"], truth: AlbedoTruth
) -> dict[str, Any]:
    """Albedo errors and tones in the crop; beside them what any method has to beat: the photo, one colour."""
    albedo, photo = _linear(_read_srgb(folder / "render_albedo.png")), _linear(photo)
    true_albedo, inside = truth_in_crop(truth, np.asarray(result["crop"]["photo_from_crop"]), albedo.shape[0])
    rendered = albedo.sum(axis=-1) > 0
    counted = inside & rendered
    mean_colour = np.broadcast_to(true_albedo[counted].mean(axis=0), true_albedo.shape)
    pictures = {"ours": albedo, "truth": true_albedo, "photo": photo}
    tone = {
        who: skin_colour(picture[counted].mean(axis=0, dtype=np.float64)) for who, picture in pictures.items()
    }
    difference = {who: tone[who].ita_deg - tone["truth"].ita_deg for who in ("ours", "photo")}
    errors = {
        "error": scale_free_error(albedo, true_albedo, counted),
        "error_of_photo": scale_free_error(photo, true_albedo, counted),
        "error_of_one_colour": scale_free_error(mean_colour, true_albedo, counted),
        "absolute_error": absolute_error(albedo, true_albedo, counted),
        "absolute_error_of_photo": absolute_error(photo, true_albedo, counted),
        "covered_share": float(counted.sum() / max(inside.sum(), 1)),
        "ita_error_deg": abs(difference["ours"]),
        "ita_error_of_photo_deg": abs(difference["photo"]),
        "ita_difference_deg": difference["ours"],
        "ita_difference_of_photo_deg": difference["photo"],
        "hue_distance_sd": tone["ours"].hue_distance_sd,
        "hue_distance_of_truth_sd": tone["truth"].hue_distance_sd,
    }
    coarse = _linear(_read_srgb(folder / "render_coarse.png")) / np.maximum(albedo, _DARKEST_ALBEDO)
    for name, reflecting in (("coarse_psnr_db", albedo), ("coarse_psnr_of_truth_db", true_albedo)):
        errors[name] = _psnr_in_best_colour(reflecting * coarse, photo, counted)
    return {"albedo": errors, "tone": {who: asdict(colour) for who, colour in tone.items()}}


def _psnr_in_best_colour(
    rendering: Float[np.ndarray, "S S 3"], photo: Float[np.ndarray, "S S 3"], mask: Bool[np.ndarray, "S S"]
) -> float:
    """PSNR of a linear rendering against a linear photo, sRGB-encoded, after one factor for each colour."""
    shown, seen = rendering[mask].astype(np.float64), photo[mask].astype(np.float64)
    gain = (shown * seen).sum(axis=0) / np.maximum((shown**2).sum(axis=0), 1e-12)
    picture = encode_srgb((rendering * gain).astype(np.float32)).astype(np.float32) / 255
    return psnr_db(picture, encode_srgb(photo).astype(np.float32) / 255, mask)


def prior_albedo_error(face: Reconstruction, truth: AlbedoTruth) -> float:
    """Albedo error in the crop of the face model's albedo alone, before the refiner: what refinement adds to.

    Args:
        face: A finished reconstruction.
        truth: The true albedo of its photo.
    """
    true_albedo, inside = truth_in_crop(truth, face.crop.photo_from_crop, face.face_mask.shape[0])
    prior = face.posed.render(face.maps.albedo_prior, unit_light())
    return scale_free_error(prior, true_albedo, inside & (prior.sum(axis=-1) > 0))
