"""What the refinement network is given, prepared in one place for training and for use."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from facelume.camera import CROP_CAMERA, LIGHT_FROM_CAM, CropTransform
from facelume.face_model import FaceModel
from facelume.fitting.appearance import Appearance, LinearAlbedo, average_down, fit_appearance
from facelume.fitting.tone_cues import CUE_MAP_SIZE, ToneRegions, read_tone_cues, tone_regions
from facelume.illumination import LampView, lamp_directions, light_map_from_lamps, sh_from_lamps
from facelume.networks.tone import ToneNetwork
from facelume.raster import GeometryBuffers
from facelume.refinement.albedo_basis import linear_albedo
from facelume.refinement.refine import RefinerInput
from facelume.refinement.tone import SkinTone, estimate_tone
from facelume.types import EYE_PARTS, MOUTH_PARTS, is_part, on_device
from facelume.uv import (
    PosedTexels,
    TexelMap,
    UnwrapResult,
    lamp_visibility,
    pose_texels,
    resize_map,
    texel_map,
    unwrap,
)

INPUT_MAP_SIZE = 256
"""Texels along an edge of the normals and the prior albedo, and of the texture unless asked otherwise."""


@dataclass(frozen=True, eq=False)
class InputBasis:
    """What depends on the face model and the size of the atlas alone.

    Attributes:
        model: The face model.
        albedo: Its first-order albedo.
        texels: Its atlas, at the size of the texture.
        tone_regions: Where the tone of the skin is read.
        toned: Share of skin, lips and brows in each texel of the albedo map: what the tone changes.
        lamps: Directions of the lamps of the coarse light, model axes.
        lamp_visibility: Share of each lamp that each texel of the mean head sees past the head.
    """

    model: FaceModel
    albedo: LinearAlbedo
    texels: TexelMap
    tone_regions: ToneRegions
    toned: Float[Tensor, "p p"]
    lamps: Float[Tensor, "L 3"]
    lamp_visibility: Float[Tensor, "L s s"]

    def to(self, device: torch.device | str) -> InputBasis:
        """Return the same basis with every tensor on ``device``."""
        moved = on_device(self, device)
        return replace(
            moved,
            model=self.model.to(device),
            albedo=on_device(self.albedo, device),
            texels=self.texels.to(device),
            tone_regions=self.tone_regions.to(device),
        )

    def lamps_of(self, cam_from_model: Float[Tensor, "b 4 4"]) -> LampView:
        """What the texels see of the lamps when the head is posed so."""
        light_from_model = cam_from_model.new_tensor(LIGHT_FROM_CAM)[:, None] * cam_from_model[:, :3, :3]
        return LampView(self.lamps @ light_from_model.transpose(1, 2), self.lamp_visibility)


def input_basis(model: FaceModel, size: int = INPUT_MAP_SIZE) -> InputBasis:
    """Compute the basis of a face model (on the CPU) for textures of ``size`` texels."""
    albedo, lamps = linear_albedo(model), lamp_directions()
    part = texel_map(model.topology, CUE_MAP_SIZE).part
    bare = torch.zeros(model.num_identity), torch.zeros(model.num_expression)
    return InputBasis(
        model=model,
        albedo=albedo,
        texels=texel_map(model.topology, size),
        tone_regions=model_tone_regions(model),
        toned=1.0 - is_part(part, (*EYE_PARTS, *MOUTH_PARTS)).float(),
        lamps=lamps,
        lamp_visibility=lamp_visibility(model.topology, model.shape(*bare), lamps, albedo.size),
    )


def model_tone_regions(model: FaceModel) -> ToneRegions:
    """Where the tone of the skin is read in the atlas of a face model."""
    face, eyes, brows, lips = (model.uv_mask(n, CUE_MAP_SIZE) for n in ("face", "eyes", "brows", "lips"))
    part = texel_map(model.topology, CUE_MAP_SIZE).part
    return tone_regions(face, eyes, brows, lips, is_part(part, EYE_PARTS))


@dataclass(frozen=True, eq=False)
class FaceInPhoto:
    """One face of known shape and pose in its photo.

    Attributes:
        photo_srgb: Upright photo, uint8 or float in [0, 1].
        crop: Where the crop lies in the photo.
        crop_srgb: The crop, sRGB-encoded in [0, 1].
        parsing: Share of bare face (no hair, glasses, hand) at each crop pixel, in [0, 1].
        vertices: Positions with expression, model axes, metres.
        cam_from_model: Rigid matrix into the axes of the crop camera.
        buffers: What each pixel of the crop sees of the mesh.
    """

    photo_srgb: Shaped[np.ndarray, "H W 3"]
    crop: CropTransform
    crop_srgb: Float[np.ndarray, "224 224 3"]
    parsing: Float[Tensor, "1 224 224"]
    vertices: Float[Tensor, "1 V 3"]
    cam_from_model: Float[Tensor, "1 4 4"]
    buffers: GeometryBuffers


@dataclass(frozen=True, eq=False)
class UnwrappedFace:
    """The photo of one face in the atlas.

    Attributes:
        photo: Colour and visibility of each texel.
        texels: Place, normal and part of each texel.
        cam_from_model: Rigid matrix into the axes of the crop camera.
    """

    photo: UnwrapResult
    texels: PosedTexels
    cam_from_model: Float[Tensor, "1 4 4"]


@dataclass(frozen=True, eq=False)
class PreparedInput:
    """What is known of one face before refinement.

    Attributes:
        maps: What the refinement reads.
        tone: Tone of the skin.
        appearance: Albedo coefficients and lamps that explain the texture.
        texels: Place, normal and part of each texel, at the size of the texture.
        lamps: What the texels see of the lamps of the coarse light.
        coarse_normals: Unit normals at the size of the coarse light's map.
    """

    maps: RefinerInput
    tone: SkinTone
    appearance: Appearance
    texels: PosedTexels
    lamps: LampView
    coarse_normals: Float[Tensor, "1 3 l l"]


def unwrap_face(face: FaceInPhoto, basis: InputBasis) -> UnwrappedFace:
    """Carries the photo of a face into the atlas, at the size of the basis' texels.

    Args:
        face: The face, on the device of ``basis``.
        basis: Face model and atlas.
    """
    texels = pose_texels(basis.texels, basis.model.topology, face.vertices, face.cam_from_model)
    photo = unwrap(face.photo_srgb, face.crop, texels, face.buffers, CROP_CAMERA, face.parsing)
    return UnwrappedFace(photo, texels, face.cam_from_model)


def prepare_input(unwrapped: UnwrappedFace, basis: InputBasis, tone_network: ToneNetwork) -> PreparedInput:
    """Judges tone, prior albedo and coarse light of an unwrapped face: the input of the refinement.

    Args:
        unwrapped: See :func:`unwrap_face`.
        basis: Face model and atlas.
        tone_network: Judges the tone of the skin.
    """
    photo, normals = unwrapped.photo, unwrapped.texels.normal_light
    cues = read_tone_cues(photo.texture, photo.visibility, basis.tone_regions)
    tone = estimate_tone(tone_network, cues)
    lamps = basis.lamps_of(unwrapped.cam_from_model)
    appearance = fit_appearance(
        basis.albedo, photo.texture, photo.visibility, normals, lamps, tone.log_albedo
    )
    coarse_normals = average_down(photo.texture, photo.visibility, normals, basis.albedo.size)[2]
    maps = RefinerInput(
        texture=photo.texture,
        visibility=photo.visibility,
        normals_light=resize_map(normals, INPUT_MAP_SIZE),
        prior_albedo=toned_albedo(basis, appearance),
        coarse_light=sh_from_lamps(appearance.lamps, lamps.directions),
        coarse_map=light_map_from_lamps(appearance.lamps, lamps, coarse_normals),
        exposure=tone.exposure,
    )
    return PreparedInput(maps, tone, appearance, unwrapped.texels, lamps, coarse_normals)


def toned_albedo(basis: InputBasis, appearance: Appearance) -> Float[Tensor, "b 3 p p"]:
    """Albedo of the face model whose skin has the tone, linear, [0, 1]."""
    albedo = basis.model.albedo_map(appearance.albedo, INPUT_MAP_SIZE)
    gain = torch.exp(torch.log(appearance.tone_gain)[..., None, None] * basis.toned)
    return (albedo * gain).clamp(0.0, 1.0)
