"""Lights as a user names them: presets, files and arrays; their lamps, exposure, turning and layouts."""

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
from typing import overload

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from facelume.errors import AssetError, UnreadableInputError, UsageError
from facelume.illumination.environment import load_environment_map, sh_from_environment_map
from facelume.illumination.environment_lamps import Lamps, lamps_from_environment_map
from facelume.illumination.irradiance import irradiance
from facelume.illumination.rotation import sh_rotation_matrix, yaw_rotation
from facelume.reflectance import luminance, shading_from_irradiance

Light = str | os.PathLike[str] | np.ndarray
"""A preset's name, a file (.hdr, .exr, .npz), or radiance coefficients (9, 3) or per texel (S, S, 9, 3)."""

FRONT_SHADING = 0.8
"""Exposure of every preset: mean over the front hemisphere of the luminance of ``max(E, 0) / pi``."""


@dataclass(frozen=True)
class LightPreset:
    """A light that comes with the package.

    Attributes:
        name: Name to ask for it by.
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


@functools.cache
def _preset_lamps() -> dict[str, Lamps]:
    """The lamps of each preset, exposed as its coefficients are; read when shadows are first asked for."""
    resource = importlib.resources.files("facelume.illumination") / "light_presets.npz"
    try:
        with resource.open("rb") as file, np.load(file, allow_pickle=False) as content:
            stored = {name: torch.from_numpy(content[name].astype(np.float32)) for name in light_presets()}
        return {
            name: Lamps(functional.normalize(values[:, :3], dim=1), values[:, 3:])
            for name, values in stored.items()
        }
    except (OSError, KeyError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise AssetError(
            f"lamps of the light presets {resource} are missing or damaged ({error}); reinstall facelume"
        ) from error


def load_light(path: str | os.PathLike[str]) -> Float[Tensor, "*texels 9 3"]:
    """Radiance coefficients of a light file: ``.npz`` with ``sh_radiance``, ``.hdr`` or ``.exr``.

    A ``.npz`` holds one light (9, 3), or one per texel (S, S, 9, 3) as a result's ``illumination.npz`` does.
    Values are as in the file; expose them with ``with_front_shading`` where the unit of a map is arbitrary.

    Raises:
        UnreadableInputError: No such file, another format, damaged, or values that are not finite.
    """
    file = Path(path)
    if file.suffix.lower() != ".npz":
        return sh_from_environment_map(_load_panorama(file))
    try:
        with np.load(file, allow_pickle=False) as content:
            values = content["sh_radiance"]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UnreadableInputError(
            f"cannot read a light from {file} ({error}); it must be a .npz with sh_radiance of shape (9, 3)"
        ) from error
    if values.dtype.kind not in "fiu" or not _is_light(values):
        raise UnreadableInputError(
            f"sh_radiance in {file} is {values.dtype} {values.shape}; it must be finite and of shape (9, 3), "
            "or (S, S, 9, 3) for a light per texel"
        )
    return torch.from_numpy(values.astype(np.float32))


def resolve_light(light: Light) -> Float[np.ndarray, "*texels 9 3"]:
    """Radiance coefficients (9, 3), or (S, S, 9, 3) for a light per texel, from a name, a file or an array.

    Environment maps (.hdr, .exr) have arbitrary units and are exposed like the presets; a ``.npz`` or an
    array is taken as it is.

    Raises:
        UsageError: No preset has this name, or the array has another shape.
        UnreadableInputError: The file cannot be read.
    """
    if isinstance(light, np.ndarray):
        if not _is_light(light):
            raise UsageError(f"a light must be finite, (9, 3) or (S, S, 9, 3), not {light.shape}")
        return light.astype(np.float32)
    presets = light_presets()
    if isinstance(light, str) and light in presets:
        return presets[light].sh_radiance.numpy(force=True)
    path = Path(light)
    if not path.suffix:
        raise UsageError(
            f"no light named {str(light)!r}; `facelume lights` lists them, or name a .hdr, .exr or .npz"
        )
    coefficients = load_light(path)
    if path.suffix.lower() != ".npz":
        coefficients = with_front_shading(coefficients)
    return coefficients.numpy(force=True)


def resolve_lamps(light: Light) -> Lamps | None:
    """The lamps of a preset or an environment map, exposed as ``resolve_light`` exposes its coefficients.

    Returns:
        The lamps; ``None`` for coefficients (an array, a ``.npz``), which do not say where lamps stand, and
        for a name that ``resolve_light`` refuses.

    Raises:
        UnreadableInputError: The environment map cannot be read.
    """
    if isinstance(light, np.ndarray):
        return None
    if isinstance(light, str) and light in light_presets():
        return _preset_lamps()[light]
    path = Path(light)
    if path.suffix.lower() in {"", ".npz"}:
        return None
    radiance = _load_panorama(path)
    lamps = lamps_from_environment_map(radiance)
    return lamps.scaled(float(_exposure_factor(sh_from_environment_map(radiance), FRONT_SHADING)))


def shadowing_light(light: Light, *, shadows: bool | None = None) -> Float[np.ndarray, "*texels 9 3"] | Lamps:
    """What a face is relit with: lamps that cast shadows, or radiance coefficients, which cast none.

    Args:
        light: See ``resolve_light``.
        shadows: Whether lamps are wanted; ``None`` takes them where the light has them.

    Raises:
        UsageError: As ``resolve_light``, and where shadows are asked of a light without lamps.
        UnreadableInputError: The file cannot be read.
    """
    lamps = None if shadows is False else resolve_lamps(light)
    if lamps is not None:
        return lamps
    coefficients = resolve_light(light)
    if shadows:
        raise UsageError(
            "shadows need a light whose lamps are known: a preset or an environment map (.hdr, .exr); "
            "spherical-harmonic coefficients do not say where lamps stand",
            arguments=("shadows", "light"),
        )
    return coefficients


@overload
def turn_light(light: Lamps, yaw_rad: float) -> Lamps: ...


@overload
def turn_light(
    light: Float[np.ndarray, "*texels 9 3"], yaw_rad: float
) -> Float[np.ndarray, "*texels 9 3"]: ...


def turn_light(
    light: Float[np.ndarray, "*texels 9 3"] | Lamps, yaw_rad: float
) -> Float[np.ndarray, "*texels 9 3"] | Lamps:
    """The light turned about camera +Y; positive moves light from the viewer to picture right.

    Raises:
        UsageError: The angle is not finite.
    """
    if not math.isfinite(yaw_rad):
        raise UsageError("the yaw of a light must be a finite angle")
    rotation = yaw_rotation(yaw_rad)
    if isinstance(light, Lamps):
        return light.turned(rotation)
    matrix = sh_rotation_matrix(rotation).numpy(force=True).astype(np.float32)
    return np.einsum("kl,...lc->...kc", matrix, light, optimize=True)


def unit_light() -> Float[np.ndarray, "9 3"]:
    """The light whose irradiance is π everywhere, so that a rendering shows the albedo itself."""
    light = np.zeros((9, 3), np.float32)
    light[0] = np.sqrt(4 * np.pi)  # radiance 1 from everywhere: coefficient 1 / Y_00
    return light


def light_tensor(
    light: Float[np.ndarray, "*texels 9 3"], like: Tensor
) -> Float[Tensor, "1 9 3"] | Float[Tensor, "1 27 T T"]:
    """The same light as a tensor on the device of ``like``, in the layout of ``raster.render``."""
    tensor = torch.tensor(light, dtype=torch.float32, device=like.device)
    if tensor.ndim == 2:
        return tensor[None]
    return tensor.flatten(2).permute(2, 0, 1)[None].contiguous()


def light_array(light: Float[Tensor, "27 T T"]) -> Float[np.ndarray, "T T 9 3"]:
    """A light map of ``raster.render``'s layout in the public one; channel 27 is 3·k + rgb."""
    channels_last = light.permute(1, 2, 0).numpy(force=True).astype(np.float32)
    return np.ascontiguousarray(channels_last.reshape(*channels_last.shape[:2], 9, 3))


