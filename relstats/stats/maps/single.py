"""What is done to single relevance maps before they are compared: scaling and masks of the top
pixels (midranks are in `relstats.stats.maps.ranks`).

Array cores: the last axis is `pixel` (the stacked y, x), all axes before it are a batch. None of
them depends on the scale of relevance: multiplying a map by a positive number changes no rank, no
mask and no normalised value. They release the GIL where they spend their time and start no threads
of their own, so blocks of maps can be given to threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np

from relstats.errors import InvalidData, UsageError
from relstats.study.top_pixels import RANKINGS, tie_order, top_count

FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.2)  # shares of pixels kept, where none are asked for

_SIZES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "max": lambda shape: np.ones_like(shape[..., :1]),
    "l1": lambda shape: np.abs(shape).sum(axis=-1, keepdims=True),
    "l2": lambda shape: np.sqrt(np.square(shape).sum(axis=-1, keepdims=True)),
}


def compiled(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a kernel that releases the GIL; once per machine, where a cache can be written.

    Parameters
    ----------
    kernel : callable
        A function that numba can compile.

    Returns
    -------
    callable
        The compiled function. Where nothing can be written (a read-only installation without a home
        folder), numba refuses to cache with a RuntimeError; the kernel is then compiled anew in
        each process.
    """
    try:
        return numba.njit(nogil=True, cache=True)(kernel)
    except RuntimeError:
        return numba.njit(nogil=True)(kernel)


def as_floating(values: np.ndarray) -> np.ndarray:
    """Turn real numbers into float32 where that is exact (up to 16 bits, and float32), else into
    float64.

    Parameters
    ----------
    values : array_like, any shape
        bool, integer or floating.

    Returns
    -------
    numpy.ndarray
        The same values; the same memory if they are float32 or float64 already.

    Raises
    ------
    InvalidData
        If the dtype is not one of real numbers.
    """
    values = np.asarray(values)
    if values.dtype.kind not in "biuf":
        raise InvalidData(
            f"relevance maps of dtype {values.dtype}: maps are compared by order and by sums, which"
            " need real numbers; give float32"
        )
    return values.astype(
        np.float32 if np.can_cast(values.dtype, np.float32) else np.float64, copy=False
    )


def normalise(values: np.ndarray, how: str) -> np.ndarray:
    """Divide each map by its size, so that maps without a common scale can be averaged.

    Parameters
    ----------
    values : array_like, (..., pixel)
        Relevance maps, any unit.
    how : {"l1", "max", "l2"}
        What is 1 afterwards: the sum of absolute values, the largest absolute value, or the root of
        the sum of squares.

    Returns
    -------
    numpy.ndarray, (..., pixel), float64
        Signed, in [-1, 1]. A map without any relevance (all zero), or with NaN or infinite values,
        is NaN throughout.

    Raises
    ------
    UsageError
        If `how` is not one of the three.

    Examples
    --------
    >>> normalise([[1, -3, 0, 4], [0, 0, 0, 0]], "l1")
    array([[ 0.125, -0.375,  0.   ,  0.5  ],
           [   nan,    nan,    nan,    nan]])
    """
    if how not in _SIZES:
        raise UsageError(
            f"how={how!r}: unknown, so maps would keep their scales; use one of {', '.join(_SIZES)}"
        )
    values = as_floating(values)
    peak = np.abs(values).max(axis=-1, keepdims=True, initial=0).astype(np.float64)
    # The peak goes first: squares near the ends of the range of floats would overflow or vanish.
    with np.errstate(invalid="ignore"):
        shape = values / np.where(np.isfinite(peak), peak, np.nan)
    return shape / _SIZES[how](shape)


def top_fraction(values: np.ndarray, fraction: float, ranking: str = "positive") -> np.ndarray:
    """Mask the most relevant pixels of each map: `top_fractions` for one fraction.

    Parameters
    ----------
    values, ranking
        See `top_fractions`.
    fraction : float
        Share of pixels, in (0, 1].

    Returns
    -------
    numpy.ndarray, (..., pixel), bool

    Examples
    --------
    >>> top_fraction([3.0, -9.0, 0.0, 1.0], 0.5)
    array([ True, False, False,  True])
    """
    return top_fractions(values, (fraction,), ranking)[0]


