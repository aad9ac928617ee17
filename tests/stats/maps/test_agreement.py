"""All-pairs agreement of maps against scipy pair by pair, against slow loops over pixels, and by
hand.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from scipy.spatial import distance

from relstats.errors import InvalidData, UsageError
from relstats.stats.maps import agreement as module
from relstats.stats.maps import single as maps_module
from relstats.stats.maps.agreement import MEASURES, agreement, several
from relstats.stats.maps.single import RANKINGS, top_count, top_fractions

FRACTIONS = (0.05, 0.1, 0.3)
LINEAR = ("spearman", "pearson", "cosine")
MASKED = ("iou", "dice", "capture")
SYMMETRIC = (*LINEAR, "iou", "dice")


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def relevance(rng, networks=5, images=3, pixels=500, zeros=0.6):
    """Maps like those of LRP, with a common part: exact zeros, a heavy upper tail, each on its own
    scale.
    """
    field = 0.7 * rng.standard_normal((1, images, pixels)) + rng.standard_normal(
        (networks, images, pixels)
    )
    values = (
        np.sign(field + 1) * np.exp(1.5 * field) * 10.0 ** rng.uniform(-6, 3, (networks, images, 1))
    )
    values[rng.random(values.shape) < zeros] = 0
    return values.astype(np.float32)


def levels(rng):
    return np.round(4 * rng.standard_normal((5, 3, 500))).clip(-3, 6).astype(np.float32)


def pairs(maps):
    """Positions and double-precision maps of all pairs, both directions and the diagonal."""
    for source, target, image in np.ndindex(len(maps), len(maps), maps.shape[1]):
        yield (
            (source, target, image),
            maps[source, image].astype(float),
            maps[target, image].astype(float),
        )


unhurried = settings(deadline=None)  # an example may have to wait for a kernel to be compiled
small = st.sampled_from([0.0, 0.0, 0.5, 1.0, -1.0, 3.0, -2.5])
tied_maps = hnp.arrays(
    np.float64, st.tuples(st.integers(2, 4), st.integers(1, 2), st.integers(2, 70)), elements=small
)


# Against references


@pytest.mark.parametrize("make", [relevance, levels])
@pytest.mark.parametrize(
    ("measure", "reference"),
    [
        ("spearman", lambda one, other: stats.spearmanr(one, other).statistic),
        ("pearson", lambda one, other: stats.pearsonr(one, other).statistic),
        ("cosine", lambda one, other: 1 - distance.cosine(one, other)),
    ],
)
def test_linear_measures_are_those_of_scipy(make, measure, reference, rng):
    maps = make(rng)
    result = agreement(maps, measure)
    assert result.shape == (5, 5, 1, 3)
    for (source, target, image), one, other in pairs(maps):
        assert result[source, target, 0, image] == pytest.approx(
            reference(one, other), rel=1e-11, abs=1e-13
        )


def test_spearman_of_full_size_maps_is_that_of_scipy(rng):
    maps = relevance(rng, networks=3, images=1, pixels=224 * 224)
    result = agreement(maps, "spearman")
    for (source, target, _), one, other in pairs(maps):
        assert result[source, target, 0, 0] == pytest.approx(
            stats.spearmanr(one, other).statistic, rel=1e-12
        )


def test_spearman_has_no_rounding_before_the_last_division(rng):
    maps = relevance(rng, networks=4, images=1, pixels=224 * 224)
    doubled = (2 * stats.rankdata(maps[:, 0], axis=-1)).astype(np.int64) - (224 * 224 + 1)
    products = doubled @ doubled.T
    squares = np.diagonal(products).astype(float)
    np.testing.assert_array_equal(
        agreement(maps, "spearman")[:, :, 0, 0], products / np.sqrt(np.outer(squares, squares))
    )


@pytest.mark.parametrize("make", [relevance, levels])
@pytest.mark.parametrize("ranking", RANKINGS)
def test_mask_measures_are_those_of_scipy_and_of_the_definition(make, ranking, rng):
    maps = make(rng)
    masks = top_fractions(maps, FRACTIONS, ranking)
    found = several(maps, MASKED, fractions=FRACTIONS, ranking=ranking)
    assert {values.shape for values in found.values()} == {(5, 5, len(FRACTIONS), 3)}
    for (source, target, image), _, other in pairs(maps):
        for fraction in range(len(FRACTIONS)):
            one_mask, other_mask = masks[fraction, source, image], masks[fraction, target, image]
            captured = (
                sum(r for r, top in zip(other, one_mask, strict=True) if top and r > 0)
                / other[other > 0].sum()
            )
            where = (source, target, fraction, image)
            assert found["iou"][where] == pytest.approx(
                1 - distance.jaccard(one_mask, other_mask), rel=1e-13
            )
            assert found["dice"][where] == pytest.approx(
                1 - distance.dice(one_mask, other_mask), rel=1e-13
            )
            assert found["capture"][where] == pytest.approx(captured, rel=1e-12)


@pytest.mark.parametrize("pixels", [1, 2, 63, 64, 65, 128, 200])
def test_packed_counts_are_those_of_a_matrix_product(pixels, rng):
    masks = rng.random((3, 6, pixels)) < 0.4
    counts = module._shared_pixels(module._packed(masks))
    np.testing.assert_array_equal(
        counts, masks.astype(float) @ masks.astype(float).swapaxes(-1, -2)
    )


def test_agreement_by_hand():
    maps = np.array([[[4, 3, 0, 0, -5, 0, 0, 0]], [[0, 8, 2, 6, 0, 0, 0, 0]]], np.float32)
    found = several(maps, MEASURES, fractions=[0.125, 0.25, 0.5])
    # Midranks 8 7 4 4 1 4 4 4 and 3 8 6 7 3 3 3 3, less 4.5; the products of their deviations add
    # up to 9.
    assert found["spearman"][0, 1, 0, 0] == pytest.approx(9 / np.sqrt(32 * 32))
    assert found["cosine"][0, 1, 0, 0] == pytest.approx(24 / np.sqrt(50 * 104))
    np.testing.assert_allclose(
        found["iou"][0, 1, :, 0], [0, 1 / 3, 1 / 4]
    )  # the first map has but 2 relevant pixels
    np.testing.assert_allclose(found["dice"][0, 1, :, 0], [0, 1 / 2, 2 / 5])
    np.testing.assert_allclose(found["capture"][0, 1, :, 0], [0, 1 / 2, 1 / 2])  # of 8 + 2 + 6
    np.testing.assert_allclose(found["capture"][1, 0, :, 0], [3 / 7, 3 / 7, 3 / 7])  # of 4 + 3
    np.testing.assert_allclose(found["capture"][0, 0, :, 0], [4 / 7, 1, 1])


def test_the_ranking_chooses_the_pixels():
    maps = np.array([[[1, -4, 2, 0]], [[1, -9, 0, 0]]], np.float32)
    iou = {
        ranking: agreement(maps, "iou", fractions=[0.25], ranking=ranking)[0, 1, 0, 0]
        for ranking in RANKINGS
    }
    assert iou == {"positive": 0, "absolute": 1, "signed": 0}
    assert (
        agreement(maps, "capture", fractions=[0.25], ranking="absolute")[0, 0, 0, 0] == 0
    )  # relevance below 0 is no part


# Properties


@unhurried
@given(tied_maps, st.sampled_from(RANKINGS))
def test_ranges_symmetry_and_diagonal(maps, ranking):
    found = several(maps, MEASURES, fractions=FRACTIONS, ranking=ranking)
    for measure in SYMMETRIC:
        values = found[measure]
        np.testing.assert_array_equal(values, values.swapaxes(0, 1))
        diagonal = np.diagonal(values)
        assert np.all((diagonal == 1) | np.isnan(diagonal))
    for measure in MEASURES:
        values = found[measure][~np.isnan(found[measure])]
        assert np.all((values >= (-1 if measure in LINEAR else 0)) & (values <= 1))


@unhurried
@given(tied_maps, st.integers(-200, 200), st.sampled_from(RANKINGS))
def test_scaling_one_map_by_a_power_of_two_changes_no_bit(maps, exponent, ranking):
    scaled = maps.copy()
    scaled[0] = np.ldexp(maps[0], exponent)
    one = several(maps, MEASURES, fractions=FRACTIONS, ranking=ranking)
    other = several(scaled, MEASURES, fractions=FRACTIONS, ranking=ranking)
    for measure in MEASURES:
        np.testing.assert_array_equal(one[measure], other[measure])


def test_no_scale_of_floats_is_too_small_or_too_large(rng):
    maps = relevance(rng).astype(np.float64)
    expected = several(maps, MEASURES)
    for scale in (2.0**-900, 2.0**1000):
        found = several(maps * scale, MEASURES)
        for measure in MEASURES:
            np.testing.assert_array_equal(found[measure], expected[measure])


@unhurried
@given(tied_maps)
def test_capture_grows_with_the_fraction_and_own_pixels_capture_most(maps):
    capture = agreement(maps, "capture", fractions=(0.1, 0.2, 0.5, 0.8, 1))
    with np.errstate(invalid="ignore"):
        assert not (np.diff(capture, axis=2) < 0).any()
    own = np.moveaxis(np.diagonal(capture), -1, 0)
    assert not (capture > own * (1 + 1e-14)).any()


def test_all_positive_pixels_capture_everything(rng):
    maps = np.abs(relevance(rng))
    np.testing.assert_allclose(
        agreement(maps, "capture", fractions=[1])[range(5), range(5)], 1, rtol=1e-14
    )


def test_rounding_never_leads_beyond_1(rng):
    maps = np.abs(rng.standard_normal((1, 200, 333))) * rng.uniform(0.1, 10, (6, 200, 1))
    for measure in ("pearson", "cosine"):
        values = agreement(maps, measure)
        assert values.max() == 1
        np.testing.assert_allclose(values, 1, rtol=1e-14)
        assert agreement(np.concatenate([maps, -maps]), measure).min() == -1
    assert agreement(maps, "capture", fractions=[1]).max() == 1


def test_the_order_of_networks_images_and_pixels_changes_nothing(rng):
    maps = relevance(rng, networks=7, zeros=0)
    networks, images, pixels = rng.permutation(7), rng.permutation(3), rng.permutation(500)
    before = several(maps, MEASURES)
    after = several(maps[networks][:, images][:, :, pixels], MEASURES)
    for measure in MEASURES:
        expected = before[measure][networks][:, networks][..., images]
        if measure in ("spearman", "iou", "dice"):
            np.testing.assert_array_equal(after[measure], expected)
        else:
            np.testing.assert_allclose(after[measure], expected, rtol=1e-12, atol=1e-14)


def test_blocks_of_images_on_threads_give_the_same_bits(rng):
    maps = relevance(rng, images=12)
    whole = several(maps, MEASURES)
    with ThreadPoolExecutor(4) as pool:
        blocks = list(pool.map(lambda block: several(block, MEASURES), np.split(maps, 6, axis=1)))
    for measure in MEASURES:
        np.testing.assert_array_equal(
            np.concatenate([block[measure] for block in blocks], axis=-1), whole[measure]
        )


def test_monotone_changes_leave_ranks_and_masks_alone(rng):
    maps = relevance(rng).astype(np.float64)
    bent = np.sign(maps) * np.abs(maps) ** 0.3
    for measure in ("spearman", "iou", "dice"):
        np.testing.assert_array_equal(agreement(bent, measure), agreement(maps, measure))
    assert np.abs(agreement(bent, "pearson") - agreement(maps, "pearson")).max() > 0.05


def test_opposite_maps_are_opposite(rng):
    maps = relevance(rng, networks=1)
    both = np.concatenate([maps, -maps])
    for measure in LINEAR:
        np.testing.assert_allclose(agreement(both, measure)[0, 1], -1, rtol=1e-14)


def test_unrelated_maps_agree_by_chance_only(rng):
    maps = np.exp(rng.standard_normal((30, 1, 2000)))
    upper = np.triu_indices(30, 1)
    spearman = agreement(maps, "spearman")[..., 0, 0][upper]
    assert stats.kstest(spearman * np.sqrt(1999), "norm").pvalue > 1e-3
    area = top_count(0.1, 2000)
    shared = agreement(maps, "dice", fractions=[0.1])[..., 0, 0][upper] * area
    chance = stats.hypergeom(2000, area, area)
    assert abs(shared.mean() - chance.mean()) < 4 * chance.std() / np.sqrt(shared.size)
    capture = agreement(maps, "capture", fractions=[0.1])[..., 0, 0]
    assert capture[~np.eye(30, dtype=bool)].mean() == pytest.approx(0.1, abs=0.005)


# Maps without an answer


def undefined(values):
    """Networks whose rows and columns are NaN, after checking that NaN lies nowhere else."""
    rows, columns = (np.isnan(values).all(axis=(axis, 2, 3)) for axis in (1, 0))
    either = (rows[:, np.newaxis] | columns)[..., np.newaxis, np.newaxis]
    np.testing.assert_array_equal(np.isnan(values), np.broadcast_to(either, values.shape))
    return set(np.flatnonzero(rows)), set(np.flatnonzero(columns))


@pytest.fixture
def degenerate(rng):
    maps = relevance(rng, networks=7, images=1)
    maps[1], maps[2], maps[3, 0, 9], maps[4] = 0, 0.1, np.nan, -np.abs(maps[4])
    return maps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("measure", "rows", "columns"),
    [
        ("spearman", {1, 2, 3}, {1, 2, 3}),
        ("pearson", {1, 2, 3}, {1, 2, 3}),
        ("cosine", {1, 3}, {1, 3}),
        ("iou", {1, 3, 4}, {1, 3, 4}),
        ("dice", {1, 3, 4}, {1, 3, 4}),
        ("capture", {1, 3, 4}, {1, 3, 4}),
    ],
)
def test_maps_without_an_answer_are_nan_and_touch_no_other(
    measure, rows, columns, dtype, degenerate
):
    result = agreement(degenerate.astype(dtype), measure)
    assert undefined(result) == (rows, columns)
    defined = sorted(set(range(7)) - rows)
    alone = agreement(degenerate[defined].astype(dtype), measure)
    np.testing.assert_allclose(result[np.ix_(defined, defined)], alone, rtol=1e-13, atol=1e-15)


def test_capture_of_negative_maps_is_directed(degenerate):
    """By absolute value the negative map chooses pixels, but it has no positive relevance to be
    captured.
    """
    assert undefined(agreement(degenerate, "capture", ranking="absolute")) == ({1, 3}, {1, 3, 4})
    assert undefined(agreement(degenerate, "iou", ranking="absolute")) == ({1, 3}, {1, 3})
    assert undefined(agreement(degenerate, "iou", ranking="signed")) == ({1, 3}, {1, 3})


def test_infinite_relevance_has_ranks_but_no_correlation(rng):
    maps = relevance(rng, images=1)
    maps[2, 0, 7] = np.inf
    for measure in ("pearson", "cosine"):
        assert undefined(agreement(maps, measure)) == ({2}, {2})
    expected = stats.spearmanr(maps[2, 0], maps[0, 0]).statistic
    assert agreement(maps, "spearman")[2, 0, 0, 0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("constant", [0.1, -1e-30, 3e5, 1 / 3])
@pytest.mark.parametrize("pixels", [3, 7, 1000])
def test_a_constant_map_is_seen_through_its_rounded_mean(constant, pixels, rng):
    maps = rng.standard_normal((2, 1, pixels))
    maps[0] = constant
    assert undefined(agreement(maps, "pearson")) == ({0}, {0})


# Input and output


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "float16", "float64", ">f4"])
def test_other_dtypes_give_the_same_numbers(dtype, rng):
    maps = rng.integers(0, 90, (4, 2, 70))
    expected = several(maps.astype(np.float32), MEASURES)
    for measure, values in several(maps.astype(dtype), MEASURES).items():
        assert values.dtype == np.float64
        np.testing.assert_array_equal(values, expected[measure])


def test_several_measures_share_their_masks(rng, monkeypatch):
    maps, calls = relevance(rng), []
    alone = {
        measure: agreement(maps, measure, fractions=FRACTIONS, ranking="absolute")
        for measure in MEASURES
    }
    monkeypatch.setattr(
        module,
        "top_fractions",
        lambda *given: calls.append(given) or maps_module.top_fractions(*given),
    )
    together = several(maps, (*MEASURES, "iou"), fractions=FRACTIONS, ranking="absolute")
    assert len(calls) == maps.shape[1]
    assert together.keys() == alone.keys()
    for measure in MEASURES:
        np.testing.assert_array_equal(together[measure], alone[measure])


def test_maps_are_left_alone(rng):
    maps = relevance(rng)
    before = maps.copy()
    several(maps, MEASURES)
    np.testing.assert_array_equal(maps, before)


@pytest.mark.parametrize("shape", [(4, 9), (2, 3, 4, 9), (0, 1, 9), (2, 0, 9), (2, 1, 0)])
def test_maps_have_three_axes(shape):
    with pytest.raises(
        InvalidData,
        match=r"maps of shape \(.*\): .*\(network, image, pixel\), none of them empty; stack",
    ):
        agreement(np.zeros(shape), "spearman")


def test_measures_have_names():
    with pytest.raises(
        UsageError,
        match=(
            r"measure 'kendall', 'ssim': use one of spearman, pearson, cosine, iou, dice, capture"
        ),
    ):
        several(np.ones((2, 1, 3)), ("iou", "kendall", "ssim"))
    with pytest.raises(UsageError, match=r"measure missing: use one of"):
        several(np.ones((2, 1, 3)), ())


def test_masks_need_valid_fractions_and_rankings():
    with pytest.raises(UsageError, match=r"fraction=5: "):
        agreement(np.ones((2, 1, 3)), "iou", fractions=[5])
    with pytest.raises(UsageError, match=r"ranking='best': unknown"):
        agreement(np.ones((2, 1, 3)), "capture", ranking="best")
