"""The bare skin of a result that its photo shows: which texels, and which colour.

Skin is the atlas mask ``skin`` of the face model (the face front without eyes, lips, brows and nostrils)
above a half, where the photo shows the texel by more than a half (alpha of ``texture.png``: it faces the
camera and no hair, glasses or hand hides it). A beard is skin to this mask.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from facelume.face_model import FaceModel
from facelume.io.picture import decode_srgb, load_png
from facelume.metrics import is_grey, skin_colour
from facelume.uv import resize_map

SEEN = 0.5
LEAST_SEEN_SHARE = 0.02
"""Share of the face's skin that a photo must show for a colour to be named."""


@dataclass(frozen=True, eq=False)
class VisibleSkin:
    """Albedo and photo of one result in the atlas, and where both show bare skin.

    Attributes:
        albedo_linear: The result's albedo, linear Rec.709.
        photo_linear: The photo in the atlas, linear Rec.709; 0 where it does not show the texel.
        mask: Bare skin that the photo shows.
        share: Of the face's skin that the photo shows, [0, 1].
    """

    albedo_linear: Float[np.ndarray, "S S 3"]
    photo_linear: Float[np.ndarray, "S S 3"]
    mask: Bool[np.ndarray, "S S"]
    share: float


def read_visible_skin(folder: Path, model: FaceModel, size: int | None = None) -> VisibleSkin:
    """Reads albedo and photo of a result folder.

    Args:
        folder: A folder written by ``facelume reconstruct``.
        model: The face model it was made with.
        size: Texels along an edge to which the maps are averaged; as they are when absent.

    Raises:
        UnreadableInputError: A map is missing or damaged.
    """
    albedo = decode_srgb(load_png(folder / "albedo.png"))
    texture = load_png(folder / "texture.png", "RGBA")
    seen = texture[..., 3:].astype(np.float32) / 255
    stack = np.concatenate([albedo, decode_srgb(texture[..., :3]), seen], axis=-1)
    if size is not None:
        stack = resize_map(torch.from_numpy(stack).movedim(-1, 0)[None], size)[0].movedim(0, -1).numpy()
    skin = model.uv_mask("skin", stack.shape[0]).numpy(force=True) > SEEN
    mask = skin & (stack[..., 6] > SEEN)
    return VisibleSkin(stack[..., :3], stack[..., 3:6], mask, float(mask.sum() / max(skin.sum(), 1)))


def measure_skin(folder: Path, model: FaceModel) -> dict[str, Any]:
    """Colours of the visible skin of a result, as ``photos.jsonl`` holds them; empty where too little shows.

    ``skin`` and ``skin_of_photo`` describe the mean, ``skin_median`` and ``skin_median_of_photo`` the median
    of each channel; see :class:`facelume.metrics.SkinColour`. ``is_grey`` tells a photo without colour.

    Args:
        folder: A folder written by ``facelume reconstruct``.
        model: The face model it was made with.

    Raises:
        UnreadableInputError: A map is missing or damaged.
    """
    visible = read_visible_skin(folder, model)
    crop, face = load_png(folder / "input_crop.png"), load_png(folder / "face_mask.png", "L") > 127
    figures: dict[str, Any] = {"is_grey": is_grey(crop, face), "skin_share": visible.share}
    if visible.share < LEAST_SEEN_SHARE:
        return figures
    for name, colours in (("", visible.albedo_linear), ("_of_photo", visible.photo_linear)):
        texels = colours[visible.mask].astype(np.float64)
        figures[f"skin{name}"] = asdict(skin_colour(texels.mean(axis=0)))
        figures[f"skin_median{name}"] = asdict(skin_colour(np.median(texels, axis=0)))
    return figures
