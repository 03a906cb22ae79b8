"""What is known of one reconstructed face, in numpy, and everything that follows from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from facelume.camera import CROP_CAMERA, CropTransform
from facelume.illumination import Lamps, Light, shadowing_light, unit_light
from facelume.io.picture import encode_srgb
from facelume.metrics import ImageFidelity, image_fidelity
from facelume.pipeline.posed_face import PosedFace
from facelume.registration import SourceMesh
from facelume.types import Mesh, lock_arrays, read_only

LIGHT_MAP_SIZE = 256
"""Texels of an edge of the detailed light map."""

BARE_FACE = 0.5
"""Share of bare face (M_parsing) from which a pixel belongs to M_face."""


@dataclass(frozen=True)
class FaceCamera:
    """The camera of the crop and where the face stands before it.

    Attributes:
        focal_px: Focal length in crop pixels.
        principal_point_px: Where the optical axis meets the crop.
        cam_from_model: Rigid matrix from model axes to camera axes (OpenCV), metres.
    """

    focal_px: float
    principal_point_px: tuple[float, float]
    cam_from_model: Float[np.ndarray, "4 4"]

    def __post_init__(self) -> None:
        """Make the arrays read-only."""
        lock_arrays(self)


@dataclass(frozen=True, eq=False)
class PhotoView:
    """What a result keeps of its photo.

    Attributes:
        path: As the caller wrote it; empty for pictures from memory.
        sha256: Hash of the file.
        size_px: Width and height of the upright photo.
        backdrop_srgb: The photo, reduced to at most 2048 px.
        input_crop: The 224 px crop, sRGB-encoded.
        face_index: Which face of the photo this is, 0 the largest.
        num_faces: How many faces were found if all were asked for, otherwise ``None``.
    """

    path: str
    sha256: str
    size_px: tuple[int, int]
    backdrop_srgb: UInt8[np.ndarray, "H W 3"] = field(repr=False)
    input_crop: UInt8[np.ndarray, "224 224 3"] = field(repr=False)
    face_index: int = 0
    num_faces: int | None = None

    def __post_init__(self) -> None:
        """Make the arrays read-only."""
        lock_arrays(self)


@dataclass(frozen=True, eq=False)
class FaceMaps:
    """The maps of one face; linear Rec.709, channels last, origin top-left.

    Attributes:
        albedo: Complete, light-free albedo in [0, 1].
        albedo_prior: Albedo of the face model alone.
        texture: The photo in the atlas; meaningless where ``visibility`` is 0.
        visibility: How well the photo shows each texel, in [0, 1].
        confidence: Probability that the albedo error is below 0.05.
        illumination: Radiance coefficients per texel, light frame.
        illumination_coarse: The same of the coarse light: lamps of the whole face, hidden by the head alone.
    """

    albedo: Float[np.ndarray, "S S 3"]
    albedo_prior: Float[np.ndarray, "S S 3"]
    texture: Float[np.ndarray, "S S 3"]
    visibility: Float[np.ndarray, "S S"]
    confidence: Float[np.ndarray, "S S"]
    illumination: Float[np.ndarray, "256 256 9 3"]
    illumination_coarse: Float[np.ndarray, "T T 9 3"]

    def __post_init__(self) -> None:
        """Make the arrays read-only."""
        lock_arrays(self)


@dataclass(frozen=True, eq=False)
class FaceResult:
    """One face: complete albedo, light, mesh and camera; renderings and figures follow from them.

    Arrays are read-only: what follows from them is computed once. Take a copy to edit one.

    The record that previews draw and that the result folder is written from; :class:`Reconstruction` adds
    saving to it.

    Attributes:
        posed: Shape and pose.
        maps: Albedo, light, texture, confidence.
        light_coarse: Radiance coefficients of the one light for the whole face, light frame.
        albedo_coeffs: Coefficients of ``maps.albedo_prior``, standard deviations.
        crop: Where the crop lies in the photo.
        parsing: Share of bare face (no hair, glasses, hands) at each crop pixel, in [0, 1].
        photo: What is kept of the photo.
        weights: Hash of each weight file used, by id.
        timings_s: Seconds per stage.
        warnings: What the user should know about this face.
        source_mesh: The same face on the mesh of the face model's official files, if that was asked for.
    """

    posed: PosedFace = field(repr=False)
    maps: FaceMaps = field(repr=False)
    light_coarse: Float[np.ndarray, "9 3"] = field(repr=False)
    albedo_coeffs: Float[np.ndarray, " A"] = field(repr=False)
    crop: CropTransform
    parsing: Float[np.ndarray, "224 224"] = field(repr=False)
    photo: PhotoView
    weights: Mapping[str, str]
    timings_s: Mapping[str, float]
    warnings: tuple[str, ...] = ()
    source_mesh: SourceMesh | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Make the arrays read-only."""
        lock_arrays(self)

    @property
    def albedo(self) -> Float[np.ndarray, "S S 3"]:
        """Complete light-free albedo in the atlas, linear Rec.709 in [0, 1]."""
        return self.maps.albedo

    @property
    def illumination(self) -> Float[np.ndarray, "256 256 9 3"]:
        """Radiance coefficients per texel, light frame."""
        return self.maps.illumination

    @cached_property
    def mesh(self) -> Mesh:
        """The face with its expression, metres, model axes."""
        return self.posed.mesh(self.posed.vertices)

    @cached_property
    def camera(self) -> FaceCamera:
        """The crop camera and the pose of the face in it."""
        return FaceCamera(
            CROP_CAMERA.focal_px,
            CROP_CAMERA.principal_point_px,
            self.posed.cam_from_model.numpy(force=True).astype(np.float64),
        )

    @cached_property
    def landmarks_px(self) -> dict[str, Float[np.ndarray, "L 2"]]:
        """Projections of the mesh's landmarks in photo pixels: ``ibug68`` and ``mediapipe478``."""
        return {
            "ibug68": read_only(self.crop.to_photo(self.posed.landmarks68_crop_px())),
            "mediapipe478": read_only(self.crop.to_photo(self.posed.landmarks_crop_px())),
        }

    @cached_property
    def coefficients(self) -> dict[str, Float[np.ndarray, " N"]]:
        """Coefficients by name: ``identity``, ``expression``, ``albedo``, ``pose`` (see ``camera.pose``)."""
        return {
            "identity": read_only(self.posed.identity.numpy(force=True)),
            "expression": read_only(self.posed.expression.numpy(force=True)),
            "albedo": self.albedo_coeffs,
            "pose": read_only(self.posed.pose.numpy(force=True)),
        }

    @cached_property
    def face_mask(self) -> Bool[np.ndarray, "224 224"]:
        """M_face = M_parsing × M_proj: crop pixels that show bare skin of the face front.

        Where the crop reaches beyond the photo there is nothing to see: its repeated edge is no face.
        """
        shown = self.crop.pixels_inside(*self.photo.size_px)
        return read_only(self.posed.face_front() & (self.parsing > BARE_FACE) & shown)

    @cached_property
    def render_detail(self) -> UInt8[np.ndarray, "224 224 3"]:
        """The face under its detailed light (OD), sRGB-encoded, black outside M_proj."""
        return read_only(encode_srgb(self.posed.render(self.albedo, self.illumination)))

    @cached_property
    def render_coarse(self) -> UInt8[np.ndarray, "224 224 3"]:
        """The face under its coarse light and its shadows (OC), sRGB-encoded, black outside M_proj."""
        return read_only(encode_srgb(self.posed.render(self.albedo, self.maps.illumination_coarse)))

    @cached_property
    def render_albedo(self) -> UInt8[np.ndarray, "224 224 3"]:
        """The albedo alone, unlit, sRGB-encoded, black outside M_proj."""
        return read_only(encode_srgb(self.posed.render(self.albedo, unit_light())))

    @cached_property
    def shading_picture(self) -> UInt8[np.ndarray, "256 256 3"]:
        """SRGB of clip(E / 2π): irradiance of the detailed light in the atlas, mid-bright for a white sky."""
        irradiance = self.posed.irradiance_map(self.illumination, LIGHT_MAP_SIZE)
        return read_only(encode_srgb(irradiance / (2 * math.pi)))

    @cached_property
    def metrics(self) -> dict[str, ImageFidelity]:
        """Fidelity of ``detail`` (OD) and ``coarse`` (OC) to the crop inside M_face; NaN when it is empty."""
        crop = self.photo.input_crop.astype(np.float32) / 255
        renderings = {"detail": self.render_detail, "coarse": self.render_coarse}
        return {
            name: image_fidelity(pixels.astype(np.float32) / 255, crop, self.face_mask)
            for name, pixels in renderings.items()
        }

    def render(
        self,
        light: Light | None = None,
        *,
        yaw_rad: float = 0.0,
        size_px: int = CROP_CAMERA.width_px,
        shadows: bool | None = None,
    ) -> Float[np.ndarray, "H W 3"]:
        """Renders the face in its crop's frame, linear Rec.709, 0 outside the face front.

        Args:
            light: A preset's name, a file (.hdr, .exr, .npz) or coefficients; the detailed light when absent.
            yaw_rad: Turns the light about camera +Y; positive moves light from the viewer to picture right.
            size_px: Width and height of the picture.
            shadows: Whether the head casts shadows on itself; ``None``: where the light is a preset or an
                environment map. The first such rendering of a face finds out what it hides (about 0.6 s).

        Raises:
            UsageError: Unknown light, a size that is not possible, or shadows asked of coefficients.
            UnreadableInputError: The light file cannot be read.
        """
        chosen: np.ndarray | Lamps = self.illumination
        if light is not None:
            chosen = shadowing_light(light, shadows=shadows)
        elif shadows:
            chosen = shadowing_light(self.illumination, shadows=True)
        with torch.inference_mode():
            return self.posed.render(self.albedo, chosen, yaw_rad=yaw_rad, size_px=size_px)
