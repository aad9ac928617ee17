"""The noise ceiling against its definition: pools written out, draws expanded into larger RDMs and
longer lists of people.
"""

import numpy as np
import pytest
from scipy import stats

from relstats.human import evaluation
from relstats.human.rdms import bootstrap
from relstats.human.rdms.ceiling import bound_draws, bounds, noise_ceiling
from relstats.human.rdms.comparisons import COMPARISONS, compare_rdms
from relstats.stats.inference.crossed import infer

N = 8
FIRST, SECOND = np.triu_indices(N, 1)
COUNTS = np.array([[1] * N, [2, 0, 1, 1, 3, 0, 1, 0], [0, 3, 1, 1, 1, 1, 1, 0]])
POOLED = {"corr": "corr", "cosine": "cosine", "spearman": "rank", "rho-a": "rank", "tau-a": "rank"}


@pytest.fixture
def people():
    rng = np.random.default_rng(4)
    return np.round(4 * (rng.random((5, len(FIRST))) + rng.random(len(FIRST))), 1)


def scaled(rdm, comparison, weights):
    """One person's RDM on the common scale, over the pairs of a draw (repeated as drawn)."""
    values = np.repeat(rdm, weights.astype(int))
    known = ~np.isnan(values)
    part = values[known]
    if POOLED[comparison] == "rank":
        part = (stats.rankdata(part) - (len(part) + 1) / 2) / len(part)
    elif POOLED[comparison] == "corr":
        part = (part - part.mean()) / part.std()
        part = part / np.sqrt(
            len(part)
        )  # of unit norm, as a mean of z-scores over the same pairs is up to scale
    else:
        part = part / np.linalg.norm(part)
    values[known] = part
    return values


def one_by_one(people, comparison, count, drawn):
    """Mean over the drawn people of the agreement with the pool of all others.

    Without the draws' algebra.
    """
    weights = count[FIRST] * count[SECOND]
    found = []
    for s in drawn:
        others = [scaled(people[t], comparison, weights) for t in drawn if t != s]
        pool = np.nanmean(others, axis=0)
        own = np.repeat(people[s], weights)
        known = np.isfinite(pool) & np.isfinite(own)
        x, y = pool[known], own[known]
        n = len(x)
        if POOLED[comparison] == "rank":
            x = np.round(x, 12)
        if comparison == "tau-a":
            signs = np.sign(x[:, None] - x) * np.sign(y[:, None] - y)
            found.append(signs.sum() / (n * (n - 1)))
        elif comparison == "cosine":
            found.append(x @ y / np.sqrt(x @ x * (y @ y)))
        else:
            if POOLED[comparison] == "rank":
                x, y = stats.rankdata(x), stats.rankdata(y)
            rho = stats.pearsonr(x, y).statistic
            if comparison == "rho-a":
                rho *= x.std() * y.std() * 12 / (n**2 - 1)
            found.append(rho)
    return np.mean(found)


@pytest.mark.parametrize("comparison", POOLED)
@pytest.mark.parametrize("missing", [False, True])
def test_lower_bound_is_that_of_the_definition(comparison, missing, people):
    if missing:
        people[0, [3, 4, 12]] = np.nan
        people[3, [5, 20]] = np.nan
    drawn = np.array([[1, 1, 1, 1, 1], [2, 0, 1, 1, 1], [0, 0, 3, 1, 1]])
    found = bound_draws(people, COUNTS, comparison, people=drawn)
    for draw in range(3):
        who = np.repeat(np.arange(5), drawn[draw])
        assert found[draw, 0] == pytest.approx(
            one_by_one(people, comparison, COUNTS[draw], who), rel=1e-9
        )


@pytest.mark.parametrize("comparison", POOLED)
def test_bounds_of_complete_data_by_comparisons(comparison, people):
    """Pools of the comparisons' own vectors, compared by `compare_rdms`."""
    units = {"corr": lambda v: (v - v.mean()) / v.std(), "cosine": lambda v: v / np.linalg.norm(v)}
    if comparison in ("rho-a", "spearman", "tau-a"):
        pooled = np.array([stats.rankdata(p) for p in people])
    else:
        pooled = np.array([units[comparison](p) for p in people])
    lower = [
        compare_rdms(np.delete(pooled, s, axis=0).mean(axis=0), people[s], comparison)[0, 0]
        for s in range(5)
    ]
    upper = compare_rdms(pooled.mean(axis=0), people, comparison)
    assert noise_ceiling(people, comparison) == pytest.approx(
        (np.mean(lower), upper.mean()), rel=1e-10
    )


