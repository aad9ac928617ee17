"""Labels in, labels out: alignment, missing judgments, what is random, every note and every
error.
"""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import relstats
from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.human import compare_rdms, correct, evaluation, rdm, rsa
from relstats.human.rdms.ceiling import noise_ceiling
from relstats.study.pairs import pair_labels, read_pairs

IMAGES = [f"{k:03d}" for k in range(12)]
PAIRS = 66


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture
def people(rng):
    values = (np.arange(PAIRS) / 20 + rng.random((5, PAIRS))).astype(np.float32)
    return xr.DataArray(
        values,
        dims=("participant", "pair"),
        coords={**pair_labels(IMAGES), "participant": list("abcde")},
    )


@pytest.fixture
def models(rng):
    signal = np.array([1.0, 1.0, 0.2])[:, None, None]
    values = signal * np.arange(PAIRS) / 20 + rng.random((3, 4, PAIRS))
    coords = {
        **pair_labels(IMAGES),
        "model": ["m1", "m2", "m3"],
        "seed": list("0123"),
        "pretrain": ("model", ["faces", "objects", "objects"]),
    }
    return xr.DataArray(values, dims=("model", "seed", "pair"), coords=coords)


def quick(models, people, **options):
    options = {
        "n_draws": 100,
        "n_permutations": 49,
        "comparison": "corr",
        "rng": np.random.default_rng(0),
        **options,
    }
    return rsa(models, people, **options)


def human(people):
    return people.to_dataset(name="dissimilarity")


def test_numbers_are_those_of_the_cores(models, people):
    result = quick(models, people)
    agreement = compare_rdms(models.values.reshape(12, -1), people.values, "corr").reshape(3, 4, 5)
    assert result["agreement"].values == pytest.approx(agreement.mean(axis=1), rel=1e-12)
    assert result["estimate"].values == pytest.approx(agreement.mean(axis=(1, 2)), rel=1e-12)
    assert result["network_estimate"].values == pytest.approx(
        agreement.mean(axis=2).ravel(), rel=1e-12
    )
    assert result["noise_ceiling"].values == pytest.approx(
        noise_ceiling(people.values, "corr"), rel=1e-12
    )
    for bound in ("lower", "upper"):
        low, high = result[f"noise_ceiling_{bound}_ci"].values
        assert low < result["noise_ceiling"].sel(bound=bound) < high
    assert not [name for name in result.data_vars if "ceiling_difference" in str(name)]
    means = dict(zip(["m1", "m2", "m3"], result["estimate"].values, strict=True))
    for name in result["contrast"].values:
        a, b = name.split("|")
        assert result["difference"].sel(contrast=name) == pytest.approx(
            means[a] - means[b], rel=1e-10
        )
    low, high = result["difference_ci"].transpose("bound", "contrast").values
    assert (low < result["difference"].values).all()
    assert (result["difference"].values < high).all()


def test_planted_difference_is_found_with_its_sign(models, people):
    result = quick(models, people, n_draws=300)
    assert result["difference"].sel(contrast="m1|m3") > 0
    assert result["difference_p_value"].sel(contrast="m1|m3") < 0.05
    assert result["difference_p_value"].sel(contrast="m1|m2") > 0.05
    assert result["p_mantel"].sel(model="m1") == 1 / 50
    assert result["p_value"].sel(model="m1") < 0.01
    assert set(result["random"].values) == {"images, participants, seeds"}


@pytest.mark.parametrize("comparison", ["rho-a", "cosine_cov"])
def test_order_of_everything_is_irrelevant(comparison, models, people, rng):
    first = quick(models, people, comparison=comparison)
    turned = people.isel(participant=[3, 1, 0, 4, 2], pair=rng.permutation(PAIRS))
    ends = turned["image_i"].values.copy(), turned["image_j"].values.copy()
    turned = turned.assign_coords(image_i=("pair", ends[1]), image_j=("pair", ends[0]))
    moved = models.isel(model=[2, 0, 1], seed=[1, 0, 3, 2], pair=rng.permutation(PAIRS)).transpose(
        "pair", "seed", "model"
    )
    second = quick(moved, human(turned), comparison=comparison)
    for name in first.data_vars:
        if first[name].dtype.kind == "f":
            assert second[name].values == pytest.approx(first[name].values, rel=1e-9, nan_ok=True)
    assert second["participant"].values.tolist() == list("abcde")


