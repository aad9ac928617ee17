"""Commands for before a study: one with planted effects, and how many networks and images are
enough.
"""

from __future__ import annotations

from typing import Annotated

import click

from relstats.commands.options import Confidence, Json, Seed, replacing, several
from relstats.commands.parser import argument, option
from relstats.errors import UsageError


def simulate(
    out: Annotated[
        str,
        argument(help="Where to write the study.", metavar="OUT.zarr"),
    ],
    models: Annotated[str, option(help="Levels of pretrain x task (x architecture).")] = "2x2",
    seeds: Annotated[
        list[int] | None,
        several(help="Networks a model; several numbers: one for each. [default: 5]", kind=int),
    ] = None,
    images: Annotated[int, option(type=click.IntRange(min=1))] = 200,
    size: Annotated[
        int, option(help="Height and width of a map, in pixels.", type=click.IntRange(min=4))
    ] = 64,
    fraction: Annotated[
        list[float] | None,
        several(help="Shares of pixels kept. [default: 0.1,0.2,0.4]", kind=float),
    ] = None,
    shared: Annotated[
        float, option(help="Share of pixels that every network finds relevant.")
    ] = 0.0,
    seed: Seed = 0,
    force: Annotated[bool, replacing("a study")] = False,
    dry_run: Annotated[
        bool, option("--dry-run", help="Say what would be written, and stop.")
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


def power(
    networks: Annotated[list[int], several(help="Networks in each level.", kind=int)],
    images: Annotated[list[int], several(help="Images.", kind=int)],
    effect: Annotated[float | None, option(help="True asymmetry, in units of the score.")] = None,
    pilot: Annotated[str | None, option(help="Take the variances from this study.")] = None,
    axis: Annotated[str | None, option(help="Axis of the pilot study.")] = None,
    score: Annotated[str, option(help="Score of the pilot study.")] = "probability",
    target: Annotated[float, option(help="Power at which an effect counts as detectable.")] = 0.8,
    confidence: Confidence = 0.95,
    json: Json = False,
) -> None:
    """Power and smallest detectable asymmetry of planned designs.

    \b
    Examples:
      relstats power --networks 3,5,10 --images 100,1000 --effect 0.05
      relstats power --networks 5,10 --images 500 --pilot study.zarr --axis pretrain
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
