"""FLAME 2020 and 2023: pickled or npz model, texture space or AlbedoMM, landmarks, masks.

The model file is a dict: ``v_template`` (V, 3), ``shapedirs`` (V, 3, 400: 300 identity, then 100
expression), ``posedirs`` (V, 3, 36), ``weights`` (V, 5), ``J_regressor`` (5, V), ``f`` (F, 3); metres, axes
as ours. Joints: root, neck, jaw, left eye, right eye. Atlas coordinates come from a texture file (``vt``,
``ft``) or from ``head_template.obj``; textures are (S, S, 3[, K]), row 0 at the top.

FLAME opens the mouth and turns the eyes by joints, not by its expressions. A linear model has no joints, so
the posed shapes (linear blend skinning with pose correctives, exact at strength 1) are added as expressions
under their ARKit names; in between they move on straight lines.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from facelume.errors import AssetError
from facelume.face_model.licensed.assemble import (
    DEVIATIONS,
    MAP_SIZE,
    STRENGTH,
    ModelParts,
    SurfaceColours,
    assemble,
    front_by_position,
    outward,
)
from facelume.face_model.licensed.official_pickle import read_pickle, read_pickled_npy
from facelume.face_model.licensed.source import FaceModelSource
from facelume.face_model.model import FaceModel
from facelume.geometry import rotation_from_rotvec
from facelume.io.obj import read_obj_geometry
from facelume.types import EYE_PARTS, FacePart

_ALBEDOMM = "albedoModel2020_FLAME_albedoPart.npz"
_TEXTURES = (_ALBEDOMM, "FLAME_texture.npz", "FLAME_albedo_from_BFM.npz")
_TEMPLATE = "head_template.obj"
_LANDMARKS = "landmark_embedding.npy"
_MASKS = "FLAME_masks.pkl"
_ATLAS_FILES = " or ".join((*_TEXTURES, _TEMPLATE))
_MODELS = {
    "flame2020": ("generic_model.pkl", "generic_model.npz"),
    "flame2023": ("flame2023.pkl", "flame2023_Open.pkl", "flame2023.npz"),
}
_URL = (
    "https://flame.is.tue.mpg.de/ (model, FLAME_texture.npz, FLAME_masks.pkl), "
    "https://github.com/waps101/AlbedoMM (releases), https://github.com/yfeng95/DECA, folder data "
    "(landmark_embedding.npy, head_template.obj)"
)
_SUMMARY = "5,023 vertices, whole head: 80 identity, 64 expression + 11 jaw and gaze, 80 albedo"
FLAME2020 = FaceModelSource(
    name="flame2020",
    summary=f"FLAME 2020, {_SUMMARY}",
    licence="FLAME licence: registration, non-commercial research; AlbedoMM: academic research",
    url=_URL,
    file_sets=((" or ".join(_MODELS["flame2020"]), _ATLAS_FILES),),
    optional_files=(_LANDMARKS, _MASKS),
)
FLAME2023 = FaceModelSource(
    name="flame2023",
    summary=f"FLAME 2023, {_SUMMARY}",
    licence="FLAME licence (flame2023.pkl) or CC BY 4.0 (flame2023_Open.pkl): registration",
    url=_URL,
    file_sets=((" or ".join(_MODELS["flame2023"]), _ATLAS_FILES),),
    optional_files=(_LANDMARKS, _MASKS),
)
NUM_IDENTITY_IN_FILE = 300
_JAW, _LEFT_EYE, _RIGHT_EYE = 2, 3, 4
_JAW_OPEN_RAD, _JAW_SIDE_RAD, _GAZE_RAD = 0.35, 0.08, 0.4
_X, _Y = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
# Name, joint, axis and angle. About +X a forward point goes down, about +Y to the subject's left.
_POSES: tuple[tuple[str, int, tuple[float, float, float], float], ...] = (
    ("jawOpen", _JAW, _X, _JAW_OPEN_RAD),
    ("jawLeft", _JAW, _Y, _JAW_SIDE_RAD),
    ("jawRight", _JAW, _Y, -_JAW_SIDE_RAD),
    ("eyeLookDownLeft", _LEFT_EYE, _X, _GAZE_RAD),
    ("eyeLookUpLeft", _LEFT_EYE, _X, -_GAZE_RAD),
    ("eyeLookOutLeft", _LEFT_EYE, _Y, _GAZE_RAD),
    ("eyeLookInLeft", _LEFT_EYE, _Y, -_GAZE_RAD),
    ("eyeLookDownRight", _RIGHT_EYE, _X, _GAZE_RAD),
    ("eyeLookUpRight", _RIGHT_EYE, _X, -_GAZE_RAD),
    ("eyeLookInRight", _RIGHT_EYE, _Y, _GAZE_RAD),
    ("eyeLookOutRight", _RIGHT_EYE, _Y, -_GAZE_RAD),
)


def load_flame(
    source: FaceModelSource,
    folder: Path | None = None,
    *,
    num_identity: int = 80,
    num_expression: int = 64,
    num_albedo: int = 80,
) -> FaceModel:
    """Load FLAME with the first texture file there is: AlbedoMM (linear), MPI's or BFM's colours (sRGB).

    Args:
        source: ``FLAME2020`` or ``FLAME2023``.
        folder: Folder with the files; ``$FACELUME_MODELS/<name>`` if not given.
        num_identity: Components to keep, standard deviations.
        num_expression: Components to keep, standard deviations; 11 joint poses in [0, 1] follow them.
        num_albedo: Components to keep, standard deviations.

    Raises:
        AssetError: If files are missing, damaged, hold anything but arrays, or do not fit together.
    """
    files = source.locate(folder)
    model_path = next(files[n] for n in _MODELS[source.name] if n in files)
    model = _read_model(model_path)
    texture_path = next((files[n] for n in _TEXTURES if n in files), None)
    texture = None if texture_path is None else _read_npz(texture_path)
    mean, faces = model["v_template"], model["f"]
    uvs, uv_faces, atlas_path = _atlas(model, texture, files)
    if len(uv_faces) != len(faces):
        raise AssetError(
            f"{atlas_path or texture_path} has {len(uv_faces)} triangles, {model_path} {len(faces)}"
        )
    turned = outward(mean, faces)
    if turned is not faces:
        uv_faces = uv_faces[:, ::-1].copy()
    joints = model["J_regressor"] @ mean
    eyes_middle = joints[[_LEFT_EYE, _RIGHT_EYE]].mean(0)
    expressions = _expressions(model, joints, num_expression)
    used = [p for p in (model_path, texture_path, atlas_path, files.get(_LANDMARKS), files.get(_MASKS)) if p]
    return assemble(
        source,
        used,
        ModelParts(
            mean=mean,
            identity=np.moveaxis(model["shapedirs"][..., :NUM_IDENTITY_IN_FILE], -1, 0)[:num_identity],
            expression=expressions,
            expression_names=tuple(f"expression_{k:03d}" for k in range(len(expressions) - len(_POSES)))
            + tuple(pose[0] for pose in _POSES),
            expression_limits=(DEVIATIONS,) * (len(expressions) - len(_POSES)) + (STRENGTH,) * len(_POSES),
            eyes_middle=eyes_middle,
            faces=turned,
            uvs=uvs,
            uv_faces=uv_faces,
            face_part=_parts(model["weights"], turned),
            face_front=_front(files.get(_MASKS), model, turned, eyes_middle),
            landmarks68=_landmarks68(files.get(_LANDMARKS), len(faces), is_turned=turned is not faces),
            colours=None if texture is None else _colours(texture, num_albedo, texture_path),
        ),
    )


def _read_model(path: Path) -> dict[str, np.ndarray]:
    raw = _read_npz(path) if path.suffix == ".npz" else read_pickle(path)
    wanted = {"v_template": 2, "shapedirs": 3, "posedirs": 3, "weights": 2, "J_regressor": 2, "f": 2}
    if not isinstance(raw, dict) or not wanted.keys() <= raw.keys():
        raise AssetError(
            f"{path} lacks {', '.join(sorted(wanted))} or some of them: it is not a FLAME model file"
        )
    model = {k: np.asarray(raw[k], np.int64 if k == "f" else np.float64) for k in wanted}
    model |= {k: np.asarray(raw[k]) for k in ("vt", "ft") if raw.get(k) is not None}
    num_vertices = len(model["v_template"])
    shapes = {
        "v_template": (num_vertices, 3),
        "posedirs": (num_vertices, 3, 36),
        "weights": (num_vertices, 5),
        "J_regressor": (5, num_vertices),
        "f": (len(model["f"]), 3),
    }
    for name, shape in shapes.items():
        if model[name].shape != shape:
            raise AssetError(
                f"{name} in {path} has shape {model[name].shape}, not {shape}: download it again"
            )
    directions = model["shapedirs"].shape
    if directions[:2] != (num_vertices, 3) or directions[2] <= NUM_IDENTITY_IN_FILE:
        raise AssetError(
            f"shapedirs in {path} has shape {directions}, not ({num_vertices}, 3, 300 + expressions)"
        )
    return model


def _expressions(
    model: dict[str, np.ndarray], joints: Float[np.ndarray, "5 3"], count: int
) -> Float[np.ndarray, "E V 3"]:
    own = np.moveaxis(model["shapedirs"][..., NUM_IDENTITY_IN_FILE:], -1, 0)[:count]
    posed = [
        _posed_offset(model, joints, joint, np.multiply(axis, angle)) for _, joint, axis, angle in _POSES
    ]
    return np.concatenate([own, np.stack(posed)])


def _posed_offset(
    model: dict[str, np.ndarray],
    joints: Float[np.ndarray, "5 3"],
    joint: int,
    rotvec: Float[np.ndarray, " 3"],
) -> Float[np.ndarray, "V 3"]:
    """Where the mean's vertices go when one leaf joint turns: pose correctives, then skinning."""
    rotation = rotation_from_rotvec(torch.from_numpy(rotvec)).numpy()
    correctives = model["posedirs"][..., 9 * (joint - 1) : 9 * joint] @ (rotation - np.eye(3)).reshape(9)
    shaped = model["v_template"] + correctives
    turned = (shaped - joints[joint]) @ rotation.T + joints[joint]
    return correctives + model["weights"][:, joint, None] * (turned - shaped)


