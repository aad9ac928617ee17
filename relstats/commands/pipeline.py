"""Which analyses a study supports, in which order, and why the others cannot be done.

And what is up to date.

Nothing is computed here: a step is a command line of relstats.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import xarray as xr
import zarr

from relstats import __version__
from relstats.errors import UsageError
from relstats.study import layout, shards

#: Attribute of a result: a digest of all that it was made from, by `relstats run`.
STAMP = "run_inputs"
_STUDY, _FILE = "STUDY", "FILE"
_NO_SCORES = "it needs masked images' scores, /transfer. Add [transfer] to the study file"


@dataclass(frozen=True)
class Facts:
    """What decides which analyses are possible.

    Attributes
    ----------
    levels : mapping of str to tuple of str
        The levels of each axis.
    networks : tuple of int
        How many each model has.
    groups : frozenset of str
        What the study holds, or will hold when the study file is done.
    """

    levels: Mapping[str, tuple[str, ...]]
    networks: tuple[int, ...]
    groups: frozenset[str]

    @property
    def axes(self) -> tuple[str, ...]:
        """Axes with two levels or more."""
        return tuple(axis for axis, levels in self.levels.items() if len(set(levels)) > 1)


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes
    ----------
    arguments : tuple of str
        Of the command line, its command first; "STUDY" and "FILE" stand for the study and its file.
    reads : tuple of str
        Groups that the outcome depends on.
    why_not : str
        Why it cannot be done; empty where it can.
    result : str
        A result that it needs, made by an earlier step.
    writes : str
        The group that it writes, where that is no result.
    """

    arguments: tuple[str, ...]
    reads: tuple[str, ...] = ()
    why_not: str = ""
    result: str = ""
    writes: str = ""

    @property
    def command(self) -> str:
        """Name of the step, which `--steps` takes."""
        return self.writes or self.arguments[0]

    def on(self, study: str, file: str) -> list[str]:
        """Arguments with the study and its file in their places."""
        return [{_STUDY: study, _FILE: file}.get(argument, argument) for argument in self.arguments]

    def __str__(self) -> str:
        return " ".join(argument for argument in self.arguments if argument not in (_STUDY, _FILE))


def facts_of_study(study: xr.DataTree, *, more: Iterable[str] = ()) -> Facts:
    """Facts of an opened study; `more` are groups that will be added to it.

    Examples
    --------
    >>> import numpy as np, relstats
    >>> study = relstats.simulate(
    ...     models="2x1", seeds=3, images=4, size=8, rng=np.random.default_rng(1)
    ... )
    >>> facts_of_study(study).axes, facts_of_study(study).networks
    (('pretrain',), (3, 3))
    """
    maps = study["relevance"].to_dataset() if "relevance" in study.children else xr.Dataset()
    cells = shards.networks(maps, layout.NETWORK) if maps.sizes else []
    counts = tuple(sum(m == model for m, _ in cells) for model in range(maps.sizes.get("model", 0)))
    levels = (
        {axis: tuple(dict.fromkeys(found)) for axis, found in layout.axes(maps).items()}
        if maps.sizes
        else {}
    )
    return Facts(levels, counts, frozenset(study.children) | frozenset(more))


def computing(facts: Facts) -> tuple[Step, ...]:
    """The steps that write what is analysed, of a study file with these facts.

    Examples
    --------
    >>> [step.why_not for step in computing(Facts({}, (1,), frozenset({"relevance"})))]
    ['', 'the study file has no [transfer] table']
    """
    why = "" if "transfer" in facts.groups else "the study file has no [transfer] table"
    return Step(("compute",)), Step(("transfer",), why_not=why)


def is_complete(path: Path, command: str) -> bool:
    """Whether all shards that `compute` or `transfer` writes are there."""
    group = {"compute": "relevance"}.get(command, command)
    families = [name for name, info in layout.FAMILIES.items() if info.group == group]
    return (path / group).exists() and not any(
        shards.unfinished(path, family) for family in families
    )


def plan(facts: Facts) -> tuple[Step, ...]:
    """The steps from relevance to the report, also those that cannot be done, which say why.

    Examples
    --------
    >>> facts = Facts({"pretrain": ("imagenet", "vggface2")}, (1, 1), frozenset({"relevance"}))
    >>> for step in plan(facts)[:3]:
    ...     print(step, "-", step.why_not or "can be done")
    compare --axis pretrain --measure spearman - can be done
    compare --axis pretrain --score probability - it needs masked images' scores, /transfer. Add
    [transfer] to the study file
    shared - can be done
    """
    return tuple((*_comparisons(facts), *_maps(facts), *_regions(facts), *_people(facts)))


def _comparisons(facts: Facts) -> Iterator[Step]:
    if not facts.axes:
        yield Step(
            ("compare", _STUDY),
            why_not=(
                "it compares levels of an axis, and no axis of these models has two. Give the"
                " models of the study file axes that differ"
            ),
        )
    for axis in facts.axes:
        on_axis = "compare", _STUDY, "--axis", axis
        yield Step((*on_axis, "--measure", "spearman"), ("relevance",))
        yield _needing(
            facts, "transfer", (*on_axis, "--score", "probability"), ("transfer",), _NO_SCORES
        )


