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

from relstats.compute import images, models
from relstats.compute.perturb import designs, fills, scoring, viewing
from relstats.compute.perturb.maps import swaps
from relstats.compute.perturb.transfer import describe, rehearse, transfer
from relstats.compute.stream import running
from relstats.compute.stream.export import export
from relstats.compute.study_file.settings import true_classes
from relstats.compute.study_file.study import read_study
from relstats.errors import InvalidData, UsageError
from relstats.stats.compare import compare
from relstats.stats.maps import single as analysis
from relstats.study import arrays, save, shards, store, verify, writing

NETWORKS = (("gender", "0"), ("gender", "1"), ("identity", "0"))


@pytest.fixture(scope="module")
def computed(make_study, tmp_path_factory):
    """A study file and a study with its relevance; copies of it are transferred."""
    folder = tmp_path_factory.mktemp("computed")
    export(read_study(make_study(folder)), folder / "relevance.zarr")
    return folder


@pytest.fixture
def study(computed):
    return read_study(computed / "study.toml")


@pytest.fixture
def out(computed, tmp_path):
    return Path(shutil.copytree(computed / "relevance.zarr", tmp_path / "study.zarr"))


@pytest.fixture(scope="module")
def transferred(computed):
    """The study of `computed` with all its scores: tests read it, or write into a copy."""
    whole = Path(shutil.copytree(computed / "relevance.zarr", computed / "whole.zarr"))
    transfer(read_study(computed / "study.toml"), whole)
    return whole


@pytest.fixture(scope="module")
def uninterrupted(transferred):
    return contents(transferred)


def setting(study, **changes):
    return replace(study, transfer=replace(study.transfer, **changes))


def loaded(out, group):
    """A group in memory; NaN where a network does not exist."""
    return xr.open_zarr(out, group=group, consolidated=False, chunks=None).load()


def scores_of(out):
    found = loaded(out, "transfer")
    assert store.incomplete(store.open_study(out), "transfer") == []
    assert verify.verify(out) == []
    return found


def contents(out):
    return {
        str(p.relative_to(out)): p.read_bytes() for p in sorted(Path(out).rglob("*")) if p.is_file()
    }


def relevance_of(out):
    return loaded(out, "relevance")


# --------------------------------------------------------------------------------------------------
# Scores, against a slow loop


def filled(study, pixels, k):
    how = study.transfer
    if how.fill == "mean":
        return np.broadcast_to(np.rint(pixels.mean((0, 1, 2), dtype=np.float64)), pixels[k].shape)
    if how.fill == "value":
        return np.broadcast_to(how.fill_value, pixels[k].shape)
    ids = list(study.images.table.index)
    return fills.backgrounds(
        pixels[k : k + 1], ids[k : k + 1], fill=how.fill, colour=(), seed=how.seed
    )[0]


def shown(study, pixels, k, mask):
    kept = mask if study.transfer.operation == "keep" else ~mask
    return np.where(kept.reshape(16, 16, 1), pixels[k], filled(study, pixels, k)).astype(np.uint8)


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
    others = np.delete(logits, true)
    return (
        float(logits[true] > others.max()),
        np.exp(logits[true]) / np.exp(logits).sum(),
        logits[true] - others.max(),
    )


CASES = [
    {"fill": "mean"},
    {"fill": "blur", "operation": "remove", "ranking": "absolute"},
    {"fill": "noise", "ranking": "signed", "seed": 3},
    {"fill": "value", "fill_value": (0.0, 100.0, 255.0), "operation": "remove"},
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["fill"])
def test_scores_are_those_of_a_slow_loop(study, out, case):
    study = setting(study, **case, n_control=1)
    transfer(study, out)
    found, maps = scores_of(out), relevance_of(out)
    pixels = images.load_images(study.images, study.images.table.index)
    for source, target in itertools.product(NETWORKS, NETWORKS[1:]):
        relevance = maps["relevance"].sel(model=source[0], seed=source[1]).values.reshape(12, -1)
        masks = analysis.top_fractions(relevance, study.transfer.fractions, study.transfer.ranking)
        got = found.sel(
            source_model=source[0],
            source_seed=source[1],
            target_model=target[0],
            target_seed=target[1],
        )
        for f, k in itertools.product(range(2), (0, 7)):
            expected = one_by_one(study, target, shown(study, pixels, k, masks[f, k]), k)
            for name, value in zip(scoring.SCORES, expected, strict=True):
                assert float(got[name][f, k]) == pytest.approx(value, abs=5e-4), (
                    name,
                    source,
                    target,
                    f,
                    k,
                )


