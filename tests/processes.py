"""Commands in processes of their own, to be killed.

They are forked from a process that has imported torch: to start Python for each takes three
seconds.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path
from types import ModuleType
from unittest import mock

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "relstats.cli",
        "relstats.compute.stream.export",
        "relstats.compute.perturb.transfer",
        "relstats.compute.perturb.sufficiency",
    ]
)


class Command:
    """`relstats ARGUMENTS`, started, in which writing a shard takes at least 0.15 s."""

    def __init__(self, errors: Path, arguments: list[str]) -> None:
        self._errors = errors
        self._process = CONTEXT.Process(target=_slowly, args=(errors, arguments, dict(os.environ)))
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """None while it runs; the negative of a signal that ended it."""
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def wait(self) -> str:
        """Wait until it ends; returns what it wrote to stderr."""
        self._process.join(timeout=600)
        return self._errors.read_text(encoding="utf-8") if self._errors.exists() else ""


def _slowly(errors: Path, arguments: list[str], environment: dict[str, str]) -> None:
    from relstats import cli
    from relstats.study import shards

    real = shards.write_shard

    def slowly(*written: object) -> None:
        time.sleep(0.15)
        real(*written)

    os.environ.update(environment)  # that of the forking process is older
    with (
        errors.open("w", encoding="utf-8") as sys.stderr,
        open(os.devnull, "w") as sys.stdout,
        mock.patch.object(shards, "write_shard", slowly),
        mock.patch.object(sys, "argv", ["relstats", *arguments]),
    ):
        cli.main()


def killed_after(module: ModuleType, name: str, calls: int, file: Path, out: Path) -> int | None:
    """Exit code of an export that kills itself right after so many calls of a function."""
    process = CONTEXT.Process(
        target=_dying, args=(module.__name__, name, calls, file, out, dict(os.environ))
    )
    process.start()
    process.join(timeout=600)
    return process.exitcode


def _dying(
    module: str, name: str, calls: int, file: Path, out: Path, environment: dict[str, str]
) -> None:
    from relstats.compute.stream import export
    from relstats.compute.study_file.study import read_study

    os.environ.update(environment)
    real, left = getattr(sys.modules[module], name), iter(range(calls))

    def then_die(*arguments: object, **options: object) -> None:
        real(*arguments, **options)
        if next(left) == calls - 1:
            os.kill(os.getpid(), signal.SIGKILL)

    with mock.patch.object(sys.modules[module], name, then_die):
        export.export(read_study(file), out)
