"""Prepares faces for the refiner as they are prepared for use, from labels instead of a locator's guess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional

from facelume.camera import CROP_SIZE_PX, CropTransform, sample_crop
from facelume.data.photos import PhotoRecord, read_parsing_mask
from facelume.face_model import FaceModel
from facelume.fitting.landmarks import LandmarkBasis, landmark_basis
from facelume.fitting.tone_cues import CUE_MAP_SIZE
from facelume.networks.prior import PriorNetwork
from facelume.networks.tone import ToneNetwork
from facelume.pipeline.alignment import crop_of_landmarks, fit_start, read_prior, settle_fit
from facelume.pipeline.posed_face import PosedFace
from facelume.refinement.inputs import FaceInPhoto, InputBasis, input_basis, prepare_input, unwrap_face
from facelume.refinement.refine import resize_input
from facelume.reflectance import linear_from_srgb, srgb_from_linear
from facelume.training.refiner.batches import PreparedFaces
from facelume.training.refiner.config import LabelErrorConfig
from facelume.uv import resize_map

COARSE_MAP_SIZE = 32
"""Texels along an edge of the kept map of the coarse light; shadows that a mean head casts are soft."""

PREPARATION_VERSION = 3
"""Part of every shard's fingerprint: counted up when the same photo would give other maps."""


@dataclass(frozen=True, eq=False)
class PreparationTools:
    """What all faces of a run have in common.

    Attributes:
        map_size: Texels along an edge of the prepared maps.
        basis: Face model and atlas, at the size that is used to reconstruct.
        landmarks: Landmark rows of the face model.
        tone: The tone network.
        prior: The prior network that looks at every face, if there is one.
    """

    map_size: int
    basis: InputBasis
    landmarks: LandmarkBasis
    tone: ToneNetwork
    prior: PriorNetwork | None


def preparation_tools(
    model: FaceModel, map_size: int, tone: ToneNetwork, prior: PriorNetwork | None = None
) -> PreparationTools:
    """Compute the tools for prepared maps of ``map_size`` texels."""
    return PreparationTools(map_size, input_basis(model), landmark_basis(model), tone, prior)


@dataclass(frozen=True, eq=False)
class LabelledFace:
    """A photo with what is known about its face.

    Attributes:
        photo_srgb: Upright photo.
        landmarks_px: The 478 points in photo pixels.
        parsing: Share of bare face at each photo pixel, in [0, 1]; None where nobody drew it: the prior
            network says it then, and without one the whole picture counts as bare.
        albedo_srgb: True albedo in the atlas where it is known.
    """

    photo_srgb: UInt8[np.ndarray, "H W 3"]
    landmarks_px: Float[np.ndarray, "478 2"]
    parsing: Float[np.ndarray, "H W"] | None = None
    albedo_srgb: UInt8[np.ndarray, "t t 3"] | None = None


@torch.no_grad()
def prepare(faces: Sequence[LabelledFace], tools: PreparationTools) -> PreparedFaces:
    """Crop, fit and unwrap labelled faces, and fit their prior albedo and coarse light."""
    prepared = [_prepare_face(face, tools) for face in faces]
    return PreparedFaces(
        **{f.name: np.concatenate([getattr(p, f.name) for p in prepared]) for f in fields(PreparedFaces)}
    )


def _prepare_face(face: LabelledFace, tools: PreparationTools) -> PreparedFaces:
    points_px = face.landmarks_px.astype(np.float64)
    crop = crop_of_landmarks(points_px, tools.landmarks)
    prior = None if tools.prior is None else read_prior(sample_crop(face.photo_srgb, crop), tools.prior)
    crop, fit = settle_fit(
        points_px,
        crop,
        tools.landmarks,
        sigma_px=None if prior is None else prior.landmark_sigma_px,
        start=None if prior is None else fit_start(prior),
    )
    pose = torch.cat([fit.rotvec[0], fit.translation[0]])
    posed = PosedFace(tools.basis.model, fit.identity[0], fit.expression[0], pose)
    if face.parsing is not None:
        channels = np.repeat(face.parsing[..., None], 3, axis=-1)
        parsing = torch.from_numpy(sample_crop(channels, crop)[None, ..., 0])
    else:
        parsing = torch.ones(1, CROP_SIZE_PX, CROP_SIZE_PX) if prior is None else prior.parsing()
    return prepare_posed(face, crop, posed, parsing, tools)


