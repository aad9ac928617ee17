"""Masks of the most relevant pixels, on the device: one rank map for each map, then a comparison
for each fraction.

The rule is that of the analysis (`relstats.stats.maps.single.top_fractions`), bit for bit: which
pixels are eligible is said in both, and a test holds them together; how many a fraction is and
which of equal ones are taken both have from `relstats.study.top_pixels`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from relstats.errors import UsageError
from relstats.study.top_pixels import RANKINGS, tie_order, top_count

#: Maps that are sorted at once: sorting holds 24 bytes for each of their pixels.
_SORTED_AT_ONCE = 64


def places(relevance: Tensor, ranking: str = "positive") -> Tensor:
    """Place of each pixel in the order of relevance: 0 is the most relevant one.

    Parameters
    ----------
    relevance : Tensor, (map, pixel), floating
        Maps of any scale, on any device.
    ranking : {"positive", "absolute", "signed"}
        "positive": by relevance, and only pixels above 0 are eligible. "absolute": by absolute
        relevance, only pixels other than 0. "signed": by relevance, every pixel of a map that has
        any.

    Returns
    -------
    Tensor, (map, pixel), int32
        `place < top_count(fraction, pixels)` is the mask of a fraction. Pixels that are not
        eligible, and all pixels of a map without relevance or with NaN, have a place beyond the
        last.

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
        raise UsageError(
            f"ranking={ranking!r}: unknown, so no pixel is on top; use one of {', '.join(RANKINGS)}"
        )
    order = torch.from_numpy(np.argsort(tie_order(relevance.shape[-1]))).to(relevance.device)
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


def top_fractions(
    relevance: Tensor, fractions: Sequence[float], ranking: str = "positive"
) -> Tensor:
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
        Equal to `relstats.stats.maps.single.top_fractions`: fewer pixels than asked for where too
        few are eligible.

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
