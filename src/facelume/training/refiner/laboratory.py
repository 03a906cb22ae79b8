"""Real faces whose albedo is known: people of a laboratory, photographed under one known lamp at a time.

A folder holds a folder for each person with grey photos ``az+070_el-35.jpg``: azimuth and elevation of the
lamp in degrees, the head still, values linear. Photometric stereo finds the albedo of each pixel from all of
them; each photo alone is then a real face under hard light whose albedo is known, up to its hue and what
varies slowly over the face: these are those of the face model under the frontal lamp.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from facelume.camera import CROP_CAMERA, CROP_SIZE_PX, CropTransform, sample_crop
from facelume.data.split import LABORATORY_STRIDE
from facelume.errors import NoFaceError, UsageError
from facelume.fitting.photometric_stereo import StereoAlbedo, photometric_stereo
from facelume.io.photo import read_photo
from facelume.pipeline.alignment import AlignedFace
from facelume.pipeline.finding import FaceFinder
from facelume.pipeline.posed_face import PosedFace
from facelume.pipeline.timing import StageTimer
from facelume.refinement.inputs import PreparedInput
from facelume.refinement.tone import SkinTone
from facelume.reflectance import luminance
from facelume.uv import masked_low_pass, resize_map, unwrap_crop

_NAME = re.compile(r"az([+-]\d+)_el([+-]\d+)$")
_FEWEST_AGREEING = 5.0
_SLOW_BOX_PX = 65
_SMALLEST_RATIO, _LARGEST_RATIO = 0.2, 3.0
_DARKEST = 1e-3


@dataclass(frozen=True, eq=False)
class LampPhotos:
    """The photos of one person.

    Attributes:
        person: Name of the folder.
        paths: Files; the one whose lamp is nearest to the camera comes first.
        directions: Unit direction to the lamp of each: to the side, up, to the camera.
    """

    person: str
    paths: tuple[Path, ...]
    directions: Float[np.ndarray, "K 3"]

    @property
    def number(self) -> int:
        """A number that no other person has: 63 bits of a hash."""
        return int.from_bytes(hashlib.sha256(f"laboratory/{self.person}".encode()).digest()[:8]) >> 1


def laboratory_people(folder: Path) -> list[LampPhotos]:
    """The people to learn from, in the order of their names.

    Args:
        folder: See the module.

    Raises:
        UsageError: There are none, or a photo's name does not say where its lamp is.
    """
    names = sorted(place.name for place in folder.glob("*") if place.is_dir())
    if not names:
        raise UsageError(f"{folder}: holds no folder of a person")
    return [photos_of(folder / name) for k, name in enumerate(names) if k % LABORATORY_STRIDE != 0]


def photos_of(folder: Path) -> LampPhotos:
    """The photos of one person.

    Args:
        folder: Folder of the person.

    Raises:
        UsageError: A photo's name does not say where its lamp is.
    """
    paths = sorted(folder.glob("*.jpg"))
    directions = np.array([_direction(path) for path in paths], np.float32).reshape(-1, 3)
    order = np.argsort(-directions[:, 2], kind="stable")
    return LampPhotos(folder.name, tuple(paths[k] for k in order), directions[order])


def _direction(path: Path) -> tuple[float, float, float]:
    found = _NAME.match(path.stem)
    if found is None:
        raise UsageError(f"{path}: the name must say where the lamp is, like az+070_el-35.jpg")
    azimuth, elevation = (math.radians(float(part)) for part in found.groups())
    level = math.cos(elevation)
    return math.sin(azimuth) * level, math.sin(elevation), math.cos(azimuth) * level


@dataclass(frozen=True, eq=False)
class LampAlbedo:
    """What is known of the albedo of a person.

    Attributes:
        stereo: Albedo of each photo pixel.
        model: Albedo of the face model, linear.
        tone: Tone of its skin.
    """

    stereo: StereoAlbedo
    model: Float[Tensor, "1 3 p p"]
    tone: SkinTone

    def in_atlas(
        self,
        crop: CropTransform,
        posed: PosedFace,
        prepared: PreparedInput,
        toned: Float[Tensor, "p p"],
        size: int,
    ) -> Float[Tensor, "1 3 {size} {size}"]:
        """The albedo, linear, its skin in the tone that one of the photos was judged to have; 0 if unknown.

        Args:
            crop: Where the crop lies in that photo.
            posed: Shape and pose.
            prepared: What was made of the photo.
            toned: Share of skin, lips and brows in each texel.
            size: Texels along an edge.
        """
        known = (self.stereo.num_agreeing >= _FEWEST_AGREEING).float()
        brightest = self.stereo.albedo.amax().clamp(min=_DARKEST)
        stack = torch.stack([self.stereo.albedo / brightest, known, known], dim=-1).numpy()
        picture = torch.from_numpy(sample_crop(stack, crop)).permute(2, 0, 1)[None]
        everywhere = torch.ones(1, CROP_SIZE_PX, CROP_SIZE_PX)
        found = unwrap_crop(picture, prepared.texels, posed.crop_buffers, CROP_CAMERA, everywhere)
        texels = resize_map(found.texture, size)
        seen = resize_map((found.visibility * prepared.maps.visibility)[:, None], size)
        is_known = ((seen > 0.5) & (texels[:, 1:2] > 0.9)).float()
        judged = torch.exp(prepared.tone.log_albedo - self.tone.log_albedo)[..., None, None]
        model = resize_map(self.model * judged**toned, size).clamp(min=_DARKEST)
        ratio = torch.log(texels[:, :1].clamp(min=_DARKEST) / luminance(model.movedim(1, -1))[:, None])
        # Near lamps and shine at grazing angles brighten whole regions: what varies slowly is the model's.
        ratio = ratio - masked_low_pass(ratio, is_known, _SLOW_BOX_PX)
        gain = torch.exp(ratio).clamp(_SMALLEST_RATIO, _LARGEST_RATIO)
        return (model * gain).clamp(0, 1) * is_known


def read_grey(path: Path) -> Float[np.ndarray, "H W"]:
    """The values of a photo of a laboratory, [0, 1]."""
    return read_photo(path).srgb.astype(np.float32).mean(axis=-1) / 255.0


def stereo_of(photos: LampPhotos) -> StereoAlbedo:
    """Photometric stereo of the photos of a person."""
    pictures = torch.from_numpy(np.stack([read_grey(path) for path in photos.paths]))
    return photometric_stereo(pictures, torch.from_numpy(photos.directions))


def encoded(grey: Float[np.ndarray, "H W"], exponent: float) -> UInt8[np.ndarray, "H W 3"]:
    """A photo as a camera would store it whose tone curve is a power.

    Args:
        grey: Linear, [0, 1].
        exponent: 1 stores the values as they are, 0.45 about as sRGB does.
    """
    values = np.rint(grey**exponent * 255).astype(np.uint8)
    return np.repeat(values[..., None], 3, axis=-1)


def aligned_photos(
    photos: LampPhotos, finder: FaceFinder, exponents: Sequence[float]
) -> Iterator[tuple[UInt8[np.ndarray, "H W 3"], AlignedFace]]:
    """Every photo in every encoding, aligned as in use; those without a face are left out.

    Args:
        photos: Of one person.
        finder: Finds and aligns faces.
        exponents: See :func:`encoded`.
    """
    for path in photos.paths:
        grey = read_grey(path)
        for exponent in exponents:
            picture = encoded(grey, exponent)
            try:
                (face,) = finder.find(picture, StageTimer(), only_largest=True)
            except NoFaceError:
                continue
            yield picture, face
