"""Which pixels networks share, image by image, and how many they would share if their maps had
nothing to do with the image.

Array cores. Masks are packed, 64 pixels to a word: (network, image, word), of networks ordered by
condition. The image swap takes, for each network on its own, the mask of another image of the same
group: what networks share on every image alike (a centred face, smoothness, sparseness) stays, and
what they share on this image goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import dask
import numpy as np
from scipy import stats
from threadpoolctl import threadpool_limits

from relstats.stats.maps import bits
from relstats.study.top_pixels import needed

#: Added to the spread of a count: half a network to each side, or rarely used pixels would have the
#: largest z.
CONTINUITY = 0.25
#: Swaps, and pixels, worked on at a time; constant, so that results do not depend on the machine.
_SWAPS, _PIXELS = 32, 4096


@dataclass(frozen=True)
class Layout:
    """How many networks are expected to have each pixel, whatever the image is.

    Attributes
    ----------
    mean, spread : ndarray, (pixel,)
        Of the count of networks that have a pixel.
    """

    mean: np.ndarray
    spread: np.ndarray


def layout(inclusion: np.ndarray) -> Layout:
    """Mean and spread of the count of networks that have a pixel, from each network's own rate over
    images.

    The image that is tested is part of the rates: they are then the same however images are
    swapped, so that the test is exact. Without it the rates of a swapped image would have to be
    others than those of the image itself.

    Parameters
    ----------
    inclusion : ndarray, (network, pixel)
        Share of the images on which a network has a pixel.

    Examples
    --------
    >>> found = layout(np.array([[0.5, 0.0], [0.5, 0.0]]))
    >>> found.mean.tolist(), found.spread.round(3).tolist()
    ([1.0, 0.0], [0.957, 0.25])
    """
    return Layout(
        inclusion.sum(axis=0), np.sqrt((inclusion * (1 - inclusion)).sum(axis=0)) + CONTINUITY
    )


def swaps(n_swaps: int, networks: int, images: int, rng: np.random.Generator) -> np.ndarray:
    """Which image each network's mask is taken from: int16 (1 + n_swaps, network, image).

    The first is no swap.

    Each network's images are permuted on their own, the image itself included: permutations are a
    group, and that makes the test exact (Hemerik & Goeman 2018).
    """
    drawn = np.broadcast_to(
        np.arange(images, dtype=np.int16), (n_swaps + 1, networks, images)
    ).copy()
    drawn[1:] = rng.permuted(drawn[1:], axis=-1)
    return drawn


def swap_statistics(
    masks: np.ndarray, donors: np.ndarray, sizes: np.ndarray, expected: Layout
) -> tuple[np.ndarray, np.ndarray]:
    """The largest z over pixels, and the sizes of the shared sets, of each swap and image.

    Parameters
    ----------
    masks : ndarray of uint64, (network, image, word)
        Of one group of images.
    donors : ndarray of int, (swap, network, image)
        From `swaps`.
    sizes : ndarray of int, (condition,)
        Networks of each condition, in the order of the masks.
    expected : Layout

    Returns
    -------
    largest : ndarray, (swap, image)
        Over pixels, of (count - mean) / spread.
    sizes : ndarray of int, (swap, image, consensus)
        Number of pixels that as many networks as `needed` have, in every condition.

    Examples
    --------
    >>> masks = bits.pack(np.array([[[1, 0, 0, 1], [0, 1, 1, 0]]] * 2, bool))
    >>> donors = swaps(1, 2, 2, np.random.default_rng(0))
    >>> z, pixels = swap_statistics(masks, donors, np.array([2]), layout(np.full((2, 4), 0.5)))
    >>> z[0].round(3).tolist(), pixels[0, :, 0].tolist()
    ([1.045, 1.045], [2, 2])
    """
    common = (masks, sizes, needed(sizes), expected.mean, expected.spread)
    usual, _ = bits.statistics(*common, _exceeding(np.inf, expected, len(masks)), donors[-1:])
    task = partial(bits.statistics, *common, _exceeding(usual.min(), expected, len(masks)))
    parts = in_parallel(task, [donors[k : k + _SWAPS] for k in range(0, len(donors), _SWAPS)])
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def in_parallel[Given, Result](
    task: Callable[[Given], Result], parts: Sequence[Given]
) -> list[Result]:
    """Results in order, on whatever dask scheduler is active."""
    with threadpool_limits(1, "blas"):
        return list(
            dask.compute(*(dask.delayed(partial(task, part), pure=False)() for part in parts))
        )


def _exceeding(z: float, expected: Layout, networks: int) -> np.ndarray:
    """With how many networks each pixel exceeds z, one more than there are where it cannot: planes
    (bit, word).
    """
    count = np.zeros(-(-expected.mean.size // bits.WORD) * bits.WORD, np.int64)
    count[expected.mean.size :] = networks + 1  # no pixels
    for k in range(networks + 1):
        count[: expected.mean.size] += (k - expected.mean) / expected.spread <= z
    return np.stack(
        [bits.pack((count >> bit) & 1 == 1) for bit in range((networks + 1).bit_length())]
    )


def counts(masks: np.ndarray, sizes: np.ndarray, pixels: int) -> np.ndarray:
    """How many networks of each condition have a pixel: uint16 (condition, image, pixel)."""
    ends = np.cumsum(sizes)
    out = np.zeros((len(sizes), masks.shape[1], pixels), np.uint16)
    for condition, (end, size) in enumerate(zip(ends, sizes, strict=True)):
        for network in range(end - size, end):
            np.add(out[condition], bits.unpack(masks[network], pixels), out=out[condition])
    return out


def agreement_with_others(masks: np.ndarray, sizes: np.ndarray, pixels: int) -> np.ndarray:
    """How well each network's mask agrees with the consensus of the others, on all pairs of images.

    The consensus is the share of the other networks that have a pixel (the mean over conditions of
    the share in each); the agreement is its mean over the pixels of the mask.

    Parameters
    ----------
    masks : ndarray of uint64, (network, image, word)
        Not empty.
    sizes : ndarray of int, (condition,)
    pixels : int

    Returns
    -------
    ndarray, (network, image of the mask, image of the others), in [0, 1]

    Examples
    --------
    >>> masks = bits.pack(np.array([[[1, 1, 0, 0]], [[1, 0, 1, 0]], [[1, 0, 1, 0]]], bool))
    >>> agreement_with_others(masks, np.array([3]), 4)[:, 0, 0].tolist()
    [0.5, 0.75, 0.75]
    """
    count = counts(masks, sizes, pixels)
    task = partial(_agreement, masks, count, sizes, pixels)
    return np.stack(in_parallel(task, range(len(masks))))


def _agreement(
    masks: np.ndarray, count: np.ndarray, sizes: np.ndarray, pixels: int, network: int
) -> np.ndarray:
    condition = int(np.searchsorted(np.cumsum(sizes), network, side="right"))
    others = sizes - (np.arange(len(sizes)) == condition)
    whole = int(np.lcm.reduce(others[others > 0]))  # whole numbers: sums are exact, in any order
    exact: type[Any] = np.float32 if whole * len(sizes) * pixels < 2**24 else np.float64
    own = bits.unpack(masks[network], pixels)
    products = np.zeros((masks.shape[1],) * 2)
    for start in range(0, pixels, _PIXELS):
        part = own[:, start : start + _PIXELS].astype(exact)
        consensus = np.zeros_like(part)
        for c in np.flatnonzero(others):
            shared = count[c, :, start : start + _PIXELS]
            consensus += exact(whole // others[c]) * (shared - part if c == condition else shared)
        products += part @ consensus.T
    return products / (
        whole * np.count_nonzero(others) * own.sum(axis=1, dtype=float)[:, np.newaxis]
    )


def leave_one_out(
    masks: np.ndarray, sizes: np.ndarray, images: Sequence[int] | range
) -> tuple[np.ndarray, np.ndarray]:
    """How the shared sets change without one network: pixels in both sets, and in either.

    Returns
    -------
    both, either : ndarray of int, (consensus, network, image)
    """
    task = partial(
        bits.left_out,
        masks,
        np.asarray(sizes),
        needed(sizes),
        needed(np.maximum(np.asarray(sizes) - 1, 0)),
    )
    parts = in_parallel(
        task, np.array_split(np.asarray(images, np.int64), max(1, len(images) // _SWAPS))
    )
    return np.concatenate([p[0] for p in parts], axis=2), np.concatenate(
        [p[1] for p in parts], axis=2
    )


def condition_overlap(masks: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Size of the shared set if all networks of one condition saw another image.

    Returns
    -------
    ndarray of int, (consensus, condition, image of that condition, image of the others)
    """
    task = partial(bits.condition_sets, masks, np.asarray(sizes))
    sets = np.stack(in_parallel(task, list(needed(sizes))))
    others = np.full_like(sets, ~np.uint64(0))
    for condition in range(len(sizes)):
        kept = np.delete(sets, condition, axis=1)
        others[:, condition] = np.bitwise_and.reduce(kept, axis=1)
    pairs = [
        (sets[level, c], others[level, c]) for level in range(len(sets)) for c in range(len(sizes))
    ]
    return np.stack(in_parallel(_overlaps_of, pairs)).reshape(*sets.shape[:3], sets.shape[2])


