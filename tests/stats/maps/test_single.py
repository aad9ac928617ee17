"""Scaling, midranks and top-fraction masks: against scipy and slow definitions, with zeros and
ties.
"""

import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from relstats.errors import InvalidData, UsageError
from relstats.stats.maps import single
from relstats.stats.maps.ranks import midranks

SIZE = 24
PIXELS = SIZE * SIZE


def relevance(rng, *batch, zeros=0.6):
    """Maps like those of LRP: most pixels exactly 0, a few negative, a heavy upper tail."""
    values = np.exp(2 * rng.standard_normal((*batch, PIXELS))).astype(np.float32)
    values[rng.random(values.shape) < 0.2] *= -0.1
    values[rng.random(values.shape) < zeros] = 0
    return values


def levels(rng, *batch):
    """Maps of few grey levels: ties everywhere."""
    return np.round(relevance(rng, *batch, zeros=0.2)).clip(-2, 9)


INPUTS = {
    "dense": lambda rng: relevance(rng, 3, zeros=0),
    "zeros": lambda rng: relevance(rng, 3),
    "levels": lambda rng: levels(rng, 3),
    "negative": lambda rng: -np.abs(relevance(rng, 3)),
    "constant": lambda rng: np.full((2, 65), 0.3, np.float32),
    "all zero": lambda rng: np.zeros((2, 65), np.float32),
    "both zeros": lambda rng: rng.choice(np.float32([-0.0, 0.0, 1, -1]), (3, 40)),
    "infinite": lambda rng: rng.choice(np.float32([-np.inf, np.inf, 0, 1]), (3, 40)),
    "subnormal": lambda rng: rng.choice(np.float32([1e-45, 3e-45, -1e-45, 0, 1e-38]), (3, 40)),
    "same high bits": (
        lambda rng: (1 + rng.integers(0, 9, (3, 50)) * np.float32(2**-23)).astype(np.float32)
    ),
    "one pixel": lambda rng: np.float32([[3], [-2], [0]]),
}

small = st.sampled_from([0.0, -0.0, 0.5, 1.0, -1.0, 3.0, 1e-42, -2.5])
tied_maps = hnp.arrays(
    np.float32, hnp.array_shapes(min_dims=1, max_dims=2, max_side=40), elements=small
)
FLOAT32 = np.finfo(np.float32)
any_map = hnp.arrays(
    np.float32,
    st.integers(1, 60),
    elements=st.floats(float(FLOAT32.min), float(FLOAT32.max), width=32),
)
rankings = st.sampled_from(single.RANKINGS)
unhurried = settings(deadline=None)  # an example may have to wait for a kernel to be compiled


# Midranks


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.mark.parametrize("kind", INPUTS)
def test_midranks_are_those_of_scipy(kind, rng):
    values = INPUTS[kind](rng)
    ranks = midranks(values)
    assert ranks.dtype == np.float32
    np.testing.assert_array_equal(ranks, stats.rankdata(values, axis=-1))


@pytest.mark.parametrize("kind", INPUTS)
def test_radix_and_comparison_sort_give_the_same_midranks(kind, rng):
    values = INPUTS[kind](rng)
    np.testing.assert_array_equal(midranks(values), midranks(values.astype(np.float64)))


@unhurried
@given(tied_maps)
def test_a_midrank_is_the_number_below_plus_half_of_those_level(values):
    below = (values[..., np.newaxis, :] < values[..., np.newaxis]).sum(axis=-1)
    level = (values[..., np.newaxis, :] == values[..., np.newaxis]).sum(axis=-1)
    np.testing.assert_array_equal(midranks(values), below + (level + 1) / 2)


@unhurried
@given(any_map, st.randoms(use_true_random=False))
def test_midranks_follow_their_pixels_and_have_a_fixed_sum(values, random):
    order = random.sample(range(values.size), values.size)
    ranks = midranks(values)
    np.testing.assert_array_equal(midranks(values[order]), ranks[order])
    assert ranks.sum(dtype=float) == values.size * (values.size + 1) / 2


def test_midranks_by_hand():
    np.testing.assert_array_equal(
        midranks([[7, 7, -1, 0], [0, 0, 0, 5]]), [[3.5, 3.5, 1, 2], [2, 2, 2, 4]]
    )


def test_float64_ties_are_not_made_by_rounding():
    np.testing.assert_array_equal(midranks([1 + 1e-12, 1.0, 1.0]), [3, 1.5, 1.5])
    np.testing.assert_array_equal(midranks(np.array([2**40 + 1, 2**40, 0])), [3, 2, 1])