def _parts(weights: Float[np.ndarray, "V 5"], faces: Int[np.ndarray, "F 3"]) -> np.ndarray:
    """Eyeballs are what the eye joints carry; all else is skin."""
    is_eye = [weights[:, joint] > 0.5 for joint in (_LEFT_EYE, _RIGHT_EYE)]
    part_of_vertex = np.select(is_eye, EYE_PARTS, FacePart.SKIN)
    return part_of_vertex[faces].min(1).astype(np.uint8)


def _front(
    masks_path: Path | None,
    model: dict[str, np.ndarray],
    faces: Int[np.ndarray, "F 3"],
    eyes_middle: Float[np.ndarray, " 3"],
) -> Bool[np.ndarray, " F"]:
    """The ``face`` mask with the eyeballs if the masks are there, else an oval around the face."""
    mean = model["v_template"]
    if masks_path is None:
        return front_by_position(mean, faces, eyes_middle)
    masks = read_pickle(masks_path)
    is_face = np.zeros(len(mean), bool)
    try:
        for name in ("face", "left_eyeball", "right_eyeball"):
            is_face[np.asarray(masks[name], np.int64)] = True
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise AssetError(f"{masks_path} does not fit the model ({error}): download it again") from error
    return is_face[faces].all(1)


def _landmarks68(
    path: Path | None, num_faces: int, *, is_turned: bool
) -> tuple[Int[np.ndarray, " 68"], Float[np.ndarray, "68 3"]] | None:
    if path is None:
        return None
    embedding = read_pickled_npy(path)
    try:
        index = np.asarray(embedding["full_lmk_faces_idx"], np.int64).reshape(68)
        weights = np.asarray(embedding["full_lmk_bary_coords"], np.float64).reshape(68, 3)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise AssetError(f"{path} has no 68 landmarks ({error}): download it again") from error
    if index.min() < 0 or index.max() >= num_faces:
        raise AssetError(f"{path} points outside the model's {num_faces} triangles")
    return index, weights[:, ::-1].copy() if is_turned else weights