def front_shading(sh_radiance: Float[Tensor, "*batch 9 3"]) -> Float[Tensor, "*batch"]:
    """Exposure of a light: luminance of ``max(E, 0) / pi``, averaged over all normals with n_z > 0.

    It is the brightness of a white, camera-facing half sphere, averaged over its solid angle.
    """
    normals, weights = _front_hemisphere()
    nodes, shares = sh_radiance.new_tensor(normals), sh_radiance.new_tensor(weights)
    received = irradiance(sh_radiance[..., None, :, :], nodes)
    return luminance(shading_from_irradiance(received)) @ shares


def with_front_shading(
    sh_radiance: Float[Tensor, "*batch 9 3"], target: float = FRONT_SHADING
) -> Float[Tensor, "*batch 9 3"]:
    """The same light with its exposure (``front_shading``) set to ``target``; a black light stays black."""
    return sh_radiance * _exposure_factor(sh_radiance, target)[..., None, None]


def _exposure_factor(sh_radiance: Float[Tensor, "*batch 9 3"], target: float) -> Float[Tensor, "*batch"]:
    return target / front_shading(sh_radiance).clamp(min=1e-12)


def _load_panorama(file: Path) -> Float[Tensor, "H W 3"]:
    """An environment map of all directions."""
    radiance = load_environment_map(file)
    height, width = radiance.shape[:2]
    if abs(width - 2 * height) > 2:
        raise UnreadableInputError(
            f"environment map {file} is {width} x {height}; a lat-long map of all directions is twice as "
            "wide as high: convert light probes and cube maps first"
        )
    return radiance


def _is_light(values: np.ndarray) -> bool:
    """Whether an array is one light (9, 3) or a square map of them, and finite."""
    is_map = values.ndim == 4 and values.shape[0] == values.shape[1]
    return values.shape[-2:] == (9, 3) and (values.ndim == 2 or is_map) and bool(np.isfinite(values).all())


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
