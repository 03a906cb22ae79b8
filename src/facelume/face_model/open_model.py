"""Load the open face model that comes with the package."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from facelume.errors import AssetError
from facelume.face_model.albedo import load_albedo_basis
from facelume.face_model.model import FaceModel, LinearShape, Symmetry, atlas_id_of
from facelume.types import LandmarkEmbedding, Topology

ASSET_FOLDER = Path(__file__).parent / "assets"
GEOMETRY_FILE = "open_face_model.npz"
ALBEDO_FILE = "open_albedo_basis.npz"
FORMAT_VERSION = 1
LICENCE = (
    "shapes: MakeHuman/MPFB2, CC0 1.0; albedo: its skins, CC0 1.0, and with the landmarks' places "
    "the Face Research Lab London Set, CC BY 4.0"
)


@cache
def load_open_face_model() -> FaceModel:
    """The open face model on the CPU in float32; read once per process.

    Raises:
        AssetError: If an asset file is missing, damaged, or of another format version.
    """
    return read_open_face_model(ASSET_FOLDER)


def read_open_face_model(folder: Path) -> FaceModel:
    """Read the two asset files of a folder; see :func:`load_open_face_model`."""
    geometry = folder / GEOMETRY_FILE
    digest = hashlib.sha256()
    for path in (geometry, folder / ALBEDO_FILE):
        if not path.is_file():
            raise AssetError(
                f"face model asset {path} is missing: reinstall facelume or see docs/face_model.md"
            )
        digest.update(path.read_bytes())
    try:
        with np.load(geometry, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, BadZipFile) as error:
        raise AssetError(f"face model asset {geometry} is damaged ({error}): reinstall facelume") from error
    version = int(arrays.get("format_version", -1))
    if version != FORMAT_VERSION:
        raise AssetError(
            f"face model asset {geometry} has format {version}, not {FORMAT_VERSION}: reinstall facelume"
        )
    try:
        return _from_arrays(arrays, digest.hexdigest(), folder)
    except KeyError as error:
        raise AssetError(
            f"face model asset {geometry} lacks {error}: rebuild it with tools/build_face_model.py"
        ) from error


def _from_arrays(arrays: dict[str, np.ndarray], sha256: str, folder: Path) -> FaceModel:
    def floats(name: str) -> Tensor:
        return torch.from_numpy(arrays[name].astype(np.float32))

    def integers(name: str) -> Tensor:
        return torch.from_numpy(arrays[name].astype(np.int64))

    topology = Topology(
        faces=integers("faces"),
        uvs=floats("uvs"),
        uv_faces=integers("uv_faces"),
        face_part=torch.from_numpy(arrays["face_part"]),
        face_front=torch.from_numpy(arrays["face_front"]),
        mirror_vertices=integers("mirror_vertices"),
    )
    mean = floats("mean_control")
    names = tuple(str(name) for name in arrays["expression_names"])
    per_row = integers("subdivision_indptr").diff()
    rows = torch.repeat_interleave(torch.arange(len(per_row)), per_row)
    subdivision = torch.sparse_coo_tensor(
        torch.stack([rows, integers("subdivision_indices")]),
        floats("subdivision_values"),
        size=(len(topology.mirror_vertices), len(mean)),
        check_invariants=True,
    ).coalesce()
    basis = torch.cat([floats("identity_basis_mm"), floats("expression_basis_mm")]) / 1000
    return FaceModel(
        name="open",
        asset_sha256=sha256,
        atlas_id=atlas_id_of(arrays["uvs"], arrays["uv_faces"]),
        licence=LICENCE,
        num_identity=len(arrays["identity_basis_mm"]),
        expression_names=names,
        topology=topology,
        linear=LinearShape(mean, basis, subdivision),
        symmetry=Symmetry(floats("identity_mirror_sign"), torch.tensor(expression_partners(names))),
        landmarks478=LandmarkEmbedding(integers("landmarks478_face"), floats("landmarks478_bary")),
        landmarks68=LandmarkEmbedding(integers("landmarks68_face"), floats("landmarks68_bary")),
        uv_masks={
            key.removeprefix("uv_mask_"): torch.from_numpy(value.astype(np.float32) / 255)
            for key, value in arrays.items()
            if key.startswith("uv_mask_")
        },
        albedo=load_albedo_basis(folder / ALBEDO_FILE),
    )


def expression_partners(names: tuple[str, ...]) -> list[int]:
    """Index of each ARKit unit's mirror image: ``...Left`` and ``...Right`` change places, others stay."""

    def partner(name: str) -> str:
        if name.endswith("Left"):
            return name.removesuffix("Left") + "Right"
        return name.removesuffix("Right") + "Left" if name.endswith("Right") else name

    return [names.index(partner(name)) for name in names]
