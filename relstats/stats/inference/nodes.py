"""Networks as the units: their scores as sources and as targets, effect sizes, variance components.

Plain arrays in and out.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from relstats.errors import ImpossibleAnalysis
from relstats.stats.inference.moments import EPS


def node_operator(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least-squares scores of each network as source and as target, as weights of the score matrix.

    The fit is `Y[m, k] = mean of cell + a_m + b_k` over all pairs m != k (the social relations
    model: Warner, Kenny & Stoto 1979, doi:10.1037/0022-3514.37.10.1742); a source score is the
    unweighted mean of the cell means of its row plus a_m. The diagonal is missing by design, so
    plain row means would mix levels unequally.

    Parameters
    ----------
    groups : ndarray of int, (network,)
        Level of each network; -1 takes no part.

    Returns
    -------
    source, target : ndarray, (network, source * target)
        Scores are `source @ Y.reshape(M * M, -1)`, with any finite diagonal. NaN rows for networks
        that take no part.

    Raises
    ------
    ImpossibleAnalysis
        Fewer than two networks in a level, or three where there is one level only.

    Examples
    --------
    >>> source, target = node_operator(np.array([0, 0, 0]))
    >>> scores = np.array([[0.0, 3.0, 3.0], [1.0, 0.0, 1.0], [2.0, 2.0, 0.0]])
    >>> source @ scores.ravel()
    array([3., 1., 2.])
    """
    part = np.flatnonzero(groups >= 0)
    kinds, level = np.unique(groups[part], return_inverse=True)
    n, n_levels = len(part), len(kinds)
    source, target = np.nonzero(~np.eye(n, dtype=bool))
    columns = np.concatenate(
        [level[source] * n_levels + level[target], n_levels**2 + source, n_levels**2 + n + target]
    )
    design = np.zeros((len(source), n_levels**2 + 2 * n))
    design[np.tile(np.arange(len(source)), 3), columns] = 1
    if np.linalg.matrix_rank(design) < n_levels**2 + 2 * (n - n_levels):
        sizes = np.bincount(level).tolist()
        raise ImpossibleAnalysis(
            f"levels of {sizes} networks are too small for scores of single networks: they take two"
            " networks in each level, and three where there is one level only"
        )
    # The design lacks rank on purpose (a and b share a mean with the cells): singular values that
    # are 0 but for rounding grow with its size, and must not be inverted.
    solution = np.linalg.pinv(design, rtol=max(design.shape) * np.finfo(float).eps)
    cells, a, b = np.split(solution, [n_levels**2, n_levels**2 + n])
    average = np.equal.outer(np.arange(n_levels), level) / np.bincount(level)[:, np.newaxis]
    cells = cells.reshape(n_levels, n_levels, -1) + (average @ a)[:, np.newaxis] + average @ b
    rows = cells.mean(axis=1)[level] + a - (average @ a)[level]
    cols = cells.mean(axis=0)[level] + b - (average @ b)[level]
    return tuple(_on_all_pairs(w, part, source, target, len(groups)) for w in (rows, cols))  # type: ignore[return-value]


def _on_all_pairs(
    weights: np.ndarray, part: np.ndarray, source: np.ndarray, target: np.ndarray, n: int
) -> np.ndarray:
    full = np.full((n, n, n), np.nan)
    full[part] = 0.0
    full[part[:, np.newaxis], part[source], part[target]] = weights
    return full.reshape(n, n * n)


