"""How well maps of networks agree with people's maps of the same image, and of other images.

Plain arrays, one image at a time.

Both measures are products of two vectors: of standardised midranks (Spearman), or of the weights of
the top pixels (overlap). So the mean agreement with all other images is one product with the sum of
their vectors.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from relstats.stats.maps.ranks import midranks
from relstats.study.top_pixels import top_count

#: Of a network's map with people's: correlation over pixels, or the share of top pixels in both.
Measure = Literal["spearman", "overlap"]
MEASURES: tuple[Measure, ...] = get_args(Measure)


@dataclass(frozen=True)
class Agreement:
    """Agreement of networks with the mean map of people.

    Attributes
    ----------
    own : ndarray, (network, image, 1 + participant)
        With the map of the same image: of all people, then without each one.
    swapped : ndarray, same shape
        Mean over the maps of all other images.
    swapped_as_other : ndarray, same shape
        The image as the other one: mean over the network's maps of all other images.
    """

    own: np.ndarray
    swapped: np.ndarray
    swapped_as_other: np.ndarray

    @property
    def above(self) -> np.ndarray:
        """What each image adds to own less swapped, in which it takes part twice: its mean over
        images is the mean difference.
        """
        return np.asarray(
            self.own
            - self.swapped
            - self.swapped_as_other
            + self.swapped.mean(axis=1, keepdims=True)
        )


def vectors(maps: np.ndarray, measure: str, fraction: float) -> np.ndarray:
    """What of a map enters the products.

    Parameters
    ----------
    maps : ndarray, (map, pixel)
        Without NaN.
    measure : {"spearman", "overlap"}
        "overlap": of the top pixels, as a share of how many there are.
    fraction : float
        Share of the pixels that are on top.

    Returns
    -------
    ndarray, (map, pixel), float64
        NaN where a map is constant. Pixels that tie for the last places on top share them: what
        breaking ties at random gives on average, so that maps of few levels, or with few pixels
        above zero, do not seem to agree.

    Examples
    --------
    >>> a, b = vectors(np.array([[1.0, 2, 3, 4], [2.0, 1, 4, 3]]), "spearman", 0.5)
    >>> float(a @ b)
    0.6
    >>> vectors(np.array([[9.0, 1, 1, 0]]), "overlap", 0.5) ** 2 * 2
    array([[1. , 0.25, 0.25, 0. ]])
    """
    constant = maps.min(axis=1) == maps.max(axis=1)
    if measure == "spearman":
        ranks = midranks(maps).astype(float) - (maps.shape[1] + 1) / 2
        norms = np.sqrt((ranks**2).sum(axis=1))
        found = ranks / np.where(constant, np.nan, norms)[:, np.newaxis]
    else:
        found = top_weights(maps, fraction) / math.sqrt(top_count(fraction, maps.shape[1]))
        found[constant] = np.nan
    return np.asarray(found)


def top_weights(maps: np.ndarray, fraction: float) -> np.ndarray:
    """1 for pixels on top, 0 for others, and shares for those that tie for the last places.

    They add up to the number on top.
    """
    count, pixels = top_count(fraction, maps.shape[1]), maps.shape[1]
    threshold = np.partition(maps, pixels - count, axis=1)[:, pixels - count, np.newaxis]
    above, tied = maps > threshold, maps == threshold
    share = (count - above.sum(axis=1)) / tied.sum(axis=1)
    return np.asarray(above + tied * share[:, np.newaxis])


def ranked(maps: np.ndarray, ranking: str) -> np.ndarray:
    """What of relevance counts: above 0, absolute, or with its sign."""
    if ranking == "signed":
        return maps
    return np.abs(maps) if ranking == "absolute" else np.maximum(maps, 0)


def informative(people: np.ndarray) -> np.ndarray:
    """Which maps of people say anything: not missing (NaN), not constant.

    (participant, pixel) to (participant,).

    Examples
    --------
    >>> informative(np.array([[0.0, 1.0], [2.0, 2.0], [np.nan, np.nan]]))
    array([ True, False, False])
    """
    return np.asarray(people.max(axis=1) > people.min(axis=1))


def mean_maps(people: np.ndarray) -> np.ndarray:
    """Mean map of people, then without each of them.

    Maps are first divided by the sum of their absolute values.

    Parameters
    ----------
    people : ndarray, (participant, pixel)
        NaN throughout, or constant, where a person has no map to speak of; that person is left out.

    Returns
    -------
    ndarray, (1 + participant, pixel)
        Without a person who has none it is the mean of all; without the only one, NaN. Equal pixels
        stay equal: nothing is subtracted from the sum.

    Examples
    --------
    >>> mean_maps(np.array([[1.0, 3.0], [3.0, 1.0]]))
    array([[0.5 , 0.5 ], [0.75, 0.25], [0.25, 0.75]])
    """
    there = np.flatnonzero(informative(people))
    maps = people[there].astype(float)
    maps /= np.abs(maps).sum(axis=1, keepdims=True)
    before = np.concatenate([np.zeros((1, people.shape[1])), np.cumsum(maps, axis=0)])
    after = np.concatenate([np.cumsum(maps[::-1], axis=0)[::-1], np.zeros((1, people.shape[1]))])
    out = np.empty((1 + len(people), people.shape[1]))
    out[:] = before[-1] / max(1, len(there))
    if len(there) < 2:
        out[1 + there] = np.nan
    else:
        out[1 + there] = (before[:-1] + after[1:]) / (len(there) - 1)
    return out


def agree(
    pairs: Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]],
    n_images: int,
    measure: str,
    fraction: float,
) -> Agreement:
    """Agreement of networks with people on own and on all other images.

    Parameters
    ----------
    pairs : callable
        Gives, each time anew, maps of networks (network, pixel) and `mean_maps` of people (1 +
        participant, pixel) image by image; none constant.
    n_images : int
        At least 2, or there is no other image: swapped values are NaN.
    measure, fraction
        As in `vectors`.

    Returns
    -------
    Agreement

    Notes
    -----
    Two passes; memory is that of the sums, and of one image.

    Examples
    --------
    >>> maps = np.random.default_rng(1).random((5, 2, 30))
    >>> agree(lambda: ((m, mean_maps(m)) for m in maps), 5, "spearman", 0.1).own.shape
    (2, 5, 3)
    """
    sums: list[np.ndarray] = []
    for pair in pairs():
        both = [vectors(maps, measure, fraction) for maps in pair]
        sums = both if not sums else [total + one for total, one in zip(sums, both, strict=True)]
    out = np.empty((3, sums[0].shape[0], n_images, sums[1].shape[0]))
    others = n_images - 1 if n_images > 1 else np.nan
    for i, pair in enumerate(pairs()):
        networks, people = (vectors(maps, measure, fraction) for maps in pair)
        out[0, :, i] = networks @ people.T
        out[1, :, i] = networks @ (sums[1] - people).T / others
        out[2, :, i] = (sums[0] - networks) @ people.T / others
    return Agreement(*out)


def split_half(
    people: np.ndarray, measure: str, fraction: float, n_splits: int, rng: np.random.Generator
) -> float:
    """Mean agreement of the mean maps of two halves of people, over all splits or a sample of them.

    Parameters
    ----------
    people : ndarray, (participant, pixel)
        As in `mean_maps`; halves differ by one where the number is odd.
    measure, fraction
        As in `vectors`.
    n_splits : int
        Where there are more splits than this, so many are drawn.
    rng : numpy.random.Generator

    Returns
    -------
    float
        NaN with fewer than two maps, or where a half's mean is constant in every split.

    Examples
    --------
    >>> split_half(
    ...     np.array([[1.0, 2, 3], [1.0, 3, 2]]), "spearman", 0.5, 9, np.random.default_rng(1)
    ... )
    0.5
    """
    maps = people[informative(people)].astype(float)
    maps /= np.abs(maps).sum(axis=1, keepdims=True)
    if len(maps) < 2:
        return float("nan")
    halves = list(_splits(len(maps), n_splits, rng))
    means = [
        np.array([maps[part].mean(axis=0) for part in parts]) for parts in zip(*halves, strict=True)
    ]
    products = (vectors(means[0], measure, fraction) * vectors(means[1], measure, fraction)).sum(
        axis=1
    )
    return float(np.nanmean(products)) if np.isfinite(products).any() else float("nan")


def _splits(
    n: int, n_splits: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Two halves, as positions.

    All, where there are no more than `n_splits`: of an even number each once.
    """
    first = n // 2
    total = math.comb(n, first) // (1 if n % 2 else 2)
    if total > n_splits:
        for _ in range(n_splits):
            order = rng.permutation(n)
            yield order[:first], order[first:]
        return
    for chosen in itertools.islice(itertools.combinations(range(n), first), total):
        yield np.array(chosen), np.setdiff1d(np.arange(n), chosen)


def spearman_brown(half: float) -> float:
    """Reliability of the mean map of all people, from that of halves: 2 r / (1 + r) (Spearman 1910.

    Brown 1910).

    Examples
    --------
    >>> spearman_brown(0.5)
    0.667
    """
    return 2 * half / (1 + half) if half > -1 else float("nan")


def people_pseudo_values(values: np.ndarray) -> np.ndarray:
    """What each person adds, from values with all people and without each: P f - (P - 1) f without
    p.

    Parameters
    ----------
    values : ndarray, (..., 1 + participant)

    Returns
    -------
    ndarray, (..., participant)
        The value itself where there is one participant.

    Examples
    --------
    >>> people_pseudo_values(np.array([2.0, 3.0, 1.0]))  # mean of 1 and 3
    array([1., 3.])
    """
    n = values.shape[-1] - 1
    if n < 2:
        return values[..., :1]
    return np.asarray(n * values[..., :1] - (n - 1) * values[..., 1:])
