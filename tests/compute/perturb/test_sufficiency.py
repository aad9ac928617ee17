import itertools
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from PIL import Image

import relstats
from relstats.compute import images, models
from relstats.compute.perturb import designs, fills, scoring, sets, viewing
from relstats.compute.perturb.sufficiency import describe, rehearse, score_sets
from relstats.compute.stream.export import export
from relstats.compute.study_file.settings import true_classes
from relstats.compute.study_file.study import read_study
from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.stats.maps import single as analysis
from relstats.study import arrays, check, layout, save, shards, store, verify, writing

NETWORKS = [("gender", "0"), ("gender", "1"), ("identity", "0")]


def save_shared(out, name="shared", **options):
    found = relstats.shared(
        relstats.open_study(out), n_swaps=19, rng=np.random.default_rng(1), **options
    )
    writing.save_result(out, name, found)


@pytest.fixture(scope="module")
def computed(make_study, tmp_path_factory):
    """A study file, and a study with its relevance and its shared pixels.

    Copies of it are scored.
    """
    folder = tmp_path_factory.mktemp("computed")
    export(read_study(make_study(folder)), folder / "relevance.zarr")
    save_shared(folder / "relevance.zarr", fraction=0.3, consensus="majority")
    return folder


@pytest.fixture
def study(computed):
    return read_study(computed / "study.toml")


@pytest.fixture
def out(computed, tmp_path):
    return Path(shutil.copytree(computed / "relevance.zarr", tmp_path / "study.zarr"))


@pytest.fixture(scope="module")
def scored(computed):
    """The study of `computed` with all its scores: tests read it, or write into a copy."""
    whole = Path(shutil.copytree(computed / "relevance.zarr", computed / "whole.zarr"))
    score_sets(read_study(computed / "study.toml"), whole, "shared")
    return whole


@pytest.fixture(scope="module")
def uninterrupted(scored):
    return contents(scored)


def setting(study, **changes):
    return replace(study, transfer=replace(study.transfer, **changes))


def loaded(out, group):
    """A group in memory; NaN where a network does not exist."""
    return xr.open_zarr(out, group=group, consolidated=False, chunks=None).load()


def group_of(out):
    assert store.incomplete(store.open_study(out), "sufficiency") == []
    assert verify.verify(out) == []
    assert check.check(store.open_study(out)) == []
    return loaded(out, "sufficiency")


def result_of(out, name="shared"):
    return store.open_study(out)[f"results/{name}"].to_dataset().load()


def contents(out):
    return {
        str(p.relative_to(out)): p.read_bytes() for p in sorted(Path(out).rglob("*")) if p.is_file()
    }


# --------------------------------------------------------------------------------------------------
# Scores, against a slow loop


def one_by_one(study, target, picture, k):
    """Correct, probability and margin of one picture by one network, in float64."""
    model = next(m for m in study.models if m.name == target[0])
    with models.modules_of(study.path.parent):
        module = models.build(model, target[1], torch.device("cpu"), torch.float64)
    colours = (picture / 255 - np.array(model.preprocessing.mean)) / np.array(
        model.preprocessing.std
    )
    logits = module(torch.from_numpy(colours.transpose(2, 0, 1))[None])[0].numpy()
    true = true_classes(model, study.images.table)[k]
    others = np.delete(logits, true).max()
    return (
        float(logits[true] > others),
        np.exp(logits[true]) / np.exp(logits).sum(),
        logits[true] - others,
    )


