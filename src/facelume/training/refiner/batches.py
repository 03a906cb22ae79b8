"""Faces prepared for the refinement: unwrapped once, kept as small integer maps, augmented when drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int8, UInt8
from torch import Tensor

from facelume.data.fingerprint import Fingerprint, load_stamped, save_stamped
from facelume.illumination import mirror_sh
from facelume.refinement.refine import RefinerInput
from facelume.reflectance import linear_from_srgb
from facelume.training.refiner.config import FaceAugmentConfig


@dataclass(frozen=True)
class PreparedFaces:
    """A shard of faces in the atlas; colours are sRGB-encoded.

    Attributes:
        texture: Unwrapped photo.
        visibility: In 1/255.
        normals: Unit normals in the light frame, in 1/127.
        prior: Prior albedo.
        truth: True albedo; zeros where ``has_truth`` is False.
        has_truth: Which faces are synthetic.
        coarse_light: SH radiance in the light frame.
        coarse_map: The same per texel, shadows included, channel ``3 k + rgb``.
        exposure: Colour of the light on the skin.
        tone_error: Log of the tone that the preparation took for the skin's over the true one, per colour; 0
            where no truth is known.
        image: The crop.
        face_mask: M_face of the crop, 0 or 255.
        identity: Coefficients of the mesh that unwrapped the photo.
        expression: Likewise.
        pose: Rotation vector and translation (metres), likewise.
    """

    texture: UInt8[np.ndarray, "n 3 s s"]
    visibility: UInt8[np.ndarray, "n s s"]
    normals: Int8[np.ndarray, "n 3 s s"]
    prior: UInt8[np.ndarray, "n 3 s s"]
    truth: UInt8[np.ndarray, "n 3 s s"]
    has_truth: Bool[np.ndarray, " n"]
    coarse_light: Float[np.ndarray, "n 9 3"]
    coarse_map: Float[np.ndarray, "n 27 l l"]
    exposure: Float[np.ndarray, "n 3"]
    tone_error: Float[np.ndarray, "n 3"]
    image: UInt8[np.ndarray, "n 224 224 3"]
    face_mask: UInt8[np.ndarray, "n 224 224"]
    identity: Float[np.ndarray, "n I"]
    expression: Float[np.ndarray, "n E"]
    pose: Float[np.ndarray, "n 6"]

    def __len__(self) -> int:
        return len(self.has_truth)

    def save(self, path: Path, fingerprint: Fingerprint) -> None:
        """Write an uncompressed ``.npz``, whole or not at all.

        Args:
            path: The file.
            fingerprint: What the faces were made from.
        """
        save_stamped(path, {f.name: getattr(self, f.name) for f in fields(self)}, fingerprint)

    @staticmethod
    def load(path: Path, fingerprint: Fingerprint) -> PreparedFaces:
        """Read what :meth:`save` wrote.

        Args:
            path: The file.
            fingerprint: What the faces would be made from now.

        Raises:
            UsageError: They were made from something else, or the file is damaged.
        """
        names = [f.name for f in fields(PreparedFaces)]
        return PreparedFaces(**load_stamped(path, names, fingerprint, "prepared faces"))


@dataclass(frozen=True)
class RefinerBatch:
    """What one training step sees.

    Attributes:
        maps: Input of the refinement.
        truth: True albedo in the tone that was taken for the skin's, linear; zeros where there is none. The
            tone of a skin is judged before the refinement and is not its task.
        has_truth: 1 for synthetic faces.
        image_srgb: Crops.
        face_mask: M_face of the crops, 0 or 1.
        identity: Coefficients of the mesh.
        expression: Likewise.
        pose: Likewise.
    """

    maps: RefinerInput
    truth: Float[Tensor, "b 3 s s"]
    has_truth: Float[Tensor, " b"]
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
            compared with its crop, so pass ``None`` where the image is needed.
        rng: Source of the changes.
        device: Where the batch is decoded.
    """

    def stacked(name: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(shard, name)[row] for shard, row in items])).to(device)

    texture = linear_from_srgb(stacked("texture").float() / 255.0)
    prior = linear_from_srgb(stacked("prior").float() / 255.0)
    truth = linear_from_srgb(stacked("truth").float() / 255.0)
    visibility = stacked("visibility").float() / 255.0
    normals = stacked("normals").float() / 127.0
    light, light_map = stacked("coarse_light").float(), stacked("coarse_map").float()
    exposure = stacked("exposure").float()
    truth = (truth * torch.exp(stacked("tone_error").float())[..., None, None]).clamp(0.0, 1.0)
    if augment is not None and rng is not None:
        shift = rng.normal(0, augment.tone_sigma, size=(len(items), 1))
        shift = shift + rng.normal(0, augment.tone_hue_sigma, size=(len(items), 3))
        gain = torch.from_numpy(np.exp(shift).astype(np.float32)).to(device)
        # Another tone under another light is the same photo.
        prior, truth = ((albedo * gain[..., None, None]).clamp(0.0, 1.0) for albedo in (prior, truth))
        light, exposure = light / gain[:, None], exposure / gain
        light_map = light_map / gain.repeat(1, 9)[..., None, None]
        mirror = torch.from_numpy(rng.random(len(items)) < augment.mirror_fraction).to(device)
        texture, prior, truth, visibility = (
            _mirrored(x, mirror) for x in (texture, prior, truth, visibility)
        )
        flip_x = normals.new_tensor([-1.0, 1.0, 1.0])[:, None, None]
        normals = torch.where(mirror[:, None, None, None], normals.flip(-1) * flip_x, normals)
        light = torch.where(mirror[:, None, None], mirror_sh(light), light)
        turned = mirror_sh(light_map.flip(-1).movedim(1, -1).unflatten(-1, (9, 3))).flatten(-2).movedim(-1, 1)
        light_map = torch.where(mirror[:, None, None, None], turned, light_map)
    has_truth = torch.tensor([float(shard.has_truth[row]) for shard, row in items], device=device)
    return RefinerBatch(
        maps=RefinerInput(texture, visibility, normals, prior, light, light_map, exposure),
        truth=truth,
        has_truth=has_truth,
        image_srgb=stacked("image").movedim(-1, 1).float() / 255.0,
        face_mask=(stacked("face_mask") > 127).float()[:, None],
        identity=stacked("identity").float(),
        expression=stacked("expression").float(),
        pose=stacked("pose").float(),
    )


