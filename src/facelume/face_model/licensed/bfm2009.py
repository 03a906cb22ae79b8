"""Basel Face Model 2009 with expressions, cropped as in Deep3D: the face model of the paper.

Either the finished ``BFM_model_front.mat`` or what it is made of: ``01_MorphableModel.mat`` (Basel: 53,490
vertices, micrometres, colours 0-255), ``Exp_Pca.bin`` (Guo et al.: 53,215 of them; int32 number of
components, then float32 mean and components, x, y, z of each vertex together) with ``std_exp.txt``, and
Deep3D's ``BFM_exp_idx.mat`` (53,215 from 53,490), ``BFM_front_idx.mat`` (35,709 from 53,215) and
``facemodel_info.mat`` (triangles, landmarks, regions; all indices from 1). As in Deep3D the mean of the
expressions is left out.

Axes are ours already (+X subject's left, +Y up, +Z forward). Deep3D's unit is the decimetre.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.io import loadmat

from facelume.errors import AssetError
from facelume.face_model.licensed.assemble import (
    CORNERS_TO_EYE_M,
    DEVIATIONS,
    MissingPartWarning,
    ModelParts,
    SurfaceColours,
    assemble,
    landmarks_at_vertices,
    outward,
    rows_of_3,
)
from facelume.face_model.licensed.disk_atlas import disk_atlas
from facelume.face_model.licensed.source import FaceModelSource
from facelume.face_model.model import FaceModel
from facelume.types import FacePart

BFM2009 = FaceModelSource(
    name="bfm2009",
    summary="Basel Face Model 2009, the paper's: 35,709 vertices, 80 identity, 64 expression, 80 albedo",
    licence="Basel Face Model licence: registration, non-commercial research",
    url="https://faces.dmi.unibas.ch/bfm/ (01_MorphableModel.mat), https://github.com/Juyong/3DFace "
    "(Exp_Pca.bin), https://github.com/sicxu/Deep3DFaceRecon_pytorch, folder BFM (the rest)",
    file_sets=(
        (
            "01_MorphableModel.mat",
            "Exp_Pca.bin",
            "std_exp.txt",
            "BFM_exp_idx.mat",
            "BFM_front_idx.mat",
            "facemodel_info.mat",
        ),
        ("BFM_model_front.mat",),
    ),
)
NUM_OFFICIAL_VERTICES = {"01_MorphableModel.mat": 53_490, "Exp_Pca.bin": 53_215, "BFM_front_idx.mat": 35_709}
_METRES_PER_MICROMETRE = 1e-6
_METRES_PER_DECIMETRE = 0.1
_EYE_LANDMARKS = slice(36, 48)


@dataclass(frozen=True, eq=False)
class _FrontModel:
    """Deep3D's cropped model: metres, colours 0-255 (sRGB), indices from 0."""

    mean: Float[np.ndarray, "V 3"]
    identity: Float[np.ndarray, "I V 3"]
    expression: Float[np.ndarray, "E V 3"]
    colour_mean: Float[np.ndarray, "V 3"]
    colour_basis: Float[np.ndarray, "A V 3"]
    faces: Int[np.ndarray, "F 3"]
    landmark_vertices: Int[np.ndarray, " 68"]
    is_front_vertex: Bool[np.ndarray, " V"]


def load_bfm2009(
    folder: Path | None = None, *, num_identity: int = 80, num_expression: int = 64, num_albedo: int = 80
) -> FaceModel:
    """Load the model; the colours, sRGB 0-255 in the files, become linear albedo to first order.

    The files have no atlas: :func:`facelume.face_model.licensed.disk_atlas.disk_atlas` makes one from the
    mean shape.

    Args:
        folder: Folder with the files; ``$FACELUME_MODELS/bfm2009`` if not given.
        num_identity: Components to keep, standard deviations.
        num_expression: Components to keep, standard deviations.
        num_albedo: Components to keep, standard deviations.

    Raises:
        AssetError: If files are missing, damaged or do not fit together.
    """
    files = BFM2009.locate(folder)
    prebuilt = files.get("BFM_model_front.mat")
    if prebuilt is not None:
        model, used = _from_prebuilt(prebuilt), [prebuilt]
    else:
        model, used = _from_originals(files), list(files.values())
    return _assemble(model, used, (num_identity, num_expression, num_albedo))


