"""Each network's mean map over images, on a common scale.

Maps are read in blocks, and only sums are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import xarray as xr

from relstats.errors import InvalidData, UsageError
from relstats.stats.maps.single import normalise
from relstats.stats.sources import scores
from relstats.stats.sources.scores import Tally
from relstats.study import layout, shards, store

GROUP = 8  # blocks of images whose sums are in memory at once


@dataclass(frozen=True)
class MeanMaps:
    """Mean maps (network, pixel) of `n_images` images.

    `dead` networks have no relevance on any of them.
    """

    maps: np.ndarray
    tally: Tally
    dead: list[tuple[str, str]]


def relevance_of(study: xr.DataTree | xr.Dataset) -> xr.Dataset:
    """The `/relevance` group, checked.

    Raises
    ------
    UsageError
        The study has none.
    InvalidData
        It is incomplete or breaks the layout.
    """
    if isinstance(study, xr.DataTree):
        if "relevance" not in study.children:
            raise UsageError(
                "maps of differences need /relevance; this study has"
                f" {', '.join(study.children) or 'nothing'}. Add the maps"
            )
        store.require_complete(study, "relevance")
        study = study["relevance"].to_dataset()
    problems = layout.check_group(study, "relevance")
    if problems:
        raise InvalidData("; ".join(str(problem) for problem in problems))
    return study


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


def mean_maps(dataset: xr.Dataset, table: pd.DataFrame, ranking: str, nan: str) -> MeanMaps:
    """Mean of each network's maps over the images on which every network has one.

    Parameters
    ----------
    dataset : Dataset
        A `/relevance` group.
    table : DataFrame
        The networks: labels, and their positions in `cell`.
    ranking : str
        As for `density`.
    nan : {"raise", "omit"}
        "omit" leaves out images on which a map is NaN.

    Raises
    ------
    InvalidData
        Maps are damaged, infinite or, unless omitted, NaN.
    """
    array = dataset["relevance"].transpose(*layout.NETWORK, "image", "y", "x")
    labels, cells = scores.image_labels(dataset), list(table["cell"])
    step = GROUP * max(1, shards.BLOCK_VALUES // (len(cells) * array.sizes["y"] * array.sizes["x"]))
    total, tallies = np.zeros((len(cells), array.sizes["y"] * array.sizes["x"])), []
    for start in range(0, len(labels), step):
        part = slice(start, start + step)
        task = partial(_block_sum, table, ranking, labels[part])
        for found, tally in shards.over_images(array.isel(image=part), cells, task):
            total += found
            tallies.append((None, tally))
    tally = scores.gather(tallies, nan, "/relevance/relevance")[1]
    with_maps = len(labels) - tally.omitted_nan
    dead = (tally.zero_maps == with_maps) & (with_maps > 0)
    named = [(model, seed) for model, seed in table.loc[dead, ["model", "seed"]].to_numpy()]
    return MeanMaps(
        total / tally.images if tally.images else np.full_like(total, np.nan), tally, named
    )


def _block_sum(
    table: pd.DataFrame, ranking: str, labels: list[str], block: np.ndarray, images: slice
) -> tuple[np.ndarray, Tally]:
    maps, missing = scores.checked_maps(block, table, labels[images])
    total, empty = np.zeros((len(maps), maps.shape[-1])), np.zeros(missing.shape, bool)
    nan = missing.any(axis=0)
    for image in np.flatnonzero(~nan):
        one = density(maps[:, image], ranking)
        empty[:, image] = np.isnan(one[:, 0])
        if not empty[:, image].any():
            total += one
    lacking = empty.any(axis=0)
    kept = int((~nan & ~lacking).sum())
    return total, Tally(
        kept,
        int(nan.sum()),
        int(lacking.sum()),
        empty.sum(axis=1),
        scores.name_cells(missing, table, labels[images]),
    )