def _maps(facts: Facts) -> Iterator[Step]:
    yield Step(("shared", _STUDY), ("relevance",))
    why = "" if "transfer" in facts.groups else _NO_SCORES
    yield Step(
        ("transfer", _FILE, _STUDY, "--masks", "shared"),
        ("relevance", "transfer"),
        why,
        "shared",
        "sufficiency",
    )
    yield Step(("sufficiency", _STUDY), ("sufficiency",), why, "shared")
    alone = max(facts.networks, default=0) < 2
    yield Step(
        ("stability", _STUDY),
        ("relevance",),
        (
            "it compares networks of one model, and no model has two. Train each from several seeds"
            if alone
            else ""
        ),
    )
    for axis in facts.axes:
        yield Step(("differences", _STUDY, "--axis", axis), ("relevance",))


def _regions(facts: Facts) -> Iterator[Step]:
    why = "it needs masks of regions, /regions. Add them with relstats add regions, then run again"
    axes: list[tuple[str, ...]] = [("--axis", axis) for axis in facts.axes]
    for options in axes or [()]:
        yield _needing(
            facts, "regions", ("regions", _STUDY, *options), ("relevance", "regions"), why
        )


def _people(facts: Facts) -> Iterator[Step]:
    why = (
        "it needs people's judgments, /human. Add them with relstats add judgments, then run again"
    )
    yield _needing(facts, "human", ("rsa", _STUDY), ("relevance", "human"), why)
    for axis in facts.axes:
        yield _needing(
            facts,
            "human",
            ("compare-human", _STUDY, "--axis", axis),
            ("relevance", "human"),
            why,
        )


def _needing(
    facts: Facts, group: str, arguments: Sequence[str], reads: Sequence[str], why: str
) -> Step:
    return Step(tuple(arguments), tuple(reads), "" if group in facts.groups else why)


def chosen(
    steps: Sequence[Step], commands: Sequence[str], known: Sequence[str]
) -> tuple[Step, ...]:
    """Steps of some commands; all where none is named.

    Raises
    ------
    UsageError
        A command is not among those `known`.

    Examples
    --------
    >>> [
    ...     str(step)
    ...     for step in chosen(
    ...         (Step(("shared", "STUDY")), Step(("stability", "STUDY"))), ["shared"], ["shared"]
    ...     )
    ... ]
    ['shared']
    """
    unknown = [command for command in commands if command not in known]
    if unknown:
        raise UsageError(f"--steps: {unknown[0]!r} is no step; the steps are {', '.join(known)}")
    return tuple(step for step in steps if not commands or step.command in commands)


def digest(path: Path, step: Step) -> str:
    """What the outcome of a step depends on: version, options and the groups that it reads, with
    all labels and values.

    Streamed values come in through the manifest, which holds the sha256 of every shard.
    """
    found = hashlib.sha256(json.dumps([__version__, step.arguments]).encode())
    for group in step.reads:
        streamed = {v.name for v in layout.VARIABLES if v.group == group and v.family}
        families = [
            path / "manifest" / name
            for name, info in layout.FAMILIES.items()
            if info.group == group
        ]
        for folder in (path / group, *families):
            for file in sorted(p for p in folder.rglob("*") if p.is_file()):
                inner = file.relative_to(folder).parts
                if folder in families or inner[0] not in streamed or file.name == "zarr.json":
                    found.update(
                        "/".join((folder.name, *inner)).encode()
                        + hashlib.sha256(file.read_bytes()).digest()
                    )
    return found.hexdigest()


def is_done(path: Path, step: Step) -> bool:
    """Whether the study holds what `relstats run` made from the same inputs with the same step."""
    wanted = digest(path, step)
    return any(group.attrs.get(STAMP) == wanted for _, group in _made(path, step))


def is_outdated(path: Path, step: Step) -> bool:
    """Whether the group that a step writes is there, made from other inputs."""
    return any(
        group.attrs.get(STAMP, digest(path, step)) != digest(path, step)
        for _, group in _made(path, step)
        if step.writes
    )


def stamp(path: Path, step: Step, command: str) -> None:
    """Mark what a command line has just made with the inputs of its step."""
    inputs = digest(path, step)
    for _, group in _made(path, step):
        if step.writes or group.attrs.get("command") == command:
            group.attrs[STAMP] = inputs


def has_result(path: Path, name: str) -> bool:
    """Whether there is a result of this name."""
    return (path / "results" / name / "zarr.json").exists()


def _made(path: Path, step: Step) -> list[tuple[str, zarr.Group]]:
    """What a step may have made: its group, or any result."""
    folder = path / (step.writes or "results")
    if not (folder / "zarr.json").exists():
        return []
    opened = zarr.open_group(str(folder), mode="r+", use_consolidated=False)
    return [(step.writes, opened)] if step.writes else sorted(opened.groups())


def is_newer(report: Path, path: Path) -> bool:
    """Whether a report was written after every result and group of a study."""
    if not report.is_file():
        return False
    times = [
        p.stat().st_mtime for p in (*path.glob("*/zarr.json"), *path.glob("results/*/zarr.json"))
    ]
    return report.stat().st_mtime > max(times, default=0.0)
