"""Commands about people: whose networks are closer to them, their maps, and their own choices."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from relstats.commands.maps import MeasureUnlessNamed
from relstats.errors import UsageError

FACTORS = ("images", "participants", "seeds")
Study = Annotated[
    str, typer.Argument(help="The study, a Zarr store.", metavar="STUDY", show_default=False)
]
Axis = Annotated[str | None, typer.Option(help="Label of the models whose levels are compared.")]
Random = Annotated[
    list[str] | None,
    typer.Option(help="What to generalize to. [default: images participants seeds]"),
]
Within = Annotated[list[str] | None, typer.Option(help="Axes to hold fixed. [default: all others]")]
Pool = Annotated[list[str] | None, typer.Option(help="Axes to mix.")]
Level = Annotated[float, typer.Option(help="Confidence level.")]
Seed = Annotated[int, typer.Option(help="Seed of the random numbers; it is recorded.", min=0)]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, and nothing else.")]


def compare_human(
    path: str,
    align: str,
    seed: int,
    json: bool,
    dry_run: bool,
    idle: list[str],
    options: dict[str, Any],
) -> None:
    """`relstats compare --measure human`.

    `idle` are options that were given and mean nothing here.
    """
    import numpy as np

    from relstats.commands import terminal
    from relstats.human.compare_human import compare_human as run
    from relstats.human.compare_human import describe
    from relstats.stats.described import check_options
    from relstats.study import store

    if idle:
        raise UsageError(
            f"--measure human compares RDMs with judgments, and has no {', '.join(idle)}. Leave"
            " it out"
        )
    study = store.open_study(path)
    options |= {"random": options["random"] or FACTORS, "align": align}
    check_options(run, **options)
    if dry_run:
        shown = {key: options[key] for key in ("axis", "on", "comparison")}
        return terminal.note(describe(study, **shown))
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


humanmaps = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""People's own maps: what they looked at, marked or needed to see, and whether networks
find the same relevant.

\b
Examples:
  relstats humanmaps add study.zarr fixations.csv --bandwidth 25
  relstats humanmaps compare study.zarr --axis pretrain""",
)


@humanmaps.command()
def add(
    path: Study,
    source: Annotated[
        str,
        typer.Argument(
            help="maps.npz, maps.zarr, a folder of .png or .npy, or fixations.csv.", metavar="FILE"
        ),
    ],
    bandwidth: Annotated[
        float | None,
        typer.Option(help="Of fixations: standard deviation of the Gaussian, in pixels."),
    ] = None,
    fixation_size: Annotated[
        str | None,
        typer.Option(
            help=(
                "Size of the images that were looked at: 600, or 600x800 (height x width)."
                " [default: the maps']"
            )
        ),
    ] = None,
    resize: Annotated[
        bool,
        typer.Option(
            "--resize", help="Bring maps of another size to that of the study's, by area."
        ),
    ] = False,
    align: Annotated[str, typer.Option(help="Images: exact, or inner (counted).")] = "exact",
    force: Annotated[bool, typer.Option("--force", help="Replace maps that are there.")] = False,
    json: Json = False,
) -> None:
    """Add people's maps to a study.

    \b
    Examples:
      relstats humanmaps add study.zarr fixations.csv --bandwidth 25 --fixation-size 600x800
      relstats humanmaps add study.zarr bubbles/ --resize
    """  # noqa: D301 - the parser knows the character, not its escape
    from relstats.commands.terminal import note, print_json, print_table
    from relstats.inputs.human_maps import add_human_maps
    from relstats.results.text import result_dict

    found = add_human_maps(
        path,
        source,
        bandwidth=bandwidth,
        fixation_size=_size(fixation_size),
        resize=resize,
        align=align,
        force=force,
    )
    if json:
        return print_json(result_dict(found))
    n = int(found["n_images"])
    rows = [
        (p, int(k), n - int(k))
        for p, k in zip(found["participant"].values, found["n_maps"].values, strict=True)
    ]
    print_table(f"maps of people, of {n} image(s)", ("participant", "maps", "none"), rows)
    for what in ("n_images_dropped", "n_images_without_maps", "n_fixations_outside"):
        if found.attrs.get(what):
            note(f"warning: {found.attrs[what]} {what.removeprefix('n_').replace('_', ' ')}")


