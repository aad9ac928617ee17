"""What people did in a task, as dissimilarities: arrangements of images on a plane, and odd ones
out. Plain arrays.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy import stats

from relstats.errors import ImpossibleAnalysis, InvalidData
from relstats.study.pairs import position

#: Two images closer than this share of the arena's radius are as near as a hand puts them: their
#: evidence falls no further.
NEAREST = 0.2
_TOLERANCE = 1e-8
_MOST_STEPS = 10_000


def arranged(distances: np.ndarray) -> np.ndarray:
    """Inverse multidimensional scaling: one RDM of one participant from trials with different sets
    of images.

    Parameters
    ----------
    distances : array_like, (trial, pair)
        Distances on the plane, in units of the arena's radius; NaN where a trial does not hold the
        pair.

    Returns
    -------
    ndarray, (pair,)
        With unit norm; NaN where no trial holds the pair.

    Raises
    ------
    InvalidData
        Negative or infinite distances.
    ImpossibleAnalysis
        No trial has a distance above 0, or the estimate does not settle.

    Notes
    -----
    Kriegeskorte & Mur 2012 (doi:10.3389/fpsyg.2012.00245): the further apart two images lie, the
    more a distance says of them. A distance d weighs max(d, 0.2)^2. Each trial's distances are
    scaled to the norm that the current estimate has on its pairs, the estimate is their weighted
    mean, scaled to unit norm, until its squares change by less than 1e-8. It starts from the plain
    mean.

    Examples
    --------
    >>> arranged([[3.0, 5.0, 4.0], [6.0, 10.0, np.nan]]).round(3)
    array([0.424, 0.707, 0.566])
    """
    distances = np.atleast_2d(np.asarray(distances, float))
    held = np.isfinite(distances)
    if np.isinf(distances).any() or (distances[held] < 0).any():
        raise InvalidData(
            "distances of arranged images are negative or infinite: mend these trials"
        )
    values = np.where(held, distances, 0.0)
    norms = np.sqrt((values**2).sum(axis=1, keepdims=True))
    values, held, norms = (array[norms[:, 0] > 0] for array in (values, held, norms))
    if not len(values):
        raise ImpossibleAnalysis(
            "no trial has two images at different places: nothing is known of their dissimilarity"
        )
    weights = np.where(held, np.maximum(values, NEAREST) ** 2, 0.0)
    known = held.any(axis=0)
    estimate = _unit(_mean(values, held.astype(float)))
    for _ in range(_MOST_STEPS):
        reach = np.sqrt((held * estimate**2).sum(axis=1, keepdims=True))
        before, estimate = estimate, _unit(_mean(values / norms * reach, weights))
        if ((estimate - before) ** 2).sum() <= _TOLERANCE:
            return np.where(known, estimate, np.nan)
    raise ImpossibleAnalysis(
        f"the arrangement does not settle within {_MOST_STEPS} steps: its trials contradict each"
        " other"
    )


def _unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.sqrt((vector**2).sum()))


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = weights.sum(axis=0)
    return np.asarray(
        np.divide((values * weights).sum(axis=0), total, out=np.zeros(total.shape), where=total > 0)
    )


def odd_one_out(
    triplets: np.ndarray, odd: np.ndarray, n_images: int
) -> tuple[np.ndarray, np.ndarray]:
    """Dissimilarities of one participant from triplets: how often two images were not the pair that
    was kept together.

    Parameters
    ----------
    triplets : array_like of int, (trial, 3)
        Positions of three different images.
    odd : array_like of int, (trial,)
        Which of the three was the odd one out: 0, 1 or 2.
    n_images : int

    Returns
    -------
    dissimilarity : ndarray, (pair,)
        1 - the share of the triplets with this pair in which the third image was the odd one. NaN
        where no triplet has it.
    n_triplets : ndarray of int, (pair,)
        How many triplets hold the pair.

    Raises
    ------
    InvalidData
        An image twice in a triplet.

    Notes
    -----
    Hebart et al. 2020 (doi:10.1038/s41562-020-00951-3).

    Examples
    --------
    >>> odd_one_out([[0, 1, 2], [0, 1, 3]], [2, 1], 4)[0]
    array([0.5, 1. , 0. , 1. , 1. , nan])
    """
    triplets, odd = np.asarray(triplets, int).reshape(-1, 3), np.asarray(odd, int)
    if (np.sort(triplets, axis=1)[:, :2] == np.sort(triplets, axis=1)[:, 1:]).any():
        raise InvalidData("a triplet holds an image twice: nothing can be the odd one out of it")
    held, kept = np.zeros((2, n_images, n_images), int)
    for third in range(3):
        first, second = np.sort(np.delete(triplets, third, axis=1), axis=1).T
        np.add.at(held, (first, second), 1)
        np.add.at(kept, (first, second), odd == third)
    upper = np.triu_indices(n_images, 1)
    counts = held[upper]
    share = np.divide(kept[upper], counts, out=np.full(counts.shape, np.nan), where=counts > 0)
    return 1 - share, counts


def ordered_as_dissimilarities(rdms: np.ndarray, n_images: int, *, most: int = 50_000) -> float:
    """Share of triplets of images in which the middle one of three values is nearer to the largest
    than to the smallest, in ranks.

    Where two images are alike, they are about equally far from any third one: dissimilarities give
    more than a half, similarities less, values without structure a half.

    Parameters
    ----------
    rdms : ndarray, (participant, pair)
        NaN where missing; such triplets are left out.
    n_images : int
    most : int
        Number of triplets looked at; always the same ones.

    Returns
    -------
    float
        Mean over participants; NaN where no triplet is known.

    Examples
    --------
    >>> points = np.random.default_rng(1).normal(size=(20, 2))
    >>> first, second = np.triu_indices(20, 1)
    >>> distances = np.linalg.norm(points[first] - points[second], axis=1)
    >>> ordered_as_dissimilarities(distances[np.newaxis], 20) > 0.6
    True
    """
    chosen = _triplets(n_images, most)
    pairs = [position(chosen[:, a], chosen[:, b], n_images) for a, b in ((0, 1), (0, 2), (1, 2))]
    shares = []
    for row in rdms:
        ranks = stats.rankdata(row, nan_policy="omit")
        low, middle, high = np.sort([ranks[p] for p in pairs], axis=0)
        lean = np.sign((middle - low) - (high - middle))
        if np.isfinite(lean).any():
            shares.append(float(np.nanmean((lean + 1) / 2)))
    return float(np.mean(shares)) if shares else float("nan")


def _triplets(n_images: int, most: int) -> np.ndarray:
    """All of them, or as many, the same ones each time: (triplet, 3), each sorted."""
    if n_images * (n_images - 1) * (n_images - 2) // 6 <= most:
        return np.array(list(itertools.combinations(range(n_images), 3)), int).reshape(-1, 3)
    drawn = np.sort(np.random.default_rng(0).integers(0, n_images, (most, 3)), axis=1)
    return np.asarray(drawn[(np.diff(drawn, axis=1) > 0).all(axis=1)])
