"""Commands about the maps themselves: which regions carry the relevance, and do the maps of a model
agree.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from relstats.commands.options import (
    Axis,
    Confidence,
    Degrees,
    DryRun,
    Json,
    Nan,
    Pool,
    Ranking,
    Seed,
    Study,
    Swaps,
    Within,
    several,
)

Measure = Annotated[str, typer.Option(help="density (1 = chance), mass, rank or pointing.")]


def regions(
    path: Study,
    axis: Axis = None,
    measure: Measure = "density",
    ranking: Ranking = "positive",
    within: Within = None,
    pool: Pool = None,
    df: Degrees = "satterthwaite",
    confidence: Confidence = 0.95,
    n_swaps: Swaps = 9999,
    nan: Nan = "raise",
    seed: Seed = 0,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Which regions carry the relevance, and do the levels of an axis differ in that (without
    --axis: that of each model).

    Masks of regions: relstats add regions.

    \b
    Examples:
      relstats regions study.zarr --axis pretrain
      relstats regions study.zarr --axis task --measure mass --ranking absolute --json
    """  # noqa: D301 - the parser knows the character, not its escape
    import numpy as np

    from relstats.commands import terminal
    from relstats.stats.regions import describe
    from relstats.stats.regions import regions as run
    from relstats.study import store

    study = store.open_study(path)
    if dry_run:
        return terminal.note(
            describe(
                study, axis=axis, measure=measure, ranking=ranking, within=within, pool=pool or ()
            )
        )
    with terminal.dask_progress(f"{measure} over images"):
        result = run(
            study,
            axis=axis,
            measure=measure,
            ranking=ranking,
            within=within,
            pool=pool or (),
            df=df,
            confidence=confidence,
            n_swaps=n_swaps,
            nan=nan,
            rng=np.random.default_rng(seed),
        )
    result.attrs |= {"seed": seed, "command": " ".join(sys.argv[1:])}
    try:
        _print_regions(result, json)
    finally:  # also where nobody reads on, as in `| head`
        store.save_result(
            path, f"regions_{result.attrs.get('axis', 'model')}_{measure}_{ranking}", result
        )


def _print_regions(result: Any, json: bool) -> None:
    from relstats.commands.terminal import note, print_json, print_table
    from relstats.results.text import number, result_dict

    if json:
        return print_json(result_dict(result))
    interval = f"{100 * result.attrs['confidence']:g} % interval"
    rows = [
        (
            v,
            r,
            number(one["level_mean"].item()),
            _interval(one["level_ci"]),
            number(100 * one["area"].item()),
        )
        for v in result["level"].values
        for r in result["region"].values
        for one in [result.sel(level=v, region=r)]
    ]
    title = f"{result.attrs['measure']} of {result.attrs['ranking']} relevance"
    print_table(
        title, (result.attrs.get("axis", "model"), "region", "mean", interval, "% of pixels"), rows
    )
    if "contrast" in result.dims:
        rows = [
            (
                c,
                r,
                number(one["estimate"].item()),
                _interval(one["ci"]),
                *(number(one[p].item()) for p in ("p_value", "p_adjusted", "p_swap", "p_max_t")),
                one["random"].item(),
            )
            for c in result["contrast"].values
            for r in result["region"].values
            for one in [result.sel(contrast=c, region=r)]
        ]
        columns = (
            "contrast",
            "region",
            "difference",
            interval,
            "p",
            "p Holm",
            "p swap",
            "p max-T",
            "random",
        )
        print_table(f"difference over {result.attrs['axis']}", columns, rows)
    note(result.attrs["population"])
    for warning in result.attrs["warnings"]:
        note(f"warning: {warning}")


def _interval(bounds: Any) -> str:
    from relstats.results.text import number

    return f"[{number(bounds.values[0])}, {number(bounds.values[1])}]"


