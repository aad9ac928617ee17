"""Relevance in the regions of a study, network by network: maps and masks read in blocks, matched
by label, and scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr

from relstats.errors import InvalidData
from relstats.stats.inference import networks
from relstats.stats.inference.moments import Moments, merge_moments
from relstats.stats.maps import localisation
from relstats.study import check
from relstats.study.layout import REGIONS, REST
from relstats.study.maps import Block, Maps, read_maps, study_group
from relstats.study.omissions import Tally


@dataclass(frozen=True)
class Source:
    """Maps and masks of a study, and how they are scored."""

    maps: Maps
    masks: xr.DataArray
    places: np.ndarray | None
    measure: str
    ranking: str

    @property
    def names(self) -> list[str]:
        """Of the regions; the rest is last."""
        return [str(name) for name in self.masks["region"].values] + [REST]


@dataclass(frozen=True)
class Found:
    """Moments of each region, and what its masks are like: sums over images with a mask, `rest`
    last.
    """

    moments: list[Moments | None]
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
    need, advice = (
        "relevance in regions needs",
        "Add masks: relstats add regions STUDY landmarks.csv",
    )
    maps = read_maps(study, need, nan=nan)
    mask = study_group(study, REGIONS, need, advice=advice)["mask"]
    size = mask.sizes["y"], mask.sizes["x"]
    if size != maps.shape:
        raise InvalidData(
            f"/regions/mask has {size[0]} x {size[1]} pixels and the maps {maps.shape[0]} x"
            f" {maps.shape[1]}: masks are never resized. Make them at the maps' size"
        )
    if REST in mask["region"].values:
        raise InvalidData(
            f"a region is called {REST!r}, which is the name of what is in no region. Rename it, or"
            " leave it out"
        )
    return Source(maps, mask, _places(maps, mask), measure, ranking)


def _places(maps: Maps, mask: xr.DataArray) -> np.ndarray | None:
    """Where the masks of each image of the maps are; None for one template."""
    if "image" not in mask.dims:
        return None
    has = [str(v) for v in mask["image"].values]
    problems = check.disagreement(set(has), set(maps.images), "/regions", "/relevance")
    if problems:
        raise InvalidData(str(problems[0]))
    place = {label: k for k, label in enumerate(has)}
    return np.array([place[label] for label in maps.images])


def region_moments(source: Source, functionals: list[networks.Functional]) -> tuple[Found, Tally]:
    """Moments of the functionals over all images, for each region on the images on which it has a
    pixel.

    An image without a pixel in any region has no masks, as after `--align inner`: what is its rest
    is not known.

    Parameters
    ----------
    source : Source
    functionals : list of Functional
        Of its networks.

    Raises
    ------
    InvalidData
        Maps are damaged, infinite or, unless omitted, NaN; masks are damaged.
    """
    blocks, tally = source.maps.blocks(partial(_block, source, functionals))
    by_region = (
        [m for m in each if m is not None]
        for each in zip(*(block.moments for block in blocks), strict=True)
    )
    merged = [merge_moments(some) if some else None for some in by_region]
    area = np.sum([block.area for block in blocks], axis=0)
    empty = np.sum([block.n_empty for block in blocks], axis=0)
    n, unmasked = len(source.maps.images), sum(block.n_unmasked for block in blocks)
    return (
        Found(merged, area, empty, n, unmasked, max(block.overlapping for block in blocks)),
        tally,
    )


def _block(
    source: Source, functionals: list[networks.Functional], block: Block
) -> tuple[Found, Tally]:
    maps, present = block.pixels, block.present
    masks, most = _masks(source, block.images)
    scores = localisation.region_scores(maps, masks, source.measure, source.ranking)
    empty = np.broadcast_to(~masks.any(axis=-1), (len(masks), maps.shape[1]))
    masked = ~empty[:-1].all(axis=0)
    lacking = (np.isnan(scores) & ~empty).any(axis=(0, 1))
    moments = [
        _kept_moments(scores[:, r], masked & ~lacking & ~empty[r], functionals)
        for r in range(len(masks))
    ]
    without_relevance = np.zeros(block.missing.shape, bool)
    without_relevance[:, present] = np.isnan(
        localisation.relevance_weights(maps[:, present], source.ranking)[..., 0]
    )
    tally = block.tally(masked & ~lacking, without_relevance, masked & lacking & present)
    area = (masks.mean(axis=-1) * masked).sum(axis=1)
    return (
        Found(moments, area, (empty & masked).sum(axis=1), len(masked), int((~masked).sum()), most),
        tally,
    )


def _kept_moments(
    scores: np.ndarray, keep: np.ndarray, functionals: list[networks.Functional]
) -> Moments | None:
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
