"""differences(): against a definition written out with loops, planted differences, error rates,
symmetries, refusals.
"""

import itertools
import json
import shutil
from unittest import mock

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from command_line import run
from scipy import ndimage, optimize, special, stats

import relstats
from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.stats import differences
from relstats.stats.inference import clusters, fields
from relstats.stats.sources import mean_maps
from relstats.study import maps as study_maps
from relstats.study import save, shards, store

SIZE = (6, 7)
MODELS = pd.DataFrame(
    {
        "model": ["i-g", "i-d", "v-g", "v-d"],
        "pretrain": ["imagenet", "imagenet", "vggface2", "vggface2"],
        "task": ["gender", "identity", "gender", "identity"],
    }
)
TWO = pd.DataFrame({"model": ["i", "v"], "pretrain": ["imagenet", "vggface2"]})


def make_maps(
    seeds=(3, 3, 3, 3), n_images=8, models=MODELS, size=SIZE, seed=1, effect=0.0, where=None
):
    """Smooth maps with effects of networks.

    Networks that do not exist hold noise that must never count.
    """
    rng, s = np.random.default_rng(seed), max(seeds)
    available = np.arange(s) < np.array(seeds)[:, np.newaxis]
    values = rng.standard_normal((len(models), s, n_images, *size)) + 2 * rng.standard_normal(
        (len(models), s, 1, *size)
    )
    values = ndimage.gaussian_filter(values, (0, 0, 0, 1, 1)) * rng.uniform(
        0.1, 10, (len(models), s, n_images, 1, 1)
    )
    if where is not None:
        first = (models["pretrain"] == "imagenet").to_numpy()
        scale = np.abs(values).mean(axis=(-2, -1), keepdims=True)[first]
        values[first] += effect * scale * where
    values[~available] = 99.0
    return relstats.relevance_dataset(
        values, models=models, images=[f"im{k}" for k in range(n_images)], available=available
    )


def two(n=4, **options):
    return make_maps(seeds=(n, n), models=TWO, **options)


def analyse(study, axis="pretrain", seed=1, **options):
    return relstats.differences(study, axis=axis, rng=np.random.default_rng(seed), **options)


def slow_means(maps, ranking="signed"):
    """(model, seed) -> mean map, by one loop."""
    found = {}
    for m, s in np.argwhere(maps["available"].values):
        total = 0
        for one in maps["relevance"].values[m, s].astype(float):
            counted = {"signed": one, "positive": np.maximum(one, 0), "absolute": np.abs(one)}[
                ranking
            ]
            total = total + counted / np.abs(counted).mean()
        found[str(maps["model"].values[m]), str(maps["seed"].values[s])] = (
            total / maps.sizes["image"]
        )
    return found


def slow_t(first, second):
    """Of lists of maps by stratum."""
    d = np.mean([np.mean(a, 0) - np.mean(b, 0) for a, b in zip(first, second, strict=True)], axis=0)
    v = sum(
        np.var(x, 0, ddof=1) / len(x) for a, b in zip(first, second, strict=True) for x in (a, b)
    )
    return d, d / (np.sqrt(v) / len(first))


