"""Write a trained refiner into a folder of weights, with its record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from facelume.face_model import FaceModel
from facelume.networks.refiner import Refiner
from facelume.weights import WeightRecord, save_weights

_INPUT = (
    "maps of the atlas (facelume.refinement.refine.RefinerInput): unwrapped photo, visibility, normals, "
    "prior albedo, coarse light; assembled by facelume.refinement.refine.network_input"
)
_SYNTHETIC = (
    "synthetic faces of the open face model (CC0 and CC BY 4.0) under Poly Haven environment maps (CC0)"
)
_PHOTOS = (
    "; photos of CelebAMask-HQ (non-commercial research) and the Face Research Lab London Set (CC BY 4.0)"
)


def export_weights(
    refiner: Refiner,
    weights_id: str,
    metrics: Mapping[str, float],
    model: FaceModel,
    *,
    has_photos: bool,
    folder: Path | None = None,
) -> WeightRecord:
    """Save a refiner as the default of its kind.

    Args:
        refiner: The averaged network of a training.
        weights_id: For instance ``refiner-1``.
        metrics: Measured on the validation split.
        model: The face model whose atlas and prior albedo it learned on.
        has_photos: It learned from the research-only photos as well as from synthetic faces.
        folder: Folder of weights; by default the package's own.
    """
    record = WeightRecord(
        id=weights_id,
        kind="refiner",
        architecture="facelume.networks.refiner.Refiner",
        config=asdict(refiner.config),
        input=_INPUT,
        training_data=_SYNTHETIC + (_PHOTOS if has_photos else ""),
        licence="non-commercial research, as the training photos" if has_photos else "Apache-2.0",
        metrics={name: round(value, 5) for name, value in metrics.items()},
        face_model_sha256=model.asset_sha256,
        atlas_id=model.atlas_id,
    )
    return save_weights(refiner.state_dict(), record, folder=folder)
