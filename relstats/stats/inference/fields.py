"""Fields of t over pixels: two levels of networks, and family-wise p by label swaps.

Plain arrays in and out.

The unit is the network: `F[m, v]` is network m's mean map. Images as units call every pixel of two
groups of like networks different.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Literal, get_args

import dask
import numpy as np
from threadpoolctl import threadpool_limits

from relstats.stats.inference import clusters
from relstats.stats.inference.moments import EPS
from relstats.stats.maps.single import compiled

#: From variances, their degrees of freedom and the number of strata to those to use.
type Variances = Callable[[np.ndarray, int, int], tuple[np.ndarray, float]]
#: Ways to correct for many pixels. All but the last are label swaps.
Correction = Literal["max-t", "tfce", "cluster", "bh"]
CORRECTIONS = get_args(Correction)
BLOCK = 2**21  # values of a block of (labeling, pixel) in memory at a time
WIDTH = 2**11  # pixels of it at a time: they stay in the processor's cache
#: Share of the sum of squares: networks of a level that differ by less than 1 / 30 000 of what
#: levels differ by are alike.
ALIKE = 1e-9
#: t of a labeling and of its mirror image differ by rounding: below this share, as no pixel has
#: networks that are alike.
_TIE = 1e-6


def unpooled(squares: np.ndarray, df: int, n_strata: int) -> tuple[np.ndarray, float]:
    """The variances of a group of networks as they are, and their degrees of freedom."""
    return squares, df


def welch(
    maps: np.ndarray,
    first: np.ndarray,
    strata: np.ndarray,
    variances: Variances = unpooled,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Difference of two levels within strata, averaged over strata with equal weights.

    Parameters
    ----------
    maps : ndarray, (network, pixel)
        Mean map of each network, finite.
    first : ndarray of bool, (network,)
        Networks of the first level.
    strata : ndarray of int, (network,)
        Each holds two networks or more of each level.
    variances : callable
        From the sample variances (pixel,) of a level in a stratum, their degrees of freedom and the
        number of strata to the variances and degrees of freedom to use;
        `relstats.stats.inference.moderated.moderated` is one.

    Returns
    -------
    difference : ndarray, (pixel,)
        First less second level.
    error : ndarray, (pixel,)
        Its standard error; levels and strata may vary unequally.
    df : ndarray, (pixel,)
        Degrees of freedom (Welch 1947, Satterthwaite 1946); NaN where the standard error is 0.

    Examples
    --------
    >>> difference, error, _ = welch(
    ...     np.array([[1.0], [3.0], [0.0], [0.0]]), np.arange(4) < 2, np.zeros(4, int)
    ... )
    >>> difference.item(), error.item()
    (2.0, 1.0)
    """
    difference, variance, spread = np.zeros((3, maps.shape[1]))
    kinds = np.unique(strata)
    for stratum in kinds:
        for sign, own in ((1, first), (-1, ~first)):
            part = maps[own & (strata == stratum)]
            squares, squares_df = variances(part.var(axis=0, ddof=1), len(part) - 1, len(kinds))
            of_mean = squares / len(part) / len(kinds) ** 2
            difference += sign * part.mean(axis=0) / len(kinds)
            variance += of_mean
            spread += of_mean**2 / squares_df
    df = np.divide(variance**2, spread, out=np.full(len(spread), np.nan), where=spread > 0)
    return difference, np.sqrt(variance), df