def _mirrored(maps: Tensor, mirror: Tensor) -> Tensor:
    return torch.where(mirror.reshape(-1, *[1] * (maps.ndim - 1)), maps.flip(-1), maps)


class FaceDraw:
    """Draws random faces from shards, with replacement.

    Args:
        shards: Where to draw from.
        synthetic_share: Share of faces with truth in each batch; as they come where ``None``.
    """

    def __init__(self, shards: Sequence[PreparedFaces], synthetic_share: float | None) -> None:
        everything = [(shard, row) for shard in shards for row in range(len(shard))]
        self._everything = everything
        self._synthetic = [item for item in everything if item[0].has_truth[item[1]]]
        self._real = [item for item in everything if not item[0].has_truth[item[1]]]
        is_mixed = bool(self._synthetic and self._real)
        self._share = synthetic_share if is_mixed else None

    def __len__(self) -> int:
        return len(self._everything)

    def draw(self, number: int, rng: np.random.Generator) -> list[tuple[PreparedFaces, int]]:
        """One batch: shard and row of each face."""
        if self._share is None:
            return [self._everything[i] for i in rng.integers(len(self._everything), size=number)]
        num_synthetic = int(rng.binomial(number, self._share))
        chosen = [self._synthetic[i] for i in rng.integers(len(self._synthetic), size=num_synthetic)]
        return chosen + [self._real[i] for i in rng.integers(len(self._real), size=number - num_synthetic)]
