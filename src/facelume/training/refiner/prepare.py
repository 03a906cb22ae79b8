"""Prepares faces for the refiner as they are prepared for use, from labels instead of a locator's guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional

from facelume.camera import CROP_CAMERA, CROP_SIZE_PX, CropTransform, sample_crop
from facelume.data.photos import PhotoRecord, read_parsing_mask
from facelume.face_model import FaceModel
from facelume.fitting.landmark_rows import LandmarkBasis, landmark_basis
from facelume.fitting.tone_cues import CUE_MAP_SIZE
from facelume.networks.prior import PriorNetwork
from facelume.networks.tone import ToneNetwork
from facelume.pipeline.alignment import crop_of_landmarks, fit_start, read_prior, settle_fit
from facelume.pipeline.finding import FaceFinder
from facelume.pipeline.posed_face import PosedFace, pose_face
from facelume.refinement.inputs import (
    FaceInPhoto,
    InputBasis,
    PreparedInput,
    input_basis,
    prepare_input,
    unwrap_face,
)
from facelume.refinement.refine import resize_input
from facelume.refinement.usual_tone import UsualTone, usual_tone
from facelume.reflectance import linear_from_srgb, srgb_from_linear
from facelume.training.refiner.config import LabelErrorConfig
from facelume.training.refiner.laboratory import LampAlbedo, LampPhotos, aligned_photos, stereo_of
from facelume.training.refiner.prepared import PreparedFace, encoded_maps, in_bytes, in_half, picture_file
from facelume.uv import resize_map, unwrap_crop

PREPARATION_VERSION = 4
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
class FaceTruth:
    """What is known of a synthetic face.

    Attributes:
        albedo_srgb: Albedo in the atlas, sRGB-encoded.
        shading: Irradiance / pi at each photo pixel, exposed as the photo, linear; 0 off the head.
        highlight: Reflection at the surface, likewise.
    """

    albedo_srgb: UInt8[np.ndarray, "t t 3"]
    shading: Float[np.ndarray, "H W 3"]
    highlight: Float[np.ndarray, "H W 3"]


@dataclass(frozen=True, eq=False)
class LabelledFace:
    """A photo with what is known about its face.

    Attributes:
        photo_srgb: Upright photo.
        landmarks_px: The 478 points in photo pixels.
        parsing: Share of bare face at each photo pixel, in [0, 1]; None where nobody drew it: the prior
            network says it then, and without one the whole picture counts as bare.
        truth: Of a synthetic face, or of one of a laboratory.
        person: Number of the person.
    """

    photo_srgb: UInt8[np.ndarray, "H W 3"]
    landmarks_px: Float[np.ndarray, "478 2"]
    parsing: Float[np.ndarray, "H W"] | None = None
    truth: FaceTruth | LampAlbedo | None = None
    person: int = 0


@torch.no_grad()
def prepare(faces: Sequence[LabelledFace], tools: PreparationTools) -> list[PreparedFace]:
    """Crop, fit and unwrap labelled faces, and fit their prior albedo and coarse light.

    Faces with the same landmarks are one head with several skins: it is fitted once.
    """
    heads: dict[bytes, tuple[CropTransform, PosedFace, Float[Tensor, "1 224 224"]]] = {}
    prepared = []
    for face in faces:
        key = face.landmarks_px.tobytes()
        if key not in heads:
            heads[key] = _placed(face, tools)
        crop, posed, parsing = heads[key]
        if face.parsing is not None:
            channels = np.repeat(face.parsing[..., None], 3, axis=-1)
            parsing = torch.from_numpy(sample_crop(channels, crop)[None, ..., 0])
        prepared.append(prepare_posed(face, crop, posed, parsing, tools))
    return prepared


def _placed(
    face: LabelledFace, tools: PreparationTools
) -> tuple[CropTransform, PosedFace, Float[Tensor, "1 224 224"]]:
    """Crop, shape and pose, and share of bare face at each crop pixel where nobody drew it."""
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
    posed = pose_face(tools.basis.model, fit)
    parsing = torch.ones(1, CROP_SIZE_PX, CROP_SIZE_PX) if prior is None else prior.parsing()
    return crop, posed, parsing


def prepare_posed(
    face: LabelledFace,
    crop: CropTransform,
    posed: PosedFace,
    parsing: Float[Tensor, "1 224 224"],
    tools: PreparationTools,
) -> PreparedFace:
    """Prepare one face whose crop, shape, pose and parsing are known.

    Args:
        face: The photo and its labels; landmarks and parsing are not read again.
        crop: Where the crop lies in the photo.
        posed: Shape and pose in the crop camera.
        parsing: Share of bare face at each crop pixel.
        tools: See :func:`preparation_tools`.
    """
    shown = face_in_photo(face.photo_srgb, crop, posed, parsing)
    prepared = prepare_input(unwrap_face(shown, tools.basis), tools.basis, tools.tone)
    usual = usual_tone(prepared.tone, tools.basis.toned)
    maps = resize_input(usual.of_input(prepared.maps), tools.map_size)
    height_px, width_px = face.photo_srgb.shape[:2]
    face_mask = (parsing > 0.5) & posed.crop_buffers.face_mask
    face_mask &= torch.from_numpy(crop.pixels_inside(width_px, height_px))
    return PreparedFace(
        maps=encoded_maps(maps),
        **_true_maps(face, crop, posed, prepared, usual, tools),
        has_truth=face.truth is not None,
        person=face.person,
        picture_file=picture_file(shown.crop_srgb),
        face_mask=face_mask[0].numpy(),
        identity=posed.identity.numpy(),
        expression=posed.expression.numpy(),
        pose=posed.pose.numpy(),
    )


def face_in_photo(
    photo_srgb: UInt8[np.ndarray, "H W 3"],
    crop: CropTransform,
    posed: PosedFace,
    parsing: Float[Tensor, "1 224 224"],
) -> FaceInPhoto:
    """A face whose crop, shape, pose and parsing are known, in its photo."""
    return FaceInPhoto(
        photo_srgb=photo_srgb,
        crop=crop,
        crop_srgb=sample_crop(photo_srgb, crop),
        parsing=parsing,
        vertices=posed.vertices[None],
        cam_from_model=posed.cam_from_model[None],
        buffers=posed.crop_buffers,
    )


def _true_maps(
    face: LabelledFace,
    crop: CropTransform,
    posed: PosedFace,
    prepared: PreparedInput,
    usual: UsualTone,
    tools: PreparationTools,
) -> dict[str, np.ndarray]:
    """The fields of :class:`PreparedFace` that are true, or zeros; light is unwrapped as the photo is."""
    size, truth = tools.map_size, face.truth
    if not isinstance(truth, FaceTruth):
        albedo = torch.zeros(1, 3, size, size)
        if truth is not None:
            albedo = truth.in_atlas(crop, posed, prepared, tools.basis.toned, size)
        nothing = np.zeros((3, size, size), np.float16)
        return {
            "truth": in_bytes(srgb_from_linear(usual.of_albedo(albedo)[0].clamp(0, 1))),
            "truth_shading": nothing,
            "truth_highlight": nothing,
        }
    albedo_srgb = torch.from_numpy(truth.albedo_srgb).movedim(-1, 0)[None].float() / 255.0
    # The tone of a skin is judged before the refinement and is not its task: the truth has the judged one.
    error = torch.exp(prepared.tone.log_albedo - true_tone(albedo_srgb, tools.basis))[..., None, None]
    judged = resize_map(error**tools.basis.toned, size)
    albedo = functional.interpolate(albedo_srgb, size=(size, size), mode="area")
    albedo = usual.of_albedo(linear_from_srgb(albedo) * judged)
    everywhere = torch.ones(1, CROP_SIZE_PX, CROP_SIZE_PX)

    def unwrapped(light: Float[np.ndarray, "H W 3"]) -> Float[Tensor, "3 s s"]:
        # Photos, which are sampled there, end at 1; light does not.
        brightest = max(float(light.max()), 1e-6)
        picture = torch.from_numpy(sample_crop(light / brightest, crop)).permute(2, 0, 1)[None]
        lit = unwrap_crop(picture * brightest, prepared.texels, posed.crop_buffers, CROP_CAMERA, everywhere)
        is_seen = resize_map(lit.visibility[:, None], size) > 0
        return (resize_map(lit.texture, size) * is_seen)[0]

    return {
        "truth": in_bytes(srgb_from_linear(albedo[0].clamp(0, 1))),
        "truth_shading": in_half(usual.of_light(unwrapped(truth.shading)[None] / judged)[0]),
        "truth_highlight": in_half(unwrapped(truth.highlight)),
    }


def true_tone(albedo_srgb: Float[Tensor, "1 3 t t"], basis: InputBasis) -> Float[Tensor, "1 3"]:
    """Log of the colour that the middle of a known albedo's skin has, linear."""
    albedo = resize_map(linear_from_srgb(albedo_srgb), CUE_MAP_SIZE)
    return torch.log(albedo.flatten(2)[..., basis.tone_regions.skin].median(dim=-1).values.clamp(min=1e-3))


