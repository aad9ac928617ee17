"""The command that tests generalization of maps over an axis."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from relstats.commands.options import (
    Align,
    Confidence,
    Degrees,
    DryRun,
    Json,
    Nan,
    Pool,
    RequiredAxis,
    Seed,
    Study,
    Swaps,
    Within,
    several,
)


def compare(
    path: Study,
    axis: RequiredAxis,
    measure: Annotated[
        str,
        typer.Option(help="transfer, spearman, pearson, cosine, iou, dice or capture."),
    ] = "transfer",
    score: Annotated[
        str, typer.Option(help="Of transfer: correct, probability or margin.")
    ] = "correct",
    fraction: Annotated[
        list[float] | None, several(help="Shares of pixels. [default: all]", kind=float)
    ] = None,
    within: Within = None,
    pool: Pool = None,
    ranking: Annotated[
        str, typer.Option(help="Of pixels: positive, absolute or signed.")
    ] = "positive",
    normalise: Annotated[
        str, typer.Option(help="Scores: auto, none, target (floor to ceiling) or chance.")
    ] = "auto",
    margin: Annotated[
        float | None, typer.Option(help="Of equivalence. [default: 10 % of within levels]")
    ] = None,
    df: Degrees = "satterthwaite",
    confidence: Confidence = 0.95,
    n_swaps: Swaps = 9999,
    nan: Nan = "raise",
    align: Align = "exact",
    seed: Seed = 0,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Test whether maps generalize over an axis, and which direction is better.

    The result is printed and saved in the study.

    \b
    Examples:
      relstats compare study.zarr --axis pretrain
      relstats compare study.zarr --axis pretrain --measure spearman --within task --json
    """  # noqa: D301 - the parser knows the character, not its escape
    import numpy as np

    from relstats.commands import terminal
    from relstats.stats.compare import compare as run
    from relstats.stats.compare import describe
    from relstats.study import store

    study = store.open_study(path, align=align)
    options: dict[str, Any] = {
        "axis": axis,
        "measure": measure,
        "within": within,
        "pool": pool or (),
    }
    if dry_run:
        return terminal.note(describe(study, fraction=fraction, score=score, **options))
    with terminal.dask_progress(f"{measure} over images"):
        result = run(
            study,
            **options,
            score=score,
            fraction=fraction,
            ranking=ranking,
            normalise=normalise,
            margin=margin,
            df=df,
            confidence=confidence,
            n_swaps=n_swaps,
            nan=nan,
            rng=np.random.default_rng(seed),
        )
    result.attrs |= {
        "seed": seed,
        "command": " ".join(sys.argv[1:]),
        "dropped_images": study.attrs.get("dropped_images", []),
    }
    try:
        _print_comparison(result, json)
    finally:  # also where nobody reads on, as in `| head`
        used = result.attrs["normalise"]
        told = [axis, measure, *([score] * (measure == "transfer")), *([used] * (used != "none"))]
        store.save_result(path, "_".join(["compare", *told]), result)


def _print_comparison(result: Any, json: bool) -> None:
    from relstats.commands.terminal import note, print_json, print_table
    from relstats.results.text import number, result_dict

    if json:
        return print_json(result_dict(result))
    rows = [
        (
            c,
            e,
            number(r["estimate"].item()),
            f"[{number(r['ci'].values[0])}, {number(r['ci'].values[1])}]",
            number(r["p_value"].item()),
            number(r["p_adjusted"].item()),
            number(r["p_swap"].item()),
            r["random"].item(),
        )
        for c in result["contrast"].values
        for e in result["effect"].values
        for r in [result.sel(contrast=c, effect=e)]
    ]
    columns = (
        "contrast",
        "effect",
        "estimate",
        f"{100 * result.attrs['confidence']:g} % interval",
        "p",
        "p Holm",
        "p swap",
        "random",
    )
    print_table(f"{result.attrs['measure']} over {result.attrs['axis']}", columns, rows)
    cells = [
        (a, *(number(v) for v in result["cell_mean"].sel(source_level=a).values))
        for a in result["source_level"].values
    ]
    print_table(
        "mean of cells (rows: maps from, columns: tested on)",
        ("", *result["target_level"].values),
        cells,
    )
    note(result.attrs["population"])
    for warning in result.attrs["warnings"]:
        note(f"warning: {warning}")
