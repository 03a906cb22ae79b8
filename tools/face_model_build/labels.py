"""Chart label of every control quad: what goes where in the atlas."""

from __future__ import annotations

import numpy as np

from face_model_build.regions import edge_key, face_border_path, inside_loop
from face_model_build.topology import ControlMesh
from facelume.types import EYE_PARTS, FacePart

EYE_CAP_DEG = 72.0
EAR_SHARE = 0.9


def label_quads(mesh: ControlMesh, mean_dm: np.ndarray, ear_motion: np.ndarray) -> np.ndarray:
    """Strings per control quad: face, rest, ear, socket, cap_left, cap_right, eye_back, mouth, gum_upper
    ... tooth_0 ...

    Args:
        mesh: The control mesh.
        mean_dm: (Nc, 3) mean control positions.
        ear_motion: (Nc,) how far the ear-size targets move each vertex: tells the ears from the head.
    """
    quads, part = mesh.quads, mesh.quad_part
    label = np.full(len(quads), "rest", dtype="<U12")
    outer = np.isin(mesh.quad_island, (0, 2))
    body = quads[outer]
    path = face_border_path(body, mean_dm)
    loop = path + [int(mesh.mirror[v]) for v in path[::-1][1:-1]]
    edges = {edge_key(*edge) for edge in zip(loop, loop[1:] + loop[:1], strict=True)}
    centre = mean_dm[quads].mean(1)
    nose = int(np.argmax(centre[outer, 2]))
    label[np.flatnonzero(outer)[inside_loop(body, edges, nose)]] = "face"
    is_ear = (ear_motion[quads].min(1) > EAR_SHARE * ear_motion.max()) & outer & (label == "rest")
    near_face = np.isin(quads, quads[label == "face"]).any(1)
    label[is_ear & ~near_face] = "ear"
    label[mesh.quad_island == 3] = "socket"
    label[mesh.quad_island == 1] = "mouth"
    for number, name in zip(EYE_PARTS, ("cap_left", "cap_right"), strict=True):
        eye = part == number
        middle = mean_dm[np.unique(quads[eye])].mean(0)
        direction = centre[eye] - middle
        angle = np.degrees(np.arccos(direction[:, 2] / np.linalg.norm(direction, axis=1)))
        label[eye] = np.where(angle < EYE_CAP_DEG, name, "eye_back")
    label[part == FacePart.TONGUE] = "tongue"
    gum = (part == FacePart.MOUTH_INTERIOR) & (mesh.quad_island < 0)
    first_lower = np.flatnonzero(part == FacePart.LOWER_TEETH).min()
    label[gum] = np.where(np.flatnonzero(gum) > first_lower, "gum_lower", "gum_upper")
    for number, first in ((FacePart.UPPER_TEETH, 0), (FacePart.LOWER_TEETH, 6)):
        tooth = part == number
        label[tooth] = [f"tooth_{first + n}" for n in mesh.quad_tooth[tooth]]
    return label