@pytest.mark.parametrize(
    "dtype",
    ["bool", "int8", "uint8", "int16", "uint16", "int32", "int64", "float16", ">f4", "longdouble"],
)
def test_midranks_of_other_dtypes(dtype, rng):
    values = rng.integers(0, 2 if dtype == "bool" else 100, (2, 50)).astype(dtype)
    np.testing.assert_array_equal(midranks(values), stats.rankdata(values, axis=-1))


def test_the_smallest_integer_has_no_absolute_value_of_its_own_dtype():
    np.testing.assert_array_equal(
        single.top_fraction(np.int8([-128, 5, 100, 0]), 0.25, "absolute"), [1, 0, 0, 0]
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bits", [0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFFFFFFF])
@pytest.mark.parametrize("place", [0, 20, 39])
def test_any_nan_makes_the_whole_row_nan(dtype, bits, place, rng):
    values = rng.choice(np.float32([-np.inf, np.inf, 0, 1]), (3, 40))
    values[1, place] = np.uint32([bits]).view(np.float32)[0]
    with np.errstate(invalid="ignore"):  # a signalling NaN complains of the cast
        values = values.astype(dtype)
    ranks = midranks(values)
    assert np.isnan(ranks[1]).all()
    np.testing.assert_array_equal(ranks[[0, 2]], stats.rankdata(values[[0, 2]], axis=-1))


def test_midranks_of_any_memory_layout(rng):
    values = relevance(rng, 4, 3)
    expected = midranks(values)
    np.testing.assert_array_equal(expected, stats.rankdata(values, axis=-1))
    np.testing.assert_array_equal(midranks(np.asfortranarray(values)), expected)
    np.testing.assert_array_equal(
        midranks(np.repeat(values, 2, axis=-1)[:, ::2, ::2]), expected[:, ::2]
    )
    np.testing.assert_array_equal(midranks(values[1, 2]), expected[1, 2])


def test_midranks_leave_their_input_alone_and_agree_across_threads(rng):
    values = relevance(rng, 40)
    before = values.copy()
    with ThreadPoolExecutor(4) as pool:
        blocks = list(pool.map(midranks, np.split(values, 20)))
    np.testing.assert_array_equal(np.concatenate(blocks), stats.rankdata(before, axis=-1))
    np.testing.assert_array_equal(values, before)


def test_too_many_pixels_for_half_ranks():
    with pytest.raises(
        InvalidData, match=r"midranks of 8388608 pixels.*exact in float32 below 8388608.*reduce"
    ):
        midranks(np.broadcast_to(np.float32(0), 2**23))


@pytest.mark.parametrize("dtype", ["complex64", "U3", "object", "datetime64[s]"])
def test_maps_are_real_numbers(dtype):
    with pytest.raises(InvalidData, match=r"relevance maps of dtype .*real numbers; give float32"):
        midranks(np.zeros(3, dtype))


# Masks


def slow_mask(values, count, ranking):
    """The first `count` eligible pixels, sorted by score, then by the scrambled order."""
    score = np.abs(values) if ranking == "absolute" else values
    place = single.tie_order(values.size)
    pixels = [
        p for p in range(values.size) if (ranking == "signed" and values.any()) or score[p] > 0
    ]
    mask = np.zeros(values.size, bool)
    mask[sorted(pixels, key=lambda p: (-score[p], place[p]))[:count]] = True
    return mask


@pytest.mark.parametrize("ranking", single.RANKINGS)
@pytest.mark.parametrize("kind", INPUTS)
def test_masks_are_the_first_pixels_of_a_full_sort(kind, ranking, rng):
    values = INPUTS[kind](rng)
    fractions = (0.02, 0.3, 0.1, 1, 0.5)
    masks = single.top_fractions(values, fractions, ranking)
    assert masks.dtype == bool
    for fraction, of_fraction in zip(fractions, masks, strict=True):
        count = single.top_count(fraction, values.shape[-1])
        np.testing.assert_array_equal(
            of_fraction, [slow_mask(row, count, ranking) for row in values]
        )


@unhurried
@given(tied_maps, st.lists(st.floats(1e-3, 1), min_size=1, max_size=4), rankings)
def test_masks_are_nested_and_exact_up_to_the_shortfall(values, fractions, ranking):
    masks = single.top_fractions(values, fractions, ranking)
    lacking = single.mask_shortfall(masks, fractions)
    for (one, smaller), (other, larger) in zip(enumerate(masks), enumerate(masks), strict=True):
        if fractions[one] <= fractions[other]:
            assert not (smaller & ~larger).any()
    wanted = np.array([single.top_count(f, values.shape[-1]) for f in fractions]).reshape(
        -1, *[1] * (values.ndim - 1)
    )
    np.testing.assert_array_equal(masks.sum(axis=-1) + lacking, wanted + np.zeros_like(lacking))
    eligible = {
        "positive": values > 0,
        "absolute": values != 0,
        "signed": np.ones_like(values, bool),
    }[ranking]
    eligible = eligible & values.any(axis=-1, keepdims=True)
    np.testing.assert_array_equal(lacking, np.maximum(wanted - eligible.sum(axis=-1), 0))
    assert not (masks & ~eligible).any()


@unhurried
@given(any_map, st.randoms(use_true_random=False), rankings)
def test_without_ties_masks_follow_their_pixels(values, random, ranking):
    values = np.unique(np.abs(values))
    order = random.sample(range(values.size), values.size)
    masks = single.top_fractions(values, (0.1, 0.5), ranking)
    np.testing.assert_array_equal(
        single.top_fractions(values[order], (0.1, 0.5), ranking), masks[:, order]
    )


@unhurried
@given(tied_maps, st.integers(-20, 60), rankings)
def test_the_scale_of_relevance_changes_no_rank_and_no_mask(values, exponent, ranking):
    values = values.astype(np.float64)
    scaled = np.ldexp(values, exponent)
    np.testing.assert_array_equal(midranks(scaled), midranks(values))
    np.testing.assert_array_equal(
        single.top_fractions(scaled, (0.1, 0.4), ranking),
        single.top_fractions(values, (0.1, 0.4), ranking),
    )


def test_masks_by_hand():
    values = [4, -9, 0, 1, 2, 0, -3, 0]
    np.testing.assert_array_equal(np.flatnonzero(single.top_fraction(values, 0.25)), [0, 4])
    np.testing.assert_array_equal(
        np.flatnonzero(single.top_fraction(values, 0.25, "absolute")), [0, 1]
    )
    np.testing.assert_array_equal(
        np.flatnonzero(single.top_fraction(values, 0.25, "signed")), [0, 4]
    )
    np.testing.assert_array_equal(np.flatnonzero(single.top_fraction(values, 0.75)), [0, 3, 4])
    np.testing.assert_array_equal(
        np.flatnonzero(single.top_fraction(values, 0.75, "absolute")), [0, 1, 3, 4, 6]
    )
    np.testing.assert_array_equal(
        np.flatnonzero(~single.top_fraction(values, 0.75, "signed")), [1, 6]
    )


def test_a_fraction_is_a_decimal_number_and_halves_are_rounded_up():
    cases = {
        (0.05, 50176): 2509,
        (0.29, 50): 15,
        (0.5, 5): 3,
        (0.1, 25): 3,
        (1, 7): 7,
        (0.001, 10): 1,
        (1e-9, 9): 1,
    }
    assert {case: single.top_count(*case) for case in cases} == cases
    assert single.top_count(np.float32(0.05), 50176) == 2509
    for hundredths in range(1, 101):
        for pixels in (50, 100, 1001, 50176):
            exact = Fraction(hundredths, 100) * pixels
            assert single.top_count(hundredths / 100, pixels) == max(
                1, (exact + Fraction(1, 2)).__floor__()
            )


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, np.nan, np.inf])
def test_a_fraction_lies_between_0_and_1(fraction):
    with pytest.raises(UsageError, match=rf"fraction={fraction}: .*\(0, 1\].*give 0\.05"):
        single.top_fractions(np.ones(4), (0.5, fraction))


