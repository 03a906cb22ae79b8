"""Relighting with shadows: how close to a picture made with many directions, and how long it takes.

    OMP_NUM_THREADS=1 python benchmarks/relighting.py --maps data/lights/environment_maps.npz [--size 1024]

The mean face, frontal, under each lat-long map of the archive. The reference knows for each texel (256²)
which of 2,048 directions it sees past the head (minutes of work), and each pixel of a map that holds 0.4 % of
its light is a lamp of its own, with a shadow exact at every pixel. Prints one JSON object: PSNR (dB) of sRGB
pictures inside the face front without the mouth, mean over the maps and worst; least and most CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from facelume.camera import CROP_CAMERA, LIGHT_FROM_CAM, transform_points
from facelume.face_model import load_open_face_model
from facelume.illumination import (
    FRONT_SHADING,
    Lamps,
    directions_of_environment_map,
    front_shading,
    lamp_directions,
    lamp_transport,
    lamps_from_environment_map,
    sh_from_environment_map,
    solid_angles,
    turn_light,
    yaw_rotation,
)
from facelume.pipeline import PosedFace
from facelume.raster import directional_visibility, sample_map
from facelume.reflectance import luminance, srgb_from_linear
from facelume.types import MOUTH_PARTS, is_part
from facelume.uv import lamp_visibility, pose_texels, texel_map

LEAST_SHARE = 0.004
PENUMBRA_M = 0.0015
Result = TypeVar("Result")


def mean_face() -> tuple[PosedFace, Float[np.ndarray, "S S 3"]]:
    """The open model's mean face before the crop camera, and its mean albedo."""
    model = load_open_face_model()
    identity, expression = torch.zeros(model.num_identity), torch.zeros(model.num_expression)
    face = PosedFace(model, identity, expression, torch.tensor([0.0, 0.0, 0.0, 0.0, -0.037, 1.08]))
    albedo = model.albedo_map(torch.zeros(1, model.num_albedo), size=256)
    return face, albedo[0].movedim(0, -1).numpy()


class Reference:
    """A face at one size of picture, and what it hides of very many directions."""

    def __init__(self, face: PosedFace, size_px: int, num_directions: int) -> None:
        self._face, self._camera = face, CROP_CAMERA.resized(size_px)
        self._flip = torch.tensor(LIGHT_FROM_CAM)
        self._occluder = transform_points(face.cam_from_model, face.vertices) * self._flip
        self._directions = lamp_directions(num_directions)
        topology = face.model.topology
        self._seen = lamp_visibility(topology, self._occluder, self._directions, 256).half()
        texels = pose_texels(
            texel_map(topology, 256), topology, face.vertices[None], face.cam_from_model[None]
        )
        self._texel_normals = texels.normal_light[0].flatten(1).T
        self.buffers = face.buffers(size_px)

    def shading(self, radiance: Float[Tensor, "H W 3"], yaw_rad: float) -> Float[Tensor, "3 h w"]:
        """Shading of each pixel by an environment map, turned."""
        towards = directions_of_environment_map(*radiance.shape[:2]).flatten(0, 1) @ yaw_rotation(yaw_rad).T
        strength = radiance * solid_angles(*radiance.shape[:2])[:, None, None] / math.pi
        strength = strength.flatten(0, 1)
        weight = luminance(strength)
        alone = weight > LEAST_SHARE * weight.sum()
        cell = (towards @ self._directions.T).argmax(dim=1)
        rest = torch.where(alone[:, None], 0.0, strength)
        gathered = torch.zeros_like(self._directions).index_add(0, cell, rest)
        centres = 1e-12 * self._directions
        centres = centres.index_add(0, cell, towards * luminance(rest)[:, None])
        centres = torch.nn.functional.normalize(centres, dim=1, eps=1e-20)
        received = torch.zeros_like(self._texel_normals)
        for part in torch.arange(len(centres)).split(128):
            seen = self._seen[part].flatten(1).float()
            transport = lamp_transport(centres[None, part], seen, self._texel_normals[None])[0]
            received += transport @ gathered[part]
        sky = sample_map(received.T.reshape(1, 3, 256, 256), self.buffers.uv)[0]
        return sky + self._spots(towards[alone], strength[alone])

    def _spots(
        self, directions: Float[Tensor, "L 3"], strengths: Float[Tensor, "L 3"]
    ) -> Float[Tensor, "3 h w"]:
        row, column = torch.where(self.buffers.mask[0])
        centres_px = torch.stack([column, row], dim=-1) + 0.5
        points = self._camera.unproject(centres_px, self.buffers.depth[0, row, column]) * self._flip
        normals = self.buffers.normal_light[0, :, row, column].T
        picture = torch.zeros_like(self.buffers.normal_light[0])
        for direction, strength in zip(directions, strengths, strict=True):
            seen = directional_visibility(
                self._occluder,
                self._face.model.topology.faces,
                points,
                normals,
                direction,
                softness_m=PENUMBRA_M,
                size_px=1024,
            )
            lit = (normals @ direction).clamp(min=0) * seen
            picture[:, row, column] += strength[:, None] * lit
        return picture


