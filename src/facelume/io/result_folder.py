"""A result folder appears whole or not at all; its ``result.json`` tells what it was made from."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from facelume.errors import UnreadableInputError, UsageError
from facelume.io.leftovers import clear_leftovers, working_folder

MANIFEST_NAME = "result.json"
SCHEMA_VERSION = 1


def publish(target: Path, fill: Callable[[Path], None], *, overwrite: bool = False) -> None:
    """Fills a temporary sibling folder and renames it to ``target``.

    Args:
        target: Folder to appear; its parents are made.
        fill: Writes the files into the folder it is given. If it raises, nothing is left behind.
        overwrite: Replace an existing result. A folder that holds something else is never replaced.

    Raises:
        UsageError: ``target`` exists and may not be replaced, or cannot be written.
    """
    _clear_leftovers_once(target.parent.absolute())
    require_replaceable(target, overwrite=overwrite)
    partial = working_folder(target, "partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        fill(partial)
        _put_in_place(partial, target)
    except OSError as error:
        raise UsageError(
            f"{target}: cannot be written ({error.strerror or error}); choose another folder",
            arguments=("target",),
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@functools.lru_cache(maxsize=256)
def _clear_leftovers_once(folder: Path) -> None:
    """Looks for leftovers of killed runs once per folder and process: a folder may hold a million results."""
    clear_leftovers(folder)


def _put_in_place(partial: Path, target: Path) -> None:
    """Renames; what stood there comes back if that fails, and by ``clear_leftovers`` if we are killed."""
    if not target.exists():
        partial.rename(target)
        return
    retired = working_folder(target, "retired")
    with contextlib.suppress(OSError):
        os.utime(target)  # as a working folder it is new: other hosts tell by its age whether it has an owner
    target.rename(retired)
    try:
        partial.rename(target)
    except BaseException:
        retired.rename(target)
        raise
    shutil.rmtree(retired, ignore_errors=True)


def require_replaceable(target: Path, *, overwrite: bool) -> None:
    """Raises UsageError if something stands where a result should go and may not be replaced."""
    if os.path.isdir(target):
        try:
            is_empty = not any(target.iterdir())
        except OSError as error:
            raise UsageError(
                f"{target}: cannot be read ({error.strerror or error}); choose another folder",
                arguments=("target",),
            ) from error
        if is_empty:
            return
        if not os.path.isfile(target / MANIFEST_NAME):
            raise UsageError(
                f"{target}: exists and is not a facelume result; choose another folder", arguments=("target",)
            )
        if not overwrite:
            raise UsageError(
                f"{target}: already holds another or an incomplete result; pass overwrite=True",
                arguments=("overwrite",),
            )
    elif os.path.exists(target):
        raise UsageError(f"{target}: is a file; choose another folder", arguments=("target",))


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Writes ``result.json``; values that JSON cannot hold (NaN, infinity) are refused with ValueError."""
    text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False)
    # A file name that is no UTF-8 gets question marks; its photo is known by its hash.
    (folder / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8", errors="replace")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Returns the content of a result folder's ``result.json``.

    Raises:
        UnreadableInputError: The folder is no result, or one of another schema version.
    """
    path = folder / MANIFEST_NAME
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnreadableInputError(f"{folder}: is not a result ({MANIFEST_NAME} cannot be read)") from error
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if version != SCHEMA_VERSION:
        raise UnreadableInputError(
            f"{folder}: result has schema_version {version}, this facelume reads {SCHEMA_VERSION}; "
            f"reconstruct the photo again"
        )
    return manifest
