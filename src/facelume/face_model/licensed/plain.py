"""A linear head of the user's own in one archive of plain arrays, ``linear_head.npz``.

``mean`` (V, 3), ``identity`` (I, V, 3) and ``faces`` (F, 3) have to be there; metres, +X subject's left, +Y
up, +Z out of the face. ``eyes_middle`` (3,) is the middle between the eyeball centres; without it the
eyeballs of ``face_part`` say it. All else is optional: ``expression`` (E, V, 3) with ``expression_names`` and
``expression_limits`` (E, 2); ``face_part`` (F,) as :class:`~facelume.types.FacePart`; ``colour_mean`` (V, 3)
and ``colour_basis`` (A, V, 3), linear Rec.709; ``uvs`` (T, 2), origin top-left, with ``uv_faces`` (F, 3);
``licence``, one line.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from facelume.errors import AssetError
from facelume.face_model.licensed.assemble import (
    DEVIATIONS,
    ModelParts,
    SurfaceColours,
    assemble,
    front_by_position,
    outward,
)
from facelume.face_model.licensed.disk_atlas import disk_atlas
from facelume.face_model.licensed.source import FaceModelSource
from facelume.face_model.model import FaceModel
from facelume.types import EYE_PARTS, FacePart

PLAIN_NAME = "linear_head.npz"
_NEEDED = ("mean", "identity", "faces")


def plain_source(folder: Path) -> FaceModelSource:
    """The model of a folder with a ``linear_head.npz``; its name is the folder."""
    return FaceModelSource(
        name=str(folder.resolve()),
        summary="a linear head of plain arrays",
        licence="as the user says",
        url="docs/licensed_models.md",
        file_sets=((PLAIN_NAME,),),
    )


def load_plain(folder: Path) -> FaceModel:
    """Load the linear head of a folder.

    Raises:
        AssetError: The archive is missing or damaged, or its arrays do not fit together.
    """
    source = plain_source(folder)
    path = source.locate(folder)[PLAIN_NAME]
    arrays = _read(path)
    mean, identity = arrays["mean"].astype(np.float64), arrays["identity"].astype(np.float64)
    expression = arrays.get("expression", np.zeros((0, *mean.shape))).astype(np.float64)
    stored = arrays["faces"].astype(np.int64)
    faces = outward(mean, stored)
    part = arrays.get("face_part", np.full(len(faces), FacePart.SKIN)).astype(np.uint8)
    names = arrays.get("expression_names", np.array([f"expression_{k:03d}" for k in range(len(expression))]))
    limits = arrays.get("expression_limits", np.array([DEVIATIONS] * len(expression)).reshape(-1, 2))
    if "uvs" in arrays:
        uvs, uv_faces = arrays["uvs"].astype(np.float64), arrays["uv_faces"].astype(np.int64)
        uv_faces = uv_faces if faces is stored else uv_faces[:, ::-1].copy()
    else:
        uvs, uv_faces = disk_atlas(mean, faces)
    eyes = _eyes_middle(path, arrays, mean, faces, part)
    colours = None
    if "colour_mean" in arrays:
        basis = arrays.get("colour_basis", np.zeros((0, *mean.shape)))
        colours = SurfaceColours(
            arrays["colour_mean"].astype(np.float64), basis.astype(np.float64), is_linear=True
        )
    if "licence" in arrays:
        source = dataclasses.replace(source, licence=str(arrays["licence"].item()))
    return assemble(
        source,
        [path],
        ModelParts(
            mean=mean,
            identity=identity,
            expression=expression,
            expression_names=tuple(str(name) for name in names),
            expression_limits=tuple((float(low), float(high)) for low, high in limits),
            eyes_middle=eyes,
            faces=faces,
            uvs=uvs,
            uv_faces=uv_faces,
            face_part=part,
            face_front=front_by_position(mean, faces, eyes),
            landmarks68=None,
            colours=colours,
        ),
    )


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, BadZipFile) as error:
        raise AssetError(f"{path} is not a readable npz of plain arrays ({error})") from error
    absent = [name for name in _NEEDED if name not in arrays]
    if absent:
        raise AssetError(f"{path} lacks {', '.join(absent)}: see docs/licensed_models.md")
    count, triangles = len(arrays["mean"]), len(arrays["faces"])
    expressions = len(arrays["expression"]) if "expression" in arrays else 0
    shapes = {
        "mean": (count, 3),
        "faces": (triangles, 3),
        "identity": (len(arrays["identity"]), count, 3),
        "expression": (expressions, count, 3),
        "expression_names": (expressions,),
        "expression_limits": (expressions, 2),
        "face_part": (triangles,),
        "colour_mean": (count, 3),
        "colour_basis": (len(arrays.get("colour_basis", ())), count, 3),
        "uv_faces": (triangles, 3),
        "eyes_middle": (3,),
    }
    for name, shape in shapes.items():
        if name in arrays and arrays[name].shape != shape:
            raise AssetError(f"{name} in {path} has shape {arrays[name].shape}, not {shape}")
    if ("uvs" in arrays) != ("uv_faces" in arrays):
        raise AssetError(f"{path}: uvs and uv_faces belong together; one of them is missing")
    for name, limit in (("faces", count), ("uv_faces", len(arrays.get("uvs", ())))):
        if name in arrays and not (
            arrays[name].size and 0 <= arrays[name].min() <= arrays[name].max() < limit
        ):
            raise AssetError(f"{path}: {name} is empty, or an index is outside its {limit} points")
    return arrays


def _eyes_middle(
    path: Path, arrays: dict[str, np.ndarray], mean: np.ndarray, faces: np.ndarray, part: np.ndarray
) -> np.ndarray:
    if "eyes_middle" in arrays:
        return arrays["eyes_middle"].astype(np.float64)
    balls = [mean[np.unique(faces[part == eye])] for eye in EYE_PARTS]
    if any(len(ball) == 0 for ball in balls):
        raise AssetError(f"{path} needs eyes_middle (3,), or eyeballs in face_part")
    middle: np.ndarray = np.mean([(ball.min(axis=0) + ball.max(axis=0)) / 2 for ball in balls], axis=0)
    return middle
