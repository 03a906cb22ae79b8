"""Prepares faces for the refiner: fit the mesh to landmarks, unwrap, fit prior albedo and coarse light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional

from facelume.camera import CROP_CAMERA, cam_from_model, crop_from_landmarks, sample_crop
from facelume.data.photos import PhotoRecord, read_parsing_mask
from facelume.face_model import FaceModel
from facelume.fitting.appearance import Appearance, LinearAlbedo, fit_appearance, linear_albedo
from facelume.fitting.landmarks import LandmarkBasis, fit_landmarks, landmark_basis
from facelume.networks.prior import PriorNetwork
from facelume.raster import geometry_buffers
from facelume.reflectance import linear_from_srgb, srgb_from_linear
from facelume.training.refiner.batches import PreparedFaces
from facelume.uv import TexelMap, pose_texels, texel_map, unwrap_crop

PREPARATION_VERSION = 1
"""Part of every shard's fingerprint: counted up when the same photo would give other maps."""


@dataclass(frozen=True)
class PreparationTools:
    """What depends on the face model and the atlas size alone.

    Attributes:
        model: The face model.
        landmarks: Its landmark rows.
        albedo: Its first-order albedo.
        texels: Its atlas.
    """

    model: FaceModel
    landmarks: LandmarkBasis
    albedo: LinearAlbedo
    texels: TexelMap


def preparation_tools(model: FaceModel, size: int) -> PreparationTools:
    """Compute the tools for maps of ``size`` texels."""
    return PreparationTools(
        model=model,
        landmarks=landmark_basis(model),
        albedo=linear_albedo(model),
        texels=texel_map(model.topology, size),
    )


@dataclass(frozen=True)
class LabelledCrops:
    """Crops with what is known about them.

    Attributes:
        image_srgb: Canonical crops in [0, 1].
        parsing: M_parsing in [0, 1].
        landmarks_px: The 478 points in crop pixels.
        start: Guess of albedo coefficients and light, as a prior network gives it, or None.
        truth_srgb: True albedo where known.
    """

    image_srgb: Float[Tensor, "b 3 224 224"]
    parsing: Float[Tensor, "b 224 224"]
    landmarks_px: Float[Tensor, "b 478 2"]
    start: Appearance | None
    truth_srgb: Float[Tensor, "b 3 t t"] | None


def prepare(crops: LabelledCrops, tools: PreparationTools) -> PreparedFaces:
    """Unwrap crops and fit their prior albedo and coarse light."""
    model = tools.model
    fit = fit_landmarks(tools.landmarks, crops.landmarks_px)
    matrix = cam_from_model(fit.rotvec, fit.translation)
    vertices = model.shape(fit.identity, fit.expression)
    buffers = geometry_buffers(model.topology, vertices, matrix, CROP_CAMERA)
    texels = pose_texels(tools.texels, model.topology, vertices, matrix)
    unwrapped = unwrap_crop(linear_from_srgb(crops.image_srgb), texels, buffers, CROP_CAMERA, crops.parsing)
    appearance = fit_appearance(
        tools.albedo, unwrapped.texture, unwrapped.visibility, texels.normal_light, start=crops.start
    )
    prior = srgb_from_linear(model.albedo_map(appearance.albedo, tools.texels.size))
    truth = torch.zeros_like(prior)
    if crops.truth_srgb is not None:
        truth = functional.interpolate(crops.truth_srgb, size=prior.shape[-2:], mode="area")
    face_mask = (crops.parsing > 0.5) & buffers.face_mask
    return PreparedFaces(
        texture=_bytes(srgb_from_linear(unwrapped.texture)),
        visibility=_bytes(unwrapped.visibility),
        normals=(texels.normal_light * 127).round().to(torch.int8).numpy(),
        prior=_bytes(prior),
        truth=_bytes(truth),
        has_truth=np.full(len(prior), crops.truth_srgb is not None),
        coarse_light=appearance.light.numpy(),
        image=_bytes(crops.image_srgb.movedim(1, -1)),
        face_mask=_bytes(face_mask.float()),
        identity=fit.identity.numpy(),
        expression=fit.expression.numpy(),
        pose=torch.cat([fit.rotvec, fit.translation], -1).numpy(),
    )


def _bytes(values: Tensor) -> np.ndarray:
    return (values.clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()


def crops_from_synthetic(shard: dict[str, np.ndarray], rng: np.random.Generator) -> LabelledCrops:
    """Synthetic crops with the errors that a prior network makes: landmarks, parsing, skin.

    Args:
        shard: See :func:`facelume.data.synthetic.faces.read_shard`.
        rng: Source of the errors.
    """
    count = len(shard["image_srgb"])
    landmarks: np.ndarray = shard["landmarks_px"].astype(np.float32)
    together = rng.normal(0, 0.6, size=(count, 1, 2))
    together = together + rng.normal(0, 0.012, size=(count, 1, 2)) * (landmarks - 112)
    landmarks = landmarks + together + rng.normal(0, 0.6, size=landmarks.shape)
    parsing = torch.from_numpy(shard["parsing"]).float()[:, None] / 255.0
    # A parsing network answers at a quarter of the resolution: strands and thin frames slip through.
    parsing = functional.interpolate(functional.avg_pool2d(parsing, 4), scale_factor=4, mode="bilinear")[:, 0]
    # From a prior network that sees the skin well to one that says nothing but "an average face".
    shrink = rng.choice([0.0, 1.0], p=[0.35, 0.65], size=(count, 1)) * rng.uniform(0.3, 0.95, size=(count, 1))
    coeffs = shard["albedo"] * shrink + rng.uniform(0.05, 0.4) * rng.normal(size=shard["albedo"].shape)
    return LabelledCrops(
        image_srgb=torch.from_numpy(shard["image_srgb"]).movedim(-1, 1).float() / 255.0,
        parsing=parsing,
        landmarks_px=torch.from_numpy(landmarks.astype(np.float32)),
        start=Appearance(torch.from_numpy(coeffs.astype(np.float32)), torch.from_numpy(shard["light_sh"])),
        truth_srgb=torch.from_numpy(shard["albedo_srgb"]).movedim(-1, 1).float() / 255.0,
    )


def crop_of_photo(record: PhotoRecord) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Cut the canonical crop of one labelled photo.

    Returns:
        The crop (224, 224, 3) in [0, 1], M_parsing (224, 224) in [0, 1] or None, landmarks in crop pixels.
    """
    transform = crop_from_landmarks(record.landmarks_px[:, :2].astype(np.float64))
    with Image.open(record.path) as picture:
        crop = sample_crop(np.asarray(picture.convert("RGB")), transform)
    parsing = None
    if record.mask_path is not None:
        # The masks lie over their photos at the photos' own size.
        mask = read_parsing_mask(record.mask_path).astype(np.float32)
        parsing = sample_crop(np.repeat(mask[..., None], 3, axis=-1), transform)[..., 0]
    return crop, parsing, transform.to_crop(record.landmarks_px[:, :2].astype(np.float64)).astype(np.float32)


def network_start(prior: PriorNetwork, image_srgb: Float[Tensor, "b 3 224 224"]) -> Appearance:
    """What the prior network says about albedo and light of crops."""
    with torch.no_grad():
        output = prior(image_srgb)
    return Appearance(output.albedo, output.sh_radiance)
