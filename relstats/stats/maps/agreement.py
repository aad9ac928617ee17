"""How far the relevance maps of networks agree, image by image: all pairs of networks at once.

Array cores: maps come as (network, image, pixel), and every measure is a matrix product per image,
of ranks, of values or of masks. Symmetric measures compare two maps; `capture` is directed, from
the map that chooses pixels to the one that is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from relstats.errors import InvalidData, UsageError
from relstats.stats.maps.ranks import midranks
from relstats.stats.maps.single import FRACTIONS, as_floating, compiled, normalise, top_fractions


def agreement(
    maps: np.ndarray,
    measure: str,
    *,
    fractions: Sequence[float] = FRACTIONS,
    ranking: str = "positive",
) -> np.ndarray:
    """Agreement of every network's map with every other's, for each image.

    Parameters
    ----------
    maps : array_like, (network, image, pixel)
        Relevance maps; any scale, which may differ between maps.
    measure : {"spearman", "pearson", "cosine", "iou", "dice", "capture"}
        "spearman": correlation of midranks. "pearson": of relevance. "cosine": of relevance, not
        centred. "iou": pixels in both top-fraction masks over pixels in either. "dice": twice the
        pixels in both over the sum of both areas. "capture": share of the target's positive
        relevance on the source's top pixels.
    fractions : sequence of float
        Shares of pixels of the masks ("iou", "dice", "capture").
    ranking : {"positive", "absolute", "signed"}
        Which pixels are on top, see `relstats.stats.maps.single.top_fractions`.

    Returns
    -------
    numpy.ndarray, (network, network, fraction, image), float64
        Correlations in [-1, 1] with one `fraction`, the others in [0, 1]. For "capture" the first
        axis is the source, the second the target. The diagonal is 1, for "capture" what a network's
        own top pixels hold. NaN in a network's row and column where its map is constant
        ("spearman", "pearson"), without relevance ("cosine"), or its mask is empty ("iou", "dice");
        for "capture" in its row where the mask is empty, in its column where it has no positive
        relevance. A map with NaN is NaN in both.

    Raises
    ------
    InvalidData
        If `maps` has not three axes, or an empty one.
    UsageError
        If the measure, the ranking or a fraction is unknown.

    Notes
    -----
    Midranks are centred in float64, where their products add up without rounding up to 300,000
    pixels: "spearman" does not depend on the order of summation, hence not on the BLAS, on its
    threads or on the order of networks.

    Examples
    --------
    >>> maps = np.array([[[4, 3, 0, 0]], [[0, 8, 2, 0]]], np.float32)
    >>> agreement(maps, "iou", fractions=[0.25, 0.5])[0, 1, :, 0]
    array([0. , 0.33])
    >>> agreement(maps, "capture", fractions=[0.25, 0.5])[:, :, 1, 0]
    array([[1.  , 0.8 ], [0.43, 1.  ]])
    """
    return several(maps, (measure,), fractions=fractions, ranking=ranking)[measure]


def several(
    maps: np.ndarray,
    measures: Sequence[str],
    *,
    fractions: Sequence[float] = FRACTIONS,
    ranking: str = "positive",
) -> dict[str, np.ndarray]:
    """Several measures in one pass over the maps; masks are made once.

    Parameters
    ----------
    maps, fractions, ranking
        See `agreement`.
    measures : sequence of str
        Names of measures.

    Returns
    -------
    dict of str to numpy.ndarray
        What `agreement` returns, by measure.

    Examples
    --------
    >>> maps = np.array([[[4, 3, 0, 0]], [[0, 8, 2, 0]]], np.float32)
    >>> found = several(maps, ["spearman", "dice"], fractions=[0.5])
    >>> {measure: values[0, 1, 0, 0].item() for measure, values in found.items()}
    {'spearman': -0.056, 'dice': 0.5}
    """
    maps = np.asarray(maps)
    _check(maps, measures)
    networks, images = maps.shape[:2]
    depth = {measure: 1 if measure in _VECTORS else len(fractions) for measure in measures}
    results = {
        measure: np.empty((networks, networks, depth[measure], images)) for measure in measures
    }
    for image in range(images):
        for measure, pairs in _of_image(
            as_floating(maps[:, image]), list(results), fractions, ranking
        ):
            results[measure][..., image] = np.moveaxis(pairs, 0, -1)
    return results


def unit_vectors(maps: np.ndarray, measure: str) -> np.ndarray:
    """Maps as vectors of length 1 whose products are their agreement.

    Parameters
    ----------
    maps : array_like, (network, pixel)
        Maps of one image.
    measure : {"spearman", "pearson", "cosine"}
        See `agreement`.

    Returns
    -------
    numpy.ndarray, (network, pixel), float64
        NaN throughout where `agreement` is NaN.

    Examples
    --------
    >>> vectors = unit_vectors([[4, 3, 0, 0], [0, 8, 2, 0]], "spearman")
    >>> (vectors @ vectors.T).round(2)
    array([[ 1.  , -0.06],
           [-0.06,  1.  ]])
    """
    vectors = _VECTORS[measure](as_floating(maps))
    length = np.sqrt((vectors**2).sum(axis=-1, keepdims=True))
    return vectors / np.where(length > 0, length, np.nan)


def _check(maps: np.ndarray, measures: Sequence[str]) -> None:
    if maps.ndim != 3 or 0 in maps.shape:
        raise InvalidData(
            f"maps of shape {maps.shape}: networks are compared image by image, which needs the"
            " axes (network, image, pixel), none of them empty; stack (model, seed) into network,"
            " (y, x) into pixel"
        )
    unknown = [measure for measure in measures if measure not in MEASURES]
    if unknown or not measures:
        raise UsageError(
            f"measure {', '.join(map(repr, unknown)) or 'missing'}: use one of"
            f" {', '.join(MEASURES)}"
        )


def _of_image(
    maps: np.ndarray, measures: Sequence[str], fractions: Sequence[float], ranking: str
) -> Iterator[tuple[str, np.ndarray]]:
    """Each measure as (fraction, network, network), of one image's maps (network, pixel)."""
    for measure in measures:
        if measure in _VECTORS:
            yield measure, _cosines(_VECTORS[measure](maps))[np.newaxis]
    if not set(measures) <= set(_VECTORS):
        masks = top_fractions(maps, fractions, ranking)
        shared = _shared_pixels(_packed(masks))
        area = np.diagonal(shared, axis1=1, axis2=2).astype(float)
        area[area == 0] = np.nan
        for measure in measures:
            if measure in _OVERLAPS:
                yield (
                    measure,
                    _OVERLAPS[measure](shared, area[:, :, np.newaxis] + area[:, np.newaxis]),
                )
            elif measure == "capture":
                yield (
                    measure,
                    _captured(masks, maps) * np.where(np.isnan(area), np.nan, 1)[:, :, np.newaxis],
                )