def test_masks_need_a_ranking_and_a_fraction():
    with pytest.raises(UsageError, match=r"ranking='top': unknown.*positive, absolute, signed"):
        single.top_fraction(np.ones(4), 0.5, "top")
    with pytest.raises(UsageError, match=r"no share of pixels to keep.*give at least one"):
        single.top_fractions(np.ones(4), ())


@pytest.mark.parametrize("ranking", single.RANKINGS)
def test_maps_without_relevance_or_with_nan_have_empty_masks(ranking, rng):
    values = relevance(rng, 4)
    values[1], values[2, 5:7] = 0, (np.nan, np.inf)
    masks = single.top_fractions(values, (0.05, 0.2), ranking)
    np.testing.assert_array_equal(masks.any(axis=-1), [[True, False, False, True]] * 2)
    np.testing.assert_array_equal(single.mask_shortfall(masks, (0.05, 0.2))[:, 1], [29, 115])


def test_unrelated_sparse_maps_overlap_by_chance_only(rng):
    """Masks filled up with pixels without relevance, in their order, would overlap in the upper
    corner.
    """
    relevant, many = 17, 400
    values = np.zeros((many, PIXELS), np.float32)
    for row in values:
        row[rng.choice(PIXELS, relevant, replace=False)] = rng.exponential(size=relevant)
    masks = single.top_fraction(values, 0.1)
    shared = (masks.astype(float) @ masks.T)[np.triu_indices(many, 1)]
    chance = stats.hypergeom(PIXELS, relevant, relevant)
    assert abs(shared.mean() - chance.mean()) < 4 * chance.std() / np.sqrt(shared.size)


