"""One score a network and image: the two-way jackknife against its definition, and against the one
for pairs of networks.
"""

import itertools

import numpy as np
import pytest
from scipy import stats

from relstats.errors import ImpossibleAnalysis, InvalidData
from relstats.stats.inference import jackknife, swaps
from relstats.stats.inference.moments import block_moments, merge_moments
from relstats.stats.inference.networks import network_functional, network_moments, swapped_means
from relstats.stats.inference.operators import contrast_operator, effect_weights

GROUPS = np.array(
    [0, 1, 0, 1, 1, 0, 2, 3, 3, 2, 3, 2, 1, -1]
)  # two strata of two levels, and one that takes no part
WEIGHTS = np.array([0.5, -0.5, 0.5, -0.5])


@pytest.fixture
def scores():
    rng = np.random.default_rng(3)
    return (
        rng.standard_normal((14, 2, 17)) + rng.standard_normal((14, 2, 1)) + rng.standard_normal(17)
    )


def contrast(scores, groups):
    """(mean of A - mean of B) in each stratum, averaged: (..., image)."""
    means = [scores[groups == g].mean(axis=0) for g in range(4)]
    return (means[0] - means[1] + means[2] - means[3]) / 2


def slow(scores, groups):
    """Estimate, standard error and df of one feature by loops, as in docs/statistics.md."""
    n_images = scores.shape[-1]
    on_image = contrast(scores, groups)
    v_images = on_image.var(ddof=1) / n_images
    v_groups, v_both = [], 0.0
    for g in range(4):
        own = np.flatnonzero(groups == g)
        left = np.array([contrast(np.delete(scores, m, axis=0), np.delete(groups, m)) for m in own])
        share = (len(own) - 1) / len(own)
        v_groups.append(share * ((left.mean(axis=1) - left.mean()) ** 2).sum())
        v_both += share * sum((row - left.mean(axis=0)).var(ddof=1) for row in left) / n_images
    sizes = [(groups == g).sum() - 1 for g in range(4)]
    v = max(sum(v_groups) + v_images - v_both, sum(v_groups), v_images)
    df = v**2 / (
        sum(a**2 / n for a, n in zip(v_groups, sizes, strict=True)) + v_images**2 / (n_images - 1)
    )
    return on_image.mean(), np.sqrt(v), df


@pytest.mark.parametrize("cuts", [(), (5,), (1, 2, 16)])
def test_jackknife_is_its_definition_however_images_are_cut(scores, cuts):
    functional = network_functional(GROUPS, WEIGHTS)
    scores[-1] = np.nan  # takes no part
    blocks = [network_moments(block, [functional]) for block in np.split(scores, cuts, axis=-1)]
    found = jackknife.two_way_jackknife(merge_moments(blocks), 0)
    for f in range(2):
        estimate, error, df = slow(scores[:, f], GROUPS)
        np.testing.assert_allclose(
            [found.estimate[f], found.standard_error[f], found.df[f]],
            [estimate, error, df],
            rtol=1e-10,
        )
        np.testing.assert_allclose(
            found.p_value[f], 2 * stats.t.sf(abs(estimate) / error, df), rtol=1e-9
        )
        half = stats.t.ppf(0.975, df) * error
        np.testing.assert_allclose(
            [found.lower[f], found.upper[f]], [estimate - half, estimate + half], rtol=1e-9
        )


def test_it_is_the_source_effect_of_scores_that_do_not_depend_on_targets(scores):
    """An independent path: pairs of networks, in which the target changes nothing."""
    groups = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0])
    of_pairs = np.broadcast_to(scores[:, np.newaxis], (14, 14, 2, 17))
    operator = contrast_operator(groups, effect_weights("source_effect"))
    wanted = jackknife.two_way_jackknife(block_moments(of_pairs, [operator]), 0)
    functional = network_functional(groups, np.array([1.0, -1.0]))
    found = jackknife.two_way_jackknife(network_moments(scores, [functional]), 0)
    for name in (
        "estimate",
        "variance_networks",
        "variance_images",
        "variance_interaction",
        "df",
        "p_value",
        "upper",
    ):
        np.testing.assert_allclose(
            getattr(found, name), getattr(wanted, name)[:2], rtol=1e-9, err_msg=name
        )


