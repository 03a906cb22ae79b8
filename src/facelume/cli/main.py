"""Entry point: the commands, and how errors become one line and an exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from facelume.cli.evaluate import Evaluate
from facelume.cli.inspect import Doctor, FaceModels, Lights, Weights
from facelume.cli.reconstruct import Reconstruct
from facelume.cli.relight import Relight
from facelume.cli.reporting import log, with_options
from facelume.cli.reserved import answer_reserved, without_reserved_options
from facelume.cli.train import Train
from facelume.errors import FacelumeError

Command = (
    Annotated[Reconstruct, tyro.conf.subcommand("reconstruct")]
    | Annotated[Relight, tyro.conf.subcommand("relight")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Doctor, tyro.conf.subcommand("doctor")]
    | Annotated[Weights, tyro.conf.subcommand("weights")]
    | Annotated[FaceModels, tyro.conf.subcommand("face-model")]
    | Annotated[Lights, tyro.conf.subcommand("lights")]
)


def parse(arguments: Sequence[str]) -> Command:
    """Reads a command line; one that cannot be read ends the process with status 2 and says what is wrong.

    Args:
        arguments: Command line without the program's name.

    Raises:
        UsageError: A reserved option asks for what this version does not have.
    """
    return tyro.cli(
        Command,
        prog="facelume",
        description="One photo of a face in; light-free albedo, its light and a rigged mesh out.",
        args=without_reserved_options(arguments),
        config=(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitSubcommandPrefixes),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: Command line without the program's name; default: the process's.

    Returns:
        Exit status: 0 ok, 1 some photos of a batch failed, 2 usage, 3 no face, 4 weights or assets,
        5 unreadable input, 130 interrupted.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="surrogateescape")  # file names come out as the bytes they are
    # Waiting threads sleep soon: where others share the cores, spinning ones cost ten times the work.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    line = sys.argv[1:] if arguments is None else arguments
    try:
        if answer_reserved(line):
            return 0
        return parse(line).run()
    except FacelumeError as error:
        log(f"facelume: {with_options(error)}")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("facelume: interrupted\n")
        return 130
    except BrokenPipeError:
        # The reader of our output has gone; keep Python from writing to it again on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
