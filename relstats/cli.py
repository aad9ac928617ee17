"""The command line: each command parses, calls one function and prints.

Results go to stdout, all else to stderr.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from relstats import __version__
from relstats.commands import (
    compare,
    compute,
    demo,
    differences,
    human,
    human_maps,
    inputs,
    maps,
    planning,
    show,
    sufficiency,
)
from relstats.commands import run as cli_run
from relstats.commands import shared as cli_shared
from relstats.commands.old_names import RefuseOldNames
from relstats.errors import RelstatsError

app = typer.Typer(
    name="relstats",
    cls=RefuseOldNames,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Compare relevance maps across networks. Start with: relstats demo",
)

INTERRUPTED = 130


def _version(show: bool) -> None:
    if show:
        print(f"relstats {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    pass


app.command()(planning.simulate)
app.command()(planning.power)
app.command()(compute.compute)
app.command()(compute.transfer)
app.command()(show.inspect)
app.command()(show.validate)
app.add_typer(inputs.add, name="add")
app.command()(compare.compare)
app.command()(maps.stability)
app.command()(cli_shared.shared)
app.command()(sufficiency.sufficiency)
app.command()(maps.regions)
app.command()(differences.differences)
app.command()(human.rdm)
app.command()(human.rsa)
app.command()(human_maps.compare_human)
app.command()(human_maps.human_maps)
app.command()(human_maps.behaviour)
app.command()(show.plot)
app.command()(show.report)
app.command()(inputs.virelay)
app.command()(cli_run.run)
app.command()(demo.demo)


def main() -> None:
    """Run the command line: known errors are one line on stderr and their exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(args=sys.argv[1:], prog_name="relstats", standalone_mode=False)
        sys.stdout.flush()
    except typer.Abort:
        code = INTERRUPTED
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), 1
        )  # or the interpreter complains again when it closes stdout
        sys.exit(0)
    except RelstatsError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        _fail(
            f"{error.strerror or error}: {error.filename or 'input or output'}. Check the path, its"
            " rights and the space left",
            1,
        )
    except Exception as error:
        if not hasattr(error, "show"):  # not one of the parser's own
            raise
        error.show()
        sys.exit(2)
    if code == INTERRUPTED:
        _interrupted()
    sys.exit(code if isinstance(code, int) else 0)


def _interrupted() -> NoReturn:
    from relstats.commands.terminal import note

    note("relstats: interrupted. What is written is kept: the same command resumes")
    sys.stdout.flush()
    os._exit(
        INTERRUPTED
    )  # without waiting for the store's threads, which complain of being interrupted


def _fail(message: str, code: int) -> NoReturn:
    from relstats.commands.terminal import note

    lines = message.splitlines() or [""]
    note(f"relstats: {lines[0]}")
    for line in lines[1:]:
        note(line)
    sys.exit(code)


if __name__ == "__main__":
    main()
