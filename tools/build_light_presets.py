"""Compute the light presets of the package: 27 numbers and lamps each, from environment maps and formulas.

    python tools/build_light_presets.py --maps data/lights/environment_maps.npz

The archive holds lat-long maps of linear radiance, (H, W, 3) each, row 0 up, keyed by name. The ones of the
shipped presets are Poly Haven panoramas (CC0). The lamps go into an archive beside the .json: per light the
directions (L, 3) and the strengths (L, 3) side by side, in half precision.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from facelume.illumination import (
    FRONT_SHADING,
    directions_of_environment_map,
    front_shading,
    lamps_from_environment_map,
    sh_from_environment_map,
    with_front_shading,
)

OUTPUT = Path(__file__).parents[1] / "src/facelume/illumination/light_presets.json"

# Direction a synthetic light comes from (light axes), None for the same light everywhere.
SYNTHETIC_DIRECTIONS: dict[str, tuple[float, float, float] | None] = {
    "ambient": None,
    "front": (0.0, 0.0, 1.0),
    "left": (-1.0, 0.0, 0.3),
    "right": (1.0, 0.0, 0.3),
    "top": (0.0, 1.0, 0.3),
}
AMBIENT_RADIANCE = 0.15
LOBE_EXPONENT = 4


def synthetic_map(direction: tuple[float, float, float] | None) -> torch.Tensor:
    """White map: a weak constant plus a broad lobe ``max(cos, 0)^4`` around a direction."""
    directions = directions_of_environment_map(128, 256)
    radiance = torch.full((128, 256), AMBIENT_RADIANCE)
    if direction is not None:
        axis = torch.nn.functional.normalize(torch.tensor(direction), dim=0)
        radiance = radiance + (directions @ axis).clamp(min=0) ** LOBE_EXPONENT
    return radiance[..., None].expand(-1, -1, 3)


def record(name: str, radiance: torch.Tensor, source: str, licence: str) -> dict[str, object]:
    sh_radiance = with_front_shading(sh_from_environment_map(radiance))
    rows = [[round(value, 5) for value in row] for row in sh_radiance.tolist()]
    return {"name": name, "source": source, "licence": licence, "sh_radiance": rows}


def lamps(radiance: torch.Tensor) -> np.ndarray:
    """The lamps of a map at the exposure of its coefficients, (L, 6) in half precision."""
    exposure = FRONT_SHADING / float(front_shading(sh_from_environment_map(radiance)))
    gathered = lamps_from_environment_map(radiance).scaled(exposure)
    return torch.cat([gathered.directions, gathered.strengths], dim=1).numpy().astype(np.float16)


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--maps", type=Path, required=True, help=".npz of lat-long maps, (H, W, 3) each")
    parser.add_argument("--out", type=Path, default=OUTPUT)
    return parser


def main() -> None:
    """Run the tool."""
    arguments = command_line().parse_args()
    presets, gathered = [], {}
    with np.load(arguments.maps) as maps:
        for name in sorted(maps.files):
            radiance = torch.from_numpy(maps[name].astype(np.float32))
            presets.append(record(name, radiance, "Poly Haven environment map", "CC0-1.0"))
            gathered[name] = lamps(radiance)
    for name, direction in SYNTHETIC_DIRECTIONS.items():
        source = f"synthetic: constant {AMBIENT_RADIANCE}"
        if direction is not None:
            source += f" plus max(cos, 0)^{LOBE_EXPONENT} around {direction}"
        presets.append(record(name, synthetic_map(direction), source, "Apache-2.0"))
        gathered[name] = lamps(synthetic_map(direction))
    content = {
        "convention": "radiance in light axes, linear Rec.709; see docs/conventions.md",
        "front_shading": FRONT_SHADING,
        "presets": presets,
    }
    text = json.dumps(content, indent=1)
    arguments.out.write_text(text + "\n", encoding="utf-8")
    archive = arguments.out.with_suffix(".npz")
    np.savez_compressed(archive, allow_pickle=False, **gathered)
    for path in (arguments.out, archive):
        print(f"{len(presets)} presets, {path.stat().st_size} bytes: {path}")


if __name__ == "__main__":
    main()
