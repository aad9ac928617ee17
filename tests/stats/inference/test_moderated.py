"""Moderated variances: the prior against root finders and draws, the limits, error rates."""

import numpy as np
import pytest
from scipy import optimize, special, stats

from relstats.stats.inference import fields, moderated
from relstats.stats.inference.adjust import false_discovery


def slow_prior(squares, df):
    """Smyth (2004), section 6.2, by a root finder; then the cuts."""
    logs = np.log(squares)
    beyond = logs.var(ddof=1) - special.polygamma(1, df / 2)
    cut = 2 * df
    if beyond > 0:
        cut = min(cut, 2 * optimize.brentq(lambda x: special.polygamma(1, x) - beyond, 1e-6, 1e12))
    center = logs.mean() - special.digamma(df / 2) + np.log(df / 2)
    variance = np.exp(center + special.digamma(cut / 2) - np.log(cut / 2))
    return cut, max(variance, squares.mean() * cut / (cut + 2))


@pytest.mark.parametrize("df", [2, 4, 20])
@pytest.mark.parametrize("unequal", [0.0, 0.7, 2.0])
def test_the_prior_is_its_definition(df, unequal):
    rng = np.random.default_rng(df)
    squares = rng.chisquare(df, 500) / df * np.exp(unequal * rng.standard_normal(500))
    np.testing.assert_allclose(moderated.prior(squares, df), slow_prior(squares, df), rtol=1e-9)


def test_the_prior_that_drew_the_variances_is_recovered():
    rng = np.random.default_rng(1)
    d0, s0, df = 6.0, 3.0, 8
    true = d0 * s0 / rng.chisquare(d0, 200_000)
    found, variance = moderated.prior(true * rng.chisquare(df, len(true)) / df, df)
    assert found == pytest.approx(d0, rel=0.03)
    floor = s0 * d0 / (d0 - 2) * d0 / (d0 + 2)  # 3.4: mean variance times d0 / (d0 + 2)
    assert variance == pytest.approx(floor, rel=0.03)


def test_the_prior_variance_is_not_far_below_the_mean():
    squares = np.array([0.01] * 50 + [10.0])  # its logs say 0.02
    prior_df, variance = moderated.prior(squares, 40)
    assert variance == pytest.approx(squares.mean() * prior_df / (prior_df + 2))


@pytest.mark.parametrize("value", [1e-6, 0.01, 0.5, 1.0, 40.0, 1e6])
def test_the_inverse_of_trigamma(value):
    assert special.polygamma(1, moderated.inverse_trigamma(value)) == pytest.approx(value, 1e-8)


def test_limits():
    squares = np.array([0.0, 1.0, 5.0])
    np.testing.assert_array_equal(moderated.shrunken(squares, 3, 0.0, 2.0), squares)  # Welch
    np.testing.assert_allclose(moderated.shrunken(squares, 3, 1e12, 2.0), 2.0)  # one for all


def test_no_prior_is_welch_and_much_of_it_pools(monkeypatch):
    maps = np.random.default_rng(1).standard_normal((7, 40))
    first, strata = np.arange(7) < 3, np.zeros(7, int)
    plain = fields.welch(maps, first, strata)
    monkeypatch.setattr(moderated, "prior", lambda squares, df: (0.0, 1.0))
    np.testing.assert_allclose(fields.welch(maps, first, strata, moderated.moderated), plain)
    monkeypatch.setattr(moderated, "prior", lambda squares, df: (1e12, 2.0))
    _, error, df = fields.welch(maps, first, strata, moderated.moderated)
    np.testing.assert_allclose(error, np.sqrt(2 / 3 + 2 / 4))
    assert (df > 1e11).all()


def test_pixels_without_variance_tell_nothing():
    squares = np.random.default_rng(1).chisquare(2, 50)
    padded = np.concatenate([squares, np.zeros(30)])
    assert moderated.prior(padded, 2) == moderated.prior(squares, 2)
    assert moderated.prior(np.zeros(3), 2) == (0.0, 0.0)
    prior_df, variance = moderated.prior(np.array([2.0, 0.0]), 2)  # one pixel has no variance
    assert prior_df == 4
    assert np.isfinite(variance)


def test_strata_share_the_prior():
    squares = np.random.default_rng(1).chisquare(2, 50)
    prior_df, variance = moderated.prior(squares, 2)
    values, df = moderated.moderated(squares, 2, 2)
    np.testing.assert_allclose(values, (prior_df / 2 * variance + 2 * squares) / (prior_df / 2 + 2))
    assert df == pytest.approx(2 + 0.7 * prior_df / 2)


def test_scale_changes_nothing():
    squares = np.random.default_rng(1).chisquare(3, 50)
    values, df = moderated.moderated(squares, 3)
    scaled, same = moderated.moderated(1e-8 * squares, 3)
    np.testing.assert_allclose(scaled, 1e-8 * values, rtol=1e-9)
    assert same == pytest.approx(df)


def test_null_slice_and_power():
    """Rough fields of 3 against 3 networks; pixels vary unequally."""
    rng, first, strata = np.random.default_rng(5), np.arange(6) < 3, np.zeros(6, int)
    wrong, marked, studies = 0, [], 200
    for _ in range(studies):
        maps = rng.standard_normal((6, 200)) * np.exp(0.4 * rng.standard_normal(200))
        wrong += (_adjusted(maps, first, strata) <= 0.05).any()
        maps[:3, :20] += 6
        marked.append((_adjusted(maps, first, strata) <= 0.05)[:20].mean())
    assert wrong / studies <= stats.binom.ppf(0.9999, studies, 0.05) / studies
    assert np.mean(marked) > 0.6


def _adjusted(maps, first, strata):
    difference, error, df = fields.welch(maps, first, strata, moderated.moderated)
    return false_discovery(2 * stats.t.sf(np.abs(difference / error), df))