def top_fractions(
    values: np.ndarray, fractions: Sequence[float] = FRACTIONS, ranking: str = "positive"
) -> np.ndarray:
    """Mask the most relevant pixels of each map, for several shares of pixels.

    Parameters
    ----------
    values : array_like, (..., pixel)
        Relevance maps.
    fractions : sequence of float
        Shares of pixels, in (0, 1]; a mask has exactly `top_count(fraction, pixels)` pixels where
        as many are eligible.
    ranking : {"positive", "absolute", "signed"}
        What makes a pixel relevant. "positive": its relevance, and only pixels above 0 are
        eligible. "absolute": its absolute relevance, only pixels other than 0. "signed": its
        relevance, every pixel.

    Returns
    -------
    numpy.ndarray, (fraction, ..., pixel), bool
        Nested: the mask of a smaller fraction lies within that of a larger one. Where too few
        pixels are eligible the mask is those that are (see `mask_shortfall`): pixels without
        relevance are never added, because they would be the same ones in every map, and unrelated
        sparse maps would seem to overlap. The mask of a map without relevance (all zero) or with
        any NaN is empty.

    Raises
    ------
    UsageError
        If a fraction is outside (0, 1], there is none, or the ranking is unknown.

    Notes
    -----
    Pixels tied at the threshold are taken in the order of `tie_order`, which is the same for all
    maps. Relevance in float32 is hardly ever tied there; in maps of few grey levels it is, and
    unrelated maps then share more pixels than they would by chance (smooth maps: below 1 % more at
    255 levels, up to half more at 16).

    Examples
    --------
    >>> top_fractions([[5, 1, 0, 2], [0, 0, 7, 0]], (0.25, 0.5)).astype(int)
    array([[[1, 0, 0, 0], [0, 0, 1, 0]],
           [[1, 0, 0, 1], [0, 0, 1, 0]]])
    """
    if ranking not in RANKINGS:
        raise UsageError(
            f"ranking={ranking!r}: unknown, so no pixel is on top; use one of {', '.join(RANKINGS)}"
        )
    scores = as_floating(values)
    scores = np.abs(scores) if ranking == "absolute" else scores
    counts = [top_count(fraction, scores.shape[-1]) for fraction in fractions]
    if not counts:
        raise UsageError(
            "fractions=(): no share of pixels to keep, so there is no mask; give at least one, such"
            " as 0.05"
        )
    masks = np.empty((*scores.shape[:-1], len(counts), scores.shape[-1]), bool)
    for batch in np.ndindex(scores.shape[:-1]):
        _mask_top(np.ascontiguousarray(scores[batch]), counts, ranking == "signed", masks[batch])
    return np.moveaxis(masks, -2, 0)


def _mask_top(score: np.ndarray, counts: Sequence[int], signed: bool, masks: np.ndarray) -> None:
    thresholds = _thresholds(_eligible(score, signed and bool(score.any())), counts)
    areas = _mask_above(score, thresholds, masks)
    for fraction, count in enumerate(counts):
        surplus = areas[fraction] - count
        if surplus > 0:
            tied = np.flatnonzero(score == thresholds[fraction])
            masks[fraction, tied[np.argsort(tie_order(score.size)[tied])[-surplus:]]] = False


def _thresholds(pool: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Lowest score of each mask.

    The largest mask first, so that the next is searched among its pixels.
    """
    thresholds = np.full(len(counts), np.nan, pool.dtype)
    for fraction in np.argsort(counts)[::-1]:
        below = max(pool.size - counts[fraction], 0)
        if pool.size:
            pool.partition(below)
            pool = pool[below:]
            thresholds[fraction] = pool.min()
    return thresholds


@compiled
def _eligible(score: np.ndarray, every: bool) -> np.ndarray:
    """Copy the scores of pixels that a mask may hold: none of a map with NaN."""
    pool = np.empty_like(score)
    used, missing = 0, False
    for value in score:
        pool[used] = value
        used += every | (value > 0)
        missing |= np.isnan(value)
    return pool[: 0 if missing else used]


@compiled
def _mask_above(score: np.ndarray, thresholds: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Fill the masks (fraction, pixel) and count their pixels.

    A threshold of NaN leaves a mask empty.
    """
    areas = np.zeros(thresholds.size, np.int64)
    for fraction in range(thresholds.size):
        threshold, mask, area = thresholds[fraction], masks[fraction], 0
        for pixel in range(score.size):
            mask[pixel] = score[pixel] >= threshold
            area += mask[pixel]
        areas[fraction] = area
    return areas


def mask_shortfall(masks: np.ndarray, fractions: Sequence[float]) -> np.ndarray:
    """Count the pixels that each mask lacks because too few were eligible.

    Parameters
    ----------
    masks : numpy.ndarray, (fraction, ..., pixel), bool
        From `top_fractions`.
    fractions : sequence of float
        The shares of pixels that were asked for, in the same order.

    Returns
    -------
    numpy.ndarray, (fraction, ...), int64
        0 where the mask has its full area.

    Examples
    --------
    >>> mask_shortfall(top_fractions([[5, 1, 0, 2], [0, 0, 7, 0]], (0.25, 0.5)), (0.25, 0.5))
    array([[0, 0], [0, 1]])
    """
    wanted = np.array([top_count(fraction, masks.shape[-1]) for fraction in fractions])
    area = np.count_nonzero(masks, axis=-1)
    return wanted.reshape(-1, *[1] * (area.ndim - 1)) - area
