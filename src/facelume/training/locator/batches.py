"""Batches of the locator's training: photos and pictures without faces, composed into scenes on the fly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw
from torch import Tensor, nn

from facelume.data.photos import PhotoRecord, load_photo_records
from facelume.errors import UsageError
from facelume.io.photo import list_photos
from facelume.networks.locator import STRIDE_PX, LocatorOutput
from facelume.training.locator.backgrounds import faceless_windows, load_environment_pictures
from facelume.training.locator.config import LocatorDataConfig, LocatorTrainingConfig
from facelume.training.locator.losses import encode_faces, locator_losses, stack_targets
from facelume.training.locator.scenes import Scene, SceneComposer, ScenePhoto, load_scene_photo
from facelume.training.objective import Objective, Step
from facelume.types import on_device

_VALIDATION_SEED = 2**31


def load_sources(data: LocatorDataConfig) -> tuple[list[ScenePhoto], list[UInt8[np.ndarray, "_ _ 3"]]]:
    """Photos of the training split, and pictures without faces (folders, environment maps, photo borders).

    Raises:
        UsageError: One of the two lists is empty.
    """
    records = [r for r in load_photo_records(data.photos, data.photo_sets) if not r.is_validation]
    environments = load_environment_pictures(data.environment_maps, data.environment_names)
    pictures = read_pictures(data.background_folders)
    strips = [strip for record in records if _has_wide_borders(record) for strip in faceless_windows(record)]
    # The few real pictures and maps are repeated: there are far more strips.
    kinds = data.scenes.backgrounds
    repeats = max(1, int(kinds.pictures_per_strip * len(strips) // max(1, len(pictures))))
    environment_repeats = max(1, int(kinds.environments_per_strip * len(strips) // max(1, len(environments))))
    backgrounds = strips + pictures * repeats + environments * environment_repeats
    if not records or not backgrounds:
        raise UsageError(
            f"nothing to learn from: {len(records)} photos, {len(backgrounds)} pictures without faces"
        )
    return [load_scene_photo(record) for record in records], backgrounds


def _has_wide_borders(record: PhotoRecord) -> bool:
    return record.photo_set in {"celebahq", "london"}


def read_pictures(folders: Sequence[Path]) -> list[UInt8[np.ndarray, "_ _ 3"]]:
    """All pictures of some folders as RGB, in the order of their names.

    Raises:
        UnreadableInputError: A folder cannot be read or holds no picture.
    """
    pictures = []
    for path in (path for folder in folders for path in list_photos(folder)):
        with Image.open(path) as picture:
            pictures.append(np.asarray(picture.convert("RGB")))
    return pictures


def _validation_scenes(
    config: LocatorTrainingConfig, backgrounds: list[UInt8[np.ndarray, "_ _ 3"]]
) -> list[Scene]:
    """The same scenes in every run: people who are never trained on, on the backgrounds of the training."""
    records = [r for r in load_photo_records(config.data.photos, config.data.photo_sets) if r.is_validation]
    if not records:
        return []
    photos = [load_scene_photo(record) for record in records]
    rng = np.random.default_rng([config.loop.seed, _VALIDATION_SEED])
    data = config.data
    composer = SceneComposer(photos, backgrounds, data.scenes, side_px=data.side_px, rng=rng)
    return [composer.draw() for _ in range(config.num_validation_scenes)]


class LocatorObjective(Objective):
    """Losses of scenes that are drawn on the fly.

    Args:
        config: The run.
    """

    def __init__(self, config: LocatorTrainingConfig) -> None:
        self.config = config
        self.photos, self.backgrounds = load_sources(config.data)
        self.validation = _validation_scenes(config, self.backgrounds)
        self._drawing: SceneComposer | None = None

    @property
    def num_samples(self) -> int:
        """Photos to learn from: an epoch shows as many scenes."""
        return len(self.photos)

    def losses(self, network: nn.Module, step: Step) -> Mapping[str, Tensor]:
        """Weighted losses of a batch of new scenes."""
        if self._drawing is None:
            data, rng = self.config.data, step.random.numpy
            self._drawing = SceneComposer(
                self.photos, self.backgrounds, data.scenes, side_px=data.side_px, rng=rng
            )
        return self._scene_losses(network, [self._drawing.draw() for _ in range(step.batch_size)])

    def _scene_losses(self, network: nn.Module, scenes: Sequence[Scene]) -> dict[str, Tensor]:
        device = self.fabric.device
        faces = [encode_faces(scene.faces, self.config.data.side_px) for scene in scenes]
        output: LocatorOutput = network(scene_pictures(scenes, device))
        return locator_losses(output, on_device(stack_targets(faces), device), self.config.losses)

    def validate(self, network: nn.Module) -> Mapping[str, float]:
        """Losses on fixed scenes of validation photos; nothing where there are none."""
        totals: dict[str, float] = {}
        size = self.config.loop.batch_size
        for first in range(0, len(self.validation), size):
            part = self.validation[first : first + size]
            for name, value in self._scene_losses(network, part).items():
                totals[name] = totals.get(name, 0.0) + float(value) * len(part) / len(self.validation)
        return totals

    def pictures(self, network: nn.Module) -> Mapping[str, UInt8[np.ndarray, "_ _ 3"]]:
        """Fixed scenes with the true boxes (green) and the cells that say "face" with theirs (red)."""
        scenes = self.validation[:8]
        if not scenes:
            return {}
        output: LocatorOutput = network(scene_pictures(scenes, self.fabric.device))
        tiles = [_marked(scene, output, index) for index, scene in enumerate(scenes)]
        return {"scenes": np.concatenate(tiles, axis=1)}


def scene_pictures(scenes: Sequence[Scene], device: torch.device | str) -> Float[Tensor, "b 3 S S"]:
    """Pictures of scenes as the network takes them: sRGB in [0, 1]."""
    stacked = torch.from_numpy(np.stack([scene.picture for scene in scenes])).to(device)
    return (stacked.permute(0, 3, 1, 2).float() / 255).contiguous(memory_format=torch.channels_last)


def _marked(scene: Scene, output: LocatorOutput, index: int) -> UInt8[np.ndarray, "S S 3"]:
    picture = Image.fromarray(scene.picture)
    pen = ImageDraw.Draw(picture)
    for face in scene.faces:
        pen.rectangle([float(edge) for edge in face.box_px], outline=(0, 255, 0))
    for row, column in torch.nonzero(output.centre_logits[index] > 0).tolist():
        left, top, right, bottom = output.box_px[index, :, row, column].tolist()
        if right > left and bottom > top:
            pen.rectangle([left, top, right, bottom], outline=(255, 0, 0))
        x, y = (column + 0.5) * STRIDE_PX, (row + 0.5) * STRIDE_PX
        pen.ellipse([x - 2, y - 2, x + 2, y + 2], fill=(255, 0, 0))
    return np.array(picture)