def test_linear_fill_scores_the_interpolated_picture(study, out):
    study = setting(study, fill="linear", n_control=1)
    transfer(study, out)
    found, maps = scores_of(out), relevance_of(out)
    ids, k = list(study.images.table.index), 4
    pixels = images.load_images(study.images, ids)
    relevance = maps["relevance"].sel(model="gender", seed="1").values.reshape(12, -1)
    kept = torch.from_numpy(analysis.top_fractions(relevance, (0.5,))[0, k].reshape(1, 16, 16))
    noise = fills.backgrounds(pixels[k : k + 1], ids[k : k + 1], fill="linear", colour=(), seed=0)
    picture = fills.masked(
        torch.from_numpy(pixels[k : k + 1]), torch.from_numpy(noise), kept, (0, 0, 0)
    )[0].numpy()
    expected = one_by_one(study, ("identity", "0"), picture, k)
    got = found.sel(
        source_model="gender",
        source_seed="1",
        target_model="identity",
        target_seed="0",
        fraction=0.5,
    )
    assert float(got["probability"][k]) == pytest.approx(expected[1], abs=5e-4)


def test_whole_images_score_as_the_maps_were_computed(transferred):
    found, maps = scores_of(transferred), relevance_of(transferred)
    for model, seed in NETWORKS:
        got = found.sel(target_model=model, target_seed=seed)
        there = maps.sel(model=model, seed=seed)
        np.testing.assert_array_equal(got["unmasked_correct"], there["correct"])
        np.testing.assert_allclose(got["unmasked_probability"], there["probability"], atol=5e-4)


@pytest.mark.parametrize("control", ["image_swap", "random"])
def test_controls_are_means_over_masks_of_other_images_or_of_random_pixels(study, out, control):
    study = setting(study, control=control, n_control=3, seed=5)
    transfer(study, out)
    found, maps = scores_of(out), relevance_of(out)
    whole = designs.design(study, maps)
    pixels, k, f = images.load_images(study.images, study.images.table.index), 3, 1
    expected = []
    for draw in range(3):
        if control == "image_swap":
            source, other = swaps(whole, 0, draw)[k]
            assert other != k
            relevance = maps["relevance"].values[whole.sources[source]][other]
        else:
            relevance = 1 - fills.stream(5, "003", 1, draw).random(256, np.float32)
        mask = analysis.top_fractions(relevance.reshape(1, -1), (0.5,))[0, 0]
        assert control == "image_swap" or mask.sum() == 128
        expected.append(one_by_one(study, ("identity", "0"), shown(study, pixels, k, mask), k))
    got = found.sel(target_model="identity", target_seed="0")
    for name, value in zip(scoring.SCORES, np.mean(np.array(expected, float), axis=0), strict=True):
        assert float(got[f"random_{name}"][f, k]) == pytest.approx(value, abs=1e-3)


def test_controls_take_every_source_and_every_other_image_alike(study, out):
    whole = designs.design(study, relevance_of(out))
    drawn = np.array([swaps(whole, 0, draw) for draw in range(400)])
    assert np.bincount(drawn[..., 0].ravel()) == pytest.approx(np.full(3, 1600), rel=0.08)
    for k in range(12):
        counts = np.bincount(drawn[:, k, 1], minlength=12)
        assert counts[k] == 0
        assert np.delete(counts, k).min() > 15


def test_the_group_says_how_it_was_made_and_labels_both_sides(study, out):
    transfer(setting(study, operation="remove", n_control=2), out)
    found = scores_of(out)
    assert {
        k: found.attrs[k]
        for k in ("operation", "fill", "ranking", "control", "n_control", "batch", "device")
    } == {
        "operation": "remove",
        "fill": "mean",
        "ranking": "positive",
        "control": "image_swap",
        "n_control": 2,
        "batch": 5,
        "device": "cpu",
    }
    assert (
        found["source_task"].values.tolist()
        == found["target_task"].values.tolist()
        == ["gender", "identity"]
    )
    assert found["target_n_classes"].values.tolist() == [2, 3]
    assert (
        found["source_available"].values.tolist()
        == found["target_available"].values.tolist()
        == [[True, True], [True, False]]
    )
    assert found["fraction"].values.tolist() == [0.2, 0.5]