def _centred_ranks(maps: np.ndarray) -> np.ndarray:
    return np.subtract(midranks(maps), (maps.shape[-1] + 1) / 2, dtype=np.float64)


def _centred(maps: np.ndarray) -> np.ndarray:
    """Subtract each map's mean.

    A constant map becomes exactly 0, which its rounded mean would not give.
    """
    with np.errstate(invalid="ignore"):
        deviations = maps - maps.mean(axis=-1, keepdims=True, dtype=np.float64)
    deviations[maps.min(axis=-1) == maps.max(axis=-1)] = 0
    return normalise(deviations, "max")


def _uncentred(maps: np.ndarray) -> np.ndarray:
    return normalise(maps, "max")


def _cosines(vectors: np.ndarray) -> np.ndarray:
    products = vectors @ vectors.T
    squares = np.diagonal(products).copy()
    squares[squares == 0] = np.nan
    return np.clip(products / np.sqrt(np.outer(squares, squares)), -1, 1)


def _captured(masks: np.ndarray, maps: np.ndarray) -> np.ndarray:
    shares = normalise(np.maximum(maps, 0), "l1").T
    # Rounding alone can carry the sum of shares beyond 1.
    return np.stack([np.minimum(mask.astype(np.float64) @ shares, 1) for mask in masks])


_VECTORS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "spearman": _centred_ranks,
    "pearson": _centred,
    "cosine": _uncentred,
}
_OVERLAPS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "iou": lambda shared, areas: shared / (areas - shared),
    "dice": lambda shared, areas: 2 * shared / areas,
}
MEASURES = (*_VECTORS, *_OVERLAPS, "capture")


def _packed(masks: np.ndarray) -> np.ndarray:
    """64 pixels to a word; the last word is filled up with zeros."""
    packed = np.packbits(masks, axis=-1)
    words = np.zeros((*masks.shape[:-1], -(-masks.shape[-1] // 64) * 8), np.uint8)
    words[..., : packed.shape[-1]] = packed
    return words.view(np.uint64)


@intrinsic
def _popcount(typing: Any, word: Any) -> Any:
    """Count the bits of a word with the processor's own instruction."""
    return types.uint64(types.uint64), lambda context, builder, signature, words: builder.ctpop(
        words[0]
    )


@compiled
def _shared_pixels(words: np.ndarray) -> np.ndarray:
    """Pixels in both masks: (fraction, network, word) to (fraction, network, network)."""
    fractions, networks, length = words.shape
    shared = np.empty((fractions, networks, networks), np.int64)
    for fraction in range(fractions):
        for one in range(networks):
            for other in range(one + 1):
                count = np.uint64(0)
                for word in range(length):
                    count += _popcount(words[fraction, one, word] & words[fraction, other, word])  # type: ignore[call-arg]
                shared[fraction, one, other] = shared[fraction, other, one] = count
    return shared
