"""Cohen's kappa between raters over items, how it varies over items, and its bounds.

Plain arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Code of an item that a rater did not answer.
MISSING = -1


@dataclass(frozen=True)
class Kappas:
    """Agreement of each rater of one set with each of another.

    All of shape (a, b), over the items that both answered.

    Attributes
    ----------
    kappa : ndarray
        (observed - expected) / (1 - expected). NaN where one gives the same answer throughout
        (never errs, say): observed is expected then, whatever the other does, and kappa would be 0
        by arithmetic alone. NaN too where the two share no item.
    observed, expected : ndarray
        Share of equal answers, and what independent raters with the same shares of answers would
        give.
    n_items : ndarray of int
    influence : ndarray, (a, item, b)
        What each item adds to kappa, by the infinitesimal jackknife: mean 0 over items; 0 where one
        did not answer, NaN where kappa is.
    """

    kappa: np.ndarray
    observed: np.ndarray
    expected: np.ndarray
    n_items: np.ndarray
    influence: np.ndarray


def kappas(a: np.ndarray, b: np.ndarray, n_classes: int) -> Kappas:
    """Cohen's kappa of every rater of one set with every rater of another.

    Parameters
    ----------
    a, b : ndarray of int, (rater, item)
        Answers 0 to n_classes - 1; -1 where there is none.
    n_classes : int

    Returns
    -------
    Kappas

    Notes
    -----
    Cohen 1960 (doi:10.1177/001316446002000104). Of right and wrong answers: error consistency
    (Geirhos et al. 2020, arXiv:2006.16736).

    Examples
    --------
    >>> found = kappas(np.array([[0, 0, 1, 1]]), np.array([[0, 0, 1, 0], [0, 0, 0, 0]]), 2)
    >>> found.kappa
    array([[0.5, nan]])
    """
    both = (a[:, :, np.newaxis] >= 0) & (b.T[np.newaxis] >= 0)
    n = both.sum(axis=1)
    first, second = _one_hot(a, n_classes), _one_hot(b, n_classes)
    with np.errstate(invalid="ignore", divide="ignore"):  # no common item: NaN
        shares = [
            np.einsum("aic,bi->abc", first, (b >= 0).astype(float)) / n[..., np.newaxis],
            np.einsum("bic,ai->abc", second, (a >= 0).astype(float)) / n[..., np.newaxis],
        ]
        same = (a[:, :, np.newaxis] == b.T[np.newaxis]) & both
        observed, expected = same.sum(axis=1) / n, (shares[0] * shares[1]).sum(axis=-1)
        constant = np.maximum(*(share.max(axis=-1) for share in shares)) == 1
        left = np.where(constant, np.nan, 1 - expected)
        kappa = (observed - expected) / left
        crossed = np.einsum("aic,abc->aib", first, shares[1]) + np.einsum(
            "bic,abc->aib", second, shares[0]
        )
        moved = (same - observed[:, np.newaxis]) - (1 - kappa)[:, np.newaxis] * (
            crossed - 2 * expected[:, np.newaxis]
        )
        scale = a.shape[1] / n / left
        influence = (
            np.where(both, moved * scale[:, np.newaxis], 0)
            + np.where(np.isnan(kappa), np.nan, 0)[:, np.newaxis]
        )
    return Kappas(kappa, observed, expected, n, influence)


def _one_hot(codes: np.ndarray, n_classes: int) -> np.ndarray:
    return (codes[..., np.newaxis] == np.arange(n_classes)).astype(float)


def constant(codes: np.ndarray) -> np.ndarray:
    """Whether each rater gives one answer throughout: whether (rater,) has no kappa with anybody.

    Parameters
    ----------
    codes : ndarray of int, (rater, item)
        As for `kappas`; a rater without any answer counts too.

    Examples
    --------
    >>> constant(np.array([[0, 0, -1], [0, 1, -1]]))
    array([ True, False])
    """
    largest = codes.max(axis=1, keepdims=True)
    return np.asarray(((codes == largest) | (codes == MISSING)).all(axis=1))


def observed_bounds(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest share of items on which two are both right or both wrong, whatever items
    these are.

    Parameters
    ----------
    first, second : ndarray
        Shares of right answers.

    Returns
    -------
    lower, upper : ndarray
        |first + second - 1| and 1 - |first - second| (Geirhos et al. 2020, arXiv:2006.16736).

    Examples
    --------
    >>> observed_bounds(np.array([0.9]), np.array([0.8]))
    (array([0.7]), array([0.9]))
    """
    return np.abs(first + second - 1), 1 - np.abs(first - second)
