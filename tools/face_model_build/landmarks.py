"""Landmark embeddings: detect the 478 points on renderings and read the surface under them."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from face_model_build.depth_buffer import orthographic, rasterize_pixels, shade_grey
from facelume.geometry import closest_on_triangles
from facelume.geometry.face_mesh import NUM_LANDMARKS, NUM_MESH_POINTS
from facelume.types import EYE_PARTS, FacePart

SIZE_PX, PX_PER_M = 900, 2900.0
VIEWS_DEG = ((0, 0), (-14, 0), (14, 0), (0, 10), (0, -10), (-24, 0), (24, 0))
IRIS = range(NUM_MESH_POINTS, NUM_LANDMARKS)
MIDLINE = (
    10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 164, 0, 11, 12, 13, 14, 15, 16, 17, 18, 200, 199,
    175, 152,
)  # fmt: skip
UPPER_INNER_LIP = (191, 80, 81, 82, 13, 312, 311, 310, 415)
LOWER_INNER_LIP = (95, 88, 178, 87, 14, 317, 402, 318, 324)
# iBUG-68 from the 478 points: jaw, brows, nose, eyes, lips (the usual correspondence, subject's right
# first).
IBUG68_FROM_478 = (
    127, 234, 93, 132, 58, 172, 150, 176, 152, 400, 379, 397, 288, 361, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,
    78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip


@dataclass(frozen=True)
class Embedding:
    """Triangle and barycentrics of each landmark; ``spread_mm`` between views, ``mirror`` partner of
    each."""

    face_index: np.ndarray
    bary_coords: np.ndarray
    spread_mm: np.ndarray
    mirror: np.ndarray


@dataclass(frozen=True)
class Detection:
    """``points`` (478, 3) and their ``spread`` (478,) between pictures, metres; ``edges`` (n, 2) of the
    landmark mesh."""

    points: np.ndarray
    spread: np.ndarray
    edges: np.ndarray


def _grey_picture(
    vertices: np.ndarray, faces: np.ndarray, part: np.ndarray, view_deg: tuple[float, float], mean: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Picture, the point of the mean head under each pixel, and where there is one."""
    yaw, pitch = np.radians(view_deg)
    centre = (SIZE_PX / 2, SIZE_PX / 2)
    points = orthographic(vertices, yaw, pitch, PX_PER_M, centre, np.array([0.0, -0.02, 0.0]))
    buffer = rasterize_pixels(points, faces, (SIZE_PX, SIZE_PX))
    grey = shade_grey(faces, buffer, points)
    hit = buffer.pix_to_face >= 0
    surface = np.zeros((SIZE_PX, SIZE_PX, 3))
    surface[hit] = (vertices[faces[buffer.pix_to_face[hit]]] * buffer.bary_coords[hit][..., None]).sum(1)
    colour = np.repeat(grey[..., None], 3, 2) * [0.85, 0.7, 0.62]
    colour[~hit] = 0.75
    for number in EYE_PARTS:
        eye = hit & (part[np.maximum(buffer.pix_to_face, 0)] == number)
        if not eye.any():
            continue
        ball = vertices[np.unique(faces[part == number])]
        pupil = ball[ball[:, 2] > ball[:, 2].max() - 1e-4].mean(0)
        far = np.linalg.norm(surface - pupil, axis=2)
        colour[eye] = np.where(far[eye][:, None] < 0.0058, 0.12, 0.9)
    on_mean = np.zeros((SIZE_PX, SIZE_PX, 3))
    on_mean[hit] = (mean[faces[buffer.pix_to_face[hit]]] * buffer.bary_coords[hit][..., None]).sum(1)
    flesh = (FacePart.MOUTH_INTERIOR, FacePart.TONGUE)
    colour[hit & np.isin(part[np.maximum(buffer.pix_to_face, 0)], flesh)] *= [0.6, 0.3, 0.3]
    return (np.clip(colour, 0, 1) * 255).astype(np.uint8), on_mean, hit


def detect(
    heads: list[np.ndarray],
    faces: np.ndarray,
    part: np.ndarray,
    python: Path,
    views_deg: tuple[tuple[int, int], ...] = VIEWS_DEG,
) -> Detection:
    """Detect the points on renderings of several heads of one mesh and carry them to the first head's
    surface.

    The point of a landmark is the median over all pictures, NaN where none hits.
    """
    rendered = [_grey_picture(head, faces, part, view, heads[0]) for head in heads for view in views_deg]
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "pictures.npz", Path(folder) / "points.npz"
        np.savez(source, pictures=np.stack([r[0] for r in rendered]))
        script = Path(__file__).with_name("detect_landmarks.py")
        subprocess.run([str(python), str(script), str(source), str(out)], check=True, capture_output=True)
        with np.load(out) as archive:
            points_px, edges = archive["points"], archive["edges"]
    found = np.full((len(rendered), NUM_LANDMARKS, 3), np.nan)
    for n, (_, surface, hit) in enumerate(rendered):
        if np.isnan(points_px[n]).any():
            continue
        x, y = np.clip(np.floor(points_px[n]).astype(int), 0, SIZE_PX - 1).T
        ok = hit[y, x]
        found[n, ok] = surface[y, x][ok]
    seen = ~np.isnan(found).all(0).any(1)
    middle, spread = np.full((NUM_LANDMARKS, 3), np.nan), np.full(NUM_LANDMARKS, np.nan)
    middle[seen] = np.nanmedian(found[:, seen], 0)
    spread[seen] = np.sqrt(np.nanmean(((found[:, seen] - middle[seen]) ** 2).sum(2), 0))
    return Detection(middle, spread, edges)


