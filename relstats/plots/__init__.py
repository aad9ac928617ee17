"""Figures of results and studies: each takes what a statistic returned, and draws it.

Nothing is computed here.

`figures` lists all that a result supports, by the function that the catalogue names,
`study_figures` those of the data themselves. A drawing is a name (fit for a file), an alternative
text that holds the numbers, and a function that draws it.
"""

from __future__ import annotations

import xarray as xr

from relstats.plots import maps, quality, rdms
from relstats.plots.canvas import require_matplotlib, to_pdf, to_png, to_svg
from relstats.plots.drawing import Drawing
from relstats.results.catalogue import analysis_of, load
from relstats.study import layout

__all__ = [
    "Drawing",
    "figures",
    "require_matplotlib",
    "study_figures",
    "to_pdf",
    "to_png",
    "to_svg",
]

#: Of what is no analysis of a study, and not in the catalogue.
_OTHERS = {"power": "relstats.plots.design:figures"}


def figures(result: xr.Dataset, images: xr.Dataset | None = None) -> list[Drawing]:
    """All figures of a result.

    Parameters
    ----------
    result : Dataset
        What a statistic returned, or `/results/<name>` of a study; its attribute `statistic` says
        which.
    images : Dataset, optional
        The study's `/images`, to be drawn under maps.

    Returns
    -------
    list of Drawing
        (name, alt, draw): a name for a file, unique here; an alternative text with the numbers; a
        function without arguments that returns a matplotlib Figure. Empty where there are no
        figures of this statistic.

    Examples
    --------
    >>> import numpy as np, relstats
    >>> table = relstats.power_table([3, 5], [50, 100], effect=0.1)
    >>> [(name, alt[:16]) for name, alt, draw in figures(table)]
    [('power', 'Power to find an')]
    """
    analysis = analysis_of(result.attrs)
    name = analysis.figures if analysis else _OTHERS.get(str(result.attrs.get("statistic", "")))
    if not name:
        return []
    drawings: list[Drawing] = load(name)(result, images)
    return drawings


def study_figures(study: xr.DataTree) -> list[Drawing]:
    """Figures of the data themselves: maps over their images, and what is wrong with them.

    Parameters
    ----------
    study : DataTree
        As `open_study` returns it.

    Returns
    -------
    list of Drawing
        See `figures`.
    """
    drawings: list[Drawing] = []
    if "relevance" in study.children:
        drawings += [*maps.figures(study), *quality.figures(study)]
    if layout.HUMAN in study.children:
        drawings += rdms.judgment_figures(study[layout.HUMAN].to_dataset())
    return drawings
