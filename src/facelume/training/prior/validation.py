"""What a prior network is worth on the validation split."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from facelume.camera import CROP_SIZE_PX
from facelume.data.augment import AugmentConfig, CropBatch, crop_batch, random_placement
from facelume.data.crops import CropCache
from facelume.face_model import FaceModel
from facelume.fitting import FitStart, fit_landmarks, landmark_basis, project_landmarks
from facelume.geometry.face_mesh import NUM_LIP_PAIRS
from facelume.metrics import normalised_mean_error
from facelume.networks.prior import PriorOutput
from facelume.training.prior.labels import PriorLabels, albedo_probe
from facelume.training.prior.losses import apertures

_BATCH = 64
_SECOND_PASS = AugmentConfig(mild_fraction=1.0)
_FIRST_PASS = AugmentConfig()
_CLOSED_LIPS_PX = 1.5


class PriorValidation:
    """Measures a network on the validation crops, placed as a first and as a second pass sees them."""

    def __init__(
        self,
        cache: CropCache,
        permutation: Int[Tensor, " 478"],
        side_px: int,
        labels: PriorLabels | None,
        model: FaceModel | None,
    ) -> None:
        self.cache, self.permutation, self.side_px, self.labels = cache, permutation, side_px, labels
        self.rows = np.flatnonzero(cache.is_validation)
        if model is not None:
            self.basis, self.probe = landmark_basis(model), albedo_probe(model)

    def measure(self, network: nn.Module, device: torch.device | str = "cpu") -> dict[str, float]:
        """Mean errors over the validation split; what no photo of it can measure is left out.

        Args:
            network: The network.
            device: Where it is; errors are computed on the CPU.
        """
        with torch.no_grad():
            metrics = self._placed(network, device, _FIRST_PASS, "first_pass")
            return metrics | self._placed(network, device, _SECOND_PASS, "second_pass")

    def draw(
        self, network: nn.Module, device: torch.device | str = "cpu", num_faces: int = 8
    ) -> UInt8[np.ndarray, "_ _ 3"]:
        """Validation crops in two rows: true (green) and found (red) landmarks, and the parsing mask."""
        if not len(self.rows):
            return np.zeros((1, 1, 3), np.uint8)
        _, batch = next(self._batches(_SECOND_PASS))
        crops = batch.image_srgb[:num_faces]
        output = self._answers(network, crops, device)
        side = crops.shape[-1]
        marked = crops.clone()
        for points, colour in ((batch.landmarks_px[:num_faces], (0, 1, 0)), (output.landmarks_px, (1, 0, 0))):
            places = (points * side / CROP_SIZE_PX).long().clamp(0, side - 1)
            for face, place in enumerate(places):
                marked[face, :, place[:, 1], place[:, 0]] = torch.tensor(colour).float()[:, None]
        parsing = torch.nn.functional.interpolate(torch.sigmoid(output.parsing_logits), size=(side, side))
        rows = torch.cat([torch.cat(list(marked), dim=2), torch.cat(list(crops * parsing), dim=2)], dim=1)
        return (rows.movedim(0, -1).clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()

    @staticmethod
    def _answers(network: nn.Module, images: Tensor, device: torch.device | str) -> PriorOutput:
        output = network(images.to(device).contiguous(memory_format=torch.channels_last))
        return PriorOutput(*(value.cpu() for value in output))

    def _placed(
        self, network: nn.Module, device: torch.device | str, augment: AugmentConfig, name: str
    ) -> dict[str, float]:
        errors: dict[str, list[Tensor]] = {}
        for rows, batch in self._batches(augment):
            output = self._answers(network, batch.image_srgb, device)
            found = {"nme": normalised_mean_error(output.landmarks_px, batch.landmarks_px)}
            found["closed_lips_px"] = _closed_lips(output.landmarks_px, batch.landmarks_px)
            has_mask = torch.from_numpy(self.cache.has_mask[rows])
            found["parsing_iou"] = _overlap(output.parsing_logits[has_mask], batch.parsing[has_mask])
            if self.labels is not None:
                found |= self._coefficients(output, batch, rows)
            for key, value in found.items():
                errors.setdefault(key, []).append(value)
        joined = {key: torch.cat(values) for key, values in errors.items()}
        return {f"{key}_{name}": float(values.mean()) for key, values in joined.items() if len(values)}

    def _batches(self, augment: AugmentConfig) -> Iterator[tuple[np.ndarray, CropBatch]]:
        generator = torch.Generator().manual_seed(5)
        for first in range(0, len(self.rows), _BATCH):
            rows = self.rows[first : first + _BATCH]
            yield (
                rows,
                crop_batch(
                    torch.from_numpy(self.cache.pictures[rows]),
                    torch.from_numpy(self.cache.masks[rows]),
                    torch.from_numpy(self.cache.landmarks_px[rows, :, :2].copy()),
                    random_placement(len(rows), augment, generator),
                    margin_px=self.cache.margin_px,
                    side_px=self.side_px,
                    mirror_permutation=self.permutation,
                ),
            )

    def _coefficients(self, output: PriorOutput, batch: CropBatch, rows: np.ndarray) -> dict[str, Tensor]:
        """Errors of the coefficients alone, of the landmark fit that starts from them, and of albedo."""
        assert self.labels is not None
        pose = (output.rotvec, output.translation)
        projected = project_landmarks(self.basis, output.identity, output.expression, *pose)
        start = FitStart(output.identity, output.expression, *pose)
        fit = fit_landmarks(self.basis, output.landmarks_px, output.landmark_sigma_px, start=start)
        known = torch.from_numpy(self.labels.has_appearance[rows])
        label = self.probe.albedo(torch.from_numpy(self.labels.albedo[rows]))
        label = torch.where(batch.is_mirrored[:, None, None] > 0.5, label[:, self.probe.mirror], label)
        return {
            "nme_coefficients": normalised_mean_error(projected, batch.landmarks_px),
            "nme_fit": normalised_mean_error(fit.landmarks_px, batch.landmarks_px),
            "closed_lips_px_fit": _closed_lips(fit.landmarks_px, batch.landmarks_px),
            "albedo_error": (self.probe.albedo(output.albedo) - label).abs().mean(dim=(1, 2))[known],
        }


def _closed_lips(found_px: Tensor, true_px: Tensor) -> Float[Tensor, " c"]:
    """Largest opening found between the lips of the mouths that are truly closed, crop pixels."""
    found, true = (
        apertures(points)[:, :NUM_LIP_PAIRS].norm(dim=-1).amax(dim=-1) for points in (found_px, true_px)
    )
    return found[true < _CLOSED_LIPS_PX]


def _overlap(logits: Tensor, parsing: Tensor) -> Float[Tensor, " b"]:
    """Intersection over union of the masks."""
    found = logits > 0
    true = torch.nn.functional.interpolate(parsing, size=logits.shape[-2:], mode="area") > 0.5
    union = (found | true).sum(dim=(1, 2, 3)).clamp(min=1)
    return (found & true).sum(dim=(1, 2, 3)) / union
