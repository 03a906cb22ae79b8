"""Training checkpoints as safetensors: Fabric gathers the state, this file decides how it lies on disk."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from lightning_fabric.plugins import CheckpointIO
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from facelume.errors import UsageError

CHECKPOINT_NAME = "checkpoint.safetensors"
_LAYOUT = "layout"


class SafetensorsCheckpoint(CheckpointIO):
    """Writes a nested state of tensors and JSON values as one safetensors file, whole or not at all.

    Tensors are entries of the file, named by their place (``network/encoder.0.weight``); everything else, and
    the nesting itself, is one JSON document in the metadata. Nothing is pickled.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write the state; the file is replaced only when the new one is whole."""
        tensors: dict[str, Tensor] = {}
        layout = _take_apart(checkpoint, "", tensors)
        partial = Path(path).with_suffix(".partial")
        save_file(tensors, partial, metadata={_LAYOUT: json.dumps(layout)})
        os.replace(partial, path)

    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a state back, on the CPU.

        Raises:
            UsageError: The file is damaged or no checkpoint of this version.
        """
        try:
            with safe_open(path, framework="pt") as archive:
                layout = json.loads((archive.metadata() or {})[_LAYOUT])
                tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118 - no mapping
            state: dict[str, Any] = _put_together(layout, tensors)
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise UsageError(
                f"cannot go on from {path}: it is damaged or of another version ({_first_line(error)}); "
                f"choose another output folder"
            ) from error
        return state

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete the file, if it is there."""
        Path(path).unlink(missing_ok=True)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _take_apart(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    """Replace tensors by their names and mappings by pairs, so that JSON can hold the rest."""
    if isinstance(value, Tensor):
        tensors[place] = value.detach().cpu().contiguous().clone()
        return {"tensor": place}
    if isinstance(value, dict):
        places = {key: f"{place}/{key}".lstrip("/") for key in value}
        return {"items": [[key, _take_apart(item, places[key], tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_take_apart(item, f"{place}/{index}", tensors) for index, item in enumerate(value)]}
    return {"value": value}


def _put_together(layout: Any, tensors: dict[str, Tensor]) -> Any:
    kind, content = next(iter(layout.items()))
    if kind == "tensor":
        return tensors[content]
    if kind == "items":
        return {key: _put_together(item, tensors) for key, item in content}
    if kind == "list":
        return [_put_together(item, tensors) for item in content]
    return content
