"""Figures of single networks: agreement of every two of them, and the kinds of map that each
has.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from relstats.plots import parts
from relstats.plots.canvas import COLOURS, new_figure, styled
from relstats.plots.drawing import Drawing
from relstats.plots.words import literal, p_text, sentence
from relstats.results.text import number, safe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HATCHES = ("", "///", "...", "\\\\\\", "xxx", "+++", "---")
_WRITTEN = 12


def similarity_figures(result: xr.Dataset, images: xr.Dataset | None = None) -> list[Drawing]:
    """A matrix for the mean over images at each fraction, or the only one."""
    return [
        Drawing(
            f"networks_{k + 1}" if result.sizes["fraction"] > 1 else "networks",
            similarity_alt(result, k),
            functools.partial(similarity, result, k),
        )
        for k in range(min(result.sizes["fraction"], 6))
    ]


@styled
def similarity(result: xr.Dataset, fraction: int = 0) -> Figure:
    """Agreement of the maps of every two networks, in one order.

    Parameters
    ----------
    result : Dataset
        From `relstats.similarity`.
    fraction : int
        Which share of the pixels, by position.
    """
    return network_matrix(
        result["estimate"].values[..., fraction], _names(result, "source"), _what(result, fraction)
    )


def _names(result: xr.Dataset, side: str) -> list[str]:
    return [
        f"{m} seed {s}"
        for m, s in zip(result[f"{side}_model"].values, result[f"{side}_seed"].values, strict=True)
    ]


def _what(result: xr.Dataset, fraction: int) -> str:
    share = float(result["fraction"].values[fraction])
    return f"agreement of maps ({result.attrs['measure']})" + (
        f", top {100 * share:g} % of pixels" if np.isfinite(share) else ""
    )


def network_matrix(values: np.ndarray, names: list[str], label: str) -> Figure:
    """A matrix of networks by networks with its colour bar.

    To be called in the style of figures.
    """
    n = len(names)
    side = min(2.2 + 0.22 * n, 6.4)
    figure = new_figure(side, side + 0.6, pictures=True)
    axes = figure.subplots()
    written = (
        [[number(float(v)) if np.isfinite(v) else "–" for v in row] for row in values]
        if n <= _WRITTEN
        else []
    )
    shown = parts.cells(
        axes, values, written, names, names, width=20 if n <= _WRITTEN else 40, cmap="cividis"
    )
    if n > _WRITTEN:
        axes.tick_params(labelsize=max(3.5, 8 - 0.1 * n))
    axes.tick_params(axis="x", labelrotation=90)
    axes.set_xlabel("tested on" if not np.array_equal(values, values.T, equal_nan=True) else "")
    axes.set_ylabel("maps from" if not np.array_equal(values, values.T, equal_nan=True) else "")
    figure.colorbar(shown, ax=axes, label=literal(label, 60), shrink=0.8)
    return figure


def similarity_alt(result: xr.Dataset, fraction: int = 0) -> str:
    """Each pair in words."""
    names, values = _names(result, "source"), result["estimate"].values[..., fraction]
    told = (
        f"{safe(names[i])} with {safe(names[j])} {number(float(values[i, j]))}"
        for i in range(len(names))
        for j in range(i + 1, len(names))
    )
    return sentence(f"Matrix of {_what(result, fraction)} of {len(names)} networks", told)


def strategy_figures(result: xr.Dataset, images: xr.Dataset | None = None) -> list[Drawing]:
    """Clusters of maps."""
    return [Drawing("clusters", strategies_alt(result), functools.partial(strategies, result))]


@styled
def strategies(result: xr.Dataset) -> Figure:
    """Typical map of each cluster, and below them the share of each level's maps that is in it.

    Parameters
    ----------
    result : Dataset
        From `relstats.strategies`.
    """
    clusters, levels = result["cluster"].values, result["level"].values
    shown = clusters[:6]
    figure: Any = new_figure(1.7 + 0.6 + parts.ROW_HEIGHT * len(levels) + 0.5)
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.7, 1.1 + parts.ROW_HEIGHT * len(levels)])
    for axes, cluster in zip(top.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        parts.relevance_map(axes, result["typical_map"].sel(cluster=cluster).values)
        axes.set_title(f"cluster {literal(cluster, 8)}")
    axes = bottom.subplots()
    left = np.zeros(len(levels))
    for k, cluster in enumerate(clusters):
        share = np.nan_to_num(result["share"].sel(cluster=cluster).values)
        axes.barh(
            -np.arange(len(levels), dtype=float),
            share,
            left=left,
            height=0.7,
            color=COLOURS[k % len(COLOURS)],
            edgecolor="white",
            hatch=_HATCHES[k % len(_HATCHES)],
            label=f"cluster {literal(cluster, 8)}",
        )
        left = left + share
    axes.set_yticks(-np.arange(len(levels), dtype=float), [literal(v, 28) for v in levels])
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of the maps, mean over networks")
    axes.set_title(
        p_text(result["p_value"].item(), "do levels differ in their shares? p")
        or "levels cannot be compared"
    )
    bottom.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
    return figure


def strategies_alt(result: xr.Dataset) -> str:
    """Each level's shares in words."""
    told = (
        f"{safe(level)} "
        + ", ".join(
            f"{number(100 * float(v))} % in cluster {safe(c)}"
            for c, v in zip(
                result["cluster"].values, result["share"].sel(level=level).values, strict=True
            )
        )
        for level in result["level"].values
    )
    p: Any = p_text(result["p_value"].item(), "Do levels differ? p")
    return sentence(
        f"{int(result['n_clusters'])} clusters of maps, with a typical map of each, and shares of"
        " each level's maps",
        told,
        f"{p}." if p else "",
    )