def _assemble(model: _FrontModel, used: list[Path], counts: tuple[int, int, int]) -> FaceModel:
    faces = outward(model.mean, model.faces)
    eyes = model.mean[model.landmark_vertices[_EYE_LANDMARKS]].mean(0) - (0.0, 0.0, CORNERS_TO_EYE_M)
    uvs, uv_faces = disk_atlas(model.mean, faces)
    expression = model.expression[: counts[1]]
    if len(expression) < counts[1] or len(model.identity) < counts[0] or len(model.colour_basis) < counts[2]:
        warnings.warn(
            "face model 'bfm2009' has fewer components than asked for", MissingPartWarning, stacklevel=3
        )
    return assemble(
        BFM2009,
        used,
        ModelParts(
            mean=model.mean,
            identity=model.identity[: counts[0]],
            expression=expression,
            expression_names=tuple(f"expression_{k:03d}" for k in range(len(expression))),
            expression_limits=(DEVIATIONS,) * len(expression),
            eyes_middle=eyes,
            faces=faces,
            uvs=uvs,
            uv_faces=uv_faces,
            face_part=np.full(len(faces), FacePart.SKIN, np.uint8),
            face_front=model.is_front_vertex[faces].all(1),
            landmarks68=landmarks_at_vertices(model.landmark_vertices, faces, owner="bfm2009"),
            colours=SurfaceColours(
                model.colour_mean / 255, model.colour_basis[: counts[2]] / 255, is_linear=False
            ),
        ),
    )


def _from_prebuilt(path: Path) -> _FrontModel:
    arrays = _read_mat(path, ("meanshape", "meantex", "idBase", "exBase", "texBase"))
    mean = rows_of_3(arrays["meanshape"], None, what=f"meanshape in {path}")[0] * _METRES_PER_DECIMETRE

    def basis(key: str) -> Float[np.ndarray, "K V 3"]:
        return rows_of_3(arrays[key], len(mean), what=f"{key} in {path}")

    return _front_model(
        path,
        mean,
        (basis("idBase") * _METRES_PER_DECIMETRE, basis("exBase") * _METRES_PER_DECIMETRE),
        (basis("meantex")[0], basis("texBase")),
    )


def _from_originals(files: dict[str, Path]) -> _FrontModel:
    shape_path = files["01_MorphableModel.mat"]
    basel = _read_mat(shape_path, ("shapeMU", "shapePC", "shapeEV", "texMU", "texPC", "texEV"))
    mean = rows_of_3(basel["shapeMU"], None, what=f"shapeMU in {shape_path}")[0]
    components, num_expression_vertices = _read_expressions(files["Exp_Pca.bin"], files["std_exp.txt"])
    trim = _indices(files["BFM_exp_idx.mat"], "trimIndex", len(mean))
    front = _indices(files["BFM_front_idx.mat"], "idx", num_expression_vertices)
    if len(trim) != num_expression_vertices:
        raise AssetError(
            f"{files['BFM_exp_idx.mat']} selects {len(trim)} vertices, {files['Exp_Pca.bin']} has "
            f"{num_expression_vertices}: they are not of one release"
        )
    if len(mean) == NUM_OFFICIAL_VERTICES[shape_path.name] and (
        num_expression_vertices != NUM_OFFICIAL_VERTICES["Exp_Pca.bin"]
        or len(front) != NUM_OFFICIAL_VERTICES["BFM_front_idx.mat"]
    ):
        raise AssetError(
            f"the official crop has 53,215 and 35,709 vertices, {files['Exp_Pca.bin'].parent} has "
            f"{num_expression_vertices} and {len(front)}: download the index files again"
        )
    kept = trim[front]

    def basis(kind: str) -> Float[np.ndarray, "K V 3"]:
        rows = rows_of_3(basel[f"{kind}PC"], len(mean), what=f"{kind}PC in {shape_path}")
        deviations = np.asarray(basel[f"{kind}EV"], np.float32).reshape(-1)
        if len(deviations) != len(rows):
            raise AssetError(
                f"{kind}EV in {shape_path} has {len(deviations)} values for {len(rows)} components"
            )
        return rows[:, kept] * deviations[:, None, None]

    colour_mean = rows_of_3(basel["texMU"], len(mean), what=f"texMU in {shape_path}")[0]
    return _front_model(
        files["facemodel_info.mat"],
        mean[kept] * _METRES_PER_MICROMETRE,
        (basis("shape") * _METRES_PER_MICROMETRE, components[:, front] * _METRES_PER_MICROMETRE),
        (colour_mean[kept], basis("tex")),
    )