def landmark_partners(points: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Left-right partner of each landmark: an assignment by reflected position and by agreement of mesh
    neighbours."""
    count = NUM_MESH_POINTS
    cost = np.linalg.norm(points[:count, None] * [-1, 1, 1] - points[None, :count], axis=2)
    cost = np.minimum(0.5 * (cost + cost.T), 0.02) / 0.004
    cost[list(MIDLINE)] += 1e3
    cost[:, list(MIDLINE)] += 1e3
    cost[MIDLINE, MIDLINE] = -1e3
    adjacent = np.zeros((count, count))
    adjacent[edges[:, 0], edges[:, 1]] = adjacent[edges[:, 1], edges[:, 0]] = 1
    adjacent /= np.sqrt(np.outer(adjacent.sum(0), adjacent.sum(0))) ** 0.5
    partner = linear_sum_assignment(cost)[1]
    for _ in range(12):
        pairs = np.zeros((count, count))
        pairs[np.arange(count), partner] = 1
        pairs = 0.5 * (pairs + pairs.T)
        partner = linear_sum_assignment(cost - 6 * adjacent @ pairs @ adjacent.T)[1]
    partner = np.concatenate([partner, [473, 476, 475, 474, 477, 468, 471, 470, 469, 472]])
    if (partner[partner] != np.arange(len(points))).any():
        raise ValueError("landmark pairing is not an involution")
    return partner


def allowed_triangles(faces: np.ndarray, part: np.ndarray, jaw_motion: np.ndarray) -> dict[int, np.ndarray]:
    """Triangles (F,) bool on which each landmark may lie: skin, its own lip, or the eyeballs.

    Args:
        faces: (F, 3).
        part: (F,) part numbers.
        jaw_motion: (V,) how far jawOpen moves each vertex: tells the lower lip from the upper one.
    """
    lower = jaw_motion[faces].mean(1) > 0.45 * jaw_motion.max()
    lips = np.isin(part, (FacePart.SKIN, FacePart.MOUTH_INTERIOR))
    allowed = dict.fromkeys(range(NUM_MESH_POINTS), part == FacePart.SKIN)
    allowed |= dict.fromkeys(UPPER_INNER_LIP, lips & ~lower) | dict.fromkeys(LOWER_INNER_LIP, lips & lower)
    return allowed | dict.fromkeys(IRIS, np.isin(part, EYE_PARTS))


def symmetric_embedding(
    face_index: np.ndarray,
    bary: np.ndarray,
    faces: np.ndarray,
    mirror_vertices: np.ndarray,
    partner: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Make an embedding exactly symmetric: one landmark of each pair becomes the mirror image of the other.

    A landmark without partner moves onto the mirror plane (weights of corners off the plane become zero).
    """
    face_index, bary = face_index.copy(), bary.copy()
    lookup = {tuple(sorted(t)): n for n, t in enumerate(faces.tolist())}
    for n, other in enumerate(partner):
        if n == other:
            on_plane = bary[n] * (mirror_vertices[faces[face_index[n]]] == faces[face_index[n]])
            if on_plane.sum() > 0.5:
                bary[n] = on_plane / on_plane.sum()
            continue
        source, copy = (
            (n, other) if face_index[other] < 0 or (face_index[n] >= 0 and n > other) else (other, n)
        )
        mirrored = mirror_vertices[faces[face_index[source]]].tolist()
        face_index[copy] = lookup[tuple(sorted(mirrored))]
        bary[copy] = [bary[source][mirrored.index(v)] for v in faces[face_index[copy]].tolist()]
    return face_index, bary


def embed(
    detection: Detection,
    vertices: np.ndarray,
    faces: np.ndarray,
    mirror_vertices: np.ndarray,
    part: np.ndarray,
    jaw_motion: np.ndarray,
) -> Embedding:
    """Snap symmetrised landmarks to the surface they belong to; the right side mirrors the left one
    exactly."""
    points = detection.points
    if np.isnan(points).any():
        raise ValueError(f"no view hits landmarks {np.flatnonzero(np.isnan(points).any(1)).tolist()}")
    partner = landmark_partners(points, detection.edges)
    points = 0.5 * (points + points[partner] * [-1, 1, 1])
    corners = vertices[faces]
    allowed = allowed_triangles(faces, part, jaw_motion)
    face_index = np.full(len(points), -1)
    bary = np.zeros((len(points), 3))
    for n in np.flatnonzero((points[:, 0] >= 0) | (partner == np.arange(len(points)))):
        index = np.flatnonzero(allowed[int(n)])
        face, coords = closest_on_triangles(points[n : n + 1], corners[index])
        face_index[n], bary[n] = index[face[0]], coords[0]
    face_index, bary = symmetric_embedding(face_index, bary, faces, mirror_vertices, partner)
    return Embedding(face_index, bary, 1000 * detection.spread, partner)
