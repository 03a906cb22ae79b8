"""Measure what colours facial skin has: writes the statistics that the package carries.

    python tools/measure_skin_colours.py --readings data/skin_colours/issa_face.npz

The readings (``linear_rgb_sci``, ``ita_deg``) include the reflection of the surface, which is subtracted.
Every ITA class weighs the same.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from facelume.io.arrays import load_arrays
from facelume.reflectance import ITA_CLASSES
from facelume.reflectance.colour import REC709_LUMINANCE

OUTPUT = Path(__file__).parents[1] / "src/facelume/reflectance/human_skin.json"
SOURCE = (
    "International Skin Spectra Archive (Lu et al., Scientific Data 2025, figshare 28228571), facial readings"
)
SURFACE_REFLECTION = 0.028
"""What the surface of skin reflects whatever its colour, and a sphere with specular included reads along."""
DARKEST_READING = 0.004
"""A channel below it is noise once the surface is subtracted; such readings do not count."""


def measure(linear_rgb_sci: np.ndarray, ita_deg: np.ndarray) -> dict[str, Any]:
    """The statistics of :class:`facelume.reflectance.HumanSkin` as plain numbers.

    Args:
        linear_rgb_sci: (N, 3) linear Rec.709 under D65, surface reflection included.
        ita_deg: (N,) individual typology angle, degrees.
    """
    diffuse = np.asarray(linear_rgb_sci, np.float64) - SURFACE_REFLECTION
    counted = (diffuse > DARKEST_READING).all(axis=1)
    diffuse = diffuse[counted]
    classes = np.digitize(ita_deg[counted], [bound for bound, _ in ITA_CLASSES[:-1]], right=True)
    weights = 1 / np.bincount(classes)[classes]
    weights /= weights.sum()
    logs = np.log(diffuse)
    tone = np.log(diffuse @ REC709_LUMINANCE)
    hue = logs[:, :2] - logs[:, 1:]
    powers = np.stack([np.ones_like(tone), tone, tone**2], axis=1)
    curve = np.linalg.solve(powers.T @ (powers * weights[:, None]), powers.T @ (hue * weights[:, None])).T
    residual = hue - powers @ curve.T
    mean = weights @ logs
    members = [classes == index for index in range(len(ITA_CLASSES))]
    return {
        "source": SOURCE,
        "num_readings": len(diffuse),
        "log_mean": mean.tolist(),
        "log_covariance": np.einsum("n,na,nb->ab", weights, logs - mean, logs - mean).tolist(),
        "tone_range": [
            float(np.percentile(tone[members[0]], 1)),
            float(np.percentile(tone[members[-1]], 99)),
        ],
        "hue_curve": curve.tolist(),
        "knots": [float(tone[member].mean()) for member in members],
        "hue_covariance": [(residual[m].T @ residual[m] / m.sum()).tolist() for m in members],
    }


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--readings", type=Path, required=True, help="issa_face.npz")
    parser.add_argument("--out", type=Path, default=OUTPUT, help="what is written")
    return parser


def main() -> None:
    """Run the tool."""
    arguments = command_line().parse_args()
    readings = load_arrays(arguments.readings, ("linear_rgb_sci", "ita_deg"))
    statistics = measure(readings["linear_rgb_sci"], readings["ita_deg"])
    rounded = json.loads(json.dumps(statistics), parse_float=lambda text: round(float(text), 6))
    arguments.out.write_text(json.dumps(rounded, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