def undefined(maps: np.ndarray, first: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """Pixels at which some labeling has no t, as networks that it puts together are all alike.

    Parameters
    ----------
    maps, first, strata
        As for `welch`.

    Returns
    -------
    ndarray of bool, (pixel,)
        Where all networks are equal, or can be parted into two such sets of the levels' sizes in
        each stratum. Order of the networks does not matter, so that leaving these pixels out keeps
        label swaps exact.

    Examples
    --------
    >>> undefined(
    ...     np.array([[1.0, 2.0, 1.0], [1.0, 2.0, 1.0], [1.0, 3.0, 2.0], [1.0, 3.0, 3.0]]),
    ...     np.arange(4) < 2,
    ...     np.zeros(4, int),
    ... )
    array([ True,  True, False])
    """
    within, total = np.zeros((2, maps.shape[1]))
    for stratum in np.unique(strata):
        part = np.sort(maps[strata == stratum], axis=0)
        n_first = int(first[strata == stratum].sum())
        total += _squares(part)
        # of all ways to part numbers into two sets of given sizes, the sets vary least where one is
        # below the other
        splits = [_squares(part[:n]) + _squares(part[n:]) for n in (n_first, len(part) - n_first)]
        within += np.minimum(*splits)
    rounding = len(maps) * (8 * EPS * np.abs(maps).max(axis=0)) ** 2
    return (within <= ALIKE * total) | (total <= rounding)


def _squares(values: np.ndarray) -> np.ndarray:
    return ((values - values.mean(axis=0)) ** 2).sum(axis=0)


def swap_maxima(
    maps: np.ndarray,
    labels: np.ndarray,
    strata: np.ndarray,
    shape: tuple[int, int],
    threshold: float,
    corrections: Collection[str] = CORRECTIONS,
) -> np.ndarray:
    """Largest |t|, enhanced t and cluster mass over the pixels, for each labeling.

    Parameters
    ----------
    maps : ndarray, (network, pixel)
        Finite. Pixels that are `undefined` are in no maximum.
    labels : ndarray, (labeling, network)
        1 for the first level, 0 for the second; from `relstats.stats.inference.swaps.labelings`.
        Row 0 is the one observed.
    strata : ndarray of int, (network,)
    shape : (int, int)
        Height and width.
    threshold : float
        |t| above which a pixel is in a cluster.
    corrections : collection of str
        "tfce" and "cluster" are computed where they are named.

    Returns
    -------
    ndarray, (labeling, 3)
        |t|, enhanced, mass; 0 where it was not asked for.
    """
    first = labels[0] == 1
    distinct, place = np.unique(_unmirrored(labels, strata), axis=0, return_inverse=True)
    centred, left_out = np.empty(maps.shape), undefined(maps, first, strata)
    for stratum in np.unique(strata):
        centred[strata == stratum] = maps[strata == stratum] - maps[strata == stratum].mean(axis=0)
    step = max(1, BLOCK // maps.shape[1])
    task = partial(
        _block_maxima, centred, strata, left_out, shape[1], threshold, frozenset(corrections)
    )
    starts = range(0, len(distinct), step)
    with threadpool_limits(1, "blas"):
        found = dask.compute(
            *(dask.delayed(task, pure=False)(distinct[k : k + step]) for k in starts)
        )
    return np.concatenate(found)[place.ravel()]


def _unmirrored(labels: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """Labelings of which a mirror image has the same |t| everywhere, as one of the two."""
    sizes = [(labels[0, strata == s].sum(), (strata == s).sum()) for s in np.unique(strata)]
    if any(2 * n_first != n for n_first, n in sizes):
        return labels
    return np.where(labels[:, :1] == 1, labels, 1 - labels)


def _block_maxima(
    centred: np.ndarray,
    strata: np.ndarray,
    left_out: np.ndarray,
    width: int,
    threshold: float,
    corrections: frozenset[str],
    labels: np.ndarray,
) -> np.ndarray:
    t = t_fields(centred, labels, strata)
    t[:, left_out] = np.nan
    return clusters.largest(
        t, width, threshold, tfce="tfce" in corrections, mass="cluster" in corrections
    )


def t_fields(centred: np.ndarray, labels: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """The t of `welch` for many labelings, by products of matrices.

    Parameters
    ----------
    centred : ndarray, (network, pixel)
        Maps less the mean of their stratum.
    labels : ndarray, (labeling, network)
    strata : ndarray of int, (network,)

    Returns
    -------
    ndarray of float32, (labeling, pixel)
        Without meaning where a pixel is `undefined`.

    Examples
    --------
    >>> t_fields(
    ...     np.array([[0.0], [2.0], [-1.0], [-1.0]]),
    ...     np.array([[1.0, 1.0, 0.0, 0.0]]),
    ...     np.zeros(4, int),
    ... )
    array([[2.]], dtype=float32)
    """
    kinds = np.unique(strata)
    slope, curvature, extra = np.empty(len(kinds)), np.empty(len(kinds)), np.zeros(len(strata))
    base = np.zeros(len(strata))
    parts = [
        (strata == stratum, np.ascontiguousarray(labels[:, strata == stratum])) for stratum in kinds
    ]
    for k, (own, chosen) in enumerate(parts):
        n = np.array([chosen[0].sum(), (1 - chosen[0]).sum()])
        each = (
            1 / (n * (n - 1)) / len(kinds) ** 2
        )  # of the sum of squares about its mean, in the variance
        slope[k], curvature[k] = (1 / n).sum() / len(kinds), (each / n).sum()
        base[own], extra[own] = each[1], each[0] - each[1]
    t = np.empty((len(labels), centred.shape[1]), np.float32)
    for start in range(0, centred.shape[1], WIDTH):
        block = centred[:, start : start + WIDTH]
        sums = np.stack([chosen @ block[own] for own, chosen in parts])
        variance = np.repeat(base[np.newaxis] @ block**2, len(labels), axis=0)
        if extra.any():  # levels of unequal sizes
            variance += (labels * extra) @ block**2
        _ratio(sums, slope, curvature, variance, t[:, start : start + WIDTH])
    return t


@compiled
def _ratio(
    sums: np.ndarray, slope: np.ndarray, curvature: np.ndarray, variance: np.ndarray, t: np.ndarray
) -> None:
    difference = np.empty(t.shape[1])
    for row in range(t.shape[0]):
        difference[:] = 0
        for stratum in range(len(slope)):
            a, b = slope[stratum], curvature[stratum]
            for pixel in range(t.shape[1]):
                value = sums[stratum, row, pixel]
                difference[pixel] += a * value
                variance[row, pixel] -= b * value * value
        for pixel in range(t.shape[1]):
            found = variance[row, pixel]
            t[row, pixel] = difference[pixel] / np.sqrt(found) if found > 0 else np.nan


def family_p(observed: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Family-wise p: the share of labelings, the one observed among them, whose largest value is as
    large.

    Parameters
    ----------
    observed : ndarray, (...)
        Not negative; NaN stays NaN.
    largest : ndarray, (labeling,)
        From `swap_maxima`; row 0 observed. For n random labelings of which b are as large, p is (b
        + 1) / (n + 1).

    Examples
    --------
    >>> family_p(np.array([3.0, 1.0, np.nan]), np.array([3.0, 3.0, 2.0, 1.0]))
    array([0.5, 1. , nan])
    """
    ranked = np.sort(largest)
    p = (len(ranked) - np.searchsorted(ranked, np.asarray(observed) * (1 - _TIE))) / len(ranked)
    return np.where(np.isnan(observed), np.nan, p)
