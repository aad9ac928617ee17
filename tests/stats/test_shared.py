"""Shared pixels of studies: against a definition written out with loops, planted pixels, no effect,
and what is refused.
"""

import itertools
from fractions import Fraction

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

import relstats
from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.stats import shared_swaps
from relstats.stats.inference import adjust
from relstats.stats.maps import bits, consensus
from relstats.stats.maps.single import top_fraction
from relstats.stats.shared import shared
from relstats.stats.shared_swaps import critical_value
from relstats.stats.sources import top_pixels
from relstats.study import save, shards, store, writing

PRETRAIN = ["i", "i", "v"]


def rng(seed=1):
    return np.random.default_rng(seed)


def group(maps, pretrain=PRETRAIN, available=None):
    """A `/relevance` group of maps (model, seed, image, y, x)."""
    models = pd.DataFrame(
        {"model": [f"m{k}" for k in range(maps.shape[0])], "pretrain": pretrain[: maps.shape[0]]}
    )
    images = [f"{k:03}" for k in range(maps.shape[2])]
    made = relstats.relevance_dataset(maps, models=models, images=images)
    return (
        made
        if available is None
        else made.assign(available=(("model", "seed"), np.asarray(available)))
    )


def random_maps(models=3, seeds=2, images=9, size=(6, 7), common=0.0, seed=0):
    draw = rng(seed)
    parts = draw.standard_normal((models, seeds, images, *size)) + draw.standard_normal(size)
    return (parts + common * draw.standard_normal((images, *size))).astype(np.float32)


def planted(share=0.05, images=30, size=32, models="2x1", seeds=4, seed=1, **other):
    plan = relstats.Planted(shared_pixels=share, image=0, level=0, **other)
    return relstats.simulate(
        models=models, seeds=seeds, images=images, size=size, planted=plan, rng=rng(seed)
    )


def slow(maps, conditions, fraction, donors):
    """All of it with loops: maps (network, image, pixel), condition of each network, donors (swap,
    network, image).
    """
    masks = np.array([[top_fraction(one, fraction) for one in network] for network in maps])
    rate = masks.mean(axis=1)
    mean, spread = rate.sum(axis=0), np.sqrt((rate * (1 - rate)).sum(axis=0)) + 0.25
    codes = sorted(set(conditions))
    shape = (len(donors), masks.shape[1])
    z, core, agree = np.empty(shape), np.empty((*shape, 3)), np.zeros((len(donors), len(maps)))
    for swap, image in itertools.product(*map(range, shape)):
        shown = np.array([masks[m, donors[swap, m, image]] for m in range(len(maps))])
        z[swap, image] = ((shown.sum(axis=0) - mean) / spread).max()
        share = np.array(
            [shown[[c == code for c in conditions]].mean(axis=0) for code in codes]
        ).min(axis=0)
        core[swap, image] = [
            (share > 1 - 1e-9).sum(),
            (share > 0.9 - 1e-9).sum(),
            (share > 0.5 + 1e-9).sum(),
        ]
        for m in range(len(maps)):
            others = [
                np.mean(
                    [masks[k, image] for k in range(len(maps)) if k != m and conditions[k] == code],
                    axis=0,
                )
                for code in codes
                if any(k != m and conditions[k] == code for k in range(len(maps)))
            ]
            agree[swap, m] += np.mean(others, axis=0)[shown[m]].mean()
    return masks, mean, spread, z, core, agree / shape[1]


