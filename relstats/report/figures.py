"""The figures of each result as pictures that a page carries within itself."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import xarray as xr

from relstats import plots

#: Bytes of an SVG above which it is drawn as PNG, where that is smaller: figures with maps.
_LARGE_SVG = 120_000
#: Bytes of all figures together: the page stays below 5 MB.
_ALL_FIGURES = 2_200_000
_DPI = 110


@dataclass(frozen=True)
class Figure:
    """One figure of a result: its alternative text and a data URI; no URI where the page had no room left."""

    name: str
    alt: str
    uri: str


def draw(
    results: dict[str, xr.Dataset], images: xr.Dataset | None, advance: Callable[[int, int], None]
) -> dict[str, list[Figure]]:
    """Draw all figures of all results.

    Parameters
    ----------
    results : dict of str to Dataset
        In the order in which room in the page is given away.
    images : Dataset, optional
        `/images` of the study, under maps.
    advance : callable
        Takes how many results are drawn, and of how many.
    """
    drawn: dict[str, list[Figure]] = {}
    used = 0
    for k, (name, result) in enumerate(results.items()):
        drawn[name] = []
        for figure in _of_result(result, images):
            fits = used + len(figure.uri) <= _ALL_FIGURES
            used += len(figure.uri) * fits
            drawn[name].append(figure if fits else Figure(figure.name, figure.alt, ""))
        advance(k + 1, len(results))
    return drawn


def of_data(study: xr.DataTree) -> list[Figure]:
    """The figure of the data's quality."""
    return [_drawn(drawing) for drawing in plots.study_figures(study) if drawing.name == "data_quality"]


def _of_result(result: xr.Dataset, images: xr.Dataset | None) -> Iterator[Figure]:
    try:
        yield from map(_drawn, plots.figures(result, images))
    except KeyError as error:  # a result of another version: its numbers are shown all the same
        missing = str(error.args[0]).removeprefix("No variable named ").split(". ")[0]
        yield Figure(
            "not drawn", f"Could not be drawn: this result has no {missing}, which this version of relstats draws.", ""
        )


def _drawn(drawing: plots.Drawing) -> Figure:
    name, alt, make = drawing
    figure = make()
    data, kind = plots.to_svg(figure), "image/svg+xml"
    if len(data) > _LARGE_SVG:
        png = plots.to_png(figure, dpi=_DPI)
        data, kind = (png, "image/png") if len(png) < len(data) else (data, kind)
    return Figure(name, alt, f"data:{kind};base64,{base64.b64encode(data).decode()}")
