"""``facelume evaluate``: reconstruct a folder of photos and measure the results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from facelume.choices import DeviceName, UvSize
from facelume.cli.reporting import log, progress, say, say_json


@dataclass(frozen=True)
class Evaluate:
    """Measure facelume on a folder of photos; writes summary.json and photos.jsonl."""

    data: Path
    """Folder of photo sets, as `docs/benchmarks.md` describes it."""
    out: Path
    """Folder for figures and results."""
    split: Literal["all", "validation"] = "all"
    """Measure everyone, or only the people held out of training."""
    limit: int = 0
    """At most this many photos per set; 0 means all."""
    face_model: str = "open"
    """Face model, or a folder with its files; all but "open" need files of yours: `facelume face-model`."""
    uv_size: UvSize = 256
    """Texels along an edge of the albedo map."""
    device: DeviceName = "auto"
    """Where networks run."""
    json: bool = False
    """Print summary.json instead of its place."""

    def run(self) -> int:
        """Evaluates; the exit status is 1 if photos could not be read."""
        from facelume.evaluation import EvaluationOptions, describe_unread, evaluate
        from facelume.pipeline import Reconstructor

        options = EvaluationOptions(
            split=self.split, limit=self.limit, uv_size=self.uv_size, face_model=self.face_model
        )
        for line in describe_unread(self.data):
            log(line)
        with progress("photos", 1) as (bar, task):
            summary = evaluate(
                self.data,
                self.out,
                options,
                reconstructor=Reconstructor(
                    device=self.device, uv_size=self.uv_size, face_model=self.face_model
                ),
                on_photo=lambda done, total: bar.update(task, completed=done, total=total),
            )
        if self.json:
            say_json(summary)
        else:
            say(str(self.out / "summary.json"))
        for failure in summary["failures"]:
            log(f"facelume: failed: {failure['error']}")
        return 1 if summary["failures"] else 0