def test_every_number_is_that_of_the_definition():
    maps = random_maps(common=0.7)
    result = shared(group(maps), fraction=0.2, across=["pretrain"], n_swaps=49, rng=rng(5))
    flat = maps.reshape(6, 9, 42)
    entropy = int(rng(5).integers(2**63))
    donors = consensus.swaps(49, 6, 9, np.random.default_rng([entropy, 0]))
    masks, mean, spread, z, core, agree = slow(flat, list("iiiivv"), 0.2, donors)
    p = lambda values: (1 + (values[1:] >= values[0]).sum(axis=0)) / 50  # noqa: E731

    def same(name, values):
        np.testing.assert_allclose(result[name].values, values, rtol=1e-12, err_msg=name)

    same("max_z", z[0])
    same("p_max_z", p(z))
    same("p_max_z_family", (1 + (z[1:].max(axis=1)[:, None] >= z[0]).sum(axis=0)) / 50)
    same("core_size", core[0].T / 42)
    same("core_size_swapped", core[1:].mean(axis=0).T / 42)
    same("p_core", p(core).T)
    same("p_core_family", (1 + (core[1:].max(axis=1)[:, None] >= core[0]).sum(axis=0)).T / 50)
    same("estimate", core[0].mean(axis=0) / 42)
    same("p_value", p(core.mean(axis=1)))
    same("agreement", agree[0])
    same("agreement_swapped", agree[1:].mean(axis=0))
    same("p_network", p(np.round(agree, 12)))
    half = stats.sem(core[0] / 42) * stats.t.ppf(0.975, 8)
    same(
        "ci_these_networks",
        np.stack([core[0].mean(axis=0) / 42 - half, core[0].mean(axis=0) / 42 + half], axis=1),
    )
    same("p_adjusted", adjust.holm(p(core.mean(axis=1))))
    same("excess", (core[0].mean(axis=0) - core[1:].mean(axis=(0, 1))) / 42)
    part = core[0] - sum(
        np.array([core[1:][donors[1:, m] == i].mean(axis=0) for i in range(9)]) for m in range(6)
    )
    half = stats.sem(part / 42) * stats.t.ppf(0.975, 8)
    width = result["excess_ci_these_networks"].diff("bound").values.ravel()
    np.testing.assert_allclose(width, 2 * half, rtol=1e-9)
    same("p_core_bh", stats.false_discovery_control(p(core), axis=0).T)
    same("p_max_z_bh", stats.false_discovery_control(p(z)))
    same("expected_count", mean.reshape(6, 7))
    same("spread", spread.reshape(6, 7))
    same("count", masks.sum(axis=0).reshape(9, 6, 7))
    scores = (masks.sum(axis=0) - mean) / spread
    pixel_p = (1 + (z[1:, :, None] >= scores).sum(axis=0)) / 50
    same("beyond_chance", (pixel_p <= 0.05).reshape(9, 6, 7))
    same(
        "core",
        np.all([masks[:4].sum(axis=0) >= 4, masks[4:].sum(axis=0) >= 2], axis=0).reshape(9, 6, 7),
    )
    # one condition alone is swapped: all its networks to the same image, that of its first network
    for c, members in enumerate(([0, 1, 2, 3], [4, 5])):
        alone = np.broadcast_to(np.arange(9), donors.shape).copy()
        alone[:, members] = donors[:, members[:1]]
        same_core = slow(flat, list("iiiivv"), 0.2, alone)[4].sum(axis=1)
        np.testing.assert_allclose(
            result["p_condition"].isel(condition=c), p(same_core), rtol=1e-12
        )
    same("p_every_condition", result["p_condition"].max("condition"))
    assert result["n_needed"].values.tolist() == [[4, 2], [4, 2], [3, 2]]
    assert result["condition"].values.tolist() == ["i", "v"]


def test_what_an_image_lends_to_chance_is_its_overlap_with_the_others_maps():
    masks = rng(3).random((2, 3, 40)) < 0.4
    orders = list(itertools.permutations(range(3)))
    donors = np.array(list(itertools.product(orders, orders)))
    shown = masks[np.arange(2)[:, None], donors]
    both = shown.all(axis=1).sum(axis=-1)[..., np.newaxis]
    overlap = (masks[0][:, np.newaxis] & masks[1]).sum(axis=-1)
    expected = overlap.mean(axis=1) + overlap.mean(axis=0) - 2 * overlap.mean()
    np.testing.assert_allclose(shared_swaps.donated(both, donors)[:, 0], expected, atol=1e-12)


