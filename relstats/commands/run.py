"""The command that goes all the way: relevance, transfer, every analysis that the study supports,
and its report.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from relstats.commands.options import several
from relstats.commands.parser import argument, option
from relstats.errors import ImpossibleAnalysis, UsageError
from relstats.results.entries import ANALYSES

if TYPE_CHECKING:
    from relstats.commands.pipeline import Facts, Step

#: What `--steps` takes, in the order in which they are done.
STEPS = ("compute", "transfer", *(analysis.command for analysis in ANALYSES), "report")


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
    file: Annotated[
        Path,
        argument(
            help="The study file: images, networks, composite.",
            metavar="STUDY.toml",
        ),
    ],
    out: Annotated[Path, argument(help="The study to write.", metavar="OUT.zarr")],
    steps: Annotated[
        list[str] | None,
        several(help=f"Only these: {', '.join(STEPS)}. [default: all]"),
    ] = None,
    report: Annotated[
        Path | None,
        option(help="The report to write; an earlier one is replaced. [default: OUT.html]"),
    ] = None,
    dry_run: Annotated[bool, option("--dry-run", help="Say what would be done, and stop.")] = False,
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
    wanted = steps or ()
    pipeline.chosen((), wanted, STEPS)
    page = report or out.with_suffix(".html")
    outcomes = []
    for outcome in _outcomes(file, out, page, wanted, dry_run):
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
    file: Path, out: Path, page: Path, wanted: Sequence[str], dry_run: bool
) -> Iterator[Outcome]:
    """Each step as it is done.

    What is planned comes from the study, which the first steps write.
    """
    from relstats.commands import pipeline
    from relstats.study import store

    facts = _facts_of_file(file)
    for step in pipeline.chosen(pipeline.computing(facts), wanted, STEPS):
        yield _computed(step, file, out, dry_run)
    if (out / "relevance").exists():
        more = facts.groups if dry_run else ()
        facts = pipeline.facts_of_study(store.open_study(out), more=more)
    for step in pipeline.chosen(pipeline.plan(facts), wanted, STEPS):
        yield _analysed(step, file, out, dry_run)
    if not wanted or "report" in wanted:
        yield _reported(out, page, dry_run)


def _facts_of_file(file: Path) -> Facts:
    from relstats.commands.pipeline import Facts
    from relstats.compute.study_file.study import read_study

    study = read_study(file)
    axes = study.models[0].axes if study.models else ()
    levels = {axis: tuple(model.axes[axis] for model in study.models) for axis in axes}
    groups = {"images", "relevance", *(["transfer"] if study.transfer else [])}
    return Facts(levels, tuple(len(model.checkpoints) for model in study.models), frozenset(groups))


def _computed(step: Step, file: Path, out: Path, dry_run: bool) -> Outcome:
    """Relevance or transfer: the command itself resumes, and refuses other settings."""
    from relstats.commands import compute, pipeline

    if step.why_not:
        return Outcome(str(step), "not possible", step.why_not)
    is_new = not pipeline.is_complete(out, step.command)
    if dry_run:
        return Outcome(str(step), "to do" if is_new else "up to date")
    command = compute.compute if step.command == "compute" else compute.transfer
    seconds, _ = timed(f"{step.command} {file} {out}", command, str(file), str(out))
    return Outcome(str(step), "done" if is_new else "up to date", seconds=seconds)


def _analysed(step: Step, file: Path, out: Path, dry_run: bool) -> Outcome:
    """An analysis; what the data do not allow is no failure of the run."""
    from relstats.commands import pipeline

    if step.why_not:
        return Outcome(str(step), "not possible", step.why_not)
    if out.exists() and pipeline.is_done(out, step):
        return Outcome(str(step), "up to date")
    if dry_run:
        return Outcome(str(step), "to do")
    if step.needs and not pipeline.has_result(out, step.needs):
        return Outcome(str(step), "not possible", f"it needs the result of relstats {step.needs}")
    try:
        seconds, name = timed(str(step), _do, step, file, out)
    except (
        ImpossibleAnalysis,
        UsageError,
    ) as error:  # usage: what was made by hand with other settings stays
        return Outcome(str(step), "not possible", str(error))
    pipeline.stamp(out, step, name)
    return Outcome(str(step), "done", seconds=seconds)


def _do(step: Step, file: Path, out: Path) -> str:
    """Do one step after relevance and transfer; returns the name of its result."""
    from relstats.commands import analyse, compute, pipeline

    if step.analysis is None:
        force = pipeline.is_outdated(out, step)
        compute.transfer(str(file), str(out), masks=step.options["masks"], force=force)
        return ""
    return analyse.execute(step.analysis, str(out), step.options)


def _reported(out: Path, page: Path, dry_run: bool) -> Outcome:
    from relstats.commands import pipeline, show

    missing = [name for name in ("matplotlib", "jinja2") if find_spec(name) is None]
    if missing:
        why = f"{', '.join(missing)} not installed: pip install 'relstats[report]'"
        return Outcome("report", "not possible", why)
    if pipeline.is_newer(page, out):
        return Outcome("report", "up to date")
    if dry_run:
        return Outcome("report", "to do")
    seconds, _ = timed(f"report {out}", show.report, str(out), out=str(page), force=True)
    return Outcome("report", "done", seconds=seconds)


def timed(
    what: str, function: Callable[..., Any], *arguments: Any, **options: Any
) -> tuple[float, Any]:
    """Do one command as if it had been typed; returns how many seconds it took, and its result."""
    from relstats.commands.terminal import note

    note(f"relstats {what}")
    start = time.monotonic()
    result = function(*arguments, **options)
    return time.monotonic() - start, result
