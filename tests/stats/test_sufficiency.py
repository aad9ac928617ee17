import itertools
import json

import numpy as np
import pytest
import xarray as xr
from command_line import run
from scipy import stats

import relstats
from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.stats.inference import jackknife, networks
from relstats.stats.inference.adjust import holm
from relstats.stats.sufficiency import AGAINST, QUESTIONS, compared, sufficiency
from relstats.study import layout, save, store

AXES = {"pretrain": ["i", "i", "v", "v"], "task": ["g", "p", "g", "p"]}


def group(rng, seeds=(3, 3, 5, 4), images=12, classes=(2, 2, 2, 2), name="probability", effect=0.0):
    """Scores of four models with unequal seeds.

    What is shared is better by the effect, in both operations.
    """
    n = max(seeds)
    base = 0.3 + 0.1 * rng.random((4, n, 1, 1, 1)) + 0.1 * rng.random(images)
    scores = base + 0.2 * rng.random((4, n, 2, 4, images))
    scores[:, :, 0, 0] += effect
    scores[:, :, 1, 0] -= effect
    whole = 0.7 + 0.2 * rng.random((4, n, images))
    available = np.arange(n) < np.array(seeds)[:, np.newaxis]
    scores[~available], whole[~available] = np.nan, np.nan
    text = {
        "model": list("abcd"),
        "seed": [str(k) for k in range(n)],
        "image": [f"{k:03}" for k in range(images)],
        "operation": layout.OPERATIONS,
        "choice": layout.CHOICES,
    }
    coords = {dim: np.array(values, object) for dim, values in text.items()}
    axes = {axis: ("model", np.array(levels, object)) for axis, levels in AXES.items()}
    return xr.Dataset(
        {
            name: (("model", "seed", "operation", "choice", "image"), scores),
            f"unmasked_{name}": (("model", "seed", "image"), whole),
            "available": (("model", "seed"), available),
            "area": ("image", rng.uniform(0.05, 0.2, images)),
        },
        coords={**coords, **axes, "n_classes": ("model", list(classes))},
        attrs={
            "masks": "shared",
            "sets_of": layout.OTHER_NETWORKS,
            "fill": "blur",
            "n_control": 3,
        },
    )


@pytest.fixture
def rng():
    return np.random.default_rng(1)


# --------------------------------------------------------------------------------------------------
# The definition


def slow_differences(data, score="probability"):
    """Model by model, seed by seed, image by image: (question, against) of each network and image,
    and the networks.
    """
    rows, cells = [], []
    for m, s in np.argwhere(data["available"].values):
        at = data.isel(model=m, seed=s)
        each = []
        for image in range(data.sizes["image"]):
            kept, removed = (
                at[score].isel(image=image).sel(operation=o) for o in ("keep", "remove")
            )
            whole = float(at[f"unmasked_{score}"][image])
            keeps = [float(kept.sel(choice="shared") - kept.sel(choice=other)) for other in AGAINST]
            lost = {choice: whole - float(removed.sel(choice=choice)) for choice in layout.CHOICES}
            each.append([keeps, [lost["shared"] - lost[other] for other in AGAINST]])
        rows.append(each)
        cells.append(int(m))
    return np.moveaxis(np.array(rows), 1, -1), np.array(cells)


def slow_jackknife(values, groups):
    """Estimate and standard error of a mean of group means over images, deleting one network and
    one image at a time.
    """

    def mean(keep_networks, keep_images):
        kept = values[:, keep_images]
        return np.mean([kept[(groups == g) & keep_networks].mean() for g in np.unique(groups)])

    n, images = values.shape
    everyone, everything = np.ones(n, bool), np.ones(images, bool)
    v_networks, v_both = 0.0, 0.0
    for g in np.unique(groups):
        own = np.flatnonzero(groups == g)
        deleted = np.array([mean(np.arange(n) != k, everything) for k in own])
        v_networks += (len(own) - 1) / len(own) * ((deleted - deleted.mean()) ** 2).sum()
        by_image = np.array(
            [[mean(np.arange(n) != k, np.arange(images) == i) for i in range(images)] for k in own]
        )
        rest = by_image - by_image.mean(axis=1, keepdims=True)
        rest -= rest.mean(axis=0)
        v_both += (len(own) - 1) / len(own) * (rest**2).sum() / (images - 1) / images
    by_image = np.array([mean(everyone, np.arange(images) == i) for i in range(images)])
    v_images = by_image.var(ddof=1) / images
    return mean(everyone, everything), np.sqrt(
        max(v_networks + v_images - v_both, v_networks, v_images)
    )


