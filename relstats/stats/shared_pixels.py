"""The maps of shared pixels, lazily: read when they are asked for, or saved."""

from __future__ import annotations

import functools
from typing import Any

import dask
import dask.array
import numpy as np
import xarray as xr

from relstats.stats.maps import consensus as cores
from relstats.stats.sources import top_pixels
from relstats.stats.sources.top_pixels import RankedMaps
from relstats.study.top_pixels import CONSENSUS


def lazy_maps(
    maps: RankedMaps, kept: np.ndarray, expected: cores.Layout, result: xr.Dataset, consensus: str
) -> xr.Dataset:
    """The maps of the result, lazily: a block of images is read when it is asked for."""
    shape = maps.shape
    wanted = cores.needed(maps.sizes)[CONSENSUS.index(consensus)]
    step = maps.images_per_block
    parts: list[list[Any]] = [[], [], []]
    dtypes = (np.uint8 if len(maps.cells) < 2**8 else np.uint16, bool, bool)
    for start in range(0, len(kept), step):
        positions, critical = (
            kept[start : start + step],
            result["critical_z"].values[start : start + step],
        )
        made = dask.delayed(
            functools.partial(_pixel_block, maps, expected, wanted, positions, critical, dtypes[0]),
            pure=False,
        )()
        for part, k, dtype in zip(parts, range(3), dtypes, strict=True):
            part.append(dask.array.from_delayed(made[k], (len(positions), *shape), dtype))
    values = [(("image", "y", "x"), dask.array.concatenate(part)) for part in parts]
    layout = {
        "expected_count": (("y", "x"), expected.mean.reshape(shape)),
        "spread": (("y", "x"), expected.spread.reshape(shape)),
    }
    attrs = {"fraction": maps.fraction, "ranking": maps.ranking, "consensus": consensus}
    pixels = xr.Dataset(
        {**dict(zip(("count", "core", "beyond_chance"), values, strict=True)), **layout}
    )
    pixels["core"].attrs = attrs | {
        "about": "pixels among the top fraction of as many networks as n_needed, in every condition"
    }
    pixels["beyond_chance"].attrs = attrs | {
        "about": "pixels with z above critical_z: family-wise over the pixels of an image"
    }
    return pixels


def _pixel_block(
    maps: RankedMaps,
    expected: cores.Layout,
    wanted: np.ndarray,
    positions: np.ndarray,
    critical: np.ndarray,
    dtype: type,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    masks, _, _ = top_pixels.read(maps, positions)
    count = cores.counts(masks, maps.sizes, maps.n_pixels)
    core = (count >= wanted[:, np.newaxis, np.newaxis]).all(axis=0)
    total = count.sum(axis=0)
    beyond = (total - expected.mean) / expected.spread > critical[:, np.newaxis]
    shape = (len(positions), *maps.shape)
    return total.astype(dtype).reshape(shape), core.reshape(shape), beyond.reshape(shape)
