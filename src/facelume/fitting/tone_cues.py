"""What in an unwrapped photo tells the tone of a skin apart from the light on it.

A photo's brightness and tint say nothing of the skin by themselves: a light skin in dim light and a dark one
in bright light look alike. Eyes and lips lie beside the skin, in the same light: the whites of the eyes are
nearly the same for everyone, and the contrast of lips falls with melanin. So colours are read relative to the
skin's own, which takes exposure and tint of the photo out exactly. Two numbers alone say what tint the photo
has, and a small picture of the whole atlas shows highlights and shading.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from facelume.reflectance import hue

CUE_MAP_SIZE = 256
"""Texels along an edge of the map that colours are read from."""

_SEEN = 0.3
_DARK_FLOOR = 0.08
"""Added to a colour relative to the skin's before the logarithm: pupils and nostrils are about black."""

CLIPPED = 0.97
"""Linear value from which a colour of the photo only says "at least this"."""

_SEEN_IN_PICTURE = 0.05
_FEWEST_TEXELS_PER_BAND = 4

BANDS = {"eye": 6, "lips": 6, "brow": 4, "beside_eye": 4, "beside_lips": 3, "skin": 8}
"""Regions in the order of the cues, with the number of bands of equal size, dark to bright, of each; eyes,
brows and what lies beside the eyes come twice, the brighter side first."""

_PAIRS = ("eye", "brow", "beside_eye")
CUE_REGIONS = tuple(name for name in BANDS for _ in range(2 if name in _PAIRS else 1))
"""Name of each region of the cues, in their order."""

_NUM_BANDS = sum(BANDS[name] for name in CUE_REGIONS)
NUM_CUES = 3 * _NUM_BANDS + 2 * len(CUE_REGIONS) + 2
"""Numbers that are read off one face."""

CUE_PICTURE_SIZE = 64
"""Texels along an edge of the small picture of the atlas."""

CUES_VERSION = 3
"""Counted up when the same face would give other cues."""


@dataclass(frozen=True, eq=False)
class ToneRegions:
    """Flat texel indices of each region in a map of ``CUE_MAP_SIZE``.

    Attributes:
        eye: The two eyeballs, subject's right then left side of the atlas.
        lips: Lips.
        brow: The two brows.
        beside_eye: Skin round the two eyes.
        beside_lips: Skin round the lips.
        skin: Cheeks, nose and forehead: no beard, brows, lips, eyes or neck.
    """

    eye: tuple[Int[Tensor, " _"], Int[Tensor, " _"]]
    lips: Int[Tensor, " _"]
    brow: tuple[Int[Tensor, " _"], Int[Tensor, " _"]]
    beside_eye: tuple[Int[Tensor, " _"], Int[Tensor, " _"]]
    beside_lips: Int[Tensor, " _"]
    skin: Int[Tensor, " _"]

    def to(self, device: torch.device | str) -> ToneRegions:
        """Return the same regions with every tensor on ``device``."""
        moved = {
            f.name: tuple(part.to(device) for part in value)
            if isinstance(value := getattr(self, f.name), tuple)
            else value.to(device)
            for f in fields(self)
        }
        return replace(self, **moved)  # type: ignore[arg-type]


def tone_regions(
    face: Float[Tensor, "s s"],
    eyes: Float[Tensor, "s s"],
    brows: Float[Tensor, "s s"],
    lips: Float[Tensor, "s s"],
    eyeballs: Bool[Tensor, "s s"],
) -> ToneRegions:
    """Lay out the regions of a face model's atlas.

    Args:
        face: Mask of the face front, [0, 1], of ``CUE_MAP_SIZE`` like all others.
        eyes: Mask of the eyes with their lids.
        brows: Mask of the brows.
        lips: Mask of the lips.
        eyeballs: Texels on the eyeballs.
    """
    bare = _bare(face, eyes, brows, lips)
    return ToneRegions(
        eye=_sides(eyeballs),
        lips=_indices(lips > 0.5),
        brow=_sides(brows > 0.5),
        beside_eye=_sides(_grown(eyes > 0.5, 12) & ~_grown(eyes > 0.5, 2) & bare),
        beside_lips=_indices(_grown(lips > 0.5, 10) & ~_grown(lips > 0.5, 3) & bare),
        skin=_indices(bare_skin_above_lips(face, eyes, brows, lips)),
    )


