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
_ALL_FIGURES = 2_800_000
_DPI = 110


@dataclass(frozen=True)
class Figure:
    """One figure of a result: its alternative text and a data URI.

    No URI where the page had no room left.
    """

    name: str
    alt: str
    uri: str

    @property
    def is_chart(self) -> bool:
        """Whether it is small: lines and text, and not maps."""
        return len(self.uri) <= 4 * _LARGE_SVG / 3 + 100


def draw(
    results: dict[str, xr.Dataset], images: xr.Dataset | None, advance: Callable[[int, int], None]
) -> dict[str, list[Figure]]:
    """Draw all figures of all results.

    Parameters
    ----------
    results : dict of str to Dataset
        In the order in which room in the page is given away: first to the charts of all, then to
        maps, the first of each result before the second of any.
    images : Dataset, optional
        `/images` of the study, under maps.
    advance : callable
        Takes how many results are drawn, and of how many.
    """
    drawn: dict[str, list[Figure]] = {}
    for k, (name, result) in enumerate(results.items()):
        drawn[name] = list(_of_result(result, images))
        advance(k + 1, len(results))
    kept = _fitting(drawn, _ALL_FIGURES)
    return {
        name: [
            figure if (name, k) in kept else Figure(figure.name, figure.alt, "")
            for k, figure in enumerate(figures)
        ]
        for name, figures in drawn.items()
    }


def _fitting(drawn: dict[str, list[Figure]], room: int) -> set[tuple[str, int]]:
    """Which figures a page has room for."""
    charts = [
        (name, k)
        for name, figures in drawn.items()
        for k, figure in enumerate(figures)
        if figure.is_chart
    ]
    most = max(map(len, drawn.values()), default=0)
    maps = [
        (name, k)
        for k in range(most)
        for name, figures in drawn.items()
        if k < len(figures) and not figures[k].is_chart
    ]
    kept = set()
    for name, k in charts + maps:
        if len(drawn[name][k].uri) <= room:
            room -= len(drawn[name][k].uri)
            kept.add((name, k))
    return kept


def of_data(study: xr.DataTree) -> list[Figure]:
    """The figure of the data's quality."""
    return [
        _drawn(drawing) for drawing in plots.study_figures(study) if drawing.name == "data_quality"
    ]


def _of_result(result: xr.Dataset, images: xr.Dataset | None) -> Iterator[Figure]:
    try:
        yield from map(_drawn, plots.figures(result, images))
    except KeyError as error:  # a result of another version: its numbers are shown all the same
        missing = str(error.args[0]).removeprefix("No variable named ").split(". ")[0]
        yield Figure(
            "not drawn",
            f"Could not be drawn: this result has no {missing}, which this version of relstats"
            " draws.",
            "",
        )


def _drawn(drawing: plots.Drawing) -> Figure:
    name, alt, make = drawing
    figure = make()
    data, kind = plots.to_svg(figure), "image/svg+xml"
    if len(data) > _LARGE_SVG:
        png = plots.to_png(figure, dpi=_DPI)
        data, kind = (png, "image/png") if len(png) < len(data) else (data, kind)
    return Figure(name, alt, f"data:{kind};base64,{base64.b64encode(data).decode()}")
