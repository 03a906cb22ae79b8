"""What a caller may choose by name: one list for the library and the command line.

Nothing heavy is imported here, so that the command line can show the choices at once.
"""

from __future__ import annotations

from typing import Literal

TopologyName = Literal["open", "source"]
"""Whether a result also has the mesh that the face model has of its own."""

UvSize = Literal[256, 512, 1024, 2048]
"""Texels along an edge of the albedo map."""

DeviceName = Literal["auto", "cpu", "cuda"]
"""Where networks run; ``auto`` takes a GPU if there is one."""