def bare_skin_above_lips(
    face: Float[Tensor, "s s"],
    eyes: Float[Tensor, "s s"],
    brows: Float[Tensor, "s s"],
    lips: Float[Tensor, "s s"],
) -> Bool[Tensor, "s s"]:
    """Texels of cheeks, nose and forehead, whose middle colour is what is called the tone of a skin.

    Args:
        face: Mask of the face front, [0, 1].
        eyes: Mask of the eyes with their lids.
        brows: Mask of the brows.
        lips: Mask of the lips.
    """
    first = (lips > 0.5).any(dim=1).int().argmax() - face.shape[0] // 32
    return _bare(face, eyes, brows, lips) & (torch.arange(len(face), device=face.device)[:, None] < first)


def _bare(*masks: Float[Tensor, "s s"]) -> Bool[Tensor, "s s"]:
    face, *others = masks
    return (face > 0.9) & (torch.stack(others) < 0.1).all(dim=0)


def spread_of_hues(
    texture: Float[Tensor, "b 3 s s"], visibility: Float[Tensor, "b s s"]
) -> Float[Tensor, " b"]:
    """How much the hue of a photo changes over the face: 0 in black and white, toned or not, else 0.1 to 0.4.

    Mean distance of the largest and the least colour, each relative to the face's mean.

    Args:
        texture: The unwrapped photo, linear.
        visibility: How well each texel is seen, [0, 1].
    """
    weight = visibility[:, None]
    mean = (texture * weight).sum(dim=(2, 3), keepdim=True)
    mean = mean / weight.sum(dim=(2, 3), keepdim=True).clamp(min=1e-6)
    relative = texture / mean.clamp(min=1e-4)
    spread = relative.amax(dim=1) - relative.amin(dim=1)
    return (spread * visibility).sum(dim=(1, 2)) / visibility.sum(dim=(1, 2)).clamp(min=1e-6)


def region_of_band() -> Int[Tensor, " K"]:
    """Region of each band of the cues, as a number into ``CUE_REGIONS``."""
    counts = torch.tensor([BANDS[name] for name in CUE_REGIONS])
    return torch.repeat_interleave(torch.arange(len(counts)), counts)


def region_of_cue() -> Int[Tensor, " F"]:
    """Region of each cue, as a number into ``CUE_REGIONS``."""
    states = torch.arange(len(CUE_REGIONS)).repeat_interleave(2)
    tint = torch.full((2,), CUE_REGIONS.index("skin"))
    return torch.cat([region_of_band().repeat_interleave(3), states, tint])


def split_cues(
    values: Float[Tensor, "b F"],
) -> tuple[Float[Tensor, "b K 3"], Float[Tensor, "b R 2"], Float[Tensor, "b 2"]]:
    """Colours of the bands relative to the skin's (linear), clipped share and whether it is known, tint.

    The colours of regions that are not known have no meaning.

    Args:
        values: See :class:`ToneCues`.
    """
    sizes = [3 * _NUM_BANDS, 2 * len(CUE_REGIONS), 2]
    logs, states, tint = values.split(sizes, dim=1)
    colours = torch.exp(logs.unflatten(1, (_NUM_BANDS, 3))) - _DARK_FLOOR
    return colours, states.unflatten(1, (len(CUE_REGIONS), 2)), tint


def join_cues(
    colours: Float[Tensor, "b K 3"], states: Float[Tensor, "b R 2"], tint: Float[Tensor, "b 2"]
) -> Float[Tensor, "b F"]:
    """The inverse of :func:`split_cues`; what is not known is 0."""
    known = states[..., 1] > 0
    logs = torch.log(colours.clamp(min=0.0) + _DARK_FLOOR)
    logs = torch.where(known[:, region_of_band().to(known.device), None], logs, 0.0)
    states = torch.where(known[..., None], states, 0.0)
    return torch.cat([logs.flatten(1), states.flatten(1), tint], dim=1)


