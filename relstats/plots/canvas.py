"""Figures in one style: made without pyplot, drawn and written under settings of their own, so that
no other setting matters.
"""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from relstats.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

#: Okabe & Ito's colours, those that show on white; black is for what is no level.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
GREY, PALE = "0.45", "0.85"
#: Inches: two columns of a journal.
WIDTH = 7.0
_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Helvetica", "Arial"],
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.formatter.limits": (-4, 5),
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "text.hinting": "none",
    "text.parse_math": False,
    "text.usetex": False,
    "hatch.linewidth": 0.5,
    "figure.dpi": 100.0,
    "figure.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "relstats",
    "pdf.fonttype": 42,
    "savefig.facecolor": "white",
}
#: Settings that say where matplotlib runs, not how it draws.
_NOT_STYLE = (
    "backend",
    "interactive",
    "toolbar",
    "timezone",
    "webagg",
    "docstring",
    "tk.",
    "figure.hooks",
    "savefig.directory",
    "date.epoch",
)


def require_matplotlib() -> None:
    """Say what to install, rather than which import failed.

    Raises
    ------
    UsageError
        matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise UsageError(
            "matplotlib is not installed, which figures need: pip install 'relstats[report]'"
        )


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's own defaults and the few settings of these figures.

    What was set before is back afterwards.
    """
    require_matplotlib()
    import matplotlib

    own: Any = {k: v for k, v in matplotlib.rcParamsDefault.items() if not k.startswith(_NOT_STYLE)}
    own.update(_STYLE)
    with warnings.catch_warnings(), matplotlib.rc_context(own):
        warnings.filterwarnings(
            "ignore", message="Glyph .* missing"
        )  # a label may be in any script
        warnings.filterwarnings("ignore", message=".*decreasing .* constrained_layout")
        yield


def styled[**P](draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """A function that draws in the style of these figures."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with style():
            figure = draw(*args, **kwargs)
            for _ in range(2):  # the first time, tick labels are not known yet
                figure.draw_without_rendering()
            figure.set_layout_engine("none")  # laid out once: no later drawing moves anything
            return figure

    return drawn


def new_figure(height: float, width: float = WIDTH, *, pictures: bool = False) -> Figure:
    """An empty figure of a size in inches.

    Panels that keep their aspect (pictures) are moved together.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="compressed" if pictures else "constrained")


def level_style(k: int) -> dict[str, Any]:
    """Colour, marker and line of the k-th level: no two of the first 42 are alike, and none differ
    by colour alone.
    """
    return {
        "color": COLOURS[k % len(COLOURS)],
        "marker": MARKERS[k % len(MARKERS)],
        "linestyle": LINES[k % len(LINES)],
    }


def level_marker(k: int) -> dict[str, Any]:
    """`level_style` without the line."""
    return {**level_style(k), "linestyle": "none"}


def diverging() -> Colormap:
    """Blue below zero, red above, clear at zero: over a picture, and on the white of its colour
    bar, the same colours.
    """
    import matplotlib
    from matplotlib.colors import ListedColormap

    place = np.linspace(-1, 1, 257)
    colours = matplotlib.colormaps["RdBu_r"](np.linspace(0, 1, 257))
    colours[:, 3] = np.abs(place) ** 0.5
    return ListedColormap(colours, name="relevance")


def blank(axes: Axes) -> None:
    """No ticks and no frame, for pictures."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def to_svg(figure: Figure) -> bytes:
    """The figure as SVG, the same bytes each time; text stays text."""
    return _written(figure, "svg", metadata={"Date": None, "Creator": "relstats"})


def to_png(figure: Figure, dpi: float = 150) -> bytes:
    """The figure as PNG, the same bytes each time on one machine."""
    return _written(figure, "png", dpi=dpi, metadata={"Software": None})


def to_pdf(figure: Figure) -> bytes:
    """The figure as PDF, the same bytes each time."""
    return _written(figure, "pdf", metadata={"CreationDate": None, "Creator": "relstats"})


def _written(figure: Figure, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    with style():
        figure.savefig(out, format=kind, **options)
    return out.getvalue()
