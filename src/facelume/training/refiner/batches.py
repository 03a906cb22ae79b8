"""Batches of prepared faces: drawn at random, in pairs of one person, decoded and augmented."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from facelume.illumination import mirror_sh
from facelume.refinement.refine import RefinerInput
from facelume.reflectance import linear_from_srgb
from facelume.training.refiner.config import FaceAugmentConfig
from facelume.training.refiner.prepared import MAP_KINDS, PreparedFaces, decoded_map


@dataclass(frozen=True)
class RefinerBatch:
    """What one training step sees.

    Attributes:
        maps: Input of the refinement.
        truth: True albedo, linear, its skin in the tone of the maps; 0 where it is not known.
        truth_shading: True irradiance / pi of each seen texel over that albedo, exposed as the photo,
            shadows included, linear; zeros where there is no truth.
        truth_highlight: True reflection at the surface of the skin, likewise.
        has_truth: 1 for synthetic faces and those of a laboratory.
        person: Faces of one person have one number.
        image_srgb: Crops.
        face_mask: M_face of the crops, 0 or 1.
        identity: Coefficients of the mesh.
        expression: Likewise.
        pose: Likewise.
    """

    maps: RefinerInput
    truth: Float[Tensor, "b 3 s s"]
    truth_shading: Float[Tensor, "b 3 s s"]
    truth_highlight: Float[Tensor, "b 3 s s"]
    has_truth: Float[Tensor, " b"]
    person: Int[Tensor, " b"]
    image_srgb: Float[Tensor, "b 3 224 224"]
    face_mask: Float[Tensor, "b 1 224 224"]
    identity: Float[Tensor, "b I"]
    expression: Float[Tensor, "b E"]
    pose: Float[Tensor, "b 6"]


def to_batch(
    items: Sequence[tuple[PreparedFaces, int]],
    augment: FaceAugmentConfig | None = None,
    rng: np.random.Generator | None = None,
    *,
    device: torch.device | str = "cpu",
) -> RefinerBatch:
    """Decode faces to float maps, with a random change of tone and a random mirror if ``augment`` is given.

    Args:
        items: Shard and row of each face.
        augment: Strength of the changes. Only the maps are augmented; a mirrored face cannot be
            compared with its crop, so pass ``None`` where the image is needed. Faces of one person are
            mirrored together.
        rng: Source of the changes.
        device: Where the batch is decoded.
    """
    faces = [shard[row] for shard, row in items]

    def stacked(values: Iterable[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(list(values))).to(device)

    person = torch.tensor([face.person for face in faces], device=device)
    change = _Change.none(len(faces), device)
    if augment is not None and rng is not None:
        change = _Change.drawn(augment, rng, [face.person for face in faces], device)
    names = [field.name for field in fields(RefinerInput)]
    maps = {name: decoded_map(name, stacked(face.maps[name] for face in faces)) for name in names}
    # Another tone under another light is the same photo.
    albedo_gain = change.tone[:, :, None, None]
    truth = linear_from_srgb(stacked(face.truth for face in faces).float() / 255.0)
    return RefinerBatch(
        maps=RefinerInput(**{name: change.of_map(name, values) for name, values in maps.items()}),
        truth=change.mirrored((truth * albedo_gain).clamp(0.0, 1.0)),
        truth_shading=change.mirrored(stacked(face.truth_shading for face in faces).float() / albedo_gain),
        truth_highlight=change.mirrored(stacked(face.truth_highlight for face in faces).float()),
        has_truth=torch.tensor([float(face.has_truth) for face in faces], device=device),
        person=person,
        image_srgb=stacked(face.image_srgb for face in faces).movedim(-1, 1).float() / 255.0,
        face_mask=stacked(face.face_mask for face in faces).float()[:, None],
        identity=stacked(face.identity for face in faces).float(),
        expression=stacked(face.expression for face in faces).float(),
        pose=stacked(face.pose for face in faces).float(),
    )


@dataclass(frozen=True)
class _Change:
    """How each face of a batch is augmented.

    Attributes:
        tone: Factor on each linear colour of the albedo; the light takes the opposite.
        is_mirrored: Whether left and right change places.
    """

    tone: Float[Tensor, "b 3"]
    is_mirrored: Tensor

    @staticmethod
    def none(count: int, device: torch.device | str) -> _Change:
        """Leave everything as it is."""
        return _Change(
            torch.ones(count, 3, device=device), torch.zeros(count, dtype=torch.bool, device=device)
        )

    @staticmethod
    def drawn(
        config: FaceAugmentConfig, rng: np.random.Generator, people: Sequence[int], device: torch.device | str
    ) -> _Change:
        """A tone for each face and a mirror for each person."""
        count = len(people)
        overall = rng.normal(0, config.tone_sigma, size=(count, 1))
        hue = rng.normal(0, config.tone_hue_sigma, size=(count, 3))
        tone = torch.from_numpy(np.exp(overall + hue).astype(np.float32)).to(device)
        mirror = dict(zip(people, (rng.random(count) < config.mirror_fraction).tolist(), strict=True))
        return _Change(tone, torch.tensor([mirror[person] for person in people], device=device))

    def of_map(self, name: str, values: Tensor) -> Tensor:
        """One map of the refinement's input."""
        kind = MAP_KINDS[name]
        if kind == "exposure":
            return values / self.tone
        if kind == "sh":
            values = values / self.tone[:, None]
            return torch.where(self.is_mirrored[:, None, None], mirror_sh(values), values)
        if kind == "sh_map":
            per_texel = (values.movedim(1, -1).unflatten(-1, (9, 3))) / self.tone[:, None, None, None]
            mirrored = mirror_sh(per_texel.flip(2))
            chosen = torch.where(self.is_mirrored[:, None, None, None, None], mirrored, per_texel)
            return chosen.flatten(-2).movedim(-1, 1)
        if kind == "albedo":
            values = (values * self.tone[:, :, None, None]).clamp(0.0, 1.0)
        values = self.mirrored(values)
        if kind == "direction":
            flip_x = values.new_tensor([-1.0, 1.0, 1.0])[:, None, None]
            values = torch.where(self.is_mirrored[:, None, None, None], values * flip_x, values)
        return values

    def mirrored(self, maps: Tensor) -> Tensor:
        """Flip the maps of mirrored faces."""
        return torch.where(self.is_mirrored.reshape(-1, *[1] * (maps.ndim - 1)), maps.flip(-1), maps)


