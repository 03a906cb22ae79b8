"""How commands talk: results on stdout, log and progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from facelume.errors import FacelumeError

if TYPE_CHECKING:
    from rich.progress import Progress

    from facelume.training.loop import StepReport

OPTIONS = {
    "coarse": "--coarse",
    "data": "--data",
    "device": "--device",
    "face_model": "--face-model",
    "light": "--light",
    "light_from": "--light-from",
    "out": "--out",
    "overwrite": "--overwrite",
    "shadows": "--shadows",
    "split": "--split",
    "target": "--out",
    "topology": "--topology",
}
"""The option that stands for each argument that an error of the library may ask to change."""


def with_options(error: FacelumeError) -> str:
    """The error's line, with the options that stand for the arguments it asks to change."""
    options = [OPTIONS[name] for name in error.arguments if name in OPTIONS]
    return f"{error} ({', '.join(options)})" if options else str(error)


def say(line: str) -> None:
    """Writes one line of result to stdout."""
    sys.stdout.write(line + "\n")


def log(line: str) -> None:
    """Writes one line of log to stderr."""
    sys.stderr.write(line + "\n")


def say_json(document: Any) -> None:
    """Writes one JSON document to stdout."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    say(text.encode("utf-8", "replace").decode())  # names that are no UTF-8 get question marks


def say_table(rows: list[tuple[str, ...]]) -> None:
    """Writes rows with aligned columns to stdout; the last column is not padded."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        say("  ".join([*cells, row[-1]]).rstrip())


@contextmanager
def progress(description: str, total: int) -> Iterator[tuple["Progress", Any]]:
    """A progress bar on stderr, silent where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        yield bar, bar.add_task(description, total=total)


@contextmanager
def training_progress(description: str) -> Iterator[Callable[["StepReport"], None]]:
    """A bar of steps with throughput and time left on stderr; silent where stderr is no terminal."""
    with progress(description, 1) as (bar, task):

        def show(report: "StepReport") -> None:
            text = f"{description} {report.samples_per_s:.1f} samples/s"
            bar.update(task, completed=report.step, total=report.num_steps, description=text)

        yield show