def slow_others(result, relevance, network, k):
    """What the networks of a result but one share on image k, network by network: their set, and
    how many of them have each pixel.
    """
    how = result["core"].attrs
    names = list(zip(result["network_model"].values, result["network_seed"].values, strict=True))
    others = [(i, name) for i, name in enumerate(names) if name != network]
    conditions = result["network_condition"].values
    inside, total = True, 0
    for condition in set(conditions):
        members = [name for i, name in others if conditions[i] == condition]
        masks = [
            analysis.top_fraction(
                relevance.sel(model=m, seed=s).values[k].ravel(), how["fraction"], how["ranking"]
            )
            for m, s in members
        ]
        needed = {"majority": len(masks) // 2 + 1, "all": len(masks)}[how["consensus"]]
        inside = inside & (np.sum(masks, axis=0) >= needed)
        total = total + np.sum(masks, axis=0)
    return inside, total


def slow_sets(result, relevance, network, ids, k, n_control, seed, ranking="positive"):
    """The sets of one image, one pixel after the other, by choice: a list of draws of each."""
    found = [slow_others(result, relevance, network, image) for image in range(len(ids))]
    core, count = (np.array([each[i] for each in found]) for i in (0, 1))
    names = zip(result["network_model"].values, result["network_seed"].values, strict=True)
    areas = np.array(
        [
            [slow_others(result, relevance, name, image)[0].sum() for image in range(len(ids))]
            for name in names
        ]
    )
    area = core[k].sum()
    own = relevance.sel(model=network[0], seed=network[1]).values[k].ravel()
    own = np.abs(own) if ranking == "absolute" else own
    scrambled = np.argsort(analysis.tie_order(own.size))

    def top(order):
        place = sorted(scrambled, key=lambda pixel: -float(order[pixel]))  # stable
        return np.isin(np.arange(own.size), place[:area])

    usable = [image for image in range(len(ids)) if areas[:, image].all() and image != k]
    near = sorted(usable, key=lambda image: abs(areas[:, image].sum() - areas[:, k].sum()))[:10]
    swaps = [
        near[fills.stream(seed, ids[k], 2, draw).integers(len(near))] for draw in range(n_control)
    ]
    random = [
        1 - fills.stream(seed, ids[k], 3, draw).random(own.size, np.float32)
        for draw in range(n_control)
    ]
    return {
        "shared": [core[k]],
        "own": [top(own)],
        "image_swap": [top(count[j] + 1000.0 * core[j]) for j in swaps],
        "random": [top(values) for values in random],
    }


@pytest.mark.parametrize("ranking", ["positive", "absolute"])
def test_scores_are_those_of_a_slow_loop(study, out, ranking):
    save_shared(out, "again", fraction=0.3, consensus="majority", ranking=ranking)
    study = setting(study, fill="blur", n_control=2, seed=4)
    score_sets(study, out, "again")
    found, result = group_of(out), result_of(out, "again")
    relevance = loaded(out, "relevance")["relevance"]
    ids = list(study.images.table.index)
    pixels = images.load_images(study.images, ids)
    filled = fills.backgrounds(pixels, ids, fill="blur", colour=(), seed=4)
    for network, k in itertools.product(NETWORKS[1:], (0, 7)):
        got = found.sel(model=network[0], seed=network[1]).isel(image=k)
        chosen = slow_sets(result, relevance, network, ids, k, 2, 4, ranking)
        assert {mask.sum() for masks in chosen.values() for mask in masks} == {
            chosen["shared"][0].sum()
        }
        for choice, operation in itertools.product(layout.CHOICES, layout.OPERATIONS):
            kept = [m if operation == "keep" else ~m for m in chosen[choice]]
            shown = [np.where(mask.reshape(16, 16, 1), pixels[k], filled[k]) for mask in kept]
            expected = np.mean(
                [one_by_one(study, network, picture, k) for picture in shown], axis=0
            )
            for name, value in zip(scoring.SCORES, expected, strict=True):
                there = got[name].sel(choice=choice, operation=operation)
                assert float(there) == pytest.approx(value, abs=1e-3), (
                    name,
                    network,
                    k,
                    choice,
                    operation,
                )
        for name, value in zip(
            scoring.SCORES, one_by_one(study, network, pixels[k], k), strict=True
        ):
            assert float(got[f"unmasked_{name}"]) == pytest.approx(value, abs=5e-4)


def loaded_sets(out, study, maps, name="shared"):
    """The sets of the others, and the design."""
    shared = sets.read_shared(out, name, maps)
    return sets.others_sets(shared, maps, torch.device("cpu")), designs.design(study, maps)


@pytest.mark.parametrize("ranking", ["positive", "absolute"])
def test_sets_are_those_of_a_slow_loop(study, out, ranking):
    maps = loaded(out, "relevance")
    if ranking == "absolute":
        maps["relevance"] = -maps["relevance"]  # the sign counts for nothing
    save_shared(out, "again", fraction=0.3, consensus="majority", ranking=ranking)
    study, result = setting(study, n_control=3, seed=4), result_of(out, "again")
    chosen, whole = loaded_sets(out, study, maps, "again")
    images = np.array([0, 2, 11])
    for network in NETWORKS:
        got = sets.network_sets(chosen, whole, network, images, torch.device("cpu")).numpy()
        for row, k in enumerate(images):
            expected = slow_sets(result, maps["relevance"], network, whole.ids, k, 3, 4, ranking)
            there = [mask for choice in layout.CHOICES for mask in expected[choice]]
            np.testing.assert_array_equal(got[:, row], there)
    drawn = np.array([sets.swaps(chosen, whole, images, draw) for draw in range(300)])
    for column, k in zip(drawn.T, images, strict=True):
        assert len(set(column)) == 10
        assert k not in column


def test_a_network_has_no_part_in_the_set_that_it_is_shown(study, out):
    save_shared(out, "again", fraction=0.3, consensus="majority")
    maps = loaded(out, "relevance")
    before, _ = loaded_sets(out, study, maps, "again")
    model, seed = NETWORKS[1]
    changed = maps["relevance"].sel(model=model, seed=seed)
    changed[:] = changed.values[:, ::-1]
    save.save_study(xr.DataTree.from_dict({"relevance": maps}), out.parent / "changed.zarr")
    save_shared(out.parent / "changed.zarr", fraction=0.3, consensus="majority")
    after, _ = loaded_sets(out.parent / "changed.zarr", study, maps)
    images = np.arange(12)
    shown = [
        each.marks.of_others(each.position((model, seed)), images)[0] for each in (before, after)
    ]
    np.testing.assert_array_equal(*shown)
    other = before.position(NETWORKS[0])
    assert (
        before.marks.of_others(other, images)[0] != after.marks.of_others(other, images)[0]
    ).any()


def test_the_group_says_how_it_was_made(study, scored):
    found = group_of(scored)
    assert {
        k: found.attrs[k]
        for k in (
            "masks",
            "sets_of",
            "fraction",
            "ranking",
            "consensus",
            "fill",
            "n_control",
            "batch",
        )
    } == {
        "masks": "shared",
        "sets_of": "other networks",
        "fraction": 0.3,
        "ranking": "positive",
        "consensus": "majority",
        "fill": "mean",
        "n_control": 5,
        "batch": 5,
    }
    assert found["available"].values.tolist() == [[True, True], [True, False]]
    assert found["n_classes"].values.tolist() == [2, 3]
    assert found["task"].values.tolist() == ["gender", "identity"]
    chosen, _ = loaded_sets(scored, study, loaded(scored, "relevance"))
    for network, area in zip(NETWORKS, chosen.areas / 256, strict=True):
        np.testing.assert_allclose(found["area"].sel(model=network[0], seed=network[1]), area)
    answer = relstats.sufficiency(store.open_study(scored))
    assert answer.attrs["masks"] == "shared"
    assert answer["n_networks"].values.tolist() == [3]
    assert any("chance" in note for note in answer.attrs["warnings"])


# --------------------------------------------------------------------------------------------------
# Planted sets


def planted(folder, make_study, where, n=24, fraction=16 / 256):
    """A study whose images have a red or green patch on blueish noise, and maps that mark
    `where(image)` of them.
    """
    make_study(folder, images=n)
    rng, masks = np.random.default_rng(5), []
    for k in range(n):
        picture = np.repeat(rng.integers(90, 130, (16, 16, 1), dtype=np.uint8), 3, axis=2)
        y, x = (4 * (k % 4), 4 * (k // 4 % 4))
        patch = np.zeros((16, 16), bool)
        patch[y : y + 4, x : x + 4] = True
        picture[patch] = ([255, 0, 0], [0, 255, 0])[k % 2]  # f, m
        Image.fromarray(picture).save(folder / f"photos/{k}.png")
        masks.append(where(patch, rng))
    study = read_study(folder / "study.toml")
    study = setting(study, fill="value", fill_value=(110.0,), n_control=3)
    relevance = np.array(masks) * rng.uniform(1, 2, (2, 2, n, 16, 16)) + 0.1 * rng.random(
        (2, 2, n, 16, 16)
    )
    ids = list(study.images.table.index)
    group = arrays.relevance_dataset(
        relevance.astype(np.float32),
        models=["gender", "identity"],
        images=ids,
        available=np.array([[True, True], [True, False]]),
    )
    out = folder / "planted.zarr"
    save.save_study(xr.DataTree.from_dict({"relevance": group}), out)
    save_shared(out, fraction=fraction)
    return replace(study, models=study.models[:1]), out, np.array(masks)


def looks_at_colours(pictures, target):
    """Logits of a network that sees nothing but how much red and green there is."""
    colours = pictures.astype(float).mean(axis=(1, 2))
    return (colours[:, :2] - colours[:, 2:]) / 4


def test_a_planted_set_is_sufficient_and_necessary(tmp_path, make_study):
    study, out, masks = planted(tmp_path, make_study, lambda patch, rng: patch)
    said = []
    score_sets(study, out, "shared", score=looks_at_colours, say=said.append)
    np.testing.assert_array_equal(result_of(out)["core"], masks)
    assert said == [
        "warning: 1 network(s) of the result are not scored: the study file does not have them"
        " (identity seed 0)"
    ]
    scores = group_of(out)["probability"].sel(model="gender").mean("image").isel(seed=0)
    assert scores.sel(choice=["shared", "own"], operation="keep").values == pytest.approx(
        1, abs=0.05
    )
    assert scores.sel(choice=["shared", "own"], operation="remove").values == pytest.approx(
        0.5, abs=0.01
    )
    assert (scores.sel(choice=["image_swap", "random"], operation="keep") < 0.75).all()
    assert (scores.sel(choice=["image_swap", "random"], operation="remove") > 0.85).all()
    result = relstats.sufficiency(store.open_study(out)).isel(level=0)
    others = result.sel(against=["image_swap", "random"])
    assert (others["p_adjusted"] < 0.001).all()
    assert (others["estimate"] > 0.2).all()
    assert (np.abs(result["estimate"].sel(against="own")) < 1e-3).all()


def test_a_random_set_is_neither(tmp_path, make_study):
    def anywhere(patch, rng):
        return rng.permuted(patch.ravel()).reshape(16, 16)

    study, out, masks = planted(tmp_path, make_study, anywhere)
    score_sets(study, out, "shared", score=looks_at_colours)
    np.testing.assert_array_equal(result_of(out)["core"], masks)
    result = (
        relstats.sufficiency(store.open_study(out))
        .isel(level=0)
        .sel(against=["image_swap", "random"])
    )
    assert (np.abs(result["estimate"]) < 0.06).all()
    assert (result["p_adjusted"] > 0.05).all()


def test_images_without_a_set_of_the_others_have_no_scores_and_are_counted(tmp_path, make_study):
    def apart(patch, rng):
        return patch

    study, out, masks = planted(tmp_path, make_study, apart)
    maps = loaded(out, "relevance")
    flat = np.zeros((16, 16), bool)
    flat[12:] = True  # this network alone has other pixels on image 003
    maps["relevance"][0, 1, 3] = np.where(np.roll(masks[3], 8, axis=0), 2.0, 0.1 * flat)
    save.save_study(xr.DataTree.from_dict({"relevance": maps}), out.parent / "other.zarr")
    out = out.parent / "other.zarr"
    save_shared(out, fraction=16 / 256)
    writing.save_result(out, "shared", with_core(result_of(out).drop_isel(image=7)))
    score_sets(study, out, "shared", score=looks_at_colours)
    found = group_of(out)
    lost = found["probability"].isel(seed=0).sel(model="gender").isnull()
    assert lost.any(("operation", "choice")).values.nonzero()[0].tolist() == [3, 7]
    assert lost.isel(image=[3, 7]).all()
    assert found["unmasked_probability"].sel(model="gender").notnull().all()
    area = found["area"].sel(model="gender")
    assert (area.values[:, 3] > 0).tolist() == [False, True]
    assert np.isnan(area.values[:, 7]).all()
    answer = relstats.sufficiency(store.open_study(out))
    assert [int(answer[name]) for name in ("n_images", "n_empty", "n_left_out")] == [22, 1, 1]


def with_core(result):
    """A result whose core still says how it was made."""
    result["core"].attrs = {"fraction": 16 / 256, "ranking": "positive", "consensus": "most"}
    return result


def test_all_sets_of_a_network_have_the_area_of_the_others_set(tmp_path, make_study):
    study, out, _ = planted(tmp_path, make_study, lambda patch, rng: patch)
    maps = loaded(out, "relevance")
    values = maps["relevance"].values
    values[0, 0, :12] = np.where(values[0, 0, :12] > 1.9, values[0, 0, :12], -1.0)  # few positive
    values[1, 0, :, :2] = 3.0  # and one that agrees less
    save.save_study(xr.DataTree.from_dict({"relevance": maps}), out.parent / "other.zarr")
    save_shared(out.parent / "other.zarr", fraction=0.2, consensus="majority")
    chosen, whole = loaded_sets(out.parent / "other.zarr", study, maps)
    images = chosen.images()
    for network in NETWORKS[:2]:
        shown = sets.network_sets(chosen, whole, network, images, torch.device("cpu")).numpy()
        area = chosen.areas[chosen.position(network), images]
        assert len(set(area)) > 3
        assert (shown.sum(axis=-1) == area).all()
    assert (chosen.areas[0, images] != chosen.areas[1, images]).any()


# --------------------------------------------------------------------------------------------------
# What is refused


def test_a_result_that_is_not_there_or_has_no_sets_is_refused(study, out):
    writing.save_result(out, "other", xr.Dataset({"estimate": 1.0}))
    with pytest.raises(
        UsageError, match=r"no /results/sharde; .* there are shared\. Did you mean 'shared'\?"
    ):
        score_sets(study, out, "sharde")
    with pytest.raises(UsageError, match=r"/results/other .* holds no shared sets"):
        score_sets(study, out, "other")
    assert not (out / "sufficiency").exists()


def test_sets_of_another_size_are_refused(study, out):
    result = result_of(out)
    smaller = result.isel(y=slice(8))
    writing.save_result(out, "shared", smaller)
    with pytest.raises(InvalidData, match="sets have 8 x 16 pixels, maps 16 x 16"):
        score_sets(study, out, "shared")


def test_sets_of_another_study_are_refused(study, out):
    result = result_of(out)
    seeds = result["network_seed"].values.copy()
    seeds[0] = "9"
    other = result.assign_coords(
        image=[*result["image"].values[:-1], "x"], network_seed=("network", seeds)
    )
    writing.save_result(out, "shared", other)
    with pytest.raises(
        InvalidData,
        match=r"another study: 1 image\(s\) \('x'\) and 1 network\(s\) \(gender seed 9\)",
    ):
        score_sets(study, out, "shared")


def test_sets_of_other_maps_are_refused(study, out):
    result = result_of(out)
    rolled = result.assign(count=result["count"].roll(x=1), core=result["core"].roll(x=1))
    writing.save_result(out, "shared", rolled)
    with pytest.raises(
        InvalidData, match=r"made from other maps .*'000'\)\. Run relstats shared again"
    ):
        score_sets(study, out, "shared")


def test_one_image_with_a_set_has_no_other_to_swap_with(study, out):
    attrs = result_of(out)["core"].attrs
    result = result_of(out).isel(image=[2])
    result["core"].attrs = attrs
    writing.save_result(out, "shared", result)
    with pytest.raises(InvalidData, match=r"1 image\(s\) on which the others of every network"):
        score_sets(study, out, "shared")


def test_a_core_that_was_changed_by_hand_has_no_sets_of_others(study, out):
    result = result_of(out)
    core = result["core"] & (result["image"] != "002")
    core.attrs = result["core"].attrs
    writing.save_result(out, "shared", result.assign(core=core))
    with pytest.raises(InvalidData, match=r"other maps than those in /relevance \(image '002'\)"):
        score_sets(study, out, "shared")


def test_without_one_network_enough_must_be_left(study, out):
    save_shared(out, "by_task", fraction=0.3, consensus="majority", across=["task"])
    with pytest.raises(
        ImpossibleAnalysis, match=r"1 condition\(s\) of one network \(identity\).* fewer axes"
    ):
        score_sets(study, out, "by_task")
    two = loaded(out, "relevance").sel(model=["gender"])
    save.save_study(xr.DataTree.from_dict({"relevance": two}), out.parent / "two.zarr")
    save_shared(out.parent / "two.zarr", fraction=0.3)
    with pytest.raises(ImpossibleAnalysis, match=r"of 2 networks: .* without it 1 is left"):
        score_sets(replace(study, models=study.models[:1]), out.parent / "two.zarr", "shared")
    assert not (out / "sufficiency").exists()


def as_of_0_1_0(out):
    """As if the scores were those of the sets of all networks."""
    attrs = zarr.open_group(str(out), mode="r+", use_consolidated=False)["sufficiency"].attrs
    del attrs["sets_of"]
    attrs["relstats_plan"] = "relstats transfer --masks shared, fill mean, settings 0"


def test_scores_of_sets_of_all_networks_are_neither_resumed_nor_tested(study, out):
    score_sets(study, out, "shared")
    fresh = contents(out)
    as_of_0_1_0(out)
    before = contents(out)
    with pytest.raises(UsageError, match=r"as relstats 0.1.0 wrote them: .* with --force"):
        score_sets(study, out, "shared")
    with pytest.raises(InvalidData, match=r"each network helped to find .*--masks shared --force"):
        relstats.sufficiency(store.open_study(out))
    assert contents(out) == before
    score_sets(study, out, "shared", force=True)
    assert contents(out / "sufficiency") == {
        name.removeprefix("sufficiency/"): made
        for name, made in fresh.items()
        if name.startswith("sufficiency/")
    }


def test_a_study_file_without_its_networks_or_without_transfer_is_refused(study, out):
    renamed = replace(
        study, models=tuple(replace(model, name=f"new {model.name}") for model in study.models)
    )
    with pytest.raises(InvalidData, match="none of the networks of /results/shared"):
        score_sets(renamed, out, "shared")
    with pytest.raises(UsageError, match=r"has no \[transfer\]"):
        score_sets(replace(study, transfer=None), out, "shared")


def test_other_settings_are_refused_and_replaced_by_force(study, scored, tmp_path):
    out = Path(shutil.copytree(scored, tmp_path / "study.zarr"))
    save_shared(out, "smaller", fraction=0.2, consensus="majority")
    with pytest.raises(
        UsageError, match=r"/sufficiency .* --masks shared, .* now .* --masks smaller, .*--force"
    ):
        score_sets(study, out, "smaller")
    with pytest.raises(UsageError, match="other settings"):
        score_sets(setting(study, n_control=2), out, "shared")
    before = contents(out / "relevance")
    score_sets(study, out, "smaller", force=True)
    assert group_of(out).attrs["masks"] == "smaller"
    assert contents(out / "relevance") == before


def test_fractions_and_operation_of_a_transfer_are_no_settings_of_it(study, scored, tmp_path):
    out = Path(shutil.copytree(scored, tmp_path / "study.zarr"))
    before = contents(out)
    score_sets(
        setting(study, fractions=(0.7,), operation="remove", control="random"), out, "shared"
    )
    assert contents(out) == before


def test_what_would_be_done_is_said_and_nothing_is_written(study, out):
    before = contents(out)
    assert describe(study, out, "shared").startswith(
        "3 networks x 12 of 12 images, each with the set of the other networks as in"
        " /results/shared (that of all has"
    )
    assert "5 image-swapped and 5 random set(s): at most 864 masked images" in describe(
        study, out, "shared"
    )
    assert rehearse(study, out, "shared").startswith("about")
    assert contents(out) == before


# --------------------------------------------------------------------------------------------------
# Interruptions, workers, memory


class Stop(Exception):
    pass


@pytest.mark.parametrize("parts", [1, 2])
def test_a_run_that_is_stopped_and_resumed_has_the_same_bytes(study, out, uninterrupted, parts):
    seen = []

    def stop(done, total):
        seen.append((done, total))
        if len(seen) == parts:
            raise Stop

    with pytest.raises(Stop):
        score_sets(study, out, "shared", progress=stop)
    assert len(shards.unfinished(out, "sufficiency")) == 3 - parts
    with pytest.raises(InvalidData, match="are not written"):
        relstats.sufficiency(store.open_study(out))
    totals = []
    score_sets(study, out, "shared", progress=lambda done, total: totals.append(total))
    assert seen[-1] == (288 * parts, 864)
    assert set(totals) == {864 - 288 * parts}
    assert contents(out) == uninterrupted


def test_workers_share_the_work_and_write_the_same_bytes(study, out, uninterrupted):
    for k in (1, 0):
        score_sets(study, out, "shared", worker=(k, 2))
    assert contents(out) == uninterrupted
    score_sets(study, out, "shared")
    assert contents(out) == uninterrupted


def test_a_killed_run_resumes_to_the_same_bytes(computed, study, out, uninterrupted, started):
    process = started("transfer", computed / "study.toml", out, "--masks", "shared")
    deadline = time.monotonic() + 300
    while not list(out.glob("sufficiency/probability/c/*")) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert shards.unfinished(out, "sufficiency")
    again = started("transfer", computed / "study.toml", out, "--masks", "shared")
    errors = again.wait()
    assert again.returncode == 0, errors
    assert contents(out) == uninterrupted


def test_blocks_of_images_are_scored_as_if_they_were_one(study, out, monkeypatch, scored):
    assert (
        layout.FAMILIES["sufficiency"].images_per_shard
        == layout.FAMILIES["transfer"].images_per_shard
    )
    expected = group_of(scored)
    for family in ("sufficiency", "transfer"):
        monkeypatch.setitem(
            layout.FAMILIES, family, replace(layout.FAMILIES[family], images_per_shard=5)
        )
    result = result_of(out)
    attrs = result["core"].attrs
    result = result.drop_isel(image=range(5, 10))  # none in the second block
    result["core"].attrs = attrs
    score_sets(study, out, "shared")
    found = group_of(out)
    assert len(shards.expected(out, "sufficiency")) == 9
    for name in ("probability", "unmasked_probability", "area"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-3)
    writing.save_result(out, "shared", result)
    score_sets(study, out, "shared", force=True)
    lost = group_of(out)["probability"].isel(model=0, seed=0).isnull()
    assert lost.all(("operation", "choice")).values.nonzero()[0].tolist() == [5, 6, 7, 8, 9]
    assert lost.any(("operation", "choice")).sum() == 5


def test_out_of_memory_halves_the_batch_says_so_and_records_it(study, out, monkeypatch, scored):
    real, said = viewing.images.to_input, []

    def little_memory(pixels, *rest):
        if len(pixels) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(pixels, *rest)

    monkeypatch.setattr(viewing.images, "to_input", little_memory)
    score_sets(study, out, "shared", say=said.append)
    assert (
        said[0] == "out of memory: model 'gender', seed '0' goes on in batches of 3; recorded in"
        " batch_reduced of /sufficiency"
    )
    found = group_of(out)
    assert "model 'identity', seed '0', images 0 to 11" in found.attrs["batch_reduced"]
    np.testing.assert_allclose(found["margin"], group_of(scored)["margin"], atol=2e-3)
