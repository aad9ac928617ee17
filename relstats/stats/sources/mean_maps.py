"""Each network's mean map over images, on a common scale.

Maps are read in blocks, and only sums are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from relstats.stats.maps.single import normalise
from relstats.study.maps import Block, Maps
from relstats.study.omissions import Tally


@dataclass(frozen=True)
class MeanMaps:
    """Mean maps (network, pixel) of `n_images` images.

    `dead` networks have no relevance on any of them.
    """

    maps: np.ndarray
    tally: Tally
    dead: list[tuple[str, str]]


def density(maps: np.ndarray, ranking: str) -> np.ndarray:
    """Relevance of each pixel, as a multiple of what evenly spread relevance gives.

    Parameters
    ----------
    maps : ndarray, (..., pixel)
        Relevance maps, any scale.
    ranking : {"positive", "absolute", "signed"}
        What counts: the positive part, the absolute value, or relevance itself over its absolute
        sum.

    Returns
    -------
    ndarray, (..., pixel), float64
        Absolute values are 1 on average. NaN where a map has no such relevance, or has NaN.

    Examples
    --------
    >>> density(np.array([3.0, -1.0, 0.0, 0.0]), "signed")
    array([ 3., -1.,  0.,  0.])
    """
    counted = (
        np.maximum(maps, 0)
        if ranking == "positive"
        else np.abs(maps)
        if ranking == "absolute"
        else maps
    )
    return normalise(counted, "l1") * maps.shape[-1]


def mean_maps(maps: Maps, ranking: str) -> MeanMaps:
    """Mean of each network's maps over the images on which every network has one.

    Parameters
    ----------
    maps : Maps
    ranking : str
        As for `density`.

    Raises
    ------
    InvalidData
        Maps are damaged, infinite or, unless omitted, NaN.
    """
    total, tally = maps.total(partial(_block_sum, ranking))
    mean = total / tally.images if tally.images else np.full_like(total, np.nan)
    return MeanMaps(mean, tally, maps.dead(tally))


def _block_sum(ranking: str, block: Block) -> tuple[np.ndarray, Tally]:
    maps, used = block.pixels, block.present
    total, empty = np.zeros((len(maps), maps.shape[-1])), np.zeros(block.missing.shape, bool)
    for image in np.flatnonzero(used):
        densities = density(maps[:, image], ranking)
        empty[:, image] = np.isnan(densities[:, 0])
        used[image] = not empty[:, image].any()
        if used[image]:
            total += densities
    return total, block.tally(used, empty)
