"""A result folder read back: enough to render the face again."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Float

from facelume.camera import CROP_SIZE_PX
from facelume.errors import AssetError, UnreadableInputError, UsageError
from facelume.face_model import FaceModel
from facelume.illumination import Lamps, resolve_light, shadowing_light
from facelume.io.picture import decode_srgb, encode_srgb, load_png, save_png
from facelume.io.result_folder import read_manifest
from facelume.pipeline.posed_face import PosedFace
from facelume.registration import registered_face_model
from facelume.types import lock_arrays


@dataclass(frozen=True, eq=False)
class SavedResult:
    """A result folder.

    Attributes:
        folder: Where it is.
        posed: Shape and pose.
        albedo: Linear, as far as its 8-bit picture tells.
        illumination: Radiance coefficients per texel.
        light_coarse: Radiance coefficients for the whole face.
    """

    folder: Path
    posed: PosedFace
    albedo: Float[np.ndarray, "S S 3"]
    illumination: Float[np.ndarray, "T T 9 3"]
    light_coarse: Float[np.ndarray, "9 3"]

    def __post_init__(self) -> None:
        """Make the arrays read-only."""
        lock_arrays(self)


def read_result(folder: str | Path) -> SavedResult:
    """Reads a result folder.

    Raises:
        UnreadableInputError: It is no result, or damaged.
        AssetError: It was made with a face model that is absent or has changed.
    """
    place = Path(folder)
    manifest = read_manifest(place)
    model = _model_of(place, str(manifest.get("face_model")), str(manifest.get("face_model_sha256")))
    params = _read_arrays(place / "params.npz", ("identity", "expression", "pose"))
    light = _read_arrays(place / "illumination.npz", ("sh_radiance", "coarse"))
    expected = {"identity": (model.num_identity,), "expression": (model.num_expression,), "pose": (6,)}
    if {name: params[name].shape for name in expected} != expected:
        raise UnreadableInputError(
            f"{place}: params.npz does not fit its face model; reconstruct the photo again"
        )
    tensors = {name: torch.from_numpy(params[name].astype(np.float32)) for name in expected}
    return SavedResult(
        folder=place,
        posed=PosedFace(model, tensors["identity"], tensors["expression"], tensors["pose"]),
        albedo=decode_srgb(load_png(place / "albedo.png")),
        illumination=resolve_light(light["sh_radiance"]),
        light_coarse=resolve_light(light["coarse"]),
    )


def relight(  # noqa: PLR0913 - one argument for each option of the command
    result: str | Path,
    out: str | Path,
    *,
    light: str | None = None,
    light_from: str | Path | None = None,
    albedo_from: str | Path | None = None,
    coarse: bool = False,
    yaw_rad: float = 0.0,
    size_px: int = CROP_SIZE_PX,
    shadows: bool | None = None,
) -> None:
    """Renders a saved result and writes an sRGB PNG in its crop's frame, black outside the face front.

    Args:
        result: Folder that gives mesh and pose and, unless others are named, light and albedo.
        out: PNG to write.
        light: A preset's name or a light file.
        light_from: Folder whose light is used.
        albedo_from: Folder whose albedo is used.
        coarse: Use the coarse light of the folder that gives the light; presets have no other.
        yaw_rad: Turns the light about camera +Y; positive moves light from the viewer to picture right.
        size_px: Width and height of the picture.
        shadows: Whether the head casts shadows on itself; ``None``: where ``light`` is a preset or an
            environment map and ``coarse`` is not asked for.

    Raises:
        UsageError: Two lights are named, the light is unknown or cannot cast shadows, maps belong to another
            atlas, or the picture cannot be written.
        UnreadableInputError: A folder or file cannot be read.
    """
    if light is not None and light_from is not None:
        raise UsageError(
            "light and light_from both name the light; leave one of them out",
            arguments=("light", "light_from"),
        )
    if coarse and shadows:
        raise UsageError(
            "coarse asks for one light for the whole face, shadows for one that differs over it; "
            "leave one of them out",
            arguments=("coarse", "shadows"),
        )
    target = Path(out)
    if target.suffix.lower() != ".png":
        raise UsageError(
            f"{target}: the picture is a PNG; give it a name that ends in .png", arguments=("out",)
        )
    face = read_result(result)
    light_giver = face if light_from is None else read_result(light_from)
    albedo_giver = face if albedo_from is None else read_result(albedo_from)
    _require_same_atlas(face, albedo_giver)
    albedo = albedo_giver.albedo
    chosen = _chosen_light(face, light_giver, light, coarse=coarse, shadows=shadows)
    with torch.inference_mode():
        picture = encode_srgb(face.posed.render(albedo, chosen, yaw_rad=yaw_rad, size_px=size_px))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        save_png(target, picture)
    except OSError as error:
        raise UsageError(
            f"{target}: cannot be written ({error.strerror or error}); choose another place",
            arguments=("out",),
        ) from error


def _chosen_light(
    face: SavedResult, giver: SavedResult, light: str | None, *, coarse: bool, shadows: bool | None
) -> Float[np.ndarray, "*texels 9 3"] | Lamps:
    if light is not None:
        chosen = shadowing_light(light, shadows=False if coarse else shadows)
        if coarse and isinstance(chosen, np.ndarray) and chosen.ndim > 2:
            raise UsageError(
                f"{light} is a light per texel; for the coarse light of a result use light_from with coarse",
                arguments=("light_from", "coarse"),
            )
        return chosen
    if coarse:
        return giver.light_coarse
    _require_same_atlas(face, giver)
    return shadowing_light(giver.illumination, shadows=True) if shadows else giver.illumination


def _require_same_atlas(face: SavedResult, giver: SavedResult) -> None:
    if face.posed.model.atlas_id != giver.posed.model.atlas_id:
        raise UsageError(
            f"{giver.folder}: its maps belong to the face model {giver.posed.model.name!r} and do not fit "
            f"{face.folder}, which has {face.posed.model.name!r}; reconstruct both with one model"
        )


def _model_of(folder: Path, name: str, sha256: str) -> FaceModel:
    model = registered_face_model(name)
    if model.asset_sha256 != sha256:
        raise AssetError(
            f"{folder}: was made with another build of the face model {name!r}; reconstruct the photo again"
        )
    return model


def _read_arrays(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = {name: content[name] for name in names}
    except (OSError, KeyError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise UnreadableInputError(f"{path}: missing or damaged; reconstruct the photo again") from error
    if any(not np.isfinite(values).all() for values in arrays.values()):
        raise UnreadableInputError(f"{path}: holds values that are not finite; reconstruct the photo again")
    return arrays
