"""Time of the rasteriser and the atlas on a ball of about 35,000 triangles that fills the crop.

    OMP_NUM_THREADS=1 python benchmarks/raster.py [--device cuda]

Prints one JSON object: milliseconds of each operation, the median of some calls after two warm-up calls.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from functools import partial

import torch

from facelume.camera import CROP_CAMERA, transform_points
from facelume.raster import directional_visibility, geometry_buffers, rasterize, render, visible_keys
from facelume.types import Topology
from facelume.uv import fill_hidden, pose_texels, texel_map, transfer_detail, unwrap_crop

RADIUS_M = 0.08


def ball(rows: int = 132) -> tuple[torch.Tensor, Topology]:
    """Vertices (V, 3) and topology of a ball with a lat-long atlas."""
    theta, phi = torch.meshgrid(
        torch.linspace(0.01, math.pi - 0.01, rows + 1),
        torch.linspace(-math.pi, math.pi, rows + 1),
        indexing="ij",
    )
    vertices = torch.stack([theta.sin() * phi.sin(), theta.cos(), theta.sin() * phi.cos()], -1) * RADIUS_M
    uvs = torch.stack([phi / (2 * math.pi) + 0.5, theta / math.pi], -1)
    index = torch.arange((rows + 1) ** 2).reshape(rows + 1, rows + 1)
    a, b, c, d = (x.flatten() for x in (index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]))
    faces = torch.cat([torch.stack([a, c, b], -1), torch.stack([b, c, d], -1)])
    topology = Topology(
        faces=faces,
        uvs=uvs.reshape(-1, 2),
        uv_faces=faces,
        face_part=torch.zeros(len(faces), dtype=torch.uint8),
        face_front=torch.ones(len(faces), dtype=torch.bool),
        mirror_vertices=index.flip(-1).flatten(),
    )
    return vertices.reshape(-1, 3), topology


def median_ms(call: Callable[[], object], *, device: str, repeats: int) -> float:
    """Median wall time of a call after two warm-up calls."""
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        call()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append((time.perf_counter() - start) * 1e3)
    return sorted(times[2:])[repeats // 2]


def measure(
    device: str, *, rows: int = 132, repeats: int = 15, atlas_sizes: tuple[int, ...] = (256, 1024)
) -> dict[str, float]:
    """Milliseconds of each operation, one face.

    Args:
        device: Where everything runs.
        rows: The ball has ``2 * rows**2`` triangles.
        repeats: Calls of which the median is taken.
        atlas_sizes: Texels along an edge of the atlas.
    """
    vertices, topology = ball(rows)
    vertices, topology = vertices.to(device)[None], topology.to(device)
    pose = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    pose[2, 3] = 1.0
    pose = pose[None].to(device)
    posed = transform_points(pose, vertices)
    buffers = geometry_buffers(topology, vertices, pose, CROP_CAMERA)
    albedo = torch.rand(1, 3, 256, 256, device=device)
    light = torch.rand(1, 27, 256, 256, device=device)
    learned = [x.clone().requires_grad_() for x in (albedo, light)]
    normals = torch.nn.functional.normalize(vertices[0], dim=-1)
    sun = torch.tensor([0.5, 1.0, 0.7], device=device)
    results = {"triangles": float(len(topology.faces))}
    calls: dict[str, Callable[[], object]] = {
        "visible_keys 224": lambda: visible_keys(
            CROP_CAMERA.project(posed), posed[..., 2], topology.faces, (224, 224)
        ),
        "visible_keys 512": lambda: visible_keys(
            CROP_CAMERA.resized(512).project(posed), posed[..., 2], topology.faces, (512, 512)
        ),
        "rasterize 224": lambda: rasterize(posed, topology.faces, CROP_CAMERA),
        "geometry_buffers 224": lambda: geometry_buffers(topology, vertices, pose, CROP_CAMERA),
        "render, one light": lambda: render(buffers, albedo, light[:, :, 0, 0].reshape(1, 9, 3)),
        "render, light map 256": lambda: render(buffers, albedo, light),
        "render, light map 256, with backward": lambda: render(buffers, *learned).sum().backward(),
        "directional_visibility, 17k points": lambda: directional_visibility(
            vertices[0], topology.faces, vertices[0], normals, sun
        ),
    }
    parsing = torch.ones(1, 224, 224, device=device)
    image = torch.rand(1, 3, 224, 224, device=device)
    for size in atlas_sizes:
        texels = texel_map(topology, size)
        texels_posed = pose_texels(texels, topology, vertices, pose)
        unwrapped = unwrap_crop(image, texels_posed, buffers, CROP_CAMERA, parsing)
        prior = torch.rand(1, 3, size, size, device=device)
        calls |= {
            f"texel_map {size}": partial(texel_map, topology, size),
            f"pose_texels {size}": partial(pose_texels, texels, topology, vertices, pose),
            f"unwrap_crop {size}": partial(unwrap_crop, image, texels_posed, buffers, CROP_CAMERA, parsing),
            f"fill_hidden {size}": partial(fill_hidden, unwrapped.texture, unwrapped.visibility, prior),
            f"transfer_detail {size}": partial(
                transfer_detail, unwrapped.texture, albedo, unwrapped.visibility, albedo, albedo[:, :1]
            ),
        }
    for name, call in calls.items():
        results[name] = round(median_ms(call, device=device, repeats=repeats), 2)
    return results


def command_line() -> argparse.ArgumentParser:
    """The parser of this benchmark's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=15, help="calls of which the median is taken")
    return parser


def main() -> None:
    """Run the benchmark."""
    arguments = command_line().parse_args()
    print(json.dumps(measure(arguments.device, repeats=arguments.repeats), indent=2))


if __name__ == "__main__":
    main()
