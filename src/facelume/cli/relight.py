"""``facelume relight``: a result under another light, or with another face's light or albedo."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from facelume.cli.reporting import say
from facelume.errors import UsageError


@dataclass(frozen=True)
class Relight:
    """Render a result under another light.

    Mesh and pose are the result's; so is the detailed light, unless another one is named.
    """

    result: Positional[Path]
    """Result folder of `facelume reconstruct`."""
    out: Path
    """PNG to write: sRGB, in the result's crop frame, black outside the face."""
    light: str | None = None
    """Name of a preset (see `facelume lights`), or a .hdr, .exr or .npz file."""
    light_from: Path | None = None
    """Take the light of this other result."""
    albedo_from: Path | None = None
    """Take the albedo of this other result."""
    coarse: bool = False
    """Use the one coarse light of the result that gives the light, not the light per texel."""
    shadows: bool = False
    """Let the head cast shadows on itself; presets, .hdr and .exr do so anyway, other lights cannot."""
    no_shadows: bool = False
    """Cast no shadows: nine coefficients per colour for the whole face."""
    yaw_deg: float = 0.0
    """Turn the light about the camera's up axis; positive moves frontal light to picture right."""
    size: int = 224
    """Width and height of the picture, pixels."""

    def run(self) -> int:
        """Renders and writes the picture."""
        if self.shadows and self.no_shadows:
            raise UsageError("--shadows asks for shadows and --no-shadows for none; leave one of the two out")

        from facelume.pipeline import relight

        relight(
            self.result,
            self.out,
            light=self.light,
            light_from=self.light_from,
            albedo_from=self.albedo_from,
            coarse=self.coarse,
            yaw_rad=math.radians(self.yaw_deg),
            size_px=self.size,
            shadows=True if self.shadows else False if self.no_shadows else None,
        )
        say(str(self.out))
        return 0