def test_ties_at_the_threshold_have_no_spatial_bias():
    y, x = np.divmod(np.flatnonzero(single.top_fraction(np.ones(100 * 100), 0.1)), 100)
    assert abs(y.mean() - 49.5) < 4 * 28.9 / np.sqrt(1000)
    assert abs(x.mean() - 49.5) < 4 * 28.9 / np.sqrt(1000)
    assert (
        stats.chisquare(np.histogram2d(y, x, bins=5, range=[[0, 100], [0, 100]])[0].ravel()).pvalue
        > 1e-3
    )


def splitmix64(count):
    state, mask = 0, 2**64 - 1
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & mask
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & mask
        yield mixed ^ (mixed >> 31)


def test_the_tie_order_is_that_of_splitmix64():
    assert next(splitmix64(1)) == 0xE220A8397B1DCDAF  # the generator's published first number
    for pixels in (1, 2, 7, 500):
        numbers = list(splitmix64(pixels))
        expected = [sorted(numbers).index(number) for number in numbers]
        np.testing.assert_array_equal(single.tie_order(pixels), expected)


def test_nobody_can_change_the_tie_order():
    with pytest.raises(ValueError, match="read-only"):
        single.tie_order(9)[0] = 3


# Scaling

SIZES = {
    "l1": lambda row: np.abs(row).sum(),
    "l2": lambda row: np.sqrt((row**2).sum()),
    "max": lambda row: np.abs(row).max(),
}


@pytest.mark.parametrize("how", SIZES)
def test_normalised_maps_have_size_1_and_the_same_shape(how, rng):
    values = relevance(rng, 2, 3)
    result = single.normalise(values, how)
    assert result.dtype == np.float64
    for where in np.ndindex(2, 3):
        row = values[where].astype(float)
        np.testing.assert_allclose(result[where], row / SIZES[how](row), rtol=1e-14, atol=0)
    assert result.min() < 0 < result.max()


@pytest.mark.parametrize("how", SIZES)
def test_normalised_maps_forget_their_scale(how, rng):
    values = relevance(rng, 3).astype(np.float64)
    expected = single.normalise(values, how)
    for scale in (2.0**-1000, 2.0**-60, 2.0**1000):
        np.testing.assert_array_equal(single.normalise(values * scale, how), expected)
    np.testing.assert_allclose(single.normalise(values * 0.3, how), expected, rtol=1e-14)
    np.testing.assert_array_equal(single.normalise(-values, how), -expected)


@pytest.mark.parametrize("how", SIZES)
def test_maps_that_have_no_size_are_nan(how, rng):
    values = relevance(rng, 5)
    values[0], values[1, 4], values[2, 4], values[3, 4] = 0, np.nan, np.inf, -np.inf
    result = single.normalise(values, how)
    assert np.isnan(result[:4]).all()
    assert not np.isnan(result[4]).any()


def test_normalise_by_hand():
    np.testing.assert_array_equal(single.normalise(np.int8([-128, 0, 64]), "max"), [-1, 0, 0.5])
    np.testing.assert_allclose(single.normalise([[3, 0, -4]], "l2"), [[0.6, 0, -0.8]], rtol=1e-15)


def test_normalise_knows_three_sizes():
    with pytest.raises(UsageError, match=r"how='sum': unknown.*max, l1, l2"):
        single.normalise(np.ones(3), "sum")


# Compilation


def test_kernels_run_where_no_cache_can_be_written(tmp_path, monkeypatch):
    """The cache folders are files here: not even an administrator can write into them."""
    source = tmp_path / "kernels.py"
    source.write_text("def double(number):\n    return 2 * number\n")
    (tmp_path / "__pycache__").touch()
    for variable in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA", "USERPROFILE"):
        monkeypatch.setenv(variable, str(source / "nowhere"))
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    spec = importlib.util.spec_from_file_location("kernels", source)
    kernels = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(kernels)
    monkeypatch.setitem(sys.modules, "kernels", kernels)
    with pytest.raises(RuntimeError, match="cannot cache"):
        numba.njit(cache=True)(kernels.double)
    double = single.compiled(kernels.double)
    assert double(21) == 42
    assert double.targetoptions["nogil"] is True


def test_kernels_release_the_gil():
    assert single.compiled(relevance).targetoptions["nogil"] is True
