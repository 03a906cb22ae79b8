"""Frozen records that several modules share: numpy arrays, torch tensors; see ``docs/conventions.md``.

Numpy arrays in a record are read-only views: who wants to edit one takes a copy.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from enum import IntEnum
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Tensor

_Array = TypeVar("_Array", bound=np.ndarray)
_Record = TypeVar("_Record")


def read_only(array: _Array) -> _Array:
    """A view of an array that refuses to be written to; the array itself stays as it is."""
    view = array.view()
    view.flags.writeable = False
    return view


def lock_arrays(record: object) -> None:
    """Makes every numpy array of a frozen dataclass read-only; for its ``__post_init__``.

    What follows from a record (renderings, masks) is computed once and kept; an array edited in place would
    leave it stale without a word. An edit raises ValueError instead.
    """
    for entry in fields(record):  # type: ignore[arg-type]
        value = getattr(record, entry.name)
        if isinstance(value, np.ndarray):
            object.__setattr__(record, entry.name, read_only(value))


def on_device(record: _Record, device: torch.device | str) -> _Record:
    """The same frozen record with every tensor in it on another device."""
    assert is_dataclass(record)
    assert not isinstance(record, type)
    values = {f.name: getattr(record, f.name) for f in fields(record)}
    return replace(record, **{k: v.to(device) for k, v in values.items() if isinstance(v, Tensor)})


class FacePart(IntEnum):
    """What a triangle of a head belongs to; every face model, map and file of the package counts like this.

    Where nothing is seen, pixels and texels hold -1.
    """

    SKIN = 0
    LEFT_EYE = 1
    RIGHT_EYE = 2
    MOUTH_INTERIOR = 3
    UPPER_TEETH = 4
    LOWER_TEETH = 5
    TONGUE = 6


EYE_PARTS = (FacePart.LEFT_EYE, FacePart.RIGHT_EYE)
MOUTH_PARTS = (FacePart.MOUTH_INTERIOR, FacePart.UPPER_TEETH, FacePart.LOWER_TEETH, FacePart.TONGUE)
"""What lies behind the lips."""


def is_part(part: Shaped[Tensor, "*shape"], parts: tuple[FacePart, ...]) -> Bool[Tensor, "*shape"]:
    """Where a map of parts holds one of ``parts``."""
    return torch.isin(part, torch.tensor(parts, dtype=part.dtype, device=part.device))


@dataclass(frozen=True)
class FaceDetection:
    """One face found in a photo.

    Attributes:
        box_px: Left, top, right, bottom in photo pixels (pixel (0, 0) has its centre at (0.5, 0.5)).
        points_px: Subject's right eye, subject's left eye, nose tip, subject's right and left mouth corner
            (in picture order left to right for a frontal face), photo pixels.
        score: Confidence in [0, 1].
    """

    box_px: tuple[float, float, float, float]
    points_px: Float[np.ndarray, "5 2"]
    score: float

    def __post_init__(self) -> None:
        """Make the arrays read-only."""
        lock_arrays(self)


@dataclass(frozen=True)
class LandmarkEmbedding:
    """Landmarks as fixed points on the surface of a mesh.

    Attributes:
        face_index: Triangle that carries each landmark.
        bary_coords: Barycentric weights of the triangle's corners; rows sum to 1.
    """

    face_index: Int[Tensor, " L"]
    bary_coords: Float[Tensor, "L 3"]


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh with a texture atlas; positions in metres, model axes.

    Attributes:
        vertices: Positions.
        faces: Vertex indices of each triangle, counter-clockwise seen from outside.
        uvs: Atlas coordinates in [0, 1], origin top-left.
        uv_faces: Index into ``uvs`` for each triangle corner.
    """

    vertices: Float[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "F 3"]
    uvs: Float[np.ndarray, "T 2"]
    uv_faces: Int[np.ndarray, "F 3"]

    def __post_init__(self) -> None:
        """Make the arrays read-only."""
        lock_arrays(self)


@dataclass(frozen=True)
class Topology:
    """What stays fixed while a face moves: triangles, atlas, parts, left-right pairing.

    Attributes:
        faces: Vertex indices of each triangle, counter-clockwise seen from outside.
        uvs: Atlas coordinates in [0, 1], origin top-left. The atlas is its own mirror image in u.
        uv_faces: Index into ``uvs`` for each triangle corner.
        face_part: Part of each triangle, a :class:`FacePart`.
        face_front: True where the triangle belongs to the face front (no ears, scalp or neck): M_proj.
        mirror_vertices: Vertex on the other side of the head for each vertex; an involution.
    """

    faces: Int[Tensor, "F 3"]
    uvs: Float[Tensor, "T 2"]
    uv_faces: Int[Tensor, "F 3"]
    face_part: UInt8[Tensor, " F"]
    face_front: Bool[Tensor, " F"]
    mirror_vertices: Int[Tensor, " V"]

    def to(self, device: torch.device | str) -> Topology:
        """Return the same topology with every tensor on ``device``."""
        return Topology(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})
