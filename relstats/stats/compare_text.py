"""What `compare` says beside its numbers: flags of cells, warnings, population and method."""

from __future__ import annotations

import itertools

import numpy as np
import xarray as xr

from relstats.stats import levels
from relstats.stats.inference.contrasts import Contrasts
from relstats.stats.inference.jackknife import REFERENCE
from relstats.study.omissions import Tally

CEILING, ABOVE_FLOOR = 0.98, 0.02


def cell_flags(result: xr.Dataset, measure: str, score: str, normalise: str) -> np.ndarray:
    """Cells at the ceiling, or at the floor of control masks: contrasts of such cells are
    compressed.
    """
    mean = result["cell_mean"].values
    flags = np.full(mean.shape, "", dtype=object)
    if measure != "transfer" or score == "margin" or normalise != "none":
        return flags
    flags[mean > CEILING] = "ceiling"
    if "floor" in result:
        flags[mean < result["floor"].values.mean() + ABOVE_FLOOR] = "floor"
    return flags


def flag_notes(plan: Contrasts, flags: np.ndarray) -> list[str]:
    """Warn of each flagged cell: `flags` on source level x target level."""
    cells = itertools.product(plan.levels, plan.levels)
    return [
        f"cell {a} on {b} is at the {flag}: differences there mean little"
        for (a, b), flag in zip(cells, flags.ravel(), strict=True)
        if flag
    ]


def floor_notes(result: xr.Dataset, n_swaps: int, confidence: float) -> list[str]:
    """Contrasts whose label swap can never be significant."""
    floors = result["min_p_swap"].min("effect").values
    contrast, n_networks = result["contrast"].values, result["n_networks"].values
    return [
        f"{name}: with {n} networks and {n_swaps} resamples the label swap cannot give p below"
        f" {floor:.3g}"
        for name, n, floor in zip(contrast, n_networks, floors, strict=True)
        if floor > 1 - confidence
    ]


def population(result: xr.Dataset, tally: Tally) -> str:
    """What the inference is about: networks and images like those measured."""
    sizes = sorted({int(n) for n in result["n_networks"].values})
    networks = f"{' to '.join(str(n) for n in {sizes[0]: 0, sizes[-1]: 0})} networks a contrast"
    return f"{levels.inference_over(result)} ({networks}, {tally.images} images)"


def subject(measure: str, score: str, *, removed: bool) -> str:
    """What is compared, in words."""
    if measure != "transfer":
        return f"agreement of maps ({measure})"
    how = "loss of score without" if removed else "transfer of"
    return f"{how} the most relevant pixels ({score})"


def method(plan: Contrasts, tally: Tally, what: str, confidence: float, df: str) -> str:
    """The sentences for a methods section."""
    strata = (
        f", within each level of {' and '.join(plan.within)} and averaged" if plan.within else ""
    )
    per_level = {
        pair: [int((groups == g).sum()) for g in np.unique(groups[groups >= 0])]
        for pair, groups in zip(plan.pairs, plan.groups, strict=True)
    }
    sizes = sorted({n for counts in per_level.values() for n in counts})
    seeds = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    return (
        f"{what.capitalize()} was compared over {plan.axis} ({', '.join(plan.levels)}){strata},"
        f" with {seeds} networks a level and {tally.images} images; self pairs were left out."
        " Contrasts of cell means are means over fractions. Standard errors,"
        f" {100 * confidence:g} % intervals and p-values come from a two-way"
        f" jackknife over networks and images with t and {df.capitalize()}"
        f" degrees of freedom ({REFERENCE}), Holm-adjusted over contrasts. p_swap permutes the"
        " labels of whole networks: the sharp null that labels are irrelevant on these images."
    )
