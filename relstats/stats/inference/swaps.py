"""Label swaps of whole networks: the sharp null that labels are irrelevant on these images.

Plain arrays in and out.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from relstats.errors import ImpossibleAnalysis
from relstats.stats.inference.moments import CHUNK, EPS
from relstats.stats.inference.operators import EFFECTS, effect_weights, n_pairs

# Of the largest statistic: labelings that give one value in exact arithmetic differ by rounding
_TIE = 1e-9


def labelings(
    first: np.ndarray,
    strata: np.ndarray,
    *,
    n_swaps: int,
    rng: np.random.Generator,
    max_exact: int = 20_000,
) -> tuple[np.ndarray, bool]:
    """Ways to give the networks their labels: all, or a random sample.

    Parameters
    ----------
    first : ndarray of bool, (network,)
        Whether the network belongs to the first level.
    strata : ndarray of int, (network,)
        Labels are swapped within a stratum only, and never in stratum -1.
    n_swaps : int
        Number of random labelings where there are more than `max_exact`.

    Returns
    -------
    ndarray, (labeling, network)
        1 for the first level, 0 for the second. Row 0 is the labeling observed.
    bool
        Whether these are all labelings, each once.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> labels, exact = labelings(np.arange(6) < 3, np.zeros(6, int), n_swaps=99, rng=rng)
    >>> labels.shape, exact
    ((20, 6), True)
    """
    rows, exact = _relabelings(np.where(first, 0, 1), strata, n_swaps, rng, max_exact)
    return (rows == 0).astype(np.float64), exact


def _relabelings(
    levels: np.ndarray,
    strata: np.ndarray,
    n_swaps: int,
    rng: np.random.Generator,
    max_exact: int,
) -> tuple[np.ndarray, bool]:
    blocks = [np.flatnonzero(strata == s) for s in np.unique(strata[strata >= 0])]
    total = _n_labelings(levels, strata)
    if total > max_exact:
        rows = np.tile(levels, (n_swaps + 1, 1))
        for block in blocks:
            rows[1:, block] = rng.permuted(rows[1:, block], axis=1)
        return rows, False
    orders = [_orders(levels[block]) for block in blocks]
    chosen = np.unravel_index(np.arange(total), [len(order) for order in orders])
    rows = np.tile(levels, (total, 1))
    for block, order, index in zip(blocks, orders, chosen, strict=True):
        rows[:, block] = order[index]
    observed = int(np.flatnonzero((rows == levels).all(axis=1))[0])
    rows[[0, observed]] = rows[[observed, 0]]
    return rows, True


def _n_labelings(levels: np.ndarray, strata: np.ndarray) -> int:
    total = 1
    for s in np.unique(strata[strata >= 0]):
        counts = np.unique(levels[strata == s], return_counts=True)[1].tolist()
        total *= math.factorial(sum(counts)) // math.prod(map(math.factorial, counts))
    return total


def _orders(levels: np.ndarray) -> np.ndarray:
    """All distinct orders of some labels: (order, network)."""
    kinds, counts = np.unique(levels, return_counts=True)
    orders, free = np.full((1, len(levels)), kinds[-1]), np.arange(len(levels))[np.newaxis]
    for kind, count in zip(kinds[:-1], counts[:-1], strict=True):
        picks = np.array(list(itertools.combinations(range(free.shape[1]), count)))
        rest = np.array([np.setdiff1d(np.arange(free.shape[1]), pick) for pick in picks])
        orders = np.repeat(orders, len(picks), axis=0)
        np.put_along_axis(orders, free[:, picks].reshape(-1, count), kind, axis=1)
        free = free[:, rest].reshape(len(orders), -1)
    return orders


def swap_effects(matrix: np.ndarray, labels: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """All effects under each labeling: within each stratum, then averaged over strata with equal
    weights.

    Parameters
    ----------
    matrix : ndarray, (source, target, fraction)
        Mean scores over images; the diagonal is not used. NaN makes the fraction NaN.
    labels : ndarray, (labeling, network)
        From `labelings`.
    strata : ndarray of int, (network,)
        -1 takes no part.

    Returns
    -------
    ndarray, (labeling, effect, fraction)
        In the order of `EFFECTS`. NaN where an effect needs pairs within a level of one network.

    Raises
    ------
    ImpossibleAnalysis
        A stratum lacks a level.

    Examples
    --------
    >>> matrix = np.arange(16.0).reshape(4, 4, 1)
    >>> labels = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    >>> swap_effects(matrix, labels, np.zeros(4, int))[
    ...     :, 0, 0
    ... ]  # (2 + 3 + 6 + 7) / 4 - (8 + 9 + 12 + 13) / 4
    array([-6.,  6.])
    """
    onehot = np.stack([labels, 1 - labels], axis=1)
    means, tiny = _stratified_means(matrix, onehot, strata)
    effects = np.empty((len(labels), len(EFFECTS), matrix.shape[-1]))
    for e, effect in enumerate(EFFECTS):
        weights = effect_weights(effect)
        effects[:, e] = sum(weights[a, b] * means[:, a, b] for a, b in np.argwhere(weights))
    return _without_rounding(effects, tiny)


def _stratified_means(
    matrix: np.ndarray, onehot: np.ndarray, strata: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Cell means (labeling, level, level, fraction) averaged over strata, and the size of their
    rounding.
    """
    parts, tiny = [], np.zeros(matrix.shape[-1])
    for s in np.unique(strata[strata >= 0]):
        own = np.flatnonzero(strata == s)
        if not onehot[0][:, own].any(axis=1).all():
            raise ImpossibleAnalysis(
                f"stratum {s} lacks a level, so labels cannot be swapped in it: leave it out (-1)"
            )
        block = matrix[np.ix_(own, own)].astype(np.float64)
        block[np.diag_indices(len(own))] = 0.0
        tiny = np.maximum(tiny, EPS * len(own) ** 2 * np.abs(block).max(axis=(0, 1)))
        width = max(1, CHUNK // (block.size // len(own)))
        pieces = [
            _cell_means(block, onehot[p : p + width][..., own])
            for p in range(0, len(onehot), width)
        ]
        parts.append(np.concatenate(pieces))
    return functools.reduce(np.add, parts) / len(parts), tiny


def _cell_means(block: np.ndarray, onehot: np.ndarray) -> np.ndarray:
    """Means of the cells of a matrix with zero diagonal, under labelings (labeling, level,
    network).
    """
    n_labelings, n_levels, n = onehot.shape
    last = n_levels - 1  # the last row and column of cells follow from the sums of the matrix
    sources, targets = onehot @ block.sum(axis=1), onehot @ block.sum(axis=0)
    sums = np.empty((n_labelings, n_levels, n_levels, block.shape[-1]))
    for a in range(last):
        received = (onehot[:, a] @ block.reshape(n, -1)).reshape(n_labelings, n, -1)
        for b in range(last):
            sums[:, a, b] = np.einsum("pn,pnf->pf", onehot[:, b], received)
    sums[:, :last, last] = sources[:, :last] - sums[:, :last, :last].sum(axis=2)
    sums[:, last] = targets - sums[:, :last].sum(axis=1)
    pairs = n_pairs(onehot.sum(axis=2))[..., np.newaxis]
    return np.divide(sums, pairs, out=np.full_like(sums, np.nan), where=pairs > 0)


def _without_rounding(values: np.ndarray, tiny: np.ndarray) -> np.ndarray:
    return np.where(np.abs(values) <= tiny, 0.0, values)


def swap_p(effects: np.ndarray, exact: bool = True) -> np.ndarray:
    """Two-sided p-values of effects under all labelings: the share of labelings at least as extreme
    as row 0.

    Parameters
    ----------
    effects : ndarray, (labeling, ...)
        Row 0 observed. It counts: for n random labelings, of which b are as extreme, p is (b + 1) /
        (n + 1).
    exact : bool
        Whether these are all labelings: if not, the p-value is of a random sample of them. The
        formula is the same.

    Examples
    --------
    >>> swap_p(np.array([[3.0], [-3.0], [1.0], [-1.0]]))
    array([0.5])
    """
    sizes = np.abs(effects)
    p = (sizes >= sizes[0] - _TIE * sizes.max(axis=0)).mean(axis=0)
    return np.where(np.isnan(sizes).any(axis=0), np.nan, p)


def max_t_p(effects: np.ndarray) -> np.ndarray:
    """Two-sided p-values that hold for all fractions at once: max-T (Westfall & Young 1993).

    Parameters
    ----------
    effects : ndarray, (labeling, effect, fraction)
        Row 0 observed. Each is divided by its own standard deviation over labelings, then the
        largest is taken.

    Examples
    --------
    >>> effects = np.array([[3.0, 1.0], [-3.0, -1.0], [1.0, 2.0], [-1.0, -2.0]])[:, np.newaxis]
    >>> max_t_p(effects)
    array([[0.5, 1. ]])
    """
    spread = np.sqrt((effects**2).mean(axis=0))
    sizes = np.abs(np.divide(effects, spread, out=np.zeros_like(effects), where=spread > 0))
    largest = np.where(np.isnan(effects), 0.0, sizes).max(axis=2, keepdims=True)
    p = (largest >= sizes[0] - _TIE * largest.max(axis=0)).mean(axis=0)
    return np.where(np.isnan(effects).any(axis=0), np.nan, p)


def smallest_p(labels: np.ndarray, strata: np.ndarray, exact: bool = True) -> np.ndarray:
    """The smallest two-sided p-value that label swaps can reach, for each of `EFFECTS`.

    Swapping the two labels everywhere only turns the sign of an effect, where the levels are of one
    size in every stratum; and the specificity stays as it is when they are swapped in any
    one such stratum. Labelings that cannot be told apart share one p-value.

    Parameters
    ----------
    labels : ndarray, (labeling, network)
        From `labelings`; row 0 observed.
    strata : ndarray of int, (network,)
        -1 takes no part.
    exact : bool
        Whether these are all labelings, or a random sample of them.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> labels, exact = labelings(np.arange(6) < 3, np.zeros(6, int), n_swaps=99, rng=rng)
    >>> smallest_p(labels, np.zeros(6, int), exact)
    array([0.1, 0.1, 0.1, 0.1, 0.1])
    """
    levels, gap = _floors(np.where(labels[0] == 1, 0, 1), strata, len(labels), exact)
    return np.where(np.array(EFFECTS) == "specificity", gap, levels)


def _floors(
    levels: np.ndarray, strata: np.ndarray, n_rows: int, exact: bool
) -> tuple[float, float]:
    """Smallest p of effects that know levels apart, and of the gap, which does not: within each
    stratum.
    """
    kinds = np.unique(levels[strata >= 0])
    sizes = np.array(
        [[(levels[strata == s] == k).sum() for k in kinds] for s in np.unique(strata[strata >= 0])]
    )
    alike = _renamings(sizes), math.prod(_renamings(row[np.newaxis]) for row in sizes)
    if exact:
        return alike[0] / n_rows, alike[1] / n_rows
    total = _n_labelings(levels, strata)
    return max(1 / n_rows, alike[0] / total), max(1 / n_rows, alike[1] / total)


def _renamings(sizes: np.ndarray) -> int:
    """Ways to permute the levels (columns) that leave their sizes in all strata (rows) as they
    are.
    """
    return math.prod(math.factorial(n) for n in Counter(map(tuple, sizes.T.tolist())).values())


@dataclass(frozen=True)
class Omnibus:
    """Label-permutation tests over all levels of an axis; p-values are (fraction,).

    Attributes
    ----------
    p_source, p_target : ndarray
        Of no difference between levels as sources, and as targets.
    p_gap : ndarray
        Of no difference between pairs within and between levels.
    exact : bool
        Whether all labelings were tried.
    n_labelings : int
        How many were.
    min_p_levels, min_p_gap : float
        The smallest p that this design can reach: for sources and targets, and for the gap.
    """

    p_source: np.ndarray
    p_target: np.ndarray
    p_gap: np.ndarray
    exact: bool
    n_labelings: int
    min_p_levels: float
    min_p_gap: float


def omnibus(
    matrix: np.ndarray,
    groups: np.ndarray,
    strata: np.ndarray,
    *,
    n_swaps: int,
    rng: np.random.Generator,
    max_exact: int = 20_000,
) -> Omnibus:
    """Do any of K levels differ? Permutes the labels of networks within strata (sharp null).

    The statistics are computed anew for each labeling, from cell means averaged over strata: the
    sum of squared deviations of the levels' unweighted row means (source) or column means (target),
    and the mean within levels minus the mean between them (gap). With two levels they are the label
    swap's source effect, target effect and gap.

    Parameters
    ----------
    matrix : ndarray, (source, target, fraction)
        Mean scores over images; the diagonal is not used.
    groups : ndarray of int, (network,)
        Level of each network.
    strata : ndarray of int, (network,)
        -1 takes no part.

    Raises
    ------
    ImpossibleAnalysis
        A level has fewer than two networks in a stratum.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> levels = np.repeat([0, 1, 2], 3)
    >>> matrix = rng.random((9, 9, 1)) + levels[:, np.newaxis, np.newaxis]
    >>> result = omnibus(matrix, levels, np.zeros(9, int), n_swaps=999, rng=rng)
    >>> result.n_labelings, bool(result.p_source[0] == result.min_p_levels)
    (1680, True)
    """
    kinds = np.unique(groups[strata >= 0])
    for s in np.unique(strata[strata >= 0]):
        sizes = [int(((groups == k) & (strata == s)).sum()) for k in kinds]
        if min(sizes) < 2:
            raise ImpossibleAnalysis(
                f"stratum {s} holds {sizes} networks of the {len(kinds)} levels: a comparison of"
                " all levels takes two of each. Leave the stratum out (-1), or compare pairs"
            )
    rows, exact = _relabelings(groups, strata, n_swaps, rng, max_exact)
    onehot = (rows[:, np.newaxis] == kinds[:, np.newaxis]).astype(np.float64)
    means, tiny = _stratified_means(matrix, onehot, strata)
    source, target, gap = (
        swap_p(_without_rounding(t, tiny), exact) for t in _omnibus_statistics(means)
    )
    levels_floor, gap_floor = _floors(groups, strata, len(rows), exact)
    return Omnibus(source, target, gap, exact, len(rows), levels_floor, gap_floor)


def _omnibus_statistics(means: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n_levels = means.shape[1]
    source, target = means.mean(axis=2), means.mean(axis=1)
    within = np.einsum("paaf->pf", means) / n_levels
    between = (means.sum(axis=(1, 2)) - n_levels * within) / (n_levels * (n_levels - 1))
    sizes = [
        np.sqrt(((m - m.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)) for m in (source, target)
    ]
    return *sizes, within - between  # type: ignore[return-value]
