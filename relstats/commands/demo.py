"""The command for a newcomer's first minutes: faces whose truth is known, from networks to
report.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import click

from relstats.commands.parser import argument, option

_MARKS = {
    "found": "\N{CHECK MARK}",
    "found, not certain": "(\N{CHECK MARK})",
    "missed": "\N{BALLOT X}",
}


Folder = Annotated[Path, argument(help="Where to write everything.", metavar="FOLDER")]
Networks = Annotated[int, option(help="Of each pretraining and task.", type=click.IntRange(min=1))]
Pictures = Annotated[int, option(help="Of each of ten persons.", type=click.IntRange(min=2))]
_RANDOM = "Of all that is random: persons, pictures, networks, people."
Seed = Annotated[int, option(help=_RANDOM, type=click.IntRange(min=0))]


def demo(
    folder: Folder = Path("relstats-demo"),
    networks: Networks = 3,
    pictures: Pictures = 6,
    seed: Seed = 1,
) -> None:
    """Train small networks on drawn faces whose identity and gender lie in known pixels, and
    analyse them.

    Everything that a study needs is written as you would: pictures, checkpoints, study file, masks
    of facial parts and judgments of simulated people. The real commands do the rest, and the end
    says what was planted and what was found.

    \b
    Example:
      relstats demo
    """  # noqa: D301 - the parser knows the character, not its escape
    from relstats.commands import analyse, compute, inputs, run, terminal
    from relstats.results.catalogue import BY_STATISTIC

    _trained(folder, networks, pictures, seed)
    file, study = str(folder / "faces.toml"), str(folder / "faces.zarr")
    planted = {"axis": "pretrain", "score": "probability", "normalise": "chance"}
    with _one_thread():
        compute.compute(file, study)
        inputs.regions(study, str(folder / "parts"), names=list(_regions()))
        inputs.judgments(study, str(folder / "judgments.csv"), kind="dissimilarity")
        compute.transfer(file, study)
        analyse.execute(BY_STATISTIC["compare"], study, planted)
        run.run(Path(file), Path(study))
    _print_truth(study)
    terminal.note(f"the study: {study}. The same by your own hands: relstats run {file} {study}")
    page = folder / "faces.html"
    if page.exists():
        print(f"open the report: {page.resolve()}")


def _one_thread() -> AbstractContextManager[None]:
    from relstats.demo.train import one_thread

    return one_thread()


def _regions() -> tuple[str, ...]:
    from relstats.demo.faces import REGIONS

    return REGIONS


def _trained(folder: Path, networks: int, pictures: int, seed: int) -> None:
    from relstats.extras import require_compute

    require_compute()
    from relstats.commands.terminal import note, progress
    from relstats.demo.train import Sizes
    from relstats.demo.writing import write_demo

    note(f"training {4 * networks} networks on drawn faces, into {folder}")
    with progress("batches learnt") as advance:
        write_demo(
            folder, sizes=Sizes(networks=networks, pictures=pictures), seed=seed, progress=advance
        )


def _print_truth(study: str) -> None:
    from relstats.commands.terminal import print_table
    from relstats.demo.truth import recovered
    from relstats.study.store import open_study

    rows = [
        (f"{_MARKS[f.verdict]} {f.verdict}", f.planted, f.found)
        for f in recovered(open_study(study))
    ]
    print_table("what was planted, and what the study found", ("", "planted", "found"), rows)