def test_the_interval_of_the_excess_holds_where_images_keep_to_one_layout_more_or_less():
    """Image by image the share and chance go up and down together: the share's own interval holds
    in all studies here, where it should in 95 %.
    """
    layout, drawn = np.exp(-((np.arange(100) - 50) ** 2) / 200.0), rng(11)
    errors, wide = [], []
    for _ in range(120):
        strength = drawn.gamma(2, 1, (1, 30, 1))
        maps = layout * strength + 0.5 * drawn.standard_normal((5, 30, 100))
        masks = maps > np.sort(maps, axis=-1)[..., -21:-20]
        donors = consensus.swaps(99, 5, 30, drawn)
        _, sizes = consensus.swap_statistics(
            bits.pack(masks), donors, np.array([5]), consensus.layout(masks.mean(axis=1))
        )
        part = sizes[0] - shared_swaps.donated(sizes[1:], donors[1:])
        errors.append((sizes[0].mean(axis=0) - sizes[1:].mean(axis=(0, 1)))[2])
        wide.append([stats.sem(part)[2], stats.sem(sizes[0])[2]])
    half = stats.t.ppf(0.975, 29) * np.array(wide)
    holds = (np.abs(np.array(errors) - np.mean(errors))[:, None] <= half).mean(axis=0)
    assert 0.89 <= holds[0] <= 0.99  # 95 % and 3 s.e. on both sides
    assert holds[1] == 1


def test_expected_by_independence_is_binomial():
    result = shared(group(random_maps(models=2)), fraction=0.2, n_swaps=19, rng=rng())
    rate = 8 / 42
    np.testing.assert_allclose(
        result["expected"].sel(null="independence"),
        [rate**4, rate**4, 4 * rate**3 * (1 - rate) + rate**4],
    )


def test_a_pixel_is_beyond_chance_where_the_image_is():
    result = shared(planted(), n_swaps=99, rng=rng())
    any_pixel = result["beyond_chance"].any(("y", "x"))
    np.testing.assert_array_equal(any_pixel, result["p_max_z"] <= 0.05)
    assert result["n_images_beyond"] == any_pixel.sum()
    z = (result["count"] - result["expected_count"]) / result["spread"]
    np.testing.assert_array_equal(z.max(("y", "x")), result["max_z"])


def test_planted_pixels_are_found_and_no_others():
    study = planted()
    result = shared(study, across=["pretrain"], consensus="all", rng=rng())
    there = study["regions"]["mask"].values[0]
    core, beyond = result["core"].values, result["beyond_chance"].values
    assert core[there].mean() > 0.95
    assert beyond[there].mean() > 0.9
    assert core[~there].mean() < 0.001
    assert beyond[~there].mean() < 0.001
    assert (result["p_max_z_family"] <= 0.05).mean() == 1
    assert (result["p_every_condition"] == 0.001).all()
    np.testing.assert_allclose(result["estimate"], there.mean(), rtol=0.1)
    assert (result["expected"].sel(null="image swap") < 0.001).all()
    assert result["n_sharing"] == 8
    assert result["prevalence_lower"] == pytest.approx(consensus.prevalence(8, 8)[1])
    assert (result["stability"] > 0.98).all()


def test_where_none_are_planted_none_are_claimed():
    """A strong common layout and nothing else: seven studies, so that one false alarm at 5 % is no
    failure.
    """
    studies = [planted(0, size=20, seed=k, layout=0.6) for k in range(7)]
    found = [shared(study, n_swaps=199, rng=rng(k)) for k, study in enumerate(studies)]
    assert sum(int(r["n_images_beyond_family"]) > 0 for r in found) <= 2
    assert sum((r["p_value"].values <= 0.05).any() for r in found) <= 3
    p = np.concatenate([r["p_max_z"].values for r in found])
    assert (
        stats.binomtest(int((p <= 0.05).sum()), p.size, 0.05, alternative="greater").pvalue > 1e-3
    )
    assert np.mean([r["n_sharing"] for r in found]) < 2
    layout = found[0]["expected"]
    assert layout.sel(consensus="majority", null="image swap") > 10 * layout.sel(
        consensus="majority", null="independence"
    )
    assert found[0]["prevalence_lower"] < 0.2