def test_swapped_labels_change_the_answer(models, people):
    names = dict(zip(IMAGES, IMAGES[1:] + IMAGES[:1], strict=True))
    wrong = people.assign_coords(
        {end: ("pair", [names[x] for x in people[end].values]) for end in ("image_i", "image_j")}
    )
    right, other = quick(models, people)["estimate"], quick(models, wrong)["estimate"]
    assert (abs(right - other) > 0.05).all()


def test_missing_pairs_are_left_out_for_this_participant_alone(models, people):
    people[2, [4, 9, 33]] = np.nan
    unlisted = people.isel(pair=np.setdiff1d(np.arange(PAIRS), [50]))
    result = quick(models, unlisted)
    assert result["n_pairs"].values.tolist() == [65, 65, 62, 65, 65]
    kept = np.setdiff1d(np.arange(PAIRS), [4, 9, 33, 50])
    expected = [stats.pearsonr(m[kept], people.values[2, kept]).statistic for m in models.values[0]]
    assert result["agreement"].sel(model="m1", participant="c") == pytest.approx(
        np.mean(expected), rel=1e-6
    )
    assert np.isfinite(result["noise_ceiling"]).all()
    assert "on the pairs judged" in result.attrs["method"]


def test_constant_participants_are_counted_and_left_out(models, people):
    people[1], people[4] = 3.0, np.nan
    result = quick(models, people)
    assert result["participant"].values.tolist() == ["a", "c", "d"]
    assert result["n_participants"] == 3
    assert (
        "2 participant(s) left out: all judged alike, or fewer than 3 pairs (b, e)"
        in result.attrs["warnings"]
    )
    with pytest.raises(ImpossibleAnalysis, match="0 participant"):
        quick(models, people * 0)


def test_constant_networks_are_counted_and_left_out(models, people):
    models[1, 2] = 0.5
    result = quick(models, people)
    assert result["n_networks"].values.tolist() == [4, 3, 4]
    assert any(
        "1 network(s) left out" in note and "m2 seed 2" in note for note in result.attrs["warnings"]
    )


def test_unequal_seeds_by_available(models, people):
    data = human(models).assign(
        available=(("model", "seed"), np.array([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]], bool))
    )
    data["dissimilarity"][1, 1:] = np.nan
    result = quick(data, people)
    assert result["n_networks"].values.tolist() == [4, 1, 2]
    kinds = dict(zip(result["model"].values, result["random"].values, strict=True))
    assert kinds == {
        "m1": "images, participants, seeds",
        "m2": "images, participants; these networks",
        "m3": "images, participants, seeds",
    }
    assert result["difference_random"].sel(contrast="m1|m2").item().endswith("these networks")
    assert np.isnan(result["variance_seeds"].sel(model="m2"))
    assert any(note.startswith("one network of m2") for note in result.attrs["warnings"])


def test_levels_of_an_axis(models, people):
    result = quick(models, people, by="pretrain")
    assert result["level"].values.tolist() == ["faces", "objects"]
    assert result["n_networks"].values.tolist() == [4, 8]
    single = quick(models, people)["estimate"].values
    assert result["estimate"].values == pytest.approx([single[0], single[1:].mean()], rel=1e-12)
    assert result["contrast"].values.tolist() == ["faces|objects"]


