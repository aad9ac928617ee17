"""Midranks of the pixels of single relevance maps.

Array cores as in `relstats.stats.maps.single`: the last axis is `pixel`, all axes before it are a
batch.
"""

from __future__ import annotations

import numpy as np

from relstats.errors import InvalidData
from relstats.stats.maps.single import as_floating, compiled


def midranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 to the number of pixels.

    Pixels of equal relevance share the mean of their ranks.

    Parameters
    ----------
    values : array_like, (..., pixel)
        Relevance maps. -0.0 equals 0.0.

    Returns
    -------
    numpy.ndarray, (..., pixel), float32
        Exact: below 2**23 pixels every half-integer is a float32. A map with any NaN is NaN
        throughout; infinities are ranked first and last.

    Raises
    ------
    InvalidData
        If there are 2**23 pixels or more.

    Notes
    -----
    float32 goes through a radix sort of three digits that skips the exact zeros, of which LRP maps
    are full; float64 through a comparison sort, so that values which differ only in float64 stay
    apart.

    Examples
    --------
    >>> midranks([0.0, 2.5, 0.0, -1.0])
    array([2.5, 4. , 2.5, 1. ], dtype=float32)
    """
    values = as_floating(values)
    pixels = values.shape[-1]
    if pixels >= 2**23:
        raise InvalidData(
            f"midranks of {pixels} pixels: half ranks are exact in float32 below {2**23} pixels"
            " only, and ties would come out wrong; reduce the maps' resolution first"
        )
    rows = np.ascontiguousarray(values).reshape(-1, pixels)
    ranks = np.empty(rows.shape, np.float32)
    if rows.dtype == np.float32:
        _radix_midranks(rows.view(np.uint32), ranks)
    else:
        for row, rank in zip(rows, ranks, strict=True):
            _sorted_midranks(row, rank)
    return ranks.reshape(values.shape)


def _sorted_midranks(row: np.ndarray, ranks: np.ndarray) -> None:
    if np.isnan(row).any():
        ranks[:] = np.nan
        return
    order = np.argsort(row, kind="stable")
    ordered = row[order]
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: row.size])
    sizes = np.diff(np.append(first, row.size))
    ranks[order] = np.repeat(first + (sizes + 1) / 2, sizes)


# One 64-bit word per pixel: the value's sortable key above, the pixel's index below. Everything is
# uint64, because numba widens mixed integers in ways that differ from numpy's.
_HALF = np.uint64(32)
_PIXEL = np.uint64(2**32 - 1)
_SIGN = np.uint64(2**31)
_DIGIT = np.uint64(2**11 - 1)
_DIGITS = (np.uint64(32), np.uint64(43), np.uint64(54))
_KEY_OF_INF = np.uint64(0xFF800000)
_KEY_OF_MINUS_INF = np.uint64(0x007FFFFF)


@compiled
def _radix_midranks(bits: np.ndarray, ranks: np.ndarray) -> None:
    words, spare = np.empty(bits.shape[1] + 1, np.uint64), np.empty(bits.shape[1] + 1, np.uint64)
    places = np.empty(2**11, np.int64)
    for row in range(bits.shape[0]):
        used, negative = _load_words(bits[row], words)
        for digit in _DIGITS:
            _scatter(words[:used], spare, digit, places)
            words, spare = spare, words
        _assign_midranks(words, used, negative, ranks[row])


@compiled
def _load_words(bits: np.ndarray, words: np.ndarray) -> tuple[np.int64, np.int64]:
    """Pack the pixels that are not zero; without a branch, because zeros come unpredictably."""
    used = negative = np.int64(0)
    for pixel in range(bits.size):
        value = np.uint64(bits[pixel])
        below = value & _SIGN
        words[used] = ((value ^ (_PIXEL if below else _SIGN)) << _HALF) | np.uint64(pixel)
        counted = np.int64(value & ~_SIGN != 0)
        used += counted
        negative += counted * np.int64(below != 0)
    return used, negative


@compiled
def _scatter(words: np.ndarray, into: np.ndarray, digit: np.uint64, places: np.ndarray) -> None:
    """Sort by one digit, stably.

    `places` holds where the next word of each value of the digit goes.
    """
    places[:] = 0
    for word in words:
        places[(word >> digit) & _DIGIT] += 1
    first = 0
    for value in range(places.size):
        places[value], first = first, first + places[value]
    for word in words:
        value = (word >> digit) & _DIGIT
        into[places[value]] = word
        places[value] += 1


@compiled
def _assign_midranks(words: np.ndarray, used: int, negative: int, ranks: np.ndarray) -> None:
    zeros = ranks.size - used
    if used and (words[0] >> _HALF < _KEY_OF_MINUS_INF or words[used - 1] >> _HALF > _KEY_OF_INF):
        ranks[:] = np.nan  # NaN sorts beyond the infinities, on either side
        return
    ranks[:] = np.float32(negative + 0.5 * (zeros + 1))
    words[used] = ~words[used - 1]  # a sentinel that ends the last run of ties
    first = 0
    while first < used:
        key = words[first] >> _HALF
        end = first + 1
        while words[end] >> _HALF == key:
            end += 1
        midrank = np.float32(0.5 * (first + end + 1) + (zeros if first >= negative else 0))
        ranks[words[first] & _PIXEL] = midrank
        for place in range(first + 1, end):
            ranks[words[place] & _PIXEL] = midrank
        first = end