def test_a_network_that_shares_nothing_is_named():
    maps = random_maps(models=3, seeds=2, images=40, common=2.0, size=(12, 12))
    maps[2, 1] = random_maps(models=1, seeds=1, images=40, size=(12, 12), seed=9)[0, 0]
    result = shared(group(maps), rng=rng())
    assert (result["p_network"].values[:5] <= 0.01).all()
    assert result["p_network"].values[5] > 0.01
    assert result["agreement"].values[5] < result["agreement"].values[:5].min()


def test_one_condition_that_does_not_share_is_enough_for_no_claim():
    """Two conditions share pixels, the third does not: the swap of all networks rejects, that of
    the third alone does not.
    """
    maps = random_maps(models=3, seeds=3, images=60, common=2.0, size=(12, 12))
    maps[2] = random_maps(models=1, seeds=3, images=60, size=(12, 12), seed=9)[0]
    result = shared(group(maps, ["i", "v", "w"]), across=["pretrain"], fraction=0.3, rng=rng())
    majority = result.sel(consensus="majority")
    assert majority["p_value"] <= 0.05
    assert (majority["p_condition"].sel(condition=["i", "v"]) <= 0.05).all()
    assert majority["p_every_condition"] == majority["p_condition"].sel(condition="w") > 0.05


def test_more_seeds_of_a_condition_do_not_count_more():
    """A pixel of nine networks of one condition and of none of the other is no shared one."""
    maps = random_maps(models=2, seeds=9, images=20)
    maps[0, :, :, 0, 0] = 50
    available = np.ones((2, 9), bool)
    available[1, 2:] = False
    dataset = group(maps, ["i", "v"], available)
    result = shared(dataset, across=["pretrain"], consensus="majority", rng=rng(), n_swaps=19)
    pooled = shared(dataset, consensus="majority", rng=rng(), n_swaps=19)
    assert result["n_networks"].values.tolist() == [9, 2]
    assert pooled["core"].values[:, 0, 0].all()
    assert result["core"].values[:, 0, 0].mean() < 0.5


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False), st.integers(-60, 60))
def test_order_and_scale_change_nothing(random, power):
    maps = random_maps(common=0.5)
    dataset = group(maps)
    result = shared(dataset, across=["pretrain"], n_swaps=39, rng=rng())
    orders = {
        dim: random.sample(range(dataset.sizes[dim]), dataset.sizes[dim])
        for dim in ("model", "seed", "image")
    }
    scale = (
        np.ldexp(np.float32(1), power)
        * np.array([1, 4, 0.25], np.float32)[:, None, None, None, None]
    )
    scaled = dataset.assign(relevance=dataset["relevance"] * scale.astype(np.float32))
    again = shared(
        scaled.isel(orders).transpose("x", "image", "seed", "y", "model"),
        across=["pretrain"],
        n_swaps=39,
        rng=rng(),
    )
    for name in result.data_vars:
        there = (
            again[name].sel(image=result["image"]) if "image" in again[name].dims else again[name]
        )
        np.testing.assert_array_equal(
            there.transpose(*result[name].dims), result[name], err_msg=str(name)
        )


def test_workers_and_blocks_change_no_bit(monkeypatch):
    study = planted(images=20, size=16)

    def run():
        return shared(study, across=["pretrain"], n_swaps=49, rng=rng()).compute()

    with dask.config.set(scheduler="synchronous"):
        one = run()
    monkeypatch.setattr(shards, "BLOCK_VALUES", 8 * 256 * 3)
    with dask.config.set(scheduler="threads", num_workers=4):
        xr.testing.assert_identical(run().drop_attrs(), one.drop_attrs())