def test_without_variance_between_images_it_is_welch():
    rng = np.random.default_rng(1)
    values, groups = rng.standard_normal(9), np.array([0] * 4 + [1] * 5)
    scores = np.repeat(values[:, np.newaxis, np.newaxis], 6, axis=-1)
    found = jackknife.two_way_jackknife(
        network_moments(scores, [network_functional(groups, np.array([1.0, -1.0]))]), 0
    )
    welch = stats.ttest_ind(values[:4], values[4:], equal_var=False)
    np.testing.assert_allclose(
        [found.statistic[0], found.df[0], found.p_value[0]],
        [welch.statistic, welch.df, welch.pvalue],
        rtol=1e-10,
    )


def test_one_network_in_a_level_leaves_an_interval_of_these_networks(scores):
    groups = np.array([0, 1, 1] + [-1] * 11)
    found = jackknife.two_way_jackknife(
        network_moments(scores, [network_functional(groups, np.array([1.0, -1.0]))]), 0
    )
    assert (found.networks_random, found.images_random) == (False, True)
    on_image = scores[0, 0] - scores[1:3, 0].mean(axis=0)
    interval = stats.ttest_1samp(on_image, 0).confidence_interval()
    np.testing.assert_allclose(
        [found.lower_these_networks[0], found.upper_these_networks[0]], interval, rtol=1e-10
    )
    assert np.isnan([found.p_value[0], found.lower[0], found.df[0]]).all()
    assert found.untested.startswith("a level has 1 network, and this needs 2")


def test_two_networks_against_more_are_refused_and_two_against_two_are_not(scores):
    def tested(*sizes):
        groups = np.concatenate([np.repeat([0, 1], sizes), [-1] * (14 - sum(sizes))])
        functional = network_functional(groups, np.array([1.0, -1.0]))
        return jackknife.two_way_jackknife(network_moments(scores, [functional]), 0)

    refused = tested(2, 9)
    assert np.isnan(refused.p_value).all()
    assert np.isfinite(refused.variance_networks).all()
    assert refused.untested == "groups of 2 to 9 networks: unequal groups need 3 in the smallest"
    for sizes in ((2, 2), (3, 9)):
        assert np.isfinite(tested(*sizes).p_value).all()
        assert np.isnan(tested(*sizes).lower_these_networks).all()
        assert not tested(*sizes).untested


def test_functionals_by_hand():
    functional = network_functional(np.array([1, 0, 1, 2]), np.array([1.0, -1.0, 0.0]))
    assert functional.groups.tolist() == [1, 0, 1, -1]
    assert functional.estimate.tolist() == [-0.5, 1.0, -0.5, 0.0]
    assert np.isnan(functional.deleted[1]).all()  # nobody else in its group
    assert functional.deleted[0].tolist() == [0.0, 1.0, -1.0, 0.0]
    with pytest.raises(ImpossibleAnalysis, match="group 1 has a weight and no network"):
        network_functional(np.array([0, 0]), np.array([1.0, -1.0]))


def test_nan_is_refused_where_it_counts(scores):
    functional = network_functional(GROUPS, WEIGHTS)
    scores[-1] = np.inf
    assert np.isfinite(network_moments(scores, [functional]).mean).all()
    scores[4, 1, 7] = np.nan
    with pytest.raises(InvalidData, match=r"first: network 4, feature 1, image 7"):
        network_moments(scores, [functional])


def test_label_swaps_against_a_loop():
    rng = np.random.default_rng(2)
    means, first = rng.standard_normal((7, 3)), np.array([1, 1, 0, 0, 0, 1, 0], bool)
    strata = np.array([0, 0, 0, 0, 1, 1, 1])
    labels, exact = swaps.labelings(first, strata, n_swaps=9, rng=rng)
    found = swapped_means(means, labels, strata)
    assert exact
    assert len(found) == 6 * 3
    for row, label in zip(found, labels, strict=True):
        each = [
            means[(strata == s) & (label == 1)].mean(axis=0)
            - means[(strata == s) & (label == 0)].mean(axis=0)
            for s in (0, 1)
        ]
        np.testing.assert_allclose(row, (each[0] + each[1]) / 2, atol=1e-14)
    by_hand = {
        tuple(sorted(map(tuple, pick)))
        for pick in itertools.product(itertools.combinations(range(4), 2), [(4,), (5,), (6,)])
    }
    assert len(by_hand) == len(found)


def test_equal_networks_give_no_difference_under_any_labeling():
    labels, _ = swaps.labelings(
        np.arange(6) < 3, np.zeros(6, int), n_swaps=9, rng=np.random.default_rng(1)
    )
    found = swapped_means(np.full((6, 1), 0.1), labels, np.zeros(6, int))
    assert (found == 0).all()
    assert swaps.swap_p(found)[0] == 1
