"""The command that draws the figures of a result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relstats.errors import UsageError


def plot(
    path: Annotated[
        str, typer.Argument(help="The study, a Zarr store.", metavar="STUDY", show_default=False)
    ],
    result: Annotated[
        str | None,
        typer.Argument(help="A result of it, or data for the data themselves.", show_default=False),
    ] = None,
    out: Annotated[
        str, typer.Option("-o", "--out", help="Folder for the files.", metavar="FOLDER")
    ] = "figures",
    format: Annotated[str, typer.Option(help="svg, png or pdf.")] = "svg",
    dpi: Annotated[int, typer.Option(help="Of PNG.", min=20, max=1200)] = 300,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Draw all figures of a result, one file each.

    Each one's text for readers who do not see it lies beside it.

    \b
    Examples:
      relstats plot study.zarr                      # names the results that can be drawn
      relstats plot study.zarr compare_pretrain_transfer_correct -o figures --format pdf
      relstats plot study.zarr data --format png
    """  # noqa: D301 - the parser knows the character, not its escape
    from relstats import plots
    from relstats.commands.terminal import note
    from relstats.results.old_words import require_new_words
    from relstats.study import store

    write = {
        "svg": plots.to_svg,
        "png": lambda figure: plots.to_png(figure, dpi),
        "pdf": plots.to_pdf,
    }.get(format)
    if write is None:
        raise UsageError(f"--format is {format!r}; it is one of svg, png, pdf")
    study = store.open_study(path)
    known = ["data", *sorted(study["results"].children if "results" in study.children else ())]
    if result is None:
        print("\n".join(known))
        return
    if result not in known:
        raise UsageError(f"no result {result!r} in {path}; it has {', '.join(known)}")
    images = study["images"].to_dataset() if "images" in study.children else None
    plots.require_matplotlib()
    if result == "data":
        found = plots.study_figures(study)
    else:
        stored = study[f"results/{result}"].to_dataset()
        require_new_words(stored, result, path)
        found = plots.figures(stored, images)
    if not found:
        return note(f"there are no figures of {result}")
    files = [Path(out) / f"{result}_{drawing.name}.{format}" for drawing in found]
    there = [str(file) for file in files if file.exists()]
    if there and not force:
        raise UsageError(
            f"{there[0]} is there already, and {len(there) - 1} more. Choose another folder, or use"
            " --force"
        )
    Path(out).mkdir(parents=True, exist_ok=True)
    for drawing, file in zip(found, files, strict=True):
        file.write_bytes(write(drawing.draw()))
        file.with_suffix(".txt").write_text(drawing.alt + "\n", encoding="utf-8")
        print(file)
