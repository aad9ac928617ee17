"""The networks x images jackknife, label swaps, node scores: against their definitions and other
packages.
"""

from __future__ import annotations

import itertools
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.stats.inference import jackknife as inference
from relstats.stats.inference import moments as moments_module
from relstats.stats.inference import nodes, swaps
from relstats.stats.inference.jackknife import two_way_jackknife
from relstats.stats.inference.moments import block_moments, merge_moments, normalised_scores
from relstats.stats.inference.operators import EFFECTS, contrast_operator, effect_weights
from relstats.stats.inference.swaps import labelings, omnibus, smallest_p, swap_effects, swap_p

FLOATS = [
    f.name for f in fields(inference.Jackknife) if f.type == "np.ndarray" and "these" not in f.name
]
KENNY = [
    [0, 4, 5, 6, 7, 5],
    [2, 0, 1, 3, 2, 4],
    [5, 4, 0, 3, 2, 6],
    [4, 5, 4, 0, 2, 5],
    [1, 4, 4, 3, 0, 3],
    [5, 7, 5, 3, 9, 0],
]


def jackknife(scores, groups, weights, **options):
    """Of scores (source, target, image), for the mean over fractions."""
    return two_way_jackknife(
        block_moments(scores[:, :, np.newaxis], [contrast_operator(groups, weights)]), 0, **options
    )


def random_scores(rng, shape, groups=None):
    """Scores with effects of source, target and image, and no self pairs."""
    scores = rng.normal(size=shape) + rng.normal(size=(shape[0], *[1] * (len(shape) - 1)))
    scores += rng.normal(size=(1, shape[1], *[1] * (len(shape) - 2))) + rng.normal(size=shape[-1])
    if groups is not None:
        scores[groups == 0] += 0.7
    scores[np.diag_indices(shape[0])] = np.nan
    return scores


def slow_contrast(scores, groups, weights, without=None):
    """Contrast of cell means of each image, by loops over pairs."""
    total = np.zeros(scores.shape[-1])
    for a, b in itertools.product(range(len(weights)), repeat=2):
        if weights[a][b] == 0:
            continue
        pairs = [
            (m, k)
            for m in range(len(groups))
            for k in range(len(groups))
            if m != k and without not in (m, k) and groups[m] == a and groups[k] == b
        ]
        total = total + weights[a][b] * sum(scores[m, k] for m, k in pairs) / len(pairs)
    return total


def slow_jackknife(scores, groups, weights, level=0.95, margin=0.3):
    """Section "two-way jackknife" by its definition: one fraction, scores (source, target,
    image).
    """
    n_images = scores.shape[-1]
    c = slow_contrast(scores, groups, weights)
    v_images = np.var(c, ddof=1) / n_images
    v_networks, v_both, inverse, spare = 0.0, 0.0, 0.0, 0
    for g in range(len(weights)):
        own = np.flatnonzero(groups == g)
        z = np.array([slow_contrast(scores, groups, weights, without=m) for m in own])
        n = len(own)
        v_group = (n - 1) / n * sum((z[j].mean() - z.mean()) ** 2 for j in range(n))
        v_networks += v_group
        inverse += v_group**2 / (n - 1)
        spare += n - 1
        v_both += (
            (n - 1) / n * sum(np.var(z[j] - z.mean(axis=0), ddof=1) for j in range(n)) / n_images
        )
    v = max(v_networks + v_images - v_both, v_networks, v_images)
    df = v**2 / (inverse + v_images**2 / (n_images - 1))
    df_pooled = v**2 / (v_networks**2 / spare + v_images**2 / (n_images - 1))
    error = np.sqrt(v)
    t = stats.t(df)
    reach = t.ppf(1 - (1 - level) / 2) * error
    lower_test, upper_test = (
        1 - t.cdf((c.mean() + margin) / error),
        t.cdf((c.mean() - margin) / error),
    )
    return {
        "estimate": c.mean(),
        "variance": v,
        "standard_error": error,
        "statistic": c.mean() / error,
        "df": df,
        "p_value": 2 * (1 - t.cdf(abs(c.mean() / error))),
        "lower": c.mean() - reach,
        "upper": c.mean() + reach,
        "p_equivalence": max(lower_test, upper_test),
        "variance_networks": v_networks,
        "variance_images": v_images,
        "variance_interaction": v_both,
    }, df_pooled


# ---------------------------------------------------------------- operators


@pytest.mark.parametrize("effect", EFFECTS)
def test_the_operator_is_the_contrast_of_cell_means_with_and_without_each_network(effect):
    rng = np.random.default_rng(1)
    groups = np.array([0, 1, 0, -1, 1, 1, 0, 0])
    scores = random_scores(rng, (8, 8, 3))
    operator = contrast_operator(groups, effect_weights(effect))
    known = np.nan_to_num(scores)
    np.testing.assert_allclose(
        np.tensordot(operator.estimate, known),
        slow_contrast(scores, groups, effect_weights(effect)),
        rtol=1e-12,
    )
    for m in range(8):
        expected = slow_contrast(scores, groups, effect_weights(effect), without=m)
        np.testing.assert_allclose(np.tensordot(operator.deleted[m], known), expected, rtol=1e-12)
    assert (np.diag(operator.estimate) == 0).all()
    np.testing.assert_array_equal(operator.deleted[3], operator.estimate)


def test_the_effects_by_hand():
    cells = np.array([[1.0, 2.0], [4.0, 8.0]])  # AA, AB, BA, BB
    found = {effect: float((effect_weights(effect) * cells).sum()) for effect in EFFECTS}
    expected = [-2.0, -4.5, -2.5, 1.5, -7.0]
    assert found == dict(zip(EFFECTS, expected, strict=True))


@given(sizes=st.tuples(st.integers(2, 6), st.integers(2, 6)))
@settings(max_examples=20, deadline=None)
def test_asymmetry_is_source_effect_minus_target_effect_exactly(sizes):
    groups = np.repeat([0, 1], sizes)
    asymmetry, source, target = (
        contrast_operator(groups, effect_weights(e)).estimate for e in EFFECTS[:3]
    )
    np.testing.assert_array_equal(asymmetry, source - target)


def test_a_cell_that_a_deletion_empties_leaves_nan_and_one_that_is_empty_stops():
    operator = contrast_operator(np.array([0, 0, 1, 1, 1]), effect_weights("source_effect"))
    np.testing.assert_array_equal(
        np.isnan(operator.deleted).all(axis=(1, 2)), [True, True, False, False, False]
    )
    assert not np.isnan(operator.deleted[2:]).any()
    message = r"sources in group 0 \(1 networks\) and targets in group 0 \(1\) holds no pair"
    with pytest.raises(ImpossibleAnalysis, match=message):
        contrast_operator(np.array([0, 1, 1]), effect_weights("source_effect"))
    with pytest.raises(UsageError, match="effect is 'gap'; it is one of asymmetry"):
        effect_weights("gap")


