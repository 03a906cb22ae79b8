"""The face front's chart: skin from forehead to throat, lid strips, the front of each eyeball in its opening.

Working coordinates are (u, w = 1 - v), y up. Holes are closed with virtual triangles, so that one embedding
with a convex border lays everything out without overlap; the virtual ring between lid and eyeball is the
gutter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from face_model_build import flattening as flat

TEXEL = 1 / 256
HALF_WIDTH, HALF_HEIGHT, EXPONENT = 0.5 - 2.5 * TEXEL, 100.5 * TEXEL, 8.0
AREA = 0.752
GUTTER_DM, SLIT_DM = 0.05, 0.012
SOCKET_SCALE, IRIS_SCALE = 0.6, 1.65
HIDDEN_WEIGHT, GUTTER_WEIGHT = 0.2, 4.0


@dataclass(frozen=True)
class Surface:
    """The subdivided mean head that the atlas is made for.

    Attributes:
        points: (V, 3) decimetres.
        triangles: (F, 3).
        mirror: (V,) involution.
        label: (F,) strings, one per chart or chart part.
    """

    points: np.ndarray
    triangles: np.ndarray
    mirror: np.ndarray
    label: np.ndarray

    def having(self, *labels: str) -> np.ndarray:
        """Indices of the triangles with one of these labels."""
        return np.flatnonzero(np.isin(self.label, labels))


def directed_edges(triangles: np.ndarray) -> np.ndarray:
    """(3n, 2) edges in the direction of their triangles."""
    return np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])


def _zip_chains(a: np.ndarray, b: np.ndarray, key_a: np.ndarray, key_b: np.ndarray) -> np.ndarray:
    """Triangles (base, base, apex) between two chains whose keys grow together."""
    i = j = 0
    out = []
    while i < len(a) - 1 or j < len(b) - 1:
        if j == len(b) - 1 or (i < len(a) - 1 and key_a[i + 1] <= key_b[j + 1]):
            out.append((a[i], a[i + 1], b[j]))
            i += 1
        else:
            out.append((b[j + 1], b[j], a[i]))
            j += 1
    return np.array(out)


def _eye_gutter(lid: np.ndarray, cap: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Ring between the lid strip's inner border and the border of the eye's front; (base, base, apex)."""
    centre = points[cap].mean(0)

    def chain(loop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        offset = points[loop] - centre
        offset = offset / np.abs(offset).max(0)
        angle = np.arctan2(offset[:, 1], offset[:, 0])
        start = int(np.argmin(np.abs(angle)))
        loop, angle = np.roll(loop, -start), np.unwrap(np.roll(angle, -start))
        loop, angle = np.r_[loop, loop[0]], np.r_[angle, angle[0] + 2 * np.pi] / (2 * np.pi)
        length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points[loop], axis=0), axis=1))])
        return loop, 0.5 * np.maximum.accumulate(angle) + 0.5 * length / length[-1]

    # the border of the patch around a hole runs clockwise; both chains go counter-clockwise here
    (lid, lid_key), (cap, cap_key) = chain(lid[::-1]), chain(cap)
    return _zip_chains(lid, cap, lid_key, cap_key)


