"""Fields of t over pixels: two levels of networks, and family-wise p by label swaps. Plain arrays in and out.

The unit is the network: `F[m, v]` is network m's mean map. Images as units call every pixel of two groups of like networks
different.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from relstats.errors import ImpossibleAnalysis
from relstats.stats.inference import EPS

BLOCK = 2**22  # values of a (labeling, pixel) block in memory at a time


def welch_field(maps: np.ndarray, labels: np.ndarray, strata: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Difference of two levels, its standard error and degrees of freedom, for many labelings at once.

    Parameters
    ----------
    maps : ndarray, (network, pixel)
        Mean map of each network, finite.
    labels : ndarray, (labeling, network)
        1 for the first level, 0 for the second; at least two networks of each in every stratum.
    strata : ndarray of int, (network,)
        The difference is taken in each stratum and averaged; -1 takes no part.

    Returns
    -------
    tuple of ndarray, each (labeling, pixel)
        First less second level; standard error (0 where it is within rounding of 0); Welch-Satterthwaite degrees of freedom
        (NaN where the standard error is 0).

    Examples
    --------
    >>> maps = np.array([[1.0], [3.0], [0.0], [0.0]])
    >>> difference, error, _ = welch_field(maps, np.array([[1.0, 1, 0, 0]]), np.zeros(4, int))
    >>> difference.item(), error.item()
    (2.0, 1.0)
    """
    names = np.unique(strata[strata >= 0])
    difference = np.zeros((len(labels), maps.shape[1]))
    variance, spread = np.zeros_like(difference), np.zeros_like(difference)
    for name in names:
        part = strata == name
        # the t-field is of differences: about their mean, squares lose no digits
        values = maps[part] - maps[part].mean(axis=0)
        for sign, rows in ((1, labels[:, part]), (-1, 1 - labels[:, part])):
            n = rows.sum(axis=1, keepdims=True)
            mean = rows @ values / n
            of_mean = (rows @ values**2 - n * mean**2) / (n - 1) / n
            of_mean[of_mean <= 8 * EPS * part.sum() * (values**2).max(axis=0)] = 0
            difference += sign * mean / len(names)
            variance += of_mean / len(names) ** 2
            spread += of_mean**2 / (n - 1) / len(names) ** 4
    with np.errstate(invalid="ignore"):
        return difference, np.sqrt(variance), variance**2 / spread


def max_t(maps: np.ndarray, labels: np.ndarray, strata: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Family-wise p of every pixel by the largest |t| of each labeling (Westfall & Young 1993; Nichols & Holmes 2002).

    Parameters
    ----------
    maps, labels, strata
        As for `welch_field`; row 0 of `labels` is the labeling observed.

    Returns
    -------
    tuple of ndarray, each (pixel,)
        t as observed and p. NaN where all networks of each stratum are alike: such a pixel is in no maximum.
    """
    used = strata >= 0
    constant = np.all([np.ptp(maps[strata == s], axis=0) == 0 for s in np.unique(strata[used])], axis=0)
    observed, largest = np.full(maps.shape[1], np.nan), np.zeros(len(labels))
    width = max(1, BLOCK // len(labels))
    varying = np.flatnonzero(~constant)
    for start in range(0, len(varying), width):
        pixels = varying[start : start + width]
        t = _ratio(*welch_field(maps[:, pixels], labels, strata)[:2])
        observed[pixels] = t[0]
        np.maximum(largest, np.abs(t).max(axis=1), out=largest)
    # a labeling and its mirror image have one |t| but for rounding
    limit = np.abs(observed[varying]) * (1 - 1e4 * EPS)
    p = np.full(maps.shape[1], np.nan)
    p[varying] = (len(labels) - np.searchsorted(np.sort(largest), limit)) / len(labels)
    return observed, p


def _ratio(difference: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Difference over its error; no difference is 0, and one without error infinite."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((error == 0) & (difference == 0), 0.0, difference / error)


def screen(maps: np.ndarray, labels: np.ndarray, strata: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Welch p of every pixel, and the same adjusted by Benjamini & Hochberg: for few networks. NaN where the error is 0."""
    difference, error, df = (values[0] for values in welch_field(maps, labels[:1], strata))
    p, known = np.full(len(error), np.nan), error > 0
    p[known] = 2 * stats.t.sf(np.abs(difference[known]) / error[known], df[known])
    adjusted = p.copy()
    if known.any():
        adjusted[known] = stats.false_discovery_control(p[known])
    return p, adjusted


def require_reachable(labels: np.ndarray, strata: np.ndarray, alpha: float) -> float:
    """Smallest two-sided p of these labelings, or a refusal before anything is computed.

    Raises
    ------
    ImpossibleAnalysis
        It is above `alpha`.
    """
    rows = labels[:, strata >= 0]
    same = (rows == rows[0]).all(axis=1) | (rows == 1 - rows[0]).all(axis=1)
    smallest = float(same.mean())
    if smallest > alpha:
        raise ImpossibleAnalysis(
            f"{len(rows)} label swaps cannot give a p below {smallest:.3g}, so nothing could be significant at {alpha:g}. Use "
            f"--correction bh, add seeds, or compare within two or more strata"
        )
    return smallest
