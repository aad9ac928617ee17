"""Figures of regions: which of them carry the relevance, against chance, and where levels
differ.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from relstats.plots import parts
from relstats.plots.canvas import GREY, level_marker, new_figure, styled
from relstats.plots.drawing import Drawing
from relstats.plots.parts import Row
from relstats.plots.words import interval, literal, p_text, percent, sentence
from relstats.results.text import safe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WHAT = {
    "density": "share of relevance / share of pixels",
    "mass": "share of relevance",
    "rank": "relevance rank accuracy",
    "pointing": "share of images whose largest relevance lies there",
}


def figures(result: xr.Dataset, images: xr.Dataset | None = None) -> list[Drawing]:
    """Means of levels in each region, and their differences."""
    found = [Drawing("region_means", means_alt(result), functools.partial(means, result))]
    if "estimate" in result:
        found.append(
            Drawing(
                "region_differences",
                differences_alt(result),
                functools.partial(differences, result),
            )
        )
    return found


@styled
def means(result: xr.Dataset) -> Figure:
    """Mean of each level in each region with its interval, single networks as ticks, and chance.

    Parameters
    ----------
    result : Dataset
        From `regions`. Chance is 1 for density, and the region's share of the pixels (a diamond)
        for all else.
    """
    levels, regions = result["level"].values, result["region"].values
    if len(levels) > 6:
        return _means_of_many(result)
    step = 1.0 + 0.55 * len(levels)
    figure = new_figure(0.9 + 0.2 * step * len(regions))
    axes = figure.subplots()
    for r, region in enumerate(regions):
        for k, level in enumerate(levels):
            row = _level_row(result, region, level, k)
            parts.draw_row(axes, row, -r * step - 0.55 * k)
        _chance(axes, result, r, -r * step, 0.55 * len(levels))
    centre = 0.55 * (len(levels) - 1) / 2
    names = [
        f"{literal(region, 24)} ({100 * a:.1f} %)"
        for region, a in zip(regions, result["area"].values, strict=True)
    ]
    axes.set_yticks([-r * step - centre for r in range(len(regions))], names)
    axes.set_ylim(-step * len(regions) + 0.6, 0.8)
    axes.tick_params(axis="y", length=0)
    axes.set_title("region (its share of the pixels)", loc="left")
    axes.set_xlabel(
        f"{_WHAT.get(result.attrs['measure'], '')} ({result.attrs['ranking']}),"
        f" {percent(result.attrs['confidence'])} interval"
    )
    _level_legend(figure, axes, result)
    return figure


def _means_of_many(result: xr.Dataset) -> Figure:
    """A row for each region and level, named at its left: more markers than six nobody tells
    apart.
    """
    pairs = [(r, k) for r in range(result.sizes["region"]) for k in range(result.sizes["level"])][
        : parts.MOST_ROWS
    ]
    regions, levels = result["region"].values, result["level"].values
    rows = [
        replace(_level_row(result, regions[r], levels[k], r), label=f"{regions[r]}: {levels[k]}")
        for r, k in pairs
    ]
    figure = new_figure(parts.rows_height(len(rows)) * 0.7 + 0.4)
    axes = figure.subplots()
    parts.forest(axes, rows, line=1.0 if result.attrs["measure"] == "density" else None)
    axes.set_xlabel(
        f"{_WHAT.get(result.attrs['measure'], '')} ({result.attrs['ranking']}),"
        f" {percent(result.attrs['confidence'])} interval"
    )
    return figure


def _level_row(result: xr.Dataset, region: object, level: object, k: int) -> Row:
    one = result.sel(region=region, level=level)
    low, high = one["level_ci"].values
    axis = f"network_{result.attrs.get('axis', 'model')}"
    own = (
        result[axis].values.astype(object) == level
        if axis in result.coords
        else np.zeros(result.sizes["network"], bool)
    )
    return Row(
        str(level),
        one["level_mean"].item(),
        low,
        high,
        points=one["network_score"].values[own],
        kind=k,
    )


def _chance(axes: Axes, result: xr.Dataset, r: int, top: float, height: float) -> None:
    if result.attrs["measure"] == "density":
        if r == 0:
            axes.axvline(
                1,
                color=GREY,
                linewidth=0.8,
                linestyle=(0, (4, 3)),
                zorder=0,
                label="evenly spread relevance",
                gid="chance",
            )
        return
    place = [result["area"].values[r]] * 2
    axes.plot(
        place,
        [top + 0.3, top - height],
        color=GREY,
        linestyle=(0, (2, 1)),
        label=None if r else "evenly spread relevance",
        gid="chance",
    )


def _level_legend(figure: Figure, axes: Axes, result: xr.Dataset) -> None:
    for k, level in enumerate(result["level"].values):
        axes.plot([], [], **level_marker(k), label=literal(level))
    axes.plot([], [], color=GREY, marker="|", linestyle="none", label="one network")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)


def means_alt(result: xr.Dataset) -> str:
    """Each region and level in words."""
    told = [
        f"{safe(region)} ({100 * float(result['area'].sel(region=region)):.1f} % of the pixels),"
        f" {safe(level)} {interval(row.estimate, (row.low, row.high))}"
        for region in result["region"].values
        for level in result["level"].values
        for row in [_level_row(result, region, level, 0)]
    ]
    chance = "1" if result.attrs["measure"] == "density" else "the region's share of the pixels"
    return sentence(
        f"{_WHAT.get(result.attrs['measure'], '')} in regions, with"
        f" {percent(result.attrs['confidence'])} intervals",
        told,
        f"Evenly spread relevance gives {chance}.",
    )


@styled
def differences(result: xr.Dataset) -> Figure:
    """Difference of levels in each region, with its interval and adjusted p-value.

    Parameters
    ----------
    result : Dataset
        From `regions` with an axis.
    """
    contrasts = result["contrast"].values[:8]
    figure = new_figure(len(contrasts) * parts.rows_height(result.sizes["region"]))
    panels = figure.subplots(len(contrasts), 1, sharex=True, squeeze=False)[:, 0]
    for axes, contrast in zip(panels, contrasts, strict=True):
        parts.forest(axes, [row for _, row in _difference_rows(result, contrast)])
        axes.set_title(literal(contrast, 60))
    panels[-1].set_xlabel(
        f"difference in {_WHAT.get(result.attrs['measure'], '')},"
        f" {percent(result.attrs['confidence'])} interval"
    )
    return figure


def _difference_rows(result: xr.Dataset, contrast: object) -> Iterator[tuple[str, Row]]:
    for region in result["region"].values:
        one = result.sel(contrast=contrast, region=region)
        low, high = one["ci"].values
        yield (
            str(region),
            Row(
                str(region),
                one["estimate"].item(),
                low,
                high,
                p_text(one["p_adjusted"].item(), "p Holm"),
            ),
        )


def differences_alt(result: xr.Dataset) -> str:
    """Each difference in words."""
    told = [
        f"{safe(contrast)} {safe(region)}"
        f" {interval(row.estimate, (row.low, row.high))}{', ' * bool(row.note)}{row.note}"
        for contrast in result["contrast"].values
        for region, row in _difference_rows(result, contrast)
    ]
    begin = (
        f"Differences in {_WHAT.get(result.attrs['measure'], '')} of regions, with"
        f" {percent(result.attrs['confidence'])} intervals"
    )
    return sentence(begin, told, safe(result.attrs.get("population", "")))