def split_picture(
    picture: Float[Tensor, "b 5 m m"],
) -> tuple[Float[Tensor, "b 3 m m"], Float[Tensor, "b 2 m m"]]:
    """Colours relative to the skin's (linear), and share that is seen and that is clipped.

    Args:
        picture: See :class:`ToneCues`.
    """
    return torch.exp(picture[:, :3]) - _DARK_FLOOR, picture[:, 3:]


def join_picture(
    colours: Float[Tensor, "b 3 m m"], states: Float[Tensor, "b 2 m m"]
) -> Float[Tensor, "b 5 m m"]:
    """The inverse of :func:`split_picture`; what is not seen is 0."""
    logs = torch.log(colours.clamp(min=0.0) + _DARK_FLOOR)
    is_seen = states[:, :1] > _SEEN_IN_PICTURE
    return torch.cat([logs, states], dim=1) * is_seen


@dataclass(frozen=True, eq=False)
class ToneCues:
    """What was read off unwrapped photos.

    Attributes:
        skin: Middle colour of the seen skin, linear; 0 where too little is seen.
        values: Log colours of the bands relative to ``skin``, then the clipped share and whether it is known
            of each region, then the tint: log R/G and log G/B of ``skin``; 0 where unknown.
        picture: The atlas at ``CUE_PICTURE_SIZE``: log colours relative to ``skin``, share that is seen,
            share that is clipped; 0 where unseen.
    """

    skin: Float[Tensor, "b 3"]
    values: Float[Tensor, "b F"]
    picture: Float[Tensor, "b 5 m m"]


def read_tone_cues(
    texture: Float[Tensor, "b 3 s s"], visibility: Float[Tensor, "b s s"], regions: ToneRegions
) -> ToneCues:
    """Read the cues of unwrapped photos.

    Args:
        texture: The unwrapped photo, linear, at a multiple of ``CUE_MAP_SIZE``.
        visibility: How well each texel is seen, [0, 1].
        regions: See :func:`tone_regions`.
    """
    colours, weight = _reduced(texture, visibility)
    skin, skin_clipped, skin_known = _bands(colours, weight, regions.skin, BANDS["skin"])
    middle = BANDS["skin"] // 2
    reference = skin[:, middle - 1 : middle + 1].mean(dim=1)
    safe = torch.where(skin_known[:, None], reference.clamp(min=1e-4), 1.0)
    logs: list[Tensor] = []
    states: list[Tensor] = []

    def add(bands: Float[Tensor, "b k 3"], clipped: Float[Tensor, " b"], known: Bool[Tensor, " b"]) -> None:
        known = known & skin_known
        relative = torch.log(bands / safe[:, None] + _DARK_FLOOR)
        logs.append(torch.where(known[:, None, None], relative, 0.0).flatten(1))
        states.append(torch.stack([torch.where(known, clipped, 0.0), known.to(clipped)], dim=1))

    for name, count in BANDS.items():
        if name == "skin":
            add(skin, skin_clipped, skin_known)
        elif name in _PAIRS:
            first, second = (_bands(colours, weight, side, count) for side in getattr(regions, name))
            is_first = _brightness(first) >= _brightness(second)
            for chosen in (is_first, ~is_first):
                add(*(_choose(chosen, a, b) for a, b in zip(first, second, strict=True)))
        else:
            add(*_bands(colours, weight, getattr(regions, name), count))
    tint = torch.where(skin_known[:, None], hue(safe), 0.0)
    return ToneCues(
        skin=torch.where(skin_known[:, None], reference, 0.0),
        values=torch.cat([*logs, *states, tint], dim=1),
        picture=_picture(texture, visibility, safe) * skin_known[:, None, None, None],
    )


