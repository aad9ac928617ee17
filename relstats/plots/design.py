"""Figures of designs: the power of so many networks and images."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from relstats.plots.canvas import GREY, level_style, new_figure, styled
from relstats.plots.drawing import Drawing
from relstats.plots.words import sentence
from relstats.results.text import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def figures(result: xr.Dataset, images: xr.Dataset | None = None) -> list[Drawing]:
    """Power and detectable effect over networks and images."""
    return [Drawing("power", power_alt(result), functools.partial(power, result))]


@styled
def power(result: xr.Dataset) -> Figure:
    """Power for an effect, and the effect that is found with the power aimed for, over networks.

    A curve for each number of images.

    Parameters
    ----------
    result : Dataset
        From `power_table`.
    """
    known = bool(np.isfinite(result["power"].values).any())
    figure = new_figure(2.7, 7.0 if known else 3.8)
    panels = figure.subplots(1, 1 + known, squeeze=False)[0]
    if known:
        _curves(panels[0], result, "power")
        panels[0].axhline(
            result.attrs["target_power"], color=GREY, linewidth=0.8, linestyle=(0, (4, 3))
        )
        panels[0].set_ylim(0, 1.02)
        panels[0].set_title(f"power to find an asymmetry of {number(result.attrs['effect'])}")
    _curves(panels[-1], result, "detectable_effect")
    panels[-1].set_ylim(bottom=0)
    panels[-1].set_title(f"smallest asymmetry found with power {result.attrs['target_power']:g}")
    panels[-1].legend(title="images", handlelength=3.5)
    return figure


def _curves(axes: Axes, result: xr.Dataset, name: str) -> None:
    networks = result["networks"].values
    for k, n in enumerate(result["images"].values):
        axes.plot(networks, result[name].sel(images=n).values, label=f"{n}", **level_style(k))
    axes.set_xticks(networks)
    axes.set_xlabel("networks in each level")


def power_alt(result: xr.Dataset) -> str:
    """Each design in words."""
    known = "effect" in result.attrs
    begin = (
        f"Power to find an asymmetry of {number(result.attrs['effect'])}, and smallest asymmetry"
        if known
        else "Smallest asymmetry"
    )
    told = (
        f"{n} networks a level and {m} images "
        + (f"{number(one['power'].item())}, " if known else "")
        + number(one["detectable_effect"].item())
        for n in result["networks"].values
        for m in result["images"].values
        for one in [result.sel(networks=n, images=m)]
    )
    return sentence(f"{begin} found with power {result.attrs['target_power']:g}", told)
