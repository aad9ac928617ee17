"""Commands about people: RDMs of networks, and how well they agree with people's judgments."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from relstats.commands.options import Align, Confidence, DryRun, Json, Nan, Seed, Study, several

On = Annotated[str, typer.Option(help="relevance, weighted-images, images or features.")]
Ranking = Annotated[
    str, typer.Option(help="Of weighted images: positive, absolute or signed relevance.")
]
Layer = Annotated[str | None, typer.Option(help="Variable of /features. [default: the only one]")]


def rdm(
    path: Study,
    on: On = "relevance",
    dissimilarity: Annotated[
        str, typer.Option(help="correlation, spearman, cosine or euclidean.")
    ] = "correlation",
    ranking: Ranking = "positive",
    layer: Layer = None,
    nan: Nan = "raise",
    align: Align = "exact",
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Dissimilarity of all pairs of images, for every network, and the images as points on a plane.

    RDMs are saved in the study; --json leaves out the pairs.

    \b
    Examples:
      relstats rdm study.zarr
      relstats rdm study.zarr --on weighted-images --dissimilarity spearman
    """  # noqa: D301 - the parser knows the character, not its escape
    from relstats.commands import terminal
    from relstats.human import rdm as run
    from relstats.study import store

    study, options = (
        store.open_study(path, align=align),
        _rdm_options(on, dissimilarity, ranking, layer, nan),
    )
    if dry_run:
        return terminal.note(_plan(study, options))
    with terminal.progress(f"RDMs on {on}") as advance:
        result = run(study, **options, progress=advance)
    result.attrs["command"] = " ".join(sys.argv[1:])
    try:
        _print_rdm(result, json)
    finally:  # also where nobody reads on, as in `| head`
        store.save_result(
            path, "_".join(["rdm", options["on"], *_unusual(options), dissimilarity]), result
        )


def _rdm_options(
    on: str, dissimilarity: str, ranking: str, layer: str | None, nan: str
) -> dict[str, Any]:
    return {
        "on": on.replace("-", "_"),
        "dissimilarity": dissimilarity,
        "ranking": ranking,
        "layer": layer,
        "nan": nan,
    }


def _plan(study: Any, options: dict[str, Any]) -> str:
    from relstats.human.rdm import describe

    return describe(study, **options)


def _print_rdm(result: Any, json: bool) -> None:
    from relstats.commands.terminal import note, print_json, print_table
    from relstats.results.text import number, result_dict

    if json:
        return print_json(result_dict(result.drop_dims("pair")))
    mean, spread = (getattr(result["dissimilarity"], what)("pair") for what in ("mean", "std"))
    stress = result["stress"]
    if "model" in result.dims:
        rows = [
            (
                m,
                s,
                number(mean.sel(model=m, seed=s).item()),
                number(spread.sel(model=m, seed=s).item()),
                number(stress.sel(model=m).item()),
            )
            for m in result["model"].values
            for s in result["seed"].values
            if bool(result["available"].sel(model=m, seed=s))
        ]
    else:
        rows = [("-", "-", number(mean.item()), number(spread.item()), number(stress.item()))]
    title = (
        f"{result.attrs['dissimilarity']} RDMs on {result.attrs['on']},"
        f" {int(result.attrs['n_images'])} images"
    )
    print_table(title, ("model", "seed", "mean dissimilarity", "SD", "stress of the plane"), rows)
    note(result.attrs["population"])
    for warning in result.attrs["warnings"]:
        note(f"warning: {warning}")


