"""THE test of levels: means of levels, their contrasts and label swaps, as a result.

Labels in, labels out. A plan says which networks a mean is over, a test (two-way jackknife, crossed
factors, ...) gives a record of each mean and contrast, and here they become variables.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from relstats.stats.inference import contrasts, networks, population, swaps
from relstats.stats.inference.contrasts import Contrasts
from relstats.stats.inference.crossed import (
    contrast_rows,
    level_rows,
)

FIELDS = ("estimate", "standard_error", "statistic", "df", "p_value")
#: What the two-way jackknife says beyond that.
VARIANCES = ("variance_networks", "variance_images", "variance_interaction")


@dataclass(frozen=True)
class Plan:
    """Weights of the networks for the mean of each level, and the contrasts where an axis is
    compared.
    """

    levels: list[str]
    rows: list[np.ndarray]
    contrasts: Contrasts | None
    notes: list[str]

    @property
    def functionals(self) -> list[networks.Functional]:
        """Of the mean of each level, then of each contrast."""
        groups = () if self.contrasts is None else self.contrasts.groups
        every = [*self.rows, *(contrast_rows(each) for each in groups)]
        return [networks.rows_functional(rows) for rows in every]

    @property
    def names(self) -> list[str]:
        """Of the contrasts: "a|b"."""
        return [] if self.contrasts is None else pair_names(self.contrasts)

    @property
    def attrs(self) -> dict[str, list[str]]:
        """What was held fixed and what was mixed, where an axis is compared."""
        return {} if self.contrasts is None else design(self.contrasts)


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
    labels = table.drop(columns="cell", errors="ignore")
    planned = contrasts.plan(labels, axis, within=within, pool=pool, symmetric=True)
    if "seeds" in random:
        population.require_seeds(planned)
    mixed = [
        f"networks that differ on {a} are mixed: an effect may be one of {a}"
        for a in planned.pooled
    ]
    rows = [level_rows(planned, k) for k in range(len(planned.levels))]
    return Plan(planned.levels, rows, planned, mixed)


# -------------------------------------------------------------------------------------------------
# From tests to variables


def field(tests: Any, name: str, of: Any = ...) -> np.ndarray:
    """One field of tests in nested lists.

    Parameters
    ----------
    tests : record, or (nested) sequence of records
        Of any test: `Jackknife`, `Inference`, ...
    name : str
        Of the field.
    of : index
        Which of the values of each test.

    Returns
    -------
    ndarray
        As the lists are nested, then as the values of a test.

    Examples
    --------
    >>> from relstats.stats.inference.crossed import Inference
    >>> field([Inference(0.5, 0.1, 5, 9, 0.01, 0.3, 0.7, {})] * 2, "estimate")
    array([0.5, 0.5])
    """
    if isinstance(tests, Sequence):
        return np.array([field(test, name, of) for test in tests], float)
    return np.asarray(getattr(tests, name), float)[of]


def intervals(tests: Any, of: Any = ..., which: str = "") -> np.ndarray:
    """Bounds of tests, lower and upper last; with "_these_networks", those of fixed networks."""
    bounds = (field(tests, f"{side}{which}", of) for side in ("lower", "upper"))
    return np.stack(list(bounds), axis=-1)


def untested(tests: Any, dims: tuple[str, ...], prefix: str = "") -> dict[str, Any]:
    """Why tests have no p: `untested` on dims, where any has none for want of random networks."""
    reasons = words(_reasons(tests))
    return {f"{prefix}untested": (dims, reasons)} if (reasons != "").any() else {}


def inference_over(result: xr.Dataset, what: str = "inference") -> str:
    """What the tests of a result hold for, in words, and that those without p hold for less.

    Examples
    --------
    >>> kinds = xr.Dataset({"random": ("effect", ["networks and images", "images"])})
    >>> inference_over(kinds.assign(untested=("effect", ["", "a level has 2 networks"])))
    'inference over networks and images like those measured; where there is no p, of these networks'
    """
    kinds = result["random"].values.ravel().astype(str)
    fixed = result["untested"].values.ravel() != "" if "untested" in result else kinds == ""
    known = sorted(set(kinds[~fixed]) - {"nothing"})
    if fixed.any() and not known:
        return f"no {what} over networks: of these networks only"
    over = f"{what} over {'; '.join(known) or 'nothing'} like those measured"
    return over + "; where there is no p, of these networks" * bool(fixed.any())


def _reasons(tests: Any) -> Any:
    if isinstance(tests, Sequence):
        return [_reasons(test) for test in tests]
    return tests.untested


def tabulated(
    tests: Any,
    dims: tuple[str, ...],
    fields: Sequence[str] = FIELDS,
    *,
    of: Any = ...,
    shape: tuple[int, ...] | None = None,
) -> xr.Dataset:
    """Fields of tests and `ci`, as variables on dims; with `ci_these_networks` where any test is
    of fixed networks, NaN for the others.

    Parameters
    ----------
    tests, of
        See `field`.
    dims : tuple of str
        Of the result.
    fields : sequence of str
        Which.
    shape : tuple of int, optional
        Sizes of the dims, where the values of a test are on several of them.
    """
    values = {name: field(tests, name, of) for name in fields}
    shape = next(iter(values.values())).shape if shape is None else shape
    result = xr.Dataset({name: (dims, each.reshape(shape)) for name, each in values.items()})
    bounds, bounded = (*dims, "bound"), (*shape, 2)
    fixed = intervals(tests, of, "_these_networks").reshape(bounded)
    if np.isfinite(fixed).any():
        result["ci_these_networks"] = (bounds, fixed)
    return result.assign(ci=(bounds, intervals(tests, of).reshape(bounded)))


def level_means(
    tests: Any, dims: tuple[str, ...], prefix: str = "level", *, of: Any = ..., shape: Any = None
) -> xr.Dataset:
    """`level_mean` and `level_ci` (or with another prefix), as `tabulated`."""
    found = tabulated(tests, dims, ("estimate",), of=of, shape=shape)
    bounds = [str(name) for name in found.data_vars if str(name).startswith("ci")]
    return found.rename(
        {"estimate": f"{prefix}_mean", **{name: f"{prefix}_{name}" for name in bounds}}
    )


def words(texts: Any) -> np.ndarray:
    """Labels or other texts as a result holds them."""
    return np.array(texts, dtype=object)


def pair_names(planned: Contrasts) -> list[str]:
    """Of the contrasts: "a|b"."""
    return ["|".join(pair) for pair in planned.pairs]


def design(planned: Contrasts) -> dict[str, list[str]]:
    """What was held fixed and what was mixed, as attributes."""
    held = {"within": list(planned.within), "pooled": list(planned.pooled)}
    return held | {"strata": planned.strata}


def n_networks(planned: Contrasts) -> list[int]:
    """How many networks each contrast compares."""
    return [int((groups >= 0).sum()) for groups in planned.groups]


def network_labels(table: pd.DataFrame) -> dict[str, tuple[str, np.ndarray]]:
    """Coordinates `network_model`, `network_seed` and one for each axis."""
    names = [name for name in table if name != "cell"]
    return {f"network_{name}": ("network", table[name].to_numpy(dtype=object)) for name in names}


def variances(tests: Any, factor: str) -> np.ndarray:
    """Variance over images, participants or (seeds of all groups) networks, of nested tests."""
    if isinstance(tests, Sequence):
        return np.array([variances(test, factor) for test in tests], float)
    if factor != "networks":
        return np.asarray(tests.variances.get(factor, np.nan))
    of_seeds = [value for name, value in tests.variances.items() if name.startswith("seeds")]
    return np.asarray(sum(of_seeds) if of_seeds else np.nan)


# -------------------------------------------------------------------------------------------------
# Label swaps


@dataclass(frozen=True)
class Labelings:
    """The labelings of the networks of one contrast.

    `members` are the positions of its networks, the first labeling is the one observed, `smallest`
    the smallest p of each effect.
    """

    name: str
    members: np.ndarray
    strata: np.ndarray
    labels: np.ndarray
    exact: bool
    smallest: np.ndarray

    @property
    def min_p(self) -> float:
        """The smallest p of a difference of means."""
        return float(self.smallest[0])

    @property
    def first(self) -> np.ndarray:
        """Which networks are of the first level."""
        return np.asarray(self.labels[0] == 1)

    @property
    def testable(self) -> bool:
        """Whether each level has a variance in each stratum."""
        return bool(min(np.unique(2 * self.strata + self.first, return_counts=True)[1]) > 1)


def labelings(planned: Contrasts, n_swaps: int, rng: np.random.Generator) -> Iterator[Labelings]:
    """Of each contrast in turn: labels of whole networks swapped within strata."""
    for name, groups in zip(pair_names(planned), planned.groups, strict=True):
        members = np.flatnonzero(groups >= 0)
        strata = groups[members] // 2
        labels, exact = swaps.labelings(groups[members] % 2 == 0, strata, n_swaps=n_swaps, rng=rng)
        smallest = swaps.smallest_p(labels, strata, exact)
        yield Labelings(name, members, strata, labels, exact, smallest)


def swap_tests(
    means: np.ndarray, planned: Contrasts, dim: str, n_swaps: int, rng: np.random.Generator
) -> xr.Dataset:
    """Label swap of whole networks: whether the labels are irrelevant to these scores.

    Parameters
    ----------
    means : ndarray, (network, column)
        Mean score of each network. A column may be all NaN.
    planned : Contrasts
    dim : str
        Name of the columns' dim: the same labelings serve all of them.
    n_swaps : int
    rng : numpy.random.Generator

    Returns
    -------
    xarray.Dataset
        `p_swap` and `p_max_t` (over the columns) on contrast x column, `min_p_swap` on contrast.
    """
    known = np.flatnonzero(~np.isnan(means).all(axis=0))
    shape = (len(planned.pairs), means.shape[1])
    p, p_max, smallest = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape[0], np.nan)
    for c, pair in enumerate(labelings(planned, n_swaps, rng)):
        scores = np.ascontiguousarray(means[np.ix_(pair.members, known)])
        differences = networks.swapped_means(scores, pair.labels, pair.strata)
        p[c, known] = swaps.swap_p(differences, pair.exact)
        p_max[c, known] = swaps.max_t_p(differences[:, np.newaxis])[0]
        smallest[c] = pair.min_p
    dims = ("contrast", dim)
    return xr.Dataset(
        {"p_swap": (dims, p), "p_max_t": (dims, p_max), "min_p_swap": ("contrast", smallest)}
    )
