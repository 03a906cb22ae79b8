"""What a killed run leaves beside its results, cleared away or put back by the next one.

A result is filled in a working folder ``.<name>.partial-<owner>`` and, where it replaces another, that one
waits in ``.<name>.retired-<owner>`` for a moment. The owner is host, process and a number drawn at start, so
that the next process knows whether somebody still works there, also where process numbers are given again.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Literal

_HOST = hashlib.sha256(platform.node().encode("utf-8", "replace")).hexdigest()[:8]
_RUN = os.urandom(4).hex()
_WORKING = re.compile(
    r"\.(?P<name>.+)\.(?P<kind>partial|retired)-(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-(?P<run>[0-9a-f]{8})"
)
_ABANDONED_AFTER_S = 3600.0
"""Age from which a working folder belongs to nobody, where its process cannot be asked for."""


def working_folder(target: Path, kind: Literal["partial", "retired"]) -> Path:
    """Where this process fills ``target``, or keeps what stood there until it is replaced."""
    return target.with_name(f".{target.name}.{kind}-{_HOST}-{os.getpid()}-{_RUN}")


def clear_leftovers(folder: Path) -> list[Path]:
    """Removes the working folders of killed runs; a result that was being replaced in vain is put back.

    Working folders of processes that live, here or elsewhere, are left alone; so is what cannot be changed.

    Args:
        folder: Folder of results; it need not exist.

    Returns:
        The results put back.
    """
    restored = []
    for place, name, kind in _abandoned(folder):
        target = folder / name
        try:
            if kind == "retired" and not os.path.lexists(target):
                place.rename(target)
                restored.append(target)
                continue
        except OSError:  # another process was faster, or may and we may not
            continue
        shutil.rmtree(place, ignore_errors=True)
    return restored


def _abandoned(folder: Path) -> list[tuple[Path, str, str]]:
    """Working folders without a living owner: place, name of the result, kind; the newest first."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                match = _WORKING.fullmatch(entry.name)
                if match is None or not entry.is_dir(follow_symlinks=False):
                    continue
                changed_s = entry.stat(follow_symlinks=False).st_mtime
                if not _has_owner(match["host"], int(match["pid"]), match["run"], changed_s):
                    found.append((changed_s, Path(entry.path), match["name"], match["kind"]))
    except OSError:
        return []
    return [(place, name, kind) for _, place, name, kind in sorted(found, reverse=True)]


def _has_owner(host: str, pid: int, run: str, changed_s: float) -> bool:
    if host != _HOST or sys.platform == "win32":  # os.kill(pid, 0) would end the process there
        return run == _RUN or time.time() - changed_s < _ABANDONED_AFTER_S
    if pid == os.getpid():
        return run == _RUN
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
