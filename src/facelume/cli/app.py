"""``facelume app``: the name is reserved."""

from __future__ import annotations

from dataclasses import dataclass

from facelume.errors import UsageError


@dataclass(frozen=True)
class App:
    """Open facelume in a browser (not part of this version)."""

    def run(self) -> int:
        """Refuses: this version has no such command."""
        raise UsageError("`facelume app` is not part of this version; the name is reserved")