def _front_model(
    info_path: Path,
    mean: Float[np.ndarray, "V 3"],
    bases: tuple[Float[np.ndarray, "I V 3"], Float[np.ndarray, "E V 3"]],
    colours: tuple[Float[np.ndarray, "V 3"], Float[np.ndarray, "A V 3"]],
) -> _FrontModel:
    """Add triangles, landmarks and the face front, which both kinds of file keep under the same names."""
    faces = _indices(info_path, "tri", len(mean))
    landmarks = _indices(info_path, "keypoints", len(mean))
    if len(faces) % 3 or len(landmarks) != 68:
        raise AssetError(f"{info_path}: tri needs 3 columns and keypoints 68 entries: download it again")
    is_front = np.zeros(len(mean), bool)
    is_front[_indices(info_path, "frontmask2_idx", len(mean))] = True
    return _FrontModel(mean, *bases, *colours, faces.reshape(-1, 3), landmarks, is_front)


def _read_expressions(path: Path, deviations_path: Path) -> tuple[Float[np.ndarray, "K N 3"], int]:
    size = path.stat().st_size
    with path.open("rb") as stream:
        count = int(np.frombuffer(stream.read(4).ljust(4, b"\0"), "<i4")[0])
        num_vertices, rest = divmod(size - 4, 12 * (count + 1)) if count > 0 else (0, 1)
        if rest or num_vertices == 0:
            raise AssetError(
                f"{path} has {size} bytes, which do not fit its {count} components: download it again"
            )
        values = np.fromfile(stream, "<f4").reshape(count + 1, num_vertices, 3)
    try:
        deviations = np.loadtxt(deviations_path, ndmin=1).reshape(-1)
    except ValueError as error:
        raise AssetError(
            f"{deviations_path} is not a list of numbers ({error}): download it again"
        ) from error
    if len(deviations) != count:
        raise AssetError(
            f"{deviations_path} has {len(deviations)} values for the {count} components of {path}"
        )
    return values[1:] * deviations[:, None, None].astype(np.float32), num_vertices


def _indices(path: Path, key: str, limit: int) -> Int[np.ndarray, " N"]:
    """Indices of a MATLAB array, row by row, from 0."""
    indices = np.asarray(_read_mat(path, (key,))[key]).reshape(-1).astype(np.int64) - 1
    if len(indices) == 0 or indices.min() < 0 or indices.max() >= limit:
        raise AssetError(
            f"{key} in {path} points outside the {limit} vertices: the files are not of one release"
        )
    return indices


def _read_mat(path: Path, keys: tuple[str, ...]) -> dict[str, np.ndarray]:
    try:
        arrays = loadmat(path, variable_names=list(keys))
    except Exception as error:  # scipy lets errors of many kinds escape from damaged files
        raise AssetError(f"{path} is not a readable MATLAB file ({error}): download it again") from error
    absent = [key for key in keys if key not in arrays]
    if absent:
        raise AssetError(f"{path} has no {', '.join(absent)}: it is not the official file")
    return {key: np.asarray(arrays[key]) for key in keys}
