"""Figures of RDMs: side by side in one order of images, and images as points."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from relstats.plots.canvas import COLOURS, blank, new_figure, styled
from relstats.plots.drawing import Drawing
from relstats.plots.words import literal, sentence, wrapped
from relstats.results.text import number, safe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS, THUMBNAILS = 8, 120
#: Pictures that fit beside each other across a panel.
_ACROSS = 13


def figures(result: xr.Dataset, images: xr.Dataset | None = None) -> list[Drawing]:
    """RDMs side by side."""
    return [
        Drawing("rdms", rdms_alt(result), functools.partial(rdms, result)),
        *point_figures(result, images),
    ]


def judgment_figures(group: xr.Dataset) -> list[Drawing]:
    """Mean judgments of people, of `/human`."""
    return (
        [Drawing("judgments", rdms_alt(group), functools.partial(rdms, group))]
        if "dissimilarity" in group
        else []
    )


def point_figures(result: xr.Dataset, images: xr.Dataset | None) -> list[Drawing]:
    """Images as points, by networks, and by people."""
    names = [("points", "stress"), ("human_points", "human_stress")]
    found = []
    for name, stress in names:
        if name in result:
            own = result[[name, stress]].rename({name: "points", stress: "stress"})
            found.append(Drawing(name, points_alt(own), functools.partial(points, own, images)))
    return found


@styled
def rdms(result: xr.Dataset) -> Figure:
    """RDMs side by side, their images in one order: of the first network of each model, and of
    people where they are in it.

    Parameters
    ----------
    result : Dataset
        `dissimilarity` ([model, [seed,]] pair) or (participant, pair), of which the mean is shown,
        with `image_i` and `image_j`.
    """
    shown = _panels(result)
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(2.15 * rows + 0.1, min(7.0, 0.4 + 1.9 * columns), pictures=True)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    images = _order(result)
    for axes, (name, values) in zip(panels, shown, strict=False):
        blank(axes)
        square = _square(result, values, images)
        image = axes.imshow(np.ma.masked_invalid(square), cmap="cividis", interpolation="none")
        axes.set_title(literal(name, 24), fontsize=7.5)
        bar = figure.colorbar(image, ax=axes, orientation="horizontal", fraction=0.05, pad=0.03)
        bar.ax.tick_params(labelsize=6)
        bar.ax.locator_params(nbins=4)
    told = (
        f"{len(images)} images in one order, {literal(images[0], 16)} to {literal(images[-1], 16)};"
        " dissimilarity"
    )
    figure.supxlabel(wrapped(told, 30 * columns), fontsize=7.5)
    return figure


def _panels(result: xr.Dataset) -> list[tuple[str, np.ndarray]]:
    values = result["dissimilarity"]
    if "participant" in values.dims:
        return [
            (
                f"mean of {values.sizes['participant']} participants",
                values.mean("participant", skipna=True).values,
            )
        ]
    if "model" not in values.dims:
        return [(safe(result.attrs.get("on", "dissimilarity")), values.values)]
    rows = []
    for model in values["model"].values:
        one = values.sel(model=model)
        known = (
            np.flatnonzero(np.isfinite(one.values).any(axis=one.get_axis_num("pair")))
            if "seed" in one.dims
            else None
        )
        if known is None or len(known):
            first = one if known is None else one.isel(seed=int(known[0]))
            rows.append(
                (
                    str(model) + ("" if known is None else f" seed {first['seed'].item()}"),
                    first.values,
                )
            )
    return rows[:PANELS]


def _order(result: xr.Dataset) -> list[str]:
    return sorted({str(v) for end in ("image_i", "image_j") for v in result[end].values})


def _square(result: xr.Dataset, values: np.ndarray, images: list[str]) -> np.ndarray:
    place = {image: k for k, image in enumerate(images)}
    i, j = ([place[str(v)] for v in result[end].values] for end in ("image_i", "image_j"))
    square = np.full((len(images), len(images)), np.nan)
    np.fill_diagonal(square, 0.0)
    square[i, j] = square[j, i] = values
    return square


def rdms_alt(result: xr.Dataset) -> str:
    """What is shown, and each panel's range."""
    told = [
        f"{safe(name)} {number(float(np.nanmin(v)))} to {number(float(np.nanmax(v)))}"
        for name, v in _panels(result)
        if np.isfinite(v).any()
    ]
    return sentence(
        f"Dissimilarity of all pairs of {len(_order(result))} images, as matrices with one order of"
        " images, ranges",
        told,
    )


