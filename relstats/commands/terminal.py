"""How things are shown in a terminal: tables, JSON, progress.

Labels never act as markup or control codes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from relstats.results.text import plain, safe

_QUIET_SECONDS = 30.0


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on stdout: drawn on a terminal, plain columns otherwise."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    table = Table(box=box.SIMPLE_HEAD if terminal else None, pad_edge=False)
    for name in columns:
        table.add_column(Text(safe(name)), overflow="fold")
    for row in rows:
        table.add_row(*(Text(safe(cell)) for cell in row))
    width = None if terminal else 10_000
    console = Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)
    console.print(Text(safe(title)), table, "", sep="\n")


def print_json(value: object) -> None:
    """One JSON object on stdout; NaN is null."""
    sys.stdout.write(json.dumps(plain(value), indent=1, allow_nan=False) + "\n")


def note(message: object) -> None:
    """One line on stderr."""
    print(safe(message), file=sys.stderr, flush=True)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Progress on stderr: a bar with rate and time left on a terminal, a line now and then
    otherwise.

    Yields
    ------
    callable
        Takes how many steps are done, and of how many.
    """
    if not sys.stderr.isatty():
        yield _lines(what)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    rate = TextColumn("{task.fields[rate]}")
    columns = (
        TextColumn(safe(what), markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        rate,
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(what, total=None, rate="")
        start = time.monotonic()

        def advance(done: int, total: int) -> None:
            bar.update(
                task,
                completed=done,
                total=total,
                rate=f"{done / max(1e-9, time.monotonic() - start):.1f}/s",
            )

        yield advance


def _lines(what: str) -> Callable[[int, int], None]:
    last = time.monotonic()

    def advance(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > _QUIET_SECONDS:
            last = time.monotonic()
            note(f"{what}: {done} of {total}")

    return advance


@contextmanager
def dask_progress(what: str) -> Iterator[None]:
    """Progress of whatever dask computes meanwhile, as `progress` shows it."""
    from dask.callbacks import Callback

    with progress(what) as advance:
        counted = {"done": 0}

        def step(
            _key: object, _value: object, _dsk: object, state: dict[str, Any], _worker: object
        ) -> None:
            counted["done"] += 1
            left = sum(len(state[k]) for k in ("waiting", "ready", "running"))
            advance(counted["done"], counted["done"] + left)

        with Callback(posttask=step):
            yield
