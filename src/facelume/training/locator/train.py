"""Training of the locator: scenes composed on the fly, checkpoints, resume, export as a weight record."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import cattrs
import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from facelume.data.photos import PHOTO_SETS, PhotoRecord, load_photo_records
from facelume.errors import UsageError
from facelume.networks.locator import LocatorConfig, LocatorNetwork, fold_batch_norm
from facelume.training.locator.backgrounds import faceless_windows, load_environment_pictures
from facelume.training.locator.losses import encode_faces, locator_loss, stack_targets
from facelume.training.locator.scenes import SceneComposer, ScenePhoto, load_scene_photo

_LOG = logging.getLogger(__name__)
_EMA_DECAY = 0.999


@dataclass(frozen=True)
class LocatorTrainingConfig:
    """What :func:`train` needs; read strictly from JSON.

    Attributes:
        data_root: Folder of the photo sets.
        environment_maps: Archive of lat-long maps, used as pictures without faces.
        background_folders: Folders of further pictures without faces (JPEG, PNG).
        output_folder: Checkpoint and final state.
        weights_id: Id of the weight record that is made of the result.
        photo_sets: Photo sets to learn from (their validation split is left out).
        environment_names: Environment maps to use.
        validation_environment_names: Environment maps on which inventions are counted.
        validation_background_folders: Folders of pictures without faces on which inventions are counted.
        network: Architecture.
        side_px: Side of a scene, a multiple of 8.
        batch_size: Scenes per step.
        num_scenes: Length of the training.
        learning_rate: Peak rate of AdamW; a warm-up of 2 % of the steps, then a cosine down to 1 % of it.
        weight_decay: Of AdamW.
        threshold: Working threshold on the calibrated score of the released network.
        seed: Of everything random.
        num_threads: CPU threads.
        checkpoint_every_s: Seconds between checkpoints.
    """

    data_root: str
    environment_maps: str
    output_folder: str
    weights_id: str = "locator-1"
    background_folders: tuple[str, ...] = ()
    photo_sets: tuple[str, ...] = PHOTO_SETS
    environment_names: tuple[str, ...] = ()
    validation_environment_names: tuple[str, ...] = ()
    validation_background_folders: tuple[str, ...] = ()
    network: LocatorConfig = field(default_factory=LocatorConfig)
    side_px: int = 160
    batch_size: int = 32
    num_scenes: int = 120_000
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    threshold: float = 0.75
    seed: int = 0
    num_threads: int = 1
    checkpoint_every_s: float = 60.0


def load_training_config(path: Path) -> LocatorTrainingConfig:
    """Read a run file; unknown or missing names are refused.

    Raises:
        UsageError: The file is no valid configuration.
    """
    converter = cattrs.Converter(forbid_extra_keys=True)
    try:
        return converter.structure(json.loads(path.read_text(encoding="utf-8")), LocatorTrainingConfig)
    except (OSError, ValueError, cattrs.BaseValidationError) as error:
        reasons = (
            cattrs.transform_error(error) if isinstance(error, cattrs.BaseValidationError) else [str(error)]
        )
        raise UsageError(
            f"{path} is no configuration of the locator's training: {'; '.join(reasons)}"
        ) from error


def train(config: LocatorTrainingConfig) -> LocatorNetwork:
    """Train, or go on from the checkpoint in the output folder, and write ``locator.safetensors`` there.

    Returns:
        The averaged network with batch normalisation folded in, in evaluation mode, uncalibrated.

    Raises:
        UsageError: There is no photo to learn from, or the checkpoint belongs to another configuration.
    """
    torch.set_num_threads(config.num_threads)
    torch.manual_seed(config.seed)
    folder = Path(config.output_folder)
    folder.mkdir(parents=True, exist_ok=True)
    network = LocatorNetwork(config.network)
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.AdamW(
        network.parameters(), config.learning_rate, weight_decay=config.weight_decay
    )
    num_steps = max(1, config.num_scenes // config.batch_size)
    first_step = _resume(folder, config, network, average, optimizer)
    photos, backgrounds = load_sources(config)
    rng = np.random.default_rng((config.seed, first_step))
    composer = SceneComposer(photos, backgrounds, side_px=config.side_px, rng=rng)
    saved_at = time.monotonic()
    network.train()
    running: dict[str, float] = {}
    for step in range(first_step, num_steps):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * _schedule(step, num_steps)
        scenes = [composer.draw() for _ in range(config.batch_size)]
        pictures = (
            torch.from_numpy(np.stack([scene.picture for scene in scenes])).permute(0, 3, 1, 2).float() / 255
        )
        targets = stack_targets([encode_faces(scene.faces, config.side_px) for scene in scenes])
        with torch.autocast("cpu", torch.bfloat16):
            output = network(pictures.contiguous(memory_format=torch.channels_last))
        loss, parts = locator_loss(output, targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
        _update_average(average, network, step)
        running = {name: 0.98 * running.get(name, value) + 0.02 * value for name, value in parts.items()}
        if step % 50 == 0:
            _LOG.info(
                "step %d/%d %s", step, num_steps, {name: round(value, 4) for name, value in running.items()}
            )
        if time.monotonic() - saved_at > config.checkpoint_every_s:
            _save(folder, config, network, average, optimizer, step + 1)
            saved_at = time.monotonic()
    _save(folder, config, network, average, optimizer, num_steps)
    network.load_state_dict(average)
    folded = fold_batch_norm(network, replace(config.network, batch_norm=False))
    save_file({k: v.contiguous() for k, v in folded.state_dict().items()}, folder / "locator.safetensors")
    return folded


def load_sources(config: LocatorTrainingConfig) -> tuple[list[ScenePhoto], list[UInt8[np.ndarray, "_ _ 3"]]]:
    """Photos of the training split, and pictures without faces (folders, environment maps, photo borders).

    Raises:
        UsageError: One of the two lists is empty.
    """
    records = [
        r for r in load_photo_records(Path(config.data_root), config.photo_sets) if not r.is_validation
    ]
    environments = load_environment_pictures(Path(config.environment_maps), config.environment_names)
    pictures = read_pictures(config.background_folders)
    strips = [strip for record in records if _has_wide_borders(record) for strip in faceless_windows(record)]
    # The few real pictures and maps are repeated so that they are drawn about as often as the many strips.
    repeats = max(1, len(strips) // (2 * max(1, len(pictures))))
    environment_repeats = max(1, len(strips) // (4 * max(1, len(environments))))
    backgrounds = strips + pictures * repeats + environments * environment_repeats
    if not records or not backgrounds:
        raise UsageError(
            f"nothing to learn from: {len(records)} photos, {len(backgrounds)} pictures without faces"
        )
    return [load_scene_photo(record) for record in records], backgrounds


def _has_wide_borders(record: PhotoRecord) -> bool:
    return record.photo_set in {"celebahq", "london"}


def read_pictures(folders: Sequence[str]) -> list[UInt8[np.ndarray, "_ _ 3"]]:
    """All files of some folders as RGB pictures, in the order of their names."""
    pictures = []
    for path in (path for folder in folders for path in sorted(Path(folder).iterdir())):
        with Image.open(path) as picture:
            pictures.append(np.asarray(picture.convert("RGB")))
    return pictures


def _schedule(step: int, num_steps: int) -> float:
    warmup = max(1, num_steps // 50)
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, num_steps - warmup)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))


def _update_average(average: dict[str, Tensor], network: LocatorNetwork, step: int) -> None:
    decay = min(_EMA_DECAY, (step + 1) / (step + 10))
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                average[name].lerp_(value, 1 - decay)
            else:
                average[name].copy_(value)


def _save(
    folder: Path,
    config: LocatorTrainingConfig,
    network: LocatorNetwork,
    average: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    step: int,
) -> None:
    tensors = {f"network.{name}": value.contiguous() for name, value in network.state_dict().items()}
    tensors |= {f"average.{name}": value.contiguous() for name, value in average.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value.contiguous() for name, value in state.items()}
    metadata = {"step": str(step), "config": json.dumps(asdict(config.network))}
    save_file({k: v.clone() for k, v in tensors.items()}, folder / "checkpoint.partial", metadata=metadata)
    os.replace(folder / "checkpoint.partial", folder / "checkpoint.safetensors")
    (folder / "progress.json").write_text(json.dumps({"step": step, "network": asdict(config.network)}))


def _resume(
    folder: Path,
    config: LocatorTrainingConfig,
    network: LocatorNetwork,
    average: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> int:
    """Fill network, average and optimiser from the checkpoint, if there is one; return the next step."""
    path = folder / "checkpoint.safetensors"
    if not path.is_file():
        return 0
    progress = json.loads((folder / "progress.json").read_text())
    if progress["network"] != asdict(config.network):
        raise UsageError(
            f"{path} was trained with another network configuration; choose another output_folder"
        )
    tensors = load_file(path)
    network.load_state_dict(
        {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
    )
    for name, value in average.items():
        value.copy_(tensors[f"average.{name}"])
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".")
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(progress["step"])
