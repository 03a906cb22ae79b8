"""Draw and prepare the faces of a refiner's run file without training: a part of them, or all.

    python tools/prepare_refiner_faces.py RUN_FILE --part 0/2

What is there already is kept, and a broken-off run goes on where it stopped. Several processes may share the
work, each with its own part; the training then finds every face prepared.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from facelume.errors import UsageError
from facelume.face_model import load_open_face_model
from facelume.training.config import read_run_file
from facelume.training.refiner.config import RefinerTrainingConfig
from facelume.training.refiner.shards import prepare_part


def part_of(text: str) -> tuple[int, int]:
    """Number of a part, from 0, and how many parts there are, of a text like ``0/2``.

    Raises:
        UsageError: The text is not of that form, or there is no such part.
    """
    first, _, second = text.partition("/")
    if not (first.isdecimal() and second.isdecimal() and int(first) < int(second)):
        raise UsageError(f"--part must be like 0/2 (the first of two), not {text!r}")
    return int(first), int(second)


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_file", type=Path, metavar="RUN_FILE", help="JSON of a refiner's training")
    parser.add_argument("--part", default="0/1", help="which of how many parts; default: all")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    return parser


def main() -> None:
    """Run the tool."""
    arguments = command_line().parse_args()
    torch.set_num_threads(arguments.threads)
    config = read_run_file(arguments.run_file, RefinerTrainingConfig)
    prepare_part(config, load_open_face_model(), *part_of(arguments.part))


if __name__ == "__main__":
    main()
