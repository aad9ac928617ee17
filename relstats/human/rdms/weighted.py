"""Weighted models: RDMs added up with non-negative weights so as to agree best with people.

Plain arrays.

What a combination reaches on the data that its weights were fitted to is no estimate of anything:
only the agreement with left-out participants on left-out images counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from relstats.errors import ImpossibleAnalysis, UsageError
from relstats.human.rdms.comparisons import compare_rdms
from relstats.human.rdms.vectors import n_images

COMPARISONS = ("corr", "spearman", "rho-a")
MIN_IMAGES = 4


@dataclass(frozen=True)
class WeightedModel:
    """A combination of RDMs.

    Attributes
    ----------
    weights : ndarray, (component,)
        Fitted to all data; of components with unit standard deviation; they sum to 1 (all 0 where
        none helps).
    in_sample : float
        Mean agreement with the participants that the weights were fitted to. Biased upwards.
    held_out : float
        Mean agreement with left-out participants on left-out images.
    by_fold : ndarray, (fold of participants, fold of images)
        What `held_out` is the mean of.
    """

    weights: np.ndarray
    in_sample: float
    held_out: float
    by_fold: np.ndarray


def weighted_model(
    components: np.ndarray,
    people: np.ndarray,
    comparison: str = "corr",
    *,
    folds: tuple[int, int] = (4, 4),
    rng: np.random.Generator,
) -> WeightedModel:
    """Fit weights of RDMs, and say what they are worth on other people and other images.

    Parameters
    ----------
    components : ndarray, (component, pair)
        RDMs of candidate features, layers or networks; without NaN.
    people : ndarray, (participant, pair)
        NaN where missing.
    comparison : {"corr", "spearman", "rho-a"}
        How agreement is measured. Weights are fitted by non-negative least squares to the mean of
        z-scored RDMs.
    folds : tuple of int
        Into how many parts participants, and images, are divided at random; at least 2.
    rng : numpy.random.Generator
        For the folds.

    Returns
    -------
    WeightedModel

    Raises
    ------
    UsageError
        Unknown comparison, or fewer than 2 folds.
    ImpossibleAnalysis
        A fold would hold no participant, or fewer than 4 images.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> components = rng.random((3, 190))
    >>> people = components[0] + 2 * components[1] + 0.3 * rng.normal(size=(8, 190))
    >>> weighted_model(components, people, folds=(2, 2), rng=rng).weights.round(1)
    array([0.3, 0.7, 0. ])
    """
    if comparison not in COMPARISONS:
        raise UsageError(
            f"comparison is {comparison!r}; weighted models know {', '.join(COMPARISONS)}"
        )
    n = n_images(people)
    if min(folds) < 2 or folds[0] > len(people) or n // folds[1] < MIN_IMAGES:
        raise ImpossibleAnalysis(
            f"folds {folds} of {len(people)} participants and {n} images: each needs at least 2"
            f" folds, a participant a fold and {MIN_IMAGES} images a fold"
        )
    weights = fit(components, people)
    in_sample = _mean_agreement(weights @ _unit(components), people, comparison)
    person_folds, image_folds = (
        np.array_split(rng.permutation(k), f) for k, f in zip((len(people), n), folds, strict=True)
    )
    by_fold = np.array(
        [
            [_held_out(components, people, comparison, p, i) for i in image_folds]
            for p in person_folds
        ]
    )
    total = weights.sum()
    return WeightedModel(
        weights / total if total > 0 else weights, in_sample, float(np.nanmean(by_fold)), by_fold
    )


def fit(components: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Non-negative least-squares weights of components with unit standard deviation.

    Parameters
    ----------
    components : ndarray, (component, pair)
    people : ndarray, (participant, pair)
        NaN where missing. Who judged all alike is left out.

    Returns
    -------
    ndarray, (component,)
        All 0 where nobody is left.

    Examples
    --------
    >>> components = np.array([[1.0, 2, 3], [3.0, 1, 2]])
    >>> fit(components, components[:1])
    array([1., 0.])
    """
    people = people[
        np.nanmax(people, axis=1, initial=-np.inf) > np.nanmin(people, axis=1, initial=np.inf)
    ]
    if not len(people):
        return np.zeros(len(components))
    judged = np.isfinite(people).any(axis=0)
    scored = people[:, judged] - np.nanmean(people, axis=1, keepdims=True)
    target = np.nanmean(scored / np.nanstd(people, axis=1, keepdims=True), axis=0)
    design = _unit(components[:, judged])
    weights: np.ndarray = optimize.nnls(design.T, target - target.mean())[0]
    return weights


def _unit(components: np.ndarray) -> np.ndarray:
    """Centred, with unit standard deviation; a constant component stays 0."""
    deviation = components - components.mean(axis=1, keepdims=True)
    deviation[components.min(axis=1) == components.max(axis=1)] = 0
    size = deviation.std(axis=1, keepdims=True)
    return deviation / np.where(size > 0, size, 1)


def _held_out(
    components: np.ndarray, people: np.ndarray, comparison: str, out: np.ndarray, images: np.ndarray
) -> float:
    n = n_images(people)
    first, second = np.triu_indices(n, 1)
    inside = np.isin(np.arange(n), images)
    test, train = inside[first] & inside[second], ~inside[first] & ~inside[second]
    others = np.setdiff1d(np.arange(len(people)), out)
    weights = fit(components[:, train], people[np.ix_(others, train)])
    scale = components[:, train].std(axis=1)
    scaled = components[:, test] / np.where(scale > 0, scale, 1)[:, np.newaxis]
    return _mean_agreement(weights @ scaled, people[np.ix_(out, test)], comparison)


def _mean_agreement(model: np.ndarray, people: np.ndarray, comparison: str) -> float:
    found = compare_rdms(model, people, comparison)[0]
    return float(np.nanmean(found)) if np.isfinite(found).any() else np.nan