# ---------------------------------------------------------------- the jackknife


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_the_jackknife_is_its_definition(effect, scale):
    """The small scale makes images count for much less than networks, and the other way round."""
    rng = np.random.default_rng(2)
    groups = np.array([0, 0, 1, 1, 0, 1, 1])
    scores = random_scores(rng, (7, 7, 2, 9), groups)
    scores[:, :, 1] = scores[:, :, 1] * scale + scores[:, :, 1].mean(axis=-1, keepdims=True)
    operator = contrast_operator(groups, effect_weights(effect))
    moments = block_moments(
        scores, [contrast_operator(groups, effect_weights("own_level_difference")), operator]
    )
    found = two_way_jackknife(moments, 1, margin=0.3)
    pooled = two_way_jackknife(moments, 1, df="pooled")
    assert found.networks_random
    assert found.images_random
    for f, values in enumerate([scores[:, :, 0], scores[:, :, 1], scores.mean(axis=2)]):
        expected, df_pooled = slow_jackknife(values, groups, effect_weights(effect))
        for name in FLOATS:
            np.testing.assert_allclose(
                getattr(found, name)[f], expected[name], rtol=1e-9, err_msg=name
            )
        np.testing.assert_allclose(pooled.df[f], df_pooled, rtol=1e-9)
        np.testing.assert_allclose(pooled.variance[f], expected["variance"], rtol=1e-9)


def test_the_jackknife_by_hand():
    """Two networks a level: those of A differ by 2 as sources, those of B not as targets.

    Two images by 2.
    """
    scores = np.zeros((4, 4, 2))
    scores[:2, 2:] = [[[2, 4], [2, 4]], [[4, 6], [4, 6]]]
    found = jackknife(scores, np.array([0, 0, 1, 1]), effect_weights("asymmetry"))
    # Images: contrasts 3 and 5 have variance 2, their mean 1. Networks: 3 and 5, the same. No
    # interaction.
    assert found.estimate[-1] == 4
    assert found.variance_images[-1] == 1
    assert found.variance_networks[-1] == 1
    assert found.variance_interaction[-1] == 0
    assert found.variance[-1] == 2
    assert found.df[-1] == 2  # 4 / (1 / 1 + 1 / 1)
    np.testing.assert_allclose(found.p_value[-1], 2 * stats.t.sf(4 / np.sqrt(2), 2), rtol=1e-12)
    np.testing.assert_allclose(found.upper[-1], 4 + 4.302652729749464 * np.sqrt(2), rtol=1e-9)
    pooled = jackknife(scores, np.array([0, 0, 1, 1]), effect_weights("asymmetry"), df="pooled")
    np.testing.assert_allclose(pooled.df[-1], 4 / (1 / 2 + 1), rtol=1e-12)


def test_images_alone_are_a_one_sample_interval_of_these_networks():
    """One network a level: nothing is known of other networks."""
    scores = random_scores(np.random.default_rng(3), (2, 2, 30))
    found = jackknife(scores, np.array([0, 1]), effect_weights("asymmetry"), confidence=0.9)
    test = stats.ttest_1samp(scores[0, 1] - scores[1, 0], 0)
    interval = test.confidence_interval(0.9)
    assert not found.networks_random
    assert found.images_random
    assert np.isnan(found.variance_networks).all()
    assert np.isnan(found.variance_interaction).all()
    np.testing.assert_allclose(
        [found.lower_these_networks[0], found.upper_these_networks[0]], interval, rtol=1e-10
    )
    for name in set(FLOATS) - {"estimate", "variance_images"}:
        assert np.isnan(getattr(found, name)).all(), name
    assert found.untested.startswith("a level has 1 network, and this needs 2")


def test_networks_alone_are_welchs_t_test():
    """One image, targets that do not differ: sources A against sources B."""
    rng = np.random.default_rng(4)
    groups = np.array([0] * 4 + [1] * 6 + [2] * 3)
    scores = np.repeat(
        rng.normal(size=(13, 1, 1)) * np.where(groups == 1, 3, 1)[:, np.newaxis, np.newaxis],
        13,
        axis=1,
    )
    weights = np.zeros((3, 3))
    weights[0, 2], weights[1, 2] = 1, -1
    found = jackknife(scores, groups, weights)
    test = stats.ttest_ind(scores[:4, 0, 0], scores[4:10, 0, 0], equal_var=False)
    assert found.networks_random
    assert not found.images_random
    assert np.isnan(found.variance_images).all()
    np.testing.assert_allclose(found.statistic, test.statistic, rtol=1e-10)
    np.testing.assert_allclose(found.p_value, test.pvalue, rtol=1e-10)
    np.testing.assert_allclose(found.df, test.df, rtol=1e-10)
    np.testing.assert_allclose(
        [found.lower[0], found.upper[0]], test.confidence_interval(), rtol=1e-10
    )


def test_with_two_networks_a_level_only_contrasts_between_levels_speak_for_others():
    scores = random_scores(np.random.default_rng(5), (4, 4, 10))
    groups = np.array([0, 0, 1, 1])
    assert jackknife(scores, groups, effect_weights("asymmetry")).networks_random
    gap = jackknife(scores, groups, effect_weights("specificity"))
    assert not gap.networks_random
    assert gap.untested.startswith("a level has 2 networks, and this needs 3")
    assert np.isnan(gap.p_value).all()
    assert np.isfinite(gap.lower_these_networks).all()
    nothing = jackknife(scores[..., :1], groups, effect_weights("specificity"))
    assert not nothing.networks_random
    assert not nothing.images_random
    assert np.isfinite(nothing.estimate).all()
    for name in set(FLOATS) - {"estimate"}:
        assert np.isnan(getattr(nothing, name)).all()


@pytest.mark.parametrize("pair", [(0, 1), (1, 2)])
def test_groups_without_a_weight_do_not_matter(pair):
    rng = np.random.default_rng(6)
    scores = random_scores(rng, (9, 9, 8))
    groups = np.repeat([0, 1, 2], 3)
    weights = np.zeros((3, 3))
    weights[np.ix_(pair, pair)] = effect_weights("source_effect")
    own = np.isin(groups, pair)
    wide = jackknife(scores, groups, weights, df="pooled")
    narrow = jackknife(
        scores[np.ix_(own, own)], groups[own] - pair[0], weights[np.ix_(pair, pair)], df="pooled"
    )
    for name in set(FLOATS) - {"p_equivalence"}:
        np.testing.assert_allclose(getattr(wide, name), getattr(narrow, name), rtol=1e-12)


def test_stability_of_one_level_has_its_published_variance():
    """V = 4 (n - 1) / (n (n - 2)^2) sum (row mean - mean)^2 for a symmetric similarity."""
    rng = np.random.default_rng(7)
    n = 6
    half = rng.normal(size=(n, n, 1))
    similarity = half + half.swapaxes(0, 1)
    similarity[np.diag_indices(n)] = np.nan
    found = jackknife(similarity, np.zeros(n, int), np.ones((1, 1)))
    rows = np.nanmean(similarity[..., 0], axis=1)
    np.testing.assert_allclose(found.estimate, np.nanmean(similarity), rtol=1e-12)
    expected = 4 * (n - 1) / (n * (n - 2) ** 2) * ((rows - rows.mean()) ** 2).sum()
    np.testing.assert_allclose(found.variance_networks, expected, rtol=1e-12)
    np.testing.assert_allclose(found.df, n - 1)


def test_asymmetry_has_its_closed_variance():
    """V = s2(u) / n for each level, u the mean of a network's differences with the other level."""
    scores = random_scores(np.random.default_rng(8), (9, 9, 1))
    found = jackknife(scores, np.repeat([0, 1], [4, 5]), effect_weights("asymmetry"))
    difference = (scores[:4, 4:] - scores[4:, :4].swapaxes(0, 1))[..., 0]
    expected = difference.mean(1).var(ddof=1) / 4 + difference.mean(0).var(ddof=1) / 5
    np.testing.assert_allclose(found.variance_networks, expected, rtol=1e-12)


