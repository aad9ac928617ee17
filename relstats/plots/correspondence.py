"""Figures of people's own maps and choices: how far networks agree with them, and people among
themselves.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from relstats.plots import parts
from relstats.plots.canvas import GREY, new_figure, styled
from relstats.plots.drawing import Drawing
from relstats.plots.parts import Row
from relstats.plots.words import interval, p_text, percent, sentence
from relstats.results.text import number, safe

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figures(result: xr.Dataset, images: xr.Dataset | None = None) -> list[Drawing]:
    """Means of levels beside people's own agreement, and differences."""
    found = [Drawing("level_means", means_alt(result), functools.partial(means, result))]
    if "estimate" in result:
        found.append(
            Drawing(
                "level_differences", differences_alt(result), functools.partial(differences, result)
            )
        )
    return found


@styled
def means(result: xr.Dataset) -> Figure:
    """Mean of each level for each effect with its interval.

    The dotted line is what people reach among themselves.

    Parameters
    ----------
    result : Dataset
        From `relstats.human_maps` or `relstats.behaviour`.
    """
    rows = list(_mean_rows(result))[: parts.MOST_ROWS]
    figure = new_figure(parts.rows_height(len(rows)) + 0.4)
    axes = figure.subplots()
    parts.forest(axes, rows)
    name, value = _people(result)
    if np.isfinite(value):
        axes.axvline(
            value, color=GREY, linestyle=(0, (1, 2)), label=f"{name} {number(value)}", gid="people"
        )
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center")
    axes.set_xlabel(f"{percent(result.attrs['confidence'])} interval")
    return figure


def _people(result: xr.Dataset) -> tuple[str, float]:
    """What people reach among themselves."""
    for variable, words in (
        ("people_kappa", "people among themselves"),
        ("split_half_corrected", "people, split half, corrected"),
        ("split_half", "people, split half"),
    ):
        if (
            variable in result
            and result[variable].size == 1
            and np.isfinite(result[variable].item())
        ):
            return words, float(result[variable].item())
    return "people", float("nan")


def _mean_rows(result: xr.Dataset) -> Iterator[Row]:
    for k, effect in enumerate(result["effect"].values):
        for level in result["level"].values:
            one = result.sel(effect=effect, level=level)
            low, high = one["level_ci"].values
            yield Row(
                f"{_name(effect)}: {level}",
                one["level_mean"].item(),
                low,
                high,
                p_text(one["level_p_value"].item()),
                kind=k,
            )


def _name(effect: object) -> str:
    return {"above_swapped": "beyond that with other images"}.get(str(effect), str(effect))


def means_alt(result: xr.Dataset) -> str:
    """Each mean in words."""
    name, value = _people(result)
    told = (
        f"{safe(row.label)}"
        f" {interval(row.estimate, (row.low, row.high))}{', ' * bool(row.note)}{row.note}"
        for row in _mean_rows(result)
    )
    return sentence(
        f"Agreement of networks with people, with {percent(result.attrs['confidence'])} intervals",
        told,
        f"{name} {number(value)}" if np.isfinite(value) else "",
    )


@styled
def differences(result: xr.Dataset) -> Figure:
    """Differences between levels.

    Parameters
    ----------
    result : Dataset
        As for `means`, with an axis.
    """
    rows = list(_difference_rows(result))[: parts.MOST_ROWS]
    figure = new_figure(parts.rows_height(len(rows)))
    axes = figure.subplots()
    parts.forest(axes, rows)
    axes.set_xlabel(f"difference, {percent(result.attrs['confidence'])} interval")
    return figure


def _difference_rows(result: xr.Dataset) -> Iterator[Row]:
    for k, effect in enumerate(result["effect"].values):
        for contrast in result["contrast"].values:
            one = result.sel(contrast=contrast, effect=effect)
            low, high = one["ci"].values
            yield Row(
                f"{_name(effect)}: {contrast}",
                one["estimate"].item(),
                low,
                high,
                p_text(one["p_adjusted"].item(), "p Holm"),
                kind=k,
            )


def differences_alt(result: xr.Dataset) -> str:
    """Each difference in words."""
    told = (
        f"{safe(row.label)}"
        f" {interval(row.estimate, (row.low, row.high))}{', ' * bool(row.note)}{row.note}"
        for row in _difference_rows(result)
    )
    return sentence(
        "Differences between levels in agreement with people, with"
        f" {percent(result.attrs['confidence'])} intervals",
        told,
        safe(result.attrs.get("population", "")),
    )
