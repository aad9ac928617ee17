"""Parts that figures share: rows of estimates with intervals, matrices with numbers in their cells,
pictures with a scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from relstats.plots.canvas import GREY, PALE, blank, diverging, level_marker
from relstats.plots.words import literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW_HEIGHT = 0.26
#: Of rows in a figure: more would be a page too long to read.
MOST_ROWS = 80


@dataclass(frozen=True)
class Row:
    """One estimate of a forest of them.

    Attributes
    ----------
    label : str
        To its left.
    estimate, low, high : float
        NaN bounds are no interval: the marker is hollow, and the row says so.
    note : str
        To its right.
    points : sequence of float
        Raw values behind it, of networks or participants.
    kind : int
        Which marker and colour.
    """

    label: str
    estimate: float
    low: float
    high: float
    note: str = ""
    points: Sequence[float] = ()
    kind: int = 0


def forest(axes: Axes, rows: Sequence[Row], *, line: float | None = 0.0) -> None:
    """Rows of estimates from the top, with intervals, raw points and notes.

    A vertical line at no effect.
    """
    if line is not None:
        axes.axvline(line, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    for k, row in enumerate(rows):
        draw_row(axes, row, -float(k))
    axes.set_yticks([-float(k) for k in range(len(rows))], [literal(row.label, 44) for row in rows])
    axes.set_ylim(-len(rows) + 0.4, 0.6)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=6)
    axes.spines["left"].set_visible(False)
    notes(axes, rows)


def draw_row(axes: Axes, row: Row, y: float) -> None:
    """Points, interval and estimate of one row at a height."""
    look = level_marker(row.kind)
    points = np.asarray(row.points, float)
    points = points[np.isfinite(points)]
    if points.size:
        axes.plot(
            points,
            np.full(points.size, y - 0.24),
            color=look["color"],
            marker="|",
            linestyle="none",
            markersize=4,
            alpha=0.6,
            gid="points",
        )
    if not np.isfinite(row.estimate):
        return
    known = np.isfinite(row.low) and np.isfinite(row.high)
    if known:
        axes.plot(
            [row.low, row.high],
            [y, y],
            color=look["color"],
            linewidth=1.6,
            solid_capstyle="butt",
            gid="interval",
        )
    axes.plot(
        row.estimate, y, **look, markerfacecolor=look["color"] if known else "white", gid="estimate"
    )


def notes(axes: Axes, rows: Sequence[Row]) -> None:
    """The notes of rows, right of the axes."""
    for k, row in enumerate(rows):
        missing = "" if np.isfinite(row.low) and np.isfinite(row.high) else "no interval"
        missing = missing if np.isfinite(row.estimate) else "no value"
        text = "  ".join(part for part in (row.note, missing) if part)
        axes.annotate(
            text,
            (1.0, -k),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            annotation_clip=False,
        )


def rows_height(n: int) -> float:
    """Inches for so many rows, with room for axis and title."""
    return 0.75 + ROW_HEIGHT * max(n, 2)


def cells(
    axes: Axes,
    values: np.ndarray,
    texts: Sequence[Sequence[str]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    width: int = 20,
    **image: Any,
) -> Any:
    """A matrix in colours with texts in its cells, dark on light and light on dark.

    What is missing is hatched.
    """
    shown = axes.imshow(np.ma.masked_invalid(values), aspect="equal", interpolation="none", **image)
    for (i, j), value in np.ndenumerate(values):
        if not np.isfinite(value):
            axes.add_patch(_missing_cell(i, j))
        if len(texts):
            light = np.isfinite(value) and _luminance(shown.to_rgba(value)) < 0.45
            axes.text(
                j,
                i,
                texts[i][j],
                ha="center",
                va="center",
                color="white" if light else "black",
                fontsize=max(4.5, 8 - 0.25 * len(rows)),
            )
    crowded = max(len(c) for c in columns) > 14 or len(columns) > 6
    axes.set_xticks(
        range(len(columns)),
        [literal(c, width) for c in columns],
        rotation=30 if crowded else 0,
        ha="right" if crowded else "center",
        rotation_mode="anchor",
    )
    axes.set_yticks(range(len(rows)), [literal(r, width) for r in rows])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return shown


def _missing_cell(i: int, j: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(
        (j - 0.5, i - 0.5), 1, 1, facecolor="white", edgecolor=GREY, hatch="///", linewidth=0
    )


def _luminance(colour: Any) -> float:
    return float(0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2])


def picture(
    axes: Axes, pixels: np.ndarray | None, shape: tuple[int, int], *, faint: float = 0.0
) -> None:
    """An image in grey, as a ground for maps; white where there is none.

    `faint` blends it with white.
    """
    blank(axes)
    if pixels is None:
        grey = np.ones(shape)
        axes.spines[:].set(visible=True, color=PALE)
    else:
        values = np.asarray(pixels, float)
        values = values[..., :3].mean(axis=-1) if values.ndim == 3 else values
        grey = values / 255
    axes.imshow(
        grey * (1 - faint) + faint,
        cmap="gray",
        vmin=0,
        vmax=1,
        interpolation="none",
        extent=(-0.5, shape[1] - 0.5, shape[0] - 0.5, -0.5),
    )


def relevance_map(
    axes: Axes,
    values: np.ndarray,
    pixels: np.ndarray | None = None,
    *,
    limit: float | None = None,
    label: str = "",
) -> float:
    """A signed map over its image, with a colour bar of its own that says the scale.

    Returns the scale's end.

    The scale is symmetric about 0 and ends where all but the 0.2 % largest absolute values lie.
    """
    picture(axes, pixels, values.shape, faint=0.35)
    end = scale_end(values) if limit is None else limit
    if not np.isfinite(values).any() or end == 0:
        axes.text(
            0.5,
            0.5,
            "all zero" if np.isfinite(values).any() else "no map",
            transform=axes.transAxes,
            ha="center",
            va="center",
        )
        return 0.0
    shown = axes.imshow(
        np.ma.masked_invalid(values), cmap=diverging(), vmin=-end, vmax=end, interpolation="none"
    )
    clipped = bool((np.abs(values[np.isfinite(values)]) > end).any())
    bar = axes.figure.colorbar(
        shown,
        ax=axes,
        orientation="horizontal",
        fraction=0.05,
        pad=0.02,
        aspect=22,
        extend="both" if clipped else "neither",
    )
    bar.set_ticks([-end, 0, end], labels=[f"−{_short(end)}", "0", _short(end)], fontsize=6)
    bar.outline.set_linewidth(0.4)
    if label:
        bar.set_label(label, fontsize=6.5)
    return end


def _short(value: float) -> str:
    return f"{value:.3g}" if 0.001 <= value < 1e4 else f"{value:.1e}"


def scale_end(values: np.ndarray) -> float:
    """What all but the 0.2 % largest absolute values stay below; the largest where that is 0."""
    size = np.abs(values[np.isfinite(values)])
    if not size.size:
        return 0.0
    return float(np.quantile(size, 0.998)) or float(size.max())


def outline(axes: Axes, mask: np.ndarray, *, color: str = "black", linestyle: Any = "-") -> None:
    """The border of a mask, dark on a white rim, so that it shows on any ground."""
    if not mask.any() or min(mask.shape) < 2:
        return
    for width, line in ((2.2, "white"), (0.9, color)):
        axes.contour(
            mask.astype(float),
            levels=[0.5],
            colors=[line],
            linewidths=[width],
            linestyles=[linestyle],
        )


def filled(axes: Axes, mask: np.ndarray, colour: str) -> None:
    """The pixels of a mask in a colour that lets the ground through."""
    from matplotlib.colors import to_rgba

    layer = np.zeros((*mask.shape, 4))
    layer[mask] = to_rgba(colour, 0.75)
    axes.imshow(layer, interpolation="none", gid="mask")