def test_compare_works_on_the_result(transferred):
    result = compare(
        store.open_study(transferred),
        axis="task",
        score="probability",
        normalise="chance",
        rng=np.random.default_rng(1),
    )
    assert np.isfinite(
        result["cell_mean"].values[[0, 0, 1], [0, 1, 0]]
    ).all()  # identity has one network


def test_margins_beyond_float16_are_stored_as_its_largest_and_missing_scores_as_missing():
    found = scoring.stored(np.array([[1.0, np.nan], [0.25, np.nan], [-7e9, np.nan]]))
    assert found["margin"][0] == -65504
    assert found["correct"].tolist() == [1, 255]
    assert np.isnan([found["probability"][1], found["margin"][1]]).all()


def test_scores_by_hand():
    logits = torch.tensor([[0.0, 2.0, 1.0], [0.0, 2.0, 1.0], [1e4, 0.0, 1e4]])
    found = scoring.scores(logits, torch.tensor([1, 0, 0]))
    assert found[0].tolist() == [1, 0, 0]
    assert found[1].tolist() == pytest.approx(
        [np.exp(2) / (1 + np.exp(2) + np.e), 1 / (1 + np.exp(2) + np.e), 0.5]
    )
    assert found[2].tolist() == [1, -2, 0]


# --------------------------------------------------------------------------------------------------
# Maps of other tools, networks that are not torch


def test_maps_of_another_tool_are_aligned_by_label(study, transferred, tmp_path):
    expected, maps = scores_of(transferred), relevance_of(transferred)
    order = np.random.default_rng(1).permutation(12)
    other = arrays.relevance_dataset(
        maps["relevance"].values[:, :, order],
        models=["gender", "identity"],
        images=list(maps["image"].values[order]),
        available=maps["available"].values,
    )
    save.save_study(xr.DataTree.from_dict({"relevance": other}), tmp_path / "other.zarr")
    transfer(study, tmp_path / "other.zarr")
    found = scores_of(tmp_path / "other.zarr")
    assert found["image"].values.tolist() == [f"{k:03d}" for k in order]
    for name in ("correct", "probability", "unmasked_probability"):
        np.testing.assert_allclose(
            found[name].sel(image=expected["image"]), expected[name], atol=1e-3
        )


def test_a_callback_scores_networks_that_are_not_torch(study, transferred, tmp_path):
    expected, maps, asked = scores_of(transferred), relevance_of(transferred), []
    gone = {
        m.name: replace(
            m, factory="none:none", checkpoints=dict.fromkeys(m.checkpoints, Path("none"))
        )
        for m in study.models
    }

    def score(pictures, target):
        asked.append(target)
        assert pictures.dtype == np.uint8
        model = next(m for m in study.models if m.name == target[0])
        with models.modules_of(study.path.parent):
            module = models.build(model, target[1], torch.device("cpu"), torch.float32)
        return module(
            images.to_input(torch.from_numpy(pictures), model.preprocessing, torch.float32)
        ).numpy()

    strange = replace(study, models=tuple(gone.values()))
    transfer(strange, tmp_path / "new.zarr", maps=maps.drop_vars("checkpoint_sha256"), score=score)
    found = scores_of(tmp_path / "new.zarr")
    np.testing.assert_allclose(found["margin"], expected["margin"], atol=2e-3)
    assert set(asked) == set(NETWORKS)


@pytest.mark.parametrize("logits", [np.zeros((1, 2)), np.full((99, 2), "a")], ids=["shape", "text"])
def test_a_callback_that_returns_no_logits_is_refused(study, out, logits):
    with pytest.raises(
        InvalidData, match=r"callback returned .* model 'gender', seed '0'; logits are real numbers"
    ):
        transfer(study, out, score=lambda pictures, target: logits)


def test_logits_that_are_not_finite_are_refused(study, out):
    with pytest.raises(InvalidData, match=r"model 'gender', seed '0' gives logits that are NaN"):
        transfer(study, out, score=lambda pictures, target: np.full((len(pictures), 2), np.nan))
    assert len(shards.unfinished(out, "transfer")) == 9


# --------------------------------------------------------------------------------------------------
# Maps without relevance


def without_relevance(out, where):
    maps = relevance_of(out).drop_vars("checkpoint_sha256")
    maps["relevance"][where] = 0
    return maps


def test_a_map_without_relevance_has_no_scores_and_no_say_in_controls(study, out, tmp_path):
    maps = without_relevance(out, (0, 1, 5))
    transfer(setting(study, n_control=30), tmp_path / "new.zarr", maps=maps)
    found = scores_of(tmp_path / "new.zarr")
    missing = found["probability"].isnull().sel(target_seed="0").any(["target_model", "fraction"])
    assert np.argwhere(missing.values[0]).tolist() == [[1, 5]]
    assert np.isnan(found["correct"].values[0, 1, :, 0, :, 5]).all()
    assert found["random_margin"].sel(target_seed="0").notnull().all()


