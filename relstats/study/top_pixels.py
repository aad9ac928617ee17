"""The rule of masks: how many pixels a share of them is, which of equally relevant ones come first,
and in how many networks' masks a shared pixel is.

What computes scores and what analyses them both take it from here, so that a mask is the same on
both sides.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from relstats.errors import UsageError

#: What makes a pixel relevant: its relevance above 0, its absolute relevance, or its relevance
#: whatever its sign.
Ranking = Literal["positive", "absolute", "signed"]
RANKINGS = get_args(Ranking)
#: In how many networks a shared pixel is, of every condition.
Consensus = Literal["all", "most", "majority"]
CONSENSUS = get_args(Consensus)


def top_count(fraction: float, pixels: int) -> int:
    """Count the pixels of a mask: `fraction * pixels` as one would on paper, halves rounded up, at
    least 1.

    Parameters
    ----------
    fraction : float
        Share of pixels in (0, 1], taken as the decimal number that it prints as.
    pixels : int
        Number of pixels of a map.

    Returns
    -------
    int

    Raises
    ------
    UsageError
        If `fraction` is outside (0, 1].

    Examples
    --------
    >>> top_count(0.05, 224 * 224), top_count(0.29, 50), top_count(1e-6, 100)
    (2509, 15, 1)
    """
    if not 0 < fraction <= 1:
        raise UsageError(
            f"fraction={fraction}: a mask keeps a share of the pixels, so it lies in (0, 1]; give"
            " 0.05 for the top 5 %"
        )
    share = Decimal(str(fraction)) * pixels
    return max(1, int(share.to_integral_value(ROUND_HALF_UP)))


@lru_cache(maxsize=16)
def tie_order(pixels: int) -> np.ndarray:
    """Order the pixels in a fixed, scrambled way: ties at the threshold of a mask have no spatial
    bias.

    Parameters
    ----------
    pixels : int
        Number of pixels of a map.

    Returns
    -------
    numpy.ndarray, (pixel,), int64, read-only
        A permutation: each pixel's place in the order. Of tied pixels, those with the lowest places
        are kept.

    Notes
    -----
    The place of pixel p is the rank of the p-th number of splitmix64 seeded with 0 (Steele, Lea &
    Flood 2014, Fast splittable pseudorandom number generators): it depends on p and on the number
    of pixels alone, and is the same on every machine.

    Examples
    --------
    >>> tie_order(8)
    array([6, 4, 0, 7, 1, 3, 2, 5])
    """
    mixed = np.arange(1, pixels + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    places = np.argsort(np.argsort(mixed ^ (mixed >> np.uint64(31))))
    places.setflags(write=False)
    return places


def needed(sizes: np.ndarray) -> np.ndarray:
    """How many networks of each condition must have a pixel: all, 90 % of them (rounded up), more
    than half.

    Parameters
    ----------
    sizes : ndarray of int, (condition,)

    Returns
    -------
    ndarray of int, (consensus, condition)

    Examples
    --------
    >>> needed(np.array([4, 5, 20])).tolist()
    [[4, 5, 20], [4, 5, 18], [3, 3, 11]]
    """
    sizes = np.asarray(sizes)
    return np.stack([sizes, -(-9 * sizes // 10), sizes // 2 + 1])
