"""Wavefront OBJ, written with its material, and read as far as face models need it.

Positions and atlas coordinates have indices of their own in both directions: a vertex on an atlas seam stays
one vertex, and vertex k of a file stays vertex k, as landmarks and morph targets need it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from facelume.errors import AssetError
from facelume.types import EYE_PARTS, MOUTH_PARTS, FacePart, Mesh

_GROUPS = (("skin", (FacePart.SKIN,)), ("eyes", EYE_PARTS), ("mouth", MOUTH_PARTS))


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


def save_obj(
    path: Path,
    mesh: Mesh,
    normals: Float[np.ndarray, "V 3"],
    face_part: Int[np.ndarray, " F"],
    texture_name: str,
) -> None:
    """Writes ``path`` (``.obj``), one group per part of the face, and the ``.mtl`` of that stem beside it.

    Args:
        path: Target of the OBJ.
        mesh: Mesh in metres, model axes; v is flipped on writing because OBJ counts it from the bottom.
        normals: Unit normal of each vertex.
        face_part: :class:`~facelume.types.FacePart` of each triangle.
        texture_name: File name of the texture, relative to the OBJ.
    """
    flipped = mesh.uvs * np.array([1.0, -1.0]) + np.array([0.0, 1.0])
    lines = [
        "# facelume: metres, +Y up, +Z out of the face",
        f"mtllib {path.with_suffix('.mtl').name}",
        *_rows("v", mesh.vertices, 6),
        *_rows("vt", flipped, 6),
        *_rows("vn", normals, 4),
    ]
    corners = np.stack([mesh.faces + 1, mesh.uv_faces + 1, mesh.faces + 1], axis=2)
    for name, parts in _GROUPS:
        chosen = corners[np.isin(face_part, parts)]
        if len(chosen):
            lines += [f"g {name}", f"usemtl {name}"]
            triangle = "f {}/{}/{} {}/{}/{} {}/{}/{}"
            lines += [triangle.format(*row) for row in chosen.reshape(-1, 9).tolist()]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    material = "newmtl {}\nKa 0 0 0\nKd 1 1 1\nKs 0.04 0.04 0.04\nNs 20\nillum 2\nmap_Kd {}\n"
    text = "\n".join(material.format(name, texture_name) for name, _ in _GROUPS)
    path.with_suffix(".mtl").write_text(text, encoding="ascii")


def read_obj_geometry(path: Path) -> ObjGeometry:
    """Reads an OBJ file; normals, materials and groups are ignored.

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
                    polygon = [_corner(word, len(vertices), len(uvs)) for word in words]
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
    """Reads only the ``v`` lines of an OBJ file, for morph targets.

    Raises:
        AssetError: If a line cannot be read.
    """
    try:
        with path.open(encoding="ascii", errors="replace") as lines:
            words = [line.split()[1:4] for line in lines if line.startswith("v ")]
        return np.array(words, np.float64).reshape(-1, 3)
    except ValueError as error:
        raise AssetError(f"{path} is not a readable OBJ file ({error}): download it again") from error


def _rows(keyword: str, values: Float[np.ndarray, "N C"], digits: int) -> list[str]:
    form = keyword + f" {{:.{digits}f}}" * values.shape[1]
    return [form.format(*row) for row in values.tolist()]


def _corner(word: str, num_vertices: int, num_uvs: int) -> list[int]:
    """Position and, if named, atlas index, from 1; negative ones count back from what was read so far."""
    counts = (num_vertices, num_uvs)
    named = [int(n or 0) for n in word.split("/")[:2]]
    return [n if n >= 0 else count + 1 + n for n, count in zip(named, counts, strict=False)]


def _from_zero(indices: list[list[int]], limit: int) -> Int[np.ndarray, "F 3"]:
    array = np.array(indices, np.int64).reshape(-1, 3) - 1
    if len(array) and (array.min() < 0 or array.max() >= limit):
        raise ValueError(f"an index is outside the {limit} entries")
    return array
