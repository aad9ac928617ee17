"""The command line, for tests: in this process, since its imports cost two seconds."""

import contextlib
import io
from unittest import mock

import pytest

from relstats import cli


def run(*arguments):
    """Exit code, stdout and stderr of `relstats ARGUMENTS`."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch("sys.argv", ["relstats", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as exit_,
    ):
        cli.main()
    return exit_.value.code, out.getvalue(), err.getvalue()


def run_in(folder, *arguments):
    """Run `relstats ARGUMENTS` in a folder; returns exit code, stdout and stderr."""
    with contextlib.chdir(folder):
        return run(*arguments)


def run_all(folder, commands):
    """Run commands in a folder, one after the other, each of which must end well."""
    for arguments in commands:
        code, _, err = run_in(folder, *arguments)
        assert code == 0, f"relstats {' '.join(arguments)}: {err}"
