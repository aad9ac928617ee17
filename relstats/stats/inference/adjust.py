"""P-values of many tests, adjusted for how many there are. Plain arrays; NaN are no tests, and
stay.
"""

from __future__ import annotations

import numpy as np
from scipy import stats


def holm(p: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Holm's adjustment over all p-values of an array, or along one axis.

    NaN stay NaN and do not count.

    Written out because statsmodels' takes 0.2 s for each family.

    Examples
    --------
    >>> holm(np.array([0.01, np.nan, 0.04]))
    array([0.02,  nan, 0.04])
    """
    p = np.asarray(p, float)
    if axis is None:
        return holm(p.ravel(), axis=0).reshape(p.shape)
    p = np.moveaxis(p, axis, -1)
    order = np.argsort(p, axis=-1)  # NaN last
    left = np.maximum((~np.isnan(p)).sum(axis=-1, keepdims=True) - np.arange(p.shape[-1]), 1)
    ordered = np.minimum(np.maximum.accumulate(np.take_along_axis(p, order, -1) * left, axis=-1), 1)
    return np.moveaxis(np.take_along_axis(ordered, np.argsort(order, axis=-1), -1), -1, axis)


def false_discovery(p: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Adjusted p over all p-values of an array, or along one axis, by Benjamini & Hochberg (1995).

    NaN stays NaN and counts for nothing.

    Examples
    --------
    >>> false_discovery(np.array([0.01, np.nan, 0.5]))
    array([0.02, nan, 0.5 ])
    """
    if axis is not None:
        return np.apply_along_axis(false_discovery, axis, p)
    adjusted, known = np.full(p.shape, np.nan), ~np.isnan(p)
    if known.any():
        adjusted[known] = stats.false_discovery_control(p[known])
    return adjusted
