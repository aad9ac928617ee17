"""Commands about people: whose networks are closer to them, their maps, and their own choices."""

from __future__ import annotations

import sys
from typing import Any

from relstats.errors import UsageError


def compare_human(
    path: str, align: str, seed: int, json: bool, dry_run: bool, idle: list[str], options: dict[str, Any]
) -> None:
    """`relstats compare --measure human`; `idle` are options that were given and mean nothing here."""
    import numpy as np

    from relstats import store, terminal
    from relstats.human.levels import compare_human as run

    if idle:
        raise UsageError(f"--measure human compares RDMs with judgments, and has no {', '.join(idle)}. Leave it out")
    study = store.open_study(path)
    options["random"] = options["random"] or ("images", "participants", "seeds")
    if dry_run:
        return terminal.note(
            f"agreement of networks ({options['on']}) with people over {options['axis']}, {options['agreement']}"
        )
    result = run(study, **options, align=align, rng=np.random.default_rng(seed))
    result.attrs |= {"seed": seed, "command": " ".join(sys.argv[1:])}
    try:
        _print_levels(result, json)
    finally:  # also where nobody reads on, as in `| head`
        store.save_result(path, result_name(options), result)


def result_name(options: dict[str, Any]) -> str:
    """Where a result is kept: what differs from the usual is in its name.

    Examples
    --------
    >>> result_name({"axis": "pretrain", "on": "features", "layer": "conv1", "agreement": "rho-a"})
    'compare_pretrain_human_features_conv1'
    """
    usual = {"on": "relevance", "layer": None, "agreement": "rho-a"}
    return "_".join(
        ["compare", options["axis"], "human", *(options[key] for key in usual if options[key] != usual[key])]
    )


def _print_levels(result: Any, json: bool) -> None:
    from relstats.terminal import number, print_json, print_table, result_dict

    if json:
        return print_json(result_dict(result))
    interval = f"{100 * result.attrs['level']:g} % interval"
    rows = [(c, e, number(r["estimate"].item()), _interval(r["ci"]), *(number(r[p].item()) for p in ("p_value", "p_adjusted", "p_swap")),
             r["random"].item())
            for c in result["contrast"].values for e in result["effect"].values for r in [result.sel(contrast=c, effect=e)]]  # fmt: skip
    columns = ("contrast", "effect", "estimate", interval, "p", "p Holm", "p swap", "random")
    print_table(
        f"agreement with people ({result.attrs['agreement']}, on {result.attrs['on']}) over {result.attrs['axis']}",
        columns,
        rows,
    )
    means = [
        (v, number(one["level_mean"].item()), _interval(one["level_ci"]))
        for v in result["level"].values
        for one in [result.sel(level=v)]
    ]
    print_table(f"noise ceiling {_interval(result['noise_ceiling'])}", (result.attrs["axis"], "mean", interval), means)
    _print_notes(result)


def _print_notes(result: Any) -> None:
    from relstats.terminal import note

    note(result.attrs["population"])
    for warning in result.attrs["warnings"]:
        note(f"warning: {warning}")


def _interval(bounds: Any) -> str:
    from relstats.terminal import number

    return f"[{number(bounds.values[0])}, {number(bounds.values[1])}]"