def _lip_slit(loop: np.ndarray, points: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Virtual triangles (base, base, apex) that close the slit between the lips, mirror-symmetric."""
    on_plane = np.flatnonzero(np.abs(points[loop, 0]) < 1e-9)
    if len(on_plane) != 2:
        raise ValueError("the lip seam must cross the mirror plane twice")
    half = on_plane[1] - on_plane[0]
    loop = np.roll(loop, -on_plane[0])
    one, two = loop[: half + 1], np.r_[loop[half:], loop[0]]
    left = one if points[one, 0].max() > 0.1 else two
    corner = int(np.argmax(points[left, 0]))
    first, second = left[: corner + 1][::-1][1:], left[corner:][1:]
    upper, lower = (first, second) if points[first[-1], 1] > points[second[-1], 1] else (second, first)
    triangles = _zip_chains(lower, upper, -points[lower, 0], -points[upper, 0])
    return np.concatenate([[[lower[0], left[corner], upper[0]]], triangles])


def _continue_mesh(triangles: np.ndarray, border: set[tuple[int, int]]) -> np.ndarray:
    """Swap the base corners where needed so that every virtual triangle runs against the real border
    edge."""
    swap = np.array([(int(a), int(b)) in border for a, b in triangles[:, :2]])
    return np.where(swap[:, None], triangles[:, [1, 0, 2]], triangles)


def virtual_rest(points: np.ndarray, triangles: np.ndarray, height: float) -> np.ndarray:
    """(n, 3, 2) isosceles shapes on the first edge of each triangle."""
    base = np.linalg.norm(points[triangles[:, 1]] - points[triangles[:, 0]], axis=1)
    rest = np.zeros((len(triangles), 3, 2))
    rest[:, 1, 0], rest[:, 2, 0], rest[:, 2, 1] = base, base / 2, height
    return rest


def symmetrise(uv: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Average with the mirrored layout about u = 0.5; the plane's vertices land on it exactly."""
    uv = 0.5 * (uv + np.stack([1 - uv[mirror, 0], uv[mirror, 1]], 1))
    uv[mirror == np.arange(len(uv)), 0] = 0.5
    return uv


def border_on_superellipse(
    loop: np.ndarray, points: np.ndarray, start: int, box: tuple[float, float, float, float], exponent: float
) -> tuple[np.ndarray, np.ndarray]:
    """Border vertices from ``start`` (top centre) counter-clockwise by arc length, and where they go in
    the box."""
    loop = np.roll(loop, -int(np.flatnonzero(loop == start)[0]))
    steps = np.linalg.norm(np.diff(points[np.r_[loop, loop[0]]], axis=0), axis=1)
    fraction = np.concatenate([[0], np.cumsum(steps)[:-1]]) / steps.sum()
    u0, w0, u1, w1 = box
    ellipse = flat.superellipse(fraction, (u1 - u0) / 2, (w1 - w0) / 2, exponent)
    return loop, ellipse + np.array([(u0 + u1) / 2, (w0 + w1) / 2])


def _density(centroids: np.ndarray, eye: np.ndarray, mouth: np.ndarray, nose: np.ndarray) -> np.ndarray:
    """Wanted relative texel density: more on eyes, lips and nose, less on the forehead."""
    folded = np.abs(centroids * [1, 0, 0]) + centroids * [0, 1, 1]

    def bump(centre: np.ndarray, radius: float, gain: float) -> np.ndarray:
        return gain * np.exp(-((folded - centre) ** 2).sum(1) / (2 * radius**2))

    forehead = eye + np.array([-eye[0], 0.55, 0.0])
    chin = mouth - np.array([0.12, 0.35, 0.1])
    return (
        1.0
        + bump(forehead, 0.3, -0.35)
        + bump(chin, 0.3, 0.25)
        + bump(eye, 0.24, 0.5)
        + bump(mouth, 0.24, 0.6)
        + bump(nose, 0.22, 0.55)
    )


def flatten_face(surface: Surface) -> tuple[np.ndarray, np.ndarray, float]:
    """Triangle indices of the chart, their (n, 3, 2) corners in (u, w), and the v of the nose tip."""
    points = surface.points
    real = surface.having("face", "socket", "cap_left", "cap_right")
    skin = surface.triangles[surface.having("face", "socket")]
    loops = flat.border_loops(directed_edges(skin))
    outer = max(loops, key=lambda loop: np.ptp(points[loop, 1]))
    present = set(map(tuple, directed_edges(surface.triangles[real]).tolist()))
    border = {edge for edge in present if edge[::-1] not in present}
    gutter = slit = np.zeros((0, 3), int)
    for hole in loops:
        centre_x = points[hole, 0].mean()
        if hole is outer or centre_x < -1e-6:
            continue
        if centre_x > 1e-6:
            cap_border = flat.border_loop(surface.triangles[surface.having("cap_left")])
            gutter = _continue_mesh(_eye_gutter(hole, cap_border, points), border)
            eye = points[surface.triangles[surface.having("cap_left")]].reshape(-1, 3)
        else:
            slit = _continue_mesh(_lip_slit(hole, points, surface.mirror), border)
            mouth = np.r_[0.12, points[hole].mean(0)[1:]]
    flipped = [1, 0, 2]
    virtual = [gutter, surface.mirror[gutter][:, flipped], slit, surface.mirror[slit][:, flipped]]
    used, local = np.unique(np.concatenate([surface.triangles[real], *virtual]), return_inverse=True)
    local = local.reshape(-1, 3)
    to_local = np.full(len(points), -1)
    to_local[used] = np.arange(len(used))
    mirror, p = to_local[surface.mirror[used]], points[used]

    nose_tip = int(np.argmax(p[:, 2]))
    scale = _density(p[local].mean(1), eye[np.argmax(eye[:, 2])], mouth, p[nose_tip])
    weight = np.ones(len(local))
    label = surface.label[real]
    scale[: len(real)][label == "socket"] *= SOCKET_SCALE
    cap = np.flatnonzero(np.isin(label, ["cap_left", "cap_right"]))
    front = (
        np.abs(p[local[cap]].mean(1) * [1, 0, 0])
        + p[local[cap]].mean(1) * [0, 1, 1]
        - eye[np.argmax(eye[:, 2])]
    )
    scale[cap] *= IRIS_SCALE - 5.5 * np.linalg.norm(front, axis=1)
    weight[: len(real)][label != "face"] = HIDDEN_WEIGHT
    weight[cap] = 1.0
    weight[len(real) : len(real) + 2 * len(gutter)] = GUTTER_WEIGHT
    weight[len(real) + 2 * len(gutter) :] = HIDDEN_WEIGHT
    rest = flat.flat_rest(p, local[: len(real)], np.ones(len(real)))
    ends = np.cumsum([len(real), 2 * len(gutter), 2 * len(slit)])
    rest = np.concatenate(
        [
            rest,
            virtual_rest(p, local[ends[0] : ends[1]], GUTTER_DM),
            virtual_rest(p, local[ends[1] :], SLIT_DM),
        ]
    )
    rest *= scale[:, None, None]
    area = np.abs(np.linalg.det(np.stack([rest[:, 1] - rest[:, 0], rest[:, 2] - rest[:, 0]], 1))) / 2
    rest *= np.sqrt(AREA / area.sum())

    top = outer[np.argmax(points[outer, 1] - 10 * np.abs(points[outer, 0]))]
    box = (0.5 - HALF_WIDTH, 0.5 - HALF_HEIGHT, 0.5 + HALF_WIDTH, 0.5 + HALF_HEIGHT)
    loop, loop_uv = border_on_superellipse(outer, points, top, box, EXPONENT)
    fixed = to_local[loop]
    placed = np.zeros((len(used), 2))
    placed[fixed] = loop_uv
    uv = symmetrise(flat.tutte(local, rest, fixed, symmetrise(placed, mirror)[fixed]), mirror)
    uv = symmetrise(flat.relax(uv, local, rest, fixed, weight, 40), mirror)
    return real, uv[local[: len(real)]], float(1 - uv[nose_tip, 1])
