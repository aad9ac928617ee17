"""regions(): against loops by definition, planted regions, error rates, its symmetries, and what it
refuses.
"""

import itertools
import json
import shutil

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from command_line import run
from scipy import stats

import relstats
from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.stats.inference.adjust import holm
from relstats.stats.maps.localisation import region_scores
from relstats.study import save, shards, store

MODELS = pd.DataFrame(
    {
        "model": ["i-g", "i-d", "v-g", "v-d"],
        "pretrain": ["imagenet", "imagenet", "vggface2", "vggface2"],
        "task": ["gender", "identity", "gender", "identity"],
    }
)
SIZE = (6, 7)
IDS = [f"im{k}" for k in range(9)]


def make_maps(seeds=(3, 4, 3, 3), n_images=9, models=MODELS, seed=1):
    """Random maps, with effects of networks.

    Networks that do not exist hold noise that must never count.
    """
    rng, s = np.random.default_rng(seed), max(seeds)
    available = np.arange(s) < np.array(seeds)[:, np.newaxis]
    values = rng.standard_normal((len(models), s, n_images, *SIZE)) + 2 * rng.random(
        (len(models), s, 1, *SIZE)
    )
    values[~available] = 99.0
    return relstats.relevance_dataset(
        values, models=models, images=IDS[:n_images], available=available
    )


def make_masks(n_images=9, seed=2):
    """Three regions of each image; the third overlaps the first."""
    labels = np.random.default_rng(seed).integers(0, 4, (n_images, *SIZE))
    masks = np.stack([labels == 1, labels == 2, labels == 1])
    masks[2] |= np.roll(masks[2], 1, axis=2)
    return relstats.regions_dataset(masks, ["eyes", "nose", "wide"], images=IDS[:n_images])


def make_study(maps=None, masks=None, **options):
    study = relstats.study(relevance=make_maps(**options) if maps is None else maps)
    return study.assign(regions=xr.DataTree(make_masks() if masks is None else masks))


def analyse(study, axis="pretrain", **options):
    return relstats.regions(study, axis=axis, rng=np.random.default_rng(1), **options)


def slow_scores(study, measure="density"):
    """(model, seed) -> (region, image), with the rest."""
    maps, masks = (
        study["relevance"].to_dataset(),
        study["regions/mask"].transpose("region", "image", "y", "x"),
    )
    values = masks.sel(image=maps["image"].values).values
    values = np.concatenate([values, ~values.any(axis=0)[np.newaxis]]).reshape(
        len(values) + 1, len(maps["image"]), -1
    )
    found = {}
    for m, s in np.argwhere(maps["available"].values):
        one = maps["relevance"].values[m, s].reshape(1, len(maps["image"]), -1)
        found[str(maps["model"].values[m]), str(maps["seed"].values[s])] = region_scores(
            one, values, measure
        )[0]
    return found


def slow_contrast(scores, region):
    """Estimate and variance of imagenet - vggface2 within tasks, by deleting one network, and one
    image, at a time.
    """
    cells = {
        model: [v[region] for (name, _), v in scores.items() if name == model]
        for model in MODELS["model"]
    }

    def contrast(cells):
        mean = {model: np.mean(some, axis=0) for model, some in cells.items()}
        return (mean["i-g"] - mean["v-g"] + mean["i-d"] - mean["v-d"]) / 2

    on_image = contrast(cells)
    n_images = len(on_image)
    v_images = np.var(on_image, ddof=1) / n_images
    groups, v_both = [], 0.0
    for model, some in cells.items():
        left = np.array(
            [contrast({**cells, model: some[:k] + some[k + 1 :]}) for k in range(len(some))]
        )
        share = (len(some) - 1) / len(some)
        groups.append((share * np.sum((left.mean(axis=1) - left.mean()) ** 2), len(some) - 1))
        v_both += share * np.sum(np.var(left - left.mean(axis=0), axis=1, ddof=1)) / n_images
    v_networks = sum(v for v, _ in groups)
    v = max(v_networks + v_images - v_both, v_networks, v_images)
    return (
        on_image.mean(),
        v,
        v**2 / (sum(g**2 / d for g, d in groups) + v_images**2 / (n_images - 1)),
    )


