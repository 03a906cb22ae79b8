"""Wavefront OBJ with its material: positions in metres, model axes, one group per part of the face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from facelume.types import EYE_PARTS, MOUTH_PARTS, FacePart, Mesh

_GROUPS = (("skin", (FacePart.SKIN,)), ("eyes", EYE_PARTS), ("mouth", MOUTH_PARTS))


def save_obj(
    path: Path,
    mesh: Mesh,
    normals: Float[np.ndarray, "V 3"],
    face_part: Int[np.ndarray, " F"],
    texture_name: str,
) -> None:
    """Writes ``path`` (``.obj``) and the ``.mtl`` of the same stem beside it.

    Args:
        path: Target of the OBJ.
        mesh: Mesh with its atlas; v is flipped on writing because OBJ counts it from the bottom.
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


def _rows(keyword: str, values: Float[np.ndarray, "N C"], digits: int) -> list[str]:
    form = keyword + f" {{:.{digits}f}}" * values.shape[1]
    return [form.format(*row) for row in values.tolist()]