def test_estimates_and_errors_are_those_of_the_definition(rng):
    data = group(rng)
    values, cells = slow_differences(data)
    result = sufficiency(data)
    assert result["level"].values.tolist() == ["all networks"]
    for q, a in itertools.product(range(2), range(3)):
        estimate, error = slow_jackknife(values[:, q, a], cells)
        found = result.isel(level=0, question=q, against=a)
        assert found["estimate"].item() == pytest.approx(estimate, rel=1e-10)
        assert found["standard_error"].item() == pytest.approx(error, rel=1e-10)
        t = estimate / error
        assert found["statistic"].item() == pytest.approx(t, rel=1e-10)
        df = found["df"].item()
        assert found["p_value"].item() == pytest.approx(2 * stats.t.sf(abs(t), df), rel=1e-9)
        np.testing.assert_allclose(
            found["ci"], estimate + np.array([-1, 1]) * stats.t.ppf(0.975, df) * error, rtol=1e-9
        )
    np.testing.assert_allclose(
        result["p_adjusted"].values, holm(result["p_value"].values), rtol=1e-12
    )
    kept = data["probability"].where(data["available"]).mean(("seed", "image")).mean("model")
    np.testing.assert_allclose(result["score_mean"].isel(level=0), kept, rtol=1e-10)


def test_levels_of_an_axis_are_those_networks_alone(rng):
    data = group(rng)
    result = sufficiency(data, axis="pretrain")
    assert result["level"].values.tolist() == ["i", "v"]
    assert result["n_networks"].values.tolist() == [6, 9]
    for name, models in (("i", [0, 1]), ("v", [2, 3])):
        alone = sufficiency(data.isel(model=models))
        for field in ("estimate", "p_value", "ci", "loss_mean", "whole_ci", "score_ci"):
            np.testing.assert_allclose(
                result[field].sel(level=name), alone[field].isel(level=0), rtol=1e-10
            )
    np.testing.assert_allclose(result["p_adjusted"].values, holm(result["p_value"].values))


def test_a_case_by_hand():
    scores = np.array([0.9, 0.8, 0.5, 0.4, 0.1, 0.2, 0.6, 0.7, 1.0]).reshape(1, 9, 1)
    assert compared(scores)[0, 9:13, 0] == pytest.approx([0.9, 0.8, 0.4, 0.3])
    assert compared(scores)[0, 13:, 0] == pytest.approx([0.1, 0.4, 0.5, 0.1, 0.5, 0.6])


def test_order_of_labels_changes_nothing(rng):
    data = group(rng)
    other = data.isel(
        image=rng.permutation(12),
        model=[2, 0, 3, 1],
        choice=[3, 1, 0, 2],
        operation=[1, 0],
        seed=[3, 1, 4, 0, 2],
    )
    found, expected = sufficiency(other, axis="task"), sufficiency(data, axis="task")
    for name in ("estimate", "ci", "p_adjusted", "score_mean", "loss_ci"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-12)


def test_swapping_the_sets_turns_the_sign(rng):
    data = group(rng)
    swapped = data.assign(
        probability=data["probability"]
        .isel(choice=[1, 0, 2, 3])
        .assign_coords(choice=data["choice"])
    )
    a, b = (sufficiency(d)["estimate"].sel(against="own") for d in (data, swapped))
    np.testing.assert_allclose(a, -b, rtol=1e-9)


def test_a_planted_advantage_is_found_and_equal_sets_are_equal(rng):
    found = sufficiency(group(rng, effect=0.1))
    assert (found["p_adjusted"] < 0.01).all()
    np.testing.assert_allclose(found["estimate"], 0.1, atol=0.03)
    data = group(rng)
    same = data.assign(
        probability=data["probability"]
        .isel(choice=[0, 0, 0, 0])
        .assign_coords(choice=data["choice"])
    )
    result = sufficiency(same)
    assert (result["estimate"] == 0).all()
    assert (result["p_value"] == 1).all()


def test_p_values_of_the_two_way_inference_hold_their_level(rng):
    """Short: that core is calibrated in benchmarks/calibration_regions.py.

    Here with the groups and contrasts of this one.
    """
    functional = networks.network_functional(np.repeat([0, 1], 4), np.array([0.5, 0.5]))
    rejected, adjusted = 0, 0
    for _ in range(400):
        base = rng.normal(size=(8, 1, 1)) + rng.normal(size=(1, 1, 40))
        sets = 0.5 * rng.normal(size=(8, 9, 1)) + 0.5 * rng.normal(
            size=(1, 9, 40)
        )  # networks and images differ by set
        moments = networks.network_moments(
            compared(base + sets + 0.5 * rng.normal(size=(8, 9, 40))), [functional]
        )
        p = jackknife.two_way_jackknife(moments, 0).p_value[13:]
        rejected += p[0] <= 0.05
        adjusted += (holm(p) <= 0.05).any()
    most = stats.binom.ppf(0.9999, 400, 0.05)
    assert 400 * 0.01 < rejected <= most
    assert adjusted <= most


