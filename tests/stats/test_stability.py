"""stability() and strategies(): against definitions by loops, pingouin's ICC, coverage, and what
few seeds allow.
"""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from command_line import run
from scipy import stats

import relstats
from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.stats.inference import jackknife
from relstats.stats.inference.adjust import holm
from relstats.stats.inference.moments import block_moments
from relstats.stats.inference.operators import contrast_operator
from relstats.stats.maps import agreement
from relstats.stats.planning.planted import fields
from relstats.stats.stability import seeds_needed, spearman_brown, swapped_agreement
from relstats.stats.strategies import coarse, neighbour_graph, spectral_clusters
from relstats.study import save, shards, store

MODELS = pd.DataFrame({"model": ["a", "b", "r"], "pretrain": ["x", "y", "none"]})


def make_maps(seeds=(4, 3, 3), n_images=7, size=6, seed=1, models=MODELS):
    """Maps that share an image, a layout and a model; those of "r" are noise."""
    rng, s = np.random.default_rng(seed), max(seeds)
    available = np.arange(s) < np.array(seeds)[:, np.newaxis]
    common = rng.standard_normal((n_images, size, size)) + rng.standard_normal((size, size))
    values = (
        0.8 * rng.standard_normal((len(models), s, n_images, size, size))
        + common
        * (models["model"] != "r").to_numpy()[:, np.newaxis, np.newaxis, np.newaxis, np.newaxis]
    )
    values[np.abs(values) < 0.2] = 0
    values[~available] = 7.0
    images = [f"im{k}" for k in range(n_images)]
    return relstats.relevance_dataset(values, models=models, images=images, available=available)


def correlation(a, b, measure):
    if measure == "spearman":
        return stats.spearmanr(a, b).statistic
    if measure == "pearson":
        return stats.pearsonr(a, b).statistic
    return a @ b / np.sqrt((a @ a) * (b @ b))


def of_model(maps, model):
    """(network, image, pixel) of the networks of one model that exist."""
    m = maps["model"].values.tolist().index(model)
    some = maps["relevance"].values[m][maps["available"].values[m]]
    return some.reshape(*some.shape[:2], -1)


def slow_jackknife(pairs):
    """Mean over pairs and images of (network, network, image), and its interval, as inference over
    both defines it.
    """
    n, n_images = len(pairs), pairs.shape[-1]
    off = ~np.eye(n, dtype=bool)
    on_image = pairs[off].mean(axis=0)
    rows = np.array([pairs[m][off[m]].mean(axis=0) for m in range(n)])
    factor = 4 * (n - 1) / (n * (n - 2) ** 2)
    v_networks = factor * ((rows.mean(axis=1) - on_image.mean()) ** 2).sum()
    v_images = on_image.var(ddof=1) / n_images
    v_both = factor * (rows - on_image).var(axis=1, ddof=1).sum() / n_images
    v = max(v_networks + v_images - v_both, v_networks, v_images)
    df = v**2 / (v_networks**2 / (n - 1) + v_images**2 / (n_images - 1))
    half = stats.t.ppf(0.975, df) * np.sqrt(v)
    return on_image.mean(), on_image.mean() - half, on_image.mean() + half


