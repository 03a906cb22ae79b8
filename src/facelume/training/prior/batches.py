"""Batches of the prior's training: augmented photos, synthetic faces, and their losses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from lightning_fabric import Fabric
from torch import Tensor, nn

from facelume.data.augment import (
    CropBatch,
    augment_appearance,
    augment_exposure,
    crop_batch,
    random_placement,
)
from facelume.data.crops import CropCache
from facelume.data.synthetic import read_shard, shard_paths
from facelume.errors import UsageError
from facelume.face_model import FaceModel
from facelume.fitting import landmark_basis
from facelume.illumination import mirror_sh, roll_rotation, rotate_sh
from facelume.networks.prior import PriorOutput
from facelume.training.objective import Objective, Step
from facelume.training.prior.config import PriorTrainingConfig
from facelume.training.prior.labels import PriorLabels, albedo_probe
from facelume.training.prior.losses import CoefficientTargets, coefficient_losses, landmark_losses
from facelume.training.prior.validation import PriorValidation
from facelume.types import on_device
from facelume.uv import resize_map

_WORST_RESIDUAL_PX = 5.0
_LABELS = ("identity", "expression", "albedo", "light_sh", "landmarks_px")
_READ = ("image_srgb", "parsing", *_LABELS)


def placed_light(
    light: Float[Tensor, "b 9 3"],
    canonical_from_crop: Float[Tensor, "b 2 3"],
    is_mirrored: Float[Tensor, " b"],
) -> Float[Tensor, "b 9 3"]:
    """Light of a crop that was cut turned or mirrored, light axes."""
    light = torch.where(is_mirrored[:, None, None] > 0.5, mirror_sh(light), light)
    flip = torch.where(is_mirrored > 0.5, -1.0, 1.0)
    # Columns of the map are the crop's axes in the canonical crop; undo the mirror before reading the angle.
    angle = torch.atan2(canonical_from_crop[:, 1, 0], canonical_from_crop[:, 0, 0] * flip)
    # Crop axes turned clockwise (y is down) show the scene turned counter-clockwise: +angle with y up.
    return rotate_sh(light, roll_rotation(angle))


class SyntheticCrops:
    """Synthetic faces of a folder of shards, in memory at the resolution of the training.

    Args:
        folder: Shards of :func:`facelume.data.synthetic.generate`.
        side_px: Resolution of the training.
        model: Face model that they must have been drawn from.

    Raises:
        UsageError: There are none, or they show another face model.
    """

    def __init__(self, folder: Path, side_px: int, model: FaceModel) -> None:
        paths = shard_paths(folder)
        if not paths:
            raise UsageError(f"no synthetic faces in {folder}: draw some, or leave data.synthetic out")
        shards = [read_shard(path, model.asset_sha256, _READ) for path in paths]
        self.images = torch.cat([_shrunk(shard["image_srgb"], side_px) for shard in shards])
        self.parsing = torch.cat([_shrunk(shard["parsing"][..., None], side_px // 4) for shard in shards])
        self.labels = {
            name: torch.from_numpy(np.concatenate([shard[name] for shard in shards])).float()
            for name in _LABELS
        }

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device) -> None:
        """Move pictures and labels to a device."""
        self.images, self.parsing = self.images.to(device), self.parsing.to(device)
        self.labels = {name: value.to(device) for name, value in self.labels.items()}

    def draw(self, number: int, generator: torch.Generator) -> tuple[CropBatch, dict[str, Tensor]]:
        """Random faces, with replacement: crops as they are, and their labels."""
        index = torch.randint(len(self), (number,), generator=generator).to(self.images.device)
        labels = {name: value[index] for name, value in self.labels.items()}
        batch = CropBatch(
            self.images[index].float() / 255,
            self.parsing[index].float() / 255,
            labels["landmarks_px"],
            torch.eye(2, 3, device=index.device).expand(number, 2, 3),
            torch.zeros(number, device=index.device),
        )
        return batch, labels


def _shrunk(pictures: np.ndarray, side_px: int) -> Tensor:
    """Shrink uint8 pictures, antialiased, to channels-first uint8."""
    values = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    return resize_map(values, side_px).round().clamp(0, 255).to(torch.uint8)


class PhotoBatches:
    """Draws augmented crops of the training photos.

    Args:
        config: The run.
        cache: Crops with landmarks.
        permutation: Landmark order of a mirrored picture.
    """

    def __init__(
        self, config: PriorTrainingConfig, cache: CropCache, permutation: Int[Tensor, " 478"]
    ) -> None:
        self.config = config
        self.permutation = permutation
        self.margin_px = cache.margin_px
        self.pictures = torch.from_numpy(np.array(cache.pictures))
        self.masks = torch.from_numpy(np.array(cache.masks))
        self.has_mask = torch.from_numpy(cache.has_mask).float()
        self.landmarks_px = torch.from_numpy(cache.landmarks_px[..., :2].copy())
        weights = [config.data.set_weights.get(str(name), 1.0) for name in cache.sets]
        self.weights = torch.tensor(weights) * torch.from_numpy(~cache.is_validation).float()

    def to(self, device: torch.device) -> None:
        """Move the pictures to the device on which crops are to be cut."""
        for name in ("pictures", "masks", "has_mask", "landmarks_px", "permutation"):
            setattr(self, name, getattr(self, name).to(device))

    def __len__(self) -> int:
        return int((self.weights > 0).sum())

    def draw(
        self, number: int, generator: torch.Generator, share: Float[Tensor, " n"] | None = None
    ) -> Int[Tensor, " b"]:
        """Draw training photos, with replacement; ``share`` changes how often each one is drawn."""
        weights = self.weights if share is None else self.weights * share
        return torch.multinomial(weights, number, replacement=True, generator=generator)

    def crops(self, index: Int[Tensor, " b"], generator: torch.Generator) -> CropBatch:
        """Cut crops under random placements."""
        rows = index.to(self.pictures.device)
        return crop_batch(
            self.pictures[rows],
            self.masks[rows],
            self.landmarks_px[rows],
            random_placement(len(index), self.config.data.augment, generator),
            margin_px=self.margin_px,
            side_px=self.config.network.input_px,
            mirror_permutation=self.permutation,
        )


class LandmarkObjective(Objective):
    """Stage one: dense landmarks with their spread, and the parsing mask.

    Args:
        config: The run.
        photos: Training crops.
        cache: All crops, for the validation split.
    """

    def __init__(self, config: PriorTrainingConfig, photos: PhotoBatches, cache: CropCache) -> None:
        self.config, self.photos = config, photos
        self.validation = PriorValidation(cache, photos.permutation, config.network.input_px, None, None)

    def setup(self, fabric: Fabric) -> None:
        """Move the crops to the device."""
        super().setup(fabric)
        self.photos.to(fabric.device)

    @property
    def num_samples(self) -> int:
        """Photos to learn from."""
        return len(self.photos)

    def losses(self, network: nn.Module, step: Step) -> Mapping[str, Tensor]:
        """Landmark and parsing losses of a batch of photos, weighted."""
        generator = step.random.torch
        index = self.photos.draw(step.batch_size, generator)
        batch = augment_appearance(self.photos.crops(index, generator), self.config.data.augment, generator)
        output: PriorOutput = network(_channels_last(batch.image_srgb))
        has_mask = self.photos.has_mask[index.to(self.photos.has_mask.device)]
        return landmark_losses(output, batch.landmarks_px, batch.parsing, has_mask, self.config.losses)

    def validate(self, network: nn.Module) -> Mapping[str, float]:
        """Errors on the validation crops."""
        return self.validation.measure(network, self.fabric.device)

    def pictures(self, network: nn.Module) -> Mapping[str, UInt8[np.ndarray, "_ _ 3"]]:
        """Validation crops with true (green) and found (red) landmarks, and the parsing mask beside them."""
        return {"landmarks": self.validation.draw(network, self.fabric.device)}


class CoefficientObjective(LandmarkObjective):
    """Stage two: the coefficients of the face model too, from labelled photos and synthetic faces.

    Args:
        config: The run.
        photos: Training crops.
        cache: All crops, for the validation split.
        labels: Labels of all crops.
        model: The face model that they belong to.
    """

    def __init__(
        self,
        config: PriorTrainingConfig,
        photos: PhotoBatches,
        cache: CropCache,
        labels: PriorLabels,
        model: FaceModel,
    ) -> None:
        super().__init__(config, photos, cache)
        self.validation = PriorValidation(cache, photos.permutation, config.network.input_px, labels, model)
        self.model, self.probe, self.basis = model, albedo_probe(model), landmark_basis(model)
        self.labels = {name: torch.from_numpy(value) for name, value in vars(labels).items()}
        self.has_appearance = self.labels["has_appearance"].float()
        self.synthetic: SyntheticCrops | None = None
        if config.data.synthetic is not None and config.data.synthetic_per_step > 0:
            self.synthetic = SyntheticCrops(config.data.synthetic, config.network.input_px, model)

    def setup(self, fabric: Fabric) -> None:
        """Move crops, labels and face model to the device."""
        super().setup(fabric)
        device = fabric.device
        self.model = self.model.to(device)
        self.probe, self.basis = on_device(self.probe, device), on_device(self.basis, device)
        self.labels = {name: value.to(device) for name, value in self.labels.items()}
        if self.synthetic is not None:
            self.synthetic.to(device)

    def losses(self, network: nn.Module, step: Step) -> Mapping[str, Tensor]:
        """Losses of a batch of photos and of the synthetic faces beside them, weighted."""
        generator = step.random.torch
        half = step.batch_size // 2
        # The second half comes from the photos whose albedo and light are known.
        index = torch.cat(
            [
                self.photos.draw(half, generator),
                self.photos.draw(step.batch_size - half, generator, self.has_appearance),
            ]
        )
        batch, targets = self._labelled(index, self.photos.crops(index, generator), generator)
        has_mask = self.photos.has_mask[index.to(self.photos.has_mask.device)]
        if self.synthetic is not None:
            number = self.config.data.synthetic_per_step // self.fabric.world_size
            drawn, added = self._synthetic(self.synthetic, number, generator)
            both = {name: torch.cat([value, getattr(added, name)]) for name, value in vars(targets).items()}
            batch, targets = _joined(batch, drawn), CoefficientTargets(**both)
            has_mask = torch.cat([has_mask, torch.ones_like(drawn.is_mirrored)])
        output: PriorOutput = network(_channels_last(batch.image_srgb))
        weights = self.config.losses
        terms = landmark_losses(output, batch.landmarks_px, batch.parsing, has_mask, weights)
        return terms | coefficient_losses(
            output, targets, batch.landmarks_px, self.basis, self.probe, weights
        )

    def _labelled(
        self, index: Int[Tensor, " b"], batch: CropBatch, generator: torch.Generator
    ) -> tuple[CropBatch, CoefficientTargets]:
        """Change the light of the first half freely, and of the second half so that its labels follow."""
        augment = self.config.data.augment
        half = len(index) // 2
        free = augment_appearance(_rows(batch, slice(0, half)), augment, generator)
        followed, gain = augment_exposure(_rows(batch, slice(half, None)), augment, generator)
        labels = {name: value[index.to(value.device)] for name, value in self.labels.items()}
        is_mirrored = batch.is_mirrored[:, None] > 0.5
        albedo = self.probe.albedo(labels["albedo"])
        albedo = torch.where(is_mirrored[..., None], albedo[:, self.probe.mirror], albedo)
        light = placed_light(labels["light"], batch.canonical_from_crop, batch.is_mirrored)
        light = light * torch.cat([torch.ones_like(gain[:1]).expand(half, 3), gain])[:, None]
        trusted = (labels["residual_px"] < _WORST_RESIDUAL_PX).float()
        follows = (torch.arange(len(index), device=trusted.device) >= half).float()
        identity, expression = labels["identity"], labels["expression"]
        targets = CoefficientTargets(
            identity=torch.where(is_mirrored, self.model.mirror_identity(identity), identity),
            expression=torch.where(is_mirrored, self.model.mirror_expression(expression), expression),
            albedo_probe=albedo,
            light=light,
            shape_weight=trusted,
            appearance_weight=trusted * follows,
        )
        return _joined(free, followed), targets

    def _synthetic(
        self, faces: SyntheticCrops, number: int, generator: torch.Generator
    ) -> tuple[CropBatch, CoefficientTargets]:
        batch, labels = faces.draw(number, generator)
        batch, gain = augment_exposure(batch, self.config.data.augment, generator)
        ones = torch.ones_like(batch.is_mirrored)
        targets = CoefficientTargets(
            labels["identity"],
            labels["expression"],
            self.probe.albedo(labels["albedo"]),
            labels["light_sh"] * gain[:, None],
            ones,
            ones,
        )
        return batch, targets


def _channels_last(image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"]:
    return image.contiguous(memory_format=torch.channels_last)


def _rows(batch: CropBatch, rows: slice) -> CropBatch:
    return CropBatch(**{name: value[rows] for name, value in vars(batch).items()})


def _joined(first: CropBatch, second: CropBatch) -> CropBatch:
    return CropBatch(
        **{name: torch.cat([value, getattr(second, name)]) for name, value in vars(first).items()}
    )