def faces_from_synthetic(
    shard: Mapping[str, np.ndarray], errors: LabelErrorConfig, rng: np.random.Generator
) -> list[LabelledFace]:
    """Synthetic faces with the errors that a prior network makes: landmarks and parsing.

    Args:
        shard: See :func:`facelume.data.synthetic.read_shard`.
        errors: Their size.
        rng: Source of the errors.
    """
    count = len(shard["image_srgb"])
    heads, head = np.unique(shard["landmarks_px"].astype(np.float32), axis=0, return_inverse=True)
    together = rng.normal(0, errors.together_sigma_px, size=(len(heads), 1, 2))
    stretch = rng.normal(0, errors.stretch_sigma, size=(len(heads), 1, 2))
    together = together + stretch * (heads - CROP_SIZE_PX / 2)
    alone = rng.normal(0, errors.landmark_sigma_px, size=heads.shape)
    landmarks = (heads + together + alone).astype(np.float32)[head.reshape(-1)]
    parsing = torch.from_numpy(shard["parsing"]).float()[:, None] / 255.0
    # A parsing network answers at a quarter of the resolution: strands and thin frames slip through.
    parsing = functional.interpolate(functional.avg_pool2d(parsing, 4), scale_factor=4, mode="bilinear")[:, 0]
    return [
        LabelledFace(
            photo_srgb=shard["image_srgb"][row],
            landmarks_px=landmarks[row],
            parsing=parsing[row].numpy(),
            truth=FaceTruth(
                albedo_srgb=shard["albedo_srgb"][row],
                shading=shard["shading"][row].astype(np.float32) * shard["gain"][row],
                highlight=shard["highlight"][row].astype(np.float32) * shard["gain"][row],
            ),
            person=int(shard["person"][row]),
        )
        for row in range(count)
    ]


