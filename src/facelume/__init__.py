"""facelume: one photo of a face in; light-free albedo, per-texel light and a rigged mesh out.

The public names are imported on first use, so that ``import facelume`` stays fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facelume.pipeline import Reconstruction, Reconstructor, reconstruct

__all__ = ["Reconstruction", "Reconstructor", "reconstruct"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from facelume import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module 'facelume' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
