"""Figures about people: whose RDMs agree with theirs, up to which ceiling; RDMs side by side, and images as points."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from relstats.plots import parts
from relstats.plots.canvas import COLOURS, PALE, blank, new_figure, styled
from relstats.plots.drawing import Drawing
from relstats.plots.maps import picture_of
from relstats.plots.parts import Row
from relstats.plots.words import interval, literal, p_text, percent, sentence
from relstats.terminal import number, safe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS, THUMBNAILS = 8, 120


def figures(result: xr.Dataset, images: xr.Dataset | None = None) -> list[Drawing]:
    """Models against the noise ceiling, and their differences."""
    found = [Drawing("models", models_alt(result), functools.partial(models, result))]
    if "difference" in result:
        found.append(Drawing("model_differences", differences_alt(result), functools.partial(differences, result)))
    return found + (mds_figures(result, images) if "points" in result else [])


def rdm_figures(result: xr.Dataset, images: xr.Dataset | None = None) -> list[Drawing]:
    """RDMs side by side."""
    found = [Drawing("rdms", rdms_alt(result), functools.partial(rdms, result))]
    return found + (mds_figures(result, images) if "points" in result else [])


def mds_figures(result: xr.Dataset, images: xr.Dataset | None = None) -> list[Drawing]:
    """Images as points."""
    return [Drawing("points", points_alt(result), functools.partial(points, result, images))]


@styled
def models(result: xr.Dataset) -> Figure:
    """Agreement of each model with people, each person as a tick, and the band of the noise ceiling.

    Parameters
    ----------
    result : Dataset
        From `relstats.human.rsa`.
    """
    rows = list(_model_rows(result))[: parts.MOST_ROWS]
    figure = new_figure(parts.rows_height(len(rows)) + 0.65)
    axes = figure.subplots()
    low, high = result["noise_ceiling"].values
    if np.isfinite(high):
        start = low if np.isfinite(low) else high
        axes.axvspan(start, high, facecolor=PALE, edgecolor="0.6", hatch="///", linewidth=0.6, zorder=-1, label="noise ceiling", gid="ceiling")  # fmt: skip
    parts.forest(axes, rows)
    axes.plot([], [], color=COLOURS[0], marker="|", linestyle="none", label="one participant")
    axes.set_xlabel(
        f"agreement with people ({literal(result.attrs['measure'])}), {percent(result.attrs['level'])} interval"
    )
    axes.set_title(f"{int(result['n_participants'])} participants, {int(result['n_images'])} images")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _dim(result: xr.Dataset) -> str:
    return "model" if "model" in result.dims else "level"


def _model_rows(result: xr.Dataset) -> Iterator[Row]:
    dim = _dim(result)
    for k, name in enumerate(result[dim].values):
        one = result.isel({dim: k})
        low, high = one["ci"].values
        p = (
            p_text(one["p_value_adjusted"].item(), "p adjusted")
            if "p_value_adjusted" in one
            else p_text(one["p_value"].item())
        )
        yield Row(str(name), one["estimate"].item(), low, high, p, one["agreement"].values.tolist())


def models_alt(result: xr.Dataset) -> str:
    """Each model and the ceiling in words."""
    told = [
        f"{safe(row.label)} {interval(row.estimate, (row.low, row.high))}{', ' * bool(row.note)}{row.note}"
        for row in _model_rows(result)
    ]
    low, high = (number(float(v)) for v in result["noise_ceiling"].values)
    begin = f"Agreement ({result.attrs['measure']}) of networks' RDMs with those of {int(result['n_participants'])} participants, with {percent(result.attrs['level'])} intervals"
    return sentence(begin, told, f"Noise ceiling {low} to {high}. {safe(result.attrs.get('population', ''))}".strip())


@styled
def differences(result: xr.Dataset) -> Figure:
    """Differences between models in agreement with people.

    Parameters
    ----------
    result : Dataset
        From `relstats.human.rsa` with two models or more.
    """
    rows = list(_difference_rows(result))[: parts.MOST_ROWS]
    figure = new_figure(parts.rows_height(len(rows)))
    axes = figure.subplots()
    parts.forest(axes, rows)
    axes.set_xlabel(
        f"difference in agreement ({literal(result.attrs['measure'])}), {percent(result.attrs['level'])} interval"
    )
    return figure


def _difference_rows(result: xr.Dataset) -> Iterator[Row]:
    p, name = (
        ("difference_p_value_adjusted", "p adjusted")
        if "difference_p_value_adjusted" in result
        else ("difference_p_value", "p")
    )
    for k, contrast in enumerate(result["contrast"].values):
        low, high = result["difference_ci"].values[k]
        yield Row(
            str(contrast), float(result["difference"].values[k]), low, high, p_text(float(result[p].values[k]), name)
        )


def differences_alt(result: xr.Dataset) -> str:
    """Each difference in words."""
    told = (
        f"{safe(row.label)} {interval(row.estimate, (row.low, row.high))}{', ' * bool(row.note)}{row.note}"
        for row in _difference_rows(result)
    )
    return sentence(
        f"Differences between models in agreement with people, with {percent(result.attrs['level'])} intervals", told
    )


@styled
def rdms(result: xr.Dataset) -> Figure:
    """RDMs side by side, their images in one order: of the first network of each model, and of people where they are in it.

    Parameters
    ----------
    result : Dataset
        `dissimilarity` ([model, [seed,]] pair) or (participant, pair), of which the mean is shown, with `image_i` and `image_j`.
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
    figure.supxlabel(
        f"{len(images)} images in one order, {literal(images[0], 16)} to {literal(images[-1], 16)}; dissimilarity",
        fontsize=7.5,
    )
    return figure