def stability(
    path: Study,
    measure: Annotated[str, typer.Option(help="spearman, pearson or cosine.")] = "spearman",
    baseline: Annotated[
        str | None, typer.Option(help="Model whose networks have random weights.")
    ] = None,
    reliability: Annotated[float, typer.Option(help="Wanted of the mean map of a model.")] = 0.9,
    strategies: Annotated[
        str | None,
        typer.Option(
            metavar="AXIS", help="Also cluster all maps, and compare the clusters over this axis."
        ),
    ] = None,
    pool: Annotated[list[str] | None, several(help="Axes to mix in --strategies.")] = None,
    confidence: Confidence = 0.95,
    n_swaps: Annotated[int, typer.Option(help="Label permutations of --strategies.")] = 9999,
    nan: Nan = "raise",
    seed: Seed = 0,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Do the maps of a model agree across its seeds, and how many seeds make a reliable mean map.

    \b
    Examples:
      relstats stability study.zarr
      relstats stability study.zarr --measure pearson --strategies pretrain --json
    """  # noqa: D301 - the parser knows the character, not its escape
    import numpy as np

    from relstats.commands import terminal
    from relstats.stats.stability import describe
    from relstats.stats.stability import stability as run
    from relstats.study import store

    study, recorded = store.open_study(path), {"seed": seed, "command": " ".join(sys.argv[1:])}
    if dry_run:
        return terminal.note(describe(study, measure=measure))
    with terminal.dask_progress(f"{measure} over images"):
        found = run(
            study,
            measure=measure,
            baseline=baseline,
            reliability=reliability,
            confidence=confidence,
            nan=nan,
        )
    results = [found.assign_attrs(recorded)]
    store.save_result(
        path, f"stability_{measure}", results[0]
    )  # it is there, whatever comes of the strategies
    if strategies:
        from relstats.stats.strategies import strategies as cluster

        with terminal.dask_progress("strategies"):
            found = cluster(
                study,
                axis=strategies,
                pool=pool or (),
                n_swaps=n_swaps,
                nan=nan,
                rng=np.random.default_rng(seed),
            )
        results.append(found.assign_attrs(recorded))
        store.save_result(path, f"strategies_{strategies}", results[1])
    _print_stability(results, json)


def _print_stability(results: list[Any], json: bool) -> None:
    from relstats.commands.terminal import note, print_json, print_table
    from relstats.results.text import number, result_dict

    if json:
        more = {"strategies": result_dict(results[1])} if results[1:] else {}
        return print_json(result_dict(results[0]) | more)
    first, interval = results[0], f"{100 * results[0].attrs['confidence']:g} % interval"
    names = ["swapped"] + ["baseline"] * ("above_baseline" in first)
    rows = [
        (
            m,
            int(one["n_networks"]),
            number(one["estimate"].item()),
            _interval(one["ci"]),
            *(
                cell
                for n in names
                for cell in (
                    number(one[f"above_{n}"].item()),
                    _interval(one[f"above_{n}_ci"]),
                    number(one[f"p_{n}_adjusted"].item()),
                )
            ),
            number(one["reliability"].item()),
            _count(one["seeds_needed"].item()),
            " to ".join(map(_count, one["seeds_needed_ci"].values)),
            one["random"].item(),
        )
        for m in first["model"].values
        for one in [first.sel(model=m)]
    ]
    above = [c for n in names for c in (f"above {n}", interval, "p Holm")]
    columns = (
        "model",
        "networks",
        "agreement",
        interval,
        *above,
        "reliability",
        f"seeds for {first.attrs['reliability']:g}",
        interval,
        "random",
    )
    print_table(f"agreement of maps ({first.attrs['measure']}) within models", columns, rows)
    for one in results[1:]:
        rows = [
            (v, *(number(s) for s in one["share"].sel(level=v).values)) for v in one["level"].values
        ]
        print_table(
            f"share of maps in each cluster; p = {number(one['p_value'].item())}",
            (one.attrs["axis"], *one["cluster"].values),
            rows,
        )
    for one in results:
        note(one.attrs["population"])
        for warning in one.attrs["warnings"]:
            note(f"warning: {warning}")


def _count(value: float) -> str:
    """A number of networks; there may be no bound."""
    return "-" if value != value else f"{value:.0f}" if value < float("inf") else "no bound"
