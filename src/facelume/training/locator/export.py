"""From a trained locator to weights in a registry: fold, calibrate, measure, save."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from jaxtyping import Bool, Float, UInt8

from facelume.data.photos import load_photo_records
from facelume.data.provenance import ENVIRONMENT_MAPS, DataSource, background_source, photo_sources
from facelume.detection import NetworkLocator
from facelume.geometry import box_iou
from facelume.networks.locator import LocatorConfig, LocatorNetwork, fold_batch_norm
from facelume.training.export import WEIGHTS_FOLDER, Release, register
from facelume.training.locator.backgrounds import faceless_windows, load_environment_pictures
from facelume.training.locator.batches import load_sources, read_pictures
from facelume.training.locator.config import LocatorDataConfig, LocatorTrainingConfig
from facelume.training.locator.scenes import Scene, SceneComposer
from facelume.training.locator.validation import (
    LocatorReport,
    calibrate,
    count_false_positives,
    measure_locator,
)
from facelume.training.loop import Trained
from facelume.weights import WeightRecord

_INPUT = (
    "sRGB in [0, 1], (b, 3, H, W), H and W multiples of 8; faces of 11 to 92 px (root of width x height of "
    "the box of mesh points 0-467), larger ones by a picture pyramid; edges repeated by 16 px"
)


def sources_of(data: LocatorDataConfig) -> tuple[DataSource, ...]:
    """Everything that a run learns from."""
    sources = photo_sources(data.photos, data.photo_sets)
    if data.environment_names:
        sources.append(ENVIRONMENT_MAPS)
    sources += [background_source(folder) for folder in data.background_folders]
    return tuple(sources)


def export_weights(
    trained: Trained, config: LocatorTrainingConfig, folder: Path | None = None
) -> WeightRecord:
    """Fold the batch normalisation in, calibrate, measure and save a locator as the default of its kind.

    Args:
        trained: What the training left.
        config: Its run file.
        folder: Folder of weights; by default ``weights`` in the run's output.
    """
    whole = cast(LocatorNetwork, trained.network)
    folded = fold_batch_norm(whole, replace(whole.config, batch_norm=False))
    network = calibrated(folded, config)
    release = Release(
        weights_id=config.weights_id or f"locator-{config.output.name}",
        kind="locator",
        input=_INPUT,
        sources=sources_of(config.data),
    )
    metrics = measure_release(network, config.data)
    place = folder or config.output / WEIGHTS_FOLDER
    return register(network, network.config, release, metrics, trained.history, place)


def calibrated(network: LocatorNetwork, config: LocatorTrainingConfig) -> LocatorNetwork:
    """Return the network with slope and offset of its score fitted to unseen scenes of training photos."""
    photos, backgrounds = load_sources(config.data)
    rng = np.random.default_rng((config.loop.seed, 2**32))
    composer = SceneComposer(
        photos, backgrounds, config.data.scenes, side_px=2 * config.data.side_px, rng=rng
    )
    scenes = [composer.draw() for _ in range(config.num_calibration_scenes)]
    logits, is_face = label_detections(network, scenes)
    scored = calibrate(network.config, logits, is_face)
    return with_config(network, replace(scored, threshold=config.threshold))


def label_detections(
    network: LocatorNetwork, scenes: list[Scene], *, min_logit: float = -1.0
) -> tuple[Float[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Logits of all detections in scenes, and which are faces; those on half hidden faces are left out."""
    locator = NetworkLocator(network, exhaustive=True)
    logits, is_face = [], []
    for scene in scenes:
        found = locator.search(scene.picture, min_logit=min_logit)
        for box, logit in zip(found.boxes_px, found.logits, strict=True):
            overlaps = [float(box_iou(box, face.box_px)) for face in scene.faces]
            best = int(np.argmax(overlaps)) if overlaps else -1
            if best < 0 or overlaps[best] < 0.2:
                logits.append(logit)
                is_face.append(False)
            elif overlaps[best] > 0.5 and scene.faces[best].visible > 0.6:
                logits.append(logit)
                is_face.append(True)
    return np.array(logits, dtype=np.float64), np.array(is_face, dtype=bool)


def measure_release(network: LocatorNetwork, data: LocatorDataConfig) -> dict[str, float]:
    """Metrics of the weight record, measured on the validation split and on pictures without faces."""
    locator = NetworkLocator(network)
    records = [r for r in load_photo_records(data.photos, data.photo_sets) if r.is_validation]
    report: LocatorReport = measure_locator(locator, records)
    strips = [
        strip for record in records if record.photo_set == "celebahq" for strip in faceless_windows(record)
    ]
    maps = load_environment_pictures(data.environment_maps, data.validation_environment_names)
    pictures: list[UInt8[np.ndarray, "_ _ 3"]] = read_pictures(data.validation_background_folders)
    metrics = {
        "validation_photos": float(report.num_photos),
        "found": report.found,
        "largest_is_the_face": report.first,
        "extra_per_photo": report.extra_per_photo,
        "mean_box_iou": report.mean_iou,
        "points_error_of_box_size": report.points_error,
    }
    for name, faceless in (
        ("photo_borders", strips),
        ("environment_maps", maps),
        ("other_pictures", pictures),
    ):
        if faceless:
            metrics[f"false_positives_per_picture_{name}"] = sum(
                count_false_positives(locator, faceless)
            ) / len(faceless)
    return {name: round(value, 5) for name, value in metrics.items()}


def with_config(network: LocatorNetwork, config: LocatorConfig) -> LocatorNetwork:
    """The same network with another configuration of its score."""
    changed = LocatorNetwork(replace(config, batch_norm=network.config.batch_norm))
    changed.load_state_dict(network.state_dict())
    return changed.eval()
