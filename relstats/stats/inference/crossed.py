"""Tests of means over crossed networks, images and people, all of them random. Plain arrays."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from relstats.errors import UsageError
from relstats.stats.inference.contrasts import Contrasts
from relstats.stats.inference.population import why_fixed

#: What a claim can hold for beyond what was measured.
Factor = Literal["images", "participants", "seeds"]
FACTORS: tuple[Factor, ...] = ("images", "participants", "seeds")
#: Agreement lies between -1 and 1: what varies by less is one number, and rounding.
_ROUNDING = 1e-12

#: A set of factors to the variance that only they make together.
Parts = dict[tuple[str, ...], float]


@dataclass(frozen=True)
class Inference:
    """A t-test: arrays or numbers alike. NaN where there is no variance to test by, and where
    networks are not random: then `untested` says why, and the interval for these networks alone
    has a name of its own.
    """

    estimate: float
    standard_error: float
    statistic: float
    df: float
    p_value: float
    lower: float
    upper: float
    variances: Mapping[str, float]
    lower_these_networks: float = np.nan
    upper_these_networks: float = np.nan
    untested: str = ""


def infer(
    estimate: float, parts: Parts, sizes: Mapping[str, int], confidence: float = 0.95
) -> Inference:
    """Test an estimate, from the parts of its variance.

    Parameters
    ----------
    estimate : float
        Of agreement, between -1 and 1, or a difference of some.
    parts : dict
        From `mean_parts` or `ceiling_parts`.
    sizes : mapping
        Number of units of each factor, at least 2.
    confidence : float
        Confidence level of the interval.

    Returns
    -------
    Inference
        Two-sided p of the null that the estimate is 0, with t and Satterthwaite's degrees of
        freedom; `variances` are the theta of single factors. No factor, or no variance but
        rounding: NaN (p = 1 where the estimate is 0 without any variance).

    Raises
    ------
    UsageError
        `level` out of range.

    Examples
    --------
    >>> found = infer(0.2, {("participants",): 0.005}, {"participants": 2})
    >>> found.df, found.p_value
    (1.0, 0.295)
    """
    if not 0 < confidence < 1:
        raise UsageError(
            f"confidence is {confidence}; a confidence level lies between 0 and 1, such as 0.95"
        )
    theta = {
        names: part * float(np.prod([sizes[f] / (sizes[f] - 1) for f in names]))
        for names, part in parts.items()
    }
    single = {names[0]: value for names, value in theta.items() if len(names) == 1}
    if not single:
        return Inference(estimate, *(np.nan,) * 6, variances={})
    signed = sum((-1) ** (len(names) + 1) * value for names, value in theta.items())
    of_seeds = sum(value for name, value in single.items() if name.startswith("seeds"))
    variance = max(signed, of_seeds, *single.values(), 0.0)
    error = float(np.sqrt(variance))
    if not error > _ROUNDING:
        nothing = 1.0 if abs(estimate) <= _ROUNDING and error >= 0 else np.nan
        return Inference(estimate, error, np.nan, np.nan, nothing, np.nan, np.nan, single)
    inverse = sum((value / variance) ** 2 / (sizes[name] - 1) for name, value in single.items())
    df = 1 / inverse if inverse > 0 else np.nan
    reach = float(stats.t.ppf((1 + confidence) / 2, df)) * error
    p = float(2 * stats.t.sf(abs(estimate) / error, df))
    return Inference(
        estimate, error, estimate / error, df, p, estimate - reach, estimate + reach, single
    )


def claim(test: Inference, weights: np.ndarray) -> Inference:
    """A test of networks as what it can claim: no p and no interval where networks are fixed.

    A p over images and people, of networks that happen to differ, would be read as one of networks
    like these.

    Parameters
    ----------
    test : Inference
        From `infer`; factors "seeds ..." among its variances where networks are random.
    weights : ndarray, (group, network)
        Of the contrast.

    Returns
    -------
    Inference
        The same where networks are random. Otherwise only the estimate, with the interval as that
        of these networks, and the reason.

    Examples
    --------
    >>> test = claim(infer(0.2, {("images",): 0.005}, {"images": 20}), np.array([[1.0]]))
    >>> test.p_value, test.untested[:20], bool(test.lower_these_networks < 0.2)
    (nan, 'a level has 1 networ', True)
    """
    if any(name.startswith("seeds") for name in test.variances):
        return test
    reason = why_fixed((weights != 0).sum(axis=1)) or "networks were not taken as random (seeds)"
    bounds = test.lower, test.upper
    return Inference(test.estimate, *(np.nan,) * 6, test.variances, *bounds, reason)


def crossed_test(
    estimate: float,
    values: np.ndarray,
    weights: np.ndarray,
    *,
    random: Collection[str] = FACTORS,
    confidence: float = 0.95,
) -> Inference:
    """Test a contrast of networks' means over images and people.

    Parameters
    ----------
    estimate : float
        The contrast.
    values : ndarray, (network, image, participant)
        What each cell adds to it: scores, or for what is no mean of scores its pseudo-values, so
        that `sum(weights @ values.mean(axis=(1, 2)))` is the contrast but for a bias of the order
        of 1 / n.
    weights : ndarray, (group, network)
        One row a group, the same weight for each of its networks. Groups vary independently.
    random : collection of {"images", "participants", "seeds"}
        Factors with one unit are fixed, whatever is said; seeds where any group has one network,
        or unequal groups have two.
    confidence : float
        Confidence level.

    Returns
    -------
    Inference
        Variance of the mean over all random factors, interactions counted once (three-way analysis
        of variance; for two factors Gallas 2006, doi:10.1016/j.acra.2005.12.011), with t and
        Satterthwaite's degrees of freedom.

    Examples
    --------
    >>> values = np.random.default_rng(2).normal(size=(4, 20, 6)) + np.array(
    ...     [1.0, 1, 0, 0]
    ... ).reshape(4, 1, 1)
    >>> weights = np.array([[0.5, 0.5, 0, 0], [0, 0, -0.5, -0.5]])
    >>> found = crossed_test(float(weights.sum(axis=0) @ values.mean(axis=(1, 2))), values, weights)
    >>> bool(found.lower < 1 < found.upper), sorted(found.variances)
    (True, ['images', 'participants', 'seeds 0', 'seeds 1'])
    """
    is_random = random_factors(values.shape, weights, random)
    sizes = {"images": values.shape[1], "participants": values.shape[2]}
    sizes |= {f"seeds {g}": int((row != 0).sum()) for g, row in enumerate(weights)}
    test = infer(estimate, _parts(values, weights, is_random), sizes, confidence)
    return claim(test, weights)


def random_factors(
    shape: tuple[int, ...], weights: np.ndarray, random: Collection[str]
) -> list[str]:
    """Which of the factors are random in a contrast: those with two units or more.

    Examples
    --------
    >>> random_factors((2, 9, 1), np.array([[0.5, 0.5]]), ("images", "participants", "seeds"))
    ['images', 'seeds']
    """
    many = {
        "images": shape[1] > 1,
        "participants": shape[2] > 1,
        "seeds": not why_fixed((weights != 0).sum(axis=1)),
    }
    return [factor for factor in FACTORS if factor in random and many[factor]]


def random_words(factors: list[str]) -> str:
    """What a claim holds for beyond what was measured, from `random_factors`.

    Examples
    --------
    >>> random_words(["images", "seeds"]), random_words(["images"]), random_words([])
    ('images, seeds', 'images; these networks', 'nothing; these networks')
    """
    return (", ".join(factors) or "nothing") + "; these networks" * ("seeds" not in factors)


def _parts(values: np.ndarray, weights: np.ndarray, random: list[str]) -> Parts:
    """Parts I_A of the variance, as `infer` takes them: mean squares of interactions over
    the numbers of units.
    """
    parts: Parts = {}
    contrast = np.tensordot(weights.sum(axis=0), values, 1)[np.newaxis]
    for names, axes in _sets([factor for factor in random if factor != "seeds"]):
        parts[names] = _mean_square(contrast, axes)
    for g, row in enumerate(weights) if "seeds" in random else ():
        used = np.flatnonzero(row)
        share = (row[used[0]] * len(used)) ** 2
        mine = values[used]
        for names, axes in _sets(
            [factor for factor in random if factor != "seeds"], with_empty=True
        ):
            parts[f"seeds {g}", *names] = share * _mean_square(mine, (0, *axes))
    return parts


def _sets(
    factors: list[str], with_empty: bool = False
) -> Iterator[tuple[tuple[str, ...], tuple[int, ...]]]:
    """All sets of factors, and their axes."""
    for size in range(0 if with_empty else 1, len(factors) + 1):
        for names in itertools.combinations(factors, size):
            yield names, tuple(FACTORS.index(name) + 1 for name in names)


def _mean_square(values: np.ndarray, axes: tuple[int, ...]) -> float:
    """Mean square of the interaction of some axes, over how many cells they have."""
    others = tuple(axis for axis in range(values.ndim) if axis not in axes)
    left = values.mean(axis=others, keepdims=True)
    for axis in axes:
        left = left - left.mean(axis=axis, keepdims=True)
    return float((left**2).mean()) / left.size


def contrast_rows(groups: np.ndarray) -> np.ndarray:
    """Weights of a contrast of two levels in strata: one row a level and stratum.

    Parameters
    ----------
    groups : ndarray of int, (network,)
        2 x stratum for the first level, one more for the second, -1 for a network that takes no
        part.

    Returns
    -------
    ndarray, (group, network)
        + for the first level, - for the second; each side adds up to 1.

    Examples
    --------
    >>> contrast_rows(np.array([0, 0, 1, -1]))
    array([[ 0.5,  0.5,  0. ,  0. ],
           [ 0. ,  0. , -1. ,  0. ]])
    """
    kinds = np.unique(groups[groups >= 0])
    rows = (groups == kinds[:, np.newaxis]).astype(float)
    rows /= rows.sum(axis=1, keepdims=True) * len(kinds) / 2
    return np.asarray(np.where(kinds[:, np.newaxis] % 2 == 0, rows, -rows) + 0.0)


def level_rows(plan: Contrasts, k: int) -> np.ndarray:
    """Weights of the mean of level number k over the strata of the contrasts: one row a stratum,
    none where it is in no contrast.
    """
    used = (plan.groups >= 0).any(axis=0) & (plan.level == k)
    strata = np.unique(plan.stratum[used])
    rows = (used & (plan.stratum == strata[:, np.newaxis])).astype(float)
    return np.asarray(rows / rows.sum(axis=1, keepdims=True) / max(1, len(strata)))