@pytest.mark.parametrize("measure", ["density", "mass", "rank", "pointing"])
def test_contrast_is_its_definition(measure):
    study = make_study()
    result, scores = analyse(study, measure=measure), slow_scores(study, measure)
    assert result["region"].values.tolist() == ["eyes", "nose", "wide", "rest"]
    for r, region in enumerate(result["region"].values):
        one = result.isel(contrast=0).sel(region=region)
        estimate, v, df = slow_contrast(scores, r)
        np.testing.assert_allclose(one["estimate"], estimate, rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose([one["standard_error"], one["df"]], [np.sqrt(v), df], rtol=1e-8)
        np.testing.assert_allclose(
            one["p_value"], 2 * stats.t.sf(abs(estimate) / np.sqrt(v), df), rtol=1e-7
        )
        np.testing.assert_allclose(
            one["ci"], estimate + np.array([-1, 1]) * stats.t.ppf(0.975, df) * np.sqrt(v), rtol=1e-7
        )
        of_level = [
            np.mean(
                [
                    np.mean([v[r].mean() for (m, _), v in scores.items() if m == model], axis=0)
                    for model in models
                ]
            )
            for models in (["i-g", "i-d"], ["v-g", "v-d"])
        ]
        np.testing.assert_allclose(result["level_mean"].sel(region=region), of_level, rtol=1e-9)
    assert result["p_adjusted"].isnull().all()  # 3 to 4 networks a level
    assert any("no p adjusted for many regions: 3 to 4" in w for w in result.attrs["warnings"])
    balanced = analyse(make_study(seeds=(3, 3, 3, 3)), measure=measure)
    np.testing.assert_allclose(balanced["p_adjusted"].values, holm(balanced["p_value"].values))


def test_two_networks_a_level_have_no_p_over_many_regions():
    result = analyse(make_study(seeds=(2, 2, 2, 2)))
    assert result["p_adjusted"].isnull().all()
    assert result["p_max_t"].notnull().all()
    assert any("2 to 2 networks a level are too few" in w for w in result.attrs["warnings"])


def test_label_swap_is_an_enumeration_by_hand():
    study = make_study(seeds=(2, 2, 3, 2))
    result, scores = analyse(study), slow_scores(study)
    means = {key: np.array([v.mean() for v in rows]) for key, rows in scores.items()}
    tasks = [[key for key in means if key[0] in pair] for pair in (("i-g", "v-g"), ("i-d", "v-d"))]
    options = [
        list(itertools.combinations(keys, 2)) for keys in tasks
    ]  # imagenet has two networks of each task

    def difference(chosen):
        each = [
            np.mean([means[k] for k in first], axis=0)
            - np.mean([means[k] for k in keys if k not in first], axis=0)
            for keys, first in zip(tasks, chosen, strict=True)
        ]
        return np.mean(each, axis=0)

    all_of_them = np.array([difference(chosen) for chosen in itertools.product(*options)])
    observed = result["estimate"].values[0]
    close = 1e-9 * np.abs(all_of_them).max(axis=0)
    np.testing.assert_allclose(
        result["p_swap"].values[0], (np.abs(all_of_them) >= np.abs(observed) - close).mean(axis=0)
    )
    scaled = np.abs(all_of_them) / np.sqrt((all_of_them**2).mean(axis=0))
    largest = scaled.max(axis=1)
    own = np.abs(observed) / np.sqrt((all_of_them**2).mean(axis=0))
    np.testing.assert_allclose(
        result["p_max_t"].values[0], [(largest >= o - 1e-9).mean() for o in own]
    )
    assert len(all_of_them) == 10 * 6
    np.testing.assert_allclose(
        result["min_p_swap"].values, 1 / 60
    )  # levels of unlike sizes: no mirror image


def test_order_scale_and_blocks_never_matter(monkeypatch):
    study = make_study()
    wanted = analyse(study)
    maps, masks = study["relevance"].to_dataset(), study["regions"].to_dataset()
    other = [4, 8, 0, 2, 1, 3, 5, 7, 6]
    scale = xr.DataArray(2.0 ** np.arange(9), dims="image")
    variants = {
        "images": make_study(maps.isel(image=other), masks),
        "masks": make_study(maps, masks.isel(image=other[::-1])),
        "models": make_study(maps.isel(model=[2, 0, 3, 1]), masks),
        "dims": make_study(
            maps.transpose("x", "image", "seed", "y", "model"),
            masks.transpose("x", "region", "y", "image"),
        ),
        "scale": make_study(maps.assign(relevance=maps["relevance"] * scale), masks),
    }
    for name, variant in variants.items():
        xr.testing.assert_allclose(analyse(variant), wanted, rtol=1e-9), name
    monkeypatch.setattr(shards, "BLOCK_VALUES", 13 * 42 * 2)
    xr.testing.assert_allclose(analyse(study), wanted, rtol=1e-9)
    with dask.config.set(scheduler="synchronous"):
        xr.testing.assert_identical(analyse(study).drop_attrs(), analyse(study).drop_attrs())


def test_swapping_levels_turns_the_sign():
    models = MODELS.assign(pretrain=["z-imagenet", "z-imagenet", "vggface2", "vggface2"])
    one, other = analyse(make_study()), analyse(make_study(models=models))
    assert other["contrast"].values.tolist() == ["vggface2|z-imagenet"]
    np.testing.assert_allclose(
        other["estimate"].values, -one["estimate"].values, rtol=1e-9, atol=1e-15
    )
    np.testing.assert_allclose(other["ci"].values, -one["ci"].values[..., ::-1], rtol=1e-9)
    for name in ("p_value", "p_adjusted", "p_swap", "p_max_t", "df"):
        np.testing.assert_allclose(other[name].values, one[name].values, rtol=1e-9)


def test_one_template_is_the_same_mask_for_all():
    template = make_masks().isel(image=3, drop=True)
    repeated = relstats.regions_dataset(
        np.repeat(template["mask"].values[:, np.newaxis], 9, axis=1),
        ["eyes", "nose", "wide"],
        images=IDS,
    )
    xr.testing.assert_allclose(
        analyse(make_study(masks=template)).drop_attrs(),
        analyse(make_study(masks=repeated)).drop_attrs(),
    )


def test_shares_of_a_partition_add_up_to_one_and_overlap_is_said():
    overlapping = analyse(make_study(), measure="mass")
    assert overlapping.attrs["overlapping"] > 0
    assert any("regions overlap" in note for note in overlapping.attrs["warnings"])
    apart = analyse(make_study(masks=make_masks().isel(region=[0, 1])), measure="mass")
    np.testing.assert_allclose(apart["level_mean"].sum("region"), 1, rtol=1e-12)
    np.testing.assert_allclose(apart["estimate"].sum("region"), 0, atol=1e-12)
    np.testing.assert_allclose(apart["area"].sum("region"), 1, rtol=1e-12)
    assert not any("overlap" in note for note in apart.attrs["warnings"])
    assert overlapping["level_mean"].sum("region").min() > 1
    whole = relstats.regions_dataset(
        np.stack([np.tri(6, 7, dtype=bool), ~np.tri(6, 7, dtype=bool)]), ["low", "high"]
    )
    assert analyse(make_study(masks=whole))["region"].values.tolist() == ["low", "high"]  # no rest


def test_an_image_without_masks_is_in_no_mean_not_even_in_that_of_the_rest():
    masks, maps = make_masks(), make_maps()
    masks["mask"].loc[{"image": ["im3", "im5"]}] = False  # as after `add regions --align inner`
    maps["relevance"].loc[{"image": ["im5", "im6"], "model": "i-g", "seed": "0"}] = 0
    result = analyse(make_study(maps, masks))
    kept = [k for k in range(9) if k not in (3, 5)]
    alone = analyse(make_study(maps.isel(image=kept), masks.isel(image=kept)))
    xr.testing.assert_allclose(result.drop_attrs(), alone.drop_attrs(), rtol=1e-12)
    assert result["n_images"].values.tolist() == [6] * 4
    assert result["n_empty"].values.tolist() == [0] * 4
    assert "2 image(s) left out: they have no pixel in any region" in result.attrs["warnings"]
    assert (result.attrs["n_images_omitted"], alone.attrs["n_images_omitted"]) == (3, 1)
    assert " 6 images" in result.attrs["population"]
    with pytest.raises(ImpossibleAnalysis, match="9 without a pixel in any region"):
        analyse(make_study(masks=xr.zeros_like(make_masks())))
    with pytest.raises(ImpossibleAnalysis, match="9 without a pixel in any region"):
        analyse(
            make_study(masks=xr.zeros_like(make_masks().isel(image=0, drop=True)))
        )  # one template


def test_empty_regions_leave_their_images_out_of_their_own_mean():
    masks = make_masks()
    masks["mask"].loc[{"region": "nose", "image": ["im3", "im5"]}] = False
    result = analyse(make_study(masks=masks))
    assert result["n_empty"].values.tolist() == [0, 2, 0, 0]
    assert result["n_images"].values.tolist() == [9, 7, 9, 9]
    assert (
        "nose has no pixel on 2 image(s), which are left out of its mean"
        in result.attrs["warnings"]
    )
    kept = [k for k in range(9) if k not in (3, 5)]
    alone = analyse(make_study(make_maps().isel(image=kept), make_masks().isel(image=kept)))
    for name in ("estimate", "p_value", "p_swap", "standard_error"):
        np.testing.assert_allclose(
            result[name].sel(region="nose"), alone[name].sel(region="nose"), rtol=1e-9
        )
    masks["mask"].loc[{"region": "nose"}] = False
    maps = make_maps(seeds=(4, 4, 4, 4))
    maps["relevance"][:2] += masks["mask"].sel(region="eyes").values  # so that a p is small
    gone = analyse(make_study(maps, masks))
    assert np.isnan(gone["p_value"].sel(region="nose")).all()
    assert np.isnan(gone["p_max_t"].sel(region="nose")).all()
    assert not np.isnan(gone["p_adjusted"].sel(region="eyes")).any()
    assert np.nanmin(gone["p_value"]) < 0.01
    np.testing.assert_allclose(
        np.nanmin(gone["p_adjusted"]), 3 * np.nanmin(gone["p_value"])
    )  # three tests, not four


def test_zero_maps_are_counted_and_left_out():
    maps = make_maps()
    maps["relevance"][0, 1, 4] = 0
    maps["relevance"][2, 0, 6] = -1.0  # no positive relevance
    result = analyse(make_study(maps))
    kept = [0, 1, 2, 3, 5, 7, 8]
    alone = analyse(make_study(make_maps().isel(image=kept), make_masks().isel(image=kept)))
    np.testing.assert_allclose(result["estimate"], alone["estimate"], rtol=1e-9)
    assert result.attrs["n_images_omitted"] == 2
    assert (
        "2 image(s) left out: a map has no positive relevance, or none in sum"
        in result.attrs["warnings"]
    )
    assert analyse(make_study(maps), ranking="absolute").attrs["n_images_omitted"] == 1
    maps["relevance"][0, 1] = 0  # one network without any relevance
    dead = analyse(make_study(maps))
    assert dead["n_networks"].item() == 12
    assert any(
        "1 network(s) left out" in note and "i-g seed 1" in note for note in dead.attrs["warnings"]
    )
    maps["relevance"][:] = 0
    for axis in ("pretrain", None):
        with pytest.raises(
            ImpossibleAnalysis, match="no network has positive relevance on any image"
        ):
            analyse(make_study(maps), axis=axis)


def test_nan_and_infinite_maps():
    maps = make_maps()
    maps["relevance"][1, 2, 3, 0, 0] = np.nan
    with pytest.raises(InvalidData, match=r"NaN in 1 cell\(s\) \(e.g. i-d seed 2, image 'im3'\)"):
        analyse(make_study(maps))
    omitted = analyse(make_study(maps), nan="omit")
    kept = [k for k in range(9) if k != 3]
    alone = analyse(make_study(make_maps().isel(image=kept), make_masks().isel(image=kept)))
    np.testing.assert_allclose(omitted["p_value"], alone["p_value"], rtol=1e-9)
    assert "1 image(s) left out for NaN" in omitted.attrs["warnings"]
    maps["relevance"][1, 2, 3, 0, 0] = np.inf
    with pytest.raises(InvalidData, match="infinite in i-d seed 2, image 'im3'"):
        analyse(make_study(maps), nan="omit")


def test_without_an_axis_each_model_is_described():
    result = analyse(make_study(), axis=None)
    assert result["level"].values.tolist() == sorted(MODELS["model"])
    assert "estimate" not in result
    scores = slow_scores(make_study())
    mean = np.mean([v.mean(axis=1) for (model, _), v in scores.items() if model == "v-d"], axis=0)
    np.testing.assert_allclose(result["level_mean"].sel(level="v-d"), mean, rtol=1e-9)
    assert (result["level_ci"].sel(bound="lower") < result["level_mean"]).all()
    names = list(zip(result["network_model"].values, result["network_seed"].values, strict=True))
    np.testing.assert_allclose(
        result["network_score"].sel(region="rest"),
        [scores[name][-1].mean() for name in names],
        rtol=1e-9,
    )


def test_small_designs_say_what_they_reach():
    result = analyse(make_study(seeds=(1, 3, 1, 3)))
    assert set(result["random"].values.ravel()) == {"images"}
    assert any("has one network only" in note for note in result.attrs["warnings"])
    result = analyse(make_study(seeds=(2, 2, 2, 2)), axis="pretrain", pool=["task"], within=[])
    assert result.attrs["min_p"] == pytest.approx(2 / 70)
    assert (
        "networks that differ on task are mixed: a difference may be one of task"
        in result.attrs["warnings"]
    )
    unbalanced = analyse(make_study(seeds=(2, 4, 4, 2)))
    assert any("unbalanced (2 to 4" in note for note in unbalanced.attrs["warnings"])
    three = analyse(make_study(make_maps((3, 0, 3, 0)).isel(model=[0, 2])))
    assert any("label swap cannot give p below 0.1" in note for note in three.attrs["warnings"])
    assert "networks and images" in three.attrs["population"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"measure": "iou"},
            UsageError,
            "measure is 'iou'; it is one of density, mass, rank, pointing",
        ),
        ({"ranking": "top"}, UsageError, "ranking is 'top'"),
        ({"df": "welch"}, UsageError, "df is 'welch'"),
        ({"nan": "skip"}, UsageError, "nan is 'skip'"),
        ({"confidence": 1.0}, UsageError, "confidence is 1.0"),
        ({"n_swaps": 0}, UsageError, "n_swaps is 0"),
        ({"axis": "pretrained"}, UsageError, "Did you mean 'pretrain'"),
    ],
)
def test_wrong_options(options, error, message):
    with pytest.raises(error, match=message):
        analyse(make_study(), **options)


