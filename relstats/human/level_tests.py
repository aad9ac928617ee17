"""Scores of networks on images with people: means of levels, and differences, over all three."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from relstats.stats import levels
from relstats.stats.inference.adjust import holm
from relstats.stats.inference.crossed import (
    Inference,
    contrast_rows,
    crossed_test,
    random_factors,
    random_words,
)

#: Effects that are 0 where nothing is shared: only of these does a level have a p-value.
TESTED = ("above_swapped", "kappa")


@dataclass(frozen=True)
class Cells:
    """Scores (network, image), whose mean is the estimate, and what each cell adds to it (network,
    image, participant).
    """

    scores: np.ndarray
    values: np.ndarray


def level_results(
    cells: Mapping[str, Cells], plan: levels.Plan, random: Collection[str], confidence: float
) -> xr.Dataset:
    """`level_mean`, `level_ci`, `level_p_value`, `level_random` on level x effect."""
    tests = [[_test(one, rows, random, confidence) for one in cells.values()] for rows in plan.rows]
    p = levels.field(tests, "p_value")
    p[:, [name not in TESTED for name in cells]] = np.nan
    kinds = [[_kinds(one.values, rows, random) for one in cells.values()] for rows in plan.rows]
    dims = ("level", "effect")
    return (
        levels.level_means(tests, dims)
        .assign(
            level_p_value=(dims, p),
            level_random=(dims, levels.words(kinds)),
            **levels.untested(tests, dims, "level_"),
            level_networks=("level", [int((rows != 0).sum()) for rows in plan.rows]),
        )
        .assign_coords(
            level=levels.words(plan.levels),
            effect=levels.words(list(cells)),
            bound=levels.words(["lower", "upper"]),
        )
    )


def contrast_results(
    cells: Mapping[str, Cells],
    plan: levels.Plan,
    random: Collection[str],
    confidence: float,
    n_swaps: int,
    rng: np.random.Generator,
) -> xr.Dataset:
    """Differences of levels, in the shape of `relstats.compare`."""
    planned = plan.contrasts
    assert planned is not None
    rows, dims = [contrast_rows(groups) for groups in planned.groups], ("contrast", "effect")
    tests = [[_test(one, row, random, confidence) for one in cells.values()] for row in rows]
    result = levels.tabulated(tests, dims)
    for factor in ("networks", "images", "participants"):
        result[f"variance_{factor}"] = (dims, levels.variances(tests, factor))
    kinds = [[_kinds(one.values, row, random) for one in cells.values()] for row in rows]
    means = np.stack([one.scores.mean(axis=1) for one in cells.values()], axis=1)
    swapped = levels.swap_tests(means, planned, "effect", n_swaps, rng).drop_vars("p_max_t")
    return (
        result.assign(swapped.data_vars)
        .assign(
            p_adjusted=(dims, holm(result["p_value"].values, axis=0)),
            random=(dims, levels.words(kinds)),
            n_networks=("contrast", levels.n_networks(planned)),
            **levels.untested(tests, dims),
        )
        .assign_coords(
            contrast=levels.words(levels.pair_names(planned)), effect=levels.words(list(cells))
        )
    )


def _test(cells: Cells, rows: np.ndarray, random: Collection[str], confidence: float) -> Inference:
    if not len(rows):
        return Inference(*(np.nan,) * 7, variances={})
    return crossed_test(
        float((rows.sum(axis=0) @ cells.scores).mean()),
        cells.values,
        rows,
        random=random,
        confidence=confidence,
    )


def _kinds(values: np.ndarray, rows: np.ndarray, random: Collection[str]) -> str:
    return random_words(random_factors(values.shape, rows, random))
