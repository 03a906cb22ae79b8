"""Basel Face Model 2017 and 2019: one HDF5 file each, in Statismo's layout.

``shape``, ``expression`` and ``color`` each hold ``model/mean`` (3V), ``model/pcaBasis`` (3V, K) and
``model/pcaVariance`` (K); ``shape/representer/cells`` holds the triangles as (3, F),
``metadata/landmarks/json`` named points. Millimetres, axes as ours. Needs ``h5py``: ``pip install
facelume[bfm]``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from facelume.errors import AssetError
from facelume.face_model.licensed.assemble import (
    CORNERS_TO_EYE_M,
    DEVIATIONS,
    ModelParts,
    SurfaceColours,
    assemble,
    front_by_position,
    outward,
    rows_of_3,
)
from facelume.face_model.licensed.disk_atlas import disk_atlas
from facelume.face_model.licensed.source import FaceModelSource
from facelume.face_model.model import FaceModel
from facelume.types import FacePart

if TYPE_CHECKING:
    import h5py

BFM2017 = FaceModelSource(
    name="bfm2017",
    summary="Basel Face Model 2017, face or face with ears and neck: 80 identity, 64 expression, 80 albedo",
    licence="Basel Face Model licence: registration, non-commercial research",
    url="https://faces.dmi.unibas.ch/bfm/bfm2017.html",
    file_sets=(("model2017-1_face12_nomouth.h5 or model2017-1_bfm_nomouth.h5",),),
)
BFM2019 = FaceModelSource(
    name="bfm2019",
    summary="Basel Face Model 2019, face or face with ears and neck: 80 identity, 64 expression, 80 albedo",
    licence="Basel Face Model licence: registration, non-commercial research",
    url="https://faces.dmi.unibas.ch/bfm/bfm2019.html",
    file_sets=(("model2019_face12.h5 or model2019_bfm.h5",),),
)
_METRES_PER_MILLIMETRE = 1e-3
_EYE_CORNERS = tuple(
    f"{side}.eye.corner_{place}" for side in ("left", "right") for place in ("inner", "outer")
)


def load_bfm_h5(
    source: FaceModelSource,
    folder: Path | None = None,
    *,
    num_identity: int = 80,
    num_expression: int = 64,
    num_albedo: int = 80,
) -> FaceModel:
    """Load BFM 2017 or 2019; the colours, sRGB in the files, become linear albedo to first order.

    The mean is that of shape plus that of expression. The files have no atlas:
    :func:`facelume.face_model.licensed.disk_atlas.disk_atlas` makes one. The face front is an oval around
    the face.

    Args:
        source: ``BFM2017`` or ``BFM2019``.
        folder: Folder with the file; ``$FACELUME_MODELS/<name>`` if not given.
        num_identity: Components to keep, standard deviations.
        num_expression: Components to keep, standard deviations.
        num_albedo: Components to keep, standard deviations.

    Raises:
        AssetError: If the file or h5py is missing, or the file is damaged or of another layout.
    """
    files = source.locate(folder)
    path = next(iter(files.values()))
    try:
        import h5py
    except ImportError as error:
        raise AssetError(f"reading {path} needs h5py: pip install facelume[bfm]") from error
    try:
        with h5py.File(path, "r") as archive:
            shape_mean, identity = _component(archive, "shape", num_identity)
            expression_mean, expression = _component(archive, "expression", num_expression)
            colour_mean, colour_basis = _component(archive, "color", num_albedo)
            cells = _array(archive, "shape/representer/cells")
            eyes = _eyes_middle(archive)
    except OSError as error:
        raise AssetError(f"{path} is not a readable HDF5 file ({error}): download it again") from error
    if not len(shape_mean) == len(expression_mean) == len(colour_mean):
        raise AssetError(f"{path}: shape, expression and color have different numbers of vertices")
    mean = (shape_mean + expression_mean) * _METRES_PER_MILLIMETRE
    faces = outward(mean, (cells.T if cells.shape[0] == 3 else cells).astype(np.int64))
    uvs, uv_faces = disk_atlas(mean, faces)
    eyes_middle = eyes * _METRES_PER_MILLIMETRE - (0.0, 0.0, CORNERS_TO_EYE_M)
    scale = 255.0 if colour_mean.max() > 2 else 1.0
    return assemble(
        source,
        [path],
        ModelParts(
            mean=mean,
            identity=identity * _METRES_PER_MILLIMETRE,
            expression=expression * _METRES_PER_MILLIMETRE,
            expression_names=tuple(f"expression_{k:03d}" for k in range(len(expression))),
            expression_limits=(DEVIATIONS,) * len(expression),
            eyes_middle=eyes_middle,
            faces=faces,
            uvs=uvs,
            uv_faces=uv_faces,
            face_part=np.full(len(faces), FacePart.SKIN, np.uint8),
            face_front=front_by_position(mean, faces, eyes_middle),
            landmarks68=None,
            colours=SurfaceColours(colour_mean / scale, colour_basis / scale, is_linear=False),
        ),
    )


def _component(
    archive: h5py.File, group: str, count: int
) -> tuple[Float[np.ndarray, "V 3"], Float[np.ndarray, "K V 3"]]:
    where = f"{group} in {archive.filename}"
    mean = rows_of_3(_array(archive, f"{group}/model/mean"), None, what=f"mean of {where}")[0]
    variance = _array(archive, f"{group}/model/pcaVariance").reshape(-1)
    stored = _array(archive, f"{group}/model/pcaBasis")
    if stored.ndim != 2 or stored.shape[1] != len(variance):
        raise AssetError(f"pcaBasis of {where} has shape {stored.shape} for {len(variance)} variances")
    basis = rows_of_3(stored[:, :count], len(mean), what=f"pcaBasis of {where}")
    return mean.astype(np.float64), basis * np.sqrt(variance[:count])[:, None, None]


def _eyes_middle(archive: h5py.File) -> Float[np.ndarray, " 3"]:
    raw = _array(archive, "metadata/landmarks/json")
    text = (
        raw.item() if raw.dtype.hasobject and raw.size == 1 else raw.tobytes()
    )  # a string, or its characters
    try:
        points = {entry["id"]: entry["coordinates"] for entry in json.loads(text.rstrip(b"\0"))}
        corners = [points[name] for name in _EYE_CORNERS]
    except (ValueError, KeyError, TypeError) as error:
        raise AssetError(
            f"metadata/landmarks/json in {archive.filename} has no eye corners ({error})"
        ) from error
    return np.asarray(corners, np.float64).mean(0)


def _array(archive: h5py.File, key: str) -> np.ndarray:
    if key not in archive:
        raise AssetError(f"{archive.filename} has no {key}: it is not an official Basel Face Model file")
    return np.asarray(archive[key])
