"""The command that writes a study's report."""

from __future__ import annotations

from typing import Annotated

import typer

from relstats.errors import UsageError

Study = Annotated[
    str, typer.Argument(help="The study, a Zarr store.", metavar="STUDY", show_default=False)
]


def report(
    path: Study,
    out: Annotated[
        str | None,
        typer.Option("-o", "--out", help="The file to write. [default: report.html, .md or .json]"),
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="html, md or json. [default: that of --out, else html]")
    ] = None,
    images: Annotated[
        list[str] | None, typer.Option(help="Ids of the images whose maps are shown.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write what a study's results say: verdict, figures, numbers, methods and provenance, in one
    file.

    Nothing is computed again. The page needs no network: open it with a double click, or send it.

    \b
    Examples:
      relstats report study.zarr -o report.html
      relstats report study.zarr -o report.html --images 007_08 012_08 --force
      relstats report study.zarr --format md -o draft.md
    """  # noqa: D301 - the parser knows the character, not its escape
    from relstats.commands.terminal import progress

    _require_report()
    from relstats.report import FORMATS
    from relstats.report import report as write

    known = out.rsplit(".", 1)[-1].lower() if out and "." in out else "html"
    chosen = format or (known if known in FORMATS else "html")
    with progress("figures of results") as advance:
        written = write(
            path,
            out or f"report.{chosen}",
            format=chosen,
            images=images,
            force=force,
            progress=advance,
        )
    print(written)


def _require_report() -> None:
    """Say what to install, rather than which import failed."""
    from importlib.util import find_spec

    missing = [name for name in ("matplotlib", "jinja2") if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"{', '.join(missing)} not installed, which the report needs: pip install"
            " 'relstats[report]'"
        )
