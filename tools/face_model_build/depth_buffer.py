"""A small numpy z-buffer: pictures of the model and the surface point under a pixel, at build time only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class DepthBuffer:
    """What each pixel sees: triangle (-1 empty), affine barycentrics of its corners, depth (+z away)."""

    pix_to_face: np.ndarray
    bary_coords: np.ndarray
    depth: np.ndarray


def rasterize_pixels(
    points_px: np.ndarray, faces: np.ndarray, size: tuple[int, int], *, front_only: bool = True
) -> DepthBuffer:
    """Rasterise (V, 3) points (x, y in px, z depth, +z away); x right, y down, pixel centres at +0.5.

    ``front_only`` drops triangles that are counter-clockwise on a y-down picture, i.e. seen from behind
    when the mesh is counter-clockwise from outside and the picture was made by a y flip.
    """
    height, width = size
    tri = points_px[faces]
    ab, ac = tri[:, 1, :2] - tri[:, 0, :2], tri[:, 2, :2] - tri[:, 0, :2]
    det = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    use = (det < -1e-12) if front_only else (np.abs(det) > 1e-12)
    lo = np.clip(np.floor(tri[..., :2].min(1) - 0.5).astype(int), 0, [width, height])
    hi = np.clip(np.ceil(tri[..., :2].max(1) + 0.5).astype(int), 0, [width, height])
    extent = np.where(use[:, None], np.maximum(hi - lo, 0), 0)
    count = extent.prod(1)
    face = np.repeat(np.arange(len(faces)), count)
    local = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    x = lo[face, 0] + local % np.maximum(extent[face, 0], 1)
    y = lo[face, 1] + local // np.maximum(extent[face, 0], 1)
    d = np.stack([x + 0.5, y + 0.5], 1) - tri[face, 0, :2]
    b1 = (d[:, 0] * ac[face, 1] - d[:, 1] * ac[face, 0]) / det[face]
    b2 = (ab[face, 0] * d[:, 1] - ab[face, 1] * d[:, 0]) / det[face]
    bary = np.stack([1 - b1 - b2, b1, b2], 1)
    inside = (bary >= -1e-9).all(1)
    face, x, y, bary = face[inside], x[inside], y[inside], bary[inside]
    z = (bary * tri[face, :, 2]).sum(1)
    order = np.lexsort((z, y * width + x))
    pixel = (y * width + x)[order]
    first = order[np.r_[True, pixel[1:] != pixel[:-1]]] if len(order) else order
    pix_to_face = np.full(height * width, -1)
    bary_coords = np.zeros((height * width, 3))
    depth = np.full(height * width, np.inf)
    index = y[first] * width + x[first]
    pix_to_face[index], bary_coords[index], depth[index] = face[first], bary[first], z[first]
    return DepthBuffer(pix_to_face.reshape(size), bary_coords.reshape(*size, 3), depth.reshape(size))


def orthographic(
    vertices: np.ndarray,
    yaw_rad: float,
    pitch_rad: float,
    px_per_unit: float,
    centre_px: tuple[float, float],
    centre: np.ndarray,
) -> np.ndarray:
    """Turn model points (yaw about +Y, then pitch about +X) and put them on a y-down picture; z grows
    away."""
    cy, sy, cp, sp = np.cos(yaw_rad), np.sin(yaw_rad), np.cos(pitch_rad), np.sin(pitch_rad)
    yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    turned = (vertices - centre) @ (pitch @ yaw).T
    return np.stack(
        [
            turned[:, 0] * px_per_unit + centre_px[0],
            -turned[:, 1] * px_per_unit + centre_px[1],
            -turned[:, 2] * px_per_unit,
        ],
        1,
    )


def vertex_normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3), area-weighted.

    ``facelume.geometry`` has the same in torch; its last bits differ, and with them landmarks of the asset.
    """
    corners = points[triangles]
    face_normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal = np.zeros_like(points)
    for corner in range(3):
        np.add.at(normal, triangles[:, corner], face_normal)
    return normal / (np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12)


def shade_grey(faces: np.ndarray, buffer: DepthBuffer, points_px: np.ndarray) -> np.ndarray:
    """Smooth shaded picture (H, W) in [0, 1] under a light near the viewer, background white."""
    normal = vertex_normals(points_px, faces)
    hit = buffer.pix_to_face >= 0
    n = (normal[faces[buffer.pix_to_face[hit]]] * buffer.bary_coords[hit][..., None]).sum(1)
    n /= np.linalg.norm(n, axis=1, keepdims=True) + 1e-12
    light = np.array([-0.3, -0.45, -0.84])
    picture = np.ones(buffer.pix_to_face.shape)
    picture[hit] = 0.12 + 0.8 * np.clip(n @ light, 0, 1)
    return picture