def test_networks_without_any_relevance_are_left_out_on_both_sides(study, out, tmp_path):
    said = []
    transfer(study, tmp_path / "new.zarr", maps=without_relevance(out, (0, 1)), say=said.append)
    found = scores_of(tmp_path / "new.zarr")
    assert (
        found["source_available"].values.tolist()
        == found["target_available"].values.tolist()
        == [[True, False], [True, False]]
    )
    assert said == ["warning: model gender, seed 1 is left out: all its maps are zero"]
    assert found.attrs["networks_without_relevance"] == "model gender, seed 1"


def test_where_no_network_has_relevance_there_is_nothing_to_do(study, out, tmp_path):
    with pytest.raises(InvalidData, match="no network chooses any pixel"):
        transfer(study, tmp_path / "new.zarr", maps=without_relevance(out, ...))


@pytest.mark.parametrize("control", ["image_swap", "random"])
def test_maps_with_nan_are_refused_by_name(study, out, tmp_path, control):
    maps = relevance_of(out)
    maps["relevance"][0, 1, 5, 2, 2] = np.nan
    with pytest.raises(InvalidData, match=r"NaN or infinite values .*\(0, 1\), image '005'"):
        transfer(setting(study, control=control, n_control=40), tmp_path / "new.zarr", maps=maps)


# --------------------------------------------------------------------------------------------------
# What is refused


def test_what_does_not_fit_is_told_all_at_once(study, out):
    maps = relevance_of(out).isel(image=slice(1, None), y=slice(0, 8))
    maps["checkpoint_sha256"][0, 0] = "another"
    unlabelled = replace(study, models=(study.models[0], replace(study.models[1], label="")))
    with pytest.raises(InvalidData) as error:
        transfer(unlabelled, out, maps=maps)
    for part in (
        r"4 problem(s)",
        "1 only in the study file ('000')",
        "maps have 8 x 16 pixels, images 16 x 16",
        "maps of another checkpoint",
        "gender seed 0",
        "1 model(s) have no label",
        "e.g. identity",
    ):
        assert part in str(error.value)


def test_maps_without_a_dim_are_refused(study, out):
    with pytest.raises(InvalidData, match="dims are"):
        transfer(study, out, maps=relevance_of(out).isel(seed=0))


def test_a_study_without_maps_is_refused(study, tmp_path):
    with pytest.raises(UsageError, match="no such study"):
        transfer(study, tmp_path / "none.zarr")
    writing.begin_study(tmp_path / "empty.zarr", {})
    with pytest.raises((UsageError, InvalidData), match="relevance"):
        transfer(study, tmp_path / "empty.zarr")