def node_scores(matrix: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Score of each network as source and as target, (network, fraction).

    NaN for networks that take no part.

    Parameters
    ----------
    matrix : ndarray, (source, target, fraction)
        Mean scores over images. The diagonal and networks that take no part may be NaN.
    groups : ndarray of int, (network,)
        As for `node_operator`.

    Examples
    --------
    >>> matrix = np.array([[np.nan, 3, 3], [1, np.nan, 1], [2, 2, np.nan]])[..., np.newaxis]
    >>> node_scores(matrix, np.array([0, 0, 0]))[0].ravel()
    array([3., 1., 2.])
    """
    source, target = node_operator(groups)
    part = groups >= 0
    used = np.outer(part, part) & ~np.eye(len(groups), dtype=bool)
    flat = np.where(used[..., np.newaxis], matrix, 0.0).reshape(len(groups) ** 2, -1)
    return source @ flat, target @ flat


def specificity_scores(matrix: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Score of each network with its own level less that with the others, as source and as target,
    (network, fraction).

    Their mean over networks, levels counted alike, is the specificity.

    Parameters
    ----------
    matrix : ndarray, (source, target, fraction)
        Mean scores over images. The diagonal and networks that take no part may be NaN.
    groups : ndarray of int, (network,)
        Level of each network; -1 takes no part.

    Returns
    -------
    ndarray, (network, fraction)
        In units of the scores. NaN for networks that take no part, or have none of their own level,
        or of another, to meet.

    Examples
    --------
    >>> matrix = np.array([[9.0, 3, 1, 1], [3, 9, 1, 2], [1, 1, 9, 4], [1, 2, 4, 9]])[
    ...     ..., np.newaxis
    ... ]
    >>> specificity_scores(matrix, np.array([0, 0, 1, 1])).ravel()
    array([2. , 1.5, 3. , 2.5])
    """
    part = groups >= 0
    met = np.outer(part, part) & ~np.eye(len(groups), dtype=bool)
    own = met & np.equal.outer(groups, groups)
    both = np.where(met[..., np.newaxis], matrix + matrix.swapaxes(0, 1), 0.0) / 2
    means = []
    for pairs in (own, met & ~own):
        with np.errstate(invalid="ignore"):  # 0 / 0: nobody to meet
            means.append(
                np.einsum("mk,mkf->mf", pairs.astype(float), both)
                / pairs.sum(axis=1, keepdims=True)
            )
    return means[0] - means[1]


def hedges_g(scores: np.ndarray, groups: np.ndarray) -> float:
    """Standardised difference of node scores, even groups minus odd groups, averaged over pairs of
    groups.

    In units of the standard deviation within groups (pooled), with the correction for few networks
    (Hedges 1981, doi:10.3102/10769986006002107).

    Parameters
    ----------
    scores : ndarray, (network,)
        Node scores, or their difference.
    groups : ndarray of int, (network,)
        2 x stratum for the first level, 2 x stratum + 1 for the second; -1 takes no part.

    Returns
    -------
    float
        NaN where no group has two networks, or networks within groups do not differ.

    Examples
    --------
    >>> hedges_g(np.array([3.0, 4.0, 5.0, 1.0, 2.0, 3.0]), np.array([0, 0, 0, 1, 1, 1]))
    1.6
    """
    used, sizes = np.unique(groups[groups >= 0], return_counts=True)
    means = np.array([scores[groups == g].mean() for g in used])
    squares = sum(
        ((scores[groups == g] - mean) ** 2).sum() for g, mean in zip(used, means, strict=True)
    )
    df = int((sizes - 1).sum())
    largest = np.abs(scores[groups >= 0]).max()
    if df == 0 or not squares > (EPS * len(scores) * largest) ** 2:
        return float("nan")
    difference = means[used % 2 == 0].mean() - means[used % 2 == 1].mean()
    return float(difference / np.sqrt(squares / df) * (1 - 3 / (4 * df - 1)))


@dataclass(frozen=True)
class Components:
    """Variances of the difference K = Y[a, b] - Y[b, a] between both directions, per pair and
    image.

    Attributes
    ----------
    s2u, s2v : float
        Between networks of the first level, and of the second.
    s2K : float
        Between pairs of networks, beyond both.
    s2uI, s2vI : float
        Networks of the first (second) level x images.
    s2e : float
        Pairs x images, and error.
    s2CI : float
        Between images, common to all networks.
    floored : tuple of str
        Components estimated below 0, and set to 0.
    """

    s2u: float
    s2v: float
    s2K: float
    s2uI: float
    s2vI: float
    s2e: float
    s2CI: float
    floored: tuple[str, ...] = ()


def variance_components(ab: np.ndarray, ba: np.ndarray) -> Components:
    """Variance components of the asymmetry in a pilot: expected mean squares of a three-way random
    ANOVA.

    Parameters
    ----------
    ab : ndarray, (network of A, network of B, image)
        Scores of targets B with maps of sources A.
    ba : ndarray, (network of B, network of A, image)
        Scores of targets A with maps of sources B.

    Raises
    ------
    ImpossibleAnalysis
        Fewer than two networks in a level, or two images.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> ab, ba = rng.standard_normal((2, 8, 8, 200))
    >>> round(variance_components(ab, ba).s2e, 1)
    2.0
    """
    k = ab.astype(np.float64) - ba.astype(np.float64).swapaxes(0, 1)
    if min(k.shape) < 2:
        raise ImpossibleAnalysis(
            f"a pilot of {k.shape[0]} and {k.shape[1]} networks and {k.shape[2]} image(s) is too"
            " small: variance components take two of each"
        )
    square = {
        axes: _mean_square(k, axes)
        for r in (1, 2, 3)
        for axes in itertools.combinations(range(3), r)
    }
    n_u, n_v, n_i = k.shape
    e, s, t, i = square[0, 1, 2], square[0, 1], square[0, 2], square[1, 2]
    raw = {
        "s2u": (square[0,] - s - t + e) / (n_v * n_i),
        "s2v": (square[1,] - s - i + e) / (n_u * n_i),
        "s2K": (s - e) / n_i,
        "s2uI": (t - e) / n_v,
        "s2vI": (i - e) / n_u,
        "s2e": e,
        "s2CI": (square[2,] - t - i + e) / (n_u * n_v),
    }
    floored = tuple(name for name, value in raw.items() if value < 0)
    return Components(
        **{name: max(float(value), 0.0) for name, value in raw.items()}, floored=floored
    )


def _mean_square(k: np.ndarray, axes: tuple[int, ...]) -> float:
    """Mean square of a main effect or an interaction in a full crossing."""
    effect = k
    for axis in range(3):
        mean = effect.mean(axis=axis, keepdims=True)
        effect = effect - mean if axis in axes else mean
    repeats = math.prod(k.shape[axis] for axis in range(3) if axis not in axes)
    return repeats * float((effect**2).sum()) / math.prod(k.shape[axis] - 1 for axis in axes)