@pytest.mark.parametrize("ranking", ["signed", "positive", "absolute"])
def test_everything_is_its_definition(ranking):
    maps = make_maps()
    result = analyse(maps, ranking=ranking, forming_p=0.1, variance="welch").isel(contrast=0)
    means = slow_means(maps, ranking)
    tasks = [[means[f"{p}-{task}", str(k)] for p in "iv" for k in range(3)] for task in "gd"]
    observed, all_t = None, []
    for chosen in itertools.product(itertools.combinations(range(6), 3), repeat=2):
        first = [[one[k] for k in picked] for one, picked in zip(tasks, chosen, strict=True)]
        second = [
            [one[k] for k in range(6) if k not in picked]
            for one, picked in zip(tasks, chosen, strict=True)
        ]
        d, t = slow_t(first, second)
        all_t.append(t)
        if chosen == ((0, 1, 2), (0, 1, 2)):
            observed = d, t
    d, t = observed
    np.testing.assert_allclose(result["estimate"], d, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(result["statistic"], t, rtol=1e-8)
    assert int(result["n_labelings"]) == 400 == len(all_t)
    largest = np.array([np.abs(one).max() for one in all_t])
    np.testing.assert_allclose(
        result["p_max_t"], (largest[:, None, None] >= np.abs(t) * (1 - 1e-6)).mean(0), rtol=1e-12
    )
    enhanced = np.array([clusters.enhance(one).max() for one in all_t])
    expected = (enhanced[:, None, None] >= clusters.enhance(t) * (1 - 1e-5)).mean(0)
    np.testing.assert_allclose(result["p_tfce"], expected, atol=1e-12)
    threshold = stats.t.isf(0.05, 8)
    mass = np.array([clusters.label_clusters(one, threshold)[1].max(initial=0) for one in all_t])
    labels, own = clusters.label_clusters(t, threshold)
    np.testing.assert_array_equal(result["cluster_label"], labels)
    np.testing.assert_allclose(result["cluster_mass"], own, rtol=1e-6)
    np.testing.assert_allclose(
        result["p_cluster"], [(mass >= m * (1 - 1e-5)).mean() for m in own], rtol=1e-12
    )
    np.testing.assert_array_equal(
        result["cluster_size"], [(labels == k + 1).sum() for k in range(len(own))]
    )


def test_one_stratum_is_welch_and_benjamini_hochberg_of_scipy():
    maps = make_maps((5, 4), models=TWO)
    result, means = analyse(maps, variance="welch").isel(contrast=0), slow_means(maps)
    a, b = (np.array([v for (m, _), v in means.items() if m == model]) for model in "iv")
    expected = stats.ttest_ind(a, b, equal_var=False)
    np.testing.assert_allclose(result["p_value"], expected.pvalue, rtol=1e-8)
    np.testing.assert_allclose(
        result["p_bh"].values.ravel(),
        stats.false_discovery_control(expected.pvalue.ravel()),
        rtol=1e-8,
    )
    interval = expected.confidence_interval()
    np.testing.assert_allclose(result["ci"], np.stack(interval, axis=-1), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(
        result.sel(level="imagenet")["level_mean"], a.mean(0), rtol=1e-9, atol=1e-12
    )


def test_by_hand():
    # two networks a level, one image of 1 x 2 pixels: the share of the left pixel is .5, .75
    # against .25, .125
    shares = np.array([[0.5, 0.75], [0.25, 0.125]])
    values = np.stack([shares, 1 - shares], axis=-1)[:, :, np.newaxis, np.newaxis]
    maps = relstats.relevance_dataset(values, models=TWO, images=["a"])
    result = analyse(maps, correction=["max-t"], variance="welch", confidence=0.6)
    result = result.isel(contrast=0)
    np.testing.assert_allclose(result["estimate"], [[0.875, -0.875]], rtol=1e-6)
    np.testing.assert_allclose(
        result["statistic"], 0.875 / np.sqrt(0.25**2 + 0.125**2) * np.array([[1, -1]]), rtol=1e-6
    )
    np.testing.assert_allclose(result["p_max_t"], [[1 / 3, 1 / 3]])
    assert result["n_pixels_max_t"] == 2
    assert np.isnan(result["n_pixels_bh"])


def test_three_against_three_is_refused_before_a_map_is_read_and_bh_is_not():
    with (
        mock.patch.object(mean_maps, "mean_maps") as read,
        pytest.raises(
            ImpossibleAnalysis,
            match=(
                r"3 against 3 networks have 20 label swaps, whose smallest p is 0\.1:"
                r" .*--correction bh"
            ),
        ),
    ):
        analyse(two(3))
    read.assert_not_called()
    result = analyse(two(3), correction=["bh"])
    assert np.isfinite(result["p_bh"]).all()
    assert result["p_max_t"].isnull().all()
    assert float(result.attrs["min_p"]) == pytest.approx(0.1)
    assert (
        analyse(two(3), confidence=0.9)["n_networks"] == 6
    )  # not refused: 1 - 0.9 is below 0.1 in binary


def test_three_against_three_in_two_strata_is_enough():
    result = analyse(make_maps())
    assert float(result["min_p_swap"][0]) == pytest.approx(2 / 400)


def test_pool_mixes_strata_and_says_so():
    result = analyse(make_maps(), pool=["task"])
    assert int(result["n_labelings"][0]) == 924
    assert any("differ on task are mixed" in w for w in result.attrs["warnings"])


def test_too_few_swaps():
    with pytest.raises(ImpossibleAnalysis, match=r"smallest p is 0\.1: .*more --n-swaps"):
        analyse(make_maps((10, 10), models=TWO, n_images=2), n_swaps=9)


def test_three_levels_and_one_that_cannot_be_tested():
    models = pd.DataFrame({"model": list("abc"), "pretrain": list("abc")})
    result = analyse(make_maps((4, 4, 1), models=models))
    assert result["contrast"].values.tolist() == ["a|b", "a|c", "b|c"]
    assert np.isfinite(result["p_max_t"].sel(contrast="a|b")).all()
    lonely = result.sel(contrast="a|c")
    assert lonely["p_value"].isnull().all()
    assert lonely["p_max_t"].isnull().all()
    assert np.isfinite(lonely["estimate"]).all()
    assert any(w.startswith("a|c: a level has one network") for w in result.attrs["warnings"])
    assert any("there are 3: name one" in w for w in result.attrs["warnings"])
    alone = analyse(make_maps((4, 4, 1), models=models).isel(model=[0, 1]))
    np.testing.assert_array_equal(alone["p_tfce"][0], result["p_tfce"].sel(contrast="a|b"))


def test_levels_of_one_network_are_refused():
    with pytest.raises(ImpossibleAnalysis, match="one network in a stratum"):
        analyse(make_maps((1, 4), models=TWO), correction=["bh"])


@pytest.mark.parametrize(
    ("seeds", "variance", "reason"),
    [
        ((2, 2), "moderated", "a level has 2 networks"),
        ((2, 10), "welch", "a level has 2 networks"),
        ((3, 8), "welch", r"unbalanced \(3 to 8 networks a level\) with fewer than 4"),
    ],
)
def test_a_false_discovery_rate_of_too_few_networks_is_refused(seeds, variance, reason):
    maps = make_maps(seeds, models=TWO, n_images=3)
    with pytest.raises(ImpossibleAnalysis, match=reason):
        analyse(maps, correction=["bh"], variance=variance)
    if sum(seeds) > 4:
        result = analyse(maps, correction=["bh", "max-t"], variance=variance).isel(contrast=0)
        assert result["p_bh"].isnull().all()
        assert np.isnan(result["n_pixels_bh"])
        assert np.isfinite(result[["p_value", "p_max_t"]].to_array()).all()
        assert any("no false discovery rate" in warning for warning in result.attrs["warnings"])


def test_moderated_is_its_definition_and_label_swaps_do_not_change():
    maps = make_maps((3, 4, 5, 3))
    result, welch = analyse(maps), analyse(maps, variance="welch")
    swapped = ["p_max_t", "p_tfce", "cluster_label", "p_cluster", "estimate"]
    xr.testing.assert_equal(result[swapped], welch[swapped])
    means, variance, spread = slow_means(maps), 0, 0
    for model in ("i-g", "i-d", "v-g", "v-d"):
        own = np.array([v for (m, _), v in means.items() if m == model])
        n, squares = len(own), own.var(0, ddof=1)
        d0, s0 = slow_prior(squares.ravel(), n - 1)
        d0 = d0 / 2  # two strata
        of_mean = (d0 * s0 + (n - 1) * squares) / (d0 + n - 1) / n / 4
        variance, spread = variance + of_mean, spread + of_mean**2 / (n - 1 + 0.7 * d0)
    np.testing.assert_allclose(result["standard_error"][0], np.sqrt(variance), rtol=1e-7)
    np.testing.assert_allclose(result["df"][0], variance**2 / spread, rtol=1e-7)
    t = result["estimate"][0] / np.sqrt(variance)
    p = 2 * stats.t.sf(np.abs(t), variance**2 / spread)
    np.testing.assert_allclose(result["p_value"][0], p, rtol=1e-6)
    expected = stats.false_discovery_control(p.ravel())
    np.testing.assert_allclose(result["p_bh"][0].values.ravel(), expected, rtol=1e-6)
    assert "Smyth 2004" in result.attrs["method"]
    assert "Smyth" not in welch.attrs["method"]


def slow_prior(squares, df):
    """By a root finder and the text of Smyth (2004), section 6.2, with the cuts."""
    logs = np.log(squares)
    beyond = ((logs - logs.mean()) ** 2).sum() / (len(logs) - 1) - special.polygamma(1, df / 2)
    d0 = 2 * df
    if beyond > 0:
        root = optimize.brentq(lambda x: special.polygamma(1, x) - beyond, 1e-6, 1e12)
        d0 = min(d0, 2 * root)
    shift = special.digamma(d0 / 2) - special.digamma(df / 2) + np.log(df / d0)
    return d0, max(np.exp(logs.mean() + shift), squares.mean() * d0 / (d0 + 2))


def test_pixels_without_a_test_do_not_moderate_others():
    maps = two(4)
    wider = maps.pad(x=(0, 5), constant_values=0.0).assign_attrs(maps.attrs)
    narrow, wide = analyse(maps).isel(contrast=0), analyse(wider).isel(contrast=0)
    assert int(wide["n_undefined"]) == 5 * maps.sizes["y"]
    np.testing.assert_allclose(wide["p_value"][:, :-5], narrow["p_value"], rtol=1e-6)
    assert wide["p_value"][:, -5:].isnull().all()


def test_a_planted_disc_is_found_at_three_against_three():
    where = planted_mask()
    maps = two(3, size=(24, 24), effect=6.0, where=where, n_images=4)
    result = analyse(maps, correction=["bh"]).isel(contrast=0)
    marked = (result["p_bh"] <= 0.05).values
    assert marked[where].mean() > 0.5
    assert marked[~where].mean() < 0.02
    welch = analyse(maps, correction=["bh"], variance="welch").isel(contrast=0)
    assert (welch["p_bh"] <= 0.05).values[where].mean() < marked[where].mean() / 2


def planted_mask(size=(24, 24)):
    return np.hypot(*(np.mgrid[: size[0], : size[1]] - 7)) < 3.5


def test_a_planted_difference_is_found_where_it_is():
    where = planted_mask()
    result = analyse(two(6, size=(24, 24), effect=6.0, where=where)).isel(contrast=0)
    for name in ("p_max_t", "p_bh"):
        found = result[name].values <= 0.05
        assert found[where].mean() > 0.7, name
        assert found[~ndimage.binary_dilation(where, iterations=2)].mean() < 0.03, name
    assert (result["estimate"].values[where] > 0).all()
    assert where[int(result["peak_y"]), int(result["peak_x"])]
    assert result["peak_statistic"] == np.abs(result["statistic"]).max()
    largest = result.isel(y=int(result["largest_y"]), x=int(result["largest_x"]))
    assert where[int(result["largest_y"]), int(result["largest_x"])]
    assert largest["estimate"] == result["largest_estimate"] == np.abs(result["estimate"]).max()
    assert result["cluster_sign"][0] == 1
    assert where[int(result["cluster_peak_y"][0]), int(result["cluster_peak_x"][0])]
    assert result["p_cluster"][0] == result["p_max_t"].min() == result["min_p_swap"]
    assert result["n_clusters"] >= 1
    assert result["area_clusters"] >= 0.7 * where.sum()
    assert result["n_pixels_max_t"] == (result["p_max_t"] <= 0.05).sum()
    assert result["area_tfce"] == (result["p_tfce"] <= 0.05).sum()


def test_family_wise_error_under_the_null():
    n, found = 300, []
    for seed in range(n):
        rng = np.random.default_rng(seed)
        maps = ndimage.gaussian_filter(rng.standard_normal((10, 10, 10)), (0, 1, 1)).reshape(10, -1)
        labels = (np.arange(10) < 5)[np.newaxis] * 1.0
        labels = np.concatenate([labels, rng.permuted(np.repeat(labels, 99, axis=0), axis=1)])
        largest = fields.swap_maxima(maps, labels, np.zeros(10, int), (10, 10), 3.355)
        found.append([fields.family_p(largest[:1, k], largest[:, k]).item() for k in range(3)])
    rates = (np.array(found) <= 0.05).mean(axis=0)
    assert (rates < 0.05 + 3 * np.sqrt(0.05 * 0.95 / n)).all()
    assert (rates > 0.01).all()
    assert 0.4 < np.mean(found, axis=0)[0] < 0.6


def test_swapping_levels_turns_the_sign():
    maps = make_maps((4, 5), models=TWO)
    turned = maps.assign_coords(pretrain=("model", ["vggface2", "imagenet"]))
    a, b = analyse(maps).isel(contrast=0), analyse(turned).isel(contrast=0)
    np.testing.assert_allclose(a["estimate"], -b["estimate"], rtol=1e-12)
    for name in ("p_value", "p_max_t", "p_tfce", "p_bh", "p_cluster"):
        np.testing.assert_allclose(a[name], b[name], rtol=1e-9)


def test_order_and_scale_change_nothing():
    maps, rng = make_maps(), np.random.default_rng(3)
    expected = analyse(maps)
    shuffled = maps.isel(
        model=rng.permutation(4), seed=rng.permutation(3), image=rng.permutation(8)
    )
    shuffled = shuffled.assign(relevance=shuffled["relevance"] * 2.0**40).transpose(
        "image", "x", "seed", "model", "y"
    )
    found = analyse(shuffled)
    for name in ("estimate", "p_value", "p_max_t", "p_tfce", "p_bh", "p_cluster"):
        np.testing.assert_allclose(
            found[name].transpose(*expected[name].dims), expected[name], rtol=1e-6, err_msg=name
        )


def test_blocks_of_images_change_nothing(monkeypatch):
    maps = two(4, n_images=9)
    expected = analyse(maps)
    monkeypatch.setattr(shards, "BLOCK_VALUES", 8 * 42 * 2)
    monkeypatch.setattr(study_maps, "BLOCKS_AT_ONCE", 2)
    with dask.config.set(scheduler="threads", num_workers=3):
        found = analyse(maps)
    np.testing.assert_allclose(found["estimate"], expected["estimate"], rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(found["p_tfce"], expected["p_tfce"])


def test_nan_is_refused_or_left_out_for_all():
    maps = two()
    maps["relevance"][0, 1, 3, 2, 2] = np.nan
    with pytest.raises(
        InvalidData, match=r"NaN in 1 cell\(s\) \(e\.g\. i seed 1, image 'im3'\).*--nan omit"
    ):
        analyse(maps)
    found = analyse(maps, nan="omit")
    expected = analyse(maps.drop_sel(image="im3"))
    np.testing.assert_allclose(found["estimate"], expected["estimate"], rtol=1e-12)
    assert (found.attrs["n_images"], found.attrs["n_images_omitted"]) == (7, 1)


def test_infinite_maps_are_refused():
    maps = two()
    maps["relevance"][0, 1, 3, 2, 2] = np.inf
    with pytest.raises(InvalidData, match="infinite in i seed 1, image 'im3'"):
        analyse(maps, nan="omit")


def test_all_zero_maps_leave_the_image_out_and_dead_networks_go():
    maps = two(5)
    maps["relevance"][1, 4] = 0
    maps["relevance"][0, 0, 2] = 0
    found = analyse(maps)
    rest = maps.drop_sel(image="im2").assign(
        available=(("model", "seed"), [[True] * 5, [True] * 4 + [False]])
    )
    np.testing.assert_allclose(found["estimate"], analyse(rest)["estimate"], rtol=1e-12)
    assert found.attrs["n_networks_omitted"] == 1
    assert any("1 network(s) left out" in w and "v seed 4" in w for w in found.attrs["warnings"])
    assert any(
        "1 image(s) left out: a map has no signed relevance" in w for w in found.attrs["warnings"]
    )


def test_a_dead_network_may_make_it_impossible():
    maps = two(4)
    maps["relevance"][0, 1:3] = 0
    with pytest.raises(ImpossibleAnalysis, match="2 against 4 networks"):
        analyse(maps)


def test_no_image_is_left():
    maps = two(n_images=2)
    maps["relevance"][0, 0, 0] = 0
    maps["relevance"][0, 1, 1] = 0
    with pytest.raises(
        ImpossibleAnalysis, match=r"no image has a map of every network \(0 left out for NaN, 2"
    ):
        analyse(maps)
    maps["relevance"][:] = 0
    with pytest.raises(ImpossibleAnalysis, match="no network has signed relevance"):
        analyse(maps)


def test_pixels_where_all_are_alike_are_nan_and_change_no_other():
    maps = two(4)
    maps["relevance"][..., 0, :] = 0
    result = analyse(maps).isel(contrast=0)
    for name in ("statistic", "p_value", "p_max_t", "p_tfce", "p_bh"):
        assert result[name][0].isnull().all(), name
        assert np.isfinite(result[name][1:]).all(), name
    assert (result["estimate"][0] == 0).all()
    assert result["n_undefined"] == 7
    assert any("7 pixel(s) without a test" in w for w in result.attrs["warnings"])
    wide = analyse(maps.isel(y=slice(1, None))).isel(contrast=0)
    np.testing.assert_array_equal(result["p_tfce"][1:], wide["p_tfce"])


def test_identical_networks_have_no_test():
    maps = two(4)
    maps["relevance"][:] = maps["relevance"].values[:1, :1]
    result = analyse(maps).isel(contrast=0)
    assert result["n_undefined"] == 42
    assert result["p_max_t"].isnull().all()
    assert result["p_bh"].isnull().all()
    assert (result["n_pixels_max_t"], result["n_clusters"]) == (0, 0)
    assert np.isnan(result["peak_y"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axis": "pretrian"}, "Did you mean 'pretrain'"),
        ({"ranking": "top"}, "ranking is 'top'"),
        ({"correction": ["fdr"]}, r"correction is \['fdr'\]; it is a list of max-t"),
        ({"correction": []}, "give at least one"),
        ({"correction": "bh"}, "correction is"),
        ({"forming_p": 1.0}, "forming_p is 1.0"),
        ({"confidence": 95}, "confidence is 95"),
        ({"n_swaps": 0}, "n_swaps is 0"),
        ({"nan": "drop"}, "nan is 'drop'"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(UsageError, match=message):
        analyse(two(), **options)


def test_a_study_without_maps():
    with pytest.raises(UsageError, match="need /relevance; this study has nothing"):
        analyse(xr.DataTree())


def test_the_result_says_what_it_is():
    result = analyse(make_maps())
    assert (
        result.attrs["population"]
        == "inference over networks like those measured (12 a contrast), on these 8 images"
    )
    assert "all 400 labelings" in result.attrs["method"]
    assert "within each level of task" in result.attrs["method"]
    for name in ("p_tfce", "p_cluster"):
        assert "cluster" in result[name].attrs["claim"]
        assert "not at which" in result[name].attrs["claim"]
    assert "each pixel" in result["p_max_t"].attrs["claim"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("map") / "study.zarr"
    relstats.simulate(path, models="2x2", seeds=3, images=6, size=16, rng=np.random.default_rng(1))
    return path


def test_command(path):
    code, out, err = run("differences", path, "--axis", "pretrain")
    assert code == 0
    assert "imagenet|vggface2" in out
    assert "n pixels max t" in out
    assert "these pixels" not in out + err
    assert "not at each of its pixels" in err
    saved = store.open_study(path)["results/differences_pretrain"].to_dataset()
    assert saved["p_max_t"].dims == ("contrast", "y", "x")
    assert saved.attrs["seed"] == 0


def test_a_level_may_hold_the_mark_between_levels(tmp_path):
    models = pd.DataFrame({"model": list("abc"), "pretrain": ["a", "a|b", "b|c"]})
    maps = make_maps((4, 4, 4), models=models, size=(12, 12))
    maps["relevance"].loc[{"model": "b", "y": slice(0, 4)}] += 5
    save.save_study(relstats.study(relevance=maps), tmp_path / "s.zarr")
    code, out, err = run(
        "differences", tmp_path / "s.zarr", "--axis", "pretrain", "--forming-p", 0.05
    )
    assert code == 0, err
    assert [line.split()[0] for line in out.splitlines()[2:5]] == ["a|a|b", "a|b|c", "a|b|b|c"]


def test_one_network_a_level_is_told_what_can_be_done(tmp_path):
    group = make_maps((1, 4), models=pd.DataFrame({"model": list("ab"), "pretrain": list("ab")}))
    with pytest.raises(ImpossibleAnalysis, match=r"vary\. Add seeds$"):  # there is nothing to pool
        analyse(group)


def test_command_json_is_one_object_without_maps(path):
    code, out, _ = run(
        "differences", path, "--axis", "pretrain", "--correction", "max-t,bh", "--json"
    )
    value = json.loads(out)
    assert code == 0
    assert value["attrs"]["correction"] == ["max-t", "bh"]
    assert "p_max_t" not in value["variables"]
    assert value["variables"]["n_clusters"]["data"] == [None]


def test_dry_run_computes_nothing(path, tmp_path):
    copy = tmp_path / "study.zarr"
    shutil.copytree(path, copy)
    shutil.rmtree(copy / "results", ignore_errors=True)
    code, out, err = run("differences", copy, "--axis", "task", "--dry-run")
    assert (code, out) == (0, "")
    assert "12 networks on 6 images (72 maps of 16 x 16); " in err
    assert "(smallest p 0.005, 400 labelings)" in err
    assert "GB of memory" in err
    for wrong in (("--forming-p", 3), ("--nan", "no")):
        assert run("differences", copy, "--axis", "task", "--dry-run", *wrong)[0] == 2
    assert not (copy / "results").exists()


def test_exit_code_of_an_impossible_design(tmp_path):
    path = tmp_path / "study.zarr"
    relstats.simulate(path, models="2x1", seeds=3, images=2, size=8, rng=np.random.default_rng(1))
    code, out, err = run("differences", path, "--axis", "pretrain")
    assert (code, out) == (4, "")
    assert "--correction bh" in err
    assert run("differences", path, "--axis", "pretrain", "--correction", "bh")[0] == 0


def test_density():
    maps = np.array([[1e-300, -3e-300, 0, 0], [0, 0, 0, 0.0]])
    np.testing.assert_allclose(
        mean_maps.density(maps, "signed"), [[1, -3, 0, 0], [np.nan] * 4], rtol=1e-12
    )
    np.testing.assert_allclose(mean_maps.density(maps[:1], "positive"), [[4, 0, 0, 0]], rtol=1e-12)
    np.testing.assert_allclose(mean_maps.density(maps[:1], "absolute"), [[1, 3, 0, 0]], rtol=1e-12)


def test_result_is_padded_where_contrasts_have_unequal_clusters():
    models = pd.DataFrame({"model": list("abc"), "pretrain": list("abc")})
    result = analyse(make_maps((4, 4, 4), models=models, size=(12, 12)), forming_p=0.2)
    counts = result["cluster_mass"].notnull().sum("cluster").values
    np.testing.assert_array_equal(counts, result["cluster_label"].max(("y", "x")))
    assert len(set(counts.tolist())) > 1
    assert tuple(result.attrs["correction"]) == differences.CORRECTIONS