def test_studies_that_cannot_be_analysed():
    with pytest.raises(
        UsageError, match=r"needs /regions; this study has relevance\. Add masks: relstats"
    ):
        analyse(relstats.study(relevance=make_maps()))
    with pytest.raises(UsageError, match="needs /relevance; this study has regions"):
        analyse(xr.DataTree.from_dict({"regions": make_masks()}))
    with pytest.raises(InvalidData, match=r"6 x 6 pixels and the maps 6 x 7"):
        analyse(make_study(masks=make_masks().isel(x=slice(6))))
    with pytest.raises(InvalidData, match=r"1 only in /relevance \('im8'\)"):
        analyse(make_study(masks=make_masks(8)))
    with pytest.raises(InvalidData, match="called 'rest'"):
        analyse(make_study(masks=make_masks().assign_coords(region=["a", "b", "rest"])))
    with pytest.raises(ImpossibleAnalysis, match="one level"):
        analyse(make_study(make_maps().isel(model=[0, 1])))


def planted_study(rng, n=4, n_images=30, effect=0.0, level_image=0.0, network=0.3):
    """Maps of 4 x 6 pixels, mostly positive: networks differ in the weight of three regions, levels
    in the first.
    """
    labels = np.repeat([0, 1, 2], 8).reshape(4, 6)
    weight = network * rng.standard_normal((2, n, 1, 3)) + level_image * rng.standard_normal(
        (2, 1, n_images, 3)
    )
    weight = (
        weight
        + 0.3 * rng.standard_normal((2, n, n_images, 3))
        + 0.3 * rng.standard_normal((n_images, 3))
    )
    weight[0, ..., 0] += effect
    values = np.exp(weight)[..., labels] * rng.exponential(size=(2, n, n_images, 4, 6))
    models = pd.DataFrame({"model": ["a", "b"], "pretrain": ["a", "b"]})
    group = relstats.relevance_dataset(
        values, models=models, images=[f"i{k}" for k in range(n_images)]
    )
    return make_study(
        group,
        relstats.regions_dataset(
            labels == np.arange(2)[:, np.newaxis, np.newaxis], ["first", "second"]
        ),
    )


