"""The command line: each command parses, calls one function and prints.

Results go to stdout, all else to stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer

from relstats import __version__
from relstats.commands import (
    compute,
    demo,
    differences,
    human,
    human_maps,
    maps,
    plot,
    report,
    sufficiency,
    virelay,
)
from relstats.commands import run as cli_run
from relstats.commands import shared as cli_shared
from relstats.errors import RelstatsError, UsageError

app = typer.Typer(
    name="relstats",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Compare relevance maps across networks. Start with: relstats demo",
)

#: Options that take several values, as in `--networks 3 5 10`.
_SEVERAL = {
    "power": {"--networks", "--images"},
    "compare": {"--within", "--pool", "--fraction", "--random"},
    "simulate": {"--seeds", "--fraction"},
    "shared": {"--across"},
    "stability": {"--pool"},
    "behaviour": {"--within", "--pool", "--random", "--classes", "--models"},
    "humanmaps": {"--within", "--pool", "--random"},
    "report": {"--images"},
    "regions": {"--within", "--pool", "--names"},
    "rsa": {"--random", "--control"},
    "differences": {"--within", "--pool", "--correction"},
    "run": {"--steps"},
}

INTERRUPTED = 130

Study = Annotated[
    str, typer.Argument(help="The study, a Zarr store.", metavar="STUDY", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, and nothing else.")]
Seed = Annotated[int, typer.Option(help="Seed of the random numbers; it is recorded.", min=0)]


def _version(show: bool) -> None:
    if show:
        print(f"relstats {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    pass


@app.command()
def simulate(
    out: Annotated[
        str,
        typer.Argument(help="Where to write the study.", metavar="OUT.zarr", show_default=False),
    ],
    models: Annotated[
        str, typer.Option(help="Levels of pretrain x task (x architecture).")
    ] = "2x2",
    seeds: Annotated[
        list[int] | None,
        typer.Option(help="Networks a model; several numbers: one for each. [default: 5]"),
    ] = None,
    images: Annotated[int, typer.Option(min=1)] = 200,
    size: Annotated[int, typer.Option(help="Height and width of a map, in pixels.", min=4)] = 64,
    fraction: Annotated[
        list[float] | None, typer.Option(help="Shares of pixels kept. [default: 0.1 0.2 0.4]")
    ] = None,
    shared: Annotated[
        float, typer.Option(help="Share of pixels that every network finds relevant.")
    ] = 0.0,
    seed: Seed = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace a study that is there.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written, and stop.")
    ] = False,
) -> None:
    """Write a study with planted effects, to try things out or to plan one.

    An interrupted run is resumed by the same command.

    \b
    Example:
      relstats simulate study.zarr --models 2x2 --seeds 5 --images 200 --size 64 --seed 1
    """  # noqa: D301 - the parser knows the character, not its escape
    import numpy as np

    from relstats.commands.terminal import note, progress
    from relstats.stats.planning.planted import Planted
    from relstats.stats.planning.simulate import describe
    from relstats.stats.planning.simulate import simulate as run

    per_model = 5 if not seeds else seeds[0] if len(seeds) == 1 else seeds
    fractions = fraction or (0.1, 0.2, 0.4)
    note(describe(models=models, seeds=per_model, images=images, size=size, fractions=fractions))
    if dry_run:
        return
    with progress("writing shards") as advance:
        run(
            out,
            models=models,
            seeds=per_model,
            images=images,
            size=size,
            fractions=fractions,
            force=force,
            planted=Planted(shared_pixels=shared),
            progress=advance,
            rng=np.random.default_rng(seed),
        )
    print(out)


@app.command()
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


@app.command()
def validate(
    path: Study,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also read every shard and compare its sha256.")
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
        raise typer.Exit(3)


@app.command()
def compare(
    path: Study,
    axis: Annotated[
        str, typer.Option(help="Label of the models whose levels are compared.", show_default=False)
    ],
    measure: Annotated[
        str,
        typer.Option(
            help="transfer, spearman, pearson, cosine, iou, dice, capture; human: with judgments."
        ),
    ] = "transfer",
    score: Annotated[
        str, typer.Option(help="Of transfer: correct, probability or margin.")
    ] = "correct",
    fraction: Annotated[
        list[float] | None, typer.Option(help="Shares of pixels. [default: all]")
    ] = None,
    within: Annotated[
        list[str] | None, typer.Option(help="Axes to hold fixed. [default: all others]")
    ] = None,
    pool: Annotated[list[str] | None, typer.Option(help="Axes to mix.")] = None,
    ranking: Annotated[
        str, typer.Option(help="Of pixels: positive, absolute or signed.")
    ] = "positive",
    normalise: Annotated[
        str, typer.Option(help="Scores: auto, none, target (floor to ceiling) or chance.")
    ] = "auto",
    margin: Annotated[
        float | None, typer.Option(help="Of equivalence. [default: 10 % of within levels]")
    ] = None,
    df: Annotated[str, typer.Option(help="satterthwaite or pooled.")] = "satterthwaite",
    confidence: Annotated[float, typer.Option(help="Confidence level.")] = 0.95,
    n_swaps: Annotated[
        int, typer.Option(help="Label swaps where they cannot be enumerated.")
    ] = 9999,
    nan: Annotated[str, typer.Option(help="Images with NaN: raise, or omit (counted).")] = "raise",
    align: Annotated[
        str, typer.Option(help="Images of the groups: exact, or inner (recorded).")
    ] = "exact",
    on: Annotated[
        str, typer.Option(help="Of human: RDMs of relevance, weighted_images or features.")
    ] = "relevance",
    layer: Annotated[
        str | None, typer.Option(help="Of human, on features: which. [default: the only one]")
    ] = None,
    comparison: Annotated[
        str, typer.Option(help="Of human: rho-a, spearman, tau-a, corr, cosine, ...")
    ] = "rho-a",
    random: Annotated[
        list[str] | None,
        typer.Option(help="Of human: what to generalize to. [default: images participants seeds]"),
    ] = None,
    seed: Seed = 0,
    json: Json = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and stop.")
    ] = False,
) -> None:
    """Test whether maps generalize over an axis, and which direction is better.

    The result is printed and saved in the study.

    \b
    Examples:
      relstats compare study.zarr --axis pretrain
      relstats compare study.zarr --axis pretrain --measure spearman --within task --json
      relstats compare study.zarr --axis pretrain --measure human --random images participants
    """  # noqa: D301 - the parser knows the character, not its escape
    import numpy as np

    from relstats.commands import terminal
    from relstats.stats.compare import compare as run
    from relstats.stats.compare import describe
    from relstats.study import store

    if measure == "human":
        given = {
            "--score": score != "correct",
            "--fraction": bool(fraction),
            "--normalise": normalise != "auto",
            "--margin": margin is not None,
            "--df": df != "satterthwaite",
        }
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
            "random": random,
        }
        return human_maps.compare_human(
            path,
            align,
            seed,
            json,
            dry_run,
            [k for k, is_given in given.items() if is_given],
            options,
        )
    if on != "relevance" or layer or comparison != "rho-a" or random:
        raise UsageError(
            "--on, --layer, --comparison and --random are of --measure human. Leave them out"
        )
    study = store.open_study(path, align=align)
    options = {"axis": axis, "measure": measure, "within": within, "pool": pool or ()}
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


@app.command()
def power(
    networks: Annotated[list[int], typer.Option(help="Networks in each level.")],
    images: Annotated[list[int], typer.Option(help="Images.")],
    effect: Annotated[
        float | None, typer.Option(help="True asymmetry, in units of the score.")
    ] = None,
    pilot: Annotated[str | None, typer.Option(help="Take the variances from this study.")] = None,
    axis: Annotated[str | None, typer.Option(help="Axis of the pilot study.")] = None,
    score: Annotated[str, typer.Option(help="Score of the pilot study.")] = "probability",
    target: Annotated[
        float, typer.Option(help="Power at which an effect counts as detectable.")
    ] = 0.8,
    confidence: Annotated[float, typer.Option(help="Confidence level.")] = 0.95,
    json: Json = False,
) -> None:
    """Power and smallest detectable asymmetry of planned designs.

    \b
    Examples:
      relstats power --networks 3 5 10 --images 100 1000 --effect 0.05
      relstats power --networks 5 10 --images 500 --pilot study.zarr --axis pretrain
    """  # noqa: D301 - the parser knows the character, not its escape
    from relstats.commands.terminal import note, print_json, print_table
    from relstats.results.text import number, result_dict
    from relstats.stats.planning.pilot import pilot_components
    from relstats.stats.planning.power import DIGITS, power_table
    from relstats.study.store import open_study

    if (pilot is None) != (axis is None):
        raise UsageError(
            f"--pilot is {pilot!r} and --axis {axis!r}: a pilot study needs its axis, and an axis"
            " its study"
        )
    components = (
        DIGITS
        if pilot is None or axis is None
        else pilot_components(open_study(pilot), axis=axis, score=score)
    )
    result = power_table(networks, images, effect, components, power=target, confidence=confidence)
    if json:
        return print_json(result_dict(result))
    rows = [
        (n, i, number(float(r["power"])), number(float(r["detectable_effect"])))
        for n in networks
        for i in images
        for r in [result.sel(networks=n, images=i)]
    ]
    columns = (
        "networks a level",
        "images",
        f"power for {effect}" if effect else "power",
        f"detectable at {target:g}",
    )
    print_table("asymmetry of two levels, two-way jackknife", columns, rows)
    source = (
        f"pilot {pilot}"
        if pilot
        else "LRP maps of small networks on digits: give --pilot for your own"
    )
    note(f"variances from {source}")


app.command()(compute.compute)
app.command()(compute.transfer)
app.add_typer(maps.regions, name="regions")
app.add_typer(human_maps.humanmaps, name="humanmaps")
app.add_typer(human_maps.behaviour, name="behaviour")
app.add_typer(virelay.virelay, name="virelay")
app.command()(maps.stability)
app.command()(cli_shared.shared)
app.command()(plot.plot)
app.add_typer(human.judgments, name="judgments")
app.command()(human.rdm)
app.command()(human.rsa)
app.command()(differences.differences)
app.command()(sufficiency.sufficiency)
app.command()(report.report)
app.command()(cli_run.run)
app.command()(demo.demo)


def _spread(arguments: Sequence[str]) -> list[str]:
    """`--networks 3 5` as `--networks 3 --networks 5`, which is what the parser knows."""
    command = next((a for a in arguments if not a.startswith("-")), "")
    several = _SEVERAL.get(command, set())
    spread: list[str] = []
    option, first = "", False
    for argument in arguments:
        if argument.startswith("--"):
            name, _, value = argument.partition("=")
            option, first = (name, not value) if name in several else ("", False)
            spread.append(argument)
        elif option and not first and not argument.rstrip("/").endswith(".zarr"):
            spread += [option, argument]
        else:
            spread.append(argument)
            first = False
    return spread


def main() -> None:
    """Run the command line: known errors are one line on stderr and their exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(args=_spread(sys.argv[1:]), prog_name="relstats", standalone_mode=False)
        sys.stdout.flush()
    except typer.Abort:
        code = INTERRUPTED
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), 1
        )  # or the interpreter complains again when it closes stdout
        sys.exit(0)
    except RelstatsError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        _fail(
            f"{error.strerror or error}: {error.filename or 'input or output'}. Check the path, its"
            " rights and the space left",
            1,
        )
    except Exception as error:
        if not hasattr(error, "show"):  # not one of the parser's own
            raise
        error.show()
        sys.exit(2)
    if code == INTERRUPTED:
        _interrupted()
    sys.exit(code if isinstance(code, int) else 0)


def _interrupted() -> NoReturn:
    from relstats.commands.terminal import note

    note("relstats: interrupted. What is written is kept: the same command resumes")
    sys.stdout.flush()
    os._exit(
        INTERRUPTED
    )  # without waiting for the store's threads, which complain of being interrupted


def _fail(message: str, code: int) -> NoReturn:
    from relstats.commands.terminal import note

    lines = message.splitlines() or [""]
    note(f"relstats: {lines[0]}")
    for line in lines[1:]:
        note(line)
    sys.exit(code)


if __name__ == "__main__":
    main()
