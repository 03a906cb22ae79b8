"""Names that later versions will fill: answered when someone uses them, absent from ``--help`` until then."""

from __future__ import annotations

from collections.abc import Sequence

from facelume.cli.reporting import say
from facelume.errors import UsageError

RESERVED_COMMANDS = {"app": "facelume app", "preprocess": "facelume preprocess FOLDER --out DIR"}
"""Commands that this version does not have, with their usage."""

RESERVED_OPTIONS = {"reconstruct": {"--engine": "local"}, "evaluate": {"--experiment": "reconstruction"}}
"""Options of a command whose only value in this version is the given one."""


def answer_reserved(arguments: Sequence[str]) -> bool:
    """Answers a reserved command; returns whether the command line was one that asked for its help.

    Raises:
        UsageError: A reserved command is to run.
    """
    command = arguments[0] if arguments else ""
    if command not in RESERVED_COMMANDS:
        return False
    answer = f"`facelume {command}` is not part of this version; the name is reserved"
    if not {"-h", "--help"} & set(arguments):
        raise UsageError(answer)
    say(f"usage: {RESERVED_COMMANDS[command]}\n\n{answer}")
    return True


def without_reserved_options(arguments: Sequence[str]) -> list[str]:
    """Takes out options that have one value in this version, after a look at that value.

    Raises:
        UsageError: Another value is given, or none.
    """
    reserved = RESERVED_OPTIONS.get(arguments[0], {}) if arguments else {}
    kept: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        option, has_value, value = argument.partition("=")
        if option not in reserved:
            kept.append(argument)
            continue
        given = value if has_value else next(rest, "")
        if given != reserved[option]:
            raise UsageError(
                f"{option} {given} is not part of this version; leave {option} out, "
                f"its only value is {reserved[option]}"
            )
    return kept