def test_a_planted_region_is_found_and_no_other():
    rng = np.random.default_rng(3)
    result = analyse(planted_study(rng, 6, 60, effect=1.5, network=0.1))
    assert result["estimate"].sel(region="first").item() > 0.5
    assert (result[["p_adjusted", "p_max_t"]].sel(region="first").to_array() < 0.01).all()
    low, high = result["ci"].sel(region="first").values[0]
    assert 0 < low < high


@pytest.mark.parametrize(("level_image", "network"), [(0.0, 0.5), (0.8, 0.1)])
def test_family_wise_error_of_maps_without_a_difference(level_image, network):
    """Networks vary, or levels differ from image to image: regions with images as units would be
    wrong nearly always.
    """
    rng, n_studies = np.random.default_rng(11), 80
    wrong, naive = 0, 0
    for _ in range(n_studies):
        result = analyse(
            planted_study(rng, 4, 20, level_image=level_image, network=network), n_swaps=9
        )
        wrong += bool((result["p_adjusted"] <= 0.05).any())
        spread = np.sqrt(result["variance_images"].values)
        naive += bool(
            (2 * stats.t.sf(np.abs(result["estimate"].values) / spread, 19) * 3 <= 0.05).any()
        )
    assert wrong <= stats.binom.ppf(0.9999, n_studies, 0.05)
    if network == 0.5:
        assert naive > 0.5 * n_studies


