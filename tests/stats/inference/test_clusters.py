"""Clusters and their enhancement: against scipy's labels, an integral by steps, and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from relstats.stats.inference import clusters


def smooth(shape=(13, 9), seed=1, width=1.0):
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), width)
    return (4 * field / field.std()).astype(np.float32)


def by_scipy(field, threshold):
    """Sets of pixels of the clusters, with mass."""
    found = []
    for sign in (1, -1):
        labels, n = ndimage.label(sign * np.nan_to_num(field) > threshold)
        found += [
            (frozenset(np.flatnonzero(labels == k)), np.abs(field[labels == k]).sum())
            for k in range(1, n + 1)
        ]
    return sorted(found, key=lambda one: -one[1])


def by_steps(field, steps=4000):
    """Sum over thresholds of extent^0.5 height^2."""
    out, top = np.zeros(field.shape), np.nanmax(np.abs(field))
    for height in (np.arange(steps) + 0.5) * top / steps:
        for sign in (1, -1):
            labels, _ = ndimage.label(sign * np.nan_to_num(field) > height)
            extent = np.bincount(labels.ravel()).astype(float)
            extent[0] = 0
            out += np.sqrt(extent[labels]) * height**2 * top / steps
    return out


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threshold", [0.5, 2.0, 5.0])
def test_clusters_are_those_of_scipy(seed, threshold):
    field = smooth(seed=seed)
    field[3, 2:6] = np.nan
    labels, mass = clusters.label_clusters(field, threshold)
    expected = by_scipy(field, threshold)
    np.testing.assert_allclose(mass, [m for _, m in expected], rtol=1e-6)
    assert [frozenset(np.flatnonzero(labels == k + 1)) for k in range(len(mass))] == [
        pixels for pixels, _ in expected
    ]
    assert labels.max(initial=0) == len(mass)


def test_corners_do_not_touch_and_rows_do_not_wrap():
    field = np.array([[3.0, 0, 0, 0], [0, 3.0, 0, 3.0], [3.0, 0, 0, 0]])
    assert len(clusters.label_clusters(field, 1)[1]) == 4
    np.testing.assert_allclose(clusters.enhance(field), 9.0 * (field > 0))


def test_a_pixel_at_the_threshold_is_in_no_cluster():
    labels, mass = clusters.label_clusters(np.array([[2.0, 2.5]]), 2.0)
    assert labels.tolist() == [[0, 1]]
    assert mass.tolist() == [2.5]


def test_enhancement_by_hand():
    # a ridge of 2 at 1, with a peak to 3, and a valley below: 3 pixels up to 1, 1 from there to 3
    field = np.array([[1.0, 3.0, 1.0, 0.0, -2.0]])
    low, high = np.sqrt(3) / 3, (27 - 1) / 3
    np.testing.assert_allclose(
        clusters.enhance(field), [[low, low + high, low, 0.0, 8 / 3]], rtol=1e-12
    )


@pytest.mark.parametrize("seed", range(4))
def test_enhancement_is_the_limit_of_steps(seed):
    field = smooth(seed=seed)
    field[5, 4] = np.nan
    found, expected = clusters.enhance(field), by_steps(field)
    np.testing.assert_allclose(found, expected, atol=2e-3 * expected.max())
    assert found[5, 4] == 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-3, 3), min_size=20, max_size=20),
    st.sampled_from([(4, 5), (5, 4), (1, 20), (20, 1)]),
)
def test_ties_plateaus_and_edges(values, shape):
    field = np.array(values, np.float32).reshape(shape)
    exact = np.zeros(shape)
    for height in range(3):  # between whole numbers extents do not change
        for sign in (1, -1):
            labels, _ = ndimage.label(sign * field > height + 0.5)
            extent = np.bincount(labels.ravel()).astype(float)
            extent[0] = 0
            exact += np.sqrt(extent[labels]) * ((height + 1) ** 3 - height**3) / 3
    np.testing.assert_allclose(clusters.enhance(field), exact, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(clusters.enhance(-field[::-1]), exact[::-1], rtol=1e-12, atol=1e-12)


def test_largest_is_that_of_the_maps():
    stack = np.stack([smooth(seed=seed) for seed in range(6)])
    stack[2, 1, 1], stack[3] = np.nan, 0
    found = clusters.largest(stack.reshape(6, -1), stack.shape[2], 2.0, tfce=True, mass=True)
    for row, field in zip(found, stack, strict=True):
        masses = clusters.label_clusters(field, 2.0)[1]
        expected = [np.nanmax(np.abs(field)), clusters.enhance(field).max(), masses.max(initial=0)]
        np.testing.assert_allclose(row, expected, rtol=1e-9)
    only = clusters.largest(stack.reshape(6, -1), stack.shape[2], 2.0, tfce=False, mass=False)
    np.testing.assert_array_equal(only, found * [1, 0, 0])


def test_scale():
    field = smooth()
    np.testing.assert_allclose(
        clusters.enhance(4 * field), 64 * clusters.enhance(field), rtol=1e-12
    )


def test_stepped_enhancement_of_mne():
    mne = pytest.importorskip("mne.stats.cluster_level")
    field = smooth(seed=3)
    adjacency = None
    _, sums = mne._find_clusters(
        field, threshold=dict(start=0, step=0.005), tail=0, adjacency=adjacency
    )
    expected = clusters.enhance(field)
    np.testing.assert_allclose(np.reshape(sums, field.shape), expected, atol=0.02 * expected.max())