class FaceDraw:
    """Draws random faces from shards, with replacement.

    Args:
        shards: Where to draw from.
        synthetic_share: Share of faces with truth in each batch; as they come where ``None``.
        pair_share: Share of faces that come with another picture of the same person, where there is one;
            the two are neighbours in the batch.
    """

    def __init__(
        self, shards: Sequence[PreparedFaces], synthetic_share: float | None, pair_share: float = 0.0
    ) -> None:
        self._synthetic = _Pool(shards, pair_share, has_truth=True)
        self._real = _Pool(shards, pair_share, has_truth=False)
        total = len(self)
        self._share = len(self._synthetic) / max(total, 1)
        if synthetic_share is not None and len(self._synthetic) and len(self._real):
            self._share = synthetic_share

    def __len__(self) -> int:
        return len(self._synthetic) + len(self._real)

    def draw(self, number: int, rng: np.random.Generator) -> list[tuple[PreparedFaces, int]]:
        """One batch: shard and row of each face."""
        num_synthetic = int(rng.binomial(number, self._share))
        return self._synthetic.draw(num_synthetic, rng) + self._real.draw(number - num_synthetic, rng)


class _Pool:
    """Faces of one kind, and which of them show the same person."""

    def __init__(self, shards: Sequence[PreparedFaces], pair_share: float, *, has_truth: bool) -> None:
        self._items: list[tuple[PreparedFaces, int]] = []
        by_person: dict[int, list[int]] = {}
        for shard in shards:
            for row in np.flatnonzero(shard.has_truth == has_truth).tolist():
                by_person.setdefault(int(shard.person[row]), []).append(len(self._items))
                self._items.append((shard, row))
        self._people = [places for places in by_person.values() if len(places) > 1]
        self._pair_share = pair_share if self._people else 0.0

    def __len__(self) -> int:
        return len(self._items)

    def draw(self, number: int, rng: np.random.Generator) -> list[tuple[PreparedFaces, int]]:
        places: list[int] = []
        for _ in range(int(rng.binomial(number // 2, self._pair_share))):
            person = self._people[int(rng.integers(len(self._people)))]
            places += [person[k] for k in rng.choice(len(person), size=2, replace=False)]
        if len(places) < number:
            places += rng.integers(len(self._items), size=number - len(places)).tolist()
        return [self._items[place] for place in places]
