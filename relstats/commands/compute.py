"""The commands that run networks: relevance of images, and scores on images masked by it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from relstats.commands.parser import argument, option
from relstats.errors import UsageError
from relstats.extras import require_compute

if TYPE_CHECKING:
    from relstats.compute.study_file.settings import Study

File = Annotated[
    str,
    argument(
        help="The study file: images, networks, composite.",
        metavar="STUDY.toml",
    ),
]
Worker = Annotated[
    str, option(help="Of several that write one study: this one and how many, as 3/16.")
]
Device = Annotated[str | None, option(help="cpu, cuda, cuda:1 or mps. [default: that of the file]")]


def compute(
    file: File,
    out: Annotated[str, argument(help="The study to write.", metavar="OUT.zarr")],
    worker: Worker = "1/1",
    device: Device = None,
    force: Annotated[bool, option("--force", help="Replace a study that is there.")] = False,
    dry_run: Annotated[
        bool,
        option("--dry-run", help="Try one batch of each model, say how long all takes, and stop."),
    ] = False,
) -> None:
    """Compute the relevance of every network and image of a study file.

    An interrupted run is resumed by the same command, to the same bytes.

    \b
    Examples:
      relstats compute faces.toml faces.zarr --dry-run
      relstats compute faces.toml faces.zarr --worker 3/16
    """  # noqa: D301 - the parser knows the character, not its escape
    study, share = _read(file, device, worker)
    from relstats.commands.terminal import note, progress
    from relstats.compute.stream import features
    from relstats.compute.stream.export import describe, export, rehearse

    note(describe(study))
    if study.features:
        note(features.describe(study))
    if dry_run:
        for line in rehearse(study):
            note(line)
        return
    with progress("relevance maps") as advance:
        export(study, out, worker=share, force=force, progress=advance, say=note)
    if study.features:
        with progress("shards of features") as advance:
            features.export_features(study, out, worker=share, progress=advance, say=note)
    print(out)


def transfer(
    file: File,
    out: Annotated[str, argument(help="The study with the maps.", metavar="OUT.zarr")],
    worker: Worker = "1/1",
    device: Device = None,
    masks: Annotated[
        str | None,
        option(
            help="A result of relstats shared: score its sets, kept alone and removed, instead."
        ),
    ] = None,
    force: Annotated[
        bool, option("--force", help="Replace what is there with other settings.")
    ] = False,
    dry_run: Annotated[
        bool, option("--dry-run", help="Say what would be done and how long, and stop.")
    ] = False,
) -> None:
    """Show every network the images masked by every network's relevance, and write what it says of
    them.

    Maps may be of any tool. An interrupted run is resumed by the same command, to the same bytes.

    \b
    Examples:
      relstats transfer faces.toml faces.zarr --dry-run
      relstats transfer faces.toml faces.zarr --worker 3/16
      relstats transfer faces.toml faces.zarr --masks shared
    """  # noqa: D301 - the parser knows the character, not its escape
    study, share = _read(file, device, worker)
    from relstats.commands.terminal import note, progress
    from relstats.compute.perturb import sufficiency
    from relstats.compute.perturb import transfer as masked

    how: dict[str, Any] = {"name": masks} if masks else {}
    room: Any = sufficiency if masks else masked
    run = sufficiency.score_sets if masks else masked.transfer
    note(room.describe(study, out, **how))
    if dry_run:
        return note(room.rehearse(study, out, **how))
    with progress("masked images") as advance:
        run(study, out, **how, worker=share, force=force, progress=advance, say=note)
    print(out)


def _read(file: str, device: str | None, worker: str) -> tuple[Study, tuple[int, int]]:
    """The study file, on the device that is asked for, and which share of the work is meant."""
    require_compute()
    from relstats.compute.study_file.study import read_study

    share = _worker(worker)
    study = read_study(file)
    return replace(study, device=device or study.device), share


def _worker(text: str) -> tuple[int, int]:
    """`3/16` as (2, 16): which worker, counted from 0, and how many."""
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise UsageError(
            f"--worker is {text!r}: give this worker and how many there are, from 1/16 to 16/16"
        )
    return int(number) - 1, int(count)
