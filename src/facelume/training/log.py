"""What a training says of itself: JSON lines, TensorBoard and pictures."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

METRICS_NAME = "metrics.jsonl"
TENSORBOARD_NAME = "tensorboard"
PICTURES_NAME = "pictures"

_LOG = logging.getLogger(__name__)


class TrainingLog:
    """Writes metrics and pictures of one training into its folder.

    Lines and events of steps that come after the one that the training goes on from are dropped: they belong
    to a run that was killed after its last checkpoint, and those steps are done again.

    Args:
        folder: Output folder of the training.
        step: Steps that are done already.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._folder = folder
        self._path = folder / METRICS_NAME
        if self._path.is_file():
            _keep_lines_until(self._path, step)
        self._events = SummaryWriter(str(folder / TENSORBOARD_NAME), purge_step=step + 1)

    def metrics(self, kind: str, step: int, elapsed_s: float, values: Mapping[str, float]) -> None:
        """Write one line, and one scalar each.

        Args:
            kind: ``training`` or ``validation``.
            step: Steps done.
            elapsed_s: Seconds spent in steps so far.
            values: By name.
        """
        rounded = {name: round(value, 6) for name, value in values.items()}
        line = {"kind": kind, "step": step, "elapsed_s": round(elapsed_s, 1), **rounded}
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        for name, value in values.items():
            self._events.add_scalar(f"{kind}/{name}", value, step)
        _LOG.info("%s", line)

    def pictures(self, step: int, pictures: Mapping[str, UInt8[np.ndarray, "_ _ 3"]]) -> None:
        """Write ``pictures/<name>.png`` (the newest of each name) and keep each step in TensorBoard."""
        for name, picture in pictures.items():
            path = self._folder / PICTURES_NAME / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
            self._events.add_image(name, picture, step, dataformats="HWC")

    def close(self) -> None:
        """Flush what is buffered."""
        self._events.close()


def _keep_lines_until(path: Path, step: int) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
    if len(kept) != len(lines):
        partial = path.with_suffix(".partial")
        partial.write_text("".join(kept), encoding="utf-8")
        partial.replace(path)
