"""All draws of images at once, for complete RDMs and comparisons that are ratios of sums: a few
matrix products. Plain arrays.

`comparisons.weigh` says the same draw by draw; here the weights of all draws multiply the products
of all RDMs.
"""

from __future__ import annotations

import numpy as np

_CENTRED = ("corr", "corr_cov")
_RIDGES = {"corr_cov": 2.0, "cosine_cov": 2.0, "unbiased_cka": 0.0}
COMPARISONS = ("corr", "cosine", *_RIDGES)
#: Numbers in memory at once. Larger RDMs gain nothing by being taken together.
LARGEST = 2**23
_EPS = float(np.finfo(float).eps)


def compare_all_draws(
    a: np.ndarray, b: np.ndarray, counts: np.ndarray, comparison: str
) -> np.ndarray:
    """Agreement of RDMs in each draw.

    Parameters
    ----------
    a : ndarray, (k, pair)
        From `comparisons.prepared`, as is `b`; without NaN.
    b : ndarray, (s, pair)
    counts : ndarray, (draw, image)
    comparison : str
        One of `COMPARISONS`.

    Returns
    -------
    ndarray, (draw, k, s)
        NaN where a vector says nothing in a draw; also in draws of "corr_cov", "cosine_cov" and
        "unbiased_cka" in which an image makes up half of it, which are left to the other way.
    """
    step = max(1, LARGEST // a.shape[1])
    parts = [
        _some(a, b, counts[start : start + step], comparison)
        for start in range(0, len(counts), step)
    ]
    return np.concatenate(parts)


def _some(a: np.ndarray, b: np.ndarray, counts: np.ndarray, comparison: str) -> np.ndarray:
    first, second = np.triu_indices(counts.shape[1], 1)
    weights = counts[:, first] * counts[:, second]
    vectors = np.concatenate([a, b])
    products = (weights @ (a[:, np.newaxis] * b).reshape(-1, a.shape[1]).T).reshape(
        len(counts), len(a), len(b)
    )
    squares = weights @ (vectors**2).T
    raw, means = squares, np.zeros(squares.shape)
    if comparison in _CENTRED:
        total = weights.sum(axis=1, keepdims=True)
        means = weights @ vectors.T / total
        products = (
            products
            - means[:, : len(a), np.newaxis]
            * means[:, np.newaxis, len(a) :]
            * total[..., np.newaxis]
        )
        squares = squares - means**2 * total
    if comparison in _RIDGES:
        sums, effects = _image_effects(vectors, means, counts, _RIDGES[comparison])
        weighted = sums * counts[:, np.newaxis]
        products = products - weighted[:, : len(a)] @ effects[:, len(a) :].transpose(0, 2, 1)
        squares = squares - (weighted * effects).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        norms = np.sqrt(np.where(squares > a.shape[1] * _EPS * raw, squares, np.nan))
    return np.clip(
        products / norms[:, : len(a), np.newaxis] / norms[:, np.newaxis, len(a) :], -1, 1
    )


def _image_effects(
    vectors: np.ndarray, means: np.ndarray, counts: np.ndarray, ridge: float
) -> tuple[np.ndarray, np.ndarray]:
    """Sums over the pairs of each image, and effects r as in `whitening`: (draw, vector, image)."""
    n = counts.shape[1]
    square = np.zeros((len(vectors), n, n))
    square[:, *np.triu_indices(n, 1)] = vectors
    square += square.transpose(0, 2, 1)
    size = counts.sum(axis=1, keepdims=True)
    sums = (counts @ square.reshape(-1, n).T).reshape(len(counts), len(vectors), n)
    sums -= means[..., np.newaxis] * (size - counts)[:, np.newaxis]
    diagonal = ridge + size - 2.0 * counts
    diagonal[(diagonal == 0).any(axis=1)] = np.nan
    share = counts / diagonal
    common = (sums * share[:, np.newaxis]).sum(axis=-1) / (1 + share.sum(axis=1))[:, np.newaxis]
    return sums, (sums - common[..., np.newaxis]) / diagonal[:, np.newaxis]
