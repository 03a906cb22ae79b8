"""Faces prepared for the refinement on disk: unwrapped once, kept as small integer maps, read one by one."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float16, Shaped, UInt8
from PIL import Image
from torch import Tensor

from facelume.data.fingerprint import Fingerprint
from facelume.data.packed_rows import RowFile, write_rows
from facelume.refinement.refine import RefinerInput
from facelume.reflectance import linear_from_srgb, srgb_from_linear
from facelume.uv import resize_map

MapKind = Literal["photo", "albedo", "share", "direction", "sh", "sh_map", "exposure"]
"""What a map of the refinement's input is: how it is kept, and what a change of tone and a mirror do to it.

Linear colours of the photo or of an albedo are kept as sRGB in 8 bits, a share of [0, 1] and a direction in
the light frame in 8 bits. SH radiance and exposure are kept as they are, SH radiance per texel coarsely and
in 16 bits.
"""

MAP_KINDS: dict[str, MapKind] = {
    "texture": "photo",
    "visibility": "share",
    "normals_light": "direction",
    "prior_albedo": "albedo",
    "coarse_light": "sh",
    "coarse_map": "sh_map",
    "exposure": "exposure",
}
"""The kind of each field of :class:`~facelume.refinement.refine.RefinerInput`: a new field is named here."""

COARSE_MAP_SIZE = 32
"""Texels along an edge of the kept map of the coarse light: the shadows that a mean head casts are soft."""

_MAPS = "maps."
_PICTURE_QUALITY = 97


@dataclass(frozen=True)
class PreparedFace:
    """One face in the atlas, as if its skin had the usual tone (see :mod:`facelume.refinement.usual_tone`).

    Attributes:
        maps: Input of the refinement by field, as :data:`MAP_KINDS` says.
        truth: True albedo in that tone, sRGB-encoded; 0 where it is not known.
        truth_shading: True irradiance / pi of each seen texel over that albedo, exposed as the photo, shadows
            included, linear; likewise.
        truth_highlight: True reflection at the surface, exposed as the photo, linear; likewise.
        has_truth: Whether the face is synthetic or of a laboratory.
        person: Number of the person: faces of one person have one.
        picture_file: The crop, a JPEG of high quality.
        face_mask: M_face of the crop.
        identity: Coefficients of the mesh that unwrapped the photo.
        expression: Likewise.
        pose: Rotation vector and translation (metres), likewise.
    """

    maps: Mapping[str, Shaped[np.ndarray, "..."]]
    truth: UInt8[np.ndarray, "3 s s"]
    truth_shading: Float16[np.ndarray, "3 s s"]
    truth_highlight: Float16[np.ndarray, "3 s s"]
    has_truth: bool
    person: int
    picture_file: UInt8[np.ndarray, " n"]
    face_mask: Bool[np.ndarray, "224 224"]
    identity: Float[np.ndarray, " I"]
    expression: Float[np.ndarray, " E"]
    pose: Float[np.ndarray, " 6"]

    @property
    def image_srgb(self) -> UInt8[np.ndarray, "224 224 3"]:
        """The crop."""
        with Image.open(io.BytesIO(self.picture_file.tobytes())) as picture:
            return np.array(picture.convert("RGB"))


class PreparedFaces:
    """A shard of prepared faces on disk; faces are read when they are asked for.

    Attributes:
        has_truth: Which faces are synthetic.
        person: Number of the person that each shows.

    Args:
        path: A file of :meth:`save`.
        fingerprint: What its faces would be made from now.

    Raises:
        UsageError: They were made from something else, or the file is damaged.
    """

    def __init__(self, path: Path, fingerprint: Fingerprint) -> None:
        self._file = RowFile(path)
        self._file.require(fingerprint, "prepared faces")
        self.has_truth: Bool[np.ndarray, " n"] = self._file.column("has_truth")
        self.person: Shaped[np.ndarray, " n"] = self._file.column("person")

    def __len__(self) -> int:
        return len(self._file)

    def __getitem__(self, row: int) -> PreparedFace:
        values = self._file.row(row)
        maps = {name.removeprefix(_MAPS): values.pop(name) for name in list(values) if name.startswith(_MAPS)}
        has_truth, person = bool(values.pop("has_truth")), int(values.pop("person"))
        return PreparedFace(maps=maps, has_truth=has_truth, person=person, **values)

    @staticmethod
    def save(path: Path, faces: Sequence[PreparedFace], fingerprint: Fingerprint) -> None:
        """Write faces, whole or not at all.

        Args:
            path: The file.
            faces: At least one.
            fingerprint: What they were made from.
        """
        write_rows(path, [_row_of(face) for face in faces], fingerprint)


def _row_of(face: PreparedFace) -> dict[str, np.ndarray]:
    names = [field.name for field in fields(PreparedFace) if field.name != "maps"]
    maps = {f"{_MAPS}{name}": values for name, values in face.maps.items()}
    return maps | {name: np.asarray(getattr(face, name)) for name in names}


def encoded_maps(maps: RefinerInput) -> dict[str, Shaped[np.ndarray, "..."]]:
    """The maps of one face as they are kept.

    Args:
        maps: A batch of one.
    """
    return {
        name: _ENCODERS[MAP_KINDS[name]](getattr(maps, name)[0])
        for name in (field.name for field in fields(RefinerInput))
    }


def decoded_map(name: str, kept: Shaped[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
    """A batch of one of the maps from what was kept.

    Args:
        name: Field of :class:`~facelume.refinement.refine.RefinerInput`.
        kept: See :func:`encoded_maps`.
    """
    kind = MAP_KINDS[name]
    if kind in ("photo", "albedo"):
        return linear_from_srgb(kept.float() / 255.0)
    return kept.float() / {"share": 255.0, "direction": 127.0}.get(kind, 1.0)


def in_bytes(values: Float[Tensor, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Values of [0, 1] in 8 bits."""
    return (values.clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()


def in_half(light: Float[Tensor, "*shape"]) -> Float16[np.ndarray, "*shape"]:
    """Linear light, 0 or more, in 16 bits; the packed file keeps 8 bits of its logarithm."""
    return light.clamp(0, torch.finfo(torch.float16).max).half().numpy()


def picture_file(image_srgb: Float[np.ndarray, "224 224 3"]) -> UInt8[np.ndarray, " n"]:
    """A crop of [0, 1] as a JPEG of high quality."""
    file = io.BytesIO()
    pixels = (image_srgb.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    Image.fromarray(pixels).save(file, "JPEG", quality=_PICTURE_QUALITY, subsampling=0)
    return np.frombuffer(file.getvalue(), np.uint8)


_ENCODERS: dict[MapKind, Callable[[Tensor], np.ndarray]] = {
    "photo": lambda values: in_bytes(srgb_from_linear(values)),
    "albedo": lambda values: in_bytes(srgb_from_linear(values)),
    "share": in_bytes,
    "direction": lambda values: (values * 127).round().to(torch.int8).numpy(),
    "sh": lambda values: values.float().numpy(),
    "sh_map": lambda values: resize_map(values[None], COARSE_MAP_SIZE)[0].half().numpy(),
    "exposure": lambda values: values.float().numpy(),
}
