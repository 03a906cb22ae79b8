"""Read what the official OBJ files of face models hold: vertices, atlas coordinates, polygons."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from facelume.errors import AssetError


@dataclass(frozen=True, eq=False)
class ObjGeometry:
    """Geometry of one OBJ file, in its own unit; polygons become fans of triangles in file order.

    Attributes:
        vertices: ``v`` lines.
        uvs: ``vt`` lines, v counted from the bottom as in the file; no rows if there are none.
        triangles: Index into ``vertices`` for each corner.
        uv_triangles: Index into ``uvs`` for each corner; no rows if a corner names no ``vt``.
    """

    vertices: Float[np.ndarray, "V 3"]
    uvs: Float[np.ndarray, "T 2"]
    triangles: Int[np.ndarray, "F 3"]
    uv_triangles: Int[np.ndarray, "G 3"]


def read_obj_geometry(path: Path) -> ObjGeometry:
    """Read an OBJ file; normals, materials and groups are ignored.

    Raises:
        AssetError: If a line cannot be read or an index points nowhere.
    """
    vertices: list[list[float]] = []
    uvs: list[list[float]] = []
    corners: list[list[list[int]]] = []
    try:
        with path.open(encoding="ascii", errors="replace") as lines:
            for line in lines:
                kind, *words = line.split() or [""]
                if kind == "v":
                    vertices.append([float(w) for w in words[:3]])
                elif kind == "vt":
                    uvs.append([float(w) for w in words[:2]])
                elif kind == "f":
                    polygon = [[int(n or 0) for n in w.split("/")[:2]] for w in words]
                    corners += [[polygon[0], *polygon[k : k + 2]] for k in range(1, len(polygon) - 1)]
        points = np.array(vertices, np.float64).reshape(-1, 3)
        atlas = np.array(uvs, np.float64).reshape(-1, 2)
        has_uvs = all(len(c) > 1 and c[1] for t in corners for c in t)
        triangles = _from_zero([[c[0] for c in t] for t in corners], len(points))
        uv_triangles = _from_zero([[c[1] for c in t] for t in corners] if has_uvs else [], len(atlas))
    except (ValueError, IndexError) as error:
        raise AssetError(f"{path} is not a readable OBJ file ({error}): download it again") from error
    return ObjGeometry(points, atlas, triangles, uv_triangles)


def read_obj_vertices(path: Path) -> Float[np.ndarray, "V 3"]:
    """Only the ``v`` lines of an OBJ file, for morph targets.

    Raises:
        AssetError: If a line cannot be read.
    """
    try:
        with path.open(encoding="ascii", errors="replace") as lines:
            words = [line.split()[1:4] for line in lines if line.startswith("v ")]
        return np.array(words, np.float64).reshape(-1, 3)
    except ValueError as error:
        raise AssetError(f"{path} is not a readable OBJ file ({error}): download it again") from error


def _from_zero(indices: list[list[int]], limit: int) -> Int[np.ndarray, "F 3"]:
    array = np.array(indices, np.int64).reshape(-1, 3)
    array = np.where(array < 0, array + limit, array - 1)
    if len(array) and (array.min() < 0 or array.max() >= limit):
        raise ValueError(f"an index is outside the {limit} entries")
    return array