def _atlas(
    model: dict[str, np.ndarray], texture: dict[str, Any] | None, files: dict[str, Path]
) -> tuple[Float[np.ndarray, "T 2"], Int[np.ndarray, "F 3"], Path | None]:
    """Atlas of the texture file, else of the template, else of the model file; v counted from the top."""
    for source in (texture or {}, model):
        if "vt" in source and "ft" in source:
            uvs, uv_faces, path = (
                np.asarray(source["vt"], np.float64),
                np.asarray(source["ft"], np.int64),
                None,
            )
            break
    else:
        path = files.get(_TEMPLATE)
        if path is None:
            raise AssetError(f"this FLAME has no texture coordinates: put {_TEMPLATE} beside it ({_URL})")
        geometry = read_obj_geometry(path)
        uvs, uv_faces = geometry.uvs, geometry.uv_triangles
        if not np.array_equal(np.sort(geometry.triangles, 1), np.sort(model["f"], 1)):
            raise AssetError(f"{path} has other triangles than the model: take the template of this FLAME")
    return uvs * (1.0, -1.0) + (0.0, 1.0), uv_faces, path


def _colours(texture: dict[str, Any], count: int, path: Path | None) -> SurfaceColours:
    is_albedomm = "specMU" in texture
    names = ("MU", "PC") if "MU" in texture else ("mean", "tex_dir")
    if not set(names) <= texture.keys():
        raise AssetError(f"{path} has neither MU and PC nor mean and tex_dir: it is not a FLAME texture file")
    mean = np.asarray(texture[names[0]], np.float32)
    basis = np.asarray(texture[names[1]][..., :count], np.float32)
    if mean.ndim != 3 or mean.shape[-1] != 3 or basis.shape[:3] != mean.shape:
        raise AssetError(f"{path}: textures of shape {mean.shape} and {basis.shape} do not fit together")
    scale = 255.0 if mean.max() > 2 else 1.0
    stacked = torch.from_numpy(np.concatenate([mean[..., None], basis], -1) / scale).permute(3, 2, 0, 1)
    smaller = torch.nn.functional.interpolate(stacked, size=(MAP_SIZE, MAP_SIZE), mode="area")
    maps = smaller.permute(0, 2, 3, 1).numpy()
    if maps[0, ..., 0].mean() < maps[0, ..., 2].mean():  # stored blue first: skin reflects more red than blue
        maps = maps[..., ::-1].copy()
    return SurfaceColours(maps[0], maps[1:], is_linear=is_albedomm)


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise AssetError(
            f"{path} is not a readable npz of plain arrays ({error}): download it again"
        ) from error