# --------------------------------------------------------------------------------------------------
# Scales


def test_unlike_numbers_of_classes_are_set_on_the_scale_of_chance(rng):
    data = group(rng, classes=(2, 100, 2, 100))
    result = sufficiency(data)
    assert result.attrs["normalise"] == "chance"
    assert any("1 / number of classes" in note for note in result.attrs["warnings"])
    chance = xr.DataArray([0.5, 0.01, 0.5, 0.01], dims="model")
    scaled = data.assign(
        probability=(data["probability"] - chance) / (1 - chance),
        unmasked_probability=(data["unmasked_probability"] - chance) / (1 - chance),
    )
    values, cells = slow_differences(scaled)
    assert result["estimate"].values[0, 1, 2] == pytest.approx(
        slow_jackknife(values[:, 1, 2], cells)[0], rel=1e-9
    )
    by_task = sufficiency(data, axis="task")
    assert by_task.attrs["normalise"] == "none"
    assert by_task["score_mean"].sel(level="g").values == pytest.approx(
        sufficiency(data, axis="task", normalise="chance")["score_mean"].sel(level="g").values * 0.5
        + 0.5
    )


def test_what_has_no_common_scale_is_refused(rng):
    data = group(rng, classes=(2, 100, 2, 100))
    with pytest.raises(ImpossibleAnalysis, match="2 and 100 classes apart"):
        sufficiency(data, normalise="none")
    margins = data.rename(probability="margin", unmasked_probability="unmasked_margin")
    with pytest.raises(ImpossibleAnalysis, match="margin is not on one scale"):
        sufficiency(margins, score="margin")
    assert sufficiency(margins, score="margin", axis="task").attrs["score"] == "margin"
    with pytest.raises(UsageError, match="a margin at chance"):
        sufficiency(margins, score="margin", normalise="chance")
    with pytest.raises(ImpossibleAnalysis, match="needs the number of classes"):
        sufficiency(data.drop_vars("n_classes"), normalise="chance")
    with pytest.raises(InvalidData, match="n_classes is 1"):
        sufficiency(group(rng, classes=(2, 1, 2, 2)))


def test_where_the_area_is_enough_for_nothing_it_is_said(rng):
    data = group(rng, classes=(4, 4, 4, 4))
    data["probability"][:, :, 0] = 0.26
    notes = sufficiency(data).attrs["warnings"]
    assert any("so small an area is enough for nothing" in note for note in notes)
    data["unmasked_probability"][:] = 0.5
    data["probability"][:, :, 0] = 0.28  # 12 % of what whole images reach above chance
    assert not any("enough for nothing" in note for note in sufficiency(data).attrs["warnings"])
    assert not any(
        "enough for nothing" in note
        for note in sufficiency(group(rng, classes=(4, 4, 4, 4))).attrs["warnings"]
    )


# --------------------------------------------------------------------------------------------------
# What is left out, and what is refused


def test_images_without_a_set_are_left_out_and_counted(rng):
    data = group(rng, images=14)
    expected = sufficiency(data.isel(image=slice(12)))
    data["area"][12], data["area"][13] = 0, np.nan
    data["probability"][..., 12:] = np.nan
    result = sufficiency(data)
    np.testing.assert_allclose(result["estimate"], expected["estimate"], rtol=1e-10)
    assert [int(result[name]) for name in ("n_images", "n_empty", "n_left_out")] == [12, 1, 1]
    assert result["area"].item() == pytest.approx(float(data["area"][:12].mean()))
    left_out = "1 image(s) left out on which the others of some network share no pixel"
    assert left_out in result.attrs["warnings"]


def test_an_image_counts_where_every_network_has_a_set(rng):
    data = group(rng, images=12)
    area = data["area"].expand_dims(model=data["model"], seed=data["seed"]).copy()
    area[1, 0, 4], area[0, 2, 5] = 0, 0
    result = sufficiency(data.assign(area=area))
    expected = sufficiency(data.drop_isel(image=[4, 5]))
    np.testing.assert_allclose(result["estimate"], expected["estimate"], rtol=1e-10)
    assert [int(result[name]) for name in ("n_images", "n_empty", "n_left_out")] == [10, 2, 0]
    area = np.where(data["available"], area.values.transpose(2, 0, 1), np.nan)
    assert result["area"].item() == pytest.approx(np.nanmean(np.delete(area, [4, 5], axis=0)))


