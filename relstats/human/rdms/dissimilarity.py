"""Dissimilarity of all pairs of images, from maps or features, in blocks of pixels: one matrix
product. Plain arrays.

Nothing is copied at full length: a block of pixels is centred and scaled while it is read, so that
extra memory is the RDM.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from relstats.errors import InvalidData, UsageError
from relstats.stats.maps.ranks import midranks

#: How two images are compared.
Dissimilarity = Literal["correlation", "spearman", "cosine", "euclidean"]
DISSIMILARITIES: tuple[Dissimilarity, ...] = get_args(Dissimilarity)
#: Pixels worked on at a time, in float64.
_PIXELS = 1024


@dataclass(frozen=True)
class Dissimilarities:
    """RDM of one network, and the images that have none.

    Attributes
    ----------
    rdm : ndarray, (pair,)
        Upper triangle row by row; NaN in all pairs of an image that is missing or degenerate.
    missing, degenerate : ndarray of bool, (image,)
        NaN in the map; constant ("correlation", "spearman"), or all zero ("cosine").
    """

    rdm: np.ndarray
    missing: np.ndarray
    degenerate: np.ndarray


@dataclass(frozen=True)
class _Scale:
    """What is subtracted from and multiplied with each row."""

    centre: np.ndarray
    factor: np.ndarray
    missing: np.ndarray
    degenerate: np.ndarray


def dissimilarities(features: np.ndarray, dissimilarity: str = "correlation") -> Dissimilarities:
    """Compare all pairs of rows.

    Parameters
    ----------
    features : array_like, (image, feature)
        Maps (stacked y, x), or activations; real, finite or NaN; any scale.
    dissimilarity : {"correlation", "spearman", "cosine", "euclidean"}
        1 - Pearson, 1 - Spearman (midranks), 1 - cosine, squared Euclidean distance over the number
        of features.

    Returns
    -------
    Dissimilarities
        Float64; 0 to 2, or not negative for "euclidean" (in squared units of the features).

    Raises
    ------
    UsageError
        Unknown dissimilarity.
    InvalidData
        Not two axes, or infinite values.

    Examples
    --------
    >>> dissimilarities(np.array([[1, 2, 3], [3, 2, 1], [1, 3, 2]])).rdm
    array([2. , 0.5, 1.5])
    """
    features = np.asarray(features)
    if features.ndim != 2 or features.dtype.kind not in "biuf":
        raise InvalidData(
            f"features of shape {features.shape} and dtype {features.dtype}: give real numbers of"
            " shape (image, feature)"
        )
    return tiled(lambda images: features[images], len(features), len(features), dissimilarity)


def tiled(
    read: Callable[[slice], np.ndarray], n_images: int, tile: int, dissimilarity: str
) -> Dissimilarities:
    """The same from a store: two tiles of images are in memory at a time.

    Parameters
    ----------
    read : callable
        From a slice of images to their (image, feature).
    n_images, tile : int
        How many images there are, and how many are read at once.
    dissimilarity : str
        As in `dissimilarities`.

    Returns
    -------
    Dissimilarities
    """
    if dissimilarity not in DISSIMILARITIES:
        raise UsageError(
            f"dissimilarity is {dissimilarity!r}; RDMs are made by {', '.join(DISSIMILARITIES)}"
        )
    parts = [slice(start, min(start + tile, n_images)) for start in range(0, n_images, tile)]
    products = np.empty((n_images, n_images))
    scales: list[_Scale] = []
    pixels = 1
    for k, columns in enumerate(parts):  # upper tiles only: rows never come after columns
        right = _values(read(columns), dissimilarity)
        scales.append(_scale(right, dissimilarity))
        pixels = right.shape[1]
        products[columns, columns] = _products(right, scales[k], right, scales[k])
        for j, rows in enumerate(parts[:k]):
            left = _values(read(rows), dissimilarity)
            products[rows, columns] = _products(left, scales[j], right, scales[k])
    missing, degenerate = (
        np.concatenate([getattr(s, what) for s in scales]) for what in ("missing", "degenerate")
    )
    return Dissimilarities(
        _condensed(products, dissimilarity, pixels, missing | degenerate), missing, degenerate
    )


def _values(block: np.ndarray, dissimilarity: str) -> np.ndarray:
    # midranks of a row with NaN are NaN throughout
    return midranks(block) if dissimilarity == "spearman" else block


def _scale(values: np.ndarray, dissimilarity: str) -> _Scale:
    with np.errstate(invalid="ignore", over="ignore"):
        total = values.sum(axis=1, dtype=float)
        low, high = values.min(axis=1).astype(float), values.max(axis=1).astype(float)
    if np.isinf(low).any() or np.isinf(high).any():
        raise InvalidData(
            f"{(np.isinf(low) | np.isinf(high)).sum()} image(s) have infinite features: a distance"
            " to them means nothing (float16 overflows at 65504)"
        )
    missing = np.isnan(total)
    centred = dissimilarity in ("correlation", "spearman")
    degenerate = ~missing & (
        (low == high) if centred else (np.maximum(-low, high) == 0) & (dissimilarity == "cosine")
    )
    centre = total / values.shape[1] if centred else np.zeros(len(values))
    if dissimilarity == "euclidean":
        return _Scale(centre, np.ones(len(values)), missing, degenerate)
    # the peak goes first: squares near the ends of the range of floats would overflow or vanish
    peak = np.where(missing | degenerate, 1.0, np.maximum(-low, high) + np.abs(centre))
    squares = np.zeros(len(values))
    for start in range(0, values.shape[1], _PIXELS):
        part = (values[:, start : start + _PIXELS] - centre[:, np.newaxis]) / peak[:, np.newaxis]
        squares += np.einsum("ip,ip->i", part, part)
    factor = 1 / (np.sqrt(np.where(missing | degenerate, 1.0, squares)) * peak)
    return _Scale(centre, factor, missing, degenerate)


def _products(left: np.ndarray, a: _Scale, right: np.ndarray, b: _Scale) -> np.ndarray:
    """Products of centred and scaled rows, block by block of pixels."""
    total = np.zeros((len(left), len(right)))
    for start in range(0, left.shape[1], _PIXELS):
        block = slice(start, start + _PIXELS)
        rows = (left[:, block] - a.centre[:, np.newaxis]) * a.factor[:, np.newaxis]
        columns = (
            rows
            if left is right
            else (right[:, block] - b.centre[:, np.newaxis]) * b.factor[:, np.newaxis]
        )
        total += rows @ columns.T  # numpy computes half of it where both are the same
    return total


def _condensed(
    products: np.ndarray, dissimilarity: str, pixels: int, without: np.ndarray
) -> np.ndarray:
    first, second = np.triu_indices(len(products), 1)
    values = products[first, second]
    if dissimilarity == "euclidean":
        squares = np.diag(products)
        values = np.maximum(squares[first] + squares[second] - 2 * values, 0) / pixels
    else:
        values = 1 - np.clip(values, -1, 1)
    return np.where(without[first] | without[second], np.nan, values)
