"""Fields of t: against scipy, a slow loop, and by hand."""

import numpy as np
import pytest
from scipy import stats

from relstats.errors import ImpossibleAnalysis
from relstats.stats import fields, swaps


def _design(n, strata=1, seed=1):
    rng = np.random.default_rng(seed)
    first = np.tile(np.arange(2 * n) < n, strata)
    groups = np.repeat(np.arange(strata), 2 * n)
    labels, _ = swaps.labelings(first, groups, n_resamples=199, rng=rng)
    return rng.standard_normal((len(first), 30)), labels, groups


def test_screen_is_welch_and_benjamini_hochberg_of_scipy():
    maps, labels, strata = _design(5)
    expected = stats.ttest_ind(maps[:5], maps[5:], equal_var=False).pvalue
    p, adjusted = fields.screen(maps, labels, strata)
    np.testing.assert_allclose(p, expected, rtol=1e-10)
    np.testing.assert_allclose(adjusted, stats.false_discovery_control(expected), rtol=1e-10)


@pytest.mark.parametrize("strata", [1, 2])
def test_max_t_is_that_of_a_slow_loop(strata, monkeypatch):
    monkeypatch.setattr(fields, "BLOCK", 7 * 400)  # several blocks
    maps, labels, groups = _design(4 if strata == 1 else 3, strata)
    slow = []
    for row in labels:
        d = v = 0
        for s in range(strata):
            a, b = (maps[(groups == s) & (row == x)] for x in (1, 0))
            d = d + (a.mean(0) - b.mean(0)) / strata
            v = v + (a.var(0, ddof=1) / len(a) + b.var(0, ddof=1) / len(b)) / strata**2
        slow.append(np.abs(d / np.sqrt(v)))
    slow = np.array(slow)
    t, p = fields.max_t(maps, labels, groups)
    np.testing.assert_allclose(np.abs(t), slow[0], rtol=1e-10)
    expected = (slow.max(1)[:, None] >= slow[0] * (1 - 1e-9)).mean(0)
    np.testing.assert_allclose(p, expected, rtol=1e-12)


def test_constant_pixels_are_nan_and_change_no_other():
    maps, labels, strata = _design(4)
    alone = fields.max_t(maps, labels, strata)[1]
    p = fields.max_t(np.column_stack([np.full(8, 3.0), maps]), labels, strata)[1]
    assert np.isnan(p[0])
    np.testing.assert_array_equal(p[1:], alone)


@pytest.mark.parametrize("scale", [2.0**-400, 2.0**200])
def test_scale_changes_nothing(scale):
    maps, labels, strata = _design(4)
    np.testing.assert_array_equal(fields.max_t(maps * scale, labels, strata)[1], fields.max_t(maps, labels, strata)[1])


def test_three_against_three_is_refused_and_two_strata_are_not():
    _, labels, strata = _design(3)
    with pytest.raises(ImpossibleAnalysis, match=r"below 0\.1.*--correction bh"):
        fields.require_reachable(labels, strata, 0.05)
    _, labels, strata = _design(3, 2)
    assert fields.require_reachable(labels, strata, 0.05) == pytest.approx(2 / 400)
