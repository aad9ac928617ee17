"""Relevance in regions: against the definitions by loops, by hand, and their properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from relstats.errors import InvalidData, UsageError
from relstats.stats.maps.localisation import MEASURES, region_scores

RANKINGS = ("positive", "absolute", "signed")


def counted(value, ranking):
    return {"positive": max(value, 0.0), "absolute": abs(value), "signed": value}[ranking]


def slow(relevance, mask, measure, ranking):
    """One map (pixel,) and one mask by the definition; ties by the mean over many random orders."""
    weights = [counted(float(v), ranking) for v in relevance]
    inside = [w for w, m in zip(weights, mask, strict=True) if m]
    if measure in ("mass", "density"):
        share = sum(inside) / sum(weights)
        return share if measure == "mass" else share / (sum(mask) / len(mask))
    top = sum(mask) if measure == "rank" else 1
    random = np.random.default_rng(0).random((4000, len(weights)))
    orders = np.lexsort((random, np.broadcast_to(-np.array(weights), random.shape)))[:, :top]
    return np.asarray(mask)[orders].mean()


@pytest.fixture
def maps():
    rng = np.random.default_rng(5)
    values = rng.standard_normal((3, 4, 30)).round(1)  # ties
    values[rng.random(values.shape) < 0.3] = 0
    return values + 1.5 * (values > 0)  # so that every map sums to more than 0


@pytest.fixture
def masks():
    rng = np.random.default_rng(6)
    return np.stack([rng.random((4, 30)) < share for share in (0.1, 0.5, 0.7)])


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("ranking", RANKINGS)
def test_scores_are_their_definition(maps, masks, measure, ranking):
    found = region_scores(maps, masks, measure, ranking)
    tolerance = {"rtol": 1e-12} if measure in ("mass", "density") else {"atol": 0.03}
    for n, r, i in np.ndindex(found.shape):
        np.testing.assert_allclose(
            found[n, r, i], slow(maps[n, i], masks[r, i], measure, ranking), **tolerance
        )


def test_by_hand():
    maps = np.array([[[4.0, 2.0, 0.0, 0.0, -6.0]]])
    masks = np.array([[[0, 1, 1, 0, 0]], [[0, 0, 0, 0, 1]]], bool)
    expected = {
        ("mass", "positive"): [2 / 6, 0],
        ("mass", "absolute"): [2 / 12, 6 / 12],
        ("density", "positive"): [(2 / 6) / 0.4, 0],
        ("rank", "positive"): [0.5, 0],
        ("rank", "absolute"): [0, 1],
        ("rank", "signed"): [0.5, 0],
        ("pointing", "positive"): [0, 0],
        ("pointing", "absolute"): [0, 1],
    }
    for (measure, ranking), values in expected.items():
        np.testing.assert_allclose(
            region_scores(maps, masks, measure, ranking)[0, :, 0],
            values,
            err_msg=f"{measure} {ranking}",
        )
    # three pixels are asked for, and only two are positive: the third is one of the three others,
    # one of which is inside
    wide = np.array([[[0, 1, 1, 1, 0]]], bool)
    np.testing.assert_allclose(region_scores(maps, wide, "rank")[0, 0, 0], (1 + 2 / 3) / 3)
    # two pixels share the peak: half a hit
    np.testing.assert_allclose(
        region_scores([[[1.0, 1.0, 0.0]]], np.array([[[1, 0, 1]]], bool), "pointing"), 0.5
    )


def test_even_relevance_has_density_one_everywhere():
    masks = np.random.default_rng(1).random((4, 2, 50)) < 0.3
    np.testing.assert_allclose(
        region_scores(np.full((2, 2, 50), 3.0), masks, "density"), 1, rtol=1e-12
    )
    np.testing.assert_allclose(
        region_scores(np.full((2, 2, 50), 3.0), masks, "rank"),
        np.broadcast_to(masks.mean(-1), (2, 4, 2)),
    )


@pytest.mark.parametrize("ranking", RANKINGS)
@pytest.mark.parametrize("measure", ["mass", "pointing"])
def test_a_partition_adds_up_to_one(maps, measure, ranking):
    labels = np.random.default_rng(2).integers(0, 4, (4, 30))
    found = region_scores(maps, labels == np.arange(4)[:, np.newaxis, np.newaxis], measure, ranking)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-12)


def test_an_empty_region_is_nan_and_the_others_are_not(maps, masks):
    masks[1, 2] = False
    for measure in MEASURES:
        found = region_scores(maps, masks, measure)
        assert np.isnan(found[:, 1, 2]).all()
        assert np.isnan(found).sum() == 3


@pytest.mark.parametrize("measure", MEASURES)
def test_maps_without_such_relevance_are_nan(measure):
    masks = np.ones((1, 1, 4), bool)
    zero, negative, cancelling, missing = (
        [0.0, 0, 0, 0],
        [-1.0, -2, 0, 0],
        [1.0, -1, 0, 0],
        [1.0, np.nan, 0, 0],
    )
    assert np.isnan(region_scores([[zero]], masks, measure)).all()
    assert np.isnan(region_scores([[negative]], masks, measure)).all()
    assert np.isnan(region_scores([[missing]], masks, measure, "absolute")).all()
    assert region_scores([[negative]], masks, measure, "absolute").item() == 1
    shares = measure in ("mass", "density")
    assert np.isnan(region_scores([[cancelling]], masks, measure, "signed")).all() == shares
    assert np.isnan(region_scores([[negative]], masks, measure, "signed")).all() == shares


def test_one_template_is_that_mask_for_every_image(maps, masks):
    alone = region_scores(maps, masks[:, :1], "rank")
    np.testing.assert_array_equal(
        alone, region_scores(maps, np.repeat(masks[:, :1], 4, axis=1), "rank")
    )


@given(
    maps=hnp.arrays(np.float32, (2, 2, 12), elements=st.integers(-5, 5).map(float)),
    masks=hnp.arrays(bool, (3, 2, 12)),
    power=st.integers(-60, 60),
    measure=st.sampled_from(MEASURES),
    ranking=st.sampled_from(RANKINGS),
)
def test_scale_and_order_of_pixels_never_matter(maps, masks, power, measure, ranking):
    found = region_scores(maps, masks, measure, ranking)
    np.testing.assert_array_equal(
        region_scores(maps * np.float32(2.0**power), masks, measure, ranking), found
    )
    order = np.random.default_rng(0).permutation(12)
    again = region_scores(maps[..., order], masks[..., order], measure, ranking)
    np.testing.assert_allclose(
        again, found, rtol=1e-12, atol=1e-12
    )  # signed sums may cancel but for rounding
    inside = found[~np.isnan(found)]
    if ranking != "signed" and measure != "density":
        assert ((inside >= 0) & (inside <= 1 + 1e-12)).all()


@pytest.mark.parametrize("dtype", [np.float16, np.int16, np.uint8, np.float64])
def test_other_real_dtypes(masks, dtype):
    values = np.random.default_rng(1).integers(0, 50, (2, 4, 30))
    np.testing.assert_allclose(
        region_scores(values.astype(dtype), masks, "density"),
        region_scores(values * 1.0, masks, "density"),
    )


def test_unknown_options_and_dtypes_are_told(maps, masks):
    with pytest.raises(
        UsageError, match="measure is 'iou'; it is one of density, mass, rank, pointing"
    ):
        region_scores(maps, masks, "iou")
    with pytest.raises(UsageError, match="ranking is 'negative'"):
        region_scores(maps, masks, "mass", "negative")
    with pytest.raises(InvalidData, match="complex"):
        region_scores(maps * 1j, masks, "mass")
