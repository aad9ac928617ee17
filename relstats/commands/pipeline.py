"""Which analyses a study supports, in which order, and why the others cannot be done; and what is
up to date. Nothing is computed here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import xarray as xr
import zarr

from relstats import __version__
from relstats.errors import UsageError
from relstats.results.analysis import Analysis, Setting
from relstats.results.entries import ANALYSES
from relstats.results.signature import signature
from relstats.study import layout, shards
from relstats.study.variables import VARIABLES

#: Attribute of a result: a digest of all that it was made from, by `relstats run`.
STAMP = "run_inputs"
#: Groups that `relstats transfer` writes from the sets of a result.
_OF_SETS = frozenset(group for analysis in ANALYSES if analysis.needs for group in analysis.reads)
#: Groups that only the study file can bring.
_OF_FILE = {"transfer", *_OF_SETS}
_IN_FILE = "Add [transfer] to the study file, then run again"


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
    """One command of a run.

    Attributes
    ----------
    command : str
        What is done, as it is typed.
    options : mapping of str to str
        Parameters that differ from their defaults.
    reads : tuple of str
        Groups that the outcome depends on.
    why_not : str
        Why it cannot be done; empty where it can.
    needs : str
        A result that it needs, made by an earlier step.
    writes : str
        The group that it writes, where that is no result; `--steps` takes this name.
    analysis : Analysis, optional
        Of the catalogue; None where networks are run.
    """

    command: str
    options: Mapping[str, str] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    why_not: str = ""
    needs: str = ""
    writes: str = ""
    analysis: Analysis | None = None

    @property
    def name(self) -> str:
        """What `--steps` takes."""
        return self.writes or self.command

    def __str__(self) -> str:
        typed = (f"--{key.replace('_', '-')} {value}" for key, value in self.options.items())
        return " ".join((self.command, *typed))


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
    return Step("compute"), Step("transfer", why_not=why)


def is_complete(path: Path, command: str) -> bool:
    """Whether all shards that `compute` or `transfer` writes are there."""
    group = {"compute": "relevance"}.get(command, command)
    families = [name for name, info in layout.FAMILIES.items() if info.group == group]
    return (path / group).exists() and not any(
        shards.unfinished(path, family) for family in families
    )


def plan(facts: Facts) -> tuple[Step, ...]:
    """The steps from relevance to the report, in the order of the catalogue; those that cannot be
    done say why.

    Examples
    --------
    >>> facts = Facts({"pretrain": ("imagenet", "vggface2")}, (1, 1), frozenset({"relevance"}))
    >>> for step in plan(facts)[:2]:
    ...     print(step, "-", step.why_not or "can be done")
    compare --axis pretrain --measure spearman - can be done
    compare --axis pretrain --score probability - it needs /transfer. Add [transfer] to the study
    file, then run again
    """
    return tuple(step for analysis in ANALYSES for step in _steps(analysis, facts))


def _steps(analysis: Analysis, facts: Facts) -> Iterator[Step]:
    """All steps of an analysis: its settings at each axis."""
    if analysis.needs:
        yield _scored_sets(analysis, facts)
    if not facts.axes and "axis" in signature(analysis.run).required:
        why = (
            "it compares levels of an axis, and no axis of these models has two. Give the models of"
            " the study file axes that differ"
        )
        yield Step(analysis.command, why_not=why, analysis=analysis)
        return
    axes = facts.axes if analysis.per_axis else ()
    for axis in axes or (None,):
        for setting in analysis.planned:
            options = ({"axis": axis} if axis else {}) | dict(setting.options)
            yield Step(
                analysis.command,
                options,
                setting.reads,
                _why_not(analysis, setting, facts),
                analysis.needs,
                analysis=analysis,
            )


def _scored_sets(analysis: Analysis, facts: Facts) -> Step:
    """Networks are shown the sets of a result before these are tested."""
    why = "" if "transfer" in facts.groups else f"it needs /transfer. {_IN_FILE}"
    options, reads = {"masks": analysis.needs}, ("relevance", "transfer")
    return Step("transfer", options, reads, why, analysis.needs, writes=analysis.reads[0])


def _why_not(analysis: Analysis, setting: Setting, facts: Facts) -> str:
    """Why these data do not allow it; empty where nothing is known against it."""
    there = facts.groups | (_OF_SETS if "transfer" in facts.groups else frozenset())
    for group in setting.reads:
        if group not in there and group in _OF_FILE:
            return f"it needs /transfer. {_IN_FILE}"
        if group not in there:
            supply = setting.supply.format(study="STUDY")
            return f"it needs /{group}. Add it with {supply}, then run again"
    if analysis.seeds and max(facts.networks, default=0) < 2:
        return (
            "it compares networks of one model, and no model has two. Train each from several seeds"
        )
    return ""


def chosen(steps: Sequence[Step], names: Sequence[str], known: Sequence[str]) -> tuple[Step, ...]:
    """Steps of some names; all where none is given.

    Raises
    ------
    UsageError
        A name is not among those `known`.

    Examples
    --------
    >>> steps = Step("compute"), Step("transfer")
    >>> [str(step) for step in chosen(steps, ["transfer"], ["compute", "transfer", "report"])]
    ['transfer']
    """
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"--steps: {unknown[0]!r} is no step; the steps are {', '.join(known)}")
    return tuple(step for step in steps if not names or step.name in names)


def digest(path: Path, step: Step) -> str:
    """What the outcome of a step depends on: version, options and the groups that it reads, with
    all labels and values.

    Streamed values come in through the manifest, which holds the sha256 of every shard.
    """
    found = hashlib.sha256(json.dumps([__version__, str(step)]).encode())
    for group in step.reads:
        streamed = {v.name for v in VARIABLES if v.group == group and v.family}
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


def stamp(path: Path, step: Step, name: str = "") -> None:
    """Mark what a step has just made, the result of this name or its group, with its inputs."""
    inputs = digest(path, step)
    for made, group in _made(path, step):
        if step.writes or made == name:
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
