"""Draw the pictures of ``docs/face_model.md``: mean, components, people, expressions, atlas, landmarks.

    python tools/draw_face_model.py [--out docs/images]

Needs the shipped assets alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from face_model_build.depth_buffer import orthographic, rasterize_pixels, shade_grey
from facelume.face_model import FaceModel, load_open_face_model
from facelume.types import EYE_PARTS, FacePart

IMAGES = Path(__file__).parents[1] / "docs/images"
PART_COLOURS = np.array(
    [[1, 0.86, 0.77], [1, 1, 1], [1, 1, 1], [0.8, 0.35, 0.33], [1, 1, 0.92], [1, 1, 0.92], [0.9, 0.45, 0.45]]
)
MASK_COLOURS = {
    "skin": (232, 196, 172), "eyes": (120, 170, 220), "lips": (205, 90, 90), "brows": (90, 60, 40),
    "nostrils": (60, 30, 30), "ears": (200, 150, 90), "neck": (150, 190, 140), "scalp": (150, 140, 180),
}  # fmt: skip
SHOWN_EXPRESSIONS = (
    "jawOpen",
    "mouthSmileLeft mouthSmileRight",
    "mouthFrownLeft mouthFrownRight",
    "mouthPucker",
    "mouthFunnel",
    "mouthLeft",
    "mouthUpperUpLeft mouthUpperUpRight mouthLowerDownLeft mouthLowerDownRight",
    "cheekPuff",
    "browInnerUp",
    "browDownLeft browDownRight",
    "eyeBlinkLeft",
    "eyeWideLeft eyeWideRight",
    "eyeLookOutLeft eyeLookInRight",
    "noseSneerLeft noseSneerRight",
    "jawOpen tongueOut",
    "mouthPressLeft mouthPressRight",
    "mouthLeft browOuterUpLeft",
    "mouthRollLower mouthRollUpper",
)


class Artist:
    """Draws shaded heads of one model with numpy."""

    def __init__(self, model: FaceModel) -> None:
        self.model = model
        self.faces = model.topology.faces.numpy()
        self.part = model.topology.face_part.numpy()
        self.uv = model.topology.uvs.numpy()[model.topology.uv_faces.numpy()]
        ball = np.unique(self.faces[self.part == FacePart.LEFT_EYE])
        rest = model.mean_shape.numpy()[ball]
        self.pupils = [ball[np.argmax(rest[:, 2])]]
        self.pupils.append(int(model.topology.mirror_vertices[self.pupils[0]]))

    def vertices(self, identity: dict[int, float] | None = None, names: str = "") -> np.ndarray:
        coefficients, strength = torch.zeros(self.model.num_identity), torch.zeros(self.model.num_expression)
        for index, value in (identity or {}).items():
            coefficients[index] = value
        for name in names.split():
            strength[self.model.expression_names.index(name)] = 1.0
        return self.model.shape(coefficients, strength).double().numpy()

    def draw(
        self,
        vertices: np.ndarray,
        *,
        yaw_deg: float = 0,
        size: int = 240,
        px_per_m: float = 1000,
        y: float = -0.02,
        texture: np.ndarray | None = None,
    ) -> Image.Image:
        """Shaded head; ``texture`` (S, S, 3) in [0, 1] replaces the part colours."""
        points = orthographic(
            vertices, np.radians(yaw_deg), 0, 2 * px_per_m, (size, size), np.array([0, y, 0.0])
        )
        buffer = rasterize_pixels(points, self.faces, (2 * size, 2 * size))
        grey = shade_grey(self.faces, buffer, points)
        hit = buffer.pix_to_face >= 0
        face = buffer.pix_to_face[hit]
        colour = PART_COLOURS[self.part[face]]
        if texture is not None:
            uv = (self.uv[face] * buffer.bary_coords[hit][..., None]).sum(1) * len(texture)
            colour = texture[uv[:, 1].astype(int), uv[:, 0].astype(int)]
        else:
            surface = (vertices[self.faces[face]] * buffer.bary_coords[hit][..., None]).sum(1)
            for number, pupil in zip(EYE_PARTS, self.pupils, strict=True):
                dark = (self.part[face] == number) & (
                    np.linalg.norm(surface - vertices[pupil], axis=1) < 0.0058
                )
                colour = np.where(dark[:, None], [0.25, 0.2, 0.18], colour)
        picture = np.ones((2 * size, 2 * size, 3))
        picture[hit] = grey[hit][:, None] * colour
        return Image.fromarray((255 * picture).astype(np.uint8)).resize(
            (size, size), Image.Resampling.LANCZOS
        )


def sheet(pictures: list[Image.Image], columns: int, labels: list[str] | None = None) -> Image.Image:
    """Pictures of one size in rows, with optional captions."""
    width, height = pictures[0].size
    out = Image.new("RGB", (columns * width, -(-len(pictures) // columns) * height), "white")
    pen = ImageDraw.Draw(out)
    for n, picture in enumerate(pictures):
        corner = ((n % columns) * width, (n // columns) * height)
        out.paste(picture, corner)
        if labels:
            pen.text((corner[0] + 6, corner[1] + 4), labels[n], fill=(40, 40, 40))
    return out


def draw_atlas(model: FaceModel, size: int = 768) -> Image.Image:
    """Region masks in colour with the triangles of the atlas over them."""
    colour = np.full((256, 256, 3), 255.0)
    for name, rgb in MASK_COLOURS.items():
        mask = model.uv_mask(name).numpy()[..., None]
        colour = colour * (1 - mask) + mask * np.array(rgb)
    picture = Image.fromarray(colour.astype(np.uint8)).resize((2 * size, 2 * size), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(picture)
    for corners in model.topology.uvs.numpy()[model.topology.uv_faces.numpy()] * 2 * size:
        pen.line([tuple(c) for c in (*corners, corners[0])], fill=(90, 90, 90))
    pen.rectangle([size / 2, size / 2, 1.5 * size, 1.5 * size], outline=(200, 0, 0), width=4)
    return picture.resize((size, size), Image.Resampling.LANCZOS)


def checkerboard(size: int = 1024, cells: int = 64) -> np.ndarray:
    """Grey squares, four texels of a 256 atlas wide."""
    index = np.arange(size) * cells // size
    odd = (index[:, None] + index[None]) % 2
    return np.repeat(np.where(odd, 0.55, 1.0)[..., None], 3, 2)


def draw_landmarks(artist: Artist, size: int = 512, px_per_m: float = 2900) -> Image.Image:
    """The 478 points in blue (irises red) and iBUG-68 beside them."""
    mean = artist.vertices()
    pictures = []
    for embedding in (artist.model.landmarks478, artist.model.landmarks68):
        picture = artist.draw(mean, size=size, px_per_m=px_per_m)
        points = artist.model.points_on_surface(torch.from_numpy(mean), embedding).numpy()
        flat = orthographic(points, 0, 0, px_per_m, (size / 2, size / 2), np.array([0, -0.02, 0]))
        pen = ImageDraw.Draw(picture)
        for n, (x, y, _) in enumerate(flat):
            pen.ellipse([x - 1.5, y - 1.5, x + 1.5, y + 1.5], fill=(220, 0, 0) if n > 467 else (0, 0, 220))
        pictures.append(picture)
    return sheet(pictures, 2)


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder for the pictures")
    return parser


def main() -> None:
    """Run the tool."""
    out = command_line().parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    model = load_open_face_model()
    artist = Artist(model)
    mean = artist.vertices()
    rng = np.random.default_rng(3)
    people = [dict(enumerate(rng.normal(size=model.num_identity))) for _ in range(12)]
    pictures = {
        "mean": sheet([artist.draw(mean, yaw_deg=yaw, size=320) for yaw in (0, -40, -90, 180)], 4),
        "components": sheet(
            [artist.draw(artist.vertices({n: s})) for s in (-2.5, 2.5) for n in range(6)],
            6,
            [f"component {n} {s:+} sd" for s in (-2.5, 2.5) for n in range(6)],
        ),
        "people": sheet(
            [artist.draw(artist.vertices(p), yaw_deg=-25 * (n % 2)) for n, p in enumerate(people)], 6
        ),
        "expressions": sheet(
            [
                artist.draw(artist.vertices(names=n), size=220, px_per_m=1250, y=-0.025)
                for n in SHOWN_EXPRESSIONS
            ],
            6,
            [" ".join(n.split()[:2]) for n in SHOWN_EXPRESSIONS],
        ),
        "atlas": sheet(
            [
                draw_atlas(model),
                artist.draw(mean, yaw_deg=-20, size=768, px_per_m=3000, texture=checkerboard()),
            ],
            2,
        ),
        "landmarks": draw_landmarks(artist),
    }
    for name, picture in pictures.items():
        picture.save(out / f"face_model_{name}.jpg", quality=82)


if __name__ == "__main__":
    main()