@pytest.mark.parametrize("measure", ["spearman", "pearson", "cosine"])
def test_agreement_is_its_definition(measure):
    maps = make_maps()
    result = relstats.stability(maps, measure=measure)
    for model, n in (("a", 4), ("b", 3), ("r", 3)):
        some, one = of_model(maps, model), result.sel(model=model)
        pairs = np.array(
            [
                [[correlation(x, y, measure) for x, y in zip(p, q, strict=True)] for q in some]
                for p in some
            ]
        )
        mean, low, high = slow_jackknife(pairs)
        np.testing.assert_allclose(
            [one["estimate"], *one["ci"]], [mean, max(low, -1), min(high, 1)], rtol=1e-9
        )
        off = [np.delete(pairs[m].mean(axis=-1), m).mean() for m in range(n)]
        np.testing.assert_allclose(
            result["network_agreement"].values[result["network_model"].values == model],
            off,
            rtol=1e-9,
        )
        across = [
            correlation(some[m, i], some[k, j], measure)
            for m, k in itertools.permutations(range(n), 2)
            for i, j in itertools.permutations(range(7), 2)
        ]
        np.testing.assert_allclose(one["swapped"], np.mean(across), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(
            one["above_swapped"], mean - np.mean(across), rtol=1e-9, atol=1e-12
        )


def test_variance_beyond_other_images_is_that_of_leaving_images_out():
    """To first order: with many images the projection and the plain delete-one jackknife of the
    difference agree.
    """
    maps = make_maps((2, 2, 2), 80)
    result = relstats.stability(maps)  # of two networks, so that only images are random
    for model in ("a", "r"):
        some = of_model(maps, model)
        vectors = np.stack(
            [agreement.unit_vectors(some[:, i], "spearman") for i in range(80)], axis=1
        )

        def beyond(chosen, vectors=vectors):
            v = vectors[:, chosen]
            same = np.einsum("mip,kip->mk", v, v)
            return (same / len(chosen) - swapped_agreement(v.sum(axis=1), same, len(chosen)))[0, 1]

        one = result.sel(model=model)
        assert one["above_swapped"].item() == pytest.approx(beyond(range(80)), rel=1e-9)
        left = np.array([beyond([i for i in range(80) if i != k]) for k in range(80)])
        half = stats.t.ppf(0.975, 79) * np.sqrt(79 / 80 * ((left - left.mean()) ** 2).sum())
        assert np.isnan(one["above_swapped_ci"]).all()
        assert np.isnan(one["p_swapped"])
        low, high = one["above_swapped_ci_these_networks"].values
        np.testing.assert_allclose(
            [one["above_swapped"] - low, high - one["above_swapped"]], half, rtol=0.03
        )


def test_order_blocks_and_scale_never_matter(monkeypatch):
    maps = make_maps()
    wanted = relstats.stability(maps)
    scaled = maps.assign(
        relevance=maps["relevance"] * xr.DataArray(2.0 ** np.arange(7), dims="image")
    )
    for variant in (
        maps.isel(image=[3, 1, 6, 0, 2, 5, 4]),
        maps.isel(model=[2, 0, 1]),
        scaled,
        maps.transpose("x", "image", ...),
    ):
        xr.testing.assert_allclose(relstats.stability(variant), wanted, rtol=1e-9)
    monkeypatch.setattr(shards, "BLOCK_VALUES", 2 * 10 * 36)
    xr.testing.assert_allclose(relstats.stability(maps), wanted, rtol=1e-9)


@pytest.mark.filterwarnings("ignore")  # pingouin under pandas 3.1
@pytest.mark.parametrize("n", [2, 3, 6])
def test_reliability_is_pingouins_icc(n):
    """Of maps of one spread the mean correlation is ICC(C,1), and Spearman-Brown's reliability
    ICC(C,k).
    """
    pingouin = pytest.importorskip("pingouin")
    rng = np.random.default_rng(n)
    maps = rng.standard_normal((n, 80)) + rng.standard_normal(80)
    vectors = agreement.unit_vectors(maps, "spearman")
    r = (vectors @ vectors.T)[np.triu_indices(n, 1)].mean()
    table = pd.DataFrame(
        [(p, s, vectors[s, p]) for s in range(n) for p in range(80)],
        columns=["pixel", "seed", "value"],
    )
    icc = pingouin.intraclass_corr(
        table, targets="pixel", raters="seed", ratings="value"
    ).set_index("Type")["ICC"]
    single, mean = (
        icc[next(t for t in icc.index if t in names)]
        for names in (("ICC3", "ICC(C,1)"), ("ICC3k", "ICC(C,k)"))
    )
    np.testing.assert_allclose([r, spearman_brown(r, n)], [single, mean], rtol=1e-6)


def test_reliability_is_the_squared_correlation_with_the_mean_of_very_many():
    rng = np.random.default_rng(1)
    true = rng.standard_normal(4000)
    maps = true + 1.5 * rng.standard_normal((400, 4000))
    r = np.corrcoef(maps[:60])[np.triu_indices(60, 1)].mean()
    observed = np.mean(
        [np.corrcoef(maps[k : k + 5].mean(axis=0), true)[0, 1] ** 2 for k in range(0, 400, 5)]
    )
    assert spearman_brown(r, 5) == pytest.approx(observed, abs=0.01)


def test_seeds_needed_reach_the_reliability_and_one_less_does_not():
    for r in np.linspace(0.02, 0.99, 40):
        k = seeds_needed(r, 0.9)
        assert spearman_brown(r, k) >= 0.9 - 1e-12
        assert k == 1 or spearman_brown(r, k - 1) < 0.9
    assert seeds_needed(np.array([0.5, 0.25, 0.75]), 0.9).tolist() == [9, 27, 3]
    assert np.isposinf(seeds_needed(np.array([0.0, -0.3]), 0.9)).all()
    assert np.isnan(seeds_needed(np.array([np.nan]), 0.9)).all()


def test_result_holds_reliability_of_its_own_networks():
    result = relstats.stability(make_maps(), reliability=0.8)
    np.testing.assert_allclose(
        result["reliability"], spearman_brown(result["estimate"].values, np.array([4, 3, 3]))
    )
    a = result.sel(model="a")
    low, high = a["ci"].values
    np.testing.assert_allclose(
        a["reliability_ci"], [spearman_brown(low, 4), spearman_brown(high, 4)]
    )
    assert a["seeds_needed_ci"].values.tolist() == [seeds_needed(high, 0.8), seeds_needed(low, 0.8)]
    assert a["seeds_needed_ci"][0] <= a["seeds_needed"] <= a["seeds_needed_ci"][1]
    noise = result.sel(model="r")
    assert np.isposinf(noise["seeds_needed_ci"][1])
    assert noise["reliability_ci"][0] == 0


def test_maps_of_a_layout_only_agree_no_more_than_on_other_images():
    rng, layout = np.random.default_rng(2), np.random.default_rng(1).standard_normal((8, 8))
    values = layout + rng.standard_normal((1, 5, 40, 8, 8))
    group = relstats.relevance_dataset(values, models=["m"], images=[f"i{k}" for k in range(40)])
    result = relstats.stability(group).isel(model=0)
    assert result["estimate"] > 0.3
    assert result["p_swapped"] > 0.01
    assert abs(result["above_swapped"]) < 0.02
    image = relstats.relevance_dataset(
        values + rng.standard_normal((40, 8, 8)), models=["m"], images=[f"i{k}" for k in range(40)]
    )
    assert relstats.stability(image)["p_swapped"].item() < 1e-6


def test_a_baseline_is_taken_off():
    maps = make_maps()
    result = relstats.stability(maps, baseline="r")
    difference = result["estimate"] - result["estimate"].sel(model="r")
    for model in ("a", "b"):
        np.testing.assert_allclose(
            result["above_baseline"].sel(model=model), difference.sel(model=model), rtol=1e-9
        )
    assert np.isnan(result["above_baseline"].sel(model="r"))
    assert result["p_baseline"].sel(model="a") < 0.01
    np.testing.assert_allclose(result["p_baseline_adjusted"], holm(result["p_baseline"].values))
    groups = np.array([0] * 4 + [1] * 3)
    some = np.concatenate([of_model(maps, "a"), of_model(maps, "r")])
    scores = agreement.agreement(some, "spearman")
    operator = contrast_operator(groups, np.diag([1.0, -1.0]))
    wanted = jackknife.two_way_jackknife(block_moments(scores, [operator]), 0)
    np.testing.assert_allclose(result["p_baseline"].sel(model="a"), wanted.p_value[-1], rtol=1e-8)
    np.testing.assert_allclose(
        result["above_baseline_ci"].sel(model="a"), [wanted.lower[-1], wanted.upper[-1]], rtol=1e-8
    )
    with pytest.raises(
        UsageError, match="--baseline 'random' is no model of this study; it has a, b, r"
    ):
        relstats.stability(maps, baseline="random")


def test_few_seeds_are_told_as_they_are():
    result = relstats.stability(make_maps((2, 1, 3)))
    assert result["random"].values.tolist() == ["images", "nothing", "networks and images"]
    assert result["n_networks"].values.tolist() == [2, 1, 3]
    two = of_model(make_maps((2, 1, 3)), "a")
    r = [stats.spearmanr(x, y).statistic for x, y in zip(*two, strict=True)]
    np.testing.assert_allclose(
        result["ci_these_networks"].sel(model="a"),
        stats.t.interval(0.95, 6, np.mean(r), stats.sem(r)),
        rtol=1e-9,
    )
    assert np.isnan(result["ci"].isel(model=[0, 1])).all()
    assert np.isfinite(result["ci"].isel(model=2)).all()
    assert np.isnan(result["reliability_ci"].sel(model="a")).all()
    assert result["untested"].sel(model="a").item().startswith("a level has 2 networks")
    assert np.isnan(result["estimate"].sel(model="b"))
    assert np.isnan(result["seeds_needed"].sel(model="b"))
    notes = result.attrs["warnings"]
    assert "b has 1 network(s): agreement takes two" in notes
    assert any(note.startswith("a has two networks, too few") for note in notes)
    with pytest.raises(ImpossibleAnalysis, match="no model has two networks"):
        relstats.stability(make_maps((1, 1, 1)))


def test_one_image_is_about_networks_only():
    result = relstats.stability(make_maps(n_images=1))
    assert set(result["random"].values) == {"networks"}
    assert np.isnan(result["swapped"]).all()
    assert np.isnan(result["p_swapped"]).all()
    assert any("one image" in note for note in result.attrs["warnings"])


def test_zero_constant_nan_and_infinite_maps():
    maps = make_maps()
    maps["relevance"][0, 1, 2] = 0
    maps["relevance"][1, 0, 4] = 3.0
    result = relstats.stability(maps)
    alone = relstats.stability(make_maps().isel(image=[0, 1, 3, 5, 6]))
    np.testing.assert_allclose(result["ci"], alone["ci"], rtol=1e-9)
    np.testing.assert_allclose(result["swapped"], alone["swapped"], rtol=1e-9)
    assert result.attrs["n_images_omitted"] == 2
    maps["relevance"][0, 1] = 0
    dead = relstats.stability(maps)
    assert dead["n_networks"].sel(model="a") == 3
    assert any("all their maps are zero (a seed 1)" in note for note in dead.attrs["warnings"])
    maps["relevance"][2, 2, 6, 1, 1] = np.nan
    with pytest.raises(InvalidData, match="r seed 2, image 'im6'"):
        relstats.stability(maps)
    assert relstats.stability(maps, nan="omit")["n_images"].item() == 5
    for nothing in (1.0, 0.0):
        maps["relevance"][:] = nothing
        with pytest.raises(ImpossibleAnalysis, match="no image has a map of every network"):
            relstats.stability(maps)
    with pytest.raises(ImpossibleAnalysis, match="there is no network"):
        relstats.stability(maps.assign(available=xr.zeros_like(maps["available"])))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"measure": "iou"},
            "measure is 'iou'; it is one of spearman, pearson, cosine.*compare --measure iou",
        ),
        ({"reliability": 1.0}, "reliability is 1.0; it lies between 0 and 1"),
        ({"confidence": 0.0}, "confidence is 0.0"),
        ({"nan": "zero"}, "nan is 'zero'"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(UsageError, match=message):
        relstats.stability(make_maps(), **options)


def test_a_study_without_maps():
    study = relstats.simulate(models="2x1", seeds=3, images=4, size=8, rng=np.random.default_rng(1))
    with pytest.raises(
        UsageError, match=r"stability needs /relevance; this study has images, transfer"
    ):
        relstats.stability(study.drop_nodes("relevance"))


@pytest.mark.parametrize("n", [3, 6])
def test_intervals_cover_and_those_over_images_do_not(n):
    """Agreement of pairs with effects of networks, and of images: the truth is the mean."""
    rng, n_studies, n_images = np.random.default_rng(n), 400, 60
    network = 0.05 * rng.standard_normal((n, n_studies, 1)) + 0.05 * rng.standard_normal(
        (n, n_studies, n_images)
    )
    scores = (
        0.6 + network[:, np.newaxis] + network + 0.1 * rng.standard_normal((n_studies, n_images))
    )
    moments = block_moments(scores, [contrast_operator(np.zeros(n, int), np.ones((1, 1)))])
    found = jackknife.two_way_jackknife(moments, 0)
    missed = np.mean((found.lower > 0.6) | (found.upper < 0.6))
    assert missed <= stats.binom.ppf(0.9999, n_studies, 0.05) / n_studies
    over_images = scores[np.triu_indices(n, 1)].mean(axis=0)
    assert np.mean(stats.ttest_1samp(over_images, 0.6, axis=-1).pvalue <= 0.05) > 0.4


# --- strategies


def strategy_study(share, n=4, n_images=25, seed=1, noise=0.3):
    """Networks of two levels that use one of two layouts on an image, the first with the given
    probability a level.
    """
    rng = np.random.default_rng(seed)
    layouts = np.abs(fields(2, 16, rng, smooth=1 / 6))
    which = (rng.random((2, n, n_images)) >= np.array(share)[:, np.newaxis, np.newaxis]).astype(int)
    values = layouts[which] + noise * rng.standard_normal((2, n, n_images, 16, 16))
    models = pd.DataFrame({"model": ["a", "b"], "pretrain": ["x", "y"]})
    group = relstats.relevance_dataset(
        values, models=models, images=[f"i{k}" for k in range(n_images)]
    )
    return relstats.study(relevance=group), which


def cluster(study, seed=0, **options):
    return relstats.strategies(study, axis="pretrain", rng=np.random.default_rng(seed), **options)


def test_planted_strategies_are_found_and_go_with_the_level():
    study, which = strategy_study((0.9, 0.2))
    result = cluster(study)
    assert result["n_clusters"].item() == 2
    planted = np.stack([(which == 0).mean(axis=-1), (which == 1).mean(axis=-1)], axis=-1)
    larger = int(planted.mean(axis=(0, 1))[1] > 0.5)
    wanted = planted[..., ::-1] if larger else planted
    np.testing.assert_allclose(result["network_share"], wanted.reshape(8, 2))
    np.testing.assert_allclose(result["share"], wanted.mean(axis=1))
    assert result["n_maps"].values.sum() == 200
    assert result["p_value"].item() == pytest.approx(result.attrs["min_p"])
    assert result.attrs["min_p"] == pytest.approx(2 / 70)


def test_strategies_that_do_not_go_with_the_level():
    """Images as units would find any small difference; labels of networks do not."""
    p = [
        cluster(strategy_study((0.5, 0.5), n=3, n_images=12, seed=s)[0])["p_value"].item()
        for s in range(12)
    ]
    assert min(p) >= 0.1
    assert np.mean(p) > 0.3


def test_one_strategy_is_one_cluster():
    study, _ = strategy_study((1.0, 1.0), noise=1.0)
    result = cluster(study)
    assert result["n_clusters"].item() == 1
    assert np.isnan(result["p_value"])
    assert any("the maps are one cluster" in note for note in result.attrs["warnings"])


def test_clusters_are_those_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.cluster")
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(4)
    centres = rng.standard_normal((3, 40))
    vectors = centres[np.repeat([0, 1, 2], 40)] + 0.5 * rng.standard_normal((120, 40))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    image = np.arange(120)
    found, eigenvalues = spectral_clusters(vectors, image, 8, rng)
    graph = neighbour_graph(vectors, image, 5)
    model = sklearn.SpectralClustering(
        3, affinity="precomputed", random_state=0, assign_labels="cluster_qr"
    )
    with pytest.warns(UserWarning, match="not fully connected"):
        wanted = model.fit_predict(graph.toarray())
    assert metrics.adjusted_rand_score(found, wanted) == 1
    assert metrics.adjusted_rand_score(found, np.repeat([0, 1, 2], 40)) == 1
    dense = graph.toarray()
    root = 1 / np.sqrt(dense.sum(axis=1))
    laplacian = np.eye(120) - root[:, np.newaxis] * dense * root
    np.testing.assert_allclose(eigenvalues, np.linalg.eigvalsh(laplacian)[:9], atol=1e-9)


def test_neighbours_are_of_other_images_and_symmetric():
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((30, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    image = np.repeat(np.arange(6), 5)
    graph = neighbour_graph(vectors, image, 3).toarray()
    np.testing.assert_array_equal(graph, graph.T)
    assert (graph[image[:, np.newaxis] == image] == 0).all()
    likeness = np.where(image[:, np.newaxis] == image, -np.inf, vectors @ vectors.T)
    nearest = np.argsort(-likeness, axis=1)[:, :3]
    wanted = np.zeros((30, 30))
    for k, some in enumerate(nearest):
        wanted[k, some] += 0.5
    np.testing.assert_array_equal(graph, wanted + wanted.T)


def test_coarse_maps_are_means_of_blocks_of_length_one():
    maps = np.random.default_rng(1).standard_normal((2, 7, 10))
    found = coarse(maps, 3)
    rows, columns = (
        [slice(0, 2), slice(2, 4), slice(4, 7)],
        [slice(0, 3), slice(3, 6), slice(6, 10)],
    )
    wanted = np.array([[m[r, c].mean() for r in rows for c in columns] for m in maps])
    np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted, axis=1, keepdims=True))
    np.testing.assert_allclose(coarse(maps, 64), coarse(maps, 10))
    assert np.isnan(coarse(np.zeros((1, 4, 4)), 2)).all()


def test_large_studies_are_sampled_and_maps_without_relevance_counted():
    study, _ = strategy_study((0.9, 0.2))
    maps = study["relevance"].to_dataset().copy(deep=True)
    maps["relevance"][0, 1, 3] = 0
    result = cluster(study.assign(relevance=xr.DataTree(maps)))
    assert "1 map(s) without relevance are in no cluster" in result.attrs["warnings"]
    assert result["n_maps"].values.sum() == 199
    np.testing.assert_allclose(result["network_share"].sum("cluster"), 1)
    maps["relevance"][1] = 0  # a level without any
    alone = cluster(study.assign(relevance=xr.DataTree(maps)))
    assert np.isnan(alone["share"].sel(level="y")).all()
    assert np.isnan(alone["p_value"])
    np.testing.assert_allclose(alone["share"].sel(level="x").sum(), 1)
    sampled = cluster(study, max_maps=100)
    assert sampled["n_images"].item() == 12
    assert "13 of 25 images are not in the sample (max_maps is 100)" in sampled.attrs["warnings"]
    xr.testing.assert_identical(sampled.drop_attrs(), cluster(study, max_maps=100).drop_attrs())
    with pytest.raises(ImpossibleAnalysis, match="8 maps with relevance are too few"):
        cluster(study, max_maps=8)
    with pytest.raises(UsageError, match="max_clusters 1"):
        cluster(study, max_clusters=1)


# --- the command line


def test_the_commands_print_and_save(tmp_path):
    path = tmp_path / "s.zarr"
    save.save_study(relstats.study(relevance=make_maps((3, 3, 2))), path)
    code, out, err = run("stability", path, "--baseline", "r")
    assert code == 0, err
    assert "above baseline" in out
    assert "r has two networks" in err
    code, out, err = run("strategies", path, "--axis", "pretrain", "--n-swaps", 19)
    assert code == 0, err
    assert "share" in out
    results = store.open_study(path)["results"]
    assert set(results.children) == {"stability", "strategies_pretrain"}
    assert results["strategies_pretrain"].attrs["seed"] == 0
    code, out, _ = run("stability", path, "--measure", "pearson", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["attrs"]["measure"] == "pearson"
    np.testing.assert_allclose(
        found["variables"]["estimate"]["data"],
        relstats.stability(make_maps((3, 3, 2)), measure="pearson")["estimate"],
    )
    assert "stability_pearson" in store.open_study(path)["results"]
    code, out, err = run("stability", path, "--measure", "iou")
    assert (code, out) == (2, "")


def test_strategies_that_cannot_be_compared_say_what_to_mix(tmp_path):
    models = MODELS.assign(task=MODELS["pretrain"])
    save.save_study(relstats.study(relevance=make_maps(models=models)), tmp_path / "s.zarr")
    code, out, err = run("strategies", tmp_path / "s.zarr", "--axis", "pretrain")
    assert (code, out) == (4, "")
    assert "Mix them on purpose with --pool task" in err
    more = ("--axis", "pretrain", "--pool", "task", "--n-swaps", 19)
    assert run("strategies", tmp_path / "s.zarr", *more)[0] == 0