def _picture(
    texture: Float[Tensor, "b 3 s s"], visibility: Float[Tensor, "b s s"], skin: Float[Tensor, "b 3"]
) -> Float[Tensor, "b 5 m m"]:
    size, weight = (CUE_PICTURE_SIZE, CUE_PICTURE_SIZE), visibility[:, None]
    is_clipped = (texture.amax(dim=1, keepdim=True) > CLIPPED).to(texture)
    shown = functional.interpolate(torch.cat([texture, is_clipped], dim=1) * weight, size=size, mode="area")
    seen = functional.interpolate(weight, size=size, mode="area")
    shown = shown / seen.clamp(min=1e-6)
    return join_picture(shown[:, :3] / skin[..., None, None], torch.cat([seen, shown[:, 3:]], dim=1))


def _brightness(side: tuple[Tensor, Tensor, Tensor]) -> Float[Tensor, " b"]:
    """Green of the brightest band of a region; a region that is not known is darker than any."""
    bands, _, known = side
    return torch.where(known, bands[:, -1, 1], -1.0)


def _choose(chosen: Bool[Tensor, " b"], first: Tensor, second: Tensor) -> Tensor:
    return torch.where(chosen.reshape(-1, *[1] * (first.ndim - 1)), first, second)


def _bands(
    colours: Float[Tensor, "b n 3"], weight: Float[Tensor, "b n"], texels: Int[Tensor, " m"], count: int
) -> tuple[Float[Tensor, "b k 3"], Float[Tensor, " b"], Bool[Tensor, " b"]]:
    """Mean colour of the seen texels in bands of equal number, dark to bright; clipped share; if known.

    Green decides what is darker: an order by luminance would change with the tint of the light.
    """
    chosen = colours[:, texels]
    seen = weight[:, texels] > _SEEN
    order = torch.where(seen, chosen[..., 1], torch.inf).argsort(dim=1, stable=True)
    ranked = chosen.gather(1, order[..., None].expand(-1, -1, 3))
    number = seen.sum(dim=1)
    rank = torch.arange(len(texels), device=colours.device)
    band = rank * count // number.clamp(min=1)[:, None]
    member = functional.one_hot(band.clamp(max=count), count + 1)[..., :count].to(colours)
    total = member.transpose(1, 2) @ ranked
    bands = total / member.sum(dim=1)[..., None].clamp(min=1)
    clipped = ((chosen.amax(dim=-1) > CLIPPED) & seen).sum(dim=1) / number.clamp(min=1)
    return bands, clipped, number >= _FEWEST_TEXELS_PER_BAND * count


def _reduced(
    texture: Float[Tensor, "b 3 s s"], visibility: Float[Tensor, "b s s"]
) -> tuple[Float[Tensor, "b n 3"], Float[Tensor, "b n"]]:
    """Colours and visibility at ``CUE_MAP_SIZE``, texels in rows."""
    size = (CUE_MAP_SIZE, CUE_MAP_SIZE)
    weight = visibility[:, None]
    if texture.shape[-1] != CUE_MAP_SIZE:
        seen = functional.interpolate(weight, size=size, mode="area")
        texture = functional.interpolate(texture * weight, size=size, mode="area") / seen.clamp(min=1e-6)
        weight = seen
    return texture.flatten(2).transpose(1, 2), weight.flatten(1)


def _grown(mask: Bool[Tensor, "s s"], texels: int) -> Bool[Tensor, "s s"]:
    side = 2 * texels + 1
    return functional.max_pool2d(mask[None, None].float(), side, 1, texels)[0, 0] > 0.5


def _indices(mask: Bool[Tensor, "s s"]) -> Int[Tensor, " _"]:
    return mask.flatten().nonzero()[:, 0]


def _sides(mask: Bool[Tensor, "s s"]) -> tuple[Int[Tensor, " _"], Int[Tensor, " _"]]:
    """The two halves of a mask: the subject's right side lies left in the atlas."""
    is_right = torch.arange(mask.shape[1], device=mask.device)[None] < mask.shape[1] // 2
    return _indices(mask & is_right), _indices(mask & ~is_right)