def measure(
    maps: dict[str, Float[Tensor, "H W 3"]], *, size_px: int, yaw_rad: float, num_directions: int
) -> dict[str, object]:
    """Quality and time over the maps.

    Args:
        maps: Lat-long maps of linear radiance.
        size_px: Width and height of the pictures.
        yaw_rad: Turn of the light.
        num_directions: Directions of the reference.
    """
    face, albedo = mean_face()
    reference = Reference(face, size_px, num_directions)
    buffers = reference.buffers
    counts = buffers.face_mask[0] & ~is_part(buffers.part[0], MOUTH_PARTS)
    albedo_picture = sample_map(torch.from_numpy(albedo).movedim(-1, 0)[None], buffers.uv)[0]

    def encoded(picture: Float[Tensor, "h w 3"]) -> Float[Tensor, "n 3"]:
        return srgb_from_linear(picture[counts].clamp(0, 1))

    _, first_s = timed(lambda: face.shadows.shading(buffers, CROP_CAMERA.resized(size_px), no_lamps()))
    psnr: dict[str, list[float]] = {"with shadows": [], "nine coefficients": [], "lamps, none hidden": []}
    seconds: dict[str, list[float]] = {"with shadows": [], "nine coefficients": []}
    for radiance in maps.values():
        coefficients = sh_from_environment_map(radiance)
        exposure = FRONT_SHADING / float(front_shading(coefficients))
        lamps = turn_light(lamps_from_environment_map(radiance * exposure), yaw_rad)
        light = turn_light((coefficients * exposure).numpy(), yaw_rad)
        shading = reference.shading(radiance * exposure, yaw_rad)
        truth = encoded((albedo_picture * shading).movedim(0, -1))
        normals = buffers.normal_light[0].movedim(0, -1)
        bare = (normals @ lamps.directions.T).clamp(min=0) @ lamps.strengths
        pictures = {"lamps, none hidden": albedo_picture.movedim(0, -1) * bare}
        for name, given in (("with shadows", lamps), ("nine coefficients", light)):
            rendering, taken_s = timed(partial(face.render, albedo, given, size_px=size_px))
            pictures[name] = torch.from_numpy(rendering)
            seconds[name].append(taken_s)
        for name, picture in pictures.items():
            error = (encoded(picture) - truth).square().mean()
            psnr[name].append(-10 * math.log10(max(float(error), 1e-12)))
    return {
        "maps": len(maps),
        "size_px": size_px,
        "psnr_db": {name: round(float(np.mean(values)), 2) for name, values in psnr.items()},
        "worst_psnr_db": {name: round(min(values), 2) for name, values in psnr.items()},
        "seconds": {name: [round(min(v), 3), round(max(v), 3)] for name, v in seconds.items()},
        "first_seconds": round(first_s, 2),
    }


def no_lamps() -> Lamps:
    """A light that is off; what the head hides is found out all the same."""
    return Lamps(lamp_directions(8), torch.zeros(8, 3))


def timed(call: Callable[[], Result]) -> tuple[Result, float]:
    """What a call gives, and the CPU seconds it takes."""
    started = time.process_time()
    result = call()
    return result, time.process_time() - started


def command_line() -> argparse.ArgumentParser:
    """The parser of this program's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--maps", type=Path, required=True, help=".npz of lat-long maps, (H, W, 3) each")
    parser.add_argument("--size", type=int, default=224, help="width and height of the pictures, pixels")
    parser.add_argument("--yaw-deg", type=float, default=0.0, help="turn of the light")
    parser.add_argument("--directions", type=int, default=2048, help="directions of the reference")
    return parser


def main() -> None:
    """Run the program."""
    arguments = command_line().parse_args()
    with np.load(arguments.maps) as archive:
        maps = {name: torch.from_numpy(archive[name].astype(np.float32)) for name in archive.files}
    with torch.inference_mode():
        figures = measure(
            maps,
            size_px=arguments.size,
            yaw_rad=math.radians(arguments.yaw_deg),
            num_directions=arguments.directions,
        )
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
