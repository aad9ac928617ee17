"""Three-way variance: against the two-way jackknife, by hand, and its error rates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from relstats.stats.inference import contrasts, jackknife, networks
from relstats.stats.inference.crossed import contrast_rows, crossed_test, level_rows, random_factors

TWO = np.repeat(np.array([[1, 0], [0, -1]]), 3, axis=1) / 3
#: Of one network: nothing is known of others.
ONE = np.ones((1, 1))


def outcome(values, rows=TWO, **options):
    return crossed_test(float(rows.sum(axis=0) @ values.mean(axis=(1, 2))), values, rows, **options)


def test_without_people_it_is_the_two_way_jackknife():
    values = np.random.default_rng(1).normal(size=(6, 12, 1)) + np.random.default_rng(2).normal(
        size=(6, 1, 1)
    )
    functional = networks.network_functional(np.array([0, 0, 0, 1, 1, 1]), np.array([1.0, -1.0]))
    expected = jackknife.two_way_jackknife(
        networks.network_moments(values.transpose(0, 2, 1), [functional]), 0
    )
    found = outcome(values)
    for name in ("estimate", "standard_error", "df", "p_value", "lower", "upper"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name)[0], rtol=1e-10)


def test_one_factor_is_a_t_test():
    values = np.random.default_rng(3).normal(size=(1, 9, 6))
    for factor, axis in (("images", 2), ("participants", 1)):
        found = outcome(values, ONE, random=[factor])
        interval = stats.ttest_1samp(values[0].mean(axis=axis - 1), 0).confidence_interval()
        np.testing.assert_allclose(
            [found.lower_these_networks, found.upper_these_networks], interval, rtol=1e-10
        )
        assert np.isnan([found.p_value, found.lower, found.upper, found.standard_error]).all()
        assert found.untested.startswith("a level has 1 network, and this needs 2")
    seeds = np.random.default_rng(4).normal(size=(6, 1, 1))
    welch = stats.ttest_ind(seeds[:3].ravel(), seeds[3:].ravel(), equal_var=False)
    found = outcome(seeds)
    np.testing.assert_allclose(
        [found.p_value, found.df, found.statistic],
        [welch.pvalue, welch.df, welch.statistic],
        rtol=1e-10,
    )


def test_three_way_mean_squares_by_the_textbook():
    """Of one group: V = (MS_a + ... - MS_ab - ...

    + MS_abc) / cells, with the usual mean squares (here of the interactions alone).
    """
    y = np.random.default_rng(5).normal(size=(4, 6, 5))
    a, b, c = y.shape
    grand = y.mean()
    ma, mb, mc = y.mean((1, 2)), y.mean((0, 2)), y.mean((0, 1))
    mab, mac, mbc = y.mean(2), y.mean(1), y.mean(0)
    ms = {
        "a": b * c * ((ma - grand) ** 2).sum() / (a - 1),
        "b": a * c * ((mb - grand) ** 2).sum() / (b - 1),
        "c": a * b * ((mc - grand) ** 2).sum() / (c - 1),
        "ab": c * ((mab - ma[:, None] - mb + grand) ** 2).sum() / ((a - 1) * (b - 1)),
        "ac": b * ((mac - ma[:, None] - mc + grand) ** 2).sum() / ((a - 1) * (c - 1)),
        "bc": a * ((mbc - mb[:, None] - mc + grand) ** 2).sum() / ((b - 1) * (c - 1)),
    }
    residual = (
        y - mab[:, :, None] - mac[:, None] - mbc + ma[:, None, None] + mb[:, None] + mc - grand
    )
    ms["abc"] = (residual**2).sum() / ((a - 1) * (b - 1) * (c - 1))
    signed = ms["a"] + ms["b"] + ms["c"] - ms["ab"] - ms["ac"] - ms["bc"] + ms["abc"]
    singles = [ms["a"], ms["b"], ms["c"]]
    variance = max(signed, *singles) / y.size
    found = outcome(y, np.full((1, 4), 0.25))
    np.testing.assert_allclose(found.standard_error**2, variance, rtol=1e-10)
    df = variance**2 / sum(
        (v / y.size) ** 2 / (n - 1) for v, n in zip(singles, y.shape, strict=True)
    )
    np.testing.assert_allclose(found.df, df, rtol=1e-10)


def test_order_scale_and_sign():
    rng = np.random.default_rng(6)
    values = rng.normal(size=(6, 8, 4))
    found, turned = outcome(values), outcome(values, -TWO)
    assert (turned.estimate, turned.p_value) == (-found.estimate, pytest.approx(found.p_value))
    mixed = values[:, rng.permutation(8)][:, :, rng.permutation(4)]
    np.testing.assert_allclose(outcome(mixed).p_value, found.p_value, rtol=1e-10)
    np.testing.assert_allclose(outcome(values * 2.0**60).p_value, found.p_value, rtol=1e-10)


def test_what_is_random():
    assert random_factors((6, 8, 4), TWO, ("images", "participants", "seeds")) == [
        "images",
        "participants",
        "seeds",
    ]
    uneven = np.array([[0.5, 0.5, 0, 0, 0], [0, 0, 1, 1, 1]])
    assert random_factors((5, 8, 1), uneven, ("images", "seeds")) == ["images"]
    fixed = outcome(np.random.default_rng(7).normal(size=(6, 8, 4)), random=["images"])
    assert fixed.untested == "networks were not taken as random (seeds)"
    assert np.isnan(fixed.p_value)
    assert random_factors((6, 8, 1), TWO, ("images", "participants", "seeds")) == [
        "images",
        "seeds",
    ]
    assert random_factors((5, 8, 4), np.eye(5)[:1], ("participants", "seeds")) == ["participants"]
    assert np.isnan(outcome(np.ones((5, 1, 1)), np.eye(5)[:1]).p_value)


def test_rows_of_contrasts_and_levels():
    import pandas as pd

    table = pd.DataFrame(
        {"model": list("aabbcd"), "seed": list("010100"), "p": list("iivviv"), "t": list("ggggxx")}
    )
    planned = contrasts.plan(table, "p", symmetric=True)
    rows = contrast_rows(planned.groups[0])
    np.testing.assert_allclose(rows.sum(axis=0), [0.25, 0.25, -0.25, -0.25, 0.5, -0.5])
    assert rows.shape[0] == 4
    np.testing.assert_allclose(level_rows(planned, 0).sum(axis=0), [0.25, 0.25, 0, 0, 0.5, 0])


def test_error_rate_with_all_three_random():
    rng, rejected, n = np.random.default_rng(7), 0, 600
    weights = np.array([[0.2] * 5 + [0] * 5, [0] * 5 + [-0.2] * 5])
    for _ in range(n):
        values = rng.normal(size=(10, 20, 8)) + rng.normal(size=(10, 1, 1)) * 0.5
        values += (
            np.repeat(rng.normal(size=(2, 20, 1)), 5, axis=0) * 0.5
            + np.repeat(rng.normal(size=(2, 1, 8)), 5, axis=0) * 0.3
        )
        rejected += outcome(values, weights).p_value <= 0.05
    assert 0.02 < rejected / n < 0.08