def test_fixed_factors_narrow_the_claim(models, people):
    wide, narrow = quick(models, people), quick(models, people, random=["participants"])
    assert np.isfinite(wide["p_value"]).all()
    assert "untested" not in wide
    assert np.isnan(narrow["p_value"]).all()
    assert np.isnan(narrow["ci"]).all()
    assert set(narrow["untested"].values) == {"networks were not taken as random (seeds)"}
    widths = (wide["ci"], narrow["ci_these_networks"])
    wide_width, narrow_width = (float(ci.diff("bound").mean()) for ci in widths)
    assert narrow_width < wide_width
    assert set(narrow["random"].values) == {"participants; these networks"}
    by_person = (
        compare_rdms(models.values.reshape(12, -1), people.values, "corr")
        .reshape(3, 4, 5)
        .mean(axis=1)
    )
    expected = stats.ttest_rel(by_person[0], by_person[2]).confidence_interval()
    assert np.isnan(narrow["difference_p_value"]).all()
    np.testing.assert_allclose(
        narrow["difference_ci_these_networks"].sel(contrast="m1|m3"), expected, rtol=1e-9
    )
    nothing = quick(models, people, random=[])
    assert np.isnan(nothing["p_value"]).all()
    assert set(nothing["random"].values) == {"nothing; these networks"}


def test_controls(models, people):
    control = models.isel(model=0, seed=0, drop=True)
    plain, held = (
        quick(models, people, comparison="spearman"),
        quick(models, people, comparison="spearman", control=control),
    )
    assert (held["estimate"] < plain["estimate"]).all()
    assert held["n_networks"].values.tolist() == [3, 4, 4]
    assert np.isnan(held["p_mantel"]).all()
    assert any("partial agreement" in note for note in held.attrs["warnings"])
    assert "1 control RDM(s) held constant" in held.attrs["method"]


@pytest.mark.parametrize(("n", "lower"), [(1, np.nan), (2, np.nan)])
def test_one_or_two_people_have_no_ceiling(n, lower, models, people):
    result = quick(models, people.isel(participant=slice(n)))
    assert np.isnan(result["noise_ceiling"]).all()
    assert np.isnan(result["noise_ceiling_lower_ci"]).all()
    assert any(note.startswith(f"{n} participant(s)") for note in result.attrs["warnings"])
    assert np.isfinite(result["p_value"]).all()


def test_a_single_rdm_and_a_dataset_of_humans(models, people):
    result = quick(
        models.isel(model=0, seed=0, drop=True), xr.DataTree.from_dict({"human": human(people)})
    )
    assert result.sizes["model"] == 1
    assert "contrast" not in result.dims
    assert result["estimate"].shape == (1,)


def test_partial_overlap_of_images(models, people):
    fewer = people.sel(pair=(people["image_i"] != "000") & (people["image_j"] != "000"))
    with pytest.raises(InvalidData, match=r"1 only in the models' RDMs \('000'\)"):
        quick(models, fewer)
    result = quick(models, fewer, align="inner")
    assert result["n_images"] == 11
    assert "1 image(s) left out: only one side has them (000)" in result.attrs["warnings"]
    both = models.sel(pair=(models["image_i"] != "000") & (models["image_j"] != "000"))
    assert result["estimate"].values == pytest.approx(
        quick(both, fewer)["estimate"].values, rel=1e-12
    )


def test_007_is_not_7(models, people):
    numbers = {
        end: ("pair", [x.lstrip("0") or "0" for x in people[end].values])
        for end in ("image_i", "image_j")
    }
    with pytest.raises(InvalidData, match="'007' is not '7'"):
        quick(models, people.assign_coords(numbers))
    integers = {
        end: ("pair", [int(x) for x in people[end].values]) for end in ("image_i", "image_j")
    }
    with pytest.raises(InvalidData, match="not text"):
        quick(models, people.assign_coords(integers))
    with pytest.raises(InvalidData, match="ids are text"):
        quick(models, people.assign_coords(participant=range(5)))


def _twice(models, people):
    return models, xr.concat([people, people.isel(pair=[0])], "pair")


def _with_itself(models, people):
    ends = people["image_i"].values.copy()
    ends[0] = people["image_j"].values[0]
    return models, people.assign_coords(image_i=("pair", ends))


def _nan_in_a_model(models, people):
    models[0, 0, 5] = np.nan
    return models, people


