"""The exception tree of facelume and the exit code that the command line gives each branch."""

from __future__ import annotations


class FacelumeError(Exception):
    """Base of every error that facelume raises on purpose.

    The message says what went wrong, where, and what to do about it, in one line, in the words of a Python
    caller; the command line adds the options that stand for ``arguments``.

    Args:
        message: The line.
        arguments: Names of the arguments to change.

    Attributes:
        exit_code: Exit status of the command line when this error ends it.
        arguments: Names of the Python arguments that the message asks to change, if any.
    """

    exit_code: int = 2

    def __init__(self, message: str = "", *, arguments: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.arguments = arguments


class UsageError(FacelumeError):
    """The call itself is wrong: an unknown option value, two inputs with one name, a missing folder."""

    exit_code = 2


class NoFaceError(FacelumeError):
    """No face was found in a readable photo."""

    exit_code = 3


class AssetError(FacelumeError):
    """Weights, a face model or another asset is missing, damaged or does not fit the rest."""

    exit_code = 4


class UnreadableInputError(FacelumeError):
    """An input file cannot be read: empty, truncated, not a picture, or no permission."""

    exit_code = 5
