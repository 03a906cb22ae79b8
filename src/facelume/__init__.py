"""facelume: one photo of a face in; light-free albedo, per-texel light and a rigged mesh out.

    from facelume import Reconstructor

    face = Reconstructor(uv_size=1024).reconstruct("photo.jpg")
    face.save("out/photo")

Reconstructing: :func:`reconstruct`, :class:`Reconstructor`, :class:`Reconstruction` and its :class:`Mesh`,
:class:`FaceCamera`. Rendering again: :func:`relight`, :func:`read_result`, :class:`SavedResult`,
:func:`light_presets`. Own parts: :class:`FaceLocator` finds faces as :class:`FaceDetection`;
:func:`load_face_model`, :func:`registered_face_model`. Every error is a :class:`FacelumeError`.

The names are imported on first use, so that ``import facelume`` stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from facelume.errors import AssetError, FacelumeError, NoFaceError, UnreadableInputError, UsageError
from facelume.version import __version__

if TYPE_CHECKING:
    from facelume.detection import FaceLocator
    from facelume.face_model.sources import load_face_model
    from facelume.illumination import light_presets
    from facelume.pipeline import (
        FaceCamera,
        Reconstruction,
        Reconstructor,
        SavedResult,
        read_result,
        reconstruct,
        relight,
    )
    from facelume.registration import registered_face_model
    from facelume.types import FaceDetection, Mesh

__all__ = [
    "AssetError",
    "FaceCamera",
    "FaceDetection",
    "FaceLocator",
    "FacelumeError",
    "Mesh",
    "NoFaceError",
    "Reconstruction",
    "Reconstructor",
    "SavedResult",
    "UnreadableInputError",
    "UsageError",
    "__version__",
    "light_presets",
    "load_face_model",
    "read_result",
    "reconstruct",
    "registered_face_model",
    "relight",
]

_HOMES = {
    "FaceCamera": "facelume.pipeline",
    "FaceDetection": "facelume.types",
    "FaceLocator": "facelume.detection",
    "Mesh": "facelume.types",
    "Reconstruction": "facelume.pipeline",
    "Reconstructor": "facelume.pipeline",
    "SavedResult": "facelume.pipeline",
    "light_presets": "facelume.illumination",
    "load_face_model": "facelume.face_model.sources",
    "read_result": "facelume.pipeline",
    "reconstruct": "facelume.pipeline",
    "registered_face_model": "facelume.registration",
    "relight": "facelume.pipeline",
}
"""Where the names live that are imported on first use."""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'facelume' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
