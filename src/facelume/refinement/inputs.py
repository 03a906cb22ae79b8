"""What the refinement network is given, prepared in one place for training and for use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from facelume.camera import CROP_CAMERA, CropTransform
from facelume.face_model import FaceModel
from facelume.fitting.appearance import Appearance, LinearAlbedo, fit_appearance, linear_albedo
from facelume.raster import GeometryBuffers
from facelume.refinement.refine import RefinerInput
from facelume.types import on_device
from facelume.uv import PosedTexels, TexelMap, UnwrapResult, pose_texels, resize_map, texel_map, unwrap

INPUT_MAP_SIZE = 256
"""Texels along an edge of the normals and the prior albedo, and of the texture unless asked otherwise."""


@dataclass(frozen=True, eq=False)
class InputBasis:
    """What depends on the face model and the size of the atlas alone.

    Attributes:
        model: The face model.
        albedo: Its first-order albedo.
        texels: Its atlas, at the size of the texture.
    """

    model: FaceModel
    albedo: LinearAlbedo
    texels: TexelMap

    def to(self, device: torch.device | str) -> InputBasis:
        """Return the same basis with every tensor on ``device``."""
        return InputBasis(self.model.to(device), on_device(self.albedo, device), self.texels.to(device))


def input_basis(model: FaceModel, size: int = INPUT_MAP_SIZE) -> InputBasis:
    """Compute the basis of a face model (on the CPU) for textures of ``size`` texels."""
    return InputBasis(model, linear_albedo(model), texel_map(model.topology, size))


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
    """

    photo: UnwrapResult
    texels: PosedTexels


@dataclass(frozen=True, eq=False)
class PreparedInput:
    """What is known of one face before refinement.

    Attributes:
        maps: What the refinement reads.
        appearance: Albedo coefficients and coarse light that explain the texture.
        texels: Place, normal and part of each texel, at the size of the texture.
    """

    maps: RefinerInput
    appearance: Appearance
    texels: PosedTexels


def unwrap_face(face: FaceInPhoto, basis: InputBasis) -> UnwrappedFace:
    """Carries the photo of a face into the atlas, at the size of the basis' texels.

    Args:
        face: The face, on the device of ``basis``.
        basis: Face model and atlas.
    """
    texels = pose_texels(basis.texels, basis.model.topology, face.vertices, face.cam_from_model)
    photo = unwrap(face.photo_srgb, face.crop, texels, face.buffers, CROP_CAMERA, face.parsing)
    return UnwrappedFace(photo, texels)


def prepare_input(
    unwrapped: UnwrappedFace, basis: InputBasis, *, start: Appearance | None = None
) -> PreparedInput:
    """Fits prior albedo and coarse light of an unwrapped face: the input of the refinement.

    Args:
        unwrapped: See :func:`unwrap_face`.
        basis: Face model and atlas.
        start: A prior network's albedo coefficients, the centre of their prior; where not given, the mean
            skin.
    """
    photo, normals = unwrapped.photo, unwrapped.texels.normal_light
    appearance = fit_appearance(basis.albedo, photo.texture, photo.visibility, normals, start=start)
    maps = RefinerInput(
        texture=photo.texture,
        visibility=photo.visibility,
        normals_light=resize_map(normals, INPUT_MAP_SIZE),
        prior_albedo=basis.model.albedo_map(appearance.albedo, INPUT_MAP_SIZE),
        coarse_light=appearance.light,
    )
    return PreparedInput(maps, appearance, unwrapped.texels)
