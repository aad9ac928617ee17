"""Contrasts of levels as linear operators on pairs of networks. Plain arrays in and out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relstats.errors import ImpossibleAnalysis, UsageError

#: Effects of a first level A against a second level B, as weights of the cell means [[AA, AB], [BA,
#: BB]]. Row: level of the source; column: level of the target. Asymmetry = source effect - target
#: effect.
_WEIGHTS = {
    "asymmetry": ((0.0, 1.0), (-1.0, 0.0)),
    "source_effect": ((0.5, 0.5), (-0.5, -0.5)),
    "target_effect": ((0.5, -0.5), (0.5, -0.5)),
    "specificity": ((0.5, -0.5), (-0.5, 0.5)),
    "own_level_difference": ((1.0, 0.0), (0.0, -1.0)),
}

EFFECTS = tuple(_WEIGHTS)


def effect_weights(effect: str) -> np.ndarray:
    """Weights of the four cell means, (source level, target level), that make an effect.

    Raises
    ------
    UsageError
        Not one of `EFFECTS`.

    Examples
    --------
    >>> effect_weights("asymmetry")
    array([[ 0.,  1.],
           [-1.,  0.]])
    """
    if effect not in _WEIGHTS:
        raise UsageError(f"effect is {effect!r}; it is one of {', '.join(EFFECTS)}")
    return np.array(_WEIGHTS[effect])


@dataclass(frozen=True)
class Operator:
    """A contrast of cell means as a linear functional of the scores, and the same with each network
    deleted.

    Attributes
    ----------
    groups : ndarray of int, (network,)
        Jackknife cell of each network; -1 takes no part.
    estimate : ndarray, (source, target)
        The contrast is `sum(estimate * Y)`.
    deleted : ndarray, (network, source, target)
        The contrast without one network. NaN where a cell that it needs is then empty.
    """

    groups: np.ndarray
    estimate: np.ndarray
    deleted: np.ndarray


def contrast_operator(groups: np.ndarray, weights: np.ndarray) -> Operator:
    """Weights of the pairs of networks in a contrast of cell means, self pairs left out.

    Parameters
    ----------
    groups : ndarray of int, (network,)
        Cell of each network, 0 to G - 1; -1 takes no part.
    weights : ndarray, (G, G)
        Weight of the mean of each cell (source group, target group).

    Raises
    ------
    ImpossibleAnalysis
        A cell with a weight holds no pair of networks.

    Examples
    --------
    >>> operator = contrast_operator(np.array([0, 0, 1, 1]), effect_weights("asymmetry"))
    >>> operator.estimate[0]
    array([0.  , 0.  , 0.25, 0.25])
    >>> operator.deleted[1, 0]
    array([0. , 0. , 0.5, 0.5])
    """
    groups, weights = np.asarray(groups), np.asarray(weights, float)
    member = groups[:, np.newaxis] == np.arange(len(weights))
    pairs = n_pairs(member.sum(axis=0))
    if ((weights != 0) & (pairs == 0)).any():
        a, b = np.argwhere((weights != 0) & (pairs == 0))[0]
        raise ImpossibleAnalysis(
            f"the cell of sources in group {a} ({member[:, a].sum()} networks) and targets in group"
            f" {b} ({member[:, b].sum()}) holds no pair of two networks, so its mean does not"
            " exist. Add networks, or leave this contrast out"
        )
    apart = ~np.eye(len(groups), dtype=bool)
    estimate = _spread(weights, pairs, member) * apart
    without = _spread(weights, n_pairs(member.sum(axis=0) - member), member)
    # A network that is deleted takes no part as source, nor as target.
    deleted = without * apart[:, :, np.newaxis] * apart[:, np.newaxis, :] * apart
    empty = np.isnan(without).any(axis=(1, 2))
    deleted[empty] = np.nan
    return Operator(groups, estimate, deleted)


def n_pairs(sizes: np.ndarray) -> np.ndarray:
    """Ordered pairs of two networks in each cell: (..., G) to (..., G, G)."""
    self_pairs = sizes[..., np.newaxis] * np.eye(sizes.shape[-1], dtype=int)
    return sizes[..., :, np.newaxis] * sizes[..., np.newaxis, :] - self_pairs


def _spread(weights: np.ndarray, pairs: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Share a cell's weight out to its pairs: (..., G, G) to (..., network, network).

    NaN if it has none.
    """
    n = len(weights)
    each = np.zeros(
        (*pairs.shape[:-2], n + 1, n + 1)
    )  # one more group for networks that take no part
    each[..., :n, :n] = np.where(weights != 0, np.nan, 0.0)
    np.divide(weights, pairs, out=each[..., :n, :n], where=(weights != 0) & (pairs > 0))
    group = np.where(member.any(axis=1), member.argmax(axis=1), n)
    return each[..., group[:, np.newaxis], group]
