"""What the tone network sees of unwrapped faces: cues, beside what is known of their tone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Float, Float16
from torch import Tensor

from facelume.data.fingerprint import load_stamped, save_stamped
from facelume.fitting.tone_cues import (
    BANDS,
    CUE_MAP_SIZE,
    CUES_VERSION,
    ToneCues,
    ToneRegions,
    read_tone_cues,
)
from facelume.reflectance import human_skin, linear_from_srgb
from facelume.training.tone.faces import UnwrappedFaces
from facelume.training.tone.judged import tone_of_class
from facelume.training.tone.shards import FaceShard
from facelume.types import on_device

CUES_FOLDER = "cues"
_BATCH = 8
_TENSORS = ("values", "picture", "skin", "true_tone")
_DARKEST_SKIN = 0.01


@dataclass(frozen=True, eq=False)
class ToneRows:
    """Faces as the tone network sees them.

    Attributes:
        values: See :class:`facelume.fitting.tone_cues.ToneCues`.
        picture: Likewise, in 16 bits.
        skin: Likewise.
        true_tone: Log of the linear albedo of the middle of the skin; NaN where it is not known.
        source: ``person:photo``, or the scene.
    """

    values: Float[Tensor, "n F"]
    picture: Float16[Tensor, "n 5 m m"]
    skin: Float[Tensor, "n 3"]
    true_tone: Float[Tensor, "n 3"]
    source: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def person(self) -> tuple[str, ...]:
        """Whose face it is."""
        return tuple(source.split(":")[0] for source in self.source)

    @property
    def cues(self) -> ToneCues:
        """The same as they are read off a photo."""
        return ToneCues(self.skin, self.values, self.picture.float())

    def at(self, index: Sequence[int] | Tensor) -> ToneRows:
        """Some of the rows."""
        rows = torch.as_tensor(index, dtype=torch.long)
        return ToneRows(
            self.values[rows],
            self.picture[rows],
            self.skin[rows],
            self.true_tone[rows],
            tuple(self.source[i] for i in rows.tolist()),
        )

    def to(self, device: torch.device | str) -> ToneRows:
        """The same rows with every tensor on ``device``."""
        return on_device(self, device)


def joined(parts: Sequence[ToneRows]) -> ToneRows:
    """Rows one after the other."""
    tensors = {
        f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(ToneRows) if f.name != "source"
    }
    return ToneRows(**tensors, source=tuple(source for part in parts for source in part.source))


def known_skin(rows: ToneRows) -> ToneRows:
    """The rows that show enough skin to be read."""
    return rows.at(torch.nonzero(rows.skin.amax(dim=1) > 0)[:, 0])


def rows_of_shard(shard: FaceShard, regions: ToneRegions) -> ToneRows:
    """Read the cues of a shard's faces, or what was read off them before.

    Raises:
        UsageError: Faces or cues were made from something else.
    """
    path = shard.path.parent / CUES_FOLDER / shard.path.name
    known = dict(shard.fingerprint) | {
        "cues": {"version": CUES_VERSION, "bands": BANDS, "map_size": CUE_MAP_SIZE},
        "regions": _digest(regions),
    }
    if not path.is_file():
        rows = read_rows(shard.faces(), regions)
        save_stamped(path, _arrays(rows), known)
    arrays = load_stamped(path, (*_TENSORS, "source"), known, "cues")
    tensors = {name: torch.from_numpy(arrays[name]) for name in _TENSORS}
    return ToneRows(**tensors, source=tuple(str(source) for source in arrays["source"]))


def read_rows(faces: UnwrappedFaces, regions: ToneRegions) -> ToneRows:
    """Read the cues of unwrapped faces."""
    values: list[Tensor] = []
    pictures: list[Tensor] = []
    skin = [torch.zeros(0, 3)]
    for first in range(0, len(faces), _BATCH):
        part = slice(first, first + _BATCH)
        texture = linear_from_srgb(torch.from_numpy(faces.texture[part]).float() / 255.0)
        cues = read_tone_cues(texture, torch.from_numpy(faces.visibility[part]).float() / 255.0, regions)
        values.append(cues.values)
        pictures.append(cues.picture.half())
        skin.append(cues.skin)
    return ToneRows(
        torch.cat(values),
        torch.cat(pictures),
        torch.cat(skin),
        torch.from_numpy(faces.true_tone),
        tuple(faces.source.tolist()),
    )


def with_studio_truth(rows: ToneRows, gain: tuple[float, float, float], surface: float) -> ToneRows:
    """Rows of a studio's photos with the tones that the studio's exposure gives them.

    Args:
        rows: Faces that all share one light and one exposure.
        gain: Factor from the colours that the photos show to the light that the skin reflects, white being 1.
        surface: The part of that which the surface reflects.
    """
    albedo = rows.skin * rows.skin.new_tensor(gain) - surface
    return replace(rows, true_tone=torch.log(albedo.clamp(min=_DARKEST_SKIN)))


def with_judged_truth(rows: ToneRows, classes: Mapping[str, float]) -> ToneRows:
    """Rows of judged photos with the tone of their class; its hue is the mean hue of that luminance."""
    judged = torch.from_numpy(tone_of_class([classes[person] for person in rows.person])).float()
    return replace(rows, true_tone=human_skin().log_colour(judged, torch.zeros(len(rows), 2)))


def _arrays(rows: ToneRows) -> dict[str, np.ndarray]:
    tensors = {name: getattr(rows, name).numpy() for name in _TENSORS}
    return {**tensors, "source": np.array(rows.source, np.str_)}


def _digest(regions: ToneRegions) -> str:
    digest = hashlib.sha256()
    for field in fields(regions):
        value = getattr(regions, field.name)
        for part in value if isinstance(value, tuple) else (value,):
            digest.update(part.numpy().tobytes())
    return digest.hexdigest()
