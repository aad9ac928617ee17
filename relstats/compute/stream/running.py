"""What the writers of a study share: work split among workers, what is read ahead, one writer at a
time, a full disk.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from relstats.compute.stream import batches
from relstats.errors import UsageError
from relstats.study import shards

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def share[Work](work: Sequence[Work], worker: tuple[int, int]) -> list[Work]:
    """A worker's part: neighbours, so that it loads as few networks as possible.

    The same whatever is done already.

    Examples
    --------
    >>> share("abcde", (0, 2)), share("abcde", (1, 2))
    (['a', 'b'], ['c', 'd', 'e'])
    """
    k, n = worker
    return list(work[len(work) * k // n : len(work) * (k + 1) // n])


def read_ahead[Item, Value](
    items: Iterable[Item], read: Callable[[Item], Value]
) -> Iterator[tuple[Item, Value]]:
    """Each item and what is read for it, in order; the next is read by a thread while one is used.

    Examples
    --------
    >>> list(read_ahead("ab", str.upper))
    [('a', 'A'), ('b', 'B')]
    """
    with ThreadPoolExecutor(1) as thread:
        ahead: list = []
        for item in items:
            ahead.append((item, thread.submit(read, item)))
            if len(ahead) > 1:
                first, found = ahead.pop(0)
                yield first, found.result()
        for last, found in ahead:
            yield last, found.result()


def write_behind(out: Path, finished: Iterable[tuple[shards.Shard, dict[str, np.ndarray]]]) -> None:
    """Write each shard by a thread, while the next is made."""
    with ThreadPoolExecutor(1) as thread:
        writing: Future[None] | None = None
        for shard, arrays in finished:
            if writing:
                writing.result()
            writing = thread.submit(shards.write_shard, out, shard, arrays)
        if writing:
            writing.result()


def record_batch(out: Path, group: str, which: str, batch: int) -> None:
    """Note a smaller batch in the attributes of a group, before what it gave is written: it moves
    last digits.
    """
    with alone(out / group):
        attrs = zarr.open_group(str(out), mode="r+", use_consolidated=False)[group].attrs
        noted = {**json.loads(str(attrs.get("batch_reduced", "{}"))), which: batch}
        attrs["batch_reduced"] = json.dumps(noted, sort_keys=True)


def in_memory[Found](
    out: Path,
    group: str,
    told: tuple[str, str],
    task: Callable[[int], Found],
    batch: int,
    full: int,
    say: Callable[[str], None],
) -> tuple[Found, int]:
    """`batches.in_memory`, which says who goes on in smaller batches and records for what.

    `told` is both.
    """
    who, what = told
    values, fitted = batches.in_memory(
        task,
        batch,
        lambda n: say(
            f"out of memory: {who} goes on in batches of {n}; recorded in batch_reduced of /{group}"
        ),
    )
    if fitted < full:
        record_batch(out, group, what, fitted)
    return values, fitted


def resumed(
    out: Path, group: str, families: Iterable[str], plan: str, force: bool
) -> Mapping[str, Any]:
    """The attributes of the group that this run goes on with; none where it is to be made.

    Raises
    ------
    UsageError
        It is there with another plan, and not to be replaced.
    """
    if not (out / group / "zarr.json").exists():
        return {}
    there = dict(zarr.open_group(str(out), mode="r", use_consolidated=False)[group].attrs)
    if there.get("relstats_plan") == plan:
        return there
    if not force:
        raise UsageError(
            f"/{group} of {out} was made with other settings ({there.get('relstats_plan')}; now"
            f" {plan}). Choose another study, or replace /{group} with --force"
        )
    # the manifests first: scores without one are never taken for complete ones of another plan
    with tempfile.TemporaryDirectory(
        prefix=f".{out.name[:100]}.relstats-", dir=out.parent
    ) as scratch:
        for name in (*(f"manifest/{family}" for family in families), group):
            with suppress(FileNotFoundError):
                shutil.move(out / name, Path(scratch) / name.replace("/", "-"))
    return {}


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While other workers of this machine wait.

    The system lets go when the process ends, however it ends.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def disk_full_told(out: Path) -> Iterator[None]:
    """Say of a full disk that nothing is lost."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        why = f"{error.strerror}. What is written is kept: make space, and the same command resumes"
        raise OSError(error.errno, why, str(out)) from error
