"""How much of a relevance map lies in a region.

Plain arrays: maps (network, image, pixel) and masks (region, image, pixel).

None of the scores depends on the scale of relevance.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from relstats.errors import UsageError
from relstats.stats.inference.moments import EPS
from relstats.stats.maps.single import RANKINGS, as_floating

Measure = Literal["density", "mass", "rank", "pointing"]
MEASURES = get_args(Measure)


def region_scores(
    maps: np.ndarray, masks: np.ndarray, measure: str, ranking: str = "positive"
) -> np.ndarray:
    """Score of every region, for each map.

    Parameters
    ----------
    maps : array_like, (network, image, pixel)
        Relevance maps; any scale, which may differ between maps.
    masks : ndarray of bool, (region, image, pixel)
        Regions may overlap. One image stands for all.
    measure : {"density", "mass", "rank", "pointing"}
        "mass": share of the map's relevance that lies in the region. "density": mass over the
        region's share of the pixels; 1 is what relevance spread evenly gives. "rank": of the K most
        relevant pixels, the share that lies in the region of K pixels (relevance rank accuracy;
        mass is relevance mass accuracy: Arras, Osman & Samek 2022,
        doi:10.1016/j.inffus.2021.11.008). "pointing": whether the most relevant pixel lies in the
        region (Zhang et al. 2018, doi:10.1007/s11263-017-1059-x, without tolerance).
    ranking : {"positive", "absolute", "signed"}
        What counts as relevance: its positive part, its absolute value, or itself.

    Returns
    -------
    ndarray, (network, region, image), float64
        Shares lie in [0, 1], but for signed ones, which may be negative or above 1; those of
        regions that part the image among them add up to 1. Tied pixels count by halves, thirds,
        ...: the mean over all ways to break the tie. NaN where the region is empty; where the map
        has no such relevance (all zero) or NaN; for signed mass and density also where relevance
        does not sum to more than 0, so that nothing can be a share of it.

    Raises
    ------
    UsageError
        Unknown measure or ranking.

    Examples
    --------
    >>> maps = np.array([[[3.0, 1.0, -4.0, 0.0]]])
    >>> masks = np.array([[[True, False, False, False]], [[False, True, True, True]]])
    >>> region_scores(maps, masks, "mass")[0, :, 0]
    array([0.75, 0.25])
    >>> region_scores(maps, masks, "density")[0, :, 0]
    array([3.  , 0.33])
    """
    for what, value, known in (("measure", measure, MEASURES), ("ranking", ranking, RANKINGS)):
        if value not in known:
            raise UsageError(f"{what} is {value!r}; it is one of {', '.join(known)}")
    maps = as_floating(maps)
    scores = np.empty((maps.shape[0], masks.shape[0], maps.shape[1]))
    for image in range(maps.shape[1]):
        weights = relevance_weights(maps[:, image], ranking)
        own = masks[:, image if masks.shape[1] > 1 else 0]
        area = own.sum(axis=-1)
        found = _SCORES[measure](weights, own, area)
        scores[..., image] = np.where(
            (area > 0) & ~np.isnan(weights).any(axis=-1)[:, np.newaxis], found, np.nan
        )
    return scores


def relevance_weights(maps: np.ndarray, ranking: str) -> np.ndarray:
    """What counts of maps (..., pixel), divided by its largest absolute value.

    NaN where there is nothing.
    """
    counted = np.abs(maps) if ranking == "absolute" else maps
    counted = np.maximum(counted, 0) if ranking == "positive" else counted
    peak = np.abs(counted).max(axis=-1, keepdims=True).astype(np.float64)
    return counted / np.where(peak > 0, peak, np.nan)


def _mass(weights: np.ndarray, masks: np.ndarray, area: np.ndarray) -> np.ndarray:
    total = weights.sum(axis=-1, keepdims=True)
    rounding = EPS * weights.shape[-1] * np.abs(weights).sum(axis=-1, keepdims=True)
    return (weights @ masks.T.astype(np.float64)) / np.where(total > rounding, total, np.nan)


def _density(weights: np.ndarray, masks: np.ndarray, area: np.ndarray) -> np.ndarray:
    return _mass(weights, masks, area) * weights.shape[-1] / np.maximum(area, 1)


def _rank(weights: np.ndarray, masks: np.ndarray, area: np.ndarray) -> np.ndarray:
    """The K-th largest weight is the threshold.

    Of the pixels tied there, each is among the K with equal chance.
    """
    ordered = np.sort(weights, axis=-1)
    scores = np.empty((len(weights), len(masks)))
    for r, (mask, count) in enumerate(zip(masks, np.maximum(area, 1), strict=True)):
        threshold = ordered[:, -count, np.newaxis]
        inside = weights[:, mask]
        above = (inside > threshold).sum(axis=-1)
        places = count - (weights > threshold).sum(axis=-1)
        tied = (inside == threshold).sum(axis=-1) / np.maximum(
            (weights == threshold).sum(axis=-1), 1
        )
        scores[:, r] = (above + places * tied) / count
    return scores


def _pointing(weights: np.ndarray, masks: np.ndarray, area: np.ndarray) -> np.ndarray:
    highest = weights == weights.max(axis=-1, keepdims=True)
    return (highest @ masks.T.astype(np.float64)) / np.maximum(
        highest.sum(axis=-1, keepdims=True), 1
    )


_SCORES = {"density": _density, "mass": _mass, "rank": _rank, "pointing": _pointing}