def _infinite(models, people):
    return models, people.where(people > 1, np.inf)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_twice, "1 pair.* more than once .*'000' and '001'"),
        (_with_itself, "1 pair.* of an image with itself .*'001'"),
        (_nan_in_a_model, "1 dissimilarities are NaN .*m1 seed 0, '000' and '006'"),
        (_infinite, "infinite"),
        (lambda m, p: (m, p.drop_vars("image_i")), "lacks image_i"),
        (lambda m, p: (m, p.rename(participant="subject")), r"give \(participant, pair\)"),
        (lambda m, p: (m, p.assign_coords(participant=list("aabcd"))), "each there once"),
        (lambda m, p: (m.assign_coords(seed=range(4)), p), "labels of 'seed'"),
        (lambda m, p: (m.assign_coords(seed=list("0012")), p), "there twice"),
        (lambda m, p: (m.to_dataset(name="rdm"), p), "no variable 'dissimilarity'"),
    ],
)
def test_bad_data(spoil, says, models, people):
    with pytest.raises(InvalidData, match=says):
        quick(*spoil(models, people))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"comparison": "kendall"}, "comparison is 'kendall'"),
        ({"by": "task"}, "by is 'task'; networks have model, pretrain"),
        ({"random": ["subjects"]}, "random is"),
        ({"random": "images"}, "it is a list"),
        ({"align": "outer"}, "align is 'outer'"),
        ({"n_draws": 1}, "n_draws is 1"),
        ({"confidence": 1.0}, "confidence is 1.0"),
    ],
)
def test_bad_options(options, says, models, people):
    with pytest.raises(UsageError, match=says):
        quick(models, people, **options)


def test_controls_need_a_partial_measure_and_all_images(models, people):
    with pytest.raises(UsageError, match="no partial form"):
        quick(models, people, comparison="rho-a", control=models)
    with pytest.raises(InvalidData, match=r"control lacks 1 image.* \(011\)"):
        quick(models, people, control=models.sel(pair=models["image_j"] != "011"))
    with pytest.raises(UsageError, match="has no /human"):
        quick(models, xr.DataTree())


def test_few_images_cannot_be_drawn(models, people):
    four = people.sel(pair=people["image_i"].isin(IMAGES[:4]) & people["image_j"].isin(IMAGES[:4]))
    with pytest.raises(ImpossibleAnalysis, match="4 images"):
        quick(models, four, align="inner")
    assert quick(models, four, align="inner", random=["participants"])["n_images"] == 4


def test_corrections_are_steps_that_keep_the_raw_values():
    p = np.array([0.01, np.nan, 0.04, 0.03])
    result = xr.Dataset(
        {"p_mantel": ("model", p), "p_mantel_max": ("model", p * 2), "p_value": ("model", p)}
    )
    holm, bh = correct(result, "p_value"), correct(result, "p_value", "bh")
    assert holm["p_value_adjusted"].values == pytest.approx([0.03, np.nan, 0.06, 0.06], nan_ok=True)
    known = stats.false_discovery_control(p[[0, 2, 3]])
    assert bh["p_value_adjusted"].values[[0, 2, 3]] == pytest.approx(known)
    assert bh["p_value"].identical(result["p_value"])
    assert bh["p_value_adjusted"].attrs == {"correction": "bh"}
    assert correct(result, "p_mantel", "max-t")["p_mantel_adjusted"].values == pytest.approx(
        p * 2, nan_ok=True
    )
    for bad in (("p_value", "max-t"), ("p_value", "fdr"), ("estimate", "holm")):
        with pytest.raises(UsageError):
            correct(result, *bad)


def test_results_can_be_saved(models, people, tmp_path):
    import relstats

    study = xr.DataTree.from_dict({"human": human(people)})
    relstats.save_study(study, tmp_path / "s.zarr")
    result = quick(models, people)
    relstats.save_result(tmp_path / "s.zarr", "rsa", result)
    back = relstats.open_study(tmp_path / "s.zarr")["results/rsa"].to_dataset()
    assert back["estimate"].values == pytest.approx(result["estimate"].values, rel=1e-12)
    assert back.attrs["population"] == result.attrs["population"]


def test_pairs_that_nobody_listed_are_missing():
    array = xr.DataArray(
        [1.0], dims="pair", coords={"image_i": ("pair", ["b"]), "image_j": ("pair", ["a"])}
    )
    read = read_pairs(array, "x")
    assert read.values.tolist() == [1.0]
    assert read.images == ("a", "b")


