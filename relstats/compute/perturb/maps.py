"""The maps whose pixels are masked: those of the sources, or of the controls (random maps, or the
maps of other images).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from relstats.compute.perturb import fills
from relstats.compute.perturb.designs import Design, Part
from relstats.errors import InvalidData
from relstats.study import shards


def read_maps(design: Design, part: Part) -> np.ndarray:
    """The maps that choose a part's pixels.

    Returns
    -------
    ndarray, (source or draw, image, pixel), float32 or float64

    Raises
    ------
    InvalidData
        A map cannot be read, or holds NaN or infinite values: which.
    """
    where = design.images(part.block)
    if part.sources:
        maps = shards.read_block(design.relevance, [design.sources[s] for s in part.sources], where)
        return finite(
            maps.reshape(*maps.shape[:2], -1),
            [design.sources[s] for s in part.sources],
            design.ids[where],
        )
    if design.settings.control == "random":
        return np.array([_random_maps(design, where, draw) for draw in part.draws])
    return np.array([_swapped_maps(design, swaps(design, part.block, draw)) for draw in part.draws])


def _random_maps(design: Design, where: slice, draw: int) -> np.ndarray:
    """Maps of which every pixel is eligible and none preferred, in (0, 1]."""
    pixels, seed = int(np.prod(design.relevance.shape[-2:])), design.settings.seed
    return 1 - np.array(
        [
            fills.stream(seed, image, 1, draw).random(pixels, np.float32)
            for image in design.ids[where]
        ]
    )


def _swapped_maps(design: Design, drawn: np.ndarray) -> np.ndarray:
    """The map of another image for each image; each source's maps are read together."""
    maps = np.empty(
        (len(drawn), *design.relevance.shape[-2:]),
        np.result_type(design.relevance.dtype, np.float32),
    )
    for source in np.unique(drawn[:, 0]):
        rows = np.flatnonzero(drawn[:, 0] == source)
        cell, others = design.sources[source], np.unique(drawn[rows, 1])
        found = _read_some(design, cell, others)
        finite(found[np.newaxis], [cell], [design.ids[k] for k in others])
        maps[rows] = found[np.searchsorted(others, drawn[rows, 1])]
    return maps.reshape(len(drawn), -1)


def _read_some(design: Design, cell: tuple[int, ...], images: np.ndarray) -> np.ndarray:
    try:
        found: np.ndarray = design.relevance[cell].isel(image=images).values
    except (
        Exception
    ) as error:  # whatever the store raises: the reader needs the cell, not the traceback
        reason = str(error).splitlines()[0]
        raise InvalidData(
            f"/relevance/relevance: cell {cell} cannot be read ({reason}). Restore the shard or"
            " compute it again; `relstats validate --deep` lists all"
        ) from error
    return found


def finite(maps: np.ndarray, cells: Sequence[tuple[int, ...]], ids: Sequence[str]) -> np.ndarray:
    """The maps (source, image, ...) as floating numbers, none of them NaN or infinite."""
    maps = maps.astype(np.result_type(maps.dtype, np.float32), copy=False)
    wrong = ~np.isfinite(maps).all(tuple(range(2, maps.ndim)))
    if wrong.any():
        source, image = np.argwhere(wrong)[0]
        raise InvalidData(
            f"/relevance/relevance: {wrong.sum()} map(s) hold NaN or infinite values (e.g. cell"
            f" {cells[source]}, image {ids[image]!r}): their pixels have no order. Compute them"
            " again, or leave the images out"
        )
    return maps


def swaps(design: Design, block: int, draw: int) -> np.ndarray:
    """Whose maps are the control of each image of a block: a source, and another image, drawn for
    that image alone.

    Returns
    -------
    ndarray of int, (image, 2)
        Positions of the source and of the image. They do not depend on the target: all are shown
        the same controls.

    Raises
    ------
    InvalidData
        There is one image only.
    """
    n, where = len(design.ids), design.images(block)
    if n < 2:
        raise InvalidData(
            'control "image_swap" takes the maps of other images, and there is one only. Give'
            ' control = "random"'
        )
    drawn = []
    for k, image in enumerate(design.ids[where], start=where.start):
        rng = fills.stream(design.settings.seed, image, 1, draw)
        drawn.append((rng.integers(len(design.sources)), (k + rng.integers(1, n)) % n))
    return np.array(drawn)
