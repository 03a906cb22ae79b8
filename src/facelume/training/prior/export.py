"""Write a trained prior network into a folder of weights, with its record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from facelume.networks.prior import PriorNetwork
from facelume.weights import WeightRecord, save_weights

_TRAINING_DATA = (
    "photos of CelebAMask-HQ, UTKFace, SCUT-FBP5500, AAF (non-commercial research) and the Face Research "
    "Lab London Set (CC BY 4.0), with MediaPipe face-mesh landmarks; CelebAMask-HQ parsing masks"
)
_WITH_COEFFICIENTS = "; fits of the open face model (CC0) to them"
_WITH_SYNTHETIC = "; synthetic faces of the open face model"
_LICENCE = "non-commercial research, as the training photos"


def export_weights(
    network: PriorNetwork,
    weights_id: str,
    metrics: Mapping[str, float],
    *,
    face_model_sha256: str | None,
    has_synthetic: bool = False,
    folder: Path | None = None,
) -> WeightRecord:
    """Save a prior network as the default of its kind.

    Args:
        network: The averaged network of a training.
        weights_id: For instance ``prior-small-1``.
        metrics: Measured on the validation split.
        face_model_sha256: The face model whose coefficients it knows; None when they are untrained.
        has_synthetic: It learned from synthetic faces as well.
        folder: Folder of weights; by default the package's own.
    """
    config = asdict(network.config)
    config["stage_widths"] = list(network.config.stage_widths)
    data = _TRAINING_DATA + (_WITH_COEFFICIENTS if face_model_sha256 else "")
    record = WeightRecord(
        id=weights_id,
        kind="prior",
        architecture="facelume.networks.prior.PriorNetwork",
        config=config,
        input="crop of the contract, (b, 3, 224, 224), sRGB in [0, 1]; resized inside to input_px",
        training_data=data + (_WITH_SYNTHETIC if has_synthetic else ""),
        licence=_LICENCE,
        metrics={name: round(value, 5) for name, value in metrics.items()},
        face_model_sha256=face_model_sha256,
    )
    return save_weights(network.state_dict(), record, folder=folder)
