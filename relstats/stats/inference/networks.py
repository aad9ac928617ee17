"""One score for each network and image: contrasts of levels, for networks like these and images
like these. Plain arrays.

Scores are `S[m, f, i]` of network m, feature f (a region, a class, ...) and image i. The variance
is that of `inference`, the two-way jackknife; its moments are made here, since nothing is paired: a
contrast is a weighted sum over networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relstats.errors import ImpossibleAnalysis, InvalidData
from relstats.stats.inference.moments import EPS, Moments


@dataclass(frozen=True)
class Functional:
    """A contrast of group means as weights of the networks, and the same with each network deleted.

    Attributes
    ----------
    groups : ndarray of int, (network,)
        Jackknife cell of each network; -1 takes no part.
    estimate : ndarray, (network,)
        The contrast is `sum(estimate * S)`.
    deleted : ndarray, (network, network)
        Row m: the contrast without network m. NaN where a group that it needs is then empty.
    """

    groups: np.ndarray
    estimate: np.ndarray
    deleted: np.ndarray


def network_functional(groups: np.ndarray, weights: np.ndarray) -> Functional:
    """Weights of the networks in a contrast of group means.

    Parameters
    ----------
    groups : ndarray of int, (network,)
        Group of each network, 0 to G - 1; -1 takes no part.
    weights : ndarray, (G,)
        Weight of the mean of each group. A group of weight 0 takes no part.

    Raises
    ------
    ImpossibleAnalysis
        A group with a weight has no network.

    Examples
    --------
    >>> functional = network_functional(np.array([0, 0, 1, 1]), np.array([1.0, -1.0]))
    >>> functional.estimate
    array([ 0.5,  0.5, -0.5, -0.5])
    >>> functional.deleted[0]
    array([ 0. ,  1. , -0.5, -0.5])
    """
    groups, weights = np.asarray(groups), np.asarray(weights, float)
    groups = np.where(np.isin(groups, np.flatnonzero(weights)), groups, -1)
    sizes = np.bincount(groups[groups >= 0], minlength=len(weights))
    if (sizes[weights != 0] == 0).any():
        g = np.flatnonzero((weights != 0) & (sizes == 0))[0]
        raise ImpossibleAnalysis(
            f"group {g} has a weight and no network, so its mean does not exist. Leave this"
            " contrast out"
        )
    member = groups[:, np.newaxis] == np.arange(len(weights))
    left = sizes - member
    each = np.divide(weights, left, out=np.full(left.shape, np.nan), where=left > 0)
    deleted = np.where(member.any(axis=1), each[:, groups], 0.0) * ~np.eye(len(groups), dtype=bool)
    lonely = member @ (sizes == 1)
    deleted[lonely] = np.nan
    return Functional(
        groups,
        member @ np.divide(weights, sizes, out=np.zeros(len(weights)), where=sizes > 0),
        deleted,
    )


def rows_functional(rows: np.ndarray) -> Functional:
    """The contrast whose weights of the networks are given, one row a group.

    Parameters
    ----------
    rows : ndarray, (group, network)
        The same weight for each network of a group; groups of one sign count the same, and add up
        to 1 or -1. No group: a contrast of nothing.

    Examples
    --------
    >>> rows_functional(np.array([[0.5, 0.5, 0.0], [0.0, 0.0, -1.0]])).estimate
    array([ 0.5,  0.5, -1. ])
    """
    rows = rows if len(rows) else np.zeros((1, rows.shape[1]))
    sign = np.sign(rows.sum(axis=1))
    alike = (sign[:, np.newaxis] == sign).sum(axis=1)
    groups = np.where(rows.any(axis=0), np.argmax(rows != 0, axis=0), -1)
    return network_functional(groups, sign / alike)


def network_moments(scores: np.ndarray, functionals: Sequence[Functional]) -> Moments:
    """Moments over one block of images, for `inference.merge_moments` and
    `inference.two_way_jackknife`.

    Parameters
    ----------
    scores : ndarray, (network, feature, image)
        Finite; summed in float64. Networks that no functional uses may be NaN.
    functionals : sequence of Functional
        Contrasts, all of these networks.

    Returns
    -------
    Moments
        With features in place of fractions, none of them a mean of the others; `matrix` is
        (network, feature), the mean over images.

    Raises
    ------
    InvalidData
        NaN or infinite scores of networks that are used.

    Examples
    --------
    >>> from relstats.stats.inference.jackknife import two_way_jackknife
    >>> scores = (
    ...     np.random.default_rng(1).random((6, 1, 50))
    ...     + np.repeat([0.2, 0.0], 3)[:, np.newaxis, np.newaxis]
    ... )
    >>> functional = network_functional(np.array([0, 0, 0, 1, 1, 1]), np.array([1.0, -1.0]))
    >>> result = two_way_jackknife(network_moments(scores, [functional]), 0)
    >>> bool(result.lower[0] < 0.2 < result.upper[0])
    True
    """
    scores = scores.astype(np.float64)
    used = np.any([f.groups >= 0 for f in functionals], axis=0)
    if not np.isfinite(scores[used]).all():
        m, f, i = np.argwhere(~np.isfinite(scores) & used[:, np.newaxis, np.newaxis])[0]
        raise InvalidData(
            f"scores are NaN or infinite (first: network {m}, feature {f}, image {i}): a mean over"
            " them does not exist. Leave these images out for all networks"
        )
    scores = np.where(used[:, np.newaxis, np.newaxis], scores, 0.0)
    n_groups = 1 + max(int(f.groups.max()) for f in functionals)
    parts = zip(*(_moments_of(scores, f, n_groups) for f in functionals), strict=True)
    mean, m2, deleted_mean, deleted_m2 = (np.array(part) for part in parts)
    size = np.array([np.abs(f.estimate).sum() for f in functionals])[:, np.newaxis]
    largest = np.abs(scores).max(axis=(0, 2))
    groups = np.array([f.groups for f in functionals])
    return Moments(
        scores.shape[-1],
        mean,
        m2,
        deleted_mean,
        deleted_m2,
        scores.mean(axis=-1),
        EPS * len(scores) * size * largest,
        groups,
    )


def _moments_of(
    scores: np.ndarray, functional: Functional, n_groups: int
) -> tuple[np.ndarray, ...]:
    """Mean, m2, mean without each network and its m2 by group, each (..., feature)."""
    n, features, images = scores.shape
    flat = scores.reshape(n, -1)
    values = (functional.estimate @ flat).reshape(features, images)
    deleted = (functional.deleted @ flat).reshape(n, features, images)
    deleted[functional.groups < 0] = np.nan
    means, m2 = deleted.mean(axis=-1), np.zeros((n_groups, features))
    for g in np.unique(functional.groups[functional.groups >= 0]):
        own = functional.groups == g
        deviation = deleted[own] - means[own][..., np.newaxis]
        deviation -= deviation.mean(axis=0)
        m2[g] = np.einsum("nfi,nfi->f", deviation, deviation)
    mean = values.mean(axis=-1)
    return mean, ((values - mean[:, np.newaxis]) ** 2).sum(axis=-1), means, m2


def swapped_means(means: np.ndarray, labels: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """Difference of two levels under each labeling: within each stratum, then averaged over strata.

    Parameters
    ----------
    means : ndarray, (network, feature)
        Mean score over images of each network.
    labels : ndarray, (labeling, network)
        From `relstats.stats.inference.swaps.labelings`: 1 for the first level, 0 for the second;
        row 0 is the one observed.
    strata : ndarray of int, (network,)
        Stratum of each network.

    Returns
    -------
    ndarray, (labeling, feature)
        First level minus second. Rounding error is 0, so that labelings which give no difference
        are ties.

    Examples
    --------
    >>> swapped_means(
    ...     np.array([[3.0], [5.0], [1.0], [1.0]]),
    ...     np.array([[1, 1, 0, 0], [0, 1, 1, 0]]),
    ...     np.zeros(4, int),
    ... )[:, 0]
    array([3., 1.])
    """
    weights = np.zeros(labels.shape)
    kinds = np.unique(strata)
    for s in kinds:
        own = strata == s
        n_first = labels[0, own].sum()
        weights[:, own] = np.where(
            labels[:, own] == 1, 1 / n_first, -1 / (own.sum() - n_first)
        ) / len(kinds)
    differences = weights @ means
    return np.where(
        np.abs(differences) <= EPS * len(means) * np.abs(means).max(axis=0), 0.0, differences
    )
