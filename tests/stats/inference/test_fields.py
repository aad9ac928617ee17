"""Fields of t: against scipy, a slow loop, and by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from relstats.stats.inference import clusters, fields, swaps

SHAPE = (5, 6)


def design(sizes, seed=1, n_swaps=199):
    """Networks of sizes [(first, second), ...] by stratum: maps, labels, first, strata."""
    rng = np.random.default_rng(seed)
    first = np.concatenate([np.arange(a + b) < a for a, b in sizes])
    strata = np.repeat(np.arange(len(sizes)), [a + b for a, b in sizes])
    labels, _ = swaps.labelings(first, strata, n_swaps=n_swaps, rng=rng)
    maps = ndimage.gaussian_filter(rng.standard_normal((len(first), *SHAPE)), (0, 1, 1)).reshape(
        len(first), -1
    )
    return maps + strata[:, np.newaxis], labels, first, strata


def slow_t(maps, first, strata):
    difference = variance = 0
    kinds = np.unique(strata)
    for s in kinds:
        a, b = (maps[(strata == s) & side] for side in (first, ~first))
        difference = difference + (a.mean(0) - b.mean(0)) / len(kinds)
        variance = (
            variance + (a.var(0, ddof=1) / len(a) + b.var(0, ddof=1) / len(b)) / len(kinds) ** 2
        )
    return difference / np.sqrt(variance)


def test_welch_is_that_of_scipy():
    maps, _, first, strata = design([(5, 7)])
    expected = stats.ttest_ind(maps[first], maps[~first], equal_var=False)
    difference, error, df = fields.welch(maps, first, strata)
    np.testing.assert_allclose(difference / error, expected.statistic, rtol=1e-10)
    np.testing.assert_allclose(df, expected.df, rtol=1e-10)


def test_strata_by_hand():
    # stratum 0: 2 - 1 = 1, variances of means 1 and 0; stratum 1: 5 - 2 = 3, variances 4 and 1
    maps = np.array([[1.0, 3.0, 1.0, 1.0, 3.0, 7.0, 1.0, 3.0]]).T
    difference, error, df = fields.welch(
        maps, np.tile([True, True, False, False], 2), np.repeat([0, 1], 4)
    )
    assert difference.item() == pytest.approx(2)
    assert error.item() == pytest.approx(np.sqrt(6 / 4))
    assert df.item() == pytest.approx(1.5**2 / ((1 + 16 + 1) / 16))


@pytest.mark.parametrize(
    "sizes", [[(4, 4)], [(3, 5)], [(3, 3), (3, 3)], [(2, 3), (4, 2)], [(6, 6)]]
)
def test_swaps_are_those_of_a_slow_loop(sizes, monkeypatch):
    monkeypatch.setattr(fields, "BLOCK", 7 * 30)  # several blocks, of labelings and of pixels
    monkeypatch.setattr(fields, "WIDTH", 11)
    maps, labels, _, strata = design(sizes)
    slow = []
    for row in labels:
        t = slow_t(maps, row == 1, strata).reshape(SHAPE)
        slow.append(
            [
                np.abs(t).max(),
                clusters.enhance(t).max(),
                clusters.label_clusters(t, 1.5)[1].max(initial=0),
            ]
        )
    found = fields.swap_maxima(maps, labels, strata, SHAPE, 1.5)
    np.testing.assert_allclose(found, slow, rtol=2e-5)


def test_only_what_is_asked_for():
    maps, labels, _, strata = design([(4, 4)])
    everything = fields.swap_maxima(maps, labels, strata, SHAPE, 1.5)
    np.testing.assert_array_equal(
        fields.swap_maxima(maps, labels, strata, SHAPE, 1.5, ["cluster"]), everything * [1, 0, 1]
    )


def test_a_mirror_image_has_the_same_maximum_and_is_computed_once(monkeypatch):
    maps, labels, _, strata = design([(4, 4)])
    rows = []
    block = fields._block_maxima
    monkeypatch.setattr(
        fields, "_block_maxima", lambda *given: rows.append(len(given[-1])) or block(*given)
    )
    found = fields.swap_maxima(maps, labels, strata, SHAPE, 1.5)
    assert sum(rows) == 35
    mirror = [int(np.flatnonzero((labels == 1 - row).all(axis=1))[0]) for row in labels]
    np.testing.assert_array_equal(found[mirror], found)


def test_a_mirror_image_counts_for_p():
    maps, labels, first, strata = design([(4, 4)])
    maps[first] += 50
    found = fields.swap_maxima(maps, labels, strata, SHAPE, 1.5)
    for column in range(3):
        assert fields.family_p(found[:1, column], found[:, column]).item() == pytest.approx(2 / 70)


def test_family_p_counts_the_observed_and_ties():
    largest = np.array([5.0, 5.0 * (1 - 1e-8), 7.0, 1.0, 1.0])
    p = fields.family_p(np.array([[5.0, 0.0], [7.0, np.nan]]), largest)
    np.testing.assert_allclose(p, [[3 / 5, 1], [1 / 5, np.nan]])


@pytest.mark.parametrize("sizes", [[(2, 2)], [(2, 3)], [(2, 2), (2, 2)]])
@settings(max_examples=80, deadline=None)
@given(st.data())
def test_undefined_pixels_are_those_of_some_labeling(sizes, data):
    n = sum(a + b for a, b in sizes)
    values = np.array(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)), float)[
        :, np.newaxis
    ]
    first = np.concatenate([np.arange(a + b) < a for a, b in sizes])
    strata = np.repeat(np.arange(len(sizes)), [a + b for a, b in sizes])
    labels, _ = swaps.labelings(first, strata, n_swaps=9, rng=np.random.default_rng(1))
    expected = any(
        all(
            np.ptp(values[(strata == s) & (row == x)]) == 0
            for s, x in itertools.product(np.unique(strata), (0, 1))
        )
        for row in labels
    )
    assert fields.undefined(values, first, strata).item() == expected


def test_undefined_pixels_are_in_no_maximum():
    maps, labels, first, strata = design([(4, 4)])
    alone = fields.swap_maxima(maps, labels, strata, SHAPE, 1.5)
    apart = maps.copy()
    apart[:, 7] = np.where(
        np.arange(8) % 2, 3.0, 5.0
    )  # t is infinite where labels are odd against even
    assert fields.undefined(apart, first, strata).nonzero()[0].tolist() == [7]
    found = fields.swap_maxima(apart, labels, strata, SHAPE, 1.5)
    assert np.isfinite(found).all()
    maps[:, 7] = 0
    np.testing.assert_array_equal(found, fields.swap_maxima(maps, labels, strata, SHAPE, 1.5))
    assert (found[:, 0] <= alone[:, 0]).all()


def test_nearly_alike_is_alike_whatever_the_scale():
    for scale in (1e-30, 1.0, 1e30):
        same = scale * np.array([[1.0, 1.0], [1 + 1e-16, 2.0], [1.0, 3.0], [1.0, 5.0]])
        assert fields.undefined(same, np.arange(4) < 2, np.zeros(4, int)).tolist() == [True, False]


@pytest.mark.parametrize(("within", "expected"), [(0.0, True), (1e-5, True), (1e-3, False)])
def test_levels_that_hardly_vary_have_no_t(within, expected):
    values = np.array([0, 1, 2, 3, 0, 1, 2, 3.5]) * within + np.repeat([0.0, 1.0], 4)
    assert (
        fields.undefined(values[:, np.newaxis], np.arange(8) < 4, np.zeros(8, int)).item()
        == expected
    )


@pytest.mark.parametrize("scale", [2.0**-400, 2.0**200])
def test_scale_changes_nothing(scale):
    maps, labels, _, strata = design([(3, 5)])
    np.testing.assert_array_equal(
        fields.swap_maxima(maps * scale, labels, strata, SHAPE, 1.5),
        fields.swap_maxima(maps, labels, strata, SHAPE, 1.5),
    )


def test_order_of_networks_changes_nothing():
    maps, labels, _, strata = design([(3, 5), (2, 2)])
    order = np.random.default_rng(1).permutation(len(strata))
    found = fields.swap_maxima(maps[order], labels[:, order], strata[order], SHAPE, 1.5)
    np.testing.assert_allclose(
        found, fields.swap_maxima(maps, labels, strata, SHAPE, 1.5), rtol=1e-5
    )


def test_max_t_is_that_of_mne():
    mne = pytest.importorskip("mne")
    maps, labels, first, strata = design([(4, 4)])
    maps[first] += 0.3

    def welch(a, b):
        return stats.ttest_ind(a, b, equal_var=False).statistic

    _, found, p, _ = mne.stats.permutation_cluster_test(
        [maps[first].reshape(-1, *SHAPE), maps[~first].reshape(-1, *SHAPE)],
        threshold=1.5,
        stat_fun=welch,
        tail=0,
        n_permutations=20_000,
        adjacency=None,
        out_type="mask",
        seed=1,
        verbose="error",
    )
    t = slow_t(maps, first, strata).reshape(SHAPE)
    largest = fields.swap_maxima(maps, labels, strata, SHAPE, 1.5)
    ours, mass = clusters.label_clusters(t, 1.5)
    ours_p = fields.family_p(mass, largest[:, 2])
    for mask, value in zip(found, p, strict=True):
        assert ours_p[ours[mask][0] - 1] == pytest.approx(value, abs=0.03)


def test_networks_that_differ_by_rounding_only_are_alike():
    rng = np.random.default_rng(1)
    noise = 3 * (
        1 + np.finfo(float).eps * rng.integers(-4, 5, (8, 5))
    )  # of size 3 and 1e-15: no rest to test
    assert len(np.unique(noise)) > 3
    assert fields.undefined(noise, np.arange(8) < 4, np.zeros(8, int)).all()
    assert fields.undefined(noise * 2.0**-100, np.arange(8) < 4, np.zeros(8, int)).all()
    real = 3 * (1 + 1e-9 * rng.standard_normal((8, 5)))
    assert not fields.undefined(real, np.arange(8) < 4, np.zeros(8, int)).any()
