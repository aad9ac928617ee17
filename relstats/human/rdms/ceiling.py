"""The noise ceiling: how well any model could agree with people who do not agree among themselves.

Plain arrays.

After Nili et al. 2014 (doi:10.1371/journal.pcbi.1003553). Upper: mean over participants of the
agreement with the pool of all; lower: with the pool of all others. A pool is the mean of RDMs on a
common scale: z-scored (corr), of unit norm (cosine; in whitened space for whitened comparisons; of
what image effects leave for unbiased CKA), or of midranks.
"""

from __future__ import annotations

import numpy as np

from relstats.human.rdms.comparisons import (
    RANKED,
    compare_draws,
    compare_prepared,
    compare_rows,
    prepared,
    weigh,
)
from relstats.human.rdms.vectors import Graph, as_rdms, by_pairs, n_images

#: With fewer, the pool of all others is one person.
MIN_PARTICIPANTS = 3


def noise_ceiling(rdms: np.ndarray, comparison: str = "rho-a") -> tuple[float, float]:
    """Lower and upper bound of what any model could reach.

    Parameters
    ----------
    rdms : array_like, (participant, pair)
        NaN where missing.
    comparison : str
        As in `relstats.human.compare_rdms`.

    Returns
    -------
    lower, upper : float
        Neither squared nor divided by anything. NaN with fewer than 3 participants who judged
        differently.

    Notes
    -----
    With missing pairs, a participant is compared with the mean of those others who judged the same
    pairs; midranks are then taken as shares of each one's number of pairs.

    Examples
    --------
    >>> people = np.array([[1.0, 2, 3, 4, 5, 6], [1.0, 2, 3, 4, 6, 5], [2.0, 1, 3, 4, 5, 6]])
    >>> noise_ceiling(people, "spearman")
    (0.942, 0.962)
    """
    rdms = as_rdms(rdms, "rdms")
    return bounds(rdms, np.ones(n_images(rdms)), comparison)


def bounds(
    rdms: np.ndarray, count: np.ndarray, comparison: str, *, control: np.ndarray | None = None
) -> tuple[float, float]:
    """Lower and upper bound in one draw of images; with controls as in `bound_draws`."""
    if _unknown(rdms, control):
        return np.nan, np.nan
    people = np.ones(len(rdms))
    if _by_cosines(rdms, comparison, control):
        counts = np.asarray(count, float)[np.newaxis]
        among = compare_draws(rdms, rdms, counts, comparison, control=control)
        lower, upper = _bounds_of_cosines(among, people[np.newaxis])[0]
        return float(lower), float(upper)
    return _bounds_of_pools(rdms, count, people, comparison)


def bound_draws(
    rdms: np.ndarray,
    counts: np.ndarray,
    comparison: str,
    *,
    people: np.ndarray | None = None,
    control: np.ndarray | None = None,
) -> np.ndarray:
    """Lower and upper bound in each of many draws.

    Parameters
    ----------
    rdms : ndarray, (participant, pair)
        NaN where missing.
    counts : ndarray, (draw, image)
        How often each draw holds each image; one draw is used for all of `people`.
    comparison : str
        As in `relstats.human.compare_rdms`.
    people : ndarray, ([variant,] draw, participant), optional
        How often each draw holds each participant; the pool of all others leaves out all copies.
        Default: each once. Several variants share what is known of the images that a draw holds.
    control : ndarray, (c, pair), optional
        RDMs to hold constant. Needs all pairs of all participants; pools then are of what is left
        of ranks, not ranked again.

    Returns
    -------
    ndarray, ([variant,] draw, 2), float64
        NaN where there are fewer than 3 participants (in a draw: 2).

    Examples
    --------
    >>> people = np.random.default_rng(1).random((4, 10)) + np.arange(10)
    >>> bound_draws(people, np.ones((1, 5)), "corr").shape
    (1, 2)
    """
    counts = np.asarray(counts, float)
    people = np.ones((len(counts), len(rdms))) if people is None else np.asarray(people, float)
    if _unknown(rdms, control):
        return np.full((*people.shape[:-1], 2), np.nan)
    variants = people.reshape(-1, *people.shape[-2:])
    if _by_cosines(rdms, comparison, control):
        among = compare_draws(rdms, rdms, counts, comparison, control=control)
        return np.array([_bounds_of_cosines(among, who) for who in variants]).reshape(
            *people.shape[:-1], 2
        )
    complete = not np.isnan(rdms).any()
    known = prepared(rdms, comparison) if complete else rdms
    both = _bounds_of_ranks if complete else _bounds_of_pools
    draws = np.broadcast_to(counts, (people.shape[-2], counts.shape[1]))
    found = [
        [both(known, count, who[d], comparison) for d, count in enumerate(draws)]
        for who in variants
    ]
    return np.array(found).reshape(*people.shape[:-1], 2)


