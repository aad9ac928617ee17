"""The command line: each command parses, calls one function and prints.

Results go to stdout, all else to stderr. A command is loaded when it is called: a help costs no
more than its own text.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import click
from click.shell_completion import get_completion_class

from relstats import __version__
from relstats.commands import analyse
from relstats.commands.old_names import RefuseOldNames
from relstats.commands.parser import command
from relstats.errors import RelstatsError, UsageError
from relstats.results.catalogue import BY_COMMAND, load
from relstats.results.entries import ANALYSES
from relstats.results.signature import summary

INTERRUPTED = 130

#: Commands in the order of the help, with the functions or groups behind them.
#: The analyses stand between those that bring data and those that look at them.
_DATA = {
    "simulate": "relstats.commands.planning:simulate",
    "compute": "relstats.commands.compute:compute",
    "transfer": "relstats.commands.compute:transfer",
    "add": "relstats.commands.inputs:add",
}
_OTHERS = {
    "power": "relstats.commands.planning:power",
    "inspect": "relstats.commands.show:inspect",
    "validate": "relstats.commands.show:validate",
    "plot": "relstats.commands.show:plot",
    "report": "relstats.commands.show:report",
    "virelay": "relstats.commands.inputs:virelay",
    "run": "relstats.commands.run:run",
    "demo": "relstats.commands.demo:demo",
}
_FUNCTIONS = _DATA | {analysis.command: analysis.run for analysis in ANALYSES} | _OTHERS
_GROUPS = {"add": "Add what others bring to a study: regions, judgments, people's maps, choices."}


class _Commands(Mapping[str, Any]):
    """The commands by name, each made when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        if name in BY_COMMAND:
            return analyse.command(BY_COMMAND[name])
        function = load(_FUNCTIONS[name])
        return function if isinstance(function, click.Group) else command(function, name)

    def __iter__(self) -> Iterator[str]:
        return iter(_FUNCTIONS)

    def __len__(self) -> int:
        return len(_FUNCTIONS)


class Commands(RefuseOldNames):
    """The group of all commands."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Names and first sentences, without loading any command."""
        width = formatter.width - 6 - max(map(len, self.commands))
        with formatter.section("Commands"):
            formatter.write_dl([(name, _short(name, width)) for name in self.commands])


def _short(name: str, width: int) -> str:
    text = _GROUPS.get(name) or summary(_FUNCTIONS[name])
    return text if len(text) <= width else f"{text[: width - 3].rsplit(' ', 1)[0]}..."


def _version(ctx: click.Context, _: click.Parameter, show: bool) -> None:
    if show:
        print(f"relstats {__version__}")
        ctx.exit()


def _completion(ctx: click.Context, _: click.Parameter, show: bool) -> None:
    if not show:
        return
    shell = Path(os.environ.get("SHELL", "")).name
    script = get_completion_class(shell)
    if script is None:
        known = "bash, zsh and fish"
        raise UsageError(f"the shell ($SHELL) is {shell!r}: completion is there for {known}")
    print(script(ctx.command, {}, "relstats", "_RELSTATS_COMPLETE").source())
    ctx.exit()


def _flag(name: str, callback: Callable[..., None], help: str) -> click.Option:
    return click.Option(
        [name], is_flag=True, is_eager=True, expose_value=False, callback=callback, help=help
    )


app = Commands(
    "relstats",
    _Commands(),  # type: ignore[arg-type]
    params=[
        _flag("--version", _version, "Show the version and exit."),
        _flag(
            "--show-completion",
            _completion,
            "Show completion for the current shell, to install it (in bash: relstats"
            " --show-completion >> ~/.bashrc) or to customize it.",
        ),
    ],
    no_args_is_help=True,
    help="Compare relevance maps across networks. Start with: relstats demo",
)


def main() -> None:
    """Run the command line: known errors are one line on stderr and their exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app.main(args=sys.argv[1:], prog_name="relstats", standalone_mode=False)
        sys.stdout.flush()
    except click.Abort:
        _interrupted()
    except BrokenPipeError:
        # Or the interpreter complains again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)
    except RelstatsError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        what, where = error.strerror or error, error.filename or "input or output"
        _fail(f"{what}: {where}. Check the path, its rights and the space left", 1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def _interrupted() -> NoReturn:
    from relstats.commands.terminal import note

    note("relstats: interrupted. What is written is kept: the same command resumes")
    sys.stdout.flush()
    # Without waiting for the store's threads, which complain of being interrupted.
    os._exit(INTERRUPTED)


def _fail(message: str, code: int) -> NoReturn:
    from relstats.commands.terminal import note

    lines = message.splitlines() or [""]
    note(f"relstats: {lines[0]}")
    for line in lines[1:]:
        note(line)
    sys.exit(code)


if __name__ == "__main__":
    main()