@torch.no_grad()
def prepare_laboratory(
    photos: LampPhotos, finder: FaceFinder, exponents: Sequence[float], tools: PreparationTools
) -> list[PreparedFace]:
    """Prepare the photos of one person under single lamps, their albedo known.

    Args:
        photos: The photos.
        finder: Finds and aligns faces.
        exponents: Tone curves that each photo is stored with, see :func:`laboratory.encoded`.
        tools: See :func:`preparation_tools`.
    """
    stereo, known, prepared = stereo_of(photos), None, []
    for picture, aligned in aligned_photos(photos, finder, exponents):
        posed = pose_face(tools.basis.model, aligned.fit)
        face = LabelledFace(picture, aligned.landmarks_photo_px(), person=photos.number)
        parsing = aligned.prior.parsing()
        if known is None:  # the most frontal lamp comes first
            seen = prepare_input(
                unwrap_face(face_in_photo(picture, aligned.crop, posed, parsing), tools.basis),
                tools.basis,
                tools.tone,
            )
            known = LampAlbedo(stereo, seen.maps.prior_albedo, seen.tone)
        prepared.append(prepare_posed(replace(face, truth=known), aligned.crop, posed, parsing, tools))
    return prepared


def face_of_photo(record: PhotoRecord, person: int = 0) -> LabelledFace:
    """Read one labelled photo; the masks lie over their photos at the photos' own size.

    Args:
        record: The photo.
        person: Number of the person.
    """
    with Image.open(record.path) as picture:
        photo = np.asarray(picture.convert("RGB"))
    parsing = None if record.mask_path is None else read_parsing_mask(record.mask_path).astype(np.float32)
    return LabelledFace(photo, record.landmarks_px[:, :2].astype(np.float32), parsing, person=person)
