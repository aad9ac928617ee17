"""Kappa: against scikit-learn, by hand, and its influence values against kappa with weighted
items.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from relstats.human.kappa import kappas, observed_bounds


def codes(n, items, classes, rng, missing=0.0):
    values = rng.integers(0, classes, (n, items))
    values[rng.random(values.shape) < missing] = -1
    return values


@pytest.mark.parametrize(("classes", "missing"), [(2, 0), (5, 0), (2, 0.3), (7, 0.4)])
def test_kappa_is_that_of_scikit_learn(classes, missing):
    rng = np.random.default_rng(classes)
    a, b = codes(3, 50, classes, rng, missing), codes(4, 50, classes, rng, missing)
    found = kappas(a, b, classes)
    for k, s in np.ndindex(3, 4):
        both = (a[k] >= 0) & (b[s] >= 0)
        np.testing.assert_allclose(
            found.kappa[k, s], cohen_kappa_score(a[k][both], b[s][both]), rtol=1e-12
        )
        assert found.n_items[k, s] == both.sum()
        np.testing.assert_allclose(found.observed[k, s], (a[k] == b[s])[both].mean(), rtol=1e-12)


def test_by_hand():
    a, b = np.array([[1] * 8 + [0] * 2]), np.array([[1] * 6 + [0] * 4])
    found = kappas(a, b, 2)
    assert (found.observed.item(), found.expected.item()) == (
        0.8,
        pytest.approx(0.8 * 0.6 + 0.2 * 0.4),
    )
    assert found.kappa.item() == pytest.approx((0.8 - 0.56) / 0.44)
    assert [v.item() for v in observed_bounds(np.array([0.8]), np.array([0.6]))] == pytest.approx(
        [0.4, 0.8]
    )


def test_not_defined_with_who_answers_alike_throughout():
    same, other = (
        np.zeros((1, 5), int),
        np.array([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [-1] * 5]),
    )
    found = kappas(same, other, 2)
    np.testing.assert_array_equal(found.kappa, [[np.nan] * 4])
    np.testing.assert_array_equal(kappas(other, same, 2).kappa, [[np.nan]] * 4)
    assert np.isnan(found.influence).all()
    np.testing.assert_allclose(found.observed[0, :3], found.expected[0, :3])
    assert found.n_items.tolist() == [[5, 5, 5, 0]]


def weighted_kappa(a, b, weights, classes):
    both = (a >= 0) & (b >= 0)
    a, b, weights = a[both], b[both], weights[both] / weights[both].sum()
    observed = weights[a == b].sum()
    expected = sum(weights[a == c].sum() * weights[b == c].sum() for c in range(classes))
    return (observed - expected) / (1 - expected)


@pytest.mark.parametrize("missing", [0, 0.3])
def test_influence_is_the_derivative_by_an_items_weight(missing):
    rng = np.random.default_rng(3)
    a, b = codes(2, 30, 3, rng, missing), codes(2, 30, 3, rng, missing)
    found = kappas(a, b, 3)
    np.testing.assert_allclose(found.influence.mean(axis=1), 0, atol=1e-12)
    for k, s in np.ndindex(2, 2):
        for item in range(30):
            up, down = np.ones(30), np.ones(30)
            up[item], down[item] = 1 + 1e-5, 1 - 1e-5
            slope = (weighted_kappa(a[k], b[s], up, 3) - weighted_kappa(a[k], b[s], down, 3)) / 2e-5
            np.testing.assert_allclose(
                found.influence[k, item, s], slope * 30, rtol=1e-5, atol=1e-7
            )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_properties(seed, classes):
    rng = np.random.default_rng(seed)
    a, b = codes(2, 15, classes, rng), codes(3, 15, classes, rng)
    found, turned = kappas(a, b, classes), kappas(b, a, classes)
    np.testing.assert_allclose(found.kappa, turned.kappa.T, rtol=1e-10, atol=1e-14)
    order, names = rng.permutation(15), rng.permutation(classes)
    np.testing.assert_allclose(
        kappas(names[a[:, order]], names[b[:, order]], classes).kappa,
        found.kappa,
        rtol=1e-10,
        atol=1e-14,
    )
    assert ((found.kappa <= 1 + 1e-12) | np.isnan(found.kappa)).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_bounds_hold(seed):
    rng = np.random.default_rng(seed)
    a, b = codes(1, 12, 2, rng), codes(1, 12, 2, rng)
    lower, upper = observed_bounds(a.mean(axis=1), b.mean(axis=1))
    assert lower.item() - 1e-12 <= (a == b).mean() <= upper.item() + 1e-12
