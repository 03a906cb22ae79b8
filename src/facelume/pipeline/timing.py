"""How long each stage of a reconstruction takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class StageTimer:
    """Wall-clock seconds per stage, summed where a stage is entered again.

    Attributes:
        seconds: Stage name to seconds, in the order in which the stages were first entered.
    """

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Books the time spent inside the ``with`` block on a stage, also where the block raises."""
        since = time.perf_counter()
        self.seconds.setdefault(name, 0.0)
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - since