@styled
def points(result: xr.Dataset, images: xr.Dataset | None = None) -> Figure:
    """Images as points whose distances are their dissimilarities, as small pictures where there are
    pixels.

    Parameters
    ----------
    result : Dataset
        `points` ([model,] image, dimension) and `stress`, from `relstats.human.points`.
    images : Dataset, optional
        `/images` with `pixels`.
    """
    shown = _clouds(result)
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(2.4 * rows, min(7.0, 2.6 * columns + 0.4))
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    for axes, (name, places, stress) in zip(panels, shown, strict=False):
        _cloud(axes, places, [str(v) for v in result["image"].values], images)
        axes.set_title(f"{literal(name, 24)}\nstress {number(stress)}", fontsize=7.5)
    return figure


def _clouds(result: xr.Dataset) -> list[tuple[str, np.ndarray, float]]:
    if "model" not in result["points"].dims:
        return [("people", result["points"].values, result["stress"].item())]
    return [
        (str(m), result["points"].sel(model=m).values, result["stress"].sel(model=m).item())
        for m in result["model"].values[:PANELS]
    ]


def _cloud(axes: Axes, places: np.ndarray, labels: list[str], images: xr.Dataset | None) -> None:
    blank(axes)
    if not np.isfinite(places).any():
        axes.text(0.5, 0.5, "no points", transform=axes.transAxes, ha="center")
        return
    axes.plot(
        places[:, 0],
        places[:, 1],
        marker="o",
        markersize=3,
        linestyle="none",
        color=COLOURS[0],
        gid="points",
    )
    axes.set_aspect("equal", adjustable="datalim")
    if images is None or "pixels" not in images or len(labels) > THUMBNAILS:
        return
    _thumbnails(axes, places, labels, images)


def _thumbnails(axes: Axes, places: np.ndarray, labels: list[str], images: xr.Dataset) -> None:
    """Small pictures at points, pasted into one picture: a figure of a hundred would be slow."""
    step = -(-max(images.sizes["y"], images.sizes["x"]) // 40)
    pixels = images["pixels"].transpose("image", "y", "x", "channel").values[:, ::step, ::step]
    pixels = (
        np.broadcast_to(pixels, (*pixels.shape[:3], 3))
        if pixels.shape[-1] == 1
        else pixels[..., :3]
    )
    position = {str(v): k for k, v in enumerate(images["image"].values)}
    height, width = pixels.shape[1:3]
    low, span = places.min(axis=0), float(np.ptp(places, axis=0).max()) or 1.0
    scale = _ACROSS * max(height, width) / span
    corner = np.rint((places - low) * scale).astype(int)
    sheet = np.zeros((corner[:, 1].max() + height, corner[:, 0].max() + width, 4), np.uint8)
    for (column, row), label in zip(corner, labels, strict=True):
        if label in position:
            sheet[row : row + height, column : column + width, :3] = pixels[position[label], ::-1]
            sheet[row : row + height, column : column + width, 3] = 255
    left, bottom = low - np.array([width, height]) / 2 / scale
    extent = (left, left + sheet.shape[1] / scale, bottom, bottom + sheet.shape[0] / scale)
    axes.imshow(
        sheet, extent=extent, origin="lower", interpolation="none", zorder=3, gid="pictures"
    )


def points_alt(result: xr.Dataset) -> str:
    """What is shown, and the misfit."""
    told = (f"{safe(name)} stress {number(stress)}" for name, _, stress in _clouds(result))
    return sentence(
        f"{result.sizes['image']} images as points in a plane, whose distances approximate their"
        " dissimilarities",
        told,
    )
