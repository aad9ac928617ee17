"""Labelled RDMs to arrays and back: pairs of images are matched by the two labels, in either order,
never by position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from relstats.errors import InvalidData, UsageError
from relstats.study import check

ENDS = ("image_i", "image_j")


@dataclass(frozen=True)
class Rdms:
    """RDMs over the same images.

    Attributes
    ----------
    values : ndarray, (..., pair)
        All pairs of `images`, upper triangle row by row; NaN where missing.
    images : tuple of str
        Sorted: results must not depend on the order in a file.
    """

    values: np.ndarray
    images: tuple[str, ...]

    def of(self, images: Sequence[str]) -> Rdms:
        """The same on some of the images."""
        place = {image: k for k, image in enumerate(self.images)}
        kept = sorted(images)
        index = np.array([place[image] for image in kept])
        first, second = np.triu_indices(len(kept), 1)
        return Rdms(
            self.values[..., position(index[first], index[second], len(self.images))], tuple(kept)
        )


def position(first: np.ndarray, second: np.ndarray, n: int) -> np.ndarray:
    """Where the pairs of images `first` < `second` are in an RDM of n images.

    Examples
    --------
    >>> position(np.array([0, 1, 2]), np.array([1, 3, 3]), 4)
    array([0, 4, 5])
    """
    return first * (2 * n - first - 1) // 2 + second - first - 1


def pair_labels(images: Sequence[str]) -> dict[str, tuple[str, np.ndarray]]:
    """Coordinates of all pairs, upper triangle row by row.

    Examples
    --------
    >>> {name: labels.tolist() for name, (_, labels) in pair_labels(["a", "b", "c"]).items()}
    {'image_i': ['a', 'a', 'b'], 'image_j': ['b', 'c', 'c']}
    """
    first, second = np.triu_indices(len(images), 1)
    names = np.array(images, dtype=object)
    return {ENDS[0]: ("pair", names[first]), ENDS[1]: ("pair", names[second])}


def read_pairs(array: xr.DataArray, name: str) -> Rdms:
    """Read an array with a dim `pair` whose coordinates `image_i` and `image_j` name the two
    images.

    Parameters
    ----------
    array : DataArray, (..., pair)
        Pairs in any order, each once, either way round. Those that are not listed are missing
        (NaN).
    name : str
        What it is, for messages.

    Returns
    -------
    Rdms

    Raises
    ------
    InvalidData
        No such dim or coordinates, labels that are not text, an image paired with itself, a pair
        twice, infinite values.

    Examples
    --------
    >>> array = xr.DataArray(
    ...     [2.0, 1.0],
    ...     dims="pair",
    ...     coords={"image_i": ("pair", ["b", "c"]), "image_j": ("pair", ["a", "a"])},
    ... )
    >>> rdms = read_pairs(array, "ratings")
    >>> rdms.images, rdms.values
    (('a', 'b', 'c'), array([ 2.,  1., nan]))
    """
    lacking = [end for end in ENDS if end not in array.coords]
    if "pair" not in array.dims or lacking:
        raise InvalidData(
            f"{name} has dims {array.dims} and lacks {', '.join(lacking) or 'none'} of the"
            " coordinates image_i, image_j: pairs are matched by label. Give it a dim 'pair' with"
            " both"
        )
    array = array.transpose(..., "pair")
    ends = np.array([_text(array[end].values, f"{end} of {name}") for end in ENDS], dtype=object)
    images = tuple(sorted(set(ends.ravel())))
    number = {image: k for k, image in enumerate(images)}
    index = np.sort([[number[label] for label in end] for end in ends], axis=0)
    _check_pairs(index, images, name)
    where = position(index[0], index[1], len(images))
    values = np.full((*array.shape[:-1], len(images) * (len(images) - 1) // 2), np.nan)
    values[..., where] = array.values
    if np.isinf(values).any():
        raise InvalidData(
            f"{name} holds {np.isinf(values).sum()} infinite dissimilarities; mend them, or mark"
            " them missing (NaN)"
        )
    return Rdms(values, images)


def _text(labels: np.ndarray, name: str) -> list[str]:
    wrong = [label for label in labels.tolist() if not isinstance(label, str)]
    if wrong:
        raise InvalidData(
            f"{name}: {len(wrong)} label(s) are not text (e.g. {wrong[0]!r}). Write ids as text:"
            " '007' is not 7"
        )
    return [str(label) for label in labels]


def _check_pairs(index: np.ndarray, images: tuple[str, ...], name: str) -> None:
    same = np.flatnonzero(index[0] == index[1])
    if len(same):
        raise InvalidData(
            f"{name}: {len(same)} pair(s) of an image with itself (e.g."
            f" {images[index[0, same[0]]]!r}). A dissimilarity has two images: leave these out"
        )
    found, count = np.unique(index, axis=1, return_counts=True)
    if (count > 1).any():
        i, j = found[:, np.argmax(count > 1)]
        raise InvalidData(
            f"{name}: {(count > 1).sum()} pair(s) are there more than once (e.g. {images[i]!r} and"
            f" {images[j]!r}, in either order): which one counts is not known. Average them"
            " yourself"
        )


def align(
    left: Rdms, right: Rdms, names: tuple[str, str], how: str = "exact"
) -> tuple[Rdms, Rdms, list[str]]:
    """Bring two sets of RDMs onto the same images, by label.

    Parameters
    ----------
    left, right : Rdms
    names : tuple of str
        What they are, for messages.
    how : {"exact", "inner"}
        "inner" keeps the images that both have.

    Returns
    -------
    left, right : Rdms
    dropped : list of str
        Images that only one had.

    Raises
    ------
    InvalidData
        Images differ (with both lists), or none is common.

    Examples
    --------
    >>> one, other = Rdms(np.zeros(3), ("a", "b", "c")), Rdms(np.zeros(3), ("b", "c", "d"))
    >>> align(one, other, ("models", "people"), "inner")[2]
    ['a', 'd']
    """
    if how not in ("exact", "inner"):
        raise UsageError(f"align is {how!r}; it is one of exact, inner")
    sets = set(left.images), set(right.images)
    common, dropped = sets[0] & sets[1], sorted(sets[0] ^ sets[1])
    if dropped and (how == "exact" or len(common) < 2):
        raise InvalidData(str(check.disagreement(*sets, *names)[0]))
    return left.of(sorted(common)), right.of(sorted(common)), dropped
