"""Figures of maps of differences: mean maps of levels, and where levels differ, over all pixels at
once.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from relstats.plots import parts
from relstats.plots.canvas import COLOURS, new_figure, styled
from relstats.plots.drawing import Drawing
from relstats.plots.words import literal, percent, sentence
from relstats.results.text import number, safe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Which p-values are outlined, how, and in words.
_OUTLINES = (
    ("p_max_t", "-", "black", "these pixels differ (family-wise)"),
    ("p_tfce", (0, (4, 2)), COLOURS[2], "somewhere within, levels differ (TFCE)"),
    ("p_cluster", (0, (1, 1)), COLOURS[3], "somewhere within, levels differ (cluster mass)"),
    ("p_bh", (0, (3, 1, 1, 1)), COLOURS[5], "false discovery rate"),
)
MOST = 6
#: Over pixels that are not significant family-wise: the difference is still seen through it.
_VEIL = (0.72, 0.72, 0.72, 0.6)


def figures(result: xr.Dataset, images: xr.Dataset | None = None) -> list[Drawing]:
    """Mean maps of levels, and their differences."""
    found = []
    if "level_mean" in result:
        found.append(Drawing("mean_maps", means_alt(result), functools.partial(means, result)))
    return [
        *found,
        Drawing("differences", differences_alt(result), functools.partial(differences, result)),
    ]


@styled
def means(result: xr.Dataset) -> Figure:
    """Mean map of each level, all on one scale, which is in the colour bars.

    Parameters
    ----------
    result : Dataset
        From `relstats.differences`.
    """
    levels = result["level"].values[:8]
    columns = min(4, len(levels))
    rows = -(-len(levels) // columns)
    figure = new_figure(2.1 * rows, 1.75 * columns, pictures=True)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(levels) :]:
        axes.set_axis_off()
    limit = parts.scale_end(result["level_mean"].values)
    for axes, level in zip(panels, levels, strict=False):
        parts.relevance_map(
            axes,
            result["level_mean"].sel(level=level).values,
            limit=limit,
            label=f"{literal(result.attrs['ranking'])} relevance",
        )
        axes.set_title(literal(level, 24))
    return figure


def means_alt(result: xr.Dataset) -> str:
    """Each level's range in words."""
    told = (
        f"{safe(level)} {number(float(np.nanmin(v)))} to {number(float(np.nanmax(v)))}"
        for level in result["level"].values
        for v in [result["level_mean"].sel(level=level).values]
        if np.isfinite(v).any()
    )
    return sentence(
        f"Mean maps of levels ({result.attrs['ranking']} relevance, 1 is what evenly spread"
        " relevance gives), ranges over pixels",
        told,
    )


@styled
def differences(result: xr.Dataset) -> Figure:
    """Difference of mean maps and its t, with outlines of what is significant over all pixels.

    Parameters
    ----------
    result : Dataset
        From `relstats.differences`. Lines differ by their dashes, and are named below.
    """
    contrasts = result["contrast"].values[:MOST]
    figure = new_figure(2.9 * len(contrasts) + 0.4, 5.4, pictures=True)
    panels = figure.subplots(len(contrasts), 2, squeeze=False)
    for row, contrast in zip(panels, contrasts, strict=True):
        one = result.sel(contrast=contrast)
        parts.relevance_map(row[0], one["estimate"].values, label="difference of mean maps")
        parts.relevance_map(row[1], one["statistic"].values, label="t over networks")
        row[0].set_title(literal(contrast, 36))
        found = _significant(result, one)
        if "p_max_t" in found:
            veil(row[0], ~found["p_max_t"])
        _outline(row[0], found, [name for name in ("p_max_t", "p_bh") if name in found][:1])
        _outline(row[1], found, [name for name in ("p_tfce", "p_cluster") if name in found])
    _legend(figure, panels[0, 0], result)
    return figure


def veil(axes: Axes, mask: np.ndarray) -> None:
    """Pixels under a light grey, so that one sees on which side of an outline the others are."""
    layer = np.zeros((*mask.shape, 4))
    layer[mask] = _VEIL
    axes.imshow(layer, interpolation="none", gid="veil")


def _outline(axes: Axes, found: dict[str, np.ndarray], names: Sequence[str]) -> None:
    """What holds for each pixel on one panel, what holds for clusters on the other: outlines on
    outlines nobody can read.
    """
    for name in names:
        dashes, colour = next((d, c) for n, d, c, _ in _OUTLINES if n == name)
        parts.outline(axes, found[name], color=colour, linestyle=dashes)


def _legend(figure: Figure, axes: Axes, result: xr.Dataset) -> None:
    found = [_significant(result, result.sel(contrast=c)) for c in result["contrast"].values[:MOST]]
    known = {name for masks in found for name in masks}
    for name, dashes, colour, words in _OUTLINES:
        if name in known:
            shares = ", ".join(
                f"{100 * masks[name].mean():.3g} %" if name in masks else "none" for masks in found
            )
            label = f"{words}: {shares} of the pixels"
            axes.plot([], [], color=colour, linestyle=dashes, linewidth=1, label=label)
    if "p_max_t" in known:
        axes.fill([], [], color=_VEIL, label="under grey: pixels not known to differ (family-wise)")
    if known:
        figure.legend(
            *axes.get_legend_handles_labels(), loc="outside lower center", handlelength=3.5
        )
    else:
        figure.supxlabel(
            f"nothing is significant over all pixels at {1 - result.attrs['confidence']:.3g}",
            fontsize=7.5,
        )


def _significant(result: xr.Dataset, one: xr.Dataset) -> dict[str, np.ndarray]:
    """Masks of what is significant, those with any pixel.

    Of clusters, the pixels of the significant ones.
    """
    alpha = 1 - float(result.attrs["confidence"])
    found = {
        name: one[name].values <= alpha for name in ("p_max_t", "p_tfce", "p_bh") if name in one
    }
    if "p_cluster" in one and "cluster_label" in one:
        small = 1 + np.flatnonzero(one["p_cluster"].values <= alpha)
        found["p_cluster"] = np.isin(one["cluster_label"].values, small)
    if found.get("p_max_t", np.zeros(1)).any():
        found.pop("p_bh", None)
    return {name: mask for name, mask in found.items() if mask.any()}


def differences_alt(result: xr.Dataset) -> str:
    """Each contrast in words."""
    told = []
    for contrast in result["contrast"].values:
        one = result.sel(contrast=contrast)
        peak = (
            f"largest t {number(one['peak_statistic'].item())} at y {one['peak_y'].item():g}, x"
            f" {one['peak_x'].item():g}"
            if "peak_statistic" in one
            else ""
        )
        areas = [
            f"{int(mask.sum())} pixels by {name}"
            for name, mask in _significant(result, one).items()
        ]
        told.append(
            f"{safe(contrast)} {peak}, {', '.join(areas) or 'no pixel significant over all pixels'}"
        )
    begin = (
        f"Differences of mean maps, with {percent(result.attrs['confidence'])} confidence over all"
        " pixels"
    )
    smallest = float(result.attrs.get("min_p", np.nan))
    return sentence(begin, told, f"Smallest p that the label swap can reach: {number(smallest)}")
