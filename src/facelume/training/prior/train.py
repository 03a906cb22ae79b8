"""Training of the prior network on photos with landmarks and on synthetic faces.

Stage one needs no face model: dense landmarks and the parsing mask. Stage two starts from its weights,
labels the photos by fitting the face model to their landmarks and colours, and trains the coefficients too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn.utils import convert_conv2d_weight_memory_format

from facelume.data.crops import INDEX_NAME, CropCache, build_crop_cache, crop_fingerprint, open_crop_cache
from facelume.data.photos import load_photo_records, mirror_permutation
from facelume.data.synthetic import drawn_with
from facelume.errors import UsageError
from facelume.face_model import FaceModel, load_open_face_model
from facelume.networks.prior import PriorNetwork
from facelume.training.config import run_document
from facelume.training.devices import start_fabric
from facelume.training.loop import StepReport, Trained, run_training
from facelume.training.prior.batches import CoefficientObjective, LandmarkObjective, PhotoBatches
from facelume.training.prior.config import PriorTrainingConfig
from facelume.training.prior.export import load_prior
from facelume.training.prior.labels import (
    LABELS_NAME,
    PriorLabels,
    label_fingerprint,
    load_labels,
    make_labels,
)

_LOG = logging.getLogger(__name__)


def train(config: PriorTrainingConfig, *, on_step: Callable[[StepReport], None] | None = None) -> Trained:
    """Cut and label what is not there yet, then train, or go on from the checkpoint in the output folder.

    Args:
        config: The run.
        on_step: Called after each step.

    Raises:
        UsageError: There is nothing to learn from; crops, labels or checkpoint belong to another run.
        AssetError: The start does not fit the configuration.
    """
    fabric = start_fabric(config.loop)
    with fabric.rank_zero_first():
        cache, permutation = _open_cache(config)
    is_training = ~cache.is_validation
    if not is_training.any():
        raise UsageError(f"no photo outside the validation split in {config.data.photos}")
    model = load_open_face_model()
    network, start_sha256 = _start(config, model)
    if config.initial_weights is None:
        network.set_mean_landmarks(torch.from_numpy(cache.landmarks_px[is_training, :, :2].mean(axis=0)))
    photos = PhotoBatches(config, cache, permutation)
    objective: LandmarkObjective | CoefficientObjective = LandmarkObjective(config, photos, cache)
    if config.has_coefficients:
        labels = _labels(config, fabric, model, cache, network, start_sha256)
        objective = CoefficientObjective(config, photos, cache, labels, model)
    convert_conv2d_weight_memory_format(network, torch.channels_last)
    run = run_document(config)
    if config.data.synthetic is not None and config.data.synthetic_per_step > 0:
        run["synthetic_drawn_with"] = drawn_with(config.data.synthetic)
    return run_training(
        network, objective, config.output, config.loop, fabric=fabric, run=run, on_step=on_step
    )


def _start(config: PriorTrainingConfig, model: FaceModel) -> tuple[PriorNetwork, str]:
    """A fresh network, or the one of ``initial_weights`` with the run file's architecture."""
    network = PriorNetwork(config.network)
    if config.initial_weights is None:
        return network, ""
    start, record = load_prior("prior", model, config.initial_weights)
    try:
        network.load_state_dict(start.state_dict())
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"initial_weights {config.initial_weights}: another architecture than the run file's ({reason})"
        ) from error
    return network, record.sha256


def _open_cache(config: PriorTrainingConfig) -> tuple[CropCache, Tensor]:
    """Open the crop cache, making it first where it is not there."""
    data = config.data
    records = load_photo_records(data.photos, data.photo_sets)
    fingerprint = crop_fingerprint(records, side_px=data.crop_side_px)
    if not (data.crops / INDEX_NAME).is_file():
        build_crop_cache(records, data.crops, side_px=data.crop_side_px, on_progress=_Report("crops"))
    landmarks = np.stack([r.landmarks_px for r in records if not r.is_validation]).astype(np.float64)
    return open_crop_cache(data.crops, fingerprint), torch.from_numpy(mirror_permutation(landmarks))


def _labels(
    config: PriorTrainingConfig,
    fabric: Fabric,
    model: FaceModel,
    cache: CropCache,
    network: PriorNetwork,
    network_sha256: str,
) -> PriorLabels:
    path = config.output / LABELS_NAME
    stride = config.data.appearance_stride
    fingerprint = label_fingerprint(model, cache, network_sha256=network_sha256, appearance_stride=stride)
    with fabric.rank_zero_first():
        if not path.is_file():
            labels = make_labels(
                model, cache, network, appearance_stride=stride, on_progress=_Report("labels")
            )
            labels.save(path, fingerprint)
    return load_labels(path, fingerprint)


@dataclass(frozen=True)
class _Report:
    what: str

    def __call__(self, done: int, total: int) -> None:
        _LOG.info("%s %d/%d", self.what, done, total)
