"""Commands about people: whose networks are closer to them, their maps, and their own choices."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from relstats.commands.options import (
    Align,
    Axis,
    Confidence,
    DryRun,
    Json,
    Nan,
    Pool,
    Random,
    RequiredAxis,
    Seed,
    Study,
    Swaps,
    Within,
    several,
)

FACTORS = ("images", "participants", "seeds")


def compare_human(
    path: Study,
    axis: RequiredAxis,
    on: Annotated[
        str, typer.Option(help="RDMs of relevance, weighted_images or features.")
    ] = "relevance",
    layer: Annotated[
        str | None, typer.Option(help="Of features: which. [default: the only one]")
    ] = None,
    comparison: Annotated[
        str, typer.Option(help="Of RDMs: rho-a, spearman, tau-a, corr, cosine, ...")
    ] = "rho-a",
    ranking: Annotated[
        str, typer.Option(help="Of weighted images: positive, absolute or signed relevance.")
    ] = "positive",
    random: Random = None,
    within: Within = None,
    pool: Pool = None,
    confidence: Confidence = 0.95,
    n_swaps: Swaps = 9999,
    nan: Nan = "raise",
    align: Align = "exact",
    seed: Seed = 0,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Test whether the networks of one level of an axis agree more with people's judgments than
    those of another.

    The result is printed and saved in the study. Judgments: relstats add judgments.

    \b
    Example:
      relstats compare-human study.zarr --axis pretrain --random images,participants
    """  # noqa: D301 - the parser knows the character, not its escape
    import numpy as np

    from relstats.commands import terminal
    from relstats.human.compare_human import compare_human as run
    from relstats.human.compare_human import describe
    from relstats.stats.described import check_options
    from relstats.study import store

    study = store.open_study(path)
    options: dict[str, Any] = {
        "axis": axis,
        "within": within,
        "pool": pool or (),
        "ranking": ranking,
        "confidence": confidence,
        "n_swaps": n_swaps,
        "nan": nan,
        "on": on,
        "layer": layer,
        "comparison": comparison,
        "random": random or FACTORS,
        "align": align,
    }
    check_options(run, **options)
    if dry_run:
        return terminal.note(describe(study, axis=axis, on=on, comparison=comparison))
    result = run(study, **options, rng=np.random.default_rng(seed))
    result.attrs["command"] = " ".join(sys.argv[1:])
    try:
        _print_levels(result, json)
    finally:  # also where nobody reads on, as in `| head`
        store.save_result(path, result_name(options), result)


def result_name(options: dict[str, Any]) -> str:
    """Where a result is kept: what differs from the usual is in its name.

    Examples
    --------
    >>> result_name({"axis": "pretrain", "on": "features", "layer": "conv1", "comparison": "rho-a"})
    'compare_pretrain_human_features_conv1'
    """
    usual = {"on": "relevance", "layer": None, "comparison": "rho-a"}
    return "_".join(
        [
            "compare",
            options["axis"],
            "human",
            *(options[key] for key in usual if options[key] != usual[key]),
        ]
    )


def _print_levels(result: Any, json: bool) -> None:
    from relstats.commands.terminal import print_json, print_table
    from relstats.results.text import number, result_dict

    if json:
        return print_json(result_dict(result))
    interval = f"{100 * result.attrs['confidence']:g} % interval"
    rows = [
        (
            c,
            e,
            number(r["estimate"].item()),
            _interval(r["ci"]),
            *(number(r[p].item()) for p in ("p_value", "p_adjusted", "p_swap")),
            r["random"].item(),
        )
        for c in result["contrast"].values
        for e in result["effect"].values
        for r in [result.sel(contrast=c, effect=e)]
    ]
    columns = ("contrast", "effect", "estimate", interval, "p", "p Holm", "p swap", "random")
    print_table(
        f"agreement with people ({result.attrs['comparison']}, on {result.attrs['on']}) over"
        f" {result.attrs['axis']}",
        columns,
        rows,
    )
    means = [
        (v, number(one["level_mean"].item()), _interval(one["level_ci"]))
        for v in result["level"].values
        for one in [result.sel(level=v)]
    ]
    print_table(
        f"noise ceiling {_interval(result['noise_ceiling'])}",
        (result.attrs["axis"], "mean", interval),
        means,
    )
    _print_notes(result)


def _print_notes(result: Any) -> None:
    from relstats.commands.terminal import note

    note(result.attrs["population"])
    for warning in result.attrs["warnings"]:
        note(f"warning: {warning}")


def _interval(bounds: Any) -> str:
    from relstats.results.text import number

    return f"[{number(bounds.values[0])}, {number(bounds.values[1])}]"