def rsa(
    path: Study,
    on: On = "relevance",
    comparison: Annotated[
        str,
        typer.Option(
            help=(
                "How RDMs are compared: rho-a, spearman, tau-a, corr, cosine, corr_cov, cosine_cov,"
                " unbiased_cka."
            )
        ),
    ] = "rho-a",
    dissimilarity: Annotated[
        str, typer.Option(help="Of two images: correlation, spearman, cosine or euclidean.")
    ] = "correlation",
    by: Annotated[
        str, typer.Option(help="Networks of what are averaged: model, or an axis.")
    ] = "model",
    random: Annotated[
        list[str] | None,
        several(
            help=(
                "What the claim is to hold for: images, participants, seeds, or nothing. [default:"
                " all that can be]"
            )
        ),
    ] = None,
    control: Annotated[
        list[str] | None,
        several(help="RDMs held constant: images (their pixels), or files of dissimilarities."),
    ] = None,
    ranking: Ranking = "positive",
    layer: Layer = None,
    correction: Annotated[
        str, typer.Option(help="Of p-values: holm, bh or none. Raw ones are kept.")
    ] = "holm",
    confidence: Confidence = 0.95,
    n_draws: Annotated[int, typer.Option(help="Draws of images and participants.")] = 1000,
    n_permutations: Annotated[int, typer.Option(help="Permutations of image labels.")] = 9999,
    nan: Nan = "raise",
    align: Align = "exact",
    seed: Seed = 0,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """How well RDMs of networks agree with people's judgments, and which model's better, with the
    noise ceiling.

    The result is printed and saved in the study. Judgments: relstats add judgments.

    \b
    Examples:
      relstats rsa study.zarr
      relstats rsa study.zarr --on features --random images,participants,seeds --json
    """  # noqa: D301 - the parser knows the character, not its escape
    import numpy as np

    from relstats.commands import terminal
    from relstats.human import rsa as run
    from relstats.human.rsa import describe
    from relstats.study import store

    study, options = (
        store.open_study(path, align=align),
        _rdm_options(on, dissimilarity, ranking, layer, nan),
    )
    compared: dict[str, Any] = {
        "comparison": comparison,
        "n_draws": n_draws,
        "n_permutations": n_permutations,
    }
    if dry_run:
        return terminal.note(describe(study, **options, **compared))
    asked: dict[str, Any] = {
        "by": by,
        "random": random or None,
        "control": control or (),
        "correction": correction,
        "align": align,
        "confidence": confidence,
    }
    with terminal.progress("RDMs, draws and permutations") as advance:
        result = run(
            study,
            **options,
            **compared,
            **asked,
            progress=advance,
            rng=np.random.default_rng(seed),
        )
    result.attrs["command"] = " ".join(sys.argv[1:])
    try:
        _print_rsa(result, json)
    finally:  # also where nobody reads on, as in `| head`
        store.save_result(path, _result_name(options, comparison, by, bool(control)), result)


def _result_name(options: dict[str, Any], comparison: str, by: str, controlled: bool) -> str:
    made = [options["dissimilarity"]] if options["dissimilarity"] != "correlation" else []
    told = [by if by != "model" else None, "partial" if controlled else None]
    return "_".join(
        [
            "rsa",
            options["on"],
            *_unusual(options),
            *made,
            comparison,
            *(part for part in told if part),
        ]
    )


def _unusual(options: dict[str, Any]) -> list[str]:
    """Layer and ranking where they are not the default: results of others are kept apart."""
    return [
        part for part in (options["layer"], options["ranking"]) if part not in (None, "positive")
    ]


def _print_rsa(result: Any, json: bool) -> None:
    from relstats.commands.terminal import note, print_json, print_table
    from relstats.results.text import number, result_dict

    if json:
        return print_json(result_dict(result))
    attrs, by = result.attrs, result.attrs["by"]
    dim = "model" if by == "model" else "level"
    interval, holm = f"{100 * attrs['confidence']:g} % interval", _named_correction(result)
    chance = ("p_mantel", *(["p_mantel_adjusted"] if holm else []))
    each = [(name, result.sel({dim: name})) for name in result[dim].values]
    bounds = [number(v) for v in result["noise_ceiling"].values]
    rows = [
        (
            name,
            int(one["n_networks"]),
            *_test(one, ""),
            *(number(one[p].item()) for p in chance),
            *bounds,
            one["random"].item(),
        )
        for name, one in each
    ]
    columns = (
        by,
        "networks",
        "agreement",
        interval,
        "p",
        *holm,
        "p labels",
        *(["of best"] if holm else []),
        "ceiling",
        "to",
        "random",
    )
    n = f"{int(result['n_images'])} images, {int(result['n_participants'])} participants"
    print_table(
        f"{attrs['comparison']} of RDMs on {attrs['on']} with people's ({n})", columns, rows
    )
    rows = [(name, *_test(one, "ceiling_difference")) for name, one in each]
    print_table(
        "agreement less the lower bound of the noise ceiling",
        (by, "difference", interval, "p", *holm),
        rows,
    )
    if "contrast" in result.dims:
        rows = [
            (c, *_test(one, "difference"), one["difference_random"].item())
            for c in result["contrast"].values
            for one in [result.sel(contrast=c)]
        ]
        print_table(
            f"differences between {by}s",
            ("contrast", "difference", interval, "p", *holm, "random"),
            rows,
        )
    note(attrs["population"])
    for warning in attrs["warnings"]:
        note(f"warning: {warning}")


def _named_correction(result: Any) -> list[str]:
    """Heading of adjusted p-values, where there are any."""
    if "p_value_adjusted" not in result:
        return []
    return ["p Holm" if result["p_value_adjusted"].attrs["correction"] == "holm" else "p BH"]


def _test(one: Any, prefix: str) -> list[str]:
    """Estimate, interval, p, and adjusted p of a family of tests."""
    from relstats.results.text import number

    begin = f"{prefix}_" if prefix else ""
    low, high = (number(bound) for bound in one[f"{begin}ci"].values)
    adjusted = f"{begin}p_value_adjusted"
    found = [
        number(one[prefix or "estimate"].item()),
        f"[{low}, {high}]",
        number(one[f"{begin}p_value"].item()),
    ]
    return found + ([number(one[adjusted].item())] if adjusted in one else [])
