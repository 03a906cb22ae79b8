"""Binary PLY with a colour per vertex: positions in metres, model axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float, UInt8

from facelume.types import Mesh


def save_ply(
    path: Path, mesh: Mesh, normals: Float[np.ndarray, "V 3"], colours_srgb: UInt8[np.ndarray, "V 3"]
) -> None:
    """Writes a PLY file.

    Args:
        path: Target.
        mesh: Vertices and triangles; PLY holds no atlas.
        normals: Unit normal of each vertex.
        colours_srgb: Colour of each vertex, sRGB-encoded.
    """
    exported = trimesh.Trimesh(
        mesh.vertices,
        mesh.faces,
        vertex_normals=normals,
        vertex_colors=colours_srgb,
        process=False,
    )
    path.write_bytes(trimesh.exchange.ply.export_ply(exported, vertex_normal=True))


def vertex_colours(mesh: Mesh, texture_srgb: UInt8[np.ndarray, "S S 3"]) -> UInt8[np.ndarray, "V 3"]:
    """Returns the texel under each vertex (one of them where an atlas seam gives it several)."""
    size = texture_srgb.shape[0]
    uv_of_vertex = np.full((len(mesh.vertices), 2), 0.5)
    uv_of_vertex[mesh.faces.ravel()] = mesh.uvs[mesh.uv_faces.ravel()]
    texels = np.clip(np.floor(uv_of_vertex * size).astype(int), 0, size - 1)
    return texture_srgb[texels[:, 1], texels[:, 0]]