def _unknown(rdms: np.ndarray, control: np.ndarray | None) -> bool:
    return len(rdms) < MIN_PARTICIPANTS or (control is not None and bool(np.isnan(rdms).any()))


def _by_cosines(rdms: np.ndarray, comparison: str, control: np.ndarray | None) -> bool:
    """Where a comparison is a cosine of vectors, agreement with a mean of unit vectors needs only
    all agreements of two.
    """
    return control is not None or (comparison not in RANKED and not np.isnan(rdms).any())


def _bounds_of_cosines(among: np.ndarray, people: np.ndarray) -> np.ndarray:
    """From agreements of two (draw or 1, participant, participant) and draws of participants."""
    with_all = np.einsum(
        "dst,dt->ds", np.broadcast_to(among, (len(people), *among.shape[1:])), people
    )
    own = people * np.diagonal(among, axis1=1, axis2=2)
    # c' R c without one: less twice that one's row, plus what was taken twice
    length = (people * with_all).sum(axis=1, keepdims=True) - 2 * people * with_all + people * own
    with np.errstate(invalid="ignore", divide="ignore"):
        lower = (with_all - own) / np.sqrt(length)
    some = np.where(np.isfinite(lower), people, 0)
    with np.errstate(invalid="ignore"):
        found = (np.nan_to_num(lower) * some).sum(axis=1) / some.sum(axis=1)
        # mean over people of (R c) / sqrt(c' R c)
        upper = np.sqrt((people * with_all).sum(axis=1)) / people.sum(axis=1)
    return np.stack([found, upper], axis=-1)


def _bounds_of_ranks(
    codes: np.ndarray, count: np.ndarray, people: np.ndarray, comparison: str
) -> tuple[float, float]:
    """Where every pair is known, sums of midranks are exact, and people need no sorting."""
    first, second = np.triu_indices(len(count), 1)
    held, drawn = np.flatnonzero(count[first] * count[second]), np.flatnonzero(people)
    graph, codes, weights = (
        Graph(first[held], second[held], count),
        codes[np.ix_(drawn, held)],
        people[drawn],
    )
    found = weigh(codes, graph, "spearman")
    mine = np.where(np.isnan(found.norm), 0, weights)[:, np.newaxis] * found.right
    everybody = mine.sum(axis=0, keepdims=True)
    pools = prepared(np.concatenate([everybody - mine, everybody]), comparison)
    lower = compare_prepared(pools[:-1], codes, graph, comparison)
    upper = compare_prepared(np.broadcast_to(pools[-1:], codes.shape), codes, graph, comparison)
    return _mean(lower, weights), _mean(upper, weights)


def _bounds_of_pools(
    rdms: np.ndarray, count: np.ndarray, people: np.ndarray, comparison: str
) -> tuple[float, float]:
    drawn = np.flatnonzero(people)
    rdms, weights = rdms[drawn], people[drawn]
    scaled = _on_common_scale(rdms, count, comparison)
    judged = weights[:, np.newaxis] * np.isfinite(scaled)
    mine = np.nan_to_num(scaled) * judged
    everybody = judged.sum(axis=0)
    others = everybody - judged
    of_others = (mine.sum(axis=0) - mine) / np.where(others > 0, others, np.nan)
    of_all = mine.sum(axis=0) / np.where(everybody > 0, everybody, np.nan)
    lower, upper = (
        _mean(compare_rows(_tied(pool, comparison), rdms, count, comparison), weights)
        for pool in (of_others, np.broadcast_to(of_all, rdms.shape))
    )
    return lower, upper


def _tied(pool: np.ndarray, comparison: str) -> np.ndarray:
    """Mean ranks that are equal but for rounding are ties.

    Shares of ranks have a scale of their own.
    """
    return np.round(pool, 12) if comparison in RANKED else pool


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    """Over participants who can be compared at all."""
    some = np.isfinite(values)
    return float(values[some] @ weights[some] / weights[some].sum()) if some.any() else np.nan


def _on_common_scale(rdms: np.ndarray, count: np.ndarray, comparison: str) -> np.ndarray:
    """What a pool is the mean of.

    NaN where missing, not drawn, or where a participant says nothing.
    """
    first, second = np.triu_indices(len(count), 1)
    held = count[first] * count[second] > 0
    scaled = np.full(rdms.shape, np.nan)
    for rows, pairs in by_pairs(np.isfinite(rdms) & held):
        graph = Graph(first[pairs], second[pairs], count)
        vectors = prepared(rdms[np.ix_(rows, pairs)], comparison)
        how = "spearman" if comparison in RANKED else comparison
        found = weigh(vectors, graph, how)
        size = (
            np.where(np.isnan(found.norm), np.nan, graph.weights.sum())
            if comparison in RANKED
            else found.norm
        )
        scaled[np.ix_(rows, pairs)] = found.left / graph.weights / size[:, np.newaxis]
    return scaled
