"""The command about shared pixels: which of them matter to nearly all networks."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from relstats.commands.options import several

Study = Annotated[
    str, typer.Argument(help="The study, a Zarr store.", metavar="STUDY", show_default=False)
]


def shared(
    path: Study,
    fraction: Annotated[
        float, typer.Option(help="Share of the pixels of a map that count as relevant.")
    ] = 0.1,
    across: Annotated[
        list[str] | None, several(help="Axes: shared in every combination of levels.")
    ] = None,
    ranking: Annotated[
        str, typer.Option(help="Of pixels: positive, absolute or signed.")
    ] = "positive",
    consensus: Annotated[
        str, typer.Option(help="The core set: pixels of all, most (90 %) or a majority.")
    ] = "most",
    baseline: Annotated[
        str | None, typer.Option(help="A study of the same images: random weights, edges.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="Confidence level.")] = 0.95,
    n_swaps: Annotated[int, typer.Option(help="Image swaps.")] = 999,
    nan: Annotated[str, typer.Option(help="Images with NaN: raise, or omit (counted).")] = "raise",
    align: Annotated[
        str, typer.Option(help="Images of the groups: exact, or inner (recorded).")
    ] = "exact",
    export: Annotated[
        str | None, typer.Option(help="New folder for the masks, PNG and NPZ.", metavar="FOLDER")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Of the result. [default: shared, and the axes of --across]", show_default=False
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Seed of the random numbers; it is recorded.", min=0)
    ] = 0,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object on stdout, and nothing else.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and stop.")
    ] = False,
) -> None:
    """Find the pixels that nearly all networks find relevant, and test them against other images.

    The result, with a mask for each image, is printed and saved in the study.

    \b
    Examples:
      relstats shared study.zarr --fraction 0.1
      relstats shared study.zarr --across pretrain,task --export masks
    """  # noqa: D301 - the parser knows the character, not its escape
    import numpy as np

    from relstats.commands import terminal
    from relstats.results import mask_folder
    from relstats.stats.shared import describe
    from relstats.stats.shared import shared as run
    from relstats.study import store

    study = store.open_study(path, align=align)
    if dry_run:
        return terminal.note(
            describe(
                study,
                fraction=fraction,
                across=across or (),
                ranking=ranking,
                n_swaps=n_swaps,
            )
        )
    other = store.open_study(baseline) if baseline else None
    if export:
        mask_folder.require_new(export)
    with terminal.dask_progress("shared pixels"):
        result = run(
            study,
            fraction=fraction,
            across=across or (),
            ranking=ranking,
            consensus=consensus,
            baseline=other,
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
        _print_shared(result, json)
    finally:  # also where nobody reads on, as in `| head`
        name = name or "_".join(("shared", *(across or ())))
        with terminal.dask_progress("masks"):
            store.save_result(path, name, result)
    if export:
        mask_folder.write_masks(store.open_study(path)[f"results/{name}"].to_dataset(), export)


def _print_shared(result: Any, json: bool) -> None:
    from relstats.commands.terminal import note, print_json, print_table
    from relstats.results.text import result_dict

    if json:
        return print_json(result_dict(result.drop_dims(["y", "x"])))
    area = f"{100 * result.attrs['fraction']:g} % of pixels"
    nulls = [str(null) for null in result["null"].values]
    columns = (
        "pixels of",
        "networks",
        "% of pixels",
        f"{100 * result.attrs['confidence']:g} % interval",
        *(f"by {null}" for null in nulls),
        "p",
        "p Holm",
        *(["p every condition"] if "p_condition" in result else []),
        "stability",
    )
    print_table(
        f"core sets: among the top {area} ({result.attrs['ranking']})", columns, _rows(result)
    )
    columns = ("model", "seed", "agreement", "by image swap", "p")
    print_table("agreement of each network with the others", columns, _network_rows(result))
    for line in (
        *_findings(result),
        result.attrs["population"],
        *(f"warning: {text}" for text in result.attrs["warnings"]),
    ):
        note(line)


def _rows(result: Any) -> list[tuple[object, ...]]:
    from relstats.results.text import number

    rows = []
    for name in result["consensus"].values:
        one = result.sel(consensus=name)
        wanted = [
            f"{k} of {n}"
            for k, n in zip(one["n_needed"].values, result["n_networks"].values, strict=True)
        ]
        same = len(set(wanted)) == 1
        needed = " and ".join(wanted[:1] if same else wanted) + " in each condition" * (
            same and len(wanted) > 1
        )
        interval = ", ".join(number(100 * bound) for bound in one["ci"].values)
        every = [number(one["p_every_condition"].item())] if "p_condition" in result else []
        rows.append(
            (
                name,
                needed,
                number(100 * one["estimate"].item()),
                f"[{interval}]",
                *(number(100 * value) for value in one["expected"].values),
                number(one["p_value"].item()),
                number(one["p_adjusted"].item()),
                *every,
                number(float(one["stability"].mean())),
            )
        )
    return rows


def _network_rows(result: Any) -> list[tuple[object, ...]]:
    from relstats.results.text import number

    names = ("agreement", "agreement_swapped", "p_network")
    return [
        (model, seed, *(number(result[name].values[k]) for name in names))
        for k, (model, seed) in enumerate(
            zip(result["network_model"].values, result["network_seed"].values, strict=True)
        )
    ]


def _findings(result: Any) -> tuple[str, ...]:
    from relstats.results.text import number

    n, m = int(result["n_images"]), result.sizes["network"]
    some, family = int(result["n_images_beyond"]), int(result["n_images_beyond_family"])
    return (
        (
            f"pixels that more networks share than by image swap: on {some} of {n} images, each"
            f" tested alone; on {family}, all images tested together"
        ),
        (
            f"{int(result['n_sharing'])} of {m} networks agree with the others beyond chance; of"
            f" networks like these, at least {number(100 * result['prevalence_lower'].item())} %"
            f" would ({100 * result.attrs['confidence']:g} % confidence)"
        ),
        f"smallest p that this design can reach: {number(result.attrs['min_p'])}",
    )