def _panels(result: xr.Dataset) -> list[tuple[str, np.ndarray]]:
    values = result["dissimilarity"]
    if "participant" in values.dims:
        return [(f"mean of {values.sizes['participant']} participants", values.mean("participant", skipna=True).values)]
    if "model" not in values.dims:
        return [(safe(result.attrs.get("on", "dissimilarity")), values.values)]
    rows = []
    for model in values["model"].values:
        one = values.sel(model=model)
        known = (
            np.flatnonzero(np.isfinite(one.values).any(axis=one.get_axis_num("pair"))) if "seed" in one.dims else None
        )
        if known is None or len(known):
            first = one if known is None else one.isel(seed=int(known[0]))
            rows.append((str(model) + ("" if known is None else f" seed {first['seed'].item()}"), first.values))
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
        f"Dissimilarity of all pairs of {len(_order(result))} images, as matrices with one order of images, ranges",
        told,
    )


@styled
def points(result: xr.Dataset, images: xr.Dataset | None = None) -> Figure:
    """Images as points whose distances are their dissimilarities, as small pictures where there are pixels.

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
        return [("images", result["points"].values, result["stress"].item())]
    return [
        (str(m), result["points"].sel(model=m).values, result["stress"].sel(model=m).item())
        for m in result["model"].values[:PANELS]
    ]


def _cloud(axes: Axes, places: np.ndarray, labels: list[str], images: xr.Dataset | None) -> None:
    blank(axes)
    if not np.isfinite(places).any():
        axes.text(0.5, 0.5, "no points", transform=axes.transAxes, ha="center")
        return
    axes.plot(places[:, 0], places[:, 1], marker="o", markersize=3, linestyle="none", color=COLOURS[0], gid="points")
    axes.set_aspect("equal", adjustable="datalim")
    if images is None or "pixels" not in images or len(labels) > THUMBNAILS:
        return
    half = 0.035 * float(np.ptp(places, axis=0).max())
    known = {str(v) for v in images["image"].values}
    for (x, y), label in zip(places, labels, strict=True):
        if label in known:
            pixels = picture_of(images, label, (images.sizes["y"], images.sizes["x"]))
            if pixels is not None:
                axes.imshow(
                    pixels[::2, ::2].squeeze(), cmap="gray", extent=(x - half, x + half, y - half, y + half), zorder=3
                )
    axes.autoscale_view()


def points_alt(result: xr.Dataset) -> str:
    """What is shown, and the misfit."""
    told = (f"{safe(name)} stress {number(stress)}" for name, _, stress in _clouds(result))
    return sentence(
        f"{result.sizes['image']} images as points in a plane, whose distances approximate their dissimilarities", told
    )
