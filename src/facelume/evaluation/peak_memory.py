"""The most memory that this process has held at one time."""

from __future__ import annotations

import sys


def peak_memory_bytes() -> int | None:
    """Peak resident memory of this process, bytes; None on Windows, which does not tell it to Python.

    Linux and the BSDs count in KiB, macOS in bytes (``getrusage(2)`` of each).
    """
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
