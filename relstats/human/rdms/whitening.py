"""What the entries of an RDM share because they share an image: whitening, and removal of image
effects.

Two dissimilarities with an image in common err together. With equal, independent errors of the
images' patterns their covariance is V = (CC') o (CC'), C the contrasts of all pairs (Diedrichsen et
al. 2021, arXiv:2007.02789). V u = v is the system 2 u_ij + r_i + r_j = v_ij with r_i the sum of u
over the pairs of image i: one unknown an image, not one a pair. With 0 in place of the 2, r are the
least-squares effects of images: what is left of v then is its U-centring (Szekely & Rizzo 2014,
doi:10.1214/14-AOS1255), and the cosine of what is left is unbiased linear CKA.
"""

from __future__ import annotations

import numpy as np

from relstats.stats.maps.single import compiled

#: Keeps the least-squares system regular where image effects are not unique; relative to the pairs
#: of an image.
_RIDGE = 1e-12


def without_images(
    values: np.ndarray, first: np.ndarray, second: np.ndarray, counts: np.ndarray, ridge: float
) -> np.ndarray:
    """Take from each pair the effects of its two images: `values - r_i - r_j`.

    Parameters
    ----------
    values : ndarray, (vector, pair)
        Any unit.
    first, second : ndarray of int, (pair,)
        Positions of the images of each pair; each pair once.
    counts : ndarray, (image,)
        How often each image was drawn; copies are images of their own, and have no pair with each
        other.
    ridge : float
        2 for whitening (the result is twice u), 0 for least squares.

    Returns
    -------
    ndarray, (vector, pair), float64

    Examples
    --------
    >>> first, second = np.triu_indices(4, 1)
    >>> sums = np.array([[1.0, 2, 4, 8]])
    >>> (
    ...     without_images(sums[:, first] + sums[:, second], first, second, np.ones(4), 0).round(9)
    ...     + 0.0
    ... )
    array([[0., 0., 0., 0., 0., 0.]])
    """
    sums = _sums_by_image(np.ascontiguousarray(values, dtype=float), first, second, counts)
    drawn = int((counts > 0).sum())
    if (counts[first] * counts[second] > 0).sum() == drawn * (drawn - 1) // 2:
        effects = _all_pairs(sums, counts, ridge)
    else:
        effects = _some_pairs(sums, first, second, counts, ridge)
    return values - effects[:, first] - effects[:, second]


def _all_pairs(sums: np.ndarray, counts: np.ndarray, ridge: float) -> np.ndarray:
    """(ridge + n - 2 w_i) r_i + sum_k w_k r_k = s_i: a diagonal and one common sum."""
    diagonal = ridge + counts.sum() - 2.0 * counts
    # An image makes up half of a draw: this way divides by 0, though the system is regular.
    if (diagonal == 0).any():
        first, second = np.triu_indices(len(counts), 1)
        return _some_pairs(sums, first, second, counts, ridge)
    common = (sums / diagonal) @ counts / (1 + (counts / diagonal).sum())
    return (sums - common[:, np.newaxis]) / diagonal


def _some_pairs(
    sums: np.ndarray, first: np.ndarray, second: np.ndarray, counts: np.ndarray, ridge: float
) -> np.ndarray:
    matrix = np.zeros((len(counts), len(counts)))
    matrix[first, second] = matrix[second, first] = 1.0
    matrix *= counts
    degree = matrix.sum(axis=1)
    diagonal = ridge + degree * (1 + _RIDGE * (ridge == 0))
    # an image without a pair has no effect
    matrix[np.diag_indices(len(counts))] += np.where(diagonal > 0, diagonal, 1.0)
    return np.linalg.solve(matrix, sums.T).T


@compiled
def _sums_by_image(
    values: np.ndarray, first: np.ndarray, second: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Sum over the pairs of each image, each as often as the other image was drawn."""
    sums = np.zeros((values.shape[0], counts.size))
    for vector in range(values.shape[0]):
        for pair in range(values.shape[1]):
            i, j = first[pair], second[pair]
            sums[vector, i] += values[vector, pair] * counts[j]
            sums[vector, j] += values[vector, pair] * counts[i]
    return sums