def prepare_posed(
    face: LabelledFace,
    crop: CropTransform,
    posed: PosedFace,
    parsing: Float[Tensor, "1 224 224"],
    tools: PreparationTools,
) -> PreparedFaces:
    """Prepare one face whose crop, shape, pose and parsing are known.

    Args:
        face: The photo and its labels; landmarks and parsing are not read again.
        crop: Where the crop lies in the photo.
        posed: Shape and pose in the crop camera.
        parsing: Share of bare face at each crop pixel.
        tools: See :func:`preparation_tools`.
    """
    in_photo = FaceInPhoto(
        photo_srgb=face.photo_srgb,
        crop=crop,
        crop_srgb=sample_crop(face.photo_srgb, crop),
        parsing=parsing,
        vertices=posed.vertices[None],
        cam_from_model=posed.cam_from_model[None],
        buffers=posed.crop_buffers,
    )
    prepared = prepare_input(unwrap_face(in_photo, tools.basis), tools.basis, tools.tone)
    maps = resize_input(prepared.maps, tools.map_size)
    truth, tone_error = torch.zeros_like(maps.prior_albedo), torch.zeros(1, 3)
    if face.albedo_srgb is not None:
        albedo_srgb = torch.from_numpy(face.albedo_srgb).movedim(-1, 0)[None].float() / 255.0
        truth = functional.interpolate(albedo_srgb, size=truth.shape[-2:], mode="area")
        tone_error = prepared.tone.log_albedo - true_tone(albedo_srgb, tools.basis)
    height_px, width_px = face.photo_srgb.shape[:2]
    face_mask = (parsing > 0.5) & posed.crop_buffers.face_mask
    face_mask &= torch.from_numpy(crop.pixels_inside(width_px, height_px))
    return PreparedFaces(
        texture=_bytes(srgb_from_linear(maps.texture)),
        visibility=_bytes(maps.visibility),
        normals=(maps.normals_light * 127).round().to(torch.int8).numpy(),
        prior=_bytes(srgb_from_linear(maps.prior_albedo)),
        truth=_bytes(truth),
        has_truth=np.array([face.albedo_srgb is not None]),
        coarse_light=maps.coarse_light.numpy(),
        coarse_map=resize_map(maps.coarse_map, COARSE_MAP_SIZE).half().numpy(),
        exposure=maps.exposure.numpy(),
        tone_error=tone_error.numpy(),
        image=_bytes(torch.from_numpy(in_photo.crop_srgb)[None]),
        face_mask=_bytes(face_mask.float()),
        identity=posed.identity[None].numpy(),
        expression=posed.expression[None].numpy(),
        pose=posed.pose[None].numpy(),
    )


def true_tone(albedo_srgb: Float[Tensor, "1 3 t t"], basis: InputBasis) -> Float[Tensor, "1 3"]:
    """Log of the colour that the middle of a known albedo's skin has, linear."""
    albedo = resize_map(linear_from_srgb(albedo_srgb), CUE_MAP_SIZE)
    return torch.log(albedo.flatten(2)[..., basis.tone_regions.skin].median(dim=-1).values.clamp(min=1e-3))


def _bytes(values: Tensor) -> np.ndarray:
    return (values.clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()


def faces_from_synthetic(
    shard: dict[str, np.ndarray], errors: LabelErrorConfig, rng: np.random.Generator
) -> list[LabelledFace]:
    """Synthetic faces with the errors that a prior network makes: landmarks and parsing.

    Args:
        shard: See :func:`facelume.data.synthetic.read_shard`.
        errors: Their size.
        rng: Source of the errors.
    """
    count = len(shard["image_srgb"])
    landmarks: np.ndarray = shard["landmarks_px"].astype(np.float32)
    together = rng.normal(0, errors.together_sigma_px, size=(count, 1, 2))
    stretch = rng.normal(0, errors.stretch_sigma, size=(count, 1, 2))
    together = together + stretch * (landmarks - CROP_SIZE_PX / 2)
    alone = rng.normal(0, errors.landmark_sigma_px, size=landmarks.shape)
    landmarks = (landmarks + together + alone).astype(np.float32)
    parsing = torch.from_numpy(shard["parsing"]).float()[:, None] / 255.0
    # A parsing network answers at a quarter of the resolution: strands and thin frames slip through.
    parsing = functional.interpolate(functional.avg_pool2d(parsing, 4), scale_factor=4, mode="bilinear")[:, 0]
    return [
        LabelledFace(
            photo_srgb=shard["image_srgb"][row],
            landmarks_px=landmarks[row],
            parsing=parsing[row].numpy(),
            albedo_srgb=shard["albedo_srgb"][row],
        )
        for row in range(count)
    ]


def face_of_photo(record: PhotoRecord) -> LabelledFace:
    """Read one labelled photo; the masks lie over their photos at the photos' own size."""
    with Image.open(record.path) as picture:
        photo = np.asarray(picture.convert("RGB"))
    parsing = None if record.mask_path is None else read_parsing_mask(record.mask_path).astype(np.float32)
    return LabelledFace(photo, record.landmarks_px[:, :2].astype(np.float32), parsing)
