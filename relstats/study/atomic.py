"""Folders that appear beside a study whole or not at all: written in a scratch folder, then moved
into place.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from relstats.errors import UsageError

_SCRATCH = ".relstats-"
#: A scratch folder of this age belongs to no running command: they live for seconds.
_STALE_SECONDS = 24 * 3600.0
_ATTEMPTS = 20


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """A folder beside the study, on the same file system, so that a rename into it is atomic."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name[:100]}{_SCRATCH}", dir=path.parent))
    except OSError as error:
        raise UsageError(
            f"cannot write {str(path)!r}: {error.strerror} ({str(error.filename)!r}). Choose"
            " another path"
        ) from error
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def sweep(path: Path) -> None:
    """Remove what commands that were killed left beside the study, once it is so old that none can
    still use it.
    """
    prefix = f".{path.name[:100]}{_SCRATCH}"
    for left in path.parent.iterdir() if path.parent.is_dir() else ():
        with suppress(OSError):  # another command may be sweeping it too
            if (
                left.name.startswith(prefix)
                and time.time() - left.lstat().st_mtime > _STALE_SECONDS
            ):
                shutil.rmtree(left, ignore_errors=True)


def commit(new: Path, target: Path) -> bool:
    """Move a folder to its place unless one is there already (another process was faster): True
    where it was moved.
    """
    try:
        os.rename(new, target)
    except OSError:
        if not target.exists():
            raise
        return False
    return True


def replace(new: Path, target: Path, old: Path) -> None:
    """Move a folder to its place.

    What is there goes to `old` (a scratch folder), whoever put it there.
    """
    for attempt in range(_ATTEMPTS):
        if target.exists():
            with suppress(FileNotFoundError):  # another process moved it first
                os.rename(target, old.with_name(f"{old.name}-{attempt}"))
        if commit(new, target):
            return
    raise UsageError(
        f"{str(target)!r} is being written by another command. Try again when it has ended"
    )
