"""Ranks and Kendall's tau of pairs that were drawn several times.

Kernels over integer codes: each vector is sorted once.
"""

from __future__ import annotations

import numpy as np

from relstats.stats.maps.single import compiled


def dense_codes(values: np.ndarray) -> np.ndarray:
    """Number the distinct values of each row from 0, in ascending order.

    Parameters
    ----------
    values : ndarray, (vector, pair)
        Without NaN.

    Returns
    -------
    ndarray of int64, (vector, pair)

    Examples
    --------
    >>> dense_codes(np.array([[2.5, -1.0, 2.5, 7.0]]))
    array([[1, 0, 1, 2]])
    """
    values = np.ascontiguousarray(values)
    return _number(values, np.argsort(values, axis=1))


@compiled
def _number(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    codes = np.empty(values.shape, np.int64)
    for row in range(values.shape[0]):
        code = 0
        for place in range(values.shape[1]):
            here = order[row, place]
            if place and values[row, here] != values[row, order[row, place - 1]]:
                code += 1
            codes[row, here] = code
    return codes


@compiled
def weighted_midranks(codes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Midranks in a sample that holds each pair `weights` times.

    Parameters
    ----------
    codes : ndarray of int64, (vector, pair)
        Any non-negative integers below 2**31 in the order of the values: from `dense_codes`, or a
        part of its columns.
    weights : ndarray, (pair,)
        Whole numbers, not negative.

    Returns
    -------
    ndarray, (vector, pair), float64
        From 1 to the sum of the weights; exact.

    Examples
    --------
    >>> weighted_midranks(np.array([[1, 0, 1, 2]]), np.array([1.0, 2.0, 2.0, 1.0]))
    array([[4. , 1.5, 4. , 6. ]])
    """
    ranks = np.empty(codes.shape)
    for row in range(codes.shape[0]):
        size = np.zeros(codes[row].max() + 1)
        for pair in range(codes.shape[1]):
            size[codes[row, pair]] += weights[pair]
        below = 0.0
        for code in range(size.size):
            tied = size[code]
            size[code] = below + (tied + 1) / 2
            below += tied
        for pair in range(codes.shape[1]):
            ranks[row, pair] = size[codes[row, pair]]
    return ranks


@compiled
def weighted_tau_a(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> float:
    """Kendall's tau-a of two vectors in a sample that holds each pair `weights` times: ties count
    as neither.

    Parameters
    ----------
    one, other : ndarray of int64, (pair,)
        Codes as for `weighted_midranks`.
    weights : ndarray, (pair,)
        Whole numbers, not negative; their sum at least 2.

    Returns
    -------
    float
        (concordant - discordant) / (n (n - 1) / 2), n the sum of the weights; exact up to the
        division.

    Examples
    --------
    >>> weighted_tau_a(np.array([0, 1, 2]), np.array([0, 2, 1]), np.ones(3))
    0.333
    """
    tree = np.zeros(
        other.max() + 2
    )  # Fenwick tree: weight of the codes of `other` that lie below in `one`
    order = np.argsort(one)
    balance = inserted = 0.0
    start = 0
    while start < order.size:
        end = start
        while end < order.size and one[order[end]] == one[order[start]]:
            pair = order[end]
            balance += weights[pair] * (
                _below(tree, other[pair]) - inserted + _below(tree, other[pair] + 1)
            )
            end += 1
        for place in range(start, end):
            pair = order[place]
            inserted += weights[pair]
            node = other[pair] + 1
            while node < tree.size:
                tree[node] += weights[pair]
                node += node & -node
        start = end
    return balance / (inserted * (inserted - 1) / 2)


@compiled
def _below(tree: np.ndarray, code: int) -> float:
    """Weight inserted with codes smaller than `code`."""
    total = 0.0
    while code > 0:
        total += tree[code]
        code -= code & -code
    return total
