"""Training of the prior network on photos with landmarks and on synthetic faces.

Stage one needs no face model: dense landmarks and the parsing mask. Stage two starts from its weights,
labels the photos by fitting the face model to their landmarks and colours, and trains the coefficients too.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.utils import convert_conv2d_weight_memory_format

from facelume.data.crops import CropCache, build_crop_cache, open_crop_cache
from facelume.data.photos import load_photo_records, mirror_permutation
from facelume.errors import UsageError
from facelume.face_model import FaceModel, load_open_face_model
from facelume.networks.prior import PriorNetwork
from facelume.training.loop import run_training
from facelume.training.prior.batches import PriorBatches
from facelume.training.prior.config import PriorTrainingConfig, load_training_config
from facelume.training.prior.labels import PriorLabels, load_labels, make_labels, save_labels
from facelume.training.prior.validation import PriorValidation

_LOG = logging.getLogger(__name__)
LABELS_NAME = "labels.npz"
WEIGHTS_NAME = "prior.safetensors"
__all__ = ["PriorTrainingConfig", "load_training_config", "train"]


def train(config: PriorTrainingConfig) -> PriorNetwork:
    """Train, or go on from the checkpoint in the output folder, and write ``prior.safetensors`` there.

    Returns:
        The averaged network in evaluation mode.

    Raises:
        UsageError: There is nothing to learn from, or the start does not fit the configuration.
    """
    if config.has_coefficients and not config.initial_weights:
        raise UsageError("has_coefficients needs initial_weights: train landmarks and parsing first")
    folder = Path(config.output_folder)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.loop.seed)
    torch.set_num_threads(config.loop.num_threads)
    cache, permutation = _open_cache(config)
    network = PriorNetwork(config.network)
    is_training = ~cache.is_validation
    if not is_training.any():
        raise UsageError(f"no photo outside the validation split in {config.data_root}")
    if config.initial_weights:
        network.load_state_dict(_read_state(Path(config.initial_weights)))
    else:
        network.set_mean_landmarks(torch.from_numpy(cache.landmarks_px[is_training, :, :2].mean(axis=0)))
    model = load_open_face_model() if config.has_coefficients else None
    labels = _labels(config, model, cache, network) if model is not None else None
    convert_conv2d_weight_memory_format(network, torch.channels_last)
    batches = PriorBatches(config, cache, permutation, labels, model)
    validation = PriorValidation(cache, permutation, config.network.input_px, labels, model)
    average = run_training(network, batches.losses, folder, config.loop, validation.measure)
    network.load_state_dict(average)
    network.eval()
    save_file(_whole(average), folder / WEIGHTS_NAME)
    return network


def _whole(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.contiguous().clone() for name, value in state.items()}


def _read_state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UsageError(f"initial_weights {path} do not exist: train the first stage, or leave them empty")
    return load_file(path)


def _open_cache(config: PriorTrainingConfig) -> tuple[CropCache, Tensor]:
    """Open the crop cache, making it first where it is not there."""
    folder = Path(config.cache_folder)
    records = load_photo_records(Path(config.data_root), config.photo_sets)
    if not (folder / "cache.json").is_file():
        build_crop_cache(records, folder, side_px=config.cache_side_px, on_progress=_Report("crops"))
    landmarks = np.stack([r.landmarks_px for r in records if not r.is_validation]).astype(np.float64)
    return open_crop_cache(folder), torch.from_numpy(mirror_permutation(landmarks))


def _labels(
    config: PriorTrainingConfig, model: FaceModel, cache: CropCache, network: PriorNetwork
) -> PriorLabels:
    path = Path(config.output_folder) / LABELS_NAME
    if not path.is_file():
        labels = make_labels(
            model,
            cache,
            network,
            appearance_stride=config.appearance_stride,
            on_progress=_Report("labels"),
        )
        save_labels(labels, path, model.asset_sha256)
    return load_labels(path, model.asset_sha256)


@dataclass(frozen=True)
class _Report:
    what: str

    def __call__(self, done: int, total: int) -> None:
        _LOG.info("%s %d/%d", self.what, done, total)
