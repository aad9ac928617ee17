"""Figures of shared pixels: how many there are against chance, where they are, and which networks
agree on them.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from relstats.plots import parts
from relstats.plots.canvas import COLOURS, GREY, blank, level_style, new_figure, styled
from relstats.plots.drawing import Drawing
from relstats.plots.parts import Row
from relstats.plots.words import interval, literal, p_text, percent, sentence
from relstats.results.text import number, safe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

IMAGES = 4
_NULLS = ("s", "D", "v")


def figures(result: xr.Dataset, images: xr.Dataset | None = None) -> list[Drawing]:
    """Sizes of core sets, the pixels themselves, and the networks."""
    found = [Drawing("core_sizes", sizes_alt(result), functools.partial(sizes, result))]
    if "count" in result:
        found.append(
            Drawing("shared_pixels", pixels_alt(result), functools.partial(pixels, result, images))
        )
    found.append(Drawing("agreement", networks_alt(result), functools.partial(networks, result)))
    return found


@styled
def sizes(result: xr.Dataset) -> Figure:
    """Share of the pixels in each core set with its interval, and what chance would give under each
    null.

    Parameters
    ----------
    result : Dataset
        From `shared`.
    """
    names = [str(name) for name in result["consensus"].values]
    figure = new_figure(parts.rows_height(len(names)) + 0.55)
    axes = figure.subplots()
    parts.forest(axes, [_size_row(result, k) for k in range(len(names))], line=None)
    for k, null in enumerate(result["null"].values):
        axes.plot(
            100 * result["expected"].values[:, k],
            -np.arange(len(names), dtype=float),
            marker=_NULLS[k % 3],
            linestyle="none",
            color="black",
            markerfacecolor="white",
            clip_on=False,
            label=f"expected by {literal(null)}",
            gid=f"expected {k}",
        )
    axes.set_xlim(left=0)
    axes.set_xlabel(
        f"% of the pixels, mean over {int(result['n_images'])} images,"
        f" {percent(result.attrs['confidence'])} interval"
    )
    axes.set_title(f"among the top {100 * result.attrs['fraction']:g} % of the pixels of")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _needed(result: xr.Dataset, k: int) -> str:
    pairs = zip(result["n_needed"].values[k], result["n_networks"].values, strict=True)
    told = [f"{need} of {n}" for need, n in pairs]
    others = (
        f" in each of {len(told)} conditions"
        if len(set(told)) == 1
        else ", others in other conditions"
    )
    return f"{told[0]} networks" + others * (len(told) > 1)


def _size_row(result: xr.Dataset, k: int) -> Row:
    one = result.isel(consensus=k)
    low, high = 100 * one["ci_these_networks"].values
    label = f"{one['consensus'].item()}: {_needed(result, k)}"
    return Row(
        label, 100 * one["estimate"].item(), low, high, p_text(one["p_adjusted"].item(), "p Holm")
    )


def sizes_alt(result: xr.Dataset) -> str:
    """Each core set in words."""
    told = []
    for k, name in enumerate(result["consensus"].values):
        row = _size_row(result, k)
        chance = ", ".join(
            f"{number(100 * v)} by {safe(null)}"
            for null, v in zip(result["null"].values, result["expected"].values[k], strict=True)
        )
        told.append(
            f"{safe(name)} ({_needed(result, k)}) {interval(row.estimate, (row.low, row.high))},"
            f" expected {chance}, {row.note}"
        )
    begin = (
        f"Core sets in % of the pixels, among the top {100 * result.attrs['fraction']:g} % of each"
        f" network, with {percent(result.attrs['confidence'])} intervals"
    )
    return sentence(begin, told, safe(result.attrs.get("population", "")))


def _chosen(result: xr.Dataset) -> list[int]:
    return list(range(min(IMAGES, result.sizes["image"])))


@styled
def pixels(result: xr.Dataset, images: xr.Dataset | None = None) -> Figure:
    """How many networks have each pixel, on the first images, beside the count that chance gives.

    Parameters
    ----------
    result : Dataset
        From `shared`.
    images : Dataset, optional
        `/images` with `pixels`.

    Returns
    -------
    Figure
        A column for each image: the count of networks, the core set, and the pixels that more
        networks share than chance gives, both filled on the image. The last column has the expected
        count, on the same scale.
    """
    chosen, most = _chosen(result), int(result["n_networks"].sum())
    figure = new_figure(4.1, pictures=True)
    panels = figure.subplots(3, len(chosen) + 1)
    scale: dict[str, Any] = {"cmap": "cividis", "vmin": 0, "vmax": most, "interpolation": "none"}
    for j, k in enumerate(chosen):
        one = result.isel(image=k)
        ground = _ground(images, str(one["image"].item()), one["count"].shape)
        blank(panels[0, j])
        panels[0, j].imshow(one["count"].values, **scale)
        panels[0, j].set_title(literal(one["image"].item(), 16), fontsize=7)
        for axes, name, colour in (
            (panels[1, j], "core", COLOURS[1]),
            (panels[2, j], "beyond_chance", COLOURS[0]),
        ):
            parts.picture(axes, ground, (one.sizes["y"], one.sizes["x"]), faint=0.35)
            parts.filled(axes, np.asarray(one[name].values), colour)
    blank(panels[0, -1])
    shown = panels[0, -1].imshow(result["expected_count"].values, **scale)
    panels[0, -1].set_title("expected by chance", fontsize=7)
    for axes, words in zip(
        panels[:, 0], (f"count of {most}", "core set", "beyond chance"), strict=True
    ):
        axes.set_ylabel(words, fontsize=7)
    panels[1, -1].set_axis_off()
    panels[2, -1].set_axis_off()
    figure.colorbar(shown, ax=panels[0, :], label="networks", shrink=0.9)
    return figure


def _ground(images: xr.Dataset | None, image: str, shape: tuple[int, ...]) -> np.ndarray | None:
    from relstats.plots.maps import picture_of

    return picture_of(images, image, (shape[0], shape[1]))


def pixels_alt(result: xr.Dataset) -> str:
    """What the images have in words."""
    told = []
    for k in _chosen(result):
        one = result.isel(image=k)
        size = one["core_size"].sel(consensus=result.attrs["consensus"]).item()
        told.append(
            f"{safe(one['image'].item())} core set {number(100 * size)} % of the pixels, largest z"
            f" {number(one['max_z'].item())},"
            f" {p_text(one['p_max_z_family'].item(), 'family-wise p')}"
        )
    end = (
        f"The first {len(told)} of {int(result['n_images'])} images; the expected count is what the"
        " same networks' maps of other images give."
    )
    return sentence(
        f"Maps of how many of {int(result['n_networks'].sum())} networks have each pixel among"
        " their most relevant",
        told,
        end,
    )


@styled
def networks(result: xr.Dataset) -> Figure:
    """Agreement of each network with the consensus of the others, and what maps of other images
    reach.

    Parameters
    ----------
    result : Dataset
        From `shared`.
    """
    n = min(result.sizes["network"], parts.MOST_ROWS)
    figure = new_figure(parts.rows_height(n) * 0.75 + 0.5)
    axes = figure.subplots()
    for k in range(n):
        _dumbbell(
            axes,
            result["agreement_swapped"].values[k],
            result["agreement"].values[k],
            -float(k),
            labelled=k == 0,
        )
    axes.set_yticks(
        [-float(k) for k in range(n)], [literal(_name(result, k), 36) for k in range(n)]
    )
    axes.set_ylim(-n + 0.4, 0.6)
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of the others that also have a pixel of its mask")
    axes.set_title(
        f"{int(result['n_sharing'])} of {result.sizes['network']} networks agree beyond chance"
    )
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _dumbbell(axes: Axes, swapped: float, own: float, y: float, *, labelled: bool) -> None:
    names = ("same image", "maps of other images") if labelled else (None, None)
    axes.plot([swapped, own], [y, y], color=GREY, linewidth=0.8, zorder=0)
    axes.plot(
        own,
        y,
        marker="o",
        linestyle="none",
        color=level_style(0)["color"],
        label=names[0],
        gid="agreement",
    )
    axes.plot(
        swapped,
        y,
        marker="D",
        linestyle="none",
        color="black",
        markerfacecolor="white",
        label=names[1],
        gid="swapped",
    )


def _name(result: xr.Dataset, k: int) -> str:
    return f"{result['network_model'].values[k]} seed {result['network_seed'].values[k]}"


def networks_alt(result: xr.Dataset) -> str:
    """Each network in words."""
    told = (
        f"{safe(_name(result, k))} {number(result['agreement'].values[k])}"
        f" ({number(result['agreement_swapped'].values[k])},"
        f" {p_text(result['p_network'].values[k])})"
        for k in range(result.sizes["network"])
    )
    end = f"{int(result['n_sharing'])} of {result.sizes['network']} networks agree beyond chance."
    return sentence(
        "Agreement of each network with the consensus of the others, and in brackets with maps of"
        " other images",
        told,
        end,
    )
