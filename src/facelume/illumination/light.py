"""Named lights: the presets of the package, light files, and exposure."""

from __future__ import annotations

import functools
import importlib.resources
import json
import math
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from facelume.errors import AssetError, UnreadableInputError
from facelume.illumination.environment import load_environment_map, sh_from_environment_map
from facelume.illumination.irradiance import irradiance
from facelume.reflectance import luminance, shade

FRONT_SHADING = 0.8
"""Exposure of every preset: mean over the front hemisphere of the luminance of ``max(E, 0) / pi``."""


@dataclass(frozen=True)
class LightPreset:
    """A light that comes with the package.

    Attributes:
        name: Name for ``--light``.
        sh_radiance: Radiance coefficients, light axes, linear Rec.709, exposed to ``FRONT_SHADING``.
        source: Where it comes from; starts with ``synthetic`` if no place was photographed.
        licence: Licence of the source.
    """

    name: str
    sh_radiance: Float[Tensor, "9 3"]
    source: str
    licence: str


@functools.cache
def light_presets() -> dict[str, LightPreset]:
    """All presets by name, in the order of the file (photographed places first, then synthetic lights).

    Raises:
        AssetError: The presets of the installed package are missing or damaged.
    """
    resource = importlib.resources.files("facelume.illumination") / "light_presets.json"
    try:
        records = json.loads(resource.read_text(encoding="utf-8"))["presets"]
        presets = [
            LightPreset(
                name=record["name"],
                sh_radiance=torch.tensor(record["sh_radiance"], dtype=torch.float32).reshape(9, 3),
                source=record["source"],
                licence=record["licence"],
            )
            for record in records
        ]
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise AssetError(
            f"light presets {resource} are missing or damaged ({error}); reinstall facelume"
        ) from error
    return {preset.name: preset for preset in presets}


def load_light(path: str | os.PathLike[str]) -> Float[Tensor, "9 3"]:
    """Radiance coefficients of a light file: ``.npz`` with ``sh_radiance`` (9, 3), ``.hdr`` or ``.exr``.

    Values are as in the file; expose them with ``with_front_shading`` where the unit of a map is arbitrary.

    Raises:
        UnreadableInputError: No such file, another format, damaged, or values that are not finite.
        AssetError: ``.exr`` without the OpenEXR package.
    """
    file = Path(path)
    if file.suffix.lower() != ".npz":
        radiance = load_environment_map(file)
        height, width = radiance.shape[:2]
        if abs(width - 2 * height) > 2:
            raise UnreadableInputError(
                f"environment map {file} is {width} x {height}; a lat-long map of all directions is twice as "
                "wide as high: convert light probes and cube maps first"
            )
        return sh_from_environment_map(radiance)
    try:
        with np.load(file, allow_pickle=False) as content:
            values = content["sh_radiance"]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UnreadableInputError(
            f"cannot read a light from {file} ({error}); it must be a .npz with sh_radiance of shape (9, 3)"
        ) from error
    if values.shape != (9, 3) or values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise UnreadableInputError(
            f"sh_radiance in {file} is {values.dtype} {values.shape}; it must be finite and of shape (9, 3)"
        )
    return torch.from_numpy(values.astype(np.float32))


def front_shading(sh_radiance: Float[Tensor, "*batch 9 3"]) -> Float[Tensor, "*batch"]:
    """Exposure of a light: luminance of ``max(E, 0) / pi``, averaged over all normals with n_z > 0.

    It is the brightness of a white, camera-facing half sphere, averaged over its solid angle.
    """
    normals, weights = _front_hemisphere()
    nodes, shares = sh_radiance.new_tensor(normals), sh_radiance.new_tensor(weights)
    received = irradiance(sh_radiance[..., None, :, :], nodes)
    return luminance(shade(torch.ones_like(received), received)) @ shares


def with_front_shading(
    sh_radiance: Float[Tensor, "*batch 9 3"], target: float = FRONT_SHADING
) -> Float[Tensor, "*batch 9 3"]:
    """The same light with its exposure (``front_shading``) set to ``target``; a black light stays black."""
    factor = target / front_shading(sh_radiance).clamp(min=1e-12)
    return sh_radiance * factor[..., None, None]


@functools.cache
def _front_hemisphere() -> tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, " N"]]:
    """Normals with n_z > 0 (Gauss-Legendre in z, trapezoid in azimuth) and weights that sum to 1."""
    nodes, node_weights = np.polynomial.legendre.leggauss(16)
    z, azimuth = 0.5 * (nodes + 1.0), 2.0 * math.pi * np.arange(32) / 32
    ring = np.sqrt(1.0 - z**2)
    normals = np.stack(
        (
            ring[:, None] * np.cos(azimuth),
            ring[:, None] * np.sin(azimuth),
            np.broadcast_to(z[:, None], (16, 32)),
        ),
        axis=-1,
    )
    return normals.reshape(-1, 3), np.repeat(0.5 * node_weights / 32, 32)
