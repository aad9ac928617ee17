"""Means of levels and their contrasts, of scores of networks on images with people.

Labels in, labels out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from relstats.errors import ImpossibleAnalysis
from relstats.stats.inference import contrasts, networks, swaps
from relstats.stats.inference.contrasts import Contrasts
from relstats.stats.inference.crossed import (
    Inference,
    contrast_rows,
    crossed_test,
    level_rows,
    random_factors,
)
from relstats.stats.inference.jackknife import holm

_FIELDS = ("estimate", "standard_error", "statistic", "df", "p_value")
#: Effects that are 0 where nothing is shared: only of these does a level have a p-value.
TESTED = ("above_swapped", "kappa")


@dataclass(frozen=True)
class Cells:
    """Scores (network, image), whose mean is the estimate, and what each cell adds to it (network,
    image, participant).
    """

    scores: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Plan:
    """Weights of the networks for the mean of each level, and the contrasts where an axis is
    compared.
    """

    levels: list[str]
    rows: list[np.ndarray]
    contrasts: Contrasts | None
    notes: list[str]


def plan_levels(
    table: pd.DataFrame,
    axis: str | None,
    random: Collection[str],
    within: Sequence[str] | None,
    pool: Sequence[str],
) -> Plan:
    """Levels of an axis, or models where none is given.

    Raises
    ------
    UsageError, ImpossibleAnalysis
        As `relstats.stats.inference.contrasts.plan`; a level has one network and seeds are random.

    Examples
    --------
    >>> plan_levels(
    ...     pd.DataFrame({"model": list("aab"), "seed": list("010")}), None, (), None, ()
    ... ).rows[0]
    array([[0.5, 0.5, 0. ]])
    """
    if axis is None:
        levels = sorted(table["model"].unique())
        rows = [
            (own := (table["model"] == level).to_numpy(float))[np.newaxis] / own.sum()
            for level in levels
        ]
        notes = [
            f"{level} has one network: what is said is of this network"
            for level, row in zip(levels, rows, strict=True)
            if row.max() == 1
        ]
        return Plan(levels, rows, None, notes)
    planned = contrasts.plan(table, axis, within=within, pool=pool, symmetric=True)
    if "seeds" in random:
        require_seeds(planned)
    mixed = [
        f"networks that differ on {a} are mixed: an effect may be one of {a}"
        for a in planned.pooled
    ]
    return Plan(
        planned.levels, [level_rows(planned, k) for k in range(len(planned.levels))], planned, mixed
    )


def level_results(
    cells: Mapping[str, Cells], plan: Plan, random: Collection[str], confidence: float
) -> xr.Dataset:
    """`level_mean`, `level_ci`, `level_p_value`, `level_random` on level x effect."""
    tests = [[_test(one, rows, random, confidence) for one in cells.values()] for rows in plan.rows]
    p = _field(tests, "p_value")
    p[:, [name not in TESTED for name in cells]] = np.nan
    kinds = [[_kinds(one.values, rows, random) for one in cells.values()] for rows in plan.rows]
    dims = ("level", "effect")
    return xr.Dataset(
        {
            "level_mean": (dims, _field(tests, "estimate")),
            "level_ci": ((*dims, "bound"), _intervals(tests)),
            "level_p_value": (dims, p),
            "level_random": (dims, np.array(kinds, dtype=object)),
            "level_networks": ("level", [int((rows != 0).sum()) for rows in plan.rows]),
        },
        {
            "level": np.array(plan.levels, dtype=object),
            "effect": np.array(list(cells), dtype=object),
            "bound": np.array(["lower", "upper"], dtype=object),
        },
    )


def contrast_results(
    cells: Mapping[str, Cells],
    plan: Plan,
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
    result = xr.Dataset({name: (dims, _field(tests, name)) for name in _FIELDS})
    for name in ("networks", "images", "participants"):
        result[f"variance_{name}"] = (
            dims,
            np.array([[_share(test, name) for test in row] for row in tests]),
        )
    kinds = [[_kinds(one.values, row, random) for one in cells.values()] for row in rows]
    p_swap, floor = _swaps(cells, planned, n_swaps, rng)
    return result.assign(
        ci=((*dims, "bound"), _intervals(tests)),
        p_swap=(dims, p_swap),
        min_p_swap=("contrast", floor),
        p_adjusted=(
            dims,
            np.stack([holm(column) for column in result["p_value"].values.T], axis=1),
        ),
        random=(dims, np.array(kinds, dtype=object)),
        n_networks=("contrast", [int((g >= 0).sum()) for g in planned.groups]),
    ).assign_coords(
        contrast=np.array(["|".join(pair) for pair in planned.pairs], dtype=object),
        effect=np.array(list(cells), dtype=object),
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
    kinds = random_factors(values.shape, rows, random)
    return (", ".join(kinds) or "nothing") + ("" if "seeds" in kinds else "; these networks")


def _field(tests: list[list[Inference]], name: str) -> np.ndarray:
    return np.array([[getattr(test, name) for test in row] for row in tests], float)


def _intervals(tests: list[list[Inference]]) -> np.ndarray:
    return np.stack([_field(tests, "lower"), _field(tests, "upper")], axis=-1)


def _share(test: Inference, name: str) -> float:
    if name != "networks":
        return test.variances.get(name, np.nan)
    of_seeds = [value for factor, value in test.variances.items() if factor.startswith("seeds")]
    return sum(of_seeds) if of_seeds else np.nan


def _swaps(
    cells: Mapping[str, Cells], planned: Contrasts, n_swaps: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Label swap of whole networks, with the same labelings for all effects."""
    means = np.stack([one.scores.mean(axis=1) for one in cells.values()], axis=1)
    p, floor = (
        np.full((len(planned.pairs), len(cells)), np.nan),
        np.full(len(planned.pairs), np.nan),
    )
    for c, groups in enumerate(planned.groups):
        part = groups >= 0
        strata = groups[part] // 2
        labels, exact = swaps.labelings(groups[part] % 2 == 0, strata, n_swaps=n_swaps, rng=rng)
        p[c] = swaps.swap_p(networks.swapped_means(means[part], labels, strata), exact)
        floor[c] = swaps.smallest_p(labels, strata, exact)[0]
    return p, floor


def require_seeds(plan: Contrasts) -> None:
    """One network of a level says nothing of others like it, however many images and people there
    are.
    """
    for pair, groups in zip(plan.pairs, plan.groups, strict=True):
        sizes = np.bincount(groups[groups >= 0])
        if 1 in sizes:
            name = pair[int(np.argmax(sizes == 1)) % 2]
            raise ImpossibleAnalysis(
                f"{'|'.join(pair)}: {name!r} has one network{' in a stratum' * bool(plan.within)},"
                f" so what is closer to people may be this network, not {name!r}. Train it from"
                " more seeds, or claim less: these networks, with --random images,participants"
            )
