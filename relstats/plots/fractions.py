"""Figures of `compare` over shares of the pixels: the means of cells, and the effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from relstats.plots.canvas import GREY, level_style, new_figure, styled
from relstats.plots.words import literal, percent, quantity, sentence, texts, wrapped
from relstats.results.text import number, safe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def curves(result: xr.Dataset) -> Figure:
    """Mean of each cell over the share of pixels: a panel for the level that maps come from, a
    curve for each that is tested on.

    Parameters
    ----------
    result : Dataset
        From `compare` with fractions. Bands are intervals; the lines of control masks and of whole
        images are drawn where the result has them.
    """
    levels = texts(result["source_level"])
    columns = min(len(levels), 3)
    figure = new_figure(0.7 + 2.2 * -(-len(levels) // columns))
    panels = figure.subplots(
        -(-len(levels) // columns), columns, sharex=True, sharey=True, squeeze=False
    ).ravel()
    for axes in panels[len(levels) :]:
        axes.set_axis_off()
    for axes, source in zip(panels, levels, strict=False):
        for k, target in enumerate(levels):
            one = result.sel(source_level=source, target_level=target)
            _curve(
                axes,
                result["fraction"].values,
                one["cell_mean_by_fraction"].values,
                one["cell_ci_by_fraction"].values,
                k,
                f"tested on {literal(target, 24)}",
            )
        _controls(axes, result)
        axes.set_title(f"maps from {literal(source, 24)}")
        _fraction_axis(axes, result)
    panels[0].set_ylabel(wrapped(quantity(result.attrs), 30))
    _legend(figure, panels[0], f"bands: {percent(result.attrs['confidence'])} intervals")
    return figure


def _curve(axes: Axes, x: np.ndarray, y: np.ndarray, bounds: np.ndarray, k: int, name: str) -> None:
    look = level_style(k)
    axes.plot(x, y, label=name, **look)
    if np.isfinite(bounds).any():
        axes.fill_between(
            x, bounds[:, 0], bounds[:, 1], color=look["color"], alpha=0.16, linewidth=0
        )


def _controls(axes: Axes, result: xr.Dataset) -> None:
    lost = result.attrs.get("transfer_operation") == "remove"
    if "floor" in result:
        axes.plot(
            result["fraction"].values,
            result["floor"].values,
            color="black",
            linestyle=(0, (1, 2)),
            label="control masks",
            gid="floor",
        )
    elif result.attrs.get("normalise") == "target":
        axes.axhline(0, color="black", linestyle=(0, (1, 2)), label="control masks", gid="floor")
    if "ceiling" in result:
        axes.axhline(
            result["ceiling"].item(),
            color=GREY,
            linewidth=0.8,
            label="fall to chance" if lost else "whole images",
            gid="ceiling",
        )


def _fraction_axis(axes: Axes, result: xr.Dataset) -> None:
    fractions = result["fraction"].values
    removed = result.attrs.get("transfer_operation") == "remove"
    axes.set_xscale("log")
    axes.set_xticks(fractions, [f"{100 * f:g}" for f in fractions])
    axes.tick_params(axis="x", labelbottom=True)
    axes.minorticks_off()
    axes.set_xlabel(f"% of pixels {'removed' if removed else 'kept'}")


def _legend(figure: Figure, axes: Axes, title: str) -> None:
    handles, labels = axes.get_legend_handles_labels()
    columns = max(1, min(4, len(labels), 110 // (max(map(len, labels)) + 10)))
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns,
        title=title,
        title_fontsize=7.5,
        handlelength=3.5,
    )


def curves_alt(result: xr.Dataset) -> str:
    """The curves' values in words."""
    levels = texts(result["source_level"])
    means = result["cell_mean_by_fraction"].values
    told = (
        f"{safe(a)} on {safe(b)} " + ", ".join(number(float(v)) for v in means[i, j])
        for i, a in enumerate(levels)
        for j, b in enumerate(levels)
    )
    shares = ", ".join(f"{100 * f:g}" for f in result["fraction"].values)
    return sentence(f"Curves of {quantity(result.attrs)} over {shares} % of the pixels", told)


@styled
def effects_by_fraction(result: xr.Dataset) -> Figure:
    """Every effect over the share of pixels, with bands, and filled markers where p is small over
    all fractions.

    Parameters
    ----------
    result : Dataset
        From `compare` with fractions.
    """
    names = [str(e) for e in result["effect"].values]
    columns = min(len(names), 3)
    figure = new_figure(0.8 + 2.1 * -(-len(names) // columns))
    panels = figure.subplots(-(-len(names) // columns), columns, sharex=True, squeeze=False).ravel()
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    for axes, name in zip(panels, names, strict=False):
        axes.axhline(0, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
        for k, contrast in enumerate(result["contrast"].values[:6]):
            one = result.sel(effect=name, contrast=contrast)
            _curve(
                axes,
                result["fraction"].values,
                one["estimate_by_fraction"].values,
                one["ci_by_fraction"].values,
                k,
                literal(contrast),
            )
        if not np.isfinite(result["estimate_by_fraction"].sel(effect=name).values).any():
            axes.text(0.5, 0.6, "no value", transform=axes.transAxes, ha="center")
        axes.set_title(name.replace("_", " "))
        _fraction_axis(axes, result)
    panels[0].set_ylabel("difference")
    _legend(
        figure,
        panels[0],
        f"bands: {percent(result.attrs['confidence'])} intervals of each fraction alone",
    )
    return figure


def effects_by_fraction_alt(result: xr.Dataset) -> str:
    """The effects at each fraction in words."""
    values = result["estimate_by_fraction"].transpose("contrast", "effect", "fraction").values
    told = (
        f"{safe(c)} {effect} " + ", ".join(number(float(v)) for v in values[i, j])
        for i, c in enumerate(result["contrast"].values)
        for j, effect in enumerate(result["effect"].values)
    )
    shares = ", ".join(f"{100 * f:g}" for f in result["fraction"].values)
    return sentence(f"Differences in {quantity(result.attrs)} over {shares} % of the pixels", told)
