"""How well RDMs agree: every comparison, over all pairs of images or a bootstrap draw of images.

Plain arrays in and out.

A draw is a vector of counts: how often it holds each image. Pair (i, j) then has weight count_i *
count_j, and copies of one image have no pair with each other. So no RDM is ever resampled: each
comparison is a ratio of weighted sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from relstats.errors import InvalidData, UsageError
from relstats.human.rdms import batched
from relstats.human.rdms.ranks import dense_codes, weighted_midranks, weighted_tau_a
from relstats.human.rdms.vectors import (
    MIN_PAIRS,
    Graph,
    as_rdms,
    by_pairs,
    n_images,
    shared_pairs,
)
from relstats.human.rdms.whitening import without_images

#: How two RDMs are compared.
Comparison = Literal[
    "rho-a", "spearman", "tau-a", "corr", "cosine", "corr_cov", "cosine_cov", "unbiased_cka"
]
COMPARISONS: tuple[Comparison, ...] = get_args(Comparison)
RANKED = ("rho-a", "spearman", "tau-a")
#: Of these, no partial comparison exists: they are no cosines.
WITHOUT_PARTIAL = ("rho-a", "tau-a")
_CENTRED = ("corr", "corr_cov")
_WHITENED = ("corr_cov", "cosine_cov")
_EPS = float(np.finfo(float).eps)


def compare_rdms(
    a: np.ndarray, b: np.ndarray, comparison: str = "rho-a", *, control: np.ndarray | None = None
) -> np.ndarray:
    """Agreement of every RDM of one set with every RDM of another.

    Parameters
    ----------
    a : array_like, (k, pair) or (pair,)
        RDMs, say of models; pairs in upper-triangle row order: (0, 1), (0, 2), ..., (1, 2), ...;
        any unit. NaN where missing.
    b : array_like, (s, pair) or (pair,)
        RDMs, say of participants, on the same images in the same order.
    comparison : str
        "rho-a": 12 sum (r_a - mean)(r_b - mean) / (n^3 - n) of midranks, the expected Spearman
        correlation where ties are broken at random. "spearman", "tau-a" (Kendall, ties count as
        neither), "corr" (Pearson), "cosine". "corr_cov", "cosine_cov": of RDMs whitened by the
        covariance of their entries; "cosine_cov" is linear CKA, biased upwards by noise.
        "unbiased_cka": cosine after image effects are taken out of both.
    control : array_like, (c, pair), optional
        RDMs to hold constant: a partial correlation. Not for "rho-a" and "tau-a". Comparisons of
        ranks rank the controls too.

    Returns
    -------
    ndarray, (k, s), float64
        In [-1, 1]. Signs are kept. With NaN: each RDM of `b` is compared on its own pairs, the same
        for all of `a`: those on which it, every one of `a` and every control is known; RDMs of `a`
        that are NaN throughout are left out of this and give NaN. NaN too where an RDM is constant
        on its pairs (zero for "cosine" and "cosine_cov"), or nothing is left of it after image
        effects or controls, or fewer than 3 pairs are known.

    Raises
    ------
    UsageError
        Unknown comparison; one without a partial form.
    InvalidData
        Lengths that differ, are no number of pairs, or hold infinite values.

    Notes
    -----
    Kriegeskorte et al. 2008 (doi:10.3389/neuro.06.004.2008); rho-a: Schuett et al. 2023
    (doi:10.7554/eLife.82566); whitening: Diedrichsen et al. 2021 (arXiv:2007.02789); unbiased CKA:
    Szekely & Rizzo 2014 (doi:10.1214/14-AOS1255).

    Examples
    --------
    >>> model, person = (
    ...     np.array([1.0, 2, 3, 4, 5, 6]),
    ...     np.array([[1.0, 2, 3, 4, 6, 5], [3.0, 3, 3, 3, 3, 3]]),
    ... )
    >>> compare_rdms(model, person, "spearman")
    array([[0.943,   nan]])
    """
    a, b = as_rdms(a, "a"), as_rdms(b, "b")
    controls = None if control is None else as_rdms(control, "control")
    check(a, b, a[:0] if controls is None else controls, comparison)
    known = np.isfinite(a).any(axis=1)
    out = np.full((len(a), len(b)), np.nan)
    out[known] = compare_draws(
        a[known], b, np.ones((1, n_images(b))), comparison, control=controls
    )[0]
    return out


def compare_draws(
    a: np.ndarray,
    b: np.ndarray,
    counts: np.ndarray,
    comparison: str,
    *,
    control: np.ndarray | None = None,
) -> np.ndarray:
    """Agreement of RDMs in each of many draws of images.

    Parameters
    ----------
    a, b, comparison, control
        As in `compare_rdms`, 2-d.
    counts : ndarray, (draw, image)
        How often each draw holds each image.

    Returns
    -------
    ndarray, (draw, k, s), float64
        NaN as in `compare_rdms`, draw by draw.

    Examples
    --------
    >>> rdms = np.random.default_rng(1).random((3, 10))
    >>> as_drawn = np.array([[1, 1, 1, 1, 1], [2, 0, 1, 1, 1]])
    >>> compare_draws(rdms[:1], rdms, as_drawn, "corr").shape
    (2, 1, 3)
    """
    control = np.empty((0, a.shape[1])) if control is None else control
    out = np.full((len(counts), len(a), len(b)), np.nan)
    first, second = np.triu_indices(counts.shape[1], 1)
    counts = np.asarray(counts, float)
    for rows, pairs in shared_pairs(a, b, control):
        vectors = [prepared(v[:, pairs], comparison) for v in (a, b[rows], control)]
        todo = np.arange(len(counts))
        if (
            comparison in batched.COMPARISONS
            and len(pairs) == a.shape[1]
            and not len(control)
            and a.size * len(b) < batched.LARGEST
        ):
            out[:, :, rows] = batched.compare_all_draws(vectors[0], vectors[1], counts, comparison)
            todo = np.flatnonzero(np.isnan(out[:, :, rows]).any(axis=(1, 2)))
        for draw in todo:
            graph = Graph(first[pairs], second[pairs], counts[draw])
            out[draw][:, rows] = _cross(*_drawn(vectors, graph), comparison)
    return out


def prepared(vectors: np.ndarray, comparison: str) -> np.ndarray:
    """Codes of ranks, or values on a scale of their own that squares cannot leave.

    The order of values stays.
    """
    if comparison in RANKED:
        return dense_codes(vectors)
    if comparison in _CENTRED:
        vectors = vectors - vectors.mean(axis=1, keepdims=True, dtype=float)
    peak = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
    scaled: np.ndarray = vectors / np.where(peak > 0, peak, 1)
    return scaled


def _drawn(
    vectors: list[np.ndarray], graph: Graph
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Graph]:
    """Only the pairs that a draw holds."""
    held = np.flatnonzero(graph.weights)
    if len(held) == len(graph.first):
        return (*vectors, graph)  # type: ignore[return-value]
    return (*(v[:, held] for v in vectors), graph.part(held))  # type: ignore[return-value]


@dataclass(frozen=True)
class Weighted:
    """Vectors of a draw, ready for products.

    `left @ right.T` are the products, `norm` their roots with themselves.

    Attributes
    ----------
    left, right : ndarray, (vector, pair)
    norm : ndarray, (vector,)
        NaN where a vector says nothing.
    """

    left: np.ndarray
    right: np.ndarray
    norm: np.ndarray


def weigh(vectors: np.ndarray, graph: Graph, comparison: str) -> Weighted:
    """The vectors of a comparison in one draw, which holds every pair that is passed.

    Parameters
    ----------
    vectors : ndarray, (vector, pair)
        From `prepared`, or a part of its columns.
    graph : Graph
        Of these pairs.
    comparison : str
        Not "tau-a", which is no product.

    Returns
    -------
    Weighted

    Examples
    --------
    >>> graph = Graph(np.array([0, 0, 1]), np.array([1, 2, 2]), np.ones(3))
    >>> weigh(np.array([[0, 1, 2]]), graph, "spearman").right
    array([[-1.,  0.,  1.]])
    """
    weights = graph.weights
    total = weights.sum()
    constant = vectors.min(axis=1) == vectors.max(axis=1)
    if comparison in RANKED:
        vectors = weighted_midranks(vectors, weights) - (total + 1) / 2
    elif comparison in _CENTRED:
        vectors = vectors - (vectors @ weights / total)[:, np.newaxis]
    right, whole = vectors, vectors
    if comparison in _WHITENED:
        right = without_images(vectors, graph.first, graph.second, graph.counts, 2.0)
    elif comparison == "unbiased_cka":
        for _ in range(2):  # the second time takes away what rounding left of image effects
            right = vectors = without_images(vectors, graph.first, graph.second, graph.counts, 0.0)
    left = vectors * weights
    squares = np.einsum("kp,kp->k", left, right)
    nothing = constant if comparison in (*RANKED, *_CENTRED) else squares <= 0
    if comparison == "unbiased_cka":
        nothing = squares <= (_EPS * vectors.shape[1]) ** 2 * (whole**2 @ weights)
    if comparison == "rho-a":
        squares = np.full(len(vectors), (total**3 - total) / 12)
    return Weighted(left, right, np.sqrt(np.where(nothing, np.nan, squares)))


def _cross(
    a: np.ndarray, b: np.ndarray, control: np.ndarray, graph: Graph, comparison: str
) -> np.ndarray:
    """Agreement of each of `a` with each of `b` in one draw: (k, s)."""
    if len(graph.first) < MIN_PAIRS:
        return np.full((len(a), len(b)), np.nan)
    if comparison == "tau-a":
        return _taus(a, b, graph.weights)
    parts = [weigh(vectors, graph, comparison) for vectors in (a, b, control)]
    products = parts[0].left @ parts[1].right.T
    norms = [part.norm for part in parts[:2]]
    if len(control):
        products, norms = _partial(parts, products)
    return np.asarray(np.clip(products / np.outer(*norms), -1, 1))


def _taus(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> np.ndarray:
    out = np.full((len(a), len(b)), np.nan)
    for k, s in np.ndindex(out.shape):
        if np.ptp(a[k]) and np.ptp(b[s]):
            out[k, s] = weighted_tau_a(a[k], b[s], weights)
    return out


def _partial(parts: list[Weighted], products: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Products and norms of what is left of vectors after controls are projected out."""
    control = parts[2]
    among = control.left @ control.right.T / np.outer(control.norm, control.norm)
    slopes = [(part.left @ control.right.T) / control.norm for part in parts[:2]]
    inverse = np.linalg.pinv(among) if np.isfinite(among).all() else np.full(among.shape, np.nan)
    left = []
    for part, slope in zip(parts[:2], slopes, strict=True):
        squares = part.norm**2 - np.einsum("kc,cd,kd->k", slope, inverse, slope)
        some = squares > part.left.shape[1] * _EPS * part.norm**2
        left.append(np.sqrt(np.where(some, squares, np.nan)))
    return products - slopes[0] @ inverse @ slopes[1].T, left


