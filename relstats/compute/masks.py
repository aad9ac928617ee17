"""Masks of the most relevant pixels, on the device: one rank map for each map, then a comparison for each fraction.

The rule is that of the analysis (`relstats.stats.maps.top_fractions`), bit for bit: how many pixels a fraction is,
which pixels are eligible, which of equal ones are taken. It stands here a second time because what computes scores
and what analyses them meet in the store alone; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from relstats.errors import UsageError

RANKINGS = ("positive", "absolute", "signed")
#: Maps that are sorted at once: sorting holds 24 bytes for each of their pixels.
_SORTED_AT_ONCE = 64


def top_count(fraction: float, pixels: int) -> int:
    """Count the pixels of a mask: `fraction * pixels` as one would on paper, halves rounded up, at least 1.

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
            f"fraction={fraction}: a mask holds a share of the pixels, in (0, 1]; give 0.05 for the top 5 %"
        )
    return max(1, int((Decimal(str(float(fraction))) * pixels).to_integral_value(ROUND_HALF_UP)))


@lru_cache(maxsize=4)
def tie_order(pixels: int) -> np.ndarray:
    """Pixels in a fixed, scrambled order, in which equal ones are taken: ties have no spatial bias.

    Parameters
    ----------
    pixels : int
        Number of pixels of a map.

    Returns
    -------
    numpy.ndarray, (pixel,), int64
        The pixels, first to last: sorted by the numbers of splitmix64 seeded with 0 (Steele, Lea & Flood 2014).

    Examples
    --------
    >>> tie_order(8)
    array([2, 4, 6, 5, 1, 7, 0, 3])
    """
    mixed = np.arange(1, pixels + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.argsort(mixed ^ (mixed >> np.uint64(31)))


def places(relevance: Tensor, ranking: str = "positive") -> Tensor:
    """Place of each pixel in the order of relevance: 0 is the most relevant one.

    Parameters
    ----------
    relevance : Tensor, (map, pixel), floating
        Maps of any scale, on any device.
    ranking : {"positive", "absolute", "signed"}
        "positive": by relevance, and only pixels above 0 are eligible. "absolute": by absolute relevance, only pixels
        other than 0. "signed": by relevance, every pixel of a map that has any.

    Returns
    -------
    Tensor, (map, pixel), int32
        `place < top_count(fraction, pixels)` is the mask of a fraction. Pixels that are not eligible, and all pixels of
        a map without relevance or with NaN, have a place beyond the last.

    Raises
    ------
    UsageError
        If the ranking is unknown.

    Examples
    --------
    >>> places(torch.tensor([[3.0, -9.0, 0.0, 1.0]]))
    tensor([[0, 4, 4, 1]], dtype=torch.int32)
    """
    if ranking not in RANKINGS:
        raise UsageError(f"ranking={ranking!r}: unknown, so no pixel is on top; use one of {', '.join(RANKINGS)}")
    order = torch.from_numpy(tie_order(relevance.shape[-1])).to(relevance.device)
    found = torch.empty(relevance.shape, dtype=torch.int32, device=relevance.device)
    for first in range(0, len(relevance), _SORTED_AT_ONCE):
        some = slice(first, first + _SORTED_AT_ONCE)
        found[some] = _places(relevance[some], ranking, order)
    return found


def _places(relevance: Tensor, ranking: str, order: Tensor) -> Tensor:
    # + 0: a sort may put -0.0 before 0.0, and they are ties
    score = (relevance.abs() if ranking == "absolute" else relevance) + 0.0
    # equal pixels keep the order in which they are given
    ranked = order[torch.sort(score[:, order], dim=-1, descending=True, stable=True).indices]
    steps = torch.arange(score.shape[-1], dtype=torch.int32, device=score.device)
    place = torch.empty_like(score, dtype=torch.int32).scatter_(1, ranked, steps.expand_as(ranked))
    eligible = (score != 0).any(-1, keepdim=True) if ranking == "signed" else score > 0
    return torch.where(eligible & ~score.isnan().any(-1, keepdim=True), place, score.shape[-1])


def top_fractions(relevance: Tensor, fractions: Sequence[float], ranking: str = "positive") -> Tensor:
    """Mask the most relevant pixels of each map, for several shares of pixels.

    Parameters
    ----------
    relevance, ranking
        See `places`.
    fractions : sequence of float
        Shares of pixels, in (0, 1].

    Returns
    -------
    Tensor, (fraction, map, pixel), bool
        Equal to `relstats.stats.maps.top_fractions`: fewer pixels than asked for where too few are eligible.

    Raises
    ------
    UsageError
        If a fraction or the ranking is impossible.

    Examples
    --------
    >>> top_fractions(torch.tensor([[5.0, 1, 0, 2], [0, 0, 7, 0]]), (0.25, 0.5)).int()
    tensor([[[1, 0, 0, 0], [0, 0, 1, 0]],
            [[1, 0, 0, 1], [0, 0, 1, 0]]], dtype=torch.int32)
    """
    counts = [top_count(fraction, relevance.shape[-1]) for fraction in fractions]
    place = places(relevance, ranking)
    return torch.stack([place < count for count in counts])
