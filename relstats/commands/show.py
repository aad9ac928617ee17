"""Commands that show what is in a study: its contents, problems, figures and report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import click

from relstats.commands.options import Json, Study, replacing, several
from relstats.commands.parser import argument, option
from relstats.errors import UsageError
from relstats.extras import require_report


def inspect(path: Study, json: Json = False) -> None:
    """What is in a study: groups, sizes, axes and their levels, completeness, results.

    \b
    Example:
      relstats inspect study.zarr
    """  # noqa: D301 - the parser knows the character, not its escape
    from relstats.commands.terminal import print_json, print_table
    from relstats.study.overview import summary

    found = summary(path)
    if json:
        print_json(found)
        return
    print_table(found["name"] or path, ("", ""), [(k, v) for k, v in found["facts"].items()])
    print_table(
        "groups",
        ("group", "size", "variables", "complete"),
        [list(g.values()) for g in found["groups"]],
    )
    if found["axes"]:
        print_table(
            "axes", ("axis", "level", "networks"), [list(a.values()) for a in found["axes"]]
        )


def validate(
    path: Study,
    deep: Annotated[
        bool, option("--deep", help="Also read every shard and compare its sha256.")
    ] = False,
    json: Json = False,
) -> None:
    """Every problem of a study at once; exit code 3 if there is one.

    \b
    Example:
      relstats validate study.zarr --deep
    """  # noqa: D301 - the parser knows the character, not its escape
    from dataclasses import asdict

    from relstats.commands.terminal import dask_progress, print_json
    from relstats.results.text import safe
    from relstats.study.overview import problems

    with dask_progress("checking shards"):
        found = problems(path, deep=deep)
    if json:
        print_json({"valid": not found, "problems": [asdict(problem) for problem in found]})
    else:
        print("\n".join(safe(problem) for problem in found) or "valid")
    if found:
        raise click.exceptions.Exit(3)


def plot(
    path: Study,
    result: Annotated[
        str | None,
        argument(help="A result of it, or data for the data themselves."),
    ] = None,
    out: Annotated[
        str, option("-o", "--out", help="Folder for the files.", metavar="FOLDER")
    ] = "figures",
    format: Annotated[str, option(help="svg, png or pdf.")] = "svg",
    dpi: Annotated[int, option(help="Of PNG.", type=click.IntRange(20, 1200))] = 300,
    force: Annotated[bool, replacing("files")] = False,
) -> None:
    """Draw all figures of a result, one file each.

    Each one's text for readers who do not see it lies beside it.

    \b
    Examples:
      relstats plot study.zarr                      # names the results that can be drawn
      relstats plot study.zarr compare_pretrain -o figures --format pdf
      relstats plot study.zarr data --format png
    """  # noqa: D301 - the parser knows the character, not its escape
    from relstats import plots
    from relstats.commands.terminal import note
    from relstats.results.old_words import require_new_words
    from relstats.study import store

    if format not in ("svg", "png", "pdf"):
        raise UsageError(f"--format is {format!r}; it is one of svg, png, pdf")
    study = store.open_study(path)
    known = ["data", *sorted(study["results"].children if "results" in study.children else ())]
    if result is None:
        print("\n".join(known))
        return
    if result not in known:
        raise UsageError(f"no result {result!r} in {path}; it has {', '.join(known)}")
    plots.require_matplotlib()
    images = study["images"].to_dataset() if "images" in study.children else None
    if result == "data":
        drawings = plots.study_figures(study)
    else:
        stored = study[f"results/{result}"].to_dataset()
        require_new_words(stored, result, path)
        drawings = plots.figures(stored, images)
    if not drawings:
        return note(f"there are no figures of {result}")
    files = [Path(out) / f"{result}_{drawing.name}.{format}" for drawing in drawings]
    _require_room(files, force)
    Path(out).mkdir(parents=True, exist_ok=True)
    write: dict[str, Callable[..., bytes]] = {
        "svg": plots.to_svg,
        "png": partial(plots.to_png, dpi=dpi),
        "pdf": plots.to_pdf,
    }
    for drawing, file in zip(drawings, files, strict=True):
        file.write_bytes(write[format](drawing.draw()))
        file.with_suffix(".txt").write_text(drawing.alt + "\n", encoding="utf-8")
        print(file)


def _require_room(files: Sequence[Path], force: bool) -> None:
    there = [str(file) for file in files if file.exists()]
    if there and not force:
        raise UsageError(
            f"{there[0]} is there already, and {len(there) - 1} more. Choose another folder, or use"
            " --force"
        )


def report(
    path: Study,
    out: Annotated[
        str | None,
        option("-o", "--out", help="The file to write. [default: report.html, .md or .json]"),
    ] = None,
    format: Annotated[
        str | None, option(help="html, md or json. [default: that of --out, else html]")
    ] = None,
    images: Annotated[
        list[str] | None, several(help="Ids of the images whose maps are shown.")
    ] = None,
    force: Annotated[bool, replacing("a file")] = False,
) -> None:
    """Write what a study's results say: verdict, figures, numbers, methods and provenance, in one
    file.

    Nothing is computed again. The page needs no network: open it with a double click, or send it.

    \b
    Examples:
      relstats report study.zarr -o report.html
      relstats report study.zarr -o report.html --images 007_08,012_08 --force
      relstats report study.zarr --format md -o draft.md
    """  # noqa: D301 - the parser knows the character, not its escape
    from relstats.commands.terminal import progress
    from relstats.report import FORMATS
    from relstats.report import report as write

    known = out.rsplit(".", 1)[-1].lower() if out and "." in out else "html"
    chosen = format or (known if known in FORMATS else "html")
    if chosen == "html":
        require_report()
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
