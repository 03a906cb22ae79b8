"""How near a face model laid on the open head stays to its own surface, millimetres.

    python benchmarks/face_models.py --ict data/ict_facekit/identity.npz --out models/ict_shapes
    python benchmarks/face_models.py --models bfm2009 flame2023

Random people of each model (identity and, if the model has some, expressions of 0 to 1) as its own mesh and
as the registered one; distances on the face front that is seen from the front and from 40 degrees to both
sides, from each vertex of the registered mesh to the model's surface and back. Prints one JSON object. Models
are read from $FACELUME_MODELS; ``--ict`` makes one of the shapes of ICT-FaceKit and writes it to ``--out``,
where ``facelume evaluate --face-model`` finds it.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facelume.camera import CROP_CAMERA, CROP_FACE_DEPTH_M, cam_from_pose
from facelume.face_model import FaceModel, load_open_face_model
from facelume.face_model.licensed.assemble import CORNERS_TO_EYE_M
from facelume.face_model.licensed.ict import ICT, OFFICIAL_LAYOUT
from facelume.face_model.licensed.plain import PLAIN_NAME
from facelume.geometry import TriangleSurface
from facelume.networks.builders import PRIOR_BUILDERS
from facelume.raster import geometry_buffers
from facelume.registration import load_original, register
from facelume.types import FacePart, Topology
from facelume.weights import build_and_load

MM_PER_M = 1000
YAWS_RAD = (-0.7, 0.0, 0.7)
PICTURE_PX = 448


def write_ict_shapes(archive: Path, folder: Path, num_identity: int = 80) -> None:
    """ICT-FaceKit's face and head without eyes and mouth as a ``linear_head.npz``.

    Args:
        archive: Its neutral mesh and identities, see docs/data.md.
        folder: Receives the file.
        num_identity: Components to keep.
    """
    with np.load(archive, allow_pickle=False) as arrays:
        mean = arrays["neutral_cm"].astype(np.float64) / 100
        identity = arrays["identity_cm"][:num_identity].astype(np.float32) / 100
        quads = arrays["quads"].astype(np.int64)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    eyes = mean[np.array(OFFICIAL_LAYOUT.landmarks68)[36:48]].mean(axis=0) - (0.0, 0.0, CORNERS_TO_EYE_M)
    uvs = (mean[:, :2] - mean[:, :2].min(axis=0)) / np.ptp(mean[:, :2], axis=0)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / PLAIN_NAME,
        mean=mean,
        identity=identity,
        faces=faces,
        eyes_middle=eyes,
        uvs=uvs,
        uv_faces=faces,
        licence=np.array(f"{ICT.licence} ({ICT.url})"),
    )


def seen_front(topology: Topology, vertices: Tensor) -> np.ndarray:
    """Vertices of the face front's skin that are seen from one of the views."""
    seen = torch.zeros(len(topology.faces), dtype=torch.bool)
    camera = CROP_CAMERA.resized(PICTURE_PX)
    for yaw in YAWS_RAD:
        pose = torch.tensor([0.0, yaw, 0.0, 0.0, 0.0, CROP_FACE_DEPTH_M])
        buffers = geometry_buffers(topology, vertices[None], cam_from_pose(pose)[None], camera)
        seen[buffers.pix_to_face[buffers.pix_to_face >= 0].unique()] = True
    is_front = topology.face_front & (topology.face_part == FacePart.SKIN)
    return topology.faces[seen & is_front].unique().numpy()


def distances_mm(points: np.ndarray, vertices: np.ndarray, topology: Topology) -> np.ndarray:
    """From points to the skin of a head."""
    faces = topology.faces[topology.face_part == FacePart.SKIN].numpy()
    surface = TriangleSurface(vertices[faces])
    return MM_PER_M * np.linalg.norm(surface.at(*surface.closest(points)) - points, axis=1)


def measure(original: FaceModel, num_people: int) -> dict[str, float | int]:
    """Register a model and compare people of it on both meshes."""
    open_head = load_open_face_model()
    network, _ = build_and_load("prior", PRIOR_BUILDERS)
    started = time.perf_counter()
    with torch.inference_mode():
        registered = register(original, open_head, network, asset_sha256="")
    seconds = time.perf_counter() - started
    model = registered.model
    own, theirs = (
        seen_front(model.topology, model.mean_shape),
        seen_front(original.topology, original.mean_shape),
    )
    rng = np.random.default_rng(0)
    there, back = [], []
    for _ in range(num_people):
        identity = torch.from_numpy(rng.normal(size=original.num_identity)).float()
        expression = torch.from_numpy(rng.uniform(0, 1, original.num_expression)).float()
        their_mesh = original.shape(identity, expression).double().numpy()
        if original.num_expression == 0:
            expression = torch.zeros(model.num_expression)
        mesh = model.shape(identity, expression).double().numpy()
        there.append(distances_mm(mesh[own], their_mesh, original.topology))
        back.append(distances_mm(their_mesh[theirs], mesh, model.topology))
    return {
        "people": num_people,
        "register_s": round(seconds, 1),
        "scale": round(registered.wrapped.scale, 4),
        "matched_share": round(float(np.isin(own, registered.wrapped.matched).mean()), 4),
        "to_model_mean_mm": round(float(np.mean(there)), 4),
        "to_model_p99_mm": round(float(np.quantile(there, 0.99)), 3),
        "from_model_mean_mm": round(float(np.mean(back)), 4),
        "from_model_p99_mm": round(float(np.quantile(back, 0.99)), 3),
    }


def command_line() -> argparse.ArgumentParser:
    """The parser of this benchmark's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ict", type=Path, help="ICT-FaceKit's shapes in one archive")
    parser.add_argument("--out", type=Path, default=Path("ict_shapes"), help="folder for that model")
    parser.add_argument("--models", nargs="*", default=(), help="names of face models")
    parser.add_argument("--people", type=int, default=20, help="random people of each")
    return parser


def main() -> None:
    """Run the benchmark."""
    arguments = command_line().parse_args()
    figures = {}
    names = list(arguments.models)
    if arguments.ict is not None:
        write_ict_shapes(arguments.ict, arguments.out)
        names.insert(0, str(arguments.out))
    for name in names:
        figures[name] = measure(load_original(name), arguments.people)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