def test_groups_of_images_swap_among_themselves(monkeypatch):
    monkeypatch.setattr(top_pixels, "GROUP", 10)
    study = planted(images=25)
    maps = top_pixels.ranked_maps(study["relevance"].to_dataset(), 0.1, "positive", ())
    groups = top_pixels.groups(maps, np.arange(25))
    assert sorted(np.concatenate(groups)) == list(range(25))
    assert [len(g) for g in groups] == [9, 8, 8]
    result = shared(study, rng=rng())
    assert result.attrs["min_p"] == 0.001
    assert "among groups of at most 10 images" in result.attrs["method"]
    assert (result["p_max_z_family"] <= 0.05).all()
    whole = study["regions"]["mask"].values[0]
    assert result["core"].values[whole].mean() > 0.9  # each mask at its own image
    for image in (0, 13, 24):
        alone = shared(study.isel(image=slice(image, None)) if image == 0 else study, rng=rng())
        np.testing.assert_array_equal(alone["count"].values[image], result["count"].values[image])
        np.testing.assert_array_equal(alone["max_z"].values[image], result["max_z"].values[image])


def test_baseline_says_what_untrained_maps_would_share():
    maps = random_maps(models=2, images=12)
    other = random_maps(models=1, seeds=1, images=12, seed=3)
    dataset = group(maps)
    result = shared(
        dataset,
        fraction=0.25,
        n_swaps=19,
        baseline=group(other, ["b"]).isel(image=slice(None, None, -1)),
        rng=rng(),
    )
    found = result["expected"].sel(null="baseline").values
    mask = top_fraction(other.reshape(12, 42), 0.25)
    np.testing.assert_allclose(
        found, mask.mean(), rtol=1e-12
    )  # one network: its pixels are certain, the others impossible
    assert (
        "the baseline has fewer networks than the study: what it shares is overstated"
        in result.attrs["warnings"]
    )
    four = random_maps(models=2, seeds=2, images=12, seed=4)
    result = shared(
        dataset,
        fraction=0.25,
        n_swaps=19,
        baseline=group(four, ["b", "b"]).isel(image=slice(None, None, -1)),
        rng=rng(),
    )
    rate = np.mean(
        [top_fraction(one.reshape(12, 42), 0.25) for one in four.reshape(4, 12, 6, 7)], axis=0
    )
    np.testing.assert_allclose(
        result["core_size_baseline"].sel(consensus="all"), (rate**4).mean(axis=1), rtol=1e-12
    )
    np.testing.assert_allclose(
        result["core_size_baseline"].sel(consensus="majority"),
        (rate**4 + 4 * rate**3 * (1 - rate)).mean(axis=1),
        rtol=1e-12,
    )
    other[0, 0, 3] = 0
    result = shared(dataset, n_swaps=19, baseline=group(other, ["b"]), rng=rng())
    assert result["n_images_without_baseline"] == 1
    assert np.isnan(result["core_size_baseline"]).sum() == 3
    assert np.isfinite(result["expected"]).all()


def test_a_baseline_of_other_images_or_another_size_is_refused():
    dataset = group(random_maps())
    with pytest.raises(
        InvalidData,
        match=(
            r"of the study and the baseline: 0 only in .*1 only in the baseline \('009'\)|1 only in"
            r" the baseline"
        ),
    ):
        shared(dataset, baseline=group(random_maps(images=10)), rng=rng())
    with pytest.raises(
        InvalidData,
        match=r"maps of the baseline have \(7, 6\) pixels \(y, x\), those of the study \(6, 7\)",
    ):
        shared(dataset, baseline=group(random_maps(size=(7, 6))), rng=rng())


def test_maps_without_order_are_left_out_and_counted():
    maps = random_maps(images=12)
    maps[0, 0, 3], maps[1, 0, 5], maps[2, 1, 7] = 0, 2.5, -np.abs(maps[2, 1, 7])
    result = shared(group(maps), n_swaps=19, rng=rng())
    assert result["n_images"] == 9
    assert [i for i in ("003", "005", "007") if i in result["image"].values] == []
    assert result.attrs["n_images_omitted"] == 3
    assert (
        "3 image(s) left out: a map is all zero or constant, or has no pixel to rank"
        in result.attrs["warnings"]
    )
    rest = shared(group(maps).isel(image=[0, 1, 2, 4, 6, 8, 9, 10, 11]), n_swaps=19, rng=rng())
    xr.testing.assert_identical(rest.drop_attrs(), result.drop_attrs())
    absolute = shared(group(maps), ranking="absolute", n_swaps=19, rng=rng())
    assert absolute["n_images"] == 10


