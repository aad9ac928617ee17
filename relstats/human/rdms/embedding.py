"""Multidimensional scaling of an RDM, for plots: images as points whose distances are their
dissimilarities. Plain arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relstats.errors import InvalidData, UsageError
from relstats.human.rdms.vectors import as_rdms, n_images


@dataclass(frozen=True)
class Embedding:
    """Points for images.

    Attributes
    ----------
    points : ndarray, (image, dimension)
        In the unit of the RDM; centred, and turned so that the first axis has the largest variance.
    stress : float
        Kruskal's stress-1: root of the squared misfit over the squared distances. 0 is perfect,
        above 0.2 poor.
    """

    points: np.ndarray
    stress: float


def mds(
    rdm: np.ndarray, *, n_dimensions: int = 2, max_iterations: int = 300, tolerance: float = 1e-7
) -> Embedding:
    """Metric multidimensional scaling: SMACOF from the classical solution. Deterministic.

    Parameters
    ----------
    rdm : array_like, (pair,)
        Dissimilarities, not negative, without NaN; upper triangle row by row.
    n_dimensions : int
        Of the points; fewer than the images.
    max_iterations : int
    tolerance : float
        Stops where stress falls by less than this share of itself.

    Returns
    -------
    Embedding

    Raises
    ------
    InvalidData
        Missing or negative dissimilarities, or all are 0.
    UsageError
        More dimensions than images allow.

    Notes
    -----
    De Leeuw 1977, Kruskal 1964 (doi:10.1007/BF02289565). Distances in two dimensions are not the
    RDM: quote the stress.

    Examples
    --------
    >>> found = mds(np.array([3.0, 5.0, 4.0]))
    >>> bool(found.stress < 1e-6)
    True
    """
    values = as_rdms(rdm, "rdm")[0]
    n = n_images(values)
    if not (values >= 0).all() or not values.any():
        raise InvalidData(
            f"{np.isnan(values).sum()} of {values.size} dissimilarities are missing and"
            f" {(values < 0).sum()} negative (or all are 0): points have distances, all known and"
            " not negative. Average over participants first"
        )
    if not 1 <= n_dimensions < n:
        raise UsageError(f"n_dimensions is {n_dimensions}; {n} images span 1 to {n - 1}")
    wanted = np.zeros((n, n))
    wanted[np.triu_indices(n, 1)] = values
    wanted += wanted.T
    points, stress = _classical(wanted, n_dimensions), np.inf
    for _ in range(max_iterations):
        before, (points, stress) = stress, _step(points, wanted)
        if before - stress <= tolerance * stress:
            break
    return Embedding(_turned(points), stress)


def _classical(wanted: np.ndarray, n_dimensions: int) -> np.ndarray:
    centre = np.eye(len(wanted)) - 1 / len(wanted)
    values, vectors = np.linalg.eigh(-centre @ wanted**2 @ centre / 2)
    chosen = np.argsort(values)[::-1][:n_dimensions]
    points: np.ndarray = vectors[:, chosen] * np.sqrt(np.maximum(values[chosen], 0))
    return points


def _step(points: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, float]:
    """One Guttman transform, and the stress before it."""
    distances = np.sqrt(((points[:, np.newaxis] - points) ** 2).sum(axis=-1))
    stress = float(np.sqrt(((distances - wanted) ** 2).sum() / (distances**2).sum()))
    ratio = np.divide(wanted, distances, out=np.zeros_like(wanted), where=distances > 0)
    return (np.diag(ratio.sum(axis=1)) - ratio) @ points / len(points), stress


def _turned(points: np.ndarray) -> np.ndarray:
    """Principal axes; the first image that is off an axis lies on its positive side."""
    points = points - points.mean(axis=0)
    points = points @ np.linalg.svd(points, full_matrices=False)[2].T
    largest = np.abs(points).argmax(axis=0)
    turned: np.ndarray = points * np.where(
        points[largest, np.arange(points.shape[1])] < 0, -1.0, 1.0
    )
    return turned