def test_variance_is_never_below_its_parts():
    rng = np.random.default_rng(9)
    groups = np.repeat([0, 1], 3)
    for _ in range(20):
        found = jackknife(rng.normal(size=(6, 6, 3)), groups, effect_weights("source_effect"))
        assert (found.variance >= found.variance_networks).all()
        assert (found.variance >= found.variance_images).all()


# ---------------------------------------------------------------- blocks, scales, orders


@given(cuts=st.lists(st.integers(1, 39), max_size=6, unique=True), seed=st.integers(0, 2**16))
@settings(max_examples=25, deadline=None)
def test_blocks_of_images_give_what_one_block_gives(cuts, seed):
    rng = np.random.default_rng(seed)
    groups = np.array([0, 0, 0, 1, 1, 1, -1])
    scores = random_scores(rng, (7, 7, 2, 40)) + 100
    operators = [contrast_operator(groups, effect_weights(effect)) for effect in EFFECTS]
    whole = block_moments(scores, operators)
    parts = merge_moments(
        [block_moments(s, operators) for s in np.split(scores, sorted(cuts), axis=-1)]
    )
    assert parts.count == 40
    np.testing.assert_allclose(parts.matrix, whole.matrix, rtol=1e-12)
    for o in range(len(operators)):
        a, b = two_way_jackknife(whole, o), two_way_jackknife(parts, o)
        for name in set(FLOATS) - {"p_equivalence"}:
            np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-9, atol=1e-12)


def test_merged_moments_are_to_rounding_those_of_one_block():
    rng = np.random.default_rng(10)
    operator = contrast_operator(np.repeat([0, 1], 4), effect_weights("source_effect"))
    scores = rng.normal(size=(8, 8, 3, 500))
    whole = block_moments(scores, [operator])
    parts = merge_moments(
        [block_moments(s, [operator]) for s in np.split(scores, [1, 130, 131, 400], axis=-1)]
    )
    for name in ("mean", "m2", "deleted_mean", "deleted_m2"):
        np.testing.assert_allclose(
            getattr(parts, name), getattr(whole, name), rtol=1e-12, atol=1e-14, err_msg=name
        )
    again = merge_moments(
        [block_moments(s, [operator]) for s in np.split(scores, [1, 130, 131, 400], axis=-1)]
    )
    assert again.m2.tobytes() == parts.m2.tobytes()


def test_the_moments_are_those_of_numpy():
    rng = np.random.default_rng(11)
    groups = np.repeat([0, 1], 3)
    operator = contrast_operator(groups, effect_weights("target_effect"))
    scores = random_scores(rng, (6, 6, 2, 25))
    moments = block_moments(scores, [operator])
    z = np.einsum("zmk,mkfi->zfi", operator.deleted, np.nan_to_num(scores))
    c = np.einsum("mk,mkfi->fi", operator.estimate, np.nan_to_num(scores))
    np.testing.assert_allclose(moments.m2[0, :2], 25 * c.var(axis=-1), rtol=1e-12)
    np.testing.assert_allclose(moments.m2[0, 2], 25 * c.mean(axis=0).var(), rtol=1e-12)
    np.testing.assert_allclose(moments.deleted_mean[0, :, :2], z.mean(axis=-1), rtol=1e-12)
    deviation = z[:3] - z[:3].mean(axis=0)
    np.testing.assert_allclose(
        moments.deleted_m2[0, 0, :2], 25 * deviation.var(axis=-1).sum(axis=0), rtol=1e-12
    )
    np.testing.assert_allclose(moments.matrix[..., 2], scores.mean(axis=(2, 3)), rtol=1e-12)
    assert np.isnan(np.diagonal(moments.matrix)).all()


