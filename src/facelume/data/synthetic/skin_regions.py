"""Places of the face in the atlas that procedural detail refers to: beard, brows, lids, cheeks, wrinkles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import binary_dilation, distance_transform_edt, gaussian_filter

from facelume.errors import AssetError
from facelume.face_model import FaceModel
from facelume.uv import interpolate_texels, texel_map

Map = Float[np.ndarray, "s s"]

FOREHEAD_LOW = (68, 104, 69, 108, 151, 337, 299, 333, 298)
FOREHEAD_HIGH = (103, 67, 109, 10, 10, 10, 338, 297, 332)
NASOLABIAL = (129, 203, 206, 216)
UNDER_EYE = (226, 31, 228, 229, 230, 231, 232, 233)
OUTER_EYE_CORNER, CHEEK, TEMPLE = 33, 50, 127


@dataclass(frozen=True, eq=False)
class SkinRegions:
    """Soft masks in [0, 1] and curves (texels) of one atlas size; masks are mirror-symmetric.

    Attributes:
        face: Face front without the eyeballs.
        skin: Bare skin of the face front.
        lips: Lips.
        brows: Brows.
        eyelids: Skin between brow and eye.
        lid_edge: Thin band around the eye opening.
        cheeks: Where blush and freckles gather.
        nose_bridge: Nose and the skin beside it.
        beards: Named beard zones: moustache, chin, jaw.
        forehead_low: Texel path (P, 2) above the brows, from the subject's right to the left.
        forehead_high: The same below the hairline.
        curves: Wrinkle paths (P, 2) of the subject's right side, texels (x, y); mirror them for the left.
        crow_start: Outer corner of the subject's right eye, texels.
        crow_end: Temple beside it, texels.
    """

    face: Map
    skin: Map
    lips: Map
    brows: Map
    eyelids: Map
    lid_edge: Map
    cheeks: Map
    nose_bridge: Map
    beards: dict[str, Map]
    forehead_low: Float[np.ndarray, "P 2"]
    forehead_high: Float[np.ndarray, "P 2"]
    curves: dict[str, Float[np.ndarray, "_ 2"]]
    crow_start: Float[np.ndarray, " 2"]
    crow_end: Float[np.ndarray, " 2"]

    @property
    def size(self) -> int:
        """Texels along an edge."""
        return self.skin.shape[0]


@lru_cache(maxsize=4)
def skin_regions(model: FaceModel, size: int) -> SkinRegions:
    """Find the places for an atlas of ``size`` texels.

    Raises:
        AssetError: The model lacks dense landmarks.
    """
    if model.landmarks478 is None:
        raise AssetError(f"face model {model.name!r} lacks dense landmarks: skin detail needs the open model")
    scale = size / 256
    corners = model.topology.uv_faces[model.landmarks478.face_index]
    weights = model.landmarks478.bary_coords[..., None]
    at = ((model.topology.uvs[corners] * weights).sum(1) * size).cpu().numpy().astype(np.float64)
    masks = {
        n: _even(model.uv_mask(n, size).cpu().numpy()) for n in ("face", "skin", "lips", "brows", "eyes")
    }
    eyes = masks["eyes"] > 0.5
    grown = binary_dilation(eyes, iterations=max(1, round(2 * scale)))
    lid_edge = gaussian_filter((grown & ~eyes).astype(np.float64), 0.7 * scale)
    rows, columns = np.mgrid[:size, :size] + 0.5
    around = np.exp(-((distance_transform_edt(~eyes) / (7 * scale)) ** 2))
    above = ((at[OUTER_EYE_CORNER, 1] - 4 * scale - rows) / (6 * scale)).clip(0, 1)
    eyelids = _even(around * above) * (1 - masks["eyes"]) * (1 - masks["brows"])
    cheek_x, cheek_y = at[CHEEK]
    cheek = np.exp(-(((columns - cheek_x) / (22 * scale)) ** 2 + ((rows - cheek_y) / (17 * scale)) ** 2))
    nose = np.exp(-(((columns - size / 2) / (16 * scale)) ** 2 + ((rows - at[5, 1]) / (24 * scale)) ** 2))
    return SkinRegions(
        face=masks["face"] * (1 - masks["eyes"]),
        skin=masks["skin"] * masks["face"],
        lips=gaussian_filter(masks["lips"], 0.8 * scale),
        brows=masks["brows"],
        eyelids=eyelids.clip(0, 1),
        lid_edge=lid_edge.clip(0, 1),
        cheeks=_even(2 * cheek).clip(0, 1),
        nose_bridge=_even(nose),
        beards=_beard_zones(model, size, masks),
        forehead_low=at[list(FOREHEAD_LOW)],
        forehead_high=at[list(FOREHEAD_HIGH)],
        curves={"nasolabial": at[list(NASOLABIAL)], "under_eye": at[list(UNDER_EYE)]},
        crow_start=at[OUTER_EYE_CORNER],
        crow_end=at[TEMPLE],
    )


def _even(mask: Map) -> Map:
    return 0.5 * (mask + mask[:, ::-1])


def _beard_zones(model: FaceModel, size: int, masks: dict[str, Map]) -> dict[str, Map]:
    """Soft zones from the places of nose, mouth and chin on the mean head (metres)."""
    position = interpolate_texels(texel_map(model.topology, size), model.mean_shape[None])[0].double().cpu()
    x, y = np.abs(position[0].numpy()), position[1].numpy()
    zeros = torch.zeros(model.num_identity), torch.zeros(model.num_expression)
    marks = model.landmarks(*zeros).cpu().numpy().astype(np.float64)
    nose_y, mouth_y, chin_y, mouth_x = marks[2, 1], marks[13, 1], marks[152, 1], abs(marks[61, 0])

    def rise(value: Map, width: float) -> Map:
        return (value / width + 0.5).clip(0, 1)

    above_neck = rise(y - chin_y + 0.02, 0.02)
    below_nose, above_mouth = rise(nose_y - 0.003 - y, 0.006), rise(y - mouth_y + 0.004, 0.008)
    moustache = below_nose * above_mouth * rise(mouth_x + 0.006 - x, 0.01)
    chin = rise(mouth_y - 0.004 - y, 0.01) * rise(mouth_x - 0.002 - x, 0.012) * above_neck
    slope = mouth_y + (x - mouth_x) * 0.9
    jaw = rise(slope - 0.006 - y, 0.016) * rise(x - 0.5 * mouth_x, 0.015) * above_neck
    outside_lips = masks["face"] * (1 - gaussian_filter(masks["lips"], 1.0))
    zones = {"moustache": moustache, "chin": chin, "jaw": jaw}
    return {name: _even(gaussian_filter(zone * outside_lips, size / 170)) for name, zone in zones.items()}
