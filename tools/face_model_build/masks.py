"""Region masks of the atlas at 256, exactly left-right symmetric."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from face_model_build.atlas import Atlas
from face_model_build.depth_buffer import orthographic, rasterize_pixels
from face_model_build.landmarks import Embedding

SIZE, OVERSAMPLING = 256, 8
OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
RIGHT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
BROW_BLUR, LIP_BLUR = 1.5, 0.7
NOSTRIL_OPENNESS = 0.4
GAUSS_REACH = 3


def _fill_polygon(points_uv: np.ndarray) -> np.ndarray:
    """Coverage in [0, 1] of a polygon in atlas coordinates."""
    side = SIZE * OVERSAMPLING
    picture = Image.new("L", (side, side))
    ImageDraw.Draw(picture).polygon(
        [(float(u) * side - 0.5, float(v) * side - 0.5) for u, v in points_uv], fill=255
    )
    return _shrink(np.asarray(picture) / 255.0)


def _shrink(picture: np.ndarray) -> np.ndarray:
    return picture.reshape(SIZE, OVERSAMPLING, SIZE, OVERSAMPLING).mean((1, 3))


def _coverage(atlas: Atlas, chosen: np.ndarray) -> np.ndarray:
    side = SIZE * OVERSAMPLING
    points = np.concatenate([atlas.uvs * side, np.zeros((len(atlas.uvs), 1))], 1)
    buffer = rasterize_pixels(points, atlas.uv_faces[chosen], (side, side), front_only=False)
    return _shrink((buffer.pix_to_face >= 0).astype(float))


def _blur(mask: np.ndarray, sigma: float) -> np.ndarray:
    reach = int(np.ceil(GAUSS_REACH * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        mask = np.apply_along_axis(np.convolve, axis, mask, kernel, mode="same")
    return mask


def _openness(vertices: np.ndarray, triangles: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Share of the views around the front half-space that see each triangle near ``centre``."""
    seen = np.zeros(len(triangles))
    views = [(yaw, pitch) for yaw in range(-80, 81, 20) for pitch in range(-80, 81, 20)]
    for yaw, pitch in views:
        points = orthographic(vertices, np.radians(yaw), np.radians(pitch), 6000, (240, 240), centre)
        buffer = rasterize_pixels(points, triangles, (480, 480))
        seen[np.unique(buffer.pix_to_face[buffer.pix_to_face >= 0])] += 1
    return seen / len(views)


def build_masks(
    vertices: np.ndarray,
    triangles: np.ndarray,
    label: np.ndarray,
    atlas: Atlas,
    dense: Embedding,
) -> dict[str, np.ndarray]:
    """The region masks by name; definitions in ``docs/face_model.md``."""
    corner_uv = atlas.uvs[atlas.uv_faces]
    marks_uv = (corner_uv[dense.face_index] * dense.bary_coords[..., None]).sum(1)
    face = label == "face"
    filled = _coverage(atlas, face)
    outline = _fill_holes(filled > 0.0)
    whole = np.where(filled > 0, filled, outline.astype(float))
    whole = np.where(
        _fill_holes(filled >= 1 - 1e-9) & (filled < 1), np.maximum(filled, _interior(filled)), whole
    )
    eyes = np.clip(whole - filled, 0, 1) * (_near_eyes(corner_uv, label))
    lips = _blur(_fill_polygon(marks_uv[list(OUTER_LIPS)]), LIP_BLUR) * whole
    brow = _fill_polygon(marks_uv[list(RIGHT_BROW)])
    brows = _blur(np.maximum(brow, brow[:, ::-1]), BROW_BLUR) * whole
    centre = vertices[triangles].mean(1)
    tip = vertices[np.argmax(vertices[:, 2])]
    near_nose = (np.linalg.norm(centre - tip, axis=1) < 0.035) & face & (centre[:, 1] > tip[1] - 0.018)
    near = np.linalg.norm(centre - tip, axis=1) < 0.06
    openness = np.ones(len(triangles))
    openness[near] = _openness(vertices, triangles[near], tip)
    nostrils = _blur(_coverage(atlas, near_nose & (openness < NOSTRIL_OPENNESS)), LIP_BLUR)
    rest = label == "rest"
    jaw_line = vertices[triangles[label == "ear"]].reshape(-1, 3)[:, 1].min()
    is_neck = rest & (centre[:, 1] < jaw_line + 0.25 * (centre[:, 2]))
    masks = {
        "face": whole,
        "eyes": eyes,
        "lips": lips,
        "brows": brows,
        "nostrils": nostrils,
        "ears": _coverage(atlas, label == "ear"),
        "neck": _coverage(atlas, is_neck),
        "scalp": _coverage(atlas, rest & ~is_neck),
    }
    masks["skin"] = np.clip(whole - eyes - lips - brows - nostrils, 0, 1)
    return {name: 0.5 * (mask + mask[:, ::-1]) for name, mask in masks.items()}


def _interior(filled: np.ndarray) -> np.ndarray:
    """1 where a texel lies inside the face's outer border, 0 outside."""
    return _fill_holes(filled >= 1 - 1e-9).astype(float)


def _fill_holes(mask: np.ndarray) -> np.ndarray:
    from scipy.ndimage import binary_fill_holes

    return binary_fill_holes(mask)


def _near_eyes(corner_uv: np.ndarray, label: np.ndarray) -> np.ndarray:
    """1 in the two boxes around the eye openings, 0 elsewhere (keeps the lip slit out of ``eyes``)."""
    grid = (np.arange(SIZE) + 0.5) / SIZE
    out = np.zeros((SIZE, SIZE))
    for name in ("cap_left", "cap_right"):
        points = corner_uv[label == name].reshape(-1, 2)
        low, high = points.min(0) - 12 / SIZE, points.max(0) + 12 / SIZE
        out[np.ix_((grid > low[1]) & (grid < high[1]), (grid > low[0]) & (grid < high[0]))] = 1
    return out
