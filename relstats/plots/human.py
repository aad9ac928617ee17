"""Figures about people: whose RDMs agree with theirs, and up to which ceiling."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from relstats.plots import parts, rdms
from relstats.plots.canvas import COLOURS, PALE, new_figure, styled
from relstats.plots.drawing import Drawing
from relstats.plots.parts import Row
from relstats.plots.words import count, interval, literal, p_text, percent, sentence
from relstats.results.text import number, safe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def figures(result: xr.Dataset, images: xr.Dataset | None = None) -> list[Drawing]:
    """Models against the noise ceiling, and their differences."""
    found = [Drawing("models", models_alt(result), functools.partial(models, result))]
    if "difference" in result:
        found.append(
            Drawing(
                "model_differences", differences_alt(result), functools.partial(differences, result)
            )
        )
    return found + rdms.point_figures(result, images)


def level_figures(result: xr.Dataset, images: xr.Dataset | None = None) -> list[Drawing]:
    """Levels of an axis against the noise ceiling, and their differences."""
    return [
        Drawing("levels", levels_alt(result), functools.partial(levels, result)),
        Drawing(
            "level_differences",
            level_differences_alt(result),
            functools.partial(level_differences, result),
        ),
    ]


@styled
def models(result: xr.Dataset) -> Figure:
    """Agreement of each model with people, each person as a tick, and the band of the noise
    ceiling.

    Parameters
    ----------
    result : Dataset
        From `relstats.human.rsa`.
    """
    rows = list(_model_rows(result))[: parts.MOST_ROWS]
    figure = new_figure(parts.rows_height(len(rows)) + 0.65)
    axes = figure.subplots()
    _ceiling(axes, result)
    parts.forest(axes, rows)
    axes.plot([], [], color=COLOURS[0], marker="|", linestyle="none", label="one participant")
    axes.set_xlabel(
        f"agreement with people ({literal(result.attrs['comparison'])}),"
        f" {percent(result.attrs['confidence'])} interval"
    )
    axes.set_title(
        f"{count(int(result['n_participants']), 'participant')},"
        f" {count(int(result['n_images']), 'image')}"
    )
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _ceiling(axes: Axes, result: xr.Dataset) -> None:
    low, high = result["noise_ceiling"].values
    if np.isfinite(high):
        start = low if np.isfinite(low) else high
        axes.axvspan(
            start,
            high,
            facecolor=PALE,
            edgecolor="0.6",
            hatch="///",
            linewidth=0.6,
            zorder=-1,
            label="noise ceiling",
            gid="ceiling",
        )


def _ceiling_words(result: xr.Dataset) -> str:
    low, high = (number(float(v)) for v in result["noise_ceiling"].values)
    return (
        f"Noise ceiling {low} to {high}."
        if np.isfinite(result["noise_ceiling"].values).any()
        else "No noise ceiling."
    )


def _told(rows: Iterable[Row]) -> list[str]:
    return [
        f"{safe(row.label)}"
        f" {interval(row.estimate, (row.low, row.high))}{', ' * bool(row.note)}{row.note}"
        for row in rows
    ]


@styled
def levels(result: xr.Dataset) -> Figure:
    """Agreement of each level's networks with people, each network as a tick, and the band of the
    noise ceiling.

    Parameters
    ----------
    result : Dataset
        From `relstats.compare_human`.
    """
    rows = list(_level_rows(result))[: parts.MOST_ROWS]
    figure = new_figure(parts.rows_height(len(rows)) + 0.65)
    axes = figure.subplots()
    _ceiling(axes, result)
    parts.forest(axes, rows)
    axes.plot([], [], color=COLOURS[0], marker="|", linestyle="none", label="one network")
    axes.set_xlabel(
        f"agreement with people ({literal(result.attrs['comparison'])}),"
        f" {percent(result.attrs['confidence'])} interval"
    )
    axes.set_title(
        f"{count(int(result['n_participants']), 'participant')},"
        f" {count(int(result['n_images']), 'image')}"
    )
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _level_rows(result: xr.Dataset) -> Iterator[Row]:
    members = result[f"network_{result.attrs['axis']}"].values.astype(object)
    for k, level in enumerate(result["level"].values):
        low, high = result["level_ci"].values[k]
        points = result["network_estimate"].values[members == level].tolist()
        yield Row(str(level), float(result["level_mean"].values[k]), low, high, points=points)


def levels_alt(result: xr.Dataset) -> str:
    """Each level and the ceiling in words."""
    people = count(int(result["n_participants"]), "participant")
    begin = (
        f"Agreement ({result.attrs['comparison']}) of networks' RDMs with those of {people}, with"
        f" {percent(result.attrs['confidence'])} intervals"
    )
    return sentence(begin, _told(_level_rows(result)), _ceiling_words(result))


@styled
def level_differences(result: xr.Dataset) -> Figure:
    """Differences between levels in agreement with people.

    Parameters
    ----------
    result : Dataset
        From `relstats.compare_human`.
    """
    rows = list(_level_difference_rows(result))[: parts.MOST_ROWS]
    figure = new_figure(parts.rows_height(len(rows)))
    axes = figure.subplots()
    parts.forest(axes, rows)
    axes.set_xlabel(
        f"difference in agreement ({literal(result.attrs['comparison'])}),"
        f" {percent(result.attrs['confidence'])} interval"
    )
    return figure


def _level_difference_rows(result: xr.Dataset) -> Iterator[Row]:
    for contrast in result["contrast"].values:
        one = result.sel(contrast=contrast).isel(effect=0)
        low, high = one["ci"].values
        yield Row(
            str(contrast),
            one["estimate"].item(),
            low,
            high,
            p_text(one["p_adjusted"].item(), "p Holm"),
        )


def level_differences_alt(result: xr.Dataset) -> str:
    """Each difference in words."""
    begin = (
        "Differences between levels in agreement with people, with"
        f" {percent(result.attrs['confidence'])} intervals"
    )
    return sentence(
        begin, _told(_level_difference_rows(result)), safe(result.attrs.get("population", ""))
    )


def _dim(result: xr.Dataset) -> str:
    return "model" if "model" in result.dims else "level"


def _model_rows(result: xr.Dataset) -> Iterator[Row]:
    dim = _dim(result)
    for k, name in enumerate(result[dim].values):
        one = result.isel({dim: k})
        low, high = one["ci"].values
        p = (
            p_text(one["p_value_adjusted"].item(), "p adjusted")
            if "p_value_adjusted" in one
            else p_text(one["p_value"].item())
        )
        yield Row(str(name), one["estimate"].item(), low, high, p, one["agreement"].values.tolist())


def models_alt(result: xr.Dataset) -> str:
    """Each model and the ceiling in words."""
    people = count(int(result["n_participants"]), "participant")
    begin = (
        f"Agreement ({result.attrs['comparison']}) of networks' RDMs with those of {people}, with"
        f" {percent(result.attrs['confidence'])} intervals"
    )
    return sentence(
        begin,
        _told(_model_rows(result)),
        f"{_ceiling_words(result)} {safe(result.attrs.get('population', ''))}".strip(),
    )


@styled
def differences(result: xr.Dataset) -> Figure:
    """Differences between models in agreement with people.

    Parameters
    ----------
    result : Dataset
        From `relstats.human.rsa` with two models or more.
    """
    rows = list(_difference_rows(result))[: parts.MOST_ROWS]
    figure = new_figure(parts.rows_height(len(rows)))
    axes = figure.subplots()
    parts.forest(axes, rows)
    axes.set_xlabel(
        f"difference in agreement ({literal(result.attrs['comparison'])}),"
        f" {percent(result.attrs['confidence'])} interval"
    )
    return figure


def _difference_rows(result: xr.Dataset) -> Iterator[Row]:
    p, name = (
        ("difference_p_value_adjusted", "p adjusted")
        if "difference_p_value_adjusted" in result
        else ("difference_p_value", "p")
    )
    for k, contrast in enumerate(result["contrast"].values):
        low, high = result["difference_ci"].values[k]
        yield Row(
            str(contrast),
            float(result["difference"].values[k]),
            low,
            high,
            p_text(float(result[p].values[k]), name),
        )


def differences_alt(result: xr.Dataset) -> str:
    """Each difference in words."""
    begin = (
        "Differences between models in agreement with people, with"
        f" {percent(result.attrs['confidence'])} intervals"
    )
    return sentence(begin, _told(_difference_rows(result)))
