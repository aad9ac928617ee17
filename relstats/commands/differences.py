"""The command about maps of differences: where two levels of an axis differ, over all pixels at
once.
"""

from __future__ import annotations

import itertools
import sys
from typing import Annotated, Any

import typer

from relstats.commands.options import Pool, Within, several

Study = Annotated[
    str, typer.Argument(help="The study, a Zarr store.", metavar="STUDY", show_default=False)
]


def differences(
    path: Study,
    axis: Annotated[
        str, typer.Option(help="Label of the models whose levels are compared.", show_default=False)
    ],
    ranking: Annotated[
        str, typer.Option(help="What counts as relevance: signed, positive or absolute.")
    ] = "signed",
    within: Within = None,
    pool: Pool = None,
    correction: Annotated[
        list[str] | None,
        several(help="Over pixels: max-t, tfce, cluster or bh. [default: all four]"),
    ] = None,
    forming_p: Annotated[float, typer.Option(help="p below which pixels form clusters.")] = 0.01,
    confidence: Annotated[float, typer.Option(help="Confidence level.")] = 0.95,
    n_swaps: Annotated[
        int, typer.Option(help="Label swaps where they cannot be enumerated.")
    ] = 9999,
    nan: Annotated[str, typer.Option(help="Images with NaN: raise, or omit (counted).")] = "raise",
    seed: Annotated[
        int, typer.Option(help="Seed of the random numbers; it is recorded.", min=0)
    ] = 0,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object on stdout (without the maps).")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and how long, and stop.")
    ] = False,
) -> None:
    """At which pixels do the networks of two levels differ, with control over all pixels at once.

    The unit is the network. The result, with its maps, is printed and saved in the study.

    \b
    Examples:
      relstats differences study.zarr --axis pretrain
      relstats differences study.zarr --axis task --correction bh --json
    """  # noqa: D301 - the parser knows the character, not its escape
    import numpy as np

    from relstats.commands import terminal
    from relstats.stats.differences import describe
    from relstats.stats.differences import differences as run
    from relstats.stats.inference.fields import CORRECTIONS
    from relstats.study import store

    study = store.open_study(path)
    options: dict[str, Any] = {
        "axis": axis,
        "ranking": ranking,
        "within": within,
        "pool": pool or (),
        "correction": correction or CORRECTIONS,
        "forming_p": forming_p,
        "confidence": confidence,
        "n_swaps": n_swaps,
        "nan": nan,
        "rng": np.random.default_rng(seed),
    }
    if dry_run:
        return terminal.note(describe(study, **options))
    with terminal.dask_progress("maps and label swaps"):
        result = run(study, **options)
    result.attrs |= {"seed": seed, "command": " ".join(sys.argv[1:])}
    try:
        _print_maps(result, json)
    finally:  # also where nobody reads on, as in `| head`
        store.save_result(path, f"differences_{axis}", result)


def _print_maps(result: Any, json: bool) -> None:
    from relstats.commands.terminal import note, print_json, print_table
    from relstats.results.text import number, result_dict

    if json:
        return print_json(result_dict(result.drop_dims(["y", "x"])))
    percent = f"{100 * (1 - result.attrs['confidence']):g} %"
    rows = [_row(result.sel(contrast=c)) for c in result["contrast"].values]
    columns = (
        "contrast",
        "networks",
        "smallest p by swap",
        "largest |t|",
        "at (y, x)",
        "largest difference",
        "at (y, x)",
        "pixels by max-T",
        "pixels by BH",
        "clusters by mass",
        "their area",
        "area by TFCE",
    )
    print_table(
        f"differences over {result.attrs['axis']}, at {percent}; pixels of a map:"
        f" {_pixels(result)}",
        columns,
        rows,
    )
    rows = [
        (c, *_cluster(one))
        for c in result["contrast"].values
        for one in [result.sel(contrast=c).isel(cluster=slice(0, 1))]
        if one["cluster_mass"].notnull().any()
    ]
    if rows:
        print_table(
            "largest cluster",
            ("contrast", "more in", "pixels", "mass", "peak (y, x)", "p cluster"),
            rows,
        )
    wanted = result.attrs["correction"]
    if {"cluster", "tfce"} & set(wanted):
        note("clusters and TFCE: levels differ somewhere in the cluster, not at each of its pixels")
    floor = number(result.attrs["min_p"])
    note(f"{result.attrs['population']}; smallest p that label swaps can reach: {floor}")
    for warning in result.attrs["warnings"]:
        note(f"warning: {warning}")


def _pixels(result: Any) -> int:
    return int(result.sizes["y"] * result.sizes["x"])


def _row(one: Any) -> tuple[object, ...]:
    from relstats.results.text import number

    counts = ("n_pixels_max_t", "n_pixels_bh", "n_clusters", "area_clusters", "area_tfce")
    return (
        one["contrast"].item(),
        one["n_networks"].item(),
        number(one["min_p_swap"].item()),
        number(abs(one["peak_statistic"].item())),
        _place(one, "peak"),
        number(one["largest_estimate"].item()),
        _place(one, "largest"),
        *(_count(one[name].item()) for name in counts),
    )


def _cluster(one: Any) -> tuple[object, ...]:
    """The cluster of the largest mass: which level has more relevance there, and how sure."""
    from relstats.results.text import number

    pairs = itertools.permutations(one["level"].values, 2)  # a level may hold the mark between them
    first, second = next(pair for pair in pairs if "|".join(pair) == one["contrast"].item())
    more = first if one["cluster_sign"].item() > 0 else second
    return (
        more,
        _count(one["cluster_size"].item()),
        number(one["cluster_mass"].item()),
        _place(one, "cluster_peak"),
        number(one["p_cluster"].item()),
    )


def _place(one: Any, name: str) -> str:
    return f"({_count(one[f'{name}_y'].item())}, {_count(one[f'{name}_x'].item())})"


def _count(value: float) -> str:
    return "-" if value != value else f"{value:.0f}"