def human_maps(
    path: Study,
    axis: Axis = None,
    measure: Annotated[
        str, typer.Option(help="spearman, or overlap of the top pixels.")
    ] = "spearman",
    fraction: Annotated[float, typer.Option(help="Of overlap: share of pixels on top.")] = 0.1,
    ranking: Annotated[
        str, typer.Option(help="What of relevance counts: positive, absolute or signed.")
    ] = "positive",
    random: Random = None,
    within: Within = None,
    pool: Pool = None,
    confidence: Confidence = 0.95,
    n_splits: Annotated[
        int, typer.Option(help="Splits of people into halves, for the ceiling.")
    ] = 20,
    n_swaps: Swaps = 9999,
    nan: Nan = "raise",
    align: Align = "exact",
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Do networks find relevant what people do, beyond what any image would give, and at which
    level of an axis more.

    People's own maps are what they looked at, marked or needed to see: relstats add human-maps.

    \b
    Examples:
      relstats human-maps study.zarr --axis pretrain
      relstats human-maps study.zarr --measure overlap --fraction 0.1 --json
    """  # noqa: D301 - the parser knows the character, not its escape
    import numpy as np

    from relstats.human.human_maps import human_maps as run
    from relstats.study import store

    study = store.open_study(path)
    asked: dict[str, Any] = {
        "axis": axis,
        "measure": measure,
        "fraction": fraction,
        "ranking": ranking,
        "random": random or FACTORS,
        "within": within,
        "pool": pool or (),
        "confidence": confidence,
        "n_splits": n_splits,
        "n_swaps": n_swaps,
        "nan": nan,
        "align": align,
    }
    result = run(study, **asked, rng=np.random.default_rng(seed))
    result.attrs["command"] = " ".join(sys.argv[1:])
    try:
        _print_crossed(
            result, json, f"maps of networks and people ({measure})", _ceiling_note(result)
        )
    finally:  # also where nobody reads on, as in `| head`
        share = f"_{100 * fraction:g}" if measure == "overlap" else ""
        store.save_result(path, f"human_maps_{axis or 'model'}_{measure}{share}_{ranking}", result)


def _ceiling_note(result: Any) -> str:
    from relstats.results.text import number

    corrected = (
        f", {number(result['split_half_corrected'].item())} corrected to all (Spearman-Brown)"
        if result.attrs["measure"] == "spearman"
        else ""
    )
    return (
        f"people among themselves: {number(result['split_half'].item())} between halves{corrected}"
    )


def _print_crossed(result: Any, json: bool, title: str, line: str) -> None:
    """Means of levels, and their differences."""
    from relstats.commands.terminal import note, print_json, print_table
    from relstats.results.text import number, result_dict

    if json:
        return print_json(result_dict(result))
    interval = f"{100 * result.attrs['confidence']:g} % interval"
    cells = [
        (
            v,
            e,
            result["level_mean"].sel(level=v, effect=e),
            result["level_ci"].sel(level=v, effect=e),
            result["level_p_value"].sel(level=v, effect=e),
            result["level_random"].sel(level=v, effect=e),
        )
        for v in result["level"].values
        for e in result["effect"].values
    ]
    rows = [
        (v, e, number(mean.item()), _interval(ci), number(p.item()), kinds.item())
        for v, e, mean, ci, p, kinds in cells
    ]
    print_table(
        title, (result.attrs.get("axis", "model"), "effect", "mean", interval, "p", "random"), rows
    )
    if "contrast" in result.dims:
        ps = ("p_value", "p_adjusted", "p_swap")
        rows = [
            (
                c,
                e,
                number(one["estimate"].item()),
                _interval(one["ci"]),
                *(number(one[p].item()) for p in ps),
                one["random"].item(),
            )
            for c in result["contrast"].values
            for e in result["effect"].values
            for one in [result.sel(contrast=c, effect=e)]
        ]
        columns = ("contrast", "effect", "difference", interval, "p", "p Holm", "p swap", "random")
        print_table(f"difference over {result.attrs['axis']}", columns, rows)
    note(line)
    _print_notes(result)


def behaviour(
    path: Study,
    of: Annotated[
        str, typer.Option(help="errors (right or wrong), or choices (which class).")
    ] = "errors",
    label: Annotated[
        str | None,
        typer.Option(help="Label of the images that is the right choice. [default: the networks']"),
    ] = None,
    classes: Annotated[
        list[str] | None,
        several(help="Names of the networks' outputs, in order. [default: the study file's]"),
    ] = None,
    models: Annotated[
        list[str] | None, several(help="Which models. [default: those trained for the label]")
    ] = None,
    axis: Axis = None,
    random: Random = None,
    within: Within = None,
    pool: Pool = None,
    confidence: Confidence = 0.95,
    n_swaps: Swaps = 9999,
    align: Align = "exact",
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Do networks err on the images on which people err: Cohen's kappa of errors, or of choices, of
    networks with people, among people and among networks.

    People's choices: relstats add choices.

    \b
    Examples:
      relstats behaviour study.zarr --label gender --axis pretrain
      relstats behaviour study.zarr --of choices --classes f,m --label gender --json
    """  # noqa: D301 - the parser knows the character, not its escape
    import numpy as np

    from relstats.human.behaviour import behaviour as run
    from relstats.study import store

    study = store.open_study(path)
    asked: dict[str, Any] = {
        "of": of,
        "label": label,
        "classes": classes or None,
        "models": models or None,
        "axis": axis,
        "random": random or FACTORS,
        "within": within,
        "pool": pool or (),
        "confidence": confidence,
        "n_swaps": n_swaps,
        "align": align,
    }
    result = run(study, **asked, rng=np.random.default_rng(seed))
    result.attrs["command"] = " ".join(sys.argv[1:])
    try:
        _print_crossed(
            result, json, f"Cohen's kappa of {of}, networks with people", _people_note(result)
        )
    finally:  # also where nobody reads on, as in `| head`
        store.save_result(path, f"behaviour_{result.attrs['label']}_{axis or 'model'}_{of}", result)


def _people_note(result: Any) -> str:
    from relstats.results.text import number

    networks = ", ".join(
        f"{v} {number(k)}"
        for v, k in zip(result["level"].values, result["networks_kappa"].values, strict=True)
    )
    return (
        f"kappa among people: {number(result['people_kappa'].item())}"
        f" {_interval(result['people_ci'])}; among networks: {networks}"
    )