def compare_rows(a: np.ndarray, b: np.ndarray, count: np.ndarray, comparison: str) -> np.ndarray:
    """Agreement of each row of `a` with the same row of `b` in one draw, each row on the pairs that
    both know.

    Parameters
    ----------
    a, b : ndarray, (s, pair)
        NaN where missing.
    count : ndarray, (image,)
        The draw.

    Returns
    -------
    ndarray, (s,)
        NaN as in `compare_rdms`.

    Examples
    --------
    >>> rdms = np.random.default_rng(1).random((2, 10))
    >>> compare_rows(rdms, rdms, np.ones(5), "corr")
    array([1., 1.])
    """
    first, second = np.triu_indices(len(count), 1)
    held = count[first] * count[second] > 0
    out = np.full(len(a), np.nan)
    for rows, pairs in by_pairs(np.isfinite(a) & np.isfinite(b) & held):
        graph = Graph(first[pairs], second[pairs], np.asarray(count, float))
        ours, theirs = (prepared(v[np.ix_(rows, pairs)], comparison) for v in (a, b))
        out[rows] = compare_prepared(ours, theirs, graph, comparison)
    return out


def compare_prepared(a: np.ndarray, b: np.ndarray, graph: Graph, comparison: str) -> np.ndarray:
    """Agreement of each row of `a` with the same row of `b`, both from `prepared`, in a draw that
    holds every pair: (s,).
    """
    if comparison == "tau-a":
        pairs = zip(a, b, strict=True)
        return np.array(
            [_taus(x[np.newaxis], y[np.newaxis], graph.weights)[0, 0] for x, y in pairs]
        )
    one, other = (weigh(v, graph, comparison) for v in (a, b))
    products = np.einsum("sp,sp->s", one.left, other.right)
    return np.asarray(np.clip(products / one.norm / other.norm, -1, 1))


def check(a: np.ndarray, b: np.ndarray, control: np.ndarray, comparison: str) -> None:
    """Refuse unknown comparisons, and RDMs of different length."""
    if comparison not in COMPARISONS:
        raise UsageError(f"comparison is {comparison!r}; it is one of {', '.join(COMPARISONS)}")
    if len(control) and comparison in WITHOUT_PARTIAL:
        raise UsageError(
            f"comparison {comparison!r} has no partial form, so nothing can be held constant; use"
            " 'spearman' with controls"
        )
    lengths = {a.shape[1], b.shape[1], control.shape[1]}
    if len(lengths) > 1:
        raise InvalidData(
            f"RDMs of {a.shape[1]}, {b.shape[1]} and {control.shape[1]} pairs (a, b, control): they"
            " must be on the same images in the same order"
        )
    n_images(b)