@given(power=st.integers(-300, 300), seed=st.integers(0, 2**16))
@settings(max_examples=25, deadline=None)
def test_powers_of_two_scale_exactly(power, seed):
    groups = np.repeat([0, 1], 3)
    scores = np.random.default_rng(seed).normal(size=(6, 6, 12))
    one = jackknife(scores, groups, effect_weights("source_effect"), margin=1.0)
    two = jackknife(
        np.ldexp(scores, power),
        groups,
        effect_weights("source_effect"),
        margin=np.ldexp(1.0, power),
    )
    for name in ("df", "statistic", "p_value", "p_equivalence"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    for name in ("estimate", "standard_error", "lower", "upper"):
        np.testing.assert_array_equal(np.ldexp(getattr(one, name), power), getattr(two, name))


@given(seed=st.integers(0, 2**16), effect=st.sampled_from(EFFECTS))
@settings(max_examples=25, deadline=None)
def test_order_does_not_matter_and_names_of_levels_turn_signs(seed, effect):
    rng = np.random.default_rng(seed)
    groups = np.array([0, 0, 0, 1, 1, 1, 1])
    scores = random_scores(rng, (7, 7, 12))
    found = jackknife(scores, groups, effect_weights(effect))
    networks, images = rng.permutation(7), rng.permutation(12)
    moved = jackknife(
        scores[np.ix_(networks, networks, images)], groups[networks], effect_weights(effect)
    )
    for name in set(FLOATS) - {"p_equivalence"}:
        np.testing.assert_allclose(
            getattr(moved, name), getattr(found, name), rtol=1e-9, atol=1e-12
        )
    turned = jackknife(scores, 1 - groups, effect_weights(effect))
    sign = 1 if effect == "specificity" else -1
    np.testing.assert_allclose(turned.estimate, sign * found.estimate, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(turned.p_value, found.p_value, rtol=1e-9)
    transposed = jackknife(scores.swapaxes(0, 1), groups, effect_weights(effect))
    partner = {"source_effect": "target_effect", "target_effect": "source_effect"}.get(
        effect, effect
    )
    other = jackknife(scores, groups, effect_weights(partner))
    sign = -1 if effect == "asymmetry" else 1
    np.testing.assert_allclose(transposed.estimate, sign * other.estimate, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(transposed.variance, other.variance, rtol=1e-9)


def test_half_precision_is_summed_in_double():
    rng = np.random.default_rng(12)
    scores = rng.random((6, 6, 5000)).astype(np.float16)
    groups = np.repeat([0, 1], 3)
    half = jackknife(scores, groups, effect_weights("asymmetry"))
    double = jackknife(scores.astype(np.float64), groups, effect_weights("asymmetry"))
    for name in set(FLOATS) - {"p_equivalence"}:
        np.testing.assert_array_equal(getattr(half, name), getattr(double, name))


def test_wide_blocks_are_worked_through_in_chunks(monkeypatch):
    rng = np.random.default_rng(13)
    operator = contrast_operator(np.repeat([0, 1], 3), effect_weights("asymmetry"))
    scores = rng.normal(size=(6, 6, 2, 100))
    whole = block_moments(scores, [operator])
    monkeypatch.setattr(moments_module, "CHUNK", 36 * 17)
    chunked = block_moments(scores, [operator])
    np.testing.assert_allclose(chunked.m2, whole.m2, rtol=1e-12)
    np.testing.assert_allclose(chunked.matrix, whole.matrix, rtol=1e-12)


# ---------------------------------------------------------------- degenerate data and errors


@pytest.mark.parametrize("value", [0.0, 1 / 3, 1e-30, 1e30])
@pytest.mark.parametrize("effect", EFFECTS)
def test_identical_scores_are_no_effect_with_p_of_one(value, effect):
    groups = np.array([0, 0, 0, 1, 1, 1, 1])
    blocks = [
        block_moments(
            np.full((7, 7, 3, n), value), [contrast_operator(groups, effect_weights(effect))]
        )
        for n in (5, 1, 300)
    ]
    found = two_way_jackknife(merge_moments(blocks), 0)
    for name in (
        "estimate",
        "variance",
        "variance_networks",
        "variance_images",
        "variance_interaction",
    ):
        np.testing.assert_array_equal(getattr(found, name), 0.0)
    np.testing.assert_array_equal(found.p_value, 1.0)
    for name in ("df", "statistic", "lower", "upper", "p_equivalence"):
        assert np.isnan(getattr(found, name)).all()


def test_scores_that_vary_with_the_image_alone_are_no_effect():
    rng = np.random.default_rng(14)
    scores = np.broadcast_to(rng.normal(size=200) * np.repeat([1e6, 1.0], 100), (7, 7, 1, 200))
    operator = contrast_operator(np.array([0, 0, 0, 1, 1, 1, 1]), effect_weights("specificity"))
    blocks = [block_moments(part, [operator]) for part in np.split(scores, 2, axis=-1)]
    for order in (blocks, blocks[::-1]):
        found = two_way_jackknife(merge_moments(order), 0)
        np.testing.assert_array_equal(found.variance, 0.0)
        np.testing.assert_array_equal(found.p_value, 1.0)


@pytest.mark.parametrize("value", [0.1, 1e-30, 1e30])
def test_an_effect_without_any_variance_has_no_p(value):
    scores = np.zeros((6, 6, 20))
    scores[:3] = value
    found = jackknife(scores, np.repeat([0, 1], 3), effect_weights("source_effect"), margin=1.0)
    np.testing.assert_allclose(found.estimate, value, rtol=1e-12)
    np.testing.assert_array_equal(found.variance, 0.0)
    for name in ("p_value", "statistic", "df", "lower", "upper", "p_equivalence"):
        assert np.isnan(getattr(found, name)).all()


def test_a_small_effect_on_a_large_mean_is_not_taken_for_rounding():
    rng = np.random.default_rng(15)
    scores = 1.0 + 1e-9 * rng.normal(size=(6, 6, 20))
    found = jackknife(scores, np.repeat([0, 1], 3), effect_weights("source_effect"))
    assert (found.variance > 0).all()
    assert (found.p_value < 1).all()


def test_nan_among_pairs_that_are_used_stops_and_elsewhere_does_not_matter():
    operator = contrast_operator(np.array([0, 0, 1, 1, -1]), effect_weights("asymmetry"))
    scores = np.random.default_rng(16).random((5, 5, 2, 6))
    expected = two_way_jackknife(block_moments(scores, [operator]), 0)
    scores[np.diag_indices(5)] = np.nan
    scores[4], scores[:, 4], scores[0, 1] = np.inf, -np.inf, np.nan
    found = block_moments(scores, [operator])
    np.testing.assert_array_equal(two_way_jackknife(found, 0).variance, expected.variance)
    assert np.isnan(found.matrix[0, 1]).all()
    scores[0, 2, 1, 3] = np.nan
    scores[3, 1, 0, 5] = np.inf
    message = (
        r"2 of 96 scores are NaN or infinite .* \(source 0, target 2, fraction 1, image 3; source"
        r" 3, target 1"
    )
    with pytest.raises(InvalidData, match=message):
        block_moments(scores, [operator])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidence": 95}, "confidence is 95; a confidence level"),
        ({"confidence": 0.0}, "confidence is 0.0"),
        ({"df": "welch"}, "df is 'welch'; it is one of satterthwaite, pooled"),
        ({"margin": -0.1}, "margin is -0.1"),
    ],
)
def test_options_out_of_range_stop(options, message):
    with pytest.raises(UsageError, match=message):
        jackknife(
            np.ones((4, 4, 2)), np.array([0, 0, 1, 1]), effect_weights("asymmetry"), **options
        )


def test_no_block_stops():
    with pytest.raises(ImpossibleAnalysis, match="no block of images"):
        merge_moments([])


# ---------------------------------------------------------------- label swap


def slow_effects(matrix, labels):
    """All effects of one labeling, by loops over pairs."""
    groups = np.where(labels == 1, 0, 1)
    return [slow_contrast(matrix[..., np.newaxis], groups, effect_weights(e))[0] for e in EFFECTS]


@pytest.mark.parametrize(("n_first", "n_second"), [(3, 3), (3, 4)])
def test_swaps_are_all_labelings_and_their_effects(n_first, n_second):
    rng = np.random.default_rng(17)
    n = n_first + n_second
    matrix = random_scores(rng, (n, n, 2))
    first = rng.permutation(np.arange(n) < n_first)
    strata = np.zeros(n, int)
    labels, exact = labelings(first, strata, n_swaps=9, rng=rng)
    every = {
        tuple(float(i in c) for i in range(n)) for c in itertools.combinations(range(n), n_first)
    }
    assert exact
    assert len(labels) == len(every)
    assert set(map(tuple, labels)) == every
    np.testing.assert_array_equal(labels[0], first)
    effects = swap_effects(matrix, labels, strata)
    expected = np.array([[slow_effects(matrix[..., f], row) for f in range(2)] for row in labels])
    np.testing.assert_allclose(effects, expected.swapaxes(1, 2), rtol=1e-10, atol=1e-12)
    size = np.abs(expected.swapaxes(1, 2))
    np.testing.assert_allclose(
        swap_p(effects, exact), (size >= size[0] * (1 - 1e-9)).mean(axis=0), rtol=1e-12
    )


def test_swaps_stay_within_strata_and_effects_are_averaged_over_them():
    rng = np.random.default_rng(18)
    first = np.array([1, 0, 1, 0, 0, 1, 1, 0, 1, 0, 1], bool)
    strata = np.array([0, 0, 0, 0, 2, 2, 2, 2, 2, -1, -1])
    labels, exact = labelings(first, strata, n_swaps=9, rng=rng)
    assert exact
    assert len({tuple(row) for row in labels}) == len(labels) == 6 * 10
    np.testing.assert_array_equal(labels[:, 9:], np.tile([0.0, 1.0], (60, 1)))
    matrix = random_scores(rng, (11, 11, 1))
    matrix[9:] = matrix[:, 9:] = np.nan
    effects = swap_effects(matrix, labels, strata)
    for row in (0, 17, 59):
        own = [
            slow_effects(matrix[np.ix_(s, s)][..., 0], labels[row, s])
            for s in (range(4), range(4, 9))
        ]
        np.testing.assert_allclose(effects[row, :, 0], np.mean(own, axis=0), rtol=1e-10, atol=1e-12)


def test_random_labelings_keep_the_sizes_of_the_strata_and_start_with_the_observed():
    rng = np.random.default_rng(19)
    first, strata = np.arange(24) % 3 == 0, np.arange(24) // 12
    labels, exact = labelings(first, strata, n_swaps=500, rng=rng)
    assert not exact
    assert labels.shape == (501, 24)
    np.testing.assert_array_equal(labels[0], first)
    np.testing.assert_array_equal(labels.reshape(501, 2, 12).sum(axis=2), 4)
    assert stats.chisquare(labels[1:].sum(axis=0)).pvalue > 0.001
    again, _ = labelings(first, strata, n_swaps=500, rng=np.random.default_rng(19))
    np.testing.assert_array_equal(labels, again)
    few, exact = labelings(first[:12], strata[:12], n_swaps=7, rng=rng, max_exact=494)
    assert (len(few), exact) == (8, False)
    assert labelings(first[:12], strata[:12], n_swaps=7, rng=rng, max_exact=495)[1]


def test_the_swap_of_asymmetry_is_scipys_permutation_test_of_net_flow():
    rng = np.random.default_rng(20)
    matrix = random_scores(rng, (9, 9, 1))
    matrix[:4] += 0.8
    flow = np.nansum(matrix[..., 0], axis=1) - np.nansum(matrix[..., 0], axis=0)
    labels, exact = labelings(np.arange(9) < 4, np.zeros(9, int), n_swaps=9, rng=rng)
    found = swap_p(swap_effects(matrix, labels, np.zeros(9, int)), exact)[0, 0]
    # |difference of means| one-sided is the two-sided test by size
    test = stats.permutation_test(
        (flow[:4], flow[4:]),
        lambda a, b: abs(a.mean() - b.mean()),
        n_resamples=np.inf,
        alternative="greater",
    )
    np.testing.assert_allclose(found, test.pvalue, rtol=1e-12)


def test_a_labeling_and_its_complement_have_effects_of_one_size():
    rng = np.random.default_rng(21)
    labels, _ = labelings(np.arange(8) < 4, np.zeros(8, int), n_swaps=9, rng=rng)
    matrix = random_scores(rng, (8, 8, 2))
    effects, turned = (swap_effects(matrix, x, np.zeros(8, int)) for x in (labels, 1 - labels))
    signs = np.where(np.array(EFFECTS) == "specificity", 1, -1)[:, np.newaxis]
    np.testing.assert_allclose(turned, signs * effects, rtol=1e-10, atol=1e-12)


def test_swap_effects_of_the_observed_labels_are_the_jackknifes_estimates():
    rng = np.random.default_rng(22)
    scores = random_scores(rng, (7, 7, 2, 30))
    groups = np.array([0, 0, 0, 1, 1, 1, 1])
    moments = block_moments(scores, [contrast_operator(groups, effect_weights(e)) for e in EFFECTS])
    effects = swap_effects(
        moments.matrix, (groups == 0)[np.newaxis].astype(float), np.zeros(7, int)
    )
    for e in range(len(EFFECTS)):
        np.testing.assert_allclose(
            effects[0, e], two_way_jackknife(moments, e).estimate, rtol=1e-9, atol=1e-12
        )


def test_one_network_of_a_level_leaves_asymmetry_only():
    matrix = random_scores(np.random.default_rng(23), (4, 4, 1))
    labels, exact = labelings(
        np.arange(4) < 1, np.zeros(4, int), n_swaps=9, rng=np.random.default_rng(0)
    )
    p = swap_p(swap_effects(matrix, labels, np.zeros(4, int)), exact)
    assert np.isfinite(p[0, 0])
    assert np.isnan(p[1:]).all()
    with pytest.raises(ImpossibleAnalysis, match="stratum 1 lacks a level"):
        swap_effects(matrix, labels, np.array([0, 0, 1, 1]))


def test_nan_scores_make_the_fraction_nan():
    matrix = random_scores(np.random.default_rng(24), (6, 6, 2))
    matrix[0, 1, 1] = np.nan
    labels, _ = labelings(
        np.arange(6) < 3, np.zeros(6, int), n_swaps=9, rng=np.random.default_rng(0)
    )
    effects = swap_effects(matrix, labels, np.zeros(6, int))
    assert np.isnan(swap_p(effects)[:, 1]).all()
    assert np.isfinite(swap_p(effects)[:, 0]).all()
    np.testing.assert_array_equal(swaps.max_t_p(effects)[:, 0], swap_p(effects)[:, 0])


@pytest.mark.parametrize("value", [1 / 3, 1e-30, 1e30])
def test_ties_count_whatever_the_rounding(value):
    rng = np.random.default_rng(25)
    labels, _ = labelings(np.arange(9) < 4, np.zeros(9, int), n_swaps=9, rng=rng)
    constant = swap_effects(np.full((9, 9, 1), value), labels, np.zeros(9, int))
    np.testing.assert_array_equal(swap_p(constant), 1.0)
    np.testing.assert_array_equal(swaps.max_t_p(constant), 1.0)
    half = value * rng.normal(size=(9, 9, 1))
    symmetric = swap_effects(half + half.swapaxes(0, 1), labels, np.zeros(9, int))
    np.testing.assert_array_equal(symmetric[:, 0], 0.0)
    assert swap_p(symmetric)[0, 0] == 1.0
    assert (swap_p(symmetric)[1:] < 1).all()
    labels, _ = labelings(np.arange(8) < 4, np.zeros(8, int), n_swaps=9, rng=rng)
    pairs = swap_p(swap_effects(half[:8, :8], labels, np.zeros(8, int))) * 70
    np.testing.assert_allclose(
        pairs % 2, 0, atol=1e-9
    )  # a labeling never comes without its complement


def brute_floors(sizes, rng):
    """Smallest p over all labelings taken as observed."""
    first = np.concatenate([np.arange(a + b) < a for a, b in sizes])
    strata = np.repeat(range(len(sizes)), [a + b for a, b in sizes])
    labels, exact = labelings(first, strata, n_swaps=9, rng=rng)
    size = np.abs(
        swap_effects(random_scores(rng, (len(first), len(first), 1)), labels, strata)[..., 0]
    )
    p = [(size >= row - 1e-9 * size.max(axis=0)).mean(axis=0) for row in size]
    return np.min(p, axis=0), smallest_p(labels, strata, exact)


@pytest.mark.parametrize(
    ("sizes", "levels", "gap"),
    [
        ([(3, 3)], 2 / 20, 2 / 20),
        ([(4, 4)], 2 / 70, 2 / 70),
        ([(5, 5)], 2 / 252, 2 / 252),
        ([(3, 4)], 1 / 35, 1 / 35),
        ([(3, 3), (3, 3)], 2 / 400, 4 / 400),
        ([(3, 3), (2, 3)], 1 / 200, 2 / 200),
    ],
)
def test_the_smallest_p_is_the_smallest_that_any_labeling_reaches(sizes, levels, gap):
    reached, floor = brute_floors(sizes, np.random.default_rng(26))
    np.testing.assert_allclose(floor, [levels, levels, levels, gap, levels], rtol=1e-12)
    np.testing.assert_allclose(reached, floor, rtol=1e-12)


def test_the_smallest_p_of_random_labelings_counts_the_observed():
    first, strata = np.arange(20) < 10, np.zeros(20, int)
    labels, exact = labelings(first, strata, n_swaps=999, rng=np.random.default_rng(1))
    np.testing.assert_allclose(smallest_p(labels, strata, exact), 1 / 1000)
    matrix = np.where(first[:, np.newaxis], 5.0, 0.0)[..., np.newaxis] * np.ones((20, 20, 1))
    p = swap_p(swap_effects(matrix, labels, strata), exact)
    assert p[1, 0] == 1 / 1000
    few, exact = labelings(
        first[7:13], strata[7:13], n_swaps=999, max_exact=1, rng=np.random.default_rng(0)
    )
    np.testing.assert_allclose(smallest_p(few, strata[7:13], exact), 0.1)


def test_max_t_is_its_definition_and_never_below_the_single_test():
    rng = np.random.default_rng(27)
    labels, _ = labelings(np.arange(8) < 4, np.zeros(8, int), n_swaps=9, rng=rng)
    matrix = random_scores(rng, (8, 8, 3)) * np.array([1.0, 100.0, 0.01])
    effects = swap_effects(matrix, labels, np.zeros(8, int))
    found = swaps.max_t_p(effects)
    for e in range(5):
        sd = [np.sqrt(np.mean([row[f] ** 2 for row in effects[:, e]])) for f in range(3)]
        largest = [max(abs(row[f]) / sd[f] for f in range(3)) for row in effects[:, e]]
        expected = [
            np.mean([x >= abs(effects[0, e, f]) / sd[f] - 1e-9 for x in largest]) for f in range(3)
        ]
        np.testing.assert_allclose(found[e], expected, rtol=1e-12)
    assert (found >= swap_p(effects)).all()
    np.testing.assert_array_equal(swaps.max_t_p(effects[..., :1]), swap_p(effects[..., :1]))


# ---------------------------------------------------------------- node scores and more than two
# levels


def slow_node_scores(matrix, groups):
    """Least squares with dummies and side conditions, by numpy's solver."""
    n, k = len(groups), groups.max() + 1
    rows, values = [], []
    for m, t in itertools.permutations(range(n), 2):
        row = np.zeros(k * k + 2 * n)
        row[[groups[m] * k + groups[t], k * k + m, k * k + n + t]] = 1
        rows.append(row)
        values.append(matrix[m, t])
    for g, side in itertools.product(range(k), (k * k, k * k + n)):
        row = np.zeros(k * k + 2 * n)
        row[side + np.flatnonzero(groups == g)] = 1
        rows.append(row)
        values.append(0.0)
    fit = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
    cells = fit[: k * k].reshape(k, k)
    return (
        cells.mean(axis=1)[groups] + fit[k * k : k * k + n],
        cells.mean(axis=0)[groups] + fit[k * k + n :],
    )


@pytest.mark.parametrize("groups", [[0, 0, 0, 1, 1], [0, 1, 2, 0, 1, 2, 0], [0, 0, 0, 0]])
def test_node_scores_are_the_least_squares_fit(groups):
    groups = np.array(groups)
    matrix = random_scores(np.random.default_rng(28), (len(groups), len(groups), 1))
    found = nodes.node_scores(matrix, groups)
    for side, expected in zip(found, slow_node_scores(matrix[..., 0], groups), strict=True):
        np.testing.assert_allclose(side[:, 0], expected, rtol=1e-9, atol=1e-10)


def test_node_scores_of_kennys_example():
    """Kenny, Kashy & Cook (2006), six persons who rate one another: actor effects and their
    variance.
    """
    source, _ = nodes.node_scores(np.array(KENNY, float)[..., np.newaxis], np.zeros(6, int))
    actor = source[:, 0] - source.mean()
    np.testing.assert_allclose(actor, [1.208, -1.625, -0.167, -0.208, -1.083, 1.875], atol=5e-4)
    np.testing.assert_allclose(actor.var(ddof=1), 1.772, atol=5e-4)


@pytest.mark.parametrize("sizes", [(4, 4), (3, 6)])
def test_node_scores_differ_by_the_effects_of_their_levels(sizes):
    groups = np.repeat([0, 1], sizes)
    n = len(groups)
    matrix = random_scores(np.random.default_rng(29), (n, n, 2))
    effects = swap_effects(matrix, (groups == 0)[np.newaxis].astype(float), np.zeros(n, int))[0]
    for scores, effect in zip(nodes.node_scores(matrix, groups), effects[1:3], strict=True):
        difference = scores[groups == 0].mean(axis=0) - scores[groups == 1].mean(axis=0)
        np.testing.assert_allclose(difference, effect, rtol=1e-9)


def test_node_scores_leave_out_networks_that_take_no_part_and_stop_where_levels_are_too_small():
    matrix = random_scores(np.random.default_rng(30), (6, 6, 1))
    groups = np.array([0, 0, 1, 1, 1, -1])
    found = nodes.node_scores(matrix, groups)
    expected = nodes.node_scores(matrix[:5, :5], groups[:5])
    for side, part in zip(found, expected, strict=True):
        np.testing.assert_allclose(side[:5], part, rtol=1e-12)
        assert np.isnan(side[5]).all()
    for small, sizes in (([0, 1, 1], "[1, 2]"), ([0, 0], "[2]")):
        with pytest.raises(ImpossibleAnalysis) as error:
            nodes.node_operator(np.array(small))
        assert sizes in str(error.value)


@pytest.mark.filterwarnings("ignore")  # pingouin's own
def test_the_t_of_net_flow_is_pingouins_mixed_anova():
    """Net flow = source minus target score within one level.

    Its F between levels is the square of t.
    """
    import pingouin

    rng = np.random.default_rng(31)
    groups = np.repeat([0, 1], 4)
    scores = random_scores(rng, (8, 8, 1, 6))
    source, target = nodes.node_scores(scores[:, :, 0], np.zeros(8, int))
    flow = source - target
    table = pd.DataFrame(
        [(m, i, "AB"[groups[m]], flow[m, i]) for m in range(8) for i in range(6)],
        columns=["network", "image", "level", "flow"],
    )
    anova = pingouin.mixed_anova(
        table, dv="flow", between="level", within="image", subject="network"
    )
    asymmetry = jackknife(scores[:, :, 0], groups, effect_weights("asymmetry")).estimate[-1]
    mean = flow.mean(axis=1)
    variance = (mean[:4].var(ddof=1) + mean[4:].var(ddof=1)) / 4
    np.testing.assert_allclose(anova.loc[0, "F"], asymmetry**2 / variance, rtol=1e-9)
    np.testing.assert_allclose(
        nodes.hedges_g(mean, groups),
        pingouin.compute_effsize(mean[:4], mean[4:], eftype="hedges"),
        rtol=1e-12,
    )


def test_hedges_g_averages_strata_and_is_nan_without_spread():
    scores = np.array([3.0, 4.0, 5.0, 1.0, 2.0, 3.0])
    groups = np.array([0, 0, 0, 1, 1, 1])
    assert nodes.hedges_g(scores, 1 - groups) == -nodes.hedges_g(scores, groups)
    both = nodes.hedges_g(np.tile(scores, 2), np.concatenate([groups, groups + 2]))
    np.testing.assert_allclose(both, 2 * (1 - 3 / 31), rtol=1e-12)
    with_others = nodes.hedges_g(np.append(scores, np.nan), np.append(groups, -1))
    assert with_others == nodes.hedges_g(scores, groups)
    assert np.isnan(nodes.hedges_g(np.where(groups == 0, 0.1, 0.3), groups))
    assert np.isnan(nodes.hedges_g(np.array([1.0, 2.0]), np.array([0, 1])))


def test_two_levels_are_the_label_swap():
    rng = np.random.default_rng(32)
    groups, strata = np.tile([0, 0, 0, 1, 1, 1], 2), np.repeat([0, 1], 6)
    matrix = random_scores(rng, (12, 12, 2))
    labels, exact = labelings(groups == 0, strata, n_swaps=9, rng=rng)
    p = swap_p(swap_effects(matrix, labels, strata), exact)
    found = omnibus(matrix, groups, strata, n_swaps=9, rng=rng)
    assert (found.exact, found.n_labelings, found.min_p_levels, found.min_p_gap) == (
        True,
        400,
        2 / 400,
        4 / 400,
    )
    for side, row in ((found.p_source, 1), (found.p_target, 2), (found.p_gap, 3)):
        np.testing.assert_allclose(side, p[row], rtol=1e-12)


def slow_omnibus(matrix, groups):
    """Statistics of one labeling into levels, by loops over cells."""
    k = groups.max() + 1
    cells = np.empty((k, k))
    for a, b in itertools.product(range(k), repeat=2):
        pairs = itertools.product(np.flatnonzero(groups == a), np.flatnonzero(groups == b))
        cells[a, b] = np.mean([matrix[m, t] for m, t in pairs if m != t])
    gap = np.trace(cells) / k - cells[~np.eye(k, dtype=bool)].mean()
    return cells.mean(axis=1).var(), cells.mean(axis=0).var(), abs(gap)


@pytest.mark.parametrize(
    ("groups", "levels", "gap"),
    [([0, 0, 1, 1, 2, 2], 6 / 90, 6 / 90), ([0, 0, 0, 1, 1, 2, 2], 2 / 210, 2 / 210)],
)
def test_three_levels_are_all_relabelings(groups, levels, gap):
    groups = np.array(groups)
    n = len(groups)
    rng = np.random.default_rng(33)
    matrix = 20 + random_scores(rng, (n, n, 1))
    every = np.array(
        [
            slow_omnibus(matrix[..., 0], np.array(g))
            for g in set(itertools.permutations(groups.tolist()))
        ]
    )
    observed = slow_omnibus(matrix[..., 0], groups)
    expected = (every >= np.array(observed) * (1 - 1e-9)).mean(axis=0)
    found = omnibus(matrix, groups, np.zeros(n, int), n_swaps=9, rng=rng)
    np.testing.assert_allclose(
        [found.p_source[0], found.p_target[0], found.p_gap[0]], expected, rtol=1e-12
    )
    assert (found.n_labelings, found.min_p_levels, found.min_p_gap) == (len(every), levels, gap)
    planted = np.where(groups[:, np.newaxis] == groups, 0.0, -9.0)[
        ..., np.newaxis
    ] + 0.01 * np.nan_to_num(matrix)
    assert omnibus(planted, groups, np.zeros(n, int), n_swaps=9, rng=rng).p_gap[0] == gap


def test_omnibus_finds_what_is_planted_and_nothing_else():
    rng = np.random.default_rng(34)
    groups, strata = np.tile(np.repeat([0, 1, 2], 4), 2), np.repeat([0, 1], 12)
    matrix = 0.3 * random_scores(rng, (24, 24, 1))
    matrix += np.array([0.0, 1.0, 2.0])[groups][:, np.newaxis, np.newaxis]
    found = omnibus(matrix, groups, strata, n_swaps=999, rng=rng)
    assert not found.exact
    assert found.p_source[0] == found.min_p_levels == 1 / 1000
    assert found.p_target[0] > 0.05
    assert found.p_gap[0] > 0.05
    turned = omnibus(matrix.swapaxes(0, 1), groups, strata, n_swaps=999, rng=rng)
    assert turned.p_target[0] == 1 / 1000
    with pytest.raises(
        ImpossibleAnalysis, match=r"stratum 1 holds \[4, 1, 1\] networks of the 3 levels"
    ):
        omnibus(
            matrix[:18, :18],
            np.r_[groups[:12], 0, 0, 0, 0, 1, 2],
            strata[:18],
            n_swaps=9,
            rng=rng,
        )


# ---------------------------------------------------------------- normalisation, components


def ratio_of_means(scores, floor, full):
    mean_floor = floor.mean(axis=-1)
    span = full.mean(axis=-1)[:, np.newaxis] - mean_floor
    return (scores.mean(axis=-1) - mean_floor) / span, span


def test_normalised_scores_average_to_the_ratio_and_vary_as_its_jackknife():
    rng = np.random.default_rng(35)
    n_images = 400
    easy = rng.random(n_images)
    scores = 0.3 + 0.3 * easy + 0.2 * rng.random((3, 3, 2, n_images))
    floor = 0.2 * easy + 0.2 * rng.random((3, 2, n_images))
    full = 0.7 + 0.2 * easy + 0.1 * rng.random((3, n_images))
    ratio, span = ratio_of_means(scores, floor, full)
    found = normalised_scores(scores, floor, full, ratio, span)
    np.testing.assert_allclose(found.mean(axis=-1), ratio, rtol=1e-12)
    rest = [np.arange(n_images) != i for i in range(n_images)]
    deleted = np.array(
        [ratio_of_means(scores[..., r], floor[..., r], full[..., r])[0] for r in rest]
    )
    jackknife_variance = (
        (n_images - 1) / n_images * ((deleted - deleted.mean(axis=0)) ** 2).sum(axis=0)
    )
    np.testing.assert_allclose(found.var(axis=-1, ddof=1) / n_images, jackknife_variance, rtol=0.01)
    naive = ((scores - floor.mean(axis=-1, keepdims=True)) / span[..., np.newaxis]).var(
        axis=-1, ddof=1
    ) / n_images
    assert (naive / jackknife_variance > 1.2).all()  # floor and ceiling fixed: another variance


def test_normalised_scores_by_hand():
    """Target 1 has floor 0.2 and ceiling 1.0; source 0 scores 0.6 on average: ratio 0.5."""
    scores = np.zeros((2, 2, 1, 2))
    scores[0, 1, 0] = [0.5, 0.7]
    floor = np.array([[[0.0, 0.0]], [[0.2, 0.2]]])
    full = np.ones((2, 2))
    found = normalised_scores(scores, floor, full, *ratio_of_means(scores, floor, full))
    np.testing.assert_allclose(found[0, 1, 0], [0.5 - 0.1 / 0.8, 0.5 + 0.1 / 0.8], rtol=1e-12)
    with pytest.raises(
        ImpossibleAnalysis, match=r"1 target\(s\) .* \(target 1, fraction 0: -0.1\)"
    ):
        normalised_scores(scores, floor, full, np.zeros((2, 2, 1)), np.array([[0.1], [-0.1]]))


def test_variance_components_are_those_of_statsmodels_anova():
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    rng = np.random.default_rng(36)
    n_u, n_v, n_i = 3, 4, 5
    ab = (
        rng.normal(size=(n_u, n_v, n_i))
        + 2 * rng.normal(size=(n_u, 1, 1))
        + rng.normal(size=(n_u, n_v, 1))
    )
    ab += (
        rng.normal(size=(n_u, 1, n_i))
        + rng.normal(size=(1, n_v, n_i))
        + rng.normal(size=(1, n_v, 1))
        + rng.normal(size=n_i)
    )
    ba = rng.normal(size=(n_v, n_u, n_i))
    k = ab - ba.transpose(1, 0, 2)
    index = np.indices(k.shape).reshape(3, -1)
    table = pd.DataFrame({"u": index[0], "v": index[1], "i": index[2], "k": k.ravel()})
    anova = anova_lm(ols("k ~ (C(u) + C(v) + C(i)) ** 2", table).fit())
    square = {
        name.replace("C(", "").replace(")", ""): row["mean_sq"] for name, row in anova.iterrows()
    }
    found = nodes.variance_components(ab, ba)
    np.testing.assert_allclose(found.s2e, square["Residual"], rtol=1e-9)
    expected = {
        "s2u": (square["u"] - square["u:v"] - square["u:i"] + square["Residual"]) / (n_v * n_i),
        "s2v": (square["v"] - square["u:v"] - square["v:i"] + square["Residual"]) / (n_u * n_i),
        "s2K": (square["u:v"] - square["Residual"]) / n_i,
        "s2uI": (square["u:i"] - square["Residual"]) / n_v,
        "s2vI": (square["v:i"] - square["Residual"]) / n_u,
        "s2CI": (square["i"] - square["u:i"] - square["v:i"] + square["Residual"]) / (n_u * n_v),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(found, name), max(value, 0), rtol=1e-9, err_msg=name)
    assert found.floored == tuple(name for name, value in expected.items() if value < 0)


def test_variance_components_are_found_and_floored():
    rng = np.random.default_rng(37)
    n_u, n_v, n_i = 30, 40, 50
    planted = {
        "s2u": 0.5,
        "s2v": 2.0,
        "s2K": 1.0,
        "s2uI": 0.7,
        "s2vI": 0.4,
        "s2e": 1.5,
        "s2CI": 0.8,
    }
    axes = {
        "s2u": [0],
        "s2v": [1],
        "s2K": [0, 1],
        "s2uI": [0, 2],
        "s2vI": [1, 2],
        "s2e": [0, 1, 2],
        "s2CI": [2],
    }
    shapes = {
        name: [n if a in axes[name] else 1 for a, n in enumerate((n_u, n_v, n_i))] for name in axes
    }
    k = sum(np.sqrt(planted[name]) * rng.normal(size=shape) for name, shape in shapes.items())
    found = nodes.variance_components(k, np.zeros((n_v, n_u, n_i)))
    smallest = {
        "s2u": n_u,
        "s2v": n_v,
        "s2K": 1000,
        "s2uI": 1000,
        "s2vI": 1000,
        "s2e": 9999,
        "s2CI": n_i,
    }
    for name, value in planted.items():
        assert abs(getattr(found, name) / value - 1) < 5 * np.sqrt(2 / smallest[name]), name
    assert found.floored == ()
    none = nodes.variance_components(rng.normal(size=(4, 4, 6)), np.zeros((4, 4, 6)))
    assert none.floored
    assert all(getattr(none, name) == 0 for name in none.floored)
    with pytest.raises(ImpossibleAnalysis, match=r"a pilot of 1 and 4 networks and 6 image\(s\)"):
        nodes.variance_components(np.zeros((1, 4, 6)), np.zeros((4, 1, 6)))


# ---------------------------------------------------------------- calibration


def simulated(rng, n, n_images, *, effect=0.0, source=0.14, target=0.125, level_image=0.6):
    """Scores of n + n networks, in units of the images' SD.

    Components of LRP maps of digit networks.
    """
    size = 2 * n
    level = np.repeat([0, 1], n)
    scores = 0.67 * rng.normal(size=(size, size, n_images))
    scores += source * rng.normal(size=(size, 1, 1)) + target * rng.normal(size=(1, size, 1))
    scores += 0.1 * rng.normal(size=(size, size, 1)) + rng.normal(size=n_images)
    scores += 0.8 * rng.normal(size=(size, 1, n_images)) + 0.5 * rng.normal(
        size=(1, size, n_images)
    )
    scores += level_image * rng.normal(size=(2, n_images))[level][:, np.newaxis]
    scores += level_image * rng.normal(size=(2, n_images))[level]
    return scores + effect * (np.where(level == 0, 0.5, -0.5))[:, np.newaxis, np.newaxis]


def within(hits, runs, probability):
    low, high = stats.binom.ppf([0.0005, 0.9995], runs, probability)
    return low <= hits <= high


def test_the_jackknife_holds_its_level_and_its_interval_covers():
    """Networks, images and levels x images all vary.

    Nominal 5 %; the method is a little conservative.
    """
    rng = np.random.default_rng(38)
    runs, n, n_images = 1000, 5, 40
    operators = [
        contrast_operator(np.repeat([0, 1], n), effect_weights(effect)) for effect in EFFECTS
    ]
    true = np.array([1.0, 1.0, 0.0, 0.0, 1.0])  # of a source effect of 1
    covered, central, found = (np.zeros(len(EFFECTS)) for _ in range(3))
    for _ in range(runs):
        moments = block_moments(
            simulated(rng, n, n_images, effect=1.0)[:, :, np.newaxis], operators
        )
        for e in range(len(EFFECTS)):
            wide, narrow = (
                two_way_jackknife(moments, e),
                two_way_jackknife(moments, e, confidence=0.5),
            )
            covered[e] += wide.lower[-1] <= true[e] <= wide.upper[-1]
            central[e] += narrow.lower[-1] <= true[e] <= narrow.upper[-1]
            found[e] += wide.p_value[-1] < 0.05
    gap = np.array(EFFECTS) == "specificity"
    assert (covered >= stats.binom.ppf(0.0005, runs, 0.95)).all()
    assert (covered[~gap] <= stats.binom.ppf(0.9995, runs, 0.97)).all()
    assert (central >= stats.binom.ppf(0.0005, runs, 0.5)).all()
    assert (central[~gap] <= stats.binom.ppf(0.9995, runs, 0.54)).all()
    assert (found[true == 1] > 0.5 * runs).all()
    assert (found[true == 0] <= stats.binom.ppf(0.9995, runs, 0.05)).all()


def test_images_as_replicates_would_not_hold_their_level():
    """Why networks are random: a t test over images rejects far too often, the jackknife does
    not.
    """
    rng = np.random.default_rng(39)
    runs, n, n_images = 200, 3, 300
    operator = contrast_operator(np.repeat([0, 1], n), effect_weights("asymmetry"))
    over_images = both = 0
    for _ in range(runs):
        scores = simulated(rng, n, n_images, level_image=0.0)
        found = two_way_jackknife(block_moments(scores[:, :, np.newaxis], [operator]), 0)
        both += bool(found.p_value[-1] < 0.05)
        over_images += bool(
            2 * stats.norm.sf(abs(found.estimate[-1]) / np.sqrt(found.variance_images[-1])) < 0.05
        )
    assert over_images > 0.3 * runs
    assert both <= stats.binom.ppf(0.9995, runs, 0.05)


def test_the_label_swap_is_exact_under_its_null():
    """p is uniform over its possible values when labels are irrelevant, however networks vary."""
    rng = np.random.default_rng(40)
    runs, n = 400, 4
    strata = np.zeros(2 * n, int)
    labels, exact = labelings(np.arange(2 * n) < n, strata, n_swaps=9, rng=rng)
    p = np.empty((runs, len(EFFECTS)))
    for run in range(runs):
        matrix = simulated(rng, n, 1, level_image=0.0) + rng.exponential(3, (2 * n, 1, 1))
        p[run] = swap_p(swap_effects(matrix, labels, strata), exact)[:, 0]
    for e in range(len(EFFECTS)):
        assert stats.kstest(p[:, e] - rng.random(runs) * 2 / 70, "uniform").pvalue > 0.0005, (
            EFFECTS[e]
        )
        assert within((p[:, e] <= 0.2 + 1e-9).sum(), runs, 0.2)


def test_equivalence_is_found_within_a_wide_margin_only():
    scores = simulated(np.random.default_rng(41), 8, 200)
    groups = np.repeat([0, 1], 8)
    assert (
        jackknife(scores, groups, effect_weights("specificity"), margin=0.5).p_equivalence[-1]
        < 0.01
    )
    assert (
        jackknife(scores, groups, effect_weights("specificity"), margin=0.001).p_equivalence[-1]
        > 0.3
    )
    margins = np.array([0.001, 0.5])
    by_fraction = jackknife(
        scores, groups, effect_weights("specificity"), margin=margins
    ).p_equivalence
    assert by_fraction[0] > 0.3 > by_fraction[1]
    assert np.isnan(jackknife(scores, groups, effect_weights("specificity")).p_equivalence).all()