def test_whitened_pools(people):
    contrasts = np.zeros((len(FIRST), N))
    contrasts[np.arange(len(FIRST)), FIRST], contrasts[np.arange(len(FIRST)), SECOND] = 1, -1
    inverse = np.linalg.inv((contrasts @ contrasts.T) ** 2)
    units = people / np.sqrt(np.einsum("sp,pq,sq->s", people, inverse, people))[:, None]
    lower = [
        compare_rdms(np.delete(units, s, axis=0).sum(axis=0), people[s], "cosine_cov")[0, 0]
        for s in range(5)
    ]
    upper = compare_rdms(units.sum(axis=0), people, "cosine_cov").mean()
    assert noise_ceiling(people, "cosine_cov") == pytest.approx((np.mean(lower), upper), rel=1e-10)


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_lower_is_below_upper_and_order_is_irrelevant(comparison, people):
    lower, upper = noise_ceiling(people, comparison)
    assert -1 <= lower < upper <= 1
    assert noise_ceiling(people[::-1], comparison) == pytest.approx((lower, upper), rel=1e-12)
    assert noise_ceiling(np.tile(people[:1], (3, 1)), "spearman") == pytest.approx((1, 1))


@pytest.mark.parametrize("comparison", ["corr", "cosine_cov", "unbiased_cka"])
def test_missing_pairs_take_the_long_way_to_the_same_bound(comparison, people):
    """The two ways, through cosines and through pools, meet where a pair is missing that counts for
    nothing.
    """
    count = np.array([[1] * (N - 1) + [0]])
    without = people.copy()
    without[0, (FIRST == N - 1) | (SECOND == N - 1)] = np.nan
    assert bound_draws(without, count, comparison) == pytest.approx(
        bound_draws(people, count, comparison), rel=1e-10
    )


def test_controls_are_held_constant(people):
    control = np.random.default_rng(1).random((1, len(FIRST)))
    slope = [np.polynomial.polynomial.polyfit(control[0], p, 1) for p in people]
    left = np.array([p - a - b * control[0] for p, (a, b) in zip(people, slope, strict=True)])
    expected = noise_ceiling(left, "corr")
    assert bounds(people, np.ones(N), "corr", control=control) == pytest.approx(expected, rel=1e-10)


def test_fewer_than_three_people_have_no_ceiling(people):
    assert np.isnan(noise_ceiling(people[:2])).all()
    assert np.isnan(bound_draws(people[:2], COUNTS, "corr")).all()
    people[0, 0] = np.nan
    assert np.isnan(bounds(people, np.ones(N), "corr", control=people[1:2])).all()


def test_intervals_of_both_bounds_vary_with_images_and_people_together(people):
    """Of three people, the fewest that have a ceiling; every draw taken again, by the bounds of the
    people and images that it holds.
    """
    people = people[:3]
    found = evaluation.evaluate(people, people, "corr", n_draws=40, rng=np.random.default_rng(7))
    rng = np.random.default_rng(7)
    counts, drawn = bootstrap.image_draws(N, 40, rng)[0], bootstrap.people_draws(3, 40, rng)
    images = np.array([bounds(people, count, "corr") for count in counts]).var(axis=0, ddof=1)
    once = np.ones((40, N))
    alone = bound_draws(people, once, "corr", people=drawn).var(axis=0, ddof=1)
    both = bound_draws(people, counts, "corr", people=drawn).var(axis=0, ddof=1)
    limits = (found.ceiling.lower, found.ceiling.upper)
    intervals = evaluation.ceiling_intervals(found)
    for k, limit in enumerate(limits):
        parts = {
            ("images",): images[k],
            ("participants",): alone[k],
            ("images", "participants"): both[k] - images[k] - alone[k],
        }
        expected = infer(limit, parts, {"images": N, "participants": 3})
        np.testing.assert_allclose(intervals[k], [expected.lower, expected.upper], rtol=1e-9)
        assert intervals[k][0] < limit < intervals[k][1]


@pytest.mark.parametrize("comparison", ["corr", "rho-a", "spearman"])
def test_upper_bound_of_a_draw_is_that_of_the_people_it_holds(comparison, people):
    drawn = np.array([[2.0, 1, 0, 1, *[0] * (len(people) - 4)]])
    held = np.repeat(people, drawn[0].astype(int), axis=0)
    found = bound_draws(people, np.ones((1, N)), comparison, people=drawn)[0, 1]
    assert found == pytest.approx(noise_ceiling(held, comparison)[1], rel=1e-10)


def test_the_true_model_is_not_tested_against_the_lower_bound():
    """Why: it is above it, decidedly, in nearly all studies; it lies between both bounds."""
    drawn, between, decided = np.random.default_rng(5), 0, 0
    for _ in range(20):
        places = drawn.standard_normal((30, 5))
        first, second = np.triu_indices(30, 1)
        true = np.linalg.norm(places[first] - places[second], axis=1)
        judged = true / true.std() + drawn.standard_normal((10, len(true)))
        found = evaluation.evaluate(true[np.newaxis], judged, "corr", n_draws=60, rng=drawn)
        lower, upper = found.ceiling.lower, found.ceiling.upper
        between += lower < found.observed.mean() < upper
        apart = found.observed[0] - lower
        decided += stats.ttest_1samp(apart, 0).pvalue < 0.05
    assert between == 20
    assert decided >= 15
