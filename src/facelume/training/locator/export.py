"""From a run file to locator weights in the registry: train, calibrate, measure, save."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8

from facelume.data.photos import load_photo_records
from facelume.detection import NetworkLocator
from facelume.geometry import box_iou
from facelume.networks.locator import LocatorConfig, LocatorNetwork
from facelume.training.locator.backgrounds import faceless_windows, load_environment_pictures
from facelume.training.locator.scenes import Scene, SceneComposer
from facelume.training.locator.train import LocatorTrainingConfig, load_sources, read_pictures, train
from facelume.training.locator.validation import (
    LocatorReport,
    calibrate,
    count_inventions,
    measure_locator,
)
from facelume.weights import WeightRecord, save_weights

CALIBRATION_SCENES = 600
"""Scenes on which the score is calibrated."""
_INPUT = (
    "sRGB in [0, 1], (b, 3, H, W), H and W multiples of 8; faces of 11 to 92 px (root of width x height of "
    "the box of mesh points 0-467), larger ones by a picture pyramid; edges repeated by 16 px"
)
_TRAINING_DATA = (
    "photo sets {sets} (training split), landmarks by mediapipe 0.10.21: celebahq, utkface, scut, aaf for "
    "non-commercial research, london CC BY 4.0; pictures without faces: borders of those photos, Poly Haven "
    "environment maps (CC0), scikit-image's sample pictures, scikit-learn's two photos (CC BY 2.0)"
)
_LICENCE = "trained on research-only photos: see training_data"


def train_and_save(config: LocatorTrainingConfig, *, folder: Path | None = None) -> WeightRecord:
    """Train (or resume), calibrate, measure and register the locator's weights.

    Args:
        config: Run file.
        folder: Folder of weights to write to; default: the package's own.

    Raises:
        UsageError: There is nothing to learn from, or the checkpoint belongs to another configuration.
    """
    network = calibrated(train(config), config, CALIBRATION_SCENES)
    record = WeightRecord(
        id=config.weights_id,
        kind="locator",
        architecture="facelume.networks.locator.LocatorNetwork",
        config=asdict(network.config),
        input=_INPUT,
        training_data=_TRAINING_DATA.format(sets=", ".join(config.photo_sets)),
        licence=_LICENCE,
        metrics=measure_release(network, config),
    )
    return save_weights(network.state_dict(), record, folder=folder)


def calibrated(network: LocatorNetwork, config: LocatorTrainingConfig, num_scenes: int) -> LocatorNetwork:
    """Return the network with slope and offset of its score fitted to unseen scenes of training photos.

    Args:
        network: Trained network.
        config: Its run file.
        num_scenes: Scenes to draw.
    """
    photos, backgrounds = load_sources(config)
    rng = np.random.default_rng((config.seed, 2**32))
    composer = SceneComposer(photos, backgrounds, side_px=2 * config.side_px, rng=rng)
    logits, is_face = label_detections(network, [composer.draw() for _ in range(num_scenes)])
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


def measure_release(network: LocatorNetwork, config: LocatorTrainingConfig) -> dict[str, float]:
    """Metrics of the weight record, measured on the validation split and on pictures without faces."""
    locator = NetworkLocator(network)
    records = [r for r in load_photo_records(Path(config.data_root), config.photo_sets) if r.is_validation]
    report: LocatorReport = measure_locator(locator, records)
    strips = [
        strip for record in records if record.photo_set == "celebahq" for strip in faceless_windows(record)
    ]
    maps = load_environment_pictures(Path(config.environment_maps), config.validation_environment_names)
    pictures: list[UInt8[np.ndarray, "_ _ 3"]] = read_pictures(config.validation_background_folders)
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
            metrics[f"inventions_per_picture_{name}"] = sum(count_inventions(locator, faceless)) / len(
                faceless
            )
    return {name: round(value, 5) for name, value in metrics.items()}


def with_config(network: LocatorNetwork, config: LocatorConfig) -> LocatorNetwork:
    """The same network with another configuration of its score."""
    changed = LocatorNetwork(replace(config, batch_norm=network.config.batch_norm))
    changed.load_state_dict(network.state_dict())
    return changed.eval()
