"""Figures of stability: do maps agree over seeds, and how many seeds make a reliable mean map."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from relstats.plots import parts
from relstats.plots.canvas import new_figure, styled
from relstats.plots.drawing import Drawing
from relstats.plots.parts import Row
from relstats.plots.words import interval, p_text, percent, sentence
from relstats.results.text import number, safe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def figures(result: xr.Dataset, images: xr.Dataset | None = None) -> list[Drawing]:
    """Agreement of each model beside the seeds that it needs."""
    return [Drawing("stability", stability_alt(result), functools.partial(stability, result))]


@styled
def stability(result: xr.Dataset) -> Figure:
    """Agreement of networks of one model, with that of maps of different images, and the seeds that
    a reliable mean map takes.

    Parameters
    ----------
    result : Dataset
        From `stability`.
    """
    n = min(result.sizes["model"], parts.MOST_ROWS)
    figure = new_figure(parts.rows_height(n) + 0.65)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
    parts.forest(left, [_row(result, k) for k in range(n)], line=0.0)
    left.plot(
        result["swapped"].values[:n],
        -np.arange(n, dtype=float),
        marker="D",
        linestyle="none",
        color="black",
        markerfacecolor="white",
        label="maps of different images",
        gid="swapped",
    )
    left.plot(
        [], [], marker="|", color="0.4", linestyle="none", label="one network with the others"
    )
    left.set_xlabel(
        f"agreement ({result.attrs['measure']}), {percent(result.attrs['confidence'])} interval"
    )
    left.set_title("within a model")
    for k in range(n):
        _seeds(right, result, k)
    right.locator_params(axis="x", integer=True, nbins=6)
    right.set_xlabel("networks in the mean map")
    right.set_title(f"for reliability {result.attrs['reliability']:g}")
    right.tick_params(axis="y", labelleft=False)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _row(result: xr.Dataset, k: int) -> Row:
    one = result.isel(model=k)
    low, high = one["ci"].values
    own = result["network_model"].values.astype(object) == one["model"].item()
    return Row(
        one["model"].item(),
        one["estimate"].item(),
        low,
        high,
        points=result["network_agreement"].values[own],
    )


def _seeds(axes: Axes, result: xr.Dataset, k: int) -> None:
    one = result.isel(model=k)
    needed, (low, high) = one["seeds_needed"].item(), one["seeds_needed_ci"].values
    if not np.isfinite(needed):
        text = "no number suffices" if np.isinf(needed) else "unknown"
        axes.annotate(text, (0.02, -k), xycoords=("axes fraction", "data"), va="center", fontsize=7)
        return
    parts.draw_row(axes, Row("", needed, low, high if np.isfinite(high) else np.nan), -float(k))


def stability_alt(result: xr.Dataset) -> str:
    """Each model in words."""
    told = []
    for k, model in enumerate(result["model"].values):
        one, row = result.isel(model=k), _row(result, k)
        needed = one["seeds_needed"].item()
        many = (
            f"{needed:g}"
            if np.isfinite(needed)
            else "no number of"
            if np.isinf(needed)
            else "unknown"
        )
        p = p_text(one["p_swapped_adjusted"].item(), ", p Holm of the difference")
        told.append(
            f"{safe(model)} ({int(one['n_networks'])} networks)"
            f" {interval(row.estimate, (row.low, row.high))}, maps of different images"
            f" {number(one['swapped'].item())}{p}, {many} networks needed"
        )
    begin = (
        f"Agreement ({result.attrs['measure']}) of maps of networks of one model, with"
        f" {percent(result.attrs['confidence'])} intervals"
    )
    return sentence(
        begin,
        told,
        f"Needed: for a mean map of reliability {result.attrs['reliability']:g}.",
    )
