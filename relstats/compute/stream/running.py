"""What the writer of a study stands on: work split among workers, what is read ahead, one writer at
a time, a full disk, and how long a run takes.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

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


def seconds(task: Callable[[], object]) -> float:
    """Time that a task takes, once it has run before."""
    task()  # warms up: kernels are chosen, memory is taken
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def time_in_all(total: float, device: torch.device) -> str:
    """How long a run would take, in seconds, as a rehearsal says it.

    Examples
    --------
    >>> time_in_all(12.3, torch.device("cpu"))
    'about 12 s in all, by one worker on cpu'
    """
    return f"about {total:.0f} s in all, by one worker on {device_name(device)}"


def device_name(device: torch.device) -> str:
    """What computes, as it is recorded.

    Examples
    --------
    >>> device_name(torch.device("cpu"))
    'cpu'
    """
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