def test_an_incomplete_study_is_refused(study, tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(study, tmp_path / "half.zarr", progress=stop)
    with pytest.raises(InvalidData, match="are not written"):
        transfer(study, tmp_path / "half.zarr")


def test_a_study_file_without_transfer_is_refused(study, out):
    with pytest.raises(UsageError, match=r"has no \[transfer\]"):
        transfer(replace(study, transfer=None), out)


def test_one_image_has_no_other_to_swap_with(study, out):
    one = replace(study, images=replace(study.images, table=study.images.table[:1]))
    with pytest.raises(InvalidData, match="there is one only"):
        transfer(one, out, maps=relevance_of(out).isel(image=slice(1)))


def test_other_settings_are_refused_and_replaced_by_force(study, transferred, tmp_path):
    out = Path(shutil.copytree(transferred, tmp_path / "study.zarr"))
    other = setting(study, ranking="absolute")
    with pytest.raises(
        UsageError,
        match=r"other settings .* positive relevance.* now .* absolute relevance.*--force",
    ):
        transfer(other, out)
    before = contents(out / "relevance")
    transfer(other, out, force=True)
    assert scores_of(out).attrs["ranking"] == "absolute"
    assert contents(out / "relevance") == before
    assert not list(out.parent.glob(".*relstats*"))


def test_what_would_be_done_is_said_and_nothing_is_written(study, out):
    before = contents(out)
    assert describe(study, out).startswith(
        "3 sources x 3 targets x 2 fractions x 12 images, and 5 control(s): 576 masked"
    )
    assert rehearse(study, out).startswith("about")
    assert contents(out) == before


# --------------------------------------------------------------------------------------------------
# Interruptions, workers, memory


class Stop(Exception):
    pass


@pytest.mark.parametrize("parts", [1, 2, 3, 5, 8])
def test_a_run_that_is_stopped_and_resumed_has_the_same_bytes(study, out, uninterrupted, parts):
    seen = []

    def stop(done, total):
        seen.append(done)
        if len(seen) == parts:
            raise Stop

    with pytest.raises(Stop):
        transfer(study, out, progress=stop)
    assert shards.unfinished(out, "transfer")
    left = []
    transfer(study, out, progress=lambda done, total: left.append(total))
    assert left[0] <= 576
    assert contents(out) == uninterrupted


def test_a_finished_study_is_left_as_it_is(study, transferred, tmp_path, uninterrupted):
    out = Path(shutil.copytree(transferred, tmp_path / "study.zarr"))
    for _ in range(2):
        transfer(study, out)
    assert contents(out) == uninterrupted


@pytest.mark.parametrize("n", [2, 5])
def test_workers_share_the_work_and_write_the_same_bytes(study, out, uninterrupted, n):
    totals = []
    for k in reversed(range(n)):
        seen = [0]
        transfer(
            study, out, worker=(k, n), progress=lambda done, total, seen=seen: seen.append(done)
        )
        totals.append(seen[-1])
    assert sum(totals) == 576
    assert max(totals) < 576
    assert contents(out) == uninterrupted


def test_batches_are_of_one_composition_and_of_nearly_one_size():
    for total, batch in itertools.product((1, 5, 63, 64, 65, 1000), (1, 7, 64)):
        found = list(scoring.batches(total, batch))
        sizes = [last - first for first, last in found]
        assert [k for first, last in found for k in range(first, last)] == list(range(total))
        assert max(sizes) <= batch
        assert max(sizes) - min(sizes) <= 1


def test_batches_are_filled_across_sources_and_draws_where_images_are_few(study, out):
    whole = designs.design(replace(study, batch=100), relevance_of(out))
    parts = designs.parts(whole)
    assert {part.sources for part in parts if part.sources} == {(0, 1, 2)}
    assert {part.draws for part in parts if part.draws} == {(0, 1, 2, 3, 4)}
    written = [shard for part in parts for shard in whole.shards(part)]
    assert len(written) == len(set(written)) == 12


def test_out_of_memory_halves_the_batch_says_so_and_records_it(
    study, out, monkeypatch, transferred
):
    real, said = viewing.images.to_input, []

    def little_memory(pixels, *rest):
        if len(pixels) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(pixels, *rest)

    monkeypatch.setattr(viewing.images, "to_input", little_memory)
    transfer(study, out, say=said.append)
    assert said[:2] == [
        f"out of memory: model 'gender', seed '0' goes on in batches of {n}; recorded in"
        " batch_reduced of /transfer"
        for n in (3, 2)
    ]
    noted = zarr.open_group(str(out), mode="r")["transfer"].attrs["batch_reduced"]
    assert "model 'gender', seed '0'" in noted
    found = scores_of(out)
    monkeypatch.undo()
    transfer(study, out)
    np.testing.assert_allclose(found["margin"], scores_of(transferred)["margin"], atol=2e-3)


def test_one_picture_that_does_not_fit_is_told(study, out, monkeypatch):
    def no_memory(pictures, target):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(UsageError, match="one image at a time"):
        transfer(study, out, score=no_memory)


def test_reading_ahead_keeps_the_order_and_raises_where_it_is_used():
    seen = []

    def read(k):
        if k == 3:
            raise ValueError("third")
        return -k

    with pytest.raises(ValueError, match="third"):
        seen += [pair for pair in running.read_ahead(range(5), read) if seen.append(pair) is None]
    assert seen == [(0, 0), (1, -1), (2, -2)]


def test_a_worker_killed_while_another_runs_loses_nothing(
    computed, study, out, uninterrupted, started
):
    workers = [
        started("transfer", computed / "study.toml", out, "--worker", f"{k}/2") for k in (1, 2)
    ]
    deadline = time.monotonic() + 300
    while not list(out.glob("transfer/probability/c/*")) and time.monotonic() < deadline:
        time.sleep(0.002)
    workers[0].kill()
    errors = [worker.wait() for worker in workers]
    assert [worker.returncode for worker in workers] == [-signal.SIGKILL, 0], errors
    transfer(study, out)
    assert contents(out) == uninterrupted
