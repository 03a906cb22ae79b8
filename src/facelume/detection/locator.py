"""The built-in face locator: our network on a picture pyramid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from facelume.detection.protocol import largest_first
from facelume.detection.suppression import merge_weights, suppress_overlaps
from facelume.errors import UsageError
from facelume.geometry import box_size
from facelume.networks.builders import LOCATOR_BUILDERS
from facelume.networks.locator import STRIDE_PX, LocatorNetwork
from facelume.types import FaceDetection
from facelume.weights import build_and_load

_PADDING_PX = 16
_MIN_LEVEL_PX = 32
_MIN_TOP_PX = 64
_FIRST_PASS_PX = 960
_MIN_FACE_PX, _MAX_FACE_PX = 9.0, 110.0
# What scores less is not looked at more closely.
_LEAST_CANDIDATE_SCORE = 0.03


@dataclass(frozen=True)
class Candidates:
    """Unsorted, overlapping detections in photo pixels.

    Attributes:
        boxes_px: Left, top, right, bottom.
        points_px: Five points each.
        logits: Centre logits before calibration.
    """

    boxes_px: Float[np.ndarray, "n 4"]
    points_px: Float[np.ndarray, "n 5 2"]
    logits: Float[np.ndarray, " n"]


class NetworkLocator:
    """Finds faces of about 11 px and more, also where a face fills the picture or exceeds it.

    The photo is searched at long sides of 960 px (or its own, if smaller), 480, 240, ... down to 32..64 px.
    Finer levels, up to ``finest_px``, follow only if nothing was found, or always with ``exhaustive``.

    Args:
        network: Trained network, on the device where it shall run; its configuration carries calibration and
            threshold.
        threshold: Smallest score that counts; default: the network's working threshold.
        exhaustive: Look for small faces even where a large one was found.
        finest_px: Long side of the finest level.
    """

    def __init__(
        self,
        network: LocatorNetwork,
        *,
        threshold: float | None = None,
        exhaustive: bool = False,
        finest_px: int = 1920,
    ) -> None:
        self._network = network.eval()
        self._threshold = network.config.threshold if threshold is None else threshold
        self._exhaustive = exhaustive
        self._finest_px = finest_px

    @classmethod
    def load(
        cls,
        weights: str = "locator",
        *,
        exhaustive: bool = False,
        folder: Path | None = None,
        device: torch.device | str = "cpu",
    ) -> NetworkLocator:
        """Build the locator from a weight record.

        Args:
            weights: Id of a record, or ``"locator"`` for the default one.
            exhaustive: See the class.
            folder: Folder of weights searched before the package's.
            device: Where the network runs.

        Raises:
            AssetError: The weights are missing, damaged or do not fit.
        """
        network, _ = build_and_load(weights, LOCATOR_BUILDERS, folder=folder)
        return cls(network.to(device), exhaustive=exhaustive)

    def locate(self, photo_srgb: UInt8[np.ndarray, "H W 3"]) -> list[FaceDetection]:
        """Return the faces of an upright photo, largest first; scores are calibrated probabilities.

        Raises:
            UsageError: The photo has no pixels.
        """
        return largest_first(self._detections(self.search(photo_srgb)))

    def candidates(
        self, photo_srgb: UInt8[np.ndarray, "H W 3"], *, most: int, least_px: float
    ) -> list[FaceDetection]:
        """Return what could be a face, the likeliest first; see :class:`CandidateLocator`.

        Raises:
            UsageError: The photo has no pixels.
        """
        min_logit = self._logit_of(_LEAST_CANDIDATE_SCORE)
        found = self._detections(self.search(photo_srgb, min_logit=min_logit, may_contain=True))
        return [face for face in found if box_size(np.array(face.box_px)) >= least_px][:most]

    def _detections(self, found: Candidates) -> list[FaceDetection]:
        config = self._network.config
        logits = found.logits.astype(np.float64)
        scores = 1.0 / (1.0 + np.exp(-(config.score_slope * logits + config.score_offset)))
        return [
            FaceDetection(
                box_px=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
                points_px=points,
                score=float(score),
            )
            for box, points, score in zip(found.boxes_px, found.points_px, scores, strict=True)
        ]

    def _logit_of(self, score: float) -> float:
        """The centre logit that calibration turns into a score."""
        config = self._network.config
        return (float(np.log(score / (1 - score))) - config.score_offset) / config.score_slope

    def search(
        self,
        photo_srgb: UInt8[np.ndarray, "H W 3"],
        *,
        min_logit: float | None = None,
        may_contain: bool = False,
    ) -> Candidates:
        """Detections after suppression of overlaps, best first.

        Args:
            photo_srgb: Upright photo.
            min_logit: Smallest logit that counts; default: the one of the threshold.
            may_contain: Keep a box that lies inside a better one, or around it.

        Raises:
            UsageError: The photo has no pixels.
        """
        height, width = photo_srgb.shape[:2]
        if min(height, width) < 1:
            raise UsageError(f"cannot look for faces in a photo of {width} x {height} pixels")
        if min_logit is None:
            min_logit = self._logit_of(self._threshold)
        long_side = max(height, width)
        top = max(_MIN_TOP_PX, min(_FIRST_PASS_PX, long_side))
        coarse = [top / 2**k for k in range(12) if top / 2**k >= _MIN_LEVEL_PX]
        finest = float(min(self._finest_px, long_side))
        fine = [side for side in (top * 2.0**k for k in range(1, 8)) if side / 2 < finest]
        fine = [min(side, finest) for side in fine]
        found = _search_levels(self._network, photo_srgb, coarse, min_logit)
        if fine and (self._exhaustive or len(found.logits) == 0):
            found = _join([found, _search_levels(self._network, photo_srgb, fine[::-1], min_logit)])
        return _select(found, may_contain=may_contain)


def _search_levels(
    network: LocatorNetwork, photo_srgb: UInt8[np.ndarray, "H W 3"], sides_px: list[float], min_logit: float
) -> Candidates:
    """All peaks of the network on pictures of the given long sides (finest first)."""
    height, width = photo_srgb.shape[:2]
    picture = _reduced(photo_srgb, sides_px[0])
    found = []
    for side in sides_px:
        scale = side / max(height, width)
        extent = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = picture.resize(extent, Image.Resampling.BILINEAR)
        found.append(
            _run_level(network, np.asarray(picture), (width / extent[0], height / extent[1]), min_logit)
        )
    return _join(found)


def _reduced(photo_srgb: UInt8[np.ndarray, "H W 3"], side_px: float) -> Image.Image:
    """The photo as a Pillow picture; a huge one is first thinned to 3 x ``side_px``, to save memory."""
    step = max(1, int(max(photo_srgb.shape[:2]) / (3 * side_px)))
    start = (step - 1) // 2
    return Image.fromarray(np.ascontiguousarray(photo_srgb[start::step, start::step]))


def _run_level(
    network: LocatorNetwork,
    picture: UInt8[np.ndarray, "h w 3"],
    photo_from_level: tuple[float, float],
    min_logit: float,
) -> Candidates:
    """Peaks of one level, in photo pixels; the level is padded by repeating its edge."""
    height, width = picture.shape[:2]
    right, bottom = (_PADDING_PX + (-side) % STRIDE_PX for side in (width, height))
    padded = np.pad(picture, ((_PADDING_PX, bottom), (_PADDING_PX, right), (0, 0)), mode="edge")
    device = next(network.parameters()).device
    batch = torch.from_numpy(padded).to(device).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        output = network(batch.contiguous(memory_format=torch.channels_last))
        logits = output.centre_logits
        is_peak = (logits >= torch.nn.functional.max_pool2d(logits[:, None], 3, 1, 1)[:, 0]) & (
            logits >= min_logit
        )
        rows, columns = torch.nonzero(is_peak[0], as_tuple=True)
        boxes = output.box_px[0, :, rows, columns].T.numpy(force=True).astype(np.float64)
        points = output.points_px[0, :, :, rows, columns].permute(2, 0, 1)
        points = points.numpy(force=True).astype(np.float64)
        peaks = logits[0, rows, columns].numpy(force=True).astype(np.float64)
    size = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 - _PADDING_PX
    is_inside = ((centre > 0) & (centre < (width, height))).all(axis=1)
    kept = (size >= _MIN_FACE_PX) & (size <= _MAX_FACE_PX) & is_inside
    scale = np.array(photo_from_level)
    return Candidates(
        boxes_px=(boxes[kept] - _PADDING_PX) * np.tile(scale, 2),
        points_px=(points[kept] - _PADDING_PX) * scale,
        logits=peaks[kept],
    )


def _join(parts: list[Candidates]) -> Candidates:
    return Candidates(
        boxes_px=np.concatenate([part.boxes_px for part in parts]),
        points_px=np.concatenate([part.points_px for part in parts]),
        logits=np.concatenate([part.logits for part in parts]),
    )


def _select(candidates: Candidates, *, may_contain: bool) -> Candidates:
    """The best of each group of overlapping detections, its box and points averaged with those that agree."""
    limits = {"max_contained": 1.0} if may_contain else {}
    kept = suppress_overlaps(candidates.boxes_px, candidates.logits, **limits)
    weights = merge_weights(candidates.boxes_px, candidates.logits, kept)
    return Candidates(
        boxes_px=weights @ candidates.boxes_px,
        points_px=np.einsum("kn,npc->kpc", weights, candidates.points_px),
        logits=candidates.logits[kept],
    )
