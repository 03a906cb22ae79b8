"""The command line: parse, call, report. Nothing heavy is imported before a command runs."""

from facelume.cli.main import main

__all__ = ["main"]
