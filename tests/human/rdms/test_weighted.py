"""Weighted models: weights against scipy's definition, held-out agreement against a loop, and no
hanging.
"""

import numpy as np
import pytest
from scipy import optimize, stats

from relstats.errors import ImpossibleAnalysis, UsageError
from relstats.human.rdms.weighted import fit, weighted_model

N = 24
PAIRS = N * (N - 1) // 2


@pytest.fixture
def rng():
    return np.random.default_rng(6)


def test_weights_minimise_the_squared_error_and_are_not_negative(rng):
    components = rng.random((4, PAIRS))
    people = components[0] - components[1] + 2 * components[2] + rng.random((5, PAIRS))
    found = fit(components, people)
    target = np.mean([stats.zscore(p) for p in people], axis=0)
    design = np.array([stats.zscore(c) for c in components])
    expected = optimize.lsq_linear(design.T, target, bounds=(0, np.inf), tol=1e-14).x
    assert found == pytest.approx(expected, abs=1e-6)
    assert found[1] == 0


def test_planted_weights_come_back_whatever_the_scale(rng):
    components = rng.random((3, PAIRS)) * np.array([[1.0], [100.0], [1e-3]])
    people = np.tile(stats.zscore(components, axis=1).T @ [3.0, 1.0, 0.0], (6, 1))
    found = weighted_model(components, people, folds=(2, 3), rng=rng)
    assert found.weights == pytest.approx([0.75, 0.25, 0], abs=1e-9)
    assert found.in_sample == pytest.approx(1)
    # the standard deviation of a component differs between the images of a fold: nearly 1
    assert found.held_out == pytest.approx(1, abs=1e-9)


def test_noise_fits_in_sample_and_not_on_others(rng):
    found = weighted_model(rng.random((30, PAIRS)), rng.random((4, PAIRS)), folds=(2, 3), rng=rng)
    assert found.in_sample > 0.1
    assert abs(found.held_out) < 0.1
    assert found.by_fold.shape == (2, 3)
    assert found.held_out == pytest.approx(found.by_fold.mean())


def test_other_images_are_other_images(rng):
    """What people share and no component has can be fitted on the same pairs, by chance, and not on
    others.
    """
    people = rng.random(PAIRS) + 0.1 * rng.random((8, PAIRS))
    found = weighted_model(rng.random((60, PAIRS)), people, folds=(2, 4), rng=rng)
    assert found.in_sample > 0.25
    assert found.held_out < 0.15


def test_missing_pairs_and_constant_components(rng):
    components = np.vstack([rng.random((2, PAIRS)), np.full(PAIRS, 0.1)])
    people = components[0] + rng.random((6, PAIRS))
    people[0, :40] = np.nan
    people[3] = 2.0
    weights = fit(components, people)
    assert weights[2] == 0
    assert weights[0] > weights[1]
    assert np.isfinite(
        weighted_model(components, people, "spearman", folds=(2, 2), rng=rng).held_out
    )
    assert fit(components, people[3:4]).tolist() == [0, 0, 0]


@pytest.mark.parametrize("folds", [(1, 2), (2, 1), (7, 2), (2, 7)])
def test_folds_that_hold_too_little(folds, rng):
    with pytest.raises(ImpossibleAnalysis, match="folds"):
        weighted_model(rng.random((2, PAIRS)), rng.random((6, PAIRS)), folds=folds, rng=rng)
    with pytest.raises(UsageError, match="comparison is 'tau-a'"):
        weighted_model(rng.random((2, PAIRS)), rng.random((6, PAIRS)), "tau-a", rng=rng)