def test_nan_is_refused_or_left_out_on_purpose_and_infinity_refused():
    maps = random_maps(images=12)
    maps[1, 0, 4, 0, 0] = np.nan
    with pytest.raises(
        InvalidData, match=r"NaN in 1 cell\(s\) \(e.g. m1 seed 0, image '004'\).*--nan omit"
    ):
        shared(group(maps), rng=rng())
    result = shared(group(maps), nan="omit", n_swaps=19, rng=rng())
    xr.testing.assert_identical(
        result.drop_attrs(),
        shared(group(maps).drop_sel(image="004"), n_swaps=19, rng=rng()).drop_attrs(),
    )
    assert "1 image(s) left out for NaN" in result.attrs["warnings"]
    bad = group(random_maps(images=12))
    bad["relevance"].values[2, 1, 11, 0, 0] = np.inf
    with pytest.raises(InvalidData, match="infinite in m2 seed 1, image '011'"):
        shared(bad, nan="omit", rng=rng())


def test_a_network_without_maps_is_left_out():
    maps = random_maps(images=12)
    maps[1, 1] = 0
    result = shared(group(maps), across=["pretrain"], n_swaps=19, rng=rng())
    assert result.sizes["network"] == 5
    assert result["n_networks"].values.tolist() == [3, 2]
    assert result.attrs["n_networks_omitted"] == 1
    assert (
        "1 network(s) left out: all their maps are zero or constant, or have no pixel to rank (m1"
        " seed 1)" in result.attrs["warnings"]
    )
    assert result["n_images"] == 12


def test_masks_that_cannot_be_filled_are_counted():
    maps = random_maps(images=12)
    maps[0, 0, 2] = 0
    maps[0, 0, 2, 0, 0] = 1
    result = shared(group(maps), n_swaps=19, rng=rng())
    assert (
        "1 map(s) have fewer pixels to rank than the fraction asks for: their masks are smaller"
        in result.attrs["warnings"]
    )


REFUSED = [
    (ImpossibleAnalysis, r"1 network\(s\): a pixel is shared by two or more", {"maps": (1, 1, 9)}),
    (
        ImpossibleAnalysis,
        r"1 of 1 image\(s\) with a map of every network \(0 with NaN, 0 with",
        {"maps": (3, 2, 1)},
    ),
    (
        ImpossibleAnalysis,
        r"with 2 networks and 3 images no p can be below 0.167",
        {"maps": (1, 2, 3)},
    ),
    (
        ImpossibleAnalysis,
        r"with 2 networks and 4 images no p can be below 0.0625",
        {"maps": (1, 2, 4)},
    ),
    (
        ImpossibleAnalysis,
        r"all networks are 'i' on pretrain",
        {"maps": (2, 2, 9), "across": ["pretrain"]},
    ),
    (
        UsageError,
        r"n_swaps is 19: 19 swaps cannot give p below 0.05.* at 0.01. Give at least 99",
        {"n_swaps": 19, "confidence": 0.99},
    ),
    (UsageError, r"n_swaps is 0; give at least 1", {"n_swaps": 0}),
    (
        UsageError,
        r"no axis 'pretain': models have pretrain. Did you mean 'pretrain'\?",
        {"across": ["pretain"]},
    ),
    (UsageError, r"ranking is 'top'; it is one of positive, absolute, signed", {"ranking": "top"}),
    (UsageError, r"consensus is '90 %'; it is one of all, most, majority", {"consensus": "90 %"}),
    (UsageError, r"nan is 'zero'; it is one of raise, omit", {"nan": "zero"}),
    (UsageError, r"confidence is 95; a confidence level lies between 0 and 1", {"confidence": 95}),
    (UsageError, r"fraction=1.5", {"fraction": 1.5}),
    (UsageError, r"fraction=1.0: all \d+ pixels of every map", {"fraction": 1.0}),
    (
        UsageError,
        r"across is pretrain, pretrain: an axis is named twice",
        {"across": ["pretrain", "pretrain"]},
    ),
]


