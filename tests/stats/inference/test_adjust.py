"""P-values of many tests, beside other implementations."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from relstats.stats.inference.adjust import false_discovery, holm


def test_holm_is_its_definition_and_nan_does_not_count():
    p = np.array([[0.01, np.nan, 0.03], [0.04, 0.005, np.nan]])
    expected = [
        [0.03, np.nan, 0.06],
        [0.06, 0.02, np.nan],
    ]  # .005 x 4, .01 x 3, .03 x 2, .04 x 1 -> at least .06
    np.testing.assert_allclose(holm(p), expected, rtol=1e-12)
    assert np.isnan(holm(np.full(3, np.nan))).all()
    np.testing.assert_array_equal(holm(np.array([0.9, 0.8])), [1.0, 1.0])


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_holm_is_that_of_statsmodels(axis):
    p = np.random.default_rng(5).random((4, 3, 2)) ** 3

    def theirs(family):
        return multipletests(family, method="holm")[1]

    expected = (
        theirs(p.ravel()).reshape(p.shape) if axis is None else np.apply_along_axis(theirs, axis, p)
    )
    np.testing.assert_allclose(holm(p, axis), expected, rtol=1e-12)


def test_false_discovery_leaves_nan_out():
    p = np.array([0.01, np.nan, 0.02, 0.5, np.nan])
    found = false_discovery(p)
    np.testing.assert_allclose(found[[0, 2, 3]], stats.false_discovery_control([0.01, 0.02, 0.5]))
    assert np.isnan(found[[1, 4]]).all()
    assert np.isnan(false_discovery(np.full(3, np.nan))).all()


def test_false_discovery_along_an_axis_is_that_of_each_family():
    p = np.array([[0.01, 0.2], [np.nan, 0.04], [0.03, 0.05]])
    along = false_discovery(p, axis=0)
    np.testing.assert_allclose(along[:, 1], stats.false_discovery_control(p[:, 1]))
    np.testing.assert_allclose(along[:, 0], false_discovery(p[:, 0]))
