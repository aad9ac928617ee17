"""Variances of few networks, moderated: each is drawn towards what all pixels have.

Plain arrays in and out. After Smyth (2004), doi:10.2202/1544-6115.1027 (limma), with three cuts:
pixels of a smooth map are few in effect, so that they look more alike than they are.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import special

from relstats.stats.inference.fields import ALIKE

#: Variances of a pixel: drawn towards those of all pixels, or its own alone.
Variance = Literal["moderated", "welch"]
#: The prior's degrees of freedom: at most as many times those of the networks.
_MOST = 2
#: How many of the prior's degrees of freedom the test is given. With all of them, 3 against 3
#: networks were wrong in 5 to 10 % of studies of unequal or very smooth fields, in small trials;
#: with these in at most 3 % (benchmarks/calibration_moderated.py).
SHARE = 0.7


def prior(squares: np.ndarray, df: int) -> tuple[float, float]:
    """Degrees of freedom and variance of the prior, from the variances of all pixels.

    Parameters
    ----------
    squares : ndarray, (pixel,)
        Sample variances; those that are 0 tell nothing.
    df : int
        Their degrees of freedom.

    Returns
    -------
    prior_df : float
        From the variance of log variances over pixels beyond that of chance; at most 2 `df`, and 0
        where no pixel varies.
    prior_variance : float
        From their mean; at least prior_df / (prior_df + 2) of the mean variance of the pixels.

    Examples
    --------
    >>> prior_df, variance = prior(np.array([1.0, 1.0, 1.0]), 2)
    >>> prior_df, round(variance, 3)
    (4.0, 1.359)
    """
    known = squares[squares > ALIKE * squares.mean()]
    if not len(known):
        return 0.0, 0.0
    logs = np.log(known) - special.digamma(df / 2) + np.log(df / 2)
    beyond = logs.var(ddof=1) - special.polygamma(1, df / 2) if len(known) > 1 else 0.0
    prior_df = min(_MOST * df, 2 * inverse_trigamma(beyond)) if beyond > 0 else _MOST * df
    variance = np.exp(logs.mean() + special.digamma(prior_df / 2) - np.log(prior_df / 2))
    return float(prior_df), float(max(variance, known.mean() * prior_df / (prior_df + 2)))


def moderated(squares: np.ndarray, df: int, n_strata: int = 1) -> tuple[np.ndarray, float]:
    """Variances drawn towards their prior, and the degrees of freedom of each.

    Parameters
    ----------
    squares : ndarray, (pixel,)
        Sample variances.
    df : int
        Their degrees of freedom.
    n_strata : int
        Strata over which a difference is averaged. A pixel that varies more than others does so in
        all of them, so that the prior counts once: its degrees of freedom are shared out.

    Returns
    -------
    variances : ndarray, (pixel,)
        (prior_df prior_variance + df squares) / (prior_df + df).
    degrees : float
        df + 0.7 prior_df: pixels have less to tell than if each were a case of its own.

    Examples
    --------
    >>> variances, degrees = moderated(np.array([0.5, 1.0, 1.5]), 2)
    >>> variances.round(3).tolist(), degrees
    ([0.99, 1.157, 1.323], 4.8)
    """
    prior_df, variance = prior(squares, df)
    prior_df /= n_strata
    return shrunken(squares, df, prior_df, variance), df + SHARE * prior_df


def shrunken(squares: np.ndarray, df: int, prior_df: float, variance: float) -> np.ndarray:
    """Means of variances and their prior, weighted by degrees of freedom.

    Examples
    --------
    >>> shrunken(np.array([1.0, 3.0]), 2, 2.0, 2.0).tolist()
    [1.5, 2.5]
    """
    return (prior_df * variance + df * squares) / (prior_df + df)


def inverse_trigamma(value: float) -> float:
    """Where the trigamma function has a value, by Newton's method (Smyth 2004, appendix).

    Examples
    --------
    >>> round(inverse_trigamma(np.pi**2 / 6), 9)
    1.0
    """
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = special.polygamma(1, x)
        step = trigamma * (1 - trigamma / value) / special.polygamma(2, x)
        x += step
        if -step / x < 1e-10:
            break
    return float(x)
