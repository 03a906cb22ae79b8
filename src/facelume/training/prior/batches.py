"""Batches of the prior's training: augmented photos, synthetic faces, and their losses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from facelume.data.augment import (
    AugmentConfig,
    CropBatch,
    augment_appearance,
    augment_exposure,
    crop_batch,
    random_placement,
)
from facelume.data.crops import CropCache
from facelume.data.synthetic.faces import read_shard
from facelume.errors import UsageError
from facelume.face_model import FaceModel
from facelume.fitting import landmark_basis
from facelume.illumination import mirror_sh, roll_rotation, rotate_sh
from facelume.networks.prior import PriorOutput
from facelume.training.prior.config import PriorTrainingConfig
from facelume.training.prior.labels import PriorLabels, albedo_probe
from facelume.training.prior.losses import CoefficientTargets, coefficient_losses, landmark_losses

_WORST_RESIDUAL_PX = 5.0


def placed_light(
    light: Float[Tensor, "b 9 3"],
    contract_from_crop: Float[Tensor, "b 2 3"],
    is_mirrored: Float[Tensor, " b"],
) -> Float[Tensor, "b 9 3"]:
    """Light of a crop that was cut turned or mirrored, light axes."""
    light = torch.where(is_mirrored[:, None, None] > 0.5, mirror_sh(light), light)
    flip = torch.where(is_mirrored > 0.5, -1.0, 1.0)
    # Columns of the map are the crop's axes in the contract crop; undo the mirror before reading the angle.
    angle = torch.atan2(contract_from_crop[:, 1, 0], contract_from_crop[:, 0, 0] * flip)
    # Crop axes turned clockwise (y is down) show the scene turned counter-clockwise: +angle with y up.
    return rotate_sh(light, roll_rotation(angle))


class SyntheticCrops:
    """Synthetic faces of a folder of shards, in memory at the resolution of the training."""

    def __init__(self, folder: Path, side_px: int) -> None:
        paths = sorted(folder.glob("*.npz"))
        if not paths:
            raise UsageError(
                f"no synthetic faces in {folder}: run tools/draw_synthetic_faces.py or empty synthetic_folder"
            )
        shards = [read_shard(path) for path in paths]
        self.images = torch.cat([_shrunk(shard["image_srgb"], side_px) for shard in shards])
        self.parsing = torch.cat([_shrunk(shard["parsing"][..., None], side_px // 4) for shard in shards])
        self.labels = {
            name: torch.from_numpy(np.concatenate([shard[name] for shard in shards])).float()
            for name in ("identity", "expression", "albedo", "light_sh", "landmarks_px")
        }

    def __len__(self) -> int:
        return len(self.images)


def _shrunk(pictures: np.ndarray, side_px: int) -> Tensor:
    """Shrink uint8 pictures, antialiased, to channels-first uint8."""
    values = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    small = F.interpolate(values, size=(side_px, side_px), mode="bilinear", antialias=True)
    return small.round().clamp(0, 255).to(torch.uint8)


class PriorBatches:
    """Draws batches and computes the losses of one step."""

    def __init__(
        self,
        config: PriorTrainingConfig,
        cache: CropCache,
        permutation: Int[Tensor, " 478"],
        labels: PriorLabels | None,
        model: FaceModel | None,
    ) -> None:
        self.config = config
        self.permutation = permutation
        self.model = model
        self.margin_px = cache.margin_px
        self.pictures = torch.from_numpy(np.array(cache.pictures))
        self.masks = torch.from_numpy(np.array(cache.masks))
        self.has_mask = torch.from_numpy(cache.has_mask).float()
        self.landmarks_px = torch.from_numpy(cache.landmarks_px[..., :2].copy())
        weights = [config.set_weights.get(str(name), 1.0) for name in cache.sets]
        self.weights = torch.tensor(weights) * torch.from_numpy(~cache.is_validation).float()
        self.labels = None if labels is None else {k: torch.from_numpy(v) for k, v in vars(labels).items()}
        if model is not None:
            self.basis, self.probe = landmark_basis(model), albedo_probe(model)
        side_px = config.network.input_px
        is_mixed = model is not None and bool(config.synthetic_folder) and config.synthetic_per_step > 0
        self.synthetic = SyntheticCrops(Path(config.synthetic_folder), side_px) if is_mixed else None

    def losses(self, network: nn.Module, generator: torch.Generator) -> dict[str, Float[Tensor, ""]]:
        """Draw a batch of training photos (and synthetic faces) and return the weighted losses."""
        config = self.config
        index = self._draw(config.batch_size, generator)
        batch = self._photos(index, config.augment, generator)
        if self.labels is None:
            batch = augment_appearance(batch, config.augment, generator)
            targets = None
        else:
            batch, targets = self._labelled(index, batch, generator)
        has_mask = self.has_mask[index]
        if self.synthetic is not None and targets is not None:
            batch, targets, has_mask = self._with_synthetic(batch, targets, has_mask, generator)
        images = batch.image_srgb.contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, torch.bfloat16):
            output: PriorOutput = network(images)
        parts = landmark_losses(output, batch.landmarks_px, batch.parsing, has_mask, config.loss_weights)
        if targets is not None:
            parts |= coefficient_losses(
                output, targets, batch.landmarks_px, self.basis, self.probe, config.loss_weights
            )
        return parts

    def _draw(self, number: int, generator: torch.Generator) -> Int[Tensor, " b"]:
        """Draw training photos; the second half from those with albedo and light, where there are labels."""
        if self.labels is None:
            return torch.multinomial(self.weights, number, generator=generator)
        half = number // 2
        first = torch.multinomial(self.weights, half, generator=generator)
        labelled = self.weights * self.labels["has_appearance"].float()
        return torch.cat([first, torch.multinomial(labelled, number - half, generator=generator)])

    def _photos(self, index: Tensor, augment: AugmentConfig, generator: torch.Generator) -> CropBatch:
        return crop_batch(
            self.pictures[index],
            self.masks[index],
            self.landmarks_px[index],
            random_placement(len(index), augment, generator),
            margin_px=self.margin_px,
            side_px=self.config.network.input_px,
            mirror_permutation=self.permutation,
        )

    def _labelled(
        self, index: Tensor, batch: CropBatch, generator: torch.Generator
    ) -> tuple[CropBatch, CoefficientTargets]:
        """Change the light of the first half freely, and of the second half so that its labels follow."""
        assert self.labels is not None
        assert self.model is not None
        half = len(index) // 2
        free = augment_appearance(_rows(batch, slice(0, half)), self.config.augment, generator)
        followed, gain = augment_exposure(_rows(batch, slice(half, None)), self.config.augment, generator)
        is_mirrored = batch.is_mirrored[:, None] > 0.5
        identity, expression = self.labels["identity"][index], self.labels["expression"][index]
        albedo = self.probe.albedo(self.labels["albedo"][index])
        albedo = torch.where(is_mirrored[..., None], albedo[:, self.probe.mirror], albedo)
        light = placed_light(self.labels["light"][index], batch.contract_from_crop, batch.is_mirrored)
        light = light * torch.cat([torch.ones(half, 3), gain])[:, None]
        trusted = (self.labels["residual_px"][index] < _WORST_RESIDUAL_PX).float()
        follows = torch.cat([torch.zeros(half), torch.ones(len(index) - half)])
        targets = CoefficientTargets(
            identity=torch.where(is_mirrored, self.model.mirror_identity(identity), identity),
            expression=torch.where(is_mirrored, self.model.mirror_expression(expression), expression),
            albedo_probe=albedo,
            light=light,
            shape_weight=trusted,
            appearance_weight=trusted * follows,
        )
        return _joined(free, followed), targets

    def _with_synthetic(
        self, batch: CropBatch, targets: CoefficientTargets, has_mask: Tensor, generator: torch.Generator
    ) -> tuple[CropBatch, CoefficientTargets, Tensor]:
        assert self.synthetic is not None
        number = self.config.synthetic_per_step
        index = torch.randint(len(self.synthetic), (number,), generator=generator)
        labels = {name: value[index] for name, value in self.synthetic.labels.items()}
        drawn = CropBatch(
            self.synthetic.images[index].float() / 255,
            self.synthetic.parsing[index].float() / 255,
            labels["landmarks_px"],
            torch.eye(2, 3).expand(number, 2, 3),
            torch.zeros(number),
        )
        drawn, gain = augment_exposure(drawn, self.config.augment, generator)
        ones = torch.ones(number)
        added = CoefficientTargets(
            labels["identity"],
            labels["expression"],
            self.probe.albedo(labels["albedo"]),
            labels["light_sh"] * gain[:, None],
            ones,
            ones,
        )
        both = {name: torch.cat([value, getattr(added, name)]) for name, value in vars(targets).items()}
        return _joined(batch, drawn), CoefficientTargets(**both), torch.cat([has_mask, ones])


def _rows(batch: CropBatch, rows: slice) -> CropBatch:
    return CropBatch(**{name: value[rows] for name, value in vars(batch).items()})


def _joined(first: CropBatch, second: CropBatch) -> CropBatch:
    return CropBatch(
        **{name: torch.cat([value, getattr(second, name)]) for name, value in vars(first).items()}
    )
