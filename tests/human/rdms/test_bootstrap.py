"""Variance by algebra against brute force, formulas against their definition, t-tests by hand."""

import itertools

import numpy as np
import pytest
from scipy import stats

from relstats.errors import ImpossibleAnalysis, UsageError
from relstats.human.rdms import bootstrap
from relstats.human.rdms.bootstrap import ceiling_parts, image_draws, mean_parts, people_draws
from relstats.stats.inference.crossed import infer


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def all_draws(n):
    """Every draw of n from n, in order, all equally likely."""
    return [np.bincount(draw, minlength=n) for draw in itertools.product(range(n), repeat=n)]


def exact_variances(x, groups):
    """V_A of participants and seeds by enumeration of all draws: {factors: variance}."""
    weights = [np.flatnonzero(row) for row in groups]
    sizes = [len(w) for w in weights]
    people = x.shape[1]
    found = {}
    names = ["participants", *(f"seeds {g}" for g in range(len(groups)))]
    for size in range(1, len(names) + 1):
        for chosen in itertools.combinations(names, size):
            values = []
            choices = [all_draws(people) if "participants" in chosen else [np.ones(people)]]
            choices += [
                all_draws(n) if f"seeds {g}" in chosen else [np.ones(n)]
                for g, n in enumerate(sizes)
            ]
            for who, *seeds in itertools.product(*choices):
                rows = np.zeros(len(x))
                for used, count, row in zip(weights, seeds, groups, strict=True):
                    rows[used] += row[used] * count
                values.append(rows @ x @ who / people)
            found[chosen] = np.var(values)
    return found


def interactions(variances):
    out = {}
    for chosen in variances:
        parts = (s for k in range(1, len(chosen) + 1) for s in itertools.combinations(chosen, k))
        out[chosen] = sum((-1) ** (len(chosen) - len(s)) * variances[s] for s in parts)
    return out


def test_people_and_seeds_are_as_if_every_draw_was_made(rng):
    x = rng.random((5, 3))
    groups = np.array([[1 / 3, 1 / 3, 1 / 3, 0, 0], [0, 0, 0, -1 / 2, -1 / 2]])
    expected = interactions(exact_variances(x, groups))
    found = mean_parts(x, None, groups, True, True)
    for names, part in expected.items():
        assert found.get(names, 0.0) == pytest.approx(part, rel=1e-10, abs=1e-15)
    assert set(found) < set(expected)


def test_images_by_the_law_of_total_variance(rng):
    """With draws of images given, the variance over everything is that of all combinations of
    draws.
    """
    x, draws = rng.random((2, 3)), rng.random((40, 2, 3))
    groups = np.array([[1 / 2, 1 / 2]])
    found = mean_parts(x, draws, groups, True, True)
    values, only_people = [], []
    for who in all_draws(3):
        only_people.append(np.mean(draws.mean(axis=1) @ who / 3 - draws.mean(axis=(1, 2))))
        for seeds in all_draws(2):
            values.append(np.einsum("k,dks,s->d", seeds / 2, draws, who / 3))
    v_all = np.var(values) + draws.mean(axis=(1, 2)).var(ddof=1) - draws.mean(axis=(1, 2)).var()
    assert sum(found.values()) == pytest.approx(v_all, rel=1e-10)
    assert found["images",] == pytest.approx(draws.mean(axis=(1, 2)).var(ddof=1), rel=1e-12)
    v_people = np.var([who @ x.mean(axis=0) / 3 for who in all_draws(3)])
    within = np.mean([np.var([who @ d.mean(axis=0) / 3 for who in all_draws(3)]) for d in draws])
    assert found["images", "participants"] == pytest.approx(within - v_people, rel=1e-9)


def test_fixed_factors_take_no_part(rng):
    x, draws = rng.random((4, 3)), rng.random((10, 4, 3))
    weights = np.full((1, 4), 0.25)
    assert set(mean_parts(x, draws, weights, False, False)) == {("images",)}
    assert set(mean_parts(x, None, weights, False, True)) == {("seeds 0",)}
    assert set(mean_parts(x, draws, weights, True, False)) == {
        ("participants",),
        ("images",),
        ("images", "participants"),
    }


