"""Labels of the face model for real photos: fits to the given landmarks, albedo and light."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from facelume.camera import CROP_CAMERA, CROP_SIZE_PX, cam_from_model
from facelume.data.crops import CropCache
from facelume.data.fingerprint import Fingerprint, load_stamped, save_stamped
from facelume.face_model import FaceModel
from facelume.fitting import (
    FitConfig,
    FitResult,
    PhotometricFit,
    fit_landmarks,
    fit_light_and_albedo,
    landmark_basis,
)
from facelume.fitting.appearance import LinearAlbedo
from facelume.networks.prior import PriorNetwork
from facelume.raster import geometry_buffers, sample_map
from facelume.refinement.albedo_basis import linear_albedo
from facelume.reflectance import linear_from_srgb
from facelume.training.prior.losses import AlbedoProbe
from facelume.types import FacePart
from facelume.uv import resize_map

LABELS_NAME = "labels.npz"
_BATCH = 32
_PIXELS_PER_PHOTO = 500
_SIDE_PX = CROP_SIZE_PX // 2
LABEL_FIT = FitConfig(num_steps=5)


@dataclass(frozen=True, eq=False)
class PriorLabels:
    """Labels of every crop of a cache, in its order.

    Attributes:
        identity: Identity coefficients.
        expression: Expression coefficients.
        residual_px: Mean distance of the fit to the landmarks, crop pixels.
        has_appearance: Which photos have albedo and light.
        albedo: Albedo coefficients of the photo.
        light: SH radiance of the photo, light frame.
    """

    identity: Float[np.ndarray, "n I"]
    expression: Float[np.ndarray, "n E"]
    residual_px: Float[np.ndarray, " n"]
    has_appearance: Bool[np.ndarray, " n"]
    albedo: Float[np.ndarray, "n A"]
    light: Float[np.ndarray, "n 9 3"]

    def save(self, path: Path, fingerprint: Fingerprint) -> None:
        """Write labels and what they were made from, whole or not at all."""
        save_stamped(path, {f.name: getattr(self, f.name) for f in fields(self)}, fingerprint)


def label_fingerprint(
    model: FaceModel, cache: CropCache, *, network_sha256: str, appearance_stride: int
) -> Fingerprint:
    """What labels depend on: face model, crops, the network that masks them, which ones get colours."""
    return {
        "face_model": model.asset_sha256,
        "crops": cache.fingerprint,
        "network": network_sha256,
        "appearance_stride": appearance_stride,
        "fit": asdict(LABEL_FIT),
    }


def load_labels(path: Path, fingerprint: Fingerprint) -> PriorLabels:
    """Read labels.

    Raises:
        UsageError: They were made from something else, or the file is damaged.
    """
    names = [f.name for f in fields(PriorLabels)]
    return PriorLabels(**load_stamped(path, names, fingerprint, "labels"))


def albedo_probe(model: FaceModel, size: int = 32) -> AlbedoProbe:
    """The face model's albedo at the texels of a coarse grid over the face."""
    basis = linear_albedo(model, size=size)
    rows, columns = torch.nonzero(basis.mask * basis.mask.flip(-1), as_tuple=True)
    number = torch.full((size, size), -1)
    number[rows, columns] = torch.arange(len(rows))
    mirror = number[rows, size - 1 - columns]
    return AlbedoProbe(
        basis.mean[:, rows, columns].T, basis.rows[:, :, rows, columns].transpose(1, 2), mirror
    )