def _size(text: str | None) -> tuple[int, int] | None:
    """Height and width from `600` or `600x800`."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.strip().isdecimal() and int(part) for part in parts):
        raise UsageError(
            f"--fixation-size {text!r} is no size in pixels: give 600, or height x width as 600x800"
        )
    return int(parts[0]), int(parts[-1])


@humanmaps.command()
def compare(
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
    confidence: Level = 0.95,
    n_splits: Annotated[
        int, typer.Option(help="Splits of people into halves, for the ceiling.")
    ] = 20,
    n_swaps: Annotated[
        int, typer.Option(help="Label swaps where they cannot be enumerated.")
    ] = 9999,
    nan: Annotated[str, typer.Option(help="Images with NaN: raise, or omit (counted).")] = "raise",
    align: Annotated[str, typer.Option(help="Images: exact, or inner (counted).")] = "exact",
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Do networks find relevant what people do, beyond what any image would give, and at which
    level of an axis more.

    \b
    Examples:
      relstats humanmaps compare study.zarr --axis pretrain
      relstats humanmaps compare study.zarr --measure overlap --fraction 0.1 --json
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


behaviour = typer.Typer(
    cls=MeasureUnlessNamed,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""Do networks err on the images on which people err: Cohen's kappa of errors, or of
choices.

\b
Examples:
  relstats behaviour add study.zarr choices.csv
  relstats behaviour study.zarr --label gender --axis pretrain""",
)


@behaviour.command("add")
def add_choices(
    path: Study,
    source: Annotated[
        str, typer.Argument(help="Table: participant, image, choice.", metavar="FILE.csv")
    ],
    align: Annotated[str, typer.Option(help="Images: exact, or inner (counted).")] = "exact",
    force: Annotated[bool, typer.Option("--force", help="Replace choices that are there.")] = False,
    json: Json = False,
) -> None:
    """Add people's choices to a study.

    \b
    Example:
      relstats behaviour add study.zarr choices.csv
    """  # noqa: D301 - the parser knows the character, not its escape
    from relstats.commands.terminal import note, print_json, print_table
    from relstats.human.answers import add_choices as run
    from relstats.results.text import result_dict

    found = run(path, source, align=align, force=force)
    if json:
        return print_json(result_dict(found))
    rows = [
        (p, int(n))
        for p, n in zip(found["participant"].values, found["n_choices"].values, strict=True)
    ]
    print_table(
        f"choices of {int(found['n_classes'])} class(es) for {int(found['n_images'])} image(s)",
        ("participant", "choices"),
        rows,
    )
    for what in ("n_images_dropped", "n_images_without_choices"):
        if found.attrs.get(what):
            note(f"warning: {found.attrs[what]} {what.removeprefix('n_').replace('_', ' ')}")


@behaviour.command()
def measure(
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
        typer.Option(help="Names of the networks' outputs, in order. [default: the study file's]"),
    ] = None,
    models: Annotated[
        list[str] | None, typer.Option(help="Which models. [default: those trained for the label]")
    ] = None,
    axis: Axis = None,
    random: Random = None,
    within: Within = None,
    pool: Pool = None,
    confidence: Level = 0.95,
    n_swaps: Annotated[
        int, typer.Option(help="Label swaps where they cannot be enumerated.")
    ] = 9999,
    align: Annotated[str, typer.Option(help="Images: exact, or inner (counted).")] = "exact",
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Cohen's kappa of networks with people, among people and among networks.

    \b
    Examples:
      relstats behaviour study.zarr --label gender --axis pretrain
      relstats behaviour study.zarr --of choices --classes f m --label gender --json
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
