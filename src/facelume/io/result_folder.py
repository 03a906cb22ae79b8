"""A result folder appears whole or not at all; its ``result.json`` tells what it was made from."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from facelume.errors import UnreadableInputError, UsageError

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
    require_replaceable(target, overwrite=overwrite)
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        fill(partial)
        if target.exists():
            retired = target.with_name(f".{target.name}.retired-{os.getpid()}")
            target.rename(retired)
            partial.rename(target)
            shutil.rmtree(retired)
        else:
            partial.rename(target)
    except OSError as error:
        raise UsageError(
            f"{target}: cannot be written ({error.strerror or error}); choose another folder",
            arguments=("target",),
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


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