def make_labels(
    model: FaceModel,
    cache: CropCache,
    network: PriorNetwork,
    *,
    appearance_stride: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> PriorLabels:
    """Fit the face model to every crop of a cache.

    Args:
        model: The face model.
        cache: Crops with landmarks.
        network: Trained on landmarks and masks; its mask keeps hair and glasses out of the colour fit.
        appearance_stride: Fit albedo and light of every n-th crop only (it takes most of the time).
        on_progress: Called with done and total after each batch of the colour fit.
    """
    basis, colours = landmark_basis(model), linear_albedo(model)
    network.eval()
    num_crops = len(cache.landmarks_px)
    landmarks = torch.from_numpy(cache.landmarks_px[..., :2].copy())
    fits = [fit_landmarks(basis, part, config=LABEL_FIT) for part in landmarks.split(_BATCH)]
    fit = FitResult(
        **{f.name: torch.cat([getattr(part, f.name) for part in fits]) for f in fields(FitResult)}
    )
    albedo, light = (
        np.zeros((num_crops, model.num_albedo), np.float32),
        np.zeros((num_crops, 9, 3), np.float32),
    )
    chosen = np.arange(0, num_crops, appearance_stride)
    for first in range(0, len(chosen), _BATCH):
        rows = chosen[first : first + _BATCH]
        with torch.no_grad():
            fitted = _appearance(model, colours, cache, rows, fit, network)
        albedo[rows], light[rows] = fitted.albedo_coeffs.numpy(), fitted.sh_radiance.numpy()
        if on_progress is not None:
            on_progress(first + len(rows), len(chosen))
    return PriorLabels(
        fit.identity.numpy(),
        fit.expression.numpy(),
        fit.residual_px.numpy(),
        np.arange(num_crops) % appearance_stride == 0,
        albedo,
        light,
    )


def _appearance(
    model: FaceModel,
    colours: LinearAlbedo,
    cache: CropCache,
    rows: Int[np.ndarray, " b"],
    fit: FitResult,
    network: PriorNetwork,
) -> PhotometricFit:
    crops = _canonical_crops(cache, rows)
    parsing = torch.sigmoid(network(crops).parsing_logits)
    parsing = resize_map(parsing, _SIDE_PX)[:, 0]
    pose = cam_from_model(fit.rotvec[rows], fit.translation[rows])
    vertices = model.shape(fit.identity[rows], fit.expression[rows])
    buffers = geometry_buffers(model.topology, vertices, pose, CROP_CAMERA.resized(_SIDE_PX))
    usable = buffers.face_mask & (buffers.part == FacePart.SKIN) & (parsing > 0.7)
    return _fit_colours(colours, crops, usable, buffers.uv, buffers.normal_light)


def _canonical_crops(cache: CropCache, rows: Int[np.ndarray, " b"]) -> Float[Tensor, "b 3 s s"]:
    pictures = torch.from_numpy(np.ascontiguousarray(cache.pictures[rows])).permute(0, 3, 1, 2).float() / 255
    half = CROP_SIZE_PX / cache.margin_px
    axis = ((torch.arange(_SIDE_PX) + 0.5) / _SIDE_PX * 2 - 1) * half
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).expand(len(pictures), -1, -1, -1)
    return torch.nn.functional.grid_sample(pictures, grid, align_corners=False, padding_mode="border")


def _fit_colours(
    basis: LinearAlbedo, crops: Tensor, usable: Tensor, uv: Tensor, normals_light: Tensor
) -> PhotometricFit:
    """Albedo coefficients and light from evenly drawn usable pixels of each crop."""
    num_crops = len(crops)
    weights = usable.flatten(1).float()
    weights = torch.where(weights.sum(1, keepdim=True) > 0, weights, torch.full_like(weights, 1e-6))
    chosen = torch.multinomial(weights, _PIXELS_PER_PHOTO, replacement=True)
    counts = usable.flatten(1).gather(1, chosen).float()
    image = linear_from_srgb(crops).flatten(2).gather(2, chosen[:, None].expand(-1, 3, -1)).transpose(1, 2)
    normals = normals_light.flatten(2).gather(2, chosen[:, None].expand(-1, 3, -1)).transpose(1, 2)
    places = uv.flatten(1, 2).gather(1, chosen[..., None].expand(-1, -1, 2))
    maps = torch.cat([basis.mean[None], basis.rows]).flatten(0, 1)[None]
    values = torch.cat([sample_map(maps, places[index : index + 1, None]) for index in range(num_crops)])
    values = values[:, :, 0].unflatten(1, (-1, 3)).permute(0, 3, 2, 1)
    return fit_light_and_albedo(values[..., 0], values[..., 1:].contiguous(), image, normals, counts)
