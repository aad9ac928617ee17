"""Statistics of shared pixels under image swaps, group of images by group.

The arrays are in `consensus`; here maps are read, swapped and summed up.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from relstats.stats.maps import consensus as cores
from relstats.stats.sources import top_pixels
from relstats.stats.sources.top_pixels import RankedMaps
from relstats.study.top_pixels import CONSENSUS


@dataclass(frozen=True)
class SwapStatistics:
    """What images that swap maps give; `positions` are theirs.

    Arrays by swap have the images themselves first.
    """

    positions: np.ndarray  # (image,)
    largest: np.ndarray  # z, (image,)
    pixels: np.ndarray  # of the shared sets, (image, consensus)
    p_largest: np.ndarray
    p_pixels: np.ndarray
    critical: np.ndarray  # z, (image,)
    swapped: np.ndarray  # mean of pixels over swaps, (image, consensus)
    donated: np.ndarray  # what each image's maps add to `swapped` where others get them, likewise
    kept: np.ndarray  # intersection over union without a network, (image, consensus, network)
    most_z: np.ndarray  # over images, (swap,)
    most: np.ndarray  # of pixels over images, (swap, consensus)
    total: np.ndarray  # of pixels over images, (swap, consensus)
    agreement: np.ndarray  # sum over images, (swap, network)
    conditions: np.ndarray  # of pixels over images, (swap, consensus, condition)


def summed_swaps(
    maps: RankedMaps,
    kept: np.ndarray,
    expected: cores.Layout,
    n_swaps: int,
    alpha: Fraction,
    entropy: int,
) -> SwapStatistics:
    """Statistics of all images, from groups of images that swap maps among themselves."""

    def each() -> Iterator[SwapStatistics]:
        for number, positions in enumerate(top_pixels.groups(maps, kept)):
            rng = np.random.default_rng([entropy, number])
            yield _group(maps, positions, expected, n_swaps, alpha, rng)

    return functools.reduce(_merge, each())


def _group(
    maps: RankedMaps,
    positions: np.ndarray,
    expected: cores.Layout,
    n_swaps: int,
    alpha: Fraction,
    rng: np.random.Generator,
) -> SwapStatistics:
    masks, _, _ = top_pixels.read(maps, positions)
    donors = cores.swaps(n_swaps, len(masks), len(positions), rng)
    largest, pixels = cores.swap_statistics(masks, donors, maps.sizes, expected)
    agreement = cores.agreement_with_others(masks, maps.sizes, maps.n_pixels)
    both, either = cores.leave_one_out(masks, maps.sizes, range(len(positions)))
    kept = np.divide(both, either, out=np.full(both.shape, np.nan), where=either > 0)
    return SwapStatistics(
        positions,
        largest[0],
        pixels[0],
        share_as_large(largest),
        share_as_large(pixels),
        critical_value(largest, alpha),
        pixels[1:].mean(axis=0),
        donated(pixels[1:], donors[1:]),
        np.moveaxis(kept, 2, 0),
        largest.max(axis=1),
        pixels.max(axis=1),
        pixels.sum(axis=1),
        _along(agreement, donors),
        _swapped_conditions(masks, maps.sizes, donors),
    )


def share_as_large(values: np.ndarray) -> np.ndarray:
    """P-values: the share of all swaps, none among them, whose statistic is as large as that of
    none (the first).
    """
    return (values >= values[0]).mean(axis=0)


def critical_value(values: np.ndarray, alpha: Fraction) -> np.ndarray:
    """What a value must exceed for a p-value of at most alpha, from those of the swaps: (1 + swap,
    ...) to (...).
    """
    allowed = int(alpha * len(values)) - 1
    return -np.partition(-values[1:], allowed, axis=0)[allowed]


def donated(pixels: np.ndarray, donors: np.ndarray) -> np.ndarray:
    """What the maps of each image add to the shared sets of swapped maps.

    The infinitesimal jackknife of the mean over swaps: how far sets that hold a network's map of
    this image are from the mean of all, summed over networks.

    Parameters
    ----------
    pixels : ndarray, (swap, image, consensus)
        Of the shared sets.
    donors : ndarray of int, (swap, network, image)
        Which image each map is taken from; each image once.

    Returns
    -------
    ndarray, (image, consensus)
        Mean 0 over images.

    Examples
    --------
    >>> pixels, donors = np.array([[[4.0], [2.0]]]), np.array([[[1, 0], [0, 1]]])
    >>> donated(pixels, donors).ravel()
    array([0., 0.])
    """
    places = np.argsort(donors, axis=-1)  # where each image's map went
    total = np.zeros(pixels.shape[1:])
    for network in range(donors.shape[1]):
        where = places[:, network, :, np.newaxis]
        total += np.take_along_axis(pixels, where, axis=1).mean(axis=0)
    return np.asarray(total - donors.shape[1] * pixels.mean(axis=(0, 1)))


def _along(matrix: np.ndarray, donors: np.ndarray) -> np.ndarray:
    """Sums over images of (unit, donor, image) along each swap of each unit: (swap, unit)."""
    images = np.arange(matrix.shape[-1])
    return np.stack(
        [each[donors[:, unit], images].sum(axis=1) for unit, each in enumerate(matrix)], axis=1
    )


def _swapped_conditions(masks: np.ndarray, sizes: np.ndarray, donors: np.ndarray) -> np.ndarray:
    """Size of the core sets, summed over images, where only one condition is swapped: (swap,
    consensus, condition).
    """
    if len(sizes) < 2:
        return np.zeros((len(donors), len(CONSENSUS), 0))
    overlap = cores.condition_overlap(masks, sizes)
    first = np.append(0, np.cumsum(sizes)[:-1])
    return np.stack([_along(each, donors[:, first]) for each in overlap], axis=1)


_APART = (
    "positions",
    "largest",
    "pixels",
    "p_largest",
    "p_pixels",
    "critical",
    "swapped",
    "donated",
    "kept",
)

_SUMS = ("total", "agreement", "conditions")


def _merge(a: SwapStatistics, b: SwapStatistics) -> SwapStatistics:
    joined = {name: np.concatenate([getattr(a, name), getattr(b, name)]) for name in _APART}
    joined |= {name: getattr(a, name) + getattr(b, name) for name in _SUMS}
    return SwapStatistics(
        **joined, most_z=np.maximum(a.most_z, b.most_z), most=np.maximum(a.most, b.most)
    )