# --- the command line


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("regions")
    save.save_study(relstats.study(relevance=make_maps()), folder / "s.zarr")
    masks = make_masks()["mask"]
    np.savez(
        folder / "masks.npz",
        **{r: masks.sel(region=r).values for r in masks["region"].values},
        image=np.array(IDS),
    )
    return folder


def test_the_commands_add_and_measure(stored):
    code, out, err = run("regions", stored / "s.zarr", "--axis", "pretrain")
    assert (code, out) == (2, "")
    assert "relstats add regions" in err
    code, out, err = run("add", "regions", stored / "s.zarr", stored / "masks.npz")
    assert code == 0, err
    assert out.startswith("regions of 9 image(s)")
    assert "overlap" in err
    code, out, err = run("regions", stored / "s.zarr", "--axis", "pretrain", "--dry-run")
    assert (code, out) == (0, "")
    assert "13 networks in 4 regions of 9 images, contrasts imagenet|vggface2 within task" in err
    code, out, err = run(
        "regions", stored / "s.zarr", "--axis", "pretrain", "--within", "task", "--measure", "mass"
    )
    assert code == 0, err
    assert "imagenet|vggface2" in out
    assert "warning: regions overlap" in err
    saved = store.open_study(stored / "s.zarr")["results/regions_pretrain_mass"].to_dataset()
    direct = relstats.regions(
        store.open_study(stored / "s.zarr"),
        axis="pretrain",
        measure="mass",
        rng=np.random.default_rng(0),
    )
    np.testing.assert_array_equal(saved["p_max_t"], direct["p_max_t"])
    assert saved.attrs["seed"] == 0
    code, out, _ = run("regions", stored / "s.zarr", "--axis", "pretrain", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["attrs"]["statistic"] == "regions"
    assert found["variables"]["estimate"]["dims"] == ["contrast", "region"]
    assert run("regions", stored / "s.zarr")[0] == 0
    code, out, _ = run("validate", stored / "s.zarr", "--deep")
    assert (code, out) == (0, "valid\n")


@pytest.mark.parametrize("size", ["0x", "a", "1x2x3", "-5"])
def test_sizes_that_are_none(stored, size):
    code, _, err = run(
        "add", "regions", stored / "s.zarr", stored / "masks.npz", f"--landmark-size={size}"
    )
    assert code == 2
    assert "is no size in pixels" in err


@pytest.mark.parametrize("command", [("regions",), ("add",), ("add", "regions"), ("stability",)])
def test_help_shows_examples(command):
    code, out, err = run(*command, "--help")
    assert (code, err) == (0, "")
    assert "Example" in out
    assert f"relstats {' '.join(command)}" in out


def test_damaged_masks_are_named(stored, tmp_path):
    path = shutil.copytree(stored / "s.zarr", tmp_path / "s.zarr")
    run("add", "regions", path, stored / "masks.npz")
    for chunk in (path / "regions" / "mask" / "c").rglob("*"):
        if chunk.is_file():
            chunk.unlink()
    code, _, err = run("regions", path, "--axis", "pretrain")
    assert code == 3
    assert "/regions/mask, images 0 to 8, cannot be read" in err
