"""``facelume preprocess``: the name is reserved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from facelume.errors import UsageError


@dataclass(frozen=True)
class Preprocess:
    """Prepare a folder of photos for training (not part of this version)."""

    folder: Positional[Path]
    """Folder of photos."""
    out: Path
    """Folder to write to."""

    def run(self) -> int:
        """Refuses: this version has no such command."""
        raise UsageError("`facelume preprocess` is not part of this version; the name is reserved")