def test_pairs_are_in_upper_triangle_row_order():
    ends = [("c", "d"), ("a", "b"), ("d", "a"), ("b", "c"), ("a", "c"), ("b", "d")]
    coords = {
        end: ("pair", [pair[k] for pair in ends]) for k, end in enumerate(("image_i", "image_j"))
    }
    read = read_pairs(xr.DataArray(np.arange(6.0), dims="pair", coords=coords), "x")
    assert read.values.tolist() == [1, 4, 2, 3, 5, 0]  # ab, ac, ad, bc, bd, cd
    assert read.of(["d", "b", "a"]).values.tolist() == [1, 2, 5]


def test_tests_are_those_of_the_core(models, people):
    """The same draws: pairs in another order would be weighted by other images."""
    result = quick(models, people)
    found = evaluation.evaluate(
        models.values.reshape(12, -1),
        people.values.astype(float),
        "corr",
        n_draws=100,
        rng=np.random.default_rng(0),
    )
    weights = np.repeat(np.eye(3), 4, axis=1) / 4
    for k in range(3):
        single = evaluation.contrast(found, weights[[k]])
        assert result["p_value"][k].item() == pytest.approx(single.p_value, rel=1e-9)
        assert result["variance_images"][k].item() == pytest.approx(
            single.variances["images"], rel=1e-9
        )
        assert result["variance_seeds"][k].item() == pytest.approx(
            single.variances["seeds 0"], rel=1e-9
        )
    difference = evaluation.contrast(found, np.stack([weights[0], -weights[2]]))
    assert result["difference_df"].sel(contrast="m1|m3").item() == pytest.approx(
        difference.df, rel=1e-9
    )


def a_study(people):
    study = relstats.simulate(
        models="2x1", seeds=2, images=12, size=8, rng=np.random.default_rng(3)
    )
    names = dict(zip(IMAGES, study["relevance"]["image"].values, strict=True))
    ends = {end: ("pair", [names[x] for x in people[end].values]) for end in ("image_i", "image_j")}
    return study.assign(human=xr.DataTree(human(people.assign_coords(ends))))


def test_a_study_is_its_rdms_and_its_people(people):
    study = a_study(people)
    result = rsa(
        study,
        dissimilarity="cosine",
        comparison="corr",
        n_draws=50,
        n_permutations=49,
        rng=np.random.default_rng(0),
    )
    expected = quick(rdm(study, dissimilarity="cosine"), study, n_draws=50)
    xr.testing.assert_identical(result.drop_attrs(), expected.drop_attrs())
    assert (result.attrs["on"], result.attrs["dissimilarity"]) == ("relevance", "cosine")
    assert (result.attrs["statistic"], result.attrs["seed"]) == ("rsa", 0)
    xr.testing.assert_equal(
        result["human_points"], relstats.human.points(study["human"]["dissimilarity"])["points"]
    )
    assert expected.attrs["dissimilarity"] == "cosine"


def test_of_rdms_nothing_is_said_that_is_not_known(models, people):
    found = quick(models, people)
    assert not {"on", "dissimilarity", "ranking", "nan"} & set(found.attrs)
    with pytest.raises(UsageError, match="second argument"):
        quick(models, None)
    with pytest.raises(UsageError, match="made of a study's pixels"):
        quick(models, people, comparison="spearman", control=["images"])


def test_random_nothing_is_no_factor(models, people):
    found = quick(models, people, random=["nothing"])
    assert found.attrs["random"] == []
    assert found["estimate"].identical(quick(models, people, random=[])["estimate"])


def test_families_are_corrected_each_on_its_own(models, people):
    holm, bh, raw = (quick(models, people, correction=how) for how in ("holm", "bh", "none"))
    for family in ("p_value", "difference_p_value"):
        for result, how in ((holm, "holm"), (bh, "bh")):
            expected = correct(raw, family, how)[f"{family}_adjusted"]
            assert result[f"{family}_adjusted"].identical(expected)
    assert (holm["p_mantel_adjusted"] == raw["p_mantel_max"]).all()
    assert bh["p_mantel_adjusted"].attrs["correction"] == "bh"
    assert not [name for name in raw.data_vars if str(name).endswith("_adjusted")]
