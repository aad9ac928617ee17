"""How well models agree with people, for images, people and networks like those measured.

Plain arrays.

Agreement of every network with every participant on every draw of images; from it, tests of each
model, of the difference of two, and of the bounds of the noise ceiling.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from relstats.errors import ImpossibleAnalysis
from relstats.human.rdms import bootstrap, ceiling
from relstats.human.rdms.bootstrap import ceiling_parts, mean_parts
from relstats.human.rdms.comparisons import compare_draws
from relstats.human.rdms.vectors import n_images
from relstats.stats.inference.crossed import FACTORS, Inference, Parts, claim, infer, random_factors


@dataclass(frozen=True)
class Ceiling:
    """The noise ceiling, and its bounds in draws of images, of participants, and of both: (draw,
    lower or upper), or None where fixed.
    """

    lower: float
    upper: float
    by_images: np.ndarray | None
    by_people: np.ndarray | None
    by_both: np.ndarray | None
    people: np.ndarray | None


@dataclass(frozen=True)
class Evaluations:
    """Agreement of networks with participants.

    Attributes
    ----------
    observed : ndarray, (network, participant)
    draws : ndarray, (draw, network, participant), or None
        On draws of images; None where images are fixed.
    ceiling : Ceiling
    random : frozenset of str
    n_images, redrawn, left_out : int
        `redrawn` draws held fewer than 4 distinct images; `left_out` ones left somebody with
        nothing to compare.
    """

    observed: np.ndarray
    draws: np.ndarray | None
    ceiling: Ceiling
    random: frozenset[str]
    n_images: int
    redrawn: int
    left_out: int


def evaluate(
    models: np.ndarray,
    people: np.ndarray,
    comparison: str,
    *,
    random: Collection[str] = FACTORS,
    control: np.ndarray | None = None,
    n_draws: int = 1000,
    rng: np.random.Generator,
) -> Evaluations:
    """Agreement of networks with participants, as measured and in draws of images and participants.

    Parameters
    ----------
    models : ndarray, (network, pair)
        Without NaN; none constant.
    people : ndarray, (participant, pair)
        NaN where missing; who judged all alike is not in it.
    comparison : str
        As in `relstats.human.compare_rdms`.
    random : collection of str
        Of "images", "participants", "seeds".
    control : ndarray, (c, pair), optional
        RDMs to hold constant.
    n_draws : int
    rng : numpy.random.Generator

    Returns
    -------
    Evaluations

    Raises
    ------
    ImpossibleAnalysis
        Too few images to draw, or hardly a draw in which everybody can be compared.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> people = rng.random((5, 45)) + np.arange(45) / 20
    >>> evaluate(people[:1], people[1:], "corr", n_draws=9, rng=rng).draws.shape
    (9, 1, 4)
    """
    n = n_images(people)
    observed = compare_draws(models, people, np.ones((1, n)), comparison, control=control)[0]
    counts, draws, redrawn = None, None, 0
    if "images" in random:
        counts, redrawn = bootstrap.image_draws(n, n_draws, rng)
        draws = compare_draws(models, people, counts, comparison, control=control)
        known = np.isfinite(draws).all(axis=(1, 2))
        _require_draws(known)
        counts, draws = counts[known], draws[known]
    drawn_people = None
    if "participants" in random and len(people) >= ceiling.MIN_PARTICIPANTS:
        size = n_draws if counts is None else len(counts)
        drawn_people = bootstrap.people_draws(len(people), size, rng)
    limits = _ceiling(people, comparison, counts, drawn_people, control)
    left_out = 0 if counts is None else n_draws - len(counts)
    return Evaluations(observed, draws, limits, frozenset(random), n, redrawn, left_out)


def _require_draws(known: np.ndarray) -> None:
    if known.sum() <= len(known) / 2:
        raise ImpossibleAnalysis(
            f"in {(~known).sum()} of {len(known)} draws of images somebody has nothing left to"
            " compare (too few pairs, or all judged alike): the variance over images is unknown."
            " Leave out participants with few judgments, or 'images' from `random`"
        )


def _ceiling(
    people: np.ndarray,
    comparison: str,
    counts: np.ndarray | None,
    drawn: np.ndarray | None,
    control: np.ndarray | None,
) -> Ceiling:
    once = np.ones((1, n_images(people)))
    lower, upper = ceiling.bounds(people, once[0], comparison, control=control)
    by_images = by_people = by_both = None
    if counts is not None and drawn is not None:
        both = np.stack([np.ones(drawn.shape), drawn])
        by_images, by_both = ceiling.bound_draws(
            people, counts, comparison, people=both, control=control
        )
    elif counts is not None:
        by_images = ceiling.bound_draws(people, counts, comparison, control=control)
    if drawn is not None:
        by_people = ceiling.bound_draws(people, once, comparison, people=drawn, control=control)
    return Ceiling(lower, upper, by_images, by_people, by_both, drawn)


def contrast(found: Evaluations, weights: np.ndarray, confidence: float = 0.95) -> Inference:
    """Test a contrast of models, or the mean of one.

    Parameters
    ----------
    found : Evaluations
    weights : ndarray, (group, network)
        One row a model, the same weight for each of its networks: [[1/2, 1/2, 0], [0, 0, -1]] is
        the mean of two less a third. Seeds count as random where every model of the contrast has
        two or more.
    confidence : float
        Confidence level.

    Returns
    -------
    Inference

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> people = rng.random((6, 45)) + np.arange(45) / 20
    >>> found = evaluate(people[:2], people[2:], "corr", n_draws=99, rng=rng)
    >>> bool(contrast(found, np.array([[0.5, 0.5]])).p_value < 0.05)
    True
    """
    estimate = float((weights.sum(axis=0) @ found.observed).mean())
    test = infer(estimate, _parts(found, weights), _sizes(found, weights), confidence)
    return claim(test, weights)


def ceiling_intervals(found: Evaluations, confidence: float = 0.95) -> np.ndarray:
    """Intervals of the lower and the upper bound of the noise ceiling.

    Both bounds are biased, on purpose: how well the best model would do lies between. So a model
    that differs from either, decidedly even, may be the true one, and no difference is tested.

    Parameters
    ----------
    found : Evaluations
    confidence : float

    Returns
    -------
    ndarray, (2, 2)
        A row for each bound, with the ends of its interval; NaN where the ceiling is unknown, and
        where neither images nor participants are random.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> people = rng.random((6, 45)) + np.arange(45) / 20
    >>> found = evaluate(people[:2], people[2:], "corr", n_draws=99, rng=rng)
    >>> low, high = ceiling_intervals(found)[0]
    >>> bool(low < found.ceiling.lower < high)
    True
    """
    limits = found.ceiling
    sizes = {"images": found.n_images, "participants": found.observed.shape[1]}
    rows = []
    for k, bound in enumerate((limits.lower, limits.upper)):
        if np.isnan(bound):
            rows.append([np.nan, np.nan])
            continue
        drawn = (limits.by_images, limits.by_people, limits.by_both)
        parts = ceiling_parts(*(None if d is None else d[:, k] for d in drawn))
        test = infer(bound, parts, sizes, confidence)
        rows.append([test.lower, test.upper])
    return np.array(rows, float)


def random_of(found: Evaluations, weights: np.ndarray) -> list[str]:
    """Which factors can be, and are to be, part of the variance of a contrast."""
    shape = (weights.shape[1], found.n_images, found.observed.shape[1])
    return random_factors(shape, weights, found.random)


def _parts(found: Evaluations, weights: np.ndarray) -> Parts:
    factors = random_of(found, weights)
    return mean_parts(
        found.observed, found.draws, weights, "participants" in factors, "seeds" in factors
    )


def _sizes(found: Evaluations, weights: np.ndarray) -> dict[str, int]:
    seeds = {f"seeds {g}": int((row != 0).sum()) for g, row in enumerate(weights)}
    return {"images": found.n_images, "participants": found.observed.shape[1], **seeds}