def _overlaps_of(pair: tuple[np.ndarray, np.ndarray]) -> Any:
    return bits.overlaps(*pair)


def share_by_chance(wanted: np.ndarray, sizes: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """Probability that a pixel is shared if each network has it independently at some rate.

    Parameters
    ----------
    wanted : ndarray of int, (consensus, condition)
    sizes : ndarray of int, (condition,)
    rate : ndarray, (...)
        In [0, 1].

    Returns
    -------
    ndarray, (consensus, ...)

    Examples
    --------
    >>> share_by_chance(needed(np.array([2, 2])), np.array([2, 2]), np.array(0.5))
    array([0.0625, 0.0625, 0.0625])
    """
    rate = np.asarray(rate, float)
    return np.array(
        [
            np.prod(
                [stats.binom.sf(k - 1, n, rate) for k, n in zip(row, sizes, strict=True)], axis=0
            )
            for row in wanted
        ]
    )


def prevalence(
    k: int, n: int, alpha: float = 0.05, confidence: float = 0.95
) -> tuple[float, float]:
    """Share of networks like these that share the pixels, if k of n do at `alpha`: most likely
    value and lower bound.

    Ince, Paton, Kay & Schyns (2021), with a uniform prior and tests that never miss: a network that
    does not share is significant with probability `alpha`.

    Examples
    --------
    >>> [round(float(v), 3) for v in prevalence(4, 5)]
    [0.789, 0.388]
    """
    posterior = stats.beta(k + 1, n - k + 1)
    below = posterior.cdf(alpha)
    lower = (posterior.ppf(below + (1 - confidence) * (1 - below)) - alpha) / (1 - alpha)
    return max(0.0, (k / n - alpha) / (1 - alpha)), float(lower)