@pytest.mark.parametrize(("error", "message", "options"), REFUSED)
def test_what_is_refused(error, message, options):
    models, seeds, images = options.pop("maps", (3, 2, 9)) if "maps" in options else (3, 2, 9)
    with pytest.raises(error, match=message):
        shared(group(random_maps(models, seeds, images), PRETRAIN), rng=rng(), **options)


def test_all_maps_zero_says_so():
    with pytest.raises(
        ImpossibleAnalysis,
        match=(
            r"0 of 9 image\(s\) .* 9 with a map that is all zero or constant, or has no pixel to"
            r" rank.*--ranking"
        ),
    ):
        shared(group(np.zeros((3, 2, 9, 6, 7), np.float32)), rng=rng())


def test_the_smallest_number_of_swaps_for_a_level_is_enough():
    result = shared(group(random_maps(common=5.0, images=20)), n_swaps=19, rng=rng())
    assert result.attrs["min_p"] == 0.05
    assert result["p_value"].values.tolist() == [0.05] * 3
    assert result["n_sharing"] == 6  # p = 0.05 counts


def test_an_unfinished_study_and_one_without_maps_are_refused(tmp_path):
    path = tmp_path / "study.zarr"
    study = planted(images=6, size=8)
    with pytest.raises(
        UsageError, match="shared pixels need /relevance; this study has images, transfer, regions"
    ):
        shared(study.filter(lambda node: node.name != "relevance"), rng=rng())
    save.save_study(study, path)
    manifest = path / "manifest" / "relevance" / "c"
    next(p for p in sorted(manifest.rglob("*")) if p.is_file()).unlink()
    with pytest.raises(InvalidData, match="shards of 'relevance' are not written"):
        shared(store.open_study(path), rng=rng())


def test_the_saved_result_holds_the_masks_that_transfer_takes(tmp_path):
    path = tmp_path / "study.zarr"
    study = planted(images=12, size=16)
    save.save_study(study, path)
    result = shared(store.open_study(path), fraction=0.2, consensus="all", n_swaps=19, rng=rng())
    assert result["core"].chunks is not None  # lazy until it is saved
    writing.save_result(path, "shared", result)
    saved = store.open_study(path)["results/shared"].to_dataset()
    assert saved["core"].dims == ("image", "y", "x")
    assert saved["core"].dtype == bool
    assert {k: saved["core"].attrs[k] for k in ("fraction", "ranking", "consensus")} == {
        "fraction": 0.2,
        "ranking": "positive",
        "consensus": "all",
    }
    assert saved["image"].values.tolist() == study["relevance"]["image"].values.tolist()
    np.testing.assert_array_equal(saved["core"], saved["count"] == 8)
    for name in result.data_vars:
        np.testing.assert_array_equal(saved[name], result[name], err_msg=str(name))
    assert saved.attrs["statistic"] == "shared"


def test_method_population_and_counts_are_said():
    result = shared(group(random_maps()), across=["pretrain"], n_swaps=99, rng=rng())
    assert (
        "On each of 9 images, the pixels among the top 10 % of the relevance (positive) of 6"
        " networks" in result.attrs["method"]
    )
    assert "99 times" in result.attrs["method"]
    assert result.attrs["population"].startswith(
        "p-values and core sets: these 6 networks on these 9 images"
    )
    assert result.attrs["min_p"] == 0.01


@pytest.mark.parametrize(
    ("confidence", "n_swaps"), [(0.95, 19), (0.95, 99), (0.9, 29), (0.71, 99), (0.99, 250)]
)
def test_a_value_above_the_critical_one_is_a_significant_one(confidence, n_swaps):
    values = rng().integers(0, 40, (n_swaps + 1, 50)).astype(float)
    alpha = 1 - Fraction(str(confidence))
    critical = critical_value(values, alpha)
    for candidate in np.arange(-0.5, 41, 0.5):
        as_large = 1 + (values[1:] >= candidate).sum(axis=0)
        significant = [Fraction(int(b), n_swaps + 1) <= alpha for b in as_large]
        np.testing.assert_array_equal(candidate > critical, significant)
