"""Figures of results and studies: each takes what a statistic returned, and draws it.

Nothing is computed here.

`figures` lists all that a result supports, `study_figures` those of the data themselves. A drawing
is a name (fit for a file), an alternative text that holds the numbers, and a function that draws
it.
"""

from __future__ import annotations

from collections.abc import Callable

import xarray as xr

from relstats.plots import (
    compare,
    correspondence,
    design,
    differences,
    human,
    maps,
    networks,
    quality,
    rdms,
    regions,
    shared,
    stability,
    sufficiency,
)
from relstats.plots.canvas import require_matplotlib, to_pdf, to_png, to_svg
from relstats.plots.drawing import Drawing

__all__ = [
    "Drawing",
    "figures",
    "require_matplotlib",
    "study_figures",
    "to_pdf",
    "to_png",
    "to_svg",
]

_BY_STATISTIC: dict[str, Callable[[xr.Dataset, xr.Dataset | None], list[Drawing]]] = {
    "compare": compare.figures,
    "compare_human": human.level_figures,
    "behaviour": correspondence.figures,
    "human_maps": correspondence.figures,
    "differences": differences.figures,
    "power": design.figures,
    "rdm": rdms.figures,
    "regions": regions.figures,
    "rsa": human.figures,
    "shared": shared.figures,
    "similarity": networks.similarity_figures,
    "stability": stability.figures,
    "sufficiency": sufficiency.figures,
    "strategies": networks.strategy_figures,
}


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
    known = _BY_STATISTIC.get(str(result.attrs.get("statistic", "")))
    return [] if known is None else known(result, images)


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
    found = [*maps.figures(study), *quality.figures(study)] if "relevance" in study.children else []
    return found + (
        rdms.judgment_figures(study["human"].to_dataset()) if "human" in study.children else []
    )
