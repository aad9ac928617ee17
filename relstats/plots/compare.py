"""Figures of `compare`: who generalizes to whom, in which direction better, over which fractions,
and the networks behind it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from relstats.plots import fractions, parts
from relstats.plots.canvas import GREY, level_marker, level_style, new_figure, styled
from relstats.plots.drawing import Drawing
from relstats.plots.parts import Row
from relstats.plots.words import (
    count,
    interval,
    literal,
    p_text,
    percent,
    quantity,
    sentence,
    texts,
    wrapped,
)
from relstats.results.text import number, safe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: What an effect is, for levels a|b.
MEANING = {
    "asymmetry": "asymmetry (a to b less b to a)",
    "source_effect": "source effect (maps of a less of b)",
    "target_effect": "target effect (tested on a less on b)",
    "specificity": "specificity (own less other level)",
    "own_level_difference": "own-level difference (within a less within b)",
}
_WRITTEN = 14


def figures(result: xr.Dataset, images: xr.Dataset | None = None) -> list[Drawing]:
    """Matrix, effects, directions, curves over fractions and networks of a comparison."""
    draw = functools.partial
    found = [
        Drawing("matrix", matrix_alt(result), draw(matrix, result)),
        Drawing("effects", effects_alt(result), draw(effects, result)),
    ]
    if "asymmetry" in result["effect"].values:
        found.append(Drawing("directions", directions_alt(result), draw(directions, result)))
    if "cell_mean_by_fraction" in result:
        found.append(
            Drawing("curves", fractions.curves_alt(result), draw(fractions.curves, result))
        )
    if "fraction" in result.dims and result.sizes["fraction"] > 1:
        found.append(
            Drawing(
                "effects_by_fraction",
                fractions.effects_by_fraction_alt(result),
                draw(fractions.effects_by_fraction, result),
            )
        )
    if "specificity_score" in result and np.isfinite(result["specificity_score"].values).any():
        found += [
            Drawing(f"networks_{k + 1}", networks_alt(result, k), draw(networks, result, k))
            for k in range(min(result.sizes["contrast"], 6))
        ]
    return found


@styled
def matrix(result: xr.Dataset) -> Figure:
    """Mean of each cell: rows are the level that the maps come from, columns the level that is
    tested on.

    Parameters
    ----------
    result : Dataset
        From `compare`.

    Returns
    -------
    Figure
        Means and intervals are written in the cells (means alone above 6 levels, nothing above 14);
        NaN cells are hatched.
    """
    levels = texts(result["source_level"])
    n = len(levels)
    figure = new_figure(*_square(n), pictures=True)
    axes = figure.subplots()
    means, flags = result["cell_mean"].values, _flags(result)
    written = (
        [[_cell_text(result, i, j, n) for j in range(n)] for i in range(n)] if n <= _WRITTEN else []
    )
    shown = parts.cells(axes, means, written, levels, levels, cmap="cividis")
    for i, j in zip(*np.nonzero(flags != ""), strict=True):
        axes.annotate(
            "†", (j + 0.42, i - 0.42), ha="right", va="top", color="black", fontsize=7, bbox=_ROUND
        )
    axes.set_xlabel("tested on")
    axes.set_ylabel("maps from")
    figure.colorbar(shown, ax=axes, label=wrapped(quantity(result.attrs), 34), shrink=0.8)
    axes.set_title(
        f"mean over {count(int(result['n_images']), 'image')}"
        + (", † at floor or ceiling" if (flags != "").any() else "")
    )
    return figure


_ROUND = {"boxstyle": "circle,pad=0.1", "facecolor": "white", "edgecolor": "none"}


def _square(n: int) -> tuple[float, float]:
    side = min(1.6 + 0.75 * n, 5.6)
    return side, side + 1.4


def _flags(result: xr.Dataset) -> np.ndarray:
    empty = np.full(result["cell_mean"].shape, "", dtype=object)
    return result["cell_flag"].values.astype(object) if "cell_flag" in result else empty


def _cell_text(result: xr.Dataset, i: int, j: int, n: int) -> str:
    mean = result["cell_mean"].values[i, j]
    low, high = result["cell_ci"].values[i, j]
    if not np.isfinite(mean):
        return "–"
    if n > 6 or not np.isfinite(low):
        return number(float(mean))
    return f"{number(float(mean))}\n{number(low)} to\n{number(high)}"


def matrix_alt(result: xr.Dataset) -> str:
    """Each cell in words."""
    means, bounds, flags = result["cell_mean"].values, result["cell_ci"].values, _flags(result)
    levels = [safe(level) for level in result["source_level"].values]
    told = (
        f"{a} on {b}"
        f" {interval(means[i, j], bounds[i, j])}{f', at the {flags[i, j]}' if flags[i, j] else ''}"
        for i, a in enumerate(levels)
        for j, b in enumerate(levels)
    )
    begin = (
        f"Matrix of {quantity(result.attrs)}, maps from the first level tested on the second, with"
        f" {percent(result.attrs['confidence'])} intervals"
    )
    return sentence(begin, told, f"{count(int(result['n_images']), 'image')}.")


@styled
def effects(result: xr.Dataset) -> Figure:
    """Every effect of every contrast with its interval and the p-value that is adjusted over
    contrasts.

    Parameters
    ----------
    result : Dataset
        From `compare`.
    """
    names = [str(e) for e in result["effect"].values]
    contrasts = list(result["contrast"].values)[: max(1, parts.MOST_ROWS // len(names))]
    if len(contrasts) == 1:
        return _effects_of_one(result, names, contrasts[0])
    figure = new_figure(sum(0.45 + parts.ROW_HEIGHT * len(contrasts) for _ in names) + 0.5)
    panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for axes, name in zip(panels, names, strict=True):
        parts.forest(axes, [_effect_row(result, c, name) for c in contrasts])
        axes.set_title(MEANING.get(name, name))
    panels[-1].set_xlabel(_effects_label(result))
    return figure


def _effects_of_one(result: xr.Dataset, names: list[str], contrast: object) -> Figure:
    figure = new_figure(parts.rows_height(len(names)) + 0.2)
    axes = figure.subplots()
    rows = [
        replace(_effect_row(result, contrast, name), label=MEANING.get(name, name))
        for name in names
    ]
    parts.forest(axes, rows)
    axes.set_title(f"a|b = {literal(contrast, 60)}")
    axes.set_xlabel(_effects_label(result))
    return figure


def _effects_label(result: xr.Dataset) -> str:
    return f"{wrapped(quantity(result.attrs), 60)}\n{percent(result.attrs['confidence'])} interval"


#: What intervals usually generalize to; where it is less, the row says so.
_BOTH = "networks and images"


def _effect_row(result: xr.Dataset, contrast: object, effect: str) -> Row:
    one = result.sel(contrast=contrast, effect=effect)
    low, high = one["ci"].values
    over = str(one["random"].item()) if "random" in one else _BOTH
    beyond = "" if over in (_BOTH, "nothing") else f"; {over} only"
    if "untested" in one and one["untested"].item() and np.isfinite(one["estimate"]):
        beyond = "networks not random"
    note = p_text(one["p_adjusted"].item(), "p Holm") + beyond
    return Row(str(contrast), one["estimate"].item(), low, high, note)


def effects_alt(result: xr.Dataset) -> str:
    """Each effect in words."""
    begin = (
        f"Differences in {quantity(result.attrs)} with {percent(result.attrs['confidence'])}"
        " intervals; for a|b, "
        + "; ".join(MEANING[str(e)] for e in result["effect"].values if str(e) in MEANING)
    )
    return sentence(
        begin,
        _told(result, [str(e) for e in result["effect"].values]),
        safe(result.attrs.get("population", "")),
    )


def _told(result: xr.Dataset, effects: Iterable[str]) -> Iterator[str]:
    for c in result["contrast"].values:
        for effect in effects:
            row = _effect_row(result, c, effect)
            yield (
                f"{safe(c)} {effect}"
                f" {interval(row.estimate, (row.low, row.high))}{', ' * bool(row.note)}{row.note}"
            )


@styled
def directions(result: xr.Dataset) -> Figure:
    """Both directions of each contrast as arrows, and beside them their difference, the asymmetry,
    with its interval.

    Parameters
    ----------
    result : Dataset
        From `compare`, of a directed measure.
    """
    contrasts = list(result["contrast"].values)[: parts.MOST_ROWS]
    figure = new_figure(parts.rows_height(len(contrasts)) + 0.35)
    left, right = figure.subplots(1, 2, sharey=True)
    rows = [_effect_row(result, c, "asymmetry") for c in contrasts]
    parts.forest(right, rows)
    for k, (a, b) in enumerate(_pairs(result, contrasts)):
        _dumbbell(left, _cell(result, a, b), _cell(result, b, a), -float(k))
    left.set_yticks([-float(k) for k in range(len(rows))], [literal(row.label, 36) for row in rows])
    left.spines["left"].set_visible(False)
    left.set_xlabel(wrapped(quantity(result.attrs), 34))
    left.set_title("▶ maps of a on b    ◁ maps of b on a")
    right.tick_params(labelleft=False)
    left.tick_params(axis="y", length=0)
    left.locator_params(axis="x", nbins=5)
    right.set_xlabel(f"difference, {percent(result.attrs['confidence'])} interval")
    right.set_title("asymmetry")
    return figure


def _pairs(result: xr.Dataset, contrasts: Iterable[object]) -> list[tuple[str, str]]:
    """The two levels of a contrast "a|b", where labels may hold the bar themselves."""
    levels = texts(result["source_level"])
    known = {f"{a}|{b}": (a, b) for a in levels for b in levels}
    return [known[str(c)] for c in contrasts]


def _cell(result: xr.Dataset, a: str, b: str) -> float:
    return float(result["cell_mean"].sel(source_level=a, target_level=b))


def _dumbbell(axes: Axes, there: float, back: float, y: float) -> None:
    axes.plot([there, back], [y, y], color=GREY, linewidth=0.8, zorder=0)
    axes.plot(
        there,
        y,
        marker=">",
        color=level_style(0)["color"],
        linestyle="none",
        markersize=6,
        gid="a to b",
    )
    axes.plot(
        back,
        y,
        marker="<",
        color=level_style(1)["color"],
        markerfacecolor="white",
        linestyle="none",
        markersize=6,
        gid="b to a",
    )


def directions_alt(result: xr.Dataset) -> str:
    """Both directions and their difference in words."""
    contrasts = list(result["contrast"].values)
    told = [
        f"{safe(a)} to {safe(b)} {number(_cell(result, a, b))}, back {number(_cell(result, b, a))}"
        for a, b in _pairs(result, contrasts)
    ]
    both = [f"{one}, {rest}" for one, rest in zip(told, _told(result, ["asymmetry"]), strict=True)]
    return sentence(f"Both directions of {quantity(result.attrs)} and their difference", both)


@styled
def networks(result: xr.Dataset, contrast: int = 0) -> Figure:
    """The networks behind a contrast: scores as source, as target and of the own level less the
    other, and the effects below.

    Parameters
    ----------
    result : Dataset
        From `compare`. Of a symmetric measure there is no source and no target.
    contrast : int
        Which of its contrasts.
    """
    name = result["contrast"].values[contrast]
    pair = _pairs(result, [name])[0]
    roles = _roles(result)
    figure = new_figure(3.6)
    panels = figure.subplots(2, len(roles), height_ratios=[3, 1], squeeze=False)
    for column, (role, (title, effect)) in enumerate(roles.items()):
        _strip(panels[0, column], result, contrast, pair, role)
        panels[0, column].set_title(title)
        _difference(panels[1, column], result, name, effect)
    panels[0, -1].axhline(0, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    panels[0, 0].set_ylabel(f"score of a network\n{quantity(result.attrs).split(' (')[0]}")
    figure.suptitle(f"{literal(pair[0], 30)} | {literal(pair[1], 30)}", fontsize=9)
    return figure


def _roles(result: xr.Dataset) -> dict[str, tuple[str, str]]:
    """What networks are scored as: title, and the effect that sums it up."""
    roles = {"specificity": ("own less other level", "specificity")}
    if "source_effect" in result["effect"].values:
        roles = {
            "source": ("as source", "source_effect"),
            "target": ("as target", "target_effect"),
            **roles,
        }
    return roles


def _members(result: xr.Dataset, contrast: int, pair: tuple[str, str]) -> list[np.ndarray]:
    """Positions of the networks of both levels that have scores."""
    some = np.isfinite(result["specificity_score"].values[contrast])
    labels = result[f"network_{result.attrs['axis']}"].values.astype(object)
    return [np.flatnonzero(some & (labels == level)) for level in pair]


def _strip(axes: Axes, result: xr.Dataset, contrast: int, pair: tuple[str, str], role: str) -> None:
    for k, members in enumerate(_members(result, contrast, pair)):
        values = result[f"{role}_score"].values[contrast, members]
        place = k + (np.arange(len(values)) - (len(values) - 1) / 2) * min(
            0.08, 0.5 / max(1, len(values))
        )
        axes.plot(place, values, **level_marker(k), alpha=0.75, gid=f"{role} {k}")
    axes.set_xlim(-0.6, 1.6)
    axes.set_xticks([0, 1], [literal(level, 11) for level in pair])


def _difference(axes: Axes, result: xr.Dataset, contrast: object, effect: str) -> None:
    row = _effect_row(result, contrast, effect)
    axes.axvline(0, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    parts.draw_row(axes, row, 0.0)
    axes.set_ylim(-1, 1)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(
        f"{effect.replace('_', ' ')}\n{interval(row.estimate, (row.low, row.high))}\n{row.note}"
    )


def networks_alt(result: xr.Dataset, contrast: int = 0) -> str:
    """Each network's scores and the differences in words."""
    name = result["contrast"].values[contrast]
    pair = _pairs(result, [name])[0]
    networks = zip(result["network_model"].values, result["network_seed"].values, strict=True)
    labels = [f"{safe(model)} seed {safe(seed)}" for model, seed in networks]
    roles = _roles(result)
    told = (
        f"{labels[k]} "
        + ", ".join(
            f"{number(float(result[f'{role}_score'].values[contrast, k]))} {title}"
            for role, (title, _) in roles.items()
        )
        for members in _members(result, contrast, pair)
        for k in members
    )
    effects = "; ".join(
        _told(result.sel(contrast=[name]), [effect for _, effect in roles.values()])
    )
    return sentence(f"Scores of single networks of {safe(name)}", told, f"{effects}.")
