"""A page on the data themselves: what is there, is relevance conserved, are classes right, how
large are logits.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from relstats.plots.canvas import COLOURS, GREY, level_marker, new_figure, styled
from relstats.plots.drawing import Drawing
from relstats.plots.words import literal, sentence
from relstats.results.text import number, safe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Variables on (model, seed, image), what they are called, and what they should be.
_SHOWN = {
    "correct": ("share of images classified right", None),
    "conservation": ("sum of relevance / logit", 1.0),
    "absorbed": ("relevance that biases took / logit", 0.0),
    "logit": ("logit explained", None),
}


def figures(study: xr.DataTree) -> list[Drawing]:
    """One page."""
    maps = study["relevance"].to_dataset()
    return [Drawing("data_quality", quality_alt(maps), functools.partial(quality, maps))]


@styled
def quality(maps: xr.Dataset) -> Figure:
    """Which networks are there, and for each of them the middle and the range over images of what
    was recorded with the maps.

    Parameters
    ----------
    maps : Dataset
        `/relevance`.
    """
    names = [name for name in _SHOWN if name in maps]
    figure = new_figure(
        max(2.4, 0.9 + 0.16 * int(_there(maps).sum())), 1.7 * (len(names) + 1) if names else 3.0
    )
    panels = figure.subplots(
        1, len(names) + 1, squeeze=False, width_ratios=[1.1, *[1] * len(names)]
    )[0]
    _networks(panels[0], maps)
    for axes, name in zip(panels[1:], names, strict=True):
        _spread(axes, maps, name)
    return figure


def _there(maps: xr.Dataset) -> np.ndarray:
    if "available" not in maps:
        return np.ones((maps.sizes["model"], maps.sizes["seed"]), bool)
    return np.asarray(maps["available"].transpose("model", "seed").values, bool)


def _networks(axes: Axes, maps: xr.Dataset) -> None:
    there = _there(maps)
    models, seeds = there.shape
    for m, s in np.ndindex(there.shape):
        look: dict[str, Any] = (
            {"marker": "o", "color": COLOURS[0]}
            if there[m, s]
            else {"marker": "x", "color": COLOURS[1]}
        )
        axes.plot(s, -m, linestyle="none", **look, gid="there" if there[m, s] else "missing")
    axes.set_yticks(-np.arange(models), [literal(v, 20) for v in maps["model"].values])
    step = -(-seeds // 10)
    axes.set_xticks(range(0, seeds, step), [literal(v, 4) for v in maps["seed"].values[::step]])
    axes.set_xlabel("seed")
    axes.set_title(
        f"networks ({int(there.sum())})"
        + ("" if there.all() else f", × {int((~there).sum())} missing")
    )
    axes.set_xlim(-0.6, seeds - 0.4)
    axes.set_ylim(-models + 0.4, 0.6)


def _values(maps: xr.Dataset, name: str) -> list[tuple[int, np.ndarray]]:
    """Model of each network that is there, and its values over images that are known."""
    values = np.asarray(maps[name].transpose("model", "seed", "image").values, float)
    return [(int(m), values[m, s][np.isfinite(values[m, s])]) for m, s in np.argwhere(_there(maps))]


def _spread(axes: Axes, maps: xr.Dataset, name: str) -> None:
    what, wanted = _SHOWN[name]
    if wanted is not None:
        axes.axvline(wanted, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    for k, (model, values) in enumerate(_values(maps, name)):
        if not values.size:
            continue
        middle = values.mean() if name == "correct" else np.median(values)
        if name != "correct":
            axes.plot([values.min(), values.max()], [-k, -k], color=GREY, linewidth=0.7)
            axes.plot(
                np.quantile(values, [0.25, 0.75]),
                [-k, -k],
                color=level_marker(model)["color"],
                linewidth=2.2,
            )
        axes.plot(middle, -k, **level_marker(model), gid=name)
    if name == "correct":
        axes.set_xlim(-0.03, 1.03)
    axes.set_yticks([])
    axes.set_xlabel(what, fontsize=7)
    axes.set_title(name if name == "correct" else f"{name}\nmedian, quarters, range", fontsize=7.5)
    axes.locator_params(axis="x", nbins=4)


def quality_alt(maps: xr.Dataset) -> str:
    """Each model's middle values in words."""
    there = _there(maps)
    missing = [
        f"{safe(maps['model'].values[m])} seed {safe(maps['seed'].values[s])}"
        for m, s in np.argwhere(~there)
    ]
    told = (
        [f"missing {', '.join(missing[:10])}{' and more' if len(missing) > 10 else ''}"]
        if missing
        else []
    )
    for name in _SHOWN:
        if name in maps:
            for m, model in enumerate(maps["model"].values):
                values = np.concatenate(
                    [v for k, v in _values(maps, name) if k == m] or [np.empty(0)]
                )
                middle = (
                    np.nan
                    if not values.size
                    else values.mean()
                    if name == "correct"
                    else np.median(values)
                )
                told.append(
                    f"{name} of {safe(model)} {number(float(middle))}{_worst(name, values)}"
                )
    return sentence(
        f"Data of {int(there.sum())} networks and {maps.sizes['image']} images (share correct, or"
        " median)",
        told,
    )


def _worst(name: str, values: np.ndarray) -> str:
    """Maps whose relevance adds up to nothing are dead; nothing else is said of single maps."""
    dead = int((values == 0).sum())
    return f", {dead} maps sum to 0" if name == "conservation" and dead else ""
