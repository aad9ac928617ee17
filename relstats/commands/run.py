"""The command that goes all the way: relevance, transfer, every analysis that the study supports,
and its report.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relstats.commands.options import several
from relstats.errors import ImpossibleAnalysis, UsageError

if TYPE_CHECKING:
    from relstats.commands.pipeline import Facts, Step

#: What `--steps` takes, in the order in which they are done.
STEPS = (
    "compute",
    "transfer",
    "compare",
    "shared",
    "sufficiency",
    "stability",
    "differences",
    "regions",
    "rsa",
    "compare-human",
    "report",
)


@dataclass(frozen=True)
class Outcome:
    """What became of a step: done, up to date, not possible, to do; why, where it was not.

    And how long it took.
    """

    step: str
    what: str
    why: str = ""
    seconds: float = 0.0


def run(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            help="The study file: images, networks, composite.",
            metavar="STUDY.toml",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Argument(help="The study to write.", metavar="OUT.zarr", show_default=False)
    ],
    steps: Annotated[
        list[str] | None, several(help=f"Only these: {', '.join(STEPS)}. [default: all]")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="The report to write; an earlier one is replaced. [default: OUT.html]"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and stop.")
    ] = False,
) -> None:
    """Compute relevance and transfer, do every analysis that the study supports, and write the
    report.

    What is there and up to date is left alone; an interrupted run is resumed by the same command.
    Analyses that these data do not allow are listed with the reason. For regions and people, add
    masks and judgments to the study and run again.

    \b
    Examples:
      relstats run faces.toml faces.zarr
      relstats run faces.toml faces.zarr --dry-run
      relstats run faces.toml faces.zarr --steps compare,report
    """  # noqa: D301 - the parser knows the character, not its escape
    from relstats.commands import pipeline
    from relstats.commands.terminal import note, print_table
    from relstats.extras import require_compute

    require_compute()
    pipeline.chosen((), steps or (), STEPS)
    page = report or out.with_suffix(".html")
    outcomes = []
    for outcome in _outcomes(context, file, out, page, steps or (), dry_run):
        outcomes.append(outcome)
        note(f"[{outcome.what}] {outcome.step}{': ' * bool(outcome.why)}{outcome.why}")
    rows = [
        (o.step, o.what, f"{o.seconds:.1f}" if o.what == "done" else "-", o.why or "-")
        for o in outcomes
    ]
    print_table(f"run of {out}", ("step", "", "seconds", "why not"), rows)
    if any(o.step == "report" and o.what in ("done", "up to date") for o in outcomes):
        print(page)


def _outcomes(
    context: typer.Context, file: Path, out: Path, page: Path, wanted: Sequence[str], dry_run: bool
) -> Iterator[Outcome]:
    """Each step as it is done.

    What is planned comes from the study, which the first steps write.
    """
    from relstats.commands import pipeline
    from relstats.study import store

    facts = _facts_of_file(file)
    for step in pipeline.chosen(pipeline.computing(facts), wanted, STEPS):
        yield _computed(context, step, file, out, dry_run)
    if (out / "relevance").exists():
        facts = pipeline.facts_of_study(store.open_study(out), more=facts.groups if dry_run else ())
    for step in pipeline.chosen(pipeline.plan(facts), wanted, STEPS):
        yield _analysed(context, step, file, out, dry_run)
    if not wanted or "report" in wanted:
        yield _reported(context, out, page, dry_run)


def _facts_of_file(file: Path) -> Facts:
    from relstats.commands.pipeline import Facts
    from relstats.compute.study_file.study import read_study

    study = read_study(file)
    axes = study.models[0].axes if study.models else ()
    levels = {axis: tuple(model.axes[axis] for model in study.models) for axis in axes}
    groups = {"images", "relevance", *(["transfer"] if study.transfer else [])}
    return Facts(levels, tuple(len(model.checkpoints) for model in study.models), frozenset(groups))


def _computed(context: typer.Context, step: Step, file: Path, out: Path, dry_run: bool) -> Outcome:
    """Relevance or transfer: the command itself resumes, and refuses other settings."""
    from relstats.commands import pipeline

    if step.why_not:
        return Outcome(str(step), "not possible", step.why_not)
    is_new = not pipeline.is_complete(out, step.command)
    if dry_run:
        return Outcome(str(step), "to do" if is_new else "up to date")
    seconds = done(context, [step.command, str(file), str(out)])
    return Outcome(str(step), "done" if is_new else "up to date", seconds=seconds)


def _analysed(context: typer.Context, step: Step, file: Path, out: Path, dry_run: bool) -> Outcome:
    """An analysis; what the data do not allow is no failure of the run."""
    from relstats.commands import pipeline

    if step.why_not:
        return Outcome(str(step), "not possible", step.why_not)
    if out.exists() and pipeline.is_done(out, step):
        return Outcome(str(step), "up to date")
    if dry_run:
        return Outcome(str(step), "to do")
    if step.result and not pipeline.has_result(out, step.result):
        return Outcome(str(step), "not possible", f"it needs the result of relstats {step.result}")
    arguments = step.on(str(out), str(file)) + ["--force"] * pipeline.is_outdated(out, step)
    try:
        seconds = done(context, arguments)
    except (
        ImpossibleAnalysis,
        UsageError,
    ) as error:  # usage: what was made by hand with other settings stays
        return Outcome(str(step), "not possible", str(error))
    pipeline.stamp(out, step, " ".join(arguments))
    return Outcome(str(step), "done", seconds=seconds)


def _reported(context: typer.Context, out: Path, page: Path, dry_run: bool) -> Outcome:
    from relstats.commands import pipeline

    missing = [name for name in ("matplotlib", "jinja2") if find_spec(name) is None]
    if missing:
        return Outcome(
            "report",
            "not possible",
            f"{', '.join(missing)} not installed: pip install 'relstats[report]'",
        )
    if pipeline.is_newer(page, out):
        return Outcome("report", "up to date")
    if dry_run:
        return Outcome("report", "to do")
    return Outcome(
        "report", "done", seconds=done(context, ["report", str(out), "--out", str(page), "--force"])
    )


def done(context: typer.Context, arguments: list[str]) -> float:
    """Do one command as if it had been typed; returns how many seconds it took."""
    from relstats.commands.terminal import note

    note(f"relstats {' '.join(arguments)}")
    start, typed = time.monotonic(), sys.argv
    sys.argv = [typed[0], *arguments]  # what commands record as theirs
    try:
        context.find_root().command.main(
            args=arguments, prog_name="relstats", standalone_mode=False
        )
    finally:
        sys.argv = typed
    return time.monotonic() - start
