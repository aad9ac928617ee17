"""Relevance in the regions of a study, network by network: maps and masks read in blocks, matched
by label, and scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import xarray as xr

from relstats.errors import InvalidData, UsageError
from relstats.stats.inference import jackknife, networks
from relstats.stats.maps import localisation
from relstats.stats.sources import scores as score_source
from relstats.stats.sources.scores import Tally
from relstats.study import layout, shards, store
from relstats.study.layout import REST


@dataclass(frozen=True)
class Source:
    """Maps and masks of a study, and how they are scored."""

    maps: xr.Dataset
    masks: xr.DataArray
    places: np.ndarray | None
    measure: str
    ranking: str
    nan: str

    @property
    def names(self) -> list[str]:
        """Of the regions; the rest is last."""
        return [str(name) for name in self.masks["region"].values] + [REST]


@dataclass(frozen=True)
class Found:
    """Moments of each region, and what its masks are like: sums over images with a mask, `rest`
    last.
    """

    moments: list[jackknife.Moments | None]
    area: np.ndarray
    n_empty: np.ndarray
    n_images: int
    n_unmasked: int
    overlapping: float


def read_source(study: xr.DataTree, measure: str, ranking: str, nan: str) -> Source:
    """The maps and masks of a study, checked: complete, of one size and of the same images.

    Raises
    ------
    UsageError
        The study has no maps, or no masks.
    InvalidData
        They are incomplete, break the layout or do not fit together.
    """
    for group, what, do in (
        ("relevance", "relevance", "add maps"),
        ("regions", "mask", "add masks: relstats regions add STUDY landmarks.csv"),
    ):
        if group not in study.children or what not in study[group].data_vars:
            raise UsageError(
                f"this study has no /{group}, which regions need; it has"
                f" {', '.join(study.children)}: {do}"
            )
    store.require_complete(study, "relevance")
    maps, masks = study["relevance"].to_dataset(), study["regions"].to_dataset()
    problems = layout.check_group(maps, "relevance") + layout.check_group(masks, "regions")
    if problems:
        raise InvalidData("; ".join(str(problem) for problem in problems))
    mask = masks["mask"]
    for dim in ("y", "x"):
        if mask.sizes[dim] != maps.sizes[dim]:
            raise InvalidData(
                f"/regions/mask has {mask.sizes['y']} x {mask.sizes['x']} pixels and the maps"
                f" {maps.sizes['y']} x {maps.sizes['x']}: masks are never resized. Make them at the"
                " maps' size"
            )
    if REST in mask["region"].values:
        raise InvalidData(
            f"a region is called {REST!r}, which is the name of what is in no region. Rename it, or"
            " leave it out"
        )
    return Source(maps, mask, _places(maps, mask), measure, ranking, nan)


def _places(maps: xr.Dataset, mask: xr.DataArray) -> np.ndarray | None:
    """Where the masks of each image of the maps are; None for one template."""
    if "image" not in mask.dims:
        return None
    has, want = [str(v) for v in mask["image"].values], score_source.image_labels(maps)
    problems = layout.disagreement(set(has), set(want), "/regions", "/relevance")
    if problems:
        raise InvalidData(str(problems[0]))
    place = {label: k for k, label in enumerate(has)}
    return np.array([place[label] for label in want])


def region_moments(
    source: Source, table: pd.DataFrame, functionals: list[networks.Functional]
) -> tuple[Found, Tally]:
    """Moments of the functionals over all images, for each region on the images on which it has a
    pixel.

    An image without a pixel in any region has no masks, as after `--align inner`: what is its rest
    is not known.

    Parameters
    ----------
    source : Source
    table : DataFrame
        The networks: labels, and their positions in `cell`.
    functionals : list of Functional
        Of these networks.

    Raises
    ------
    InvalidData
        Maps are damaged, infinite or, unless omitted, NaN; masks are damaged.
    """
    array = source.maps["relevance"].transpose(*layout.NETWORK, "image", "y", "x")
    labels = score_source.image_labels(source.maps)
    one = partial(_block, source, table, labels, functionals)
    blocks, tally = score_source.gather(
        shards.over_images(array, list(table["cell"]), one), source.nan, "/relevance/relevance"
    )
    by_region = (
        [m for m in each if m is not None]
        for each in zip(*(block.moments for block in blocks), strict=True)
    )
    merged = [jackknife.merge_moments(some) if some else None for some in by_region]
    area = np.sum([block.area for block in blocks], axis=0)
    empty = np.sum([block.n_empty for block in blocks], axis=0)
    n, unmasked = len(labels), sum(block.n_unmasked for block in blocks)
    return (
        Found(merged, area, empty, n, unmasked, max(block.overlapping for block in blocks)),
        tally,
    )


def _block(
    source: Source,
    table: pd.DataFrame,
    labels: list[str],
    functionals: list[networks.Functional],
    block: np.ndarray,
    images: slice,
) -> tuple[Found, Tally]:
    maps, missing = score_source.checked_maps(block, table, labels[images])
    masks, most = _masks(source, images)
    scores = localisation.region_scores(maps, masks, source.measure, source.ranking)
    empty = np.broadcast_to(~masks.any(axis=-1), (len(masks), maps.shape[1]))
    masked = ~empty[:-1].all(axis=0)
    lacking = (np.isnan(scores) & ~empty).any(axis=(0, 1))
    nan = missing.any(axis=0)
    moments = [
        _kept_moments(scores[:, r], masked & ~lacking & ~empty[r], functionals)
        for r in range(len(masks))
    ]
    zero = np.isnan(localisation.relevance_weights(maps[:, ~nan], source.ranking)[..., 0]).sum(
        axis=1
    )
    tally = Tally(
        int((masked & ~lacking).sum()),
        int(nan.sum()),
        int((masked & lacking & ~nan).sum()),
        zero,
        score_source.name_cells(missing, table, labels[images]),
    )
    area = (masks.mean(axis=-1) * masked).sum(axis=1)
    return (
        Found(moments, area, (empty & masked).sum(axis=1), len(masked), int((~masked).sum()), most),
        tally,
    )


def _kept_moments(
    scores: np.ndarray, keep: np.ndarray, functionals: list[networks.Functional]
) -> jackknife.Moments | None:
    return (
        networks.network_moments(scores[:, np.newaxis, keep], functionals) if keep.any() else None
    )


def _masks(source: Source, images: slice) -> tuple[np.ndarray, float]:
    """Masks of a block of images, (region, image or 1, pixel), with the rest.

    And the largest share in several of them.
    """
    mask = source.masks
    try:
        if source.places is None:
            values = mask.transpose("region", "y", "x").values[:, np.newaxis]
        else:
            values = (
                mask.transpose("region", "image", "y", "x").isel(image=source.places[images]).values
            )
    except Exception as error:
        # Any error of a codec or a file system: the reader needs the place, not the traceback.
        raise InvalidData(
            f"/regions/mask, images {images.start} to {images.stop - 1}, cannot be read "
            f"({str(error).splitlines()[0]}). Add the regions again with --force"
        ) from error
    flat = values.reshape(*values.shape[:2], -1)
    several = flat.sum(axis=0)
    return np.concatenate([flat, several[np.newaxis] == 0]), float(
        (several > 1).mean(axis=-1).max()
    )


def dead_networks(table: pd.DataFrame, tally: Tally, source: Source) -> list[tuple[str, str]]:
    """(model, seed) of networks without relevance on any image that has no NaN."""
    with_maps = source.maps.sizes["image"] - tally.omitted_nan
    dead = (tally.zero_maps == with_maps) & (with_maps > 0)
    return [(model, seed) for model, seed in table.loc[dead, ["model", "seed"]].to_numpy()]