def test_scores_that_do_not_say_whose_sets_they_are_are_warned_of_or_refused(rng):
    data = group(rng)
    assert not any("sets_of" in note for note in sufficiency(data).attrs["warnings"])
    del data.attrs["sets_of"]
    notes = sufficiency(data).attrs["warnings"]
    assert sum("do not say whose sets" in note for note in notes) == 1
    with pytest.raises(
        InvalidData, match=r"relstats 0\.1\.0 computed them.*--masks shared --force"
    ):
        sufficiency(data.assign_attrs(choice_about="shared: the set of the result"))


def test_nan_scores_are_refused_or_left_out_on_purpose(rng):
    data = group(rng)
    data["probability"][1, 2, 0, 0, 5] = np.nan
    with pytest.raises(InvalidData, match=r"NaN in 1 cell\(s\) \(e.g. b seed 2, image '005'\)"):
        sufficiency(data)
    result = sufficiency(data, nan="omit")
    assert int(result["n_images"]) == 11
    np.testing.assert_allclose(
        result["estimate"], sufficiency(data.drop_isel(image=5))["estimate"], rtol=1e-10
    )


@pytest.mark.parametrize("value", [np.inf, -0.1, 1.5])
def test_impossible_scores_are_refused(rng, value):
    data = group(rng)
    data["probability"][0, 0, 1, 2, 3] = value
    with pytest.raises(InvalidData, match=r"1 cell\(s\) .* a seed 0, image '003'"):
        sufficiency(data)


def test_one_network_of_a_model_is_said(rng):
    result = sufficiency(group(rng, seeds=(3, 1, 2, 2)))
    assert result["random"].values.tolist() == ["images"]
    assert any(note.startswith("b has one network only") for note in result.attrs["warnings"])


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"score": "logit"}, "score is 'logit'"),
        ({"normalise": "target"}, "normalise is 'target'"),
        ({"nan": "drop"}, "nan is 'drop'"),
        ({"confidence": 1.0}, "confidence is 1.0"),
        ({"axis": "pretain"}, "Did you mean 'pretrain'"),
        ({"score": "correct"}, "'correct' was not measured"),
        ({"masks": "shared_task"}, "of the sets of 'shared', not 'shared_task'"),
    ],
)
def test_unknown_options_are_refused(rng, options, what):
    with pytest.raises(UsageError, match=what):
        sufficiency(group(rng), **options)


def test_studies_that_lack_something_are_refused(rng):
    data = group(rng)
    with pytest.raises(
        UsageError, match=r"no /sufficiency; .*transfer STUDY.toml STUDY.zarr --masks shared"
    ):
        sufficiency(xr.DataTree.from_dict({"relevance": data}))
    with pytest.raises(InvalidData, match="choice lacks random"):
        sufficiency(data.isel(choice=slice(3)))
    with pytest.raises(InvalidData, match="/sufficiency/area: missing"):
        sufficiency(data.drop_vars("area"))
    with pytest.raises(ImpossibleAnalysis, match=r"no image has a shared set .*12 without a set"):
        sufficiency(data.assign(area=0 * data["area"]))
    with pytest.raises(ImpossibleAnalysis, match="no network"):
        sufficiency(data.assign(available=data["available"] & False))


def test_the_result_says_what_was_done(rng):
    result = relstats.sufficiency(group(rng))
    assert result["question"].values.tolist() == list(QUESTIONS)
    for part in (
        "12 images",
        "15 networks",
        "blur",
        "3 draws",
        "Holm",
        "6 comparisons",
        "probability",
    ):
        assert part in result.attrs["method"]
    assert result.attrs["population"].startswith(
        "intervals and p-values over networks and images like those"
    )


# --------------------------------------------------------------------------------------------------
# The command


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sufficiency") / "study.zarr"
    data = group(np.random.default_rng(2), effect=0.1)
    other = relstats.relevance_dataset(
        np.random.default_rng(1).random((4, 5, 12, 4, 4)),
        models=list("abcd"),
        seeds=data["seed"].values,
        images=data["image"].values,
        available=data["available"].values,
    )
    save.save_study(xr.DataTree.from_dict({"relevance": other, "sufficiency": data}), folder)
    return folder


def test_the_command_prints_and_saves(path):
    code, out, err = run("sufficiency", path)
    assert code == 0, err
    assert "image_swap" in out
    assert "whole mean" in out
    assert "like those measured (15 networks, 12 images)" in err
    saved = store.open_study(path)["results/sufficiency_shared"].to_dataset()
    assert saved.attrs["statistic"] == "sufficiency"
    code, out, err = run("sufficiency", path, "--axis", "pretrain", "--json")
    assert code == 0, err
    assert json.loads(out)
    assert "sufficiency_shared_pretrain" in store.open_study(path)["results"]


def test_errors_of_the_command_have_their_exit_codes(path):
    code, out, err = run("sufficiency", path, "--masks", "other")
    assert (code, out) == (2, "")
    assert "not 'other'" in err
