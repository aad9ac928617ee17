"""RDMs against scipy pair by pair; tiles, missing and dead maps, weighted images, every error."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from scipy.spatial.distance import pdist

import relstats
from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.human import rdm
from relstats.human.rdms.dissimilarity import DISSIMILARITIES, dissimilarities, tiled

REFERENCE = {
    "correlation": lambda x: pdist(x, "correlation"),
    "cosine": lambda x: pdist(x, "cosine"),
    "spearman": lambda x: pdist(stats.rankdata(x, axis=1), "correlation"),
    "euclidean": lambda x: pdist(x, "sqeuclidean") / x.shape[1],
}


@pytest.fixture
def rng():
    return np.random.default_rng(9)


@pytest.fixture
def study(rng):
    built = relstats.simulate(models="2x1", seeds=2, images=8, size=6, rng=rng)
    pixels = rng.integers(0, 256, (8, 6, 6, 3), dtype=np.uint8)
    order = rng.permutation(8)
    labels = built["relevance"]["image"].values[order]
    images = xr.Dataset(
        {"pixels": (("image", "y", "x", "channel"), pixels)}, coords={"image": labels}
    )
    built["images"] = xr.DataTree(images)
    return built


@pytest.mark.parametrize("dissimilarity", DISSIMILARITIES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_scipy_agrees(dissimilarity, dtype, rng):
    features = (100 * rng.random((9, 2500))).astype(dtype)
    found = dissimilarities(features, dissimilarity)
    assert found.rdm == pytest.approx(
        REFERENCE[dissimilarity](features.astype(float)), rel=1e-10, abs=1e-12
    )
    assert not found.missing.any()


@pytest.mark.parametrize("dissimilarity", DISSIMILARITIES)
@pytest.mark.parametrize("tile", [1, 4, 8])
def test_tiles_change_nothing(dissimilarity, tile, rng):
    features = rng.normal(size=(9, 40))
    features[2], features[5, 3] = 0, np.nan
    whole, found = (
        dissimilarities(features, dissimilarity),
        tiled(lambda images: features[images], 9, tile, dissimilarity),
    )
    assert found.rdm == pytest.approx(whole.rdm, rel=1e-12, abs=1e-14, nan_ok=True)
    assert found.missing.tolist() == [k == 5 for k in range(9)]
    assert found.degenerate.tolist() == [k == 2 and dissimilarity != "euclidean" for k in range(9)]
    first, second = np.triu_indices(9, 1)
    unknown = {5} if dissimilarity == "euclidean" else {2, 5}
    assert np.isnan(whole.rdm).tolist() == [
        bool({i, j} & unknown) for i, j in zip(first, second, strict=True)
    ]


@pytest.mark.parametrize("dissimilarity", DISSIMILARITIES)
@pytest.mark.parametrize("power", [-60, 60])
def test_scale_is_irrelevant_but_for_distances(dissimilarity, power, rng):
    features = (rng.normal(size=(5, 60)) - 0.5).astype(np.float32)
    scaled = dissimilarities(features * np.float32(2.0) ** power, dissimilarity).rdm
    factor = 2.0 ** (2 * power) if dissimilarity == "euclidean" else 1
    assert scaled == pytest.approx(dissimilarities(features, dissimilarity).rdm * factor, rel=1e-10)


def test_a_constant_map_is_no_map_even_where_its_mean_is_rounded(rng):
    features = rng.normal(size=(4, 30))
    features[1] = 0.1
    assert dissimilarities(features).degenerate.tolist() == [False, True, False, False]
    assert np.isfinite(dissimilarities(features, "cosine").rdm).all()


def test_networks_one_by_one(study):
    result = rdm(study)
    maps = study["relevance"]["relevance"]
    for model in result["model"].values:
        for seed in result["seed"].values:
            chosen = maps.sel(model=model, seed=seed).values.reshape(8, -1).astype(float)
            assert result["dissimilarity"].sel(model=model, seed=seed).values == pytest.approx(
                pdist(chosen, "correlation"), rel=1e-9
            )
    first, second = np.triu_indices(8, 1)
    assert (result["image_i"].values == maps["image"].values[first]).all()
    assert (result["image_j"].values == maps["image"].values[second]).all()
    assert result["pretrain"].dims == ("model",)
    assert result["available"].all()
    assert result.attrs["n_networks"] == 4


def test_a_study_on_disk_is_read_in_tiles(study, tmp_path, monkeypatch):
    relstats.save_study(study, tmp_path / "s.zarr")
    whole = rdm(study, dissimilarity="spearman")
    monkeypatch.setattr("relstats.study.shards.BLOCK_VALUES", 3 * 36)
    for on in ("relevance", "weighted_images", "images"):
        there = rdm(relstats.open_study(tmp_path / "s.zarr"), on=on, dissimilarity="spearman")
        here = rdm(study, on=on, dissimilarity="spearman")
        assert there["dissimilarity"].values == pytest.approx(
            here["dissimilarity"].values, rel=1e-12
        )
    assert whole["dissimilarity"].shape == (2, 2, 28)


@pytest.mark.parametrize(
    ("ranking", "weigh"),
    [("positive", lambda r: np.maximum(r, 0)), ("absolute", np.abs), ("signed", lambda r: r)],
)
def test_weighted_images_are_matched_by_label(ranking, weigh, study):
    result = rdm(study, on="weighted_images", ranking=ranking)
    maps = study["relevance"]["relevance"].isel(model=1, seed=0)
    pixels = study["images"]["pixels"].sel(image=maps["image"].values).values.astype(float)
    rows = (pixels * weigh(maps.values)[..., None]).reshape(8, -1)
    assert result["dissimilarity"].sel(
        model=maps["model"], seed=maps["seed"]
    ).values == pytest.approx(pdist(rows, "correlation"), rel=1e-6)


def test_pixels_and_arrays_have_no_networks(study, rng):
    result = rdm(study, on="images")
    assert result["dissimilarity"].dims == ("pair",)
    array = xr.DataArray(
        rng.random((3, 5, 7)), dims=("feature", "image", "y"), coords={"image": list("abcde")}
    )
    expected = pdist(array.transpose("image", "feature", "y").values.reshape(5, -1), "correlation")
    assert rdm(array)["dissimilarity"].values == pytest.approx(expected, rel=1e-10)
    assert rdm(array.rename("fc6")).attrs["on"] == "fc6"
    per_model = array.rename(feature="model").assign_coords(model=["m1", "m2", "m3"])
    assert rdm(per_model)["dissimilarity"].dims == ("model", "seed", "pair")
    row = pdist(per_model.sel(model="m2").values, "correlation")
    assert rdm(per_model)["dissimilarity"].sel(model="m2", seed="0").values == pytest.approx(
        row, rel=1e-10
    )


def test_features_by_layer(study, rng):
    values = rng.random((2, 2, 8, 5))
    coords = {dim: study["relevance"][dim].values for dim in ("model", "seed", "image")}
    layers = xr.Dataset(
        {
            "conv": (("model", "seed", "image", "unit"), values),
            "fc": (("model", "seed", "image", "unit"), values * 0 + values[..., :1] ** 2),
        },
        coords=coords,
    )
    study["features"] = xr.DataTree(layers)
    found = rdm(study, on="features", layer="conv")["dissimilarity"].values
    assert found[1, 0] == pytest.approx(pdist(values[1, 0], "correlation"), rel=1e-10)
    with pytest.raises(UsageError, match="layer is None; /features has conv, fc"):
        rdm(study, on="features")


def spoiled(study, where, value):
    built = study.copy(deep=True)
    built["relevance"]["relevance"][where] = value
    return built


def test_nan_is_refused_or_omitted_and_counted(study):
    bad = spoiled(study, {"model": 0, "seed": 1, "image": 3, "y": 2, "x": 2}, np.nan)
    with pytest.raises(InvalidData, match="NaN in 1 cell"):
        rdm(bad)
    result = rdm(bad, nan="omit")
    assert (result.attrs["n_images"], result.attrs["n_images_omitted_nan"]) == (7, 1)
    assert result.sizes["pair"] == 21
    assert np.isfinite(result["dissimilarity"]).all()
    assert "1 image(s) left out for NaN" in result.attrs["warnings"]
    never = rdm(study.isel(image=[0, 1, 2, 4, 5, 6, 7]))
    assert result["dissimilarity"].values == pytest.approx(never["dissimilarity"].values, rel=1e-12)


def test_dead_networks_and_zero_maps_are_left_out_and_counted(study):
    bad = spoiled(
        spoiled(study, {"model": 0, "seed": 1}, 0), {"model": 1, "seed": 0, "image": 2}, 0
    )
    result = rdm(bad)
    assert result["available"].values.tolist() == [[True, False], [True, True]]
    assert np.isnan(result["dissimilarity"][0, 1]).all()
    assert result.attrs["n_images"] == 7
    assert result.attrs["n_images_omitted_degenerate"] == 1
    assert len(result.attrs["warnings"]) == 2
    with pytest.raises(ImpossibleAnalysis, match=r"4 network\(s\)"):
        rdm(spoiled(study, {}, 0))


def test_missing_networks_are_not_available(study):
    bad = spoiled(study, {"model": 1, "seed": 1}, np.nan)
    maps = bad["relevance"].to_dataset()
    bad["relevance"] = xr.DataTree(
        maps.assign(available=(("model", "seed"), [[True, True], [True, False]]))
    )
    result = rdm(bad)
    assert result["available"].values.tolist() == [[True, True], [True, False]]
    assert np.isnan(result["dissimilarity"][1, 1]).all()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"on": "maps"}, "on is 'maps'"),
        ({"dissimilarity": "corr"}, "dissimilarity is 'corr'"),
        ({"ranking": "top"}, "ranking is 'top'"),
        ({"nan": "drop"}, "nan is 'drop'"),
        ({"on": "features"}, "no /features"),
    ],
)
def test_bad_options(options, says, study):
    with pytest.raises(UsageError, match=says):
        rdm(study, **options)


def test_bad_data(study):
    with pytest.raises(InvalidData, match="infinite"):
        rdm(spoiled(study, {"image": 1, "y": 0, "x": 0}, np.inf))
    with pytest.raises(UsageError, match="pass the whole study"):
        rdm(study["relevance"].to_dataset(), on="images")
    with pytest.raises(InvalidData, match="need a dim 'image'"):
        rdm(xr.DataArray(np.ones((2, 3))))
    with pytest.raises(InvalidData, match="not text, or not unique"):
        rdm(xr.DataArray(np.ones((2, 3)), dims=("image", "y"), coords={"image": ["a", "a"]}))
    study["images"] = xr.DataTree(study["images"].to_dataset().drop_vars("pixels"))
    with pytest.raises(UsageError, match="/images has no pixels"):
        rdm(study, on="images")
    with pytest.raises(InvalidData, match="real numbers of shape"):
        dissimilarities(np.ones(3))


def test_images_of_another_size_or_label(study):
    small = study.copy()
    small["images"] = xr.DataTree(study["images"].to_dataset().isel(x=slice(3)))
    with pytest.raises(InvalidData, match=r"maps are \(6, 6\), pixels \(6, 3\)"):
        rdm(small, on="weighted_images")
    other = study.copy()
    other["images"] = xr.DataTree(study["images"].to_dataset().isel(image=slice(5)))
    with pytest.raises(InvalidData, match="3 only in /relevance"):
        rdm(other, on="weighted_images")
