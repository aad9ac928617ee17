"""What a study does not say, why, and the command that would change it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import xarray as xr

from relstats.report.facts import Facts, Quality
from relstats.results.analysis import Analysis, Setting
from relstats.results.entries import ANALYSES
from relstats.results.signature import signature

#: The questions under which the report says what seeds, and what axes, do not allow.
_OF_SEEDS = next(analysis.question for analysis in ANALYSES if analysis.seeds)
_OF_AXES = next(analysis.question for analysis in ANALYSES if analysis.per_axis)


class Gap(NamedTuple):
    """What is not said: under which question, why, and the command that helps ("" where none
    does).
    """

    question: str
    why: str
    command: str = ""


def gaps(found: Facts, data: Quality, results: Mapping[str, xr.Dataset]) -> list[Gap]:
    """All gaps of a study: what its networks, images and axes do not allow, then each analysis of
    the catalogue that was not done, in its order.

    Parameters
    ----------
    found, data : Facts, Quality
        Of the study.
    results : mapping of str to Dataset
        What was done.
    """
    if not found.networks:
        why = "The study has no maps and no transfer scores: nothing can be said about networks."
        return [Gap(_OF_SEEDS, why)]
    return [*_of_size(found, data), *_of_axes(found), *_of_analyses(found, results)]


def _of_size(found: Facts, data: Quality) -> Iterator[Gap]:
    """What the size of the study forbids."""
    seeds = found.seeds_per_model
    if data.n_maps and data.n_zero == data.n_maps:
        yield Gap(
            _OF_SEEDS,
            f"All {data.n_maps} maps are zero everywhere: no pixel is more relevant than another,"
            " and no statistic of maps exists.",
        )
    if max(seeds.values()) == 1:
        yield Gap(
            _OF_SEEDS,
            f"Each of the {len(seeds)} model(s) has one network: agreement across seeds cannot be"
            " measured, and nothing holds for other networks of these models. Train more seeds.",
        )
    elif min(seeds.values()) == 1:
        alone = [model for model, n in seeds.items() if n == 1]
        yield Gap(
            _OF_SEEDS,
            f"{len(alone)} model(s) have one network ({', '.join(alone[:3])}): their agreement"
            " across seeds cannot be measured.",
        )
    if len(found.images) == 1:
        yield Gap(
            _OF_AXES,
            "The study has one image: nothing can be said about images like it. Add images.",
        )


def _of_axes(found: Facts) -> Iterator[Gap]:
    if not found.axes:
        yield Gap(
            _OF_AXES,
            "All networks have the same labels: there is no axis along which maps could carry over."
            " Label the models (pretrain, task, ...).",
        )
    for axis, levels in found.axes.items():
        alone = [level for level, n in levels.items() if n == 1]
        if alone:
            yield Gap(
                _OF_AXES,
                f"{', '.join(alone[:3])} ({axis}) has one network: nothing can be said about"
                " networks like it.",
            )


def _of_analyses(found: Facts, results: Mapping[str, xr.Dataset]) -> Iterator[Gap]:
    """Analyses that were not done: first those that could be, then those whose data are missing."""
    waiting: dict[tuple[str, tuple[str, ...], str], dict[str, list[str]]] = {}
    study = shlex.quote(found.file)
    for analysis in ANALYSES:
        for setting in analysis.planned if _is_possible(analysis, found, results) else ():
            missing = tuple(group for group in setting.reads if group not in found.groups)
            for axis in _axes(analysis, found):
                if _is_done(analysis, setting, axis, results):
                    continue
                if not missing:
                    command = _command(analysis, setting, axis, study)
                    yield Gap(analysis.question, _why(setting.gap, axis), command)
                    continue
                supply = _supply(analysis, setting, results, study)
                of = waiting.setdefault((analysis.question, missing, supply), {})
                of.setdefault(setting.gap, []).append(axis)
    for (question, missing, supply), untold in waiting.items():
        groups = " and no ".join(f"/{group}" for group in missing)
        told = [_why(text, " and ".join(axes)) for text, axes in untold.items()]
        yield Gap(question, f"The study has no {groups}. {' '.join(told)}", supply)


def _is_possible(analysis: Analysis, found: Facts, results: Mapping[str, xr.Dataset]) -> bool:
    """Whether an analysis could be done with these networks and results, if its data were there."""
    if analysis.seeds and max(found.seeds_per_model.values()) < 2:
        return False
    if analysis.needs and not _names(results, analysis.needs):
        return False
    return bool(found.axes) or "axis" not in signature(analysis.run).required


def _axes(analysis: Analysis, found: Facts) -> tuple[str, ...]:
    """The axes at which an analysis is done; one without a name where it is done without."""
    return (tuple(found.axes) if analysis.per_axis else ()) or ("",)


def _names(results: Mapping[str, xr.Dataset], statistic: str) -> list[str]:
    return sorted(name for name, r in results.items() if r.attrs.get("statistic") == statistic)


def _is_done(
    analysis: Analysis, setting: Setting, axis: str, results: Mapping[str, xr.Dataset]
) -> bool:
    done = [results[name].attrs for name in _names(results, analysis.statistic)]
    return any(
        (not axis or attrs.get("axis") == axis)
        and (not setting.measures or attrs.get("measure") in setting.measures)
        for attrs in done
    )


def _why(gap: str, axis: str) -> str:
    return gap.format(axis=axis) if axis else gap.replace(" over {axis}", "")


def _command(analysis: Analysis, setting: Setting, axis: str, study: str) -> str:
    """The command line of an analysis."""
    options = ({"axis": axis} if axis else {}) | dict(setting.options)
    parts = [
        f" {analysis.options.get(name, '--' + name.replace('_', '-'))} {shlex.quote(value)}"
        for name, value in options.items()
    ]
    return f"relstats {analysis.command} {study}{''.join(parts)}"


def _supply(
    analysis: Analysis, setting: Setting, results: Mapping[str, xr.Dataset], study: str
) -> str:
    """The command that adds missing data, from a result of the name that it has in this study."""
    command = setting.supply
    if analysis.needs:
        named = shlex.quote(_names(results, analysis.needs)[0])
        command = command.replace(f" {analysis.needs}", f" {named}")
    return command.format(study=study)