def test_one_factor_is_students_t(rng):
    x = rng.random((1, 7)) - 0.3
    found = infer(x.mean(), mean_parts(x, None, np.ones((1, 1)), True, False), {"participants": 7})
    expected = stats.ttest_1samp(x[0], 0)
    assert (found.statistic, found.p_value, found.df) == pytest.approx(
        (expected.statistic, expected.pvalue, 6)
    )
    interval = expected.confidence_interval()
    assert (found.lower, found.upper) == pytest.approx((interval.low, interval.high))


def test_two_factors_by_hand():
    """theta = I n/(n-1) ...: .04 * 2, .01 * 1.5, .002 * 3; variance .08 + .015 - .006."""
    parts = {("images",): 0.04, ("participants",): 0.01, ("images", "participants"): 0.002}
    found = infer(0.6, parts, {"images": 2, "participants": 3}, confidence=0.9)
    variance = 0.08 + 0.015 - 0.006
    df = variance**2 / (0.08**2 / 1 + 0.015**2 / 2)
    assert found.standard_error == pytest.approx(np.sqrt(variance), rel=1e-12)
    assert found.df == pytest.approx(df, rel=1e-12)
    assert found.p_value == pytest.approx(2 * stats.t.sf(0.6 / np.sqrt(variance), df), rel=1e-12)
    assert found.upper - found.lower == pytest.approx(
        2 * stats.t.ppf(0.95, df) * np.sqrt(variance), rel=1e-12
    )
    assert found.variances == pytest.approx({"images": 0.08, "participants": 0.015})


def test_three_factors_count_the_triple_interaction_once():
    names = ("a", "b", "c")
    parts = {s: 1.0 for k in (1, 2, 3) for s in itertools.combinations(names, k)}
    sizes = dict.fromkeys(names, 1001)
    grown = [1.001 ** len(s) * (-1) ** (len(s) + 1) for s in parts]
    assert infer(1.0, parts, sizes).standard_error ** 2 == pytest.approx(
        max(sum(grown), 1.001), rel=1e-12
    )


def test_the_floor_is_the_largest_single_factor():
    parts = {("images",): 0.04, ("participants",): 0.01, ("images", "participants"): 0.04}
    assert infer(0.6, parts, {"images": 2, "participants": 2}).standard_error ** 2 == pytest.approx(
        0.08
    )


def test_no_variance_is_no_p_below_one():
    assert infer(0.0, {("participants",): 0.0}, {"participants": 3}).p_value == 1
    assert np.isnan(infer(0.1, {("participants",): 0.0}, {"participants": 3}).p_value)
    assert np.isnan(infer(0.1, {}, {}).p_value)


def test_rounding_is_no_variance():
    """People who all say the same differ by rounding: p was 1e-47 of a difference between them and
    a model.
    """
    parts, sizes = {("participants",): 1e-34}, {"participants": 4}
    assert np.isnan([infer(-0.4, parts, sizes).p_value, infer(-0.4, parts, sizes).lower]).all()
    assert infer(1e-16, parts, sizes).p_value == 1
    assert infer(-0.4, {("participants",): 1e-20}, sizes).p_value < 1e-20


def test_levels_out_of_range():
    with pytest.raises(UsageError, match=r"confidence is 1.5"):
        infer(0.1, {}, {}, confidence=1.5)


def test_parts_of_a_ceiling_are_those_of_its_draws(rng):
    images, people, both = rng.random((3, 50))
    found = ceiling_parts(images, people, both)
    v_images, v_people, v_both = (np.var(v, ddof=1) for v in (images, people, both))
    assert found["participants",] == pytest.approx(v_people)
    assert found["images",] == pytest.approx(v_images)
    assert found["images", "participants"] == pytest.approx(v_both - v_images - v_people)


def test_draws(rng):
    counts, redrawn = image_draws(5, 4000, rng)
    assert (counts.sum(axis=1) == 5).all()
    assert ((counts > 0).sum(axis=1) >= 4).all()
    # 1320 of 3125 draws of 5 from 5 hold 4 or 5 distinct ones; the others are redrawn until they do
    assert redrawn / (4000 + redrawn) == pytest.approx(1 - 1320 / 3125, abs=0.02)
    assert ((people_draws(3, 500, rng) > 0).sum(axis=1) >= 2).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(5), abs=0.05)
    with pytest.raises(ImpossibleAnalysis, match="4 images"):
        image_draws(4, 10, rng)
    assert bootstrap.MIN_DISTINCT == 4
