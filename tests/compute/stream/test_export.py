"""Export: the maps are those of the networks, and whatever interrupts it, a resumed study has the
same bytes.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
import xarray as xr
from processes import CONTEXT, killed_after
from safetensors.torch import save_file

import relstats
from relstats.compute import images, models
from relstats.compute.lrp.attribute import relevance
from relstats.compute.lrp.plans import plan
from relstats.compute.stream import batches, export, flags, groups, running, writer
from relstats.compute.study_file.settings import true_classes
from relstats.compute.study_file.study import read_study
from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.study import shards, store, writing

EPOCH = "1700000000"  # the root's attribute `created`: all that would differ between two runs


@pytest.fixture(autouse=True)
def same_time(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)


def files(path):
    return {
        str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in Path(path).rglob("*")
        if p.is_file()
    }


def exported(file, out, **options):
    study = read_study(file) if isinstance(file, Path) else file
    said: list[str] = []
    export.export(study, out, say=said.append, **options)
    return said


def refused(error, file, out, **options):
    with pytest.raises(error) as caught:
        exported(file, out, **options)
    return str(caught.value)


def changed(file, **settings):
    """A study with other fields; those of `relevance` by their name."""
    study = read_study(file)
    own = {k: v for k, v in settings.items() if k in {f.name for f in dataclasses.fields(study)}}
    how = {k: v for k, v in settings.items() if k not in own}
    return dataclasses.replace(study, **own, relevance=dataclasses.replace(study.relevance, **how))


@pytest.fixture(scope="module")
def blocks_study(make_study, tmp_path_factory):
    """A study of three blocks a network."""
    return make_study(tmp_path_factory.mktemp("study"), images=230, batch=30)


@pytest.fixture(scope="module")
def whole(blocks_study, tmp_path_factory):
    """The files of an uninterrupted study."""
    out = tmp_path_factory.mktemp("whole") / "s.zarr"
    with mock.patch.dict(os.environ, SOURCE_DATE_EPOCH=EPOCH):
        exported(blocks_study, out)
    return files(out)


# ---- what is written


def test_maps_are_those_of_each_network_image_by_image(small_study, tmp_path):
    out = tmp_path / "s.zarr"
    exported(small_study, out)
    study, group = read_study(small_study), relstats.open_study(out)["relevance"].to_dataset()
    assert group["available"].values.tolist() == [[True, True], [True, False]]
    for model, seed in (("gender", "0"), ("gender", "1"), ("identity", "0")):
        about = next(m for m in study.models if m.name == model)
        network = models.build(about, seed, torch.device("cpu"), torch.float64)
        pixels = torch.from_numpy(images.load_images(study.images, study.images.table.index))
        inputs = images.to_input(pixels, about.preprocessing, torch.float64)
        true = true_classes(about, study.images.table)
        logits = network(inputs).numpy()
        cell, prepared = (
            group.sel(model=model, seed=seed).load(),
            plan(network, "epsilon_plus_flat", sample=inputs[:1]),
        )
        for k, image in enumerate(
            study.images.table.index
        ):  # each one alone, in another batch and precision
            found = relevance(prepared, inputs[k : k + 1], torch.from_numpy(true[k : k + 1]))
            expected, one = found.relevance[0].numpy(), cell.sel(image=image)
            np.testing.assert_allclose(
                one["relevance"], expected, rtol=0, atol=1e-3 * np.abs(expected).max()
            )
            assert int(one["explained_class"]) == true[k]
            assert int(one["prediction"]) == logits[k].argmax()
            assert int(one["correct"]) == (logits[k].argmax() == true[k])
            np.testing.assert_allclose(one["logit"], logits[k, true[k]], rtol=1e-4)
            softmax = np.exp(logits[k]) / np.exp(logits[k]).sum()
            np.testing.assert_allclose(one["probability"], softmax[true[k]], rtol=1e-5)
            np.testing.assert_allclose(
                one["conservation"], one["relevance"].sum() / one["logit"], rtol=1e-4
            )


def test_labels_hashes_and_how_it_was_computed(small_study, tmp_path):
    out = tmp_path / "s.zarr"
    exported(small_study, out)
    tree = relstats.open_study(out)
    group, labels = tree["relevance"].to_dataset(), tree["images"].to_dataset()
    assert labels["identity"].sel(image="002").item() == "NA"
    digest = hashlib.sha256((tmp_path / "photos/7.png").read_bytes()).hexdigest()
    assert labels["sha256"].sel(image="007").item() == digest
    assert group["task"].values.tolist() == ["gender", "identity"]
    checkpoint = group["checkpoint_sha256"]
    assert checkpoint.sel(model="gender", seed="1").item() == models.checkpoint_sha256(
        tmp_path / "gender-1.safetensors"
    )
    assert checkpoint.sel(model="identity", seed="1").item() == ""
    attrs = group.attrs
    assert json.loads(attrs["composite_parameters"])["epsilon"] == 1e-6
    expected = {
        "composite": "epsilon_plus_flat",
        "engine": "relstats",
        "engine_why": "",
        "engine_asked": "relstats",
        "dtype": "float32",
        "precision": "fp32",
        "tf32": "off",
        "batch": 5,
        "explained_class_rule": "true",
        "device": "cpu",
        "canonizers": "none given",
    }
    assert {key: attrs[key] for key in expected} == expected
    assert attrs["torch_version"] == torch.__version__
    assert json.loads(attrs["rules"])[0][:2] == ["0", "Conv2d"]
    assert tree.attrs["study_file"] == small_study.read_text()
    assert {
        "created",
        "relstats_version",
        "zarr_version",
        "torch_version",
        "device",
        "name",
    } <= set(tree.attrs)
    assert store.incomplete(tree, "relevance") == []
    assert "path" not in labels


@pytest.mark.parametrize("rule", ["predicted", 1, "m"])
def test_explained_class(small_study, tmp_path, rule):
    study = changed(small_study, explained_class=rule)
    study = dataclasses.replace(study, models=study.models[:1])
    exported(study, tmp_path / "s.zarr")
    group = relstats.open_study(tmp_path / "s.zarr")["relevance"].sel(seed="0", model="gender")
    expected = group["prediction"].values if rule == "predicted" else np.ones(12)
    np.testing.assert_array_equal(group["explained_class"], expected)
    assert group.attrs["explained_class_rule"] == str(rule)
    np.testing.assert_array_equal(group["correct"], group["prediction"].values == [0, 1] * 6)


def test_without_labels_nothing_is_called_correct(small_study, tmp_path):
    study = changed(small_study, explained_class="predicted")
    study = dataclasses.replace(study, models=(dataclasses.replace(study.models[0], label=""),))
    exported(study, tmp_path / "s.zarr")
    assert np.isnan(
        relstats.open_study(tmp_path / "s.zarr")["relevance"]["correct"].values
    ).all()  # both seeds exist


def test_double_precision(small_study, tmp_path):
    exported(changed(small_study, dtype="float64"), tmp_path / "d.zarr")
    exported(small_study, tmp_path / "s.zarr")
    double, single = (
        relstats.open_study(tmp_path / name)["relevance"].isel(model=0)
        for name in ("d.zarr", "s.zarr")
    )
    assert (double.attrs["dtype"], double["relevance"].dtype) == ("float64", np.float32)
    largest = np.abs(single["relevance"]).max(("y", "x"))
    difference = np.abs(double["relevance"] - single["relevance"]).max(("y", "x")) / largest
    assert 0 < difference.max() < 2e-3  # what float32 costs


def test_pixels_for_overlays(small_study, tmp_path):
    study = read_study(small_study)
    study = dataclasses.replace(study, images=dataclasses.replace(study.images, pixels=True))
    exported(study, tmp_path / "s.zarr")
    stored = relstats.open_study(tmp_path / "s.zarr")["images"]["pixels"]
    np.testing.assert_array_equal(
        stored, images.load_images(study.images, study.images.table.index)
    )


def test_names_never_become_paths(small_study, tmp_path):
    text = small_study.read_text().replace("[models.gender]", '[models."../../etc/x"]')
    small_study.write_text(text)
    (tmp_path / "images.csv").write_text(
        "image,path,gender,identity\n../../../y,photos/0.png,f,NA\n"
    )
    before = {p for p in tmp_path.rglob("*") if "s.zarr" not in str(p)}
    exported(small_study, tmp_path / "deep/s.zarr")
    assert {p for p in tmp_path.rglob("*") if "s.zarr" not in str(p)} - before == {
        tmp_path / "deep"
    }
    assert (
        relstats.open_study(tmp_path / "deep/s.zarr")["relevance"]["model"].values[0]
        == "../../etc/x"
    )


def test_bounds_of_the_box_are_those_of_each_models_input(small_study, tmp_path):
    exported(changed(small_study, composite="epsilon_gamma_box"), tmp_path / "s.zarr")
    parameters = json.loads(
        relstats.open_study(tmp_path / "s.zarr")["relevance"].attrs["composite_parameters"]
    )
    assert parameters["gender"]["low"] == [-2.0, -2.0, -2.0]
    assert parameters["identity"]["high"] == [2.0]


def test_the_engine_in_use_is_recorded_with_why(small_study, tmp_path):
    exported(changed(small_study, engine="zennit"), tmp_path / "s.zarr")
    attrs = relstats.open_study(tmp_path / "s.zarr")["relevance"].attrs
    assert (attrs["engine"], attrs["engine_asked"]) == ("zennit", "zennit")


# ---- fixed batches, out of memory


def test_batches_do_not_depend_on_what_is_left(blocks_study, tmp_path, whole):
    """Shards are computed in another order by other workers, each with its own batches of 30, 30,
    30, 10.
    """
    for k in (2, 0, 1):
        exported(blocks_study, tmp_path / "s.zarr", worker=(k, 3))
    assert files(tmp_path / "s.zarr") == whole


@pytest.mark.parametrize(
    ("n", "batch", "sizes"),
    [(12, 5, [5, 5, 2]), (12, 12, [12]), (12, 50, [12]), (230, 30, [30, 30, 30, 10] * 2 + [30])],
)
def test_sizes_of_batches(make_study, tmp_path, n, batch, sizes):
    file, seen = make_study(tmp_path, images=n, batch=batch), []
    real = batches.explain

    def counted(study, network, pixels, rows):
        seen.append(len(rows))
        return real(study, network, pixels, rows)

    with mock.patch.object(batches, "explain", counted):
        exported(
            dataclasses.replace(read_study(file), models=read_study(file).models[1:]),
            tmp_path / "s.zarr",
        )
    assert seen == sizes


def memory_for(most):
    """An explain that runs out of memory with more than so many images at once."""
    real = batches.explain

    def explain(study, network, pixels, rows):
        if len(rows) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(study, network, pixels, rows)

    return mock.patch.object(batches, "explain", explain)


def test_out_of_memory_halves_the_batch_says_so_and_records_it(small_study, tmp_path):
    out = tmp_path / "s.zarr"
    with memory_for(3):
        said = exported(small_study, out)
    reduced = json.loads(relstats.open_study(out)["relevance"].attrs["batch_reduced"])
    assert reduced == {
        f"{m}, seed {s}, images 0 to 11": 3
        for m, s in (("gender", 0), ("gender", 1), ("identity", 0))
    }
    assert (
        said[0]
        == "out of memory: gender, seed 0 goes on in batches of 3; recorded in batch_reduced of"
        " /relevance"
    )
    assert len(said) == 3  # once a network
    exported(changed(small_study, batch=3), tmp_path / "three.zarr")
    for model, seed in (("gender", "0"), ("gender", "1"), ("identity", "0")):
        cells = [
            relstats.open_study(p)["relevance"]["relevance"].sel(model=model, seed=seed)
            for p in (out, tmp_path / "three.zarr")
        ]
        xr.testing.assert_identical(*cells)


def test_out_of_memory_with_one_image_is_an_error(small_study, tmp_path):
    with memory_for(0):
        assert "out of memory with one image at a time" in refused(
            UsageError, small_study, tmp_path / "s.zarr"
        )


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("x"), True),
        (RuntimeError("MPS backend out of memory"), True),
        (
            RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"
            ),
            True,
        ),
        (RuntimeError("size mismatch"), False),
    ],
)
def test_what_counts_as_out_of_memory(error, expected):
    assert batches.is_out_of_memory(error) is expected


def test_other_errors_of_a_network_are_not_taken_for_memory(small_study, tmp_path):
    with (
        mock.patch.object(batches, "explain", side_effect=RuntimeError("size mismatch")),
        pytest.raises(RuntimeError, match="size mismatch"),
    ):
        exported(small_study, tmp_path / "s.zarr")


def test_records_of_several_workers_are_all_kept(small_study, tmp_path):
    exported(small_study, tmp_path / "s.zarr")
    workers = [
        CONTEXT.Process(
            target=writer.record_batch, args=(tmp_path / "s.zarr", "relevance", f"network {k}", k)
        )
        for k in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    reduced = json.loads(
        relstats.open_study(tmp_path / "s.zarr")["relevance"].attrs["batch_reduced"]
    )
    assert reduced == {f"network {k}": k for k in range(4)}


# ---- interruptions


def finished(process):
    """Wait for a process; True if it ended well."""
    errors = process.wait()
    assert process.returncode == 0, errors
    return True


def killed_within(process, out, seconds, complete=0):
    """Kill a process so many seconds after the study has that many shards.

    Returns how many it had.
    """
    while process.returncode is None and written(out) < complete:
        time.sleep(0.02)
    time.sleep(seconds)
    process.kill()
    process.wait()
    assert process.returncode == -signal.SIGKILL, "it ended before it was killed"
    return written(out)


def written(out):
    try:
        return len(shards.expected(out, "relevance")) - len(shards.unfinished(out, "relevance"))
    except Exception:  # not begun yet
        return -1


def test_killed_at_random_moments_it_resumes_to_the_same_bytes(
    blocks_study, tmp_path, whole, started
):
    out, rng, had = tmp_path / "s.zarr", np.random.default_rng(20), [0]
    for _ in range(3):
        had.append(
            killed_within(
                started("compute", blocks_study, out),
                out,
                rng.uniform(0, 0.1) * (9 - had[-1]),
                had[-1],
            )
        )
    assert had == sorted(had)
    assert had[-1] < 9
    assert finished(started("compute", blocks_study, out))
    assert files(out) == whole


@pytest.mark.parametrize(
    ("module", "step", "calls", "complete"),
    [
        (writing, "begin_study", 1, 0),
        (writing, "add_group", 1, 0),
        (shards, "write_shard", 2, 2),
    ],
)
def test_killed_right_after_each_step(blocks_study, tmp_path, whole, module, step, calls, complete):
    """The moments that a random kill seldom meets: the study is begun, a group is added, a shard is
    written.
    """
    out = tmp_path / "s.zarr"
    assert killed_after(module, step, calls, blocks_study, out) == -signal.SIGKILL
    assert written(out) == complete
    exported(blocks_study, out)
    assert files(out) == whole


def test_two_workers_at_once_and_one_of_them_killed(blocks_study, tmp_path, whole, started):
    both = [
        started("compute", blocks_study, tmp_path / "two.zarr", "--worker", f"{k}/2")
        for k in (1, 2)
    ]
    assert all([finished(process) for process in both])
    assert files(tmp_path / "two.zarr") == whole
    out = tmp_path / "one.zarr"
    first, second = (started("compute", blocks_study, out, "--worker", f"{k}/2") for k in (1, 2))
    killed_within(first, out, 0, complete=1)
    assert finished(second)
    assert written(out) < 9
    assert finished(started("compute", blocks_study, out, "--worker", "1/2"))
    assert files(out) == whole


def test_interrupted_between_shards_nothing_is_computed_twice(blocks_study, tmp_path, whole):
    out, calls = tmp_path / "s.zarr", []
    real = shards.write_shard

    def fails(path, shard, arrays):
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append(shard)
        real(path, shard, arrays)

    with mock.patch.object(shards, "write_shard", fails), pytest.raises(KeyboardInterrupt):
        exported(blocks_study, out)
    steps = []
    exported(blocks_study, out, progress=lambda done, total: steps.append((done, total)))
    left = 690 - sum(len(range(*shard.images.indices(230))) for shard in calls)
    assert steps[-1] == (left, left)
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    assert files(out) == whole


def test_disk_full_is_one_clear_error_and_nothing_is_lost(blocks_study, tmp_path, whole):
    out, calls = tmp_path / "s.zarr", []
    real = shards.write_shard

    def full(path, shard, arrays):
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        calls.append(shard)
        real(path, shard, arrays)

    with (
        mock.patch.object(shards, "write_shard", full),
        pytest.raises(OSError, match="What is written is kept: make space") as caught,
    ):
        exported(blocks_study, out)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(out))
    assert written(out) == 3
    exported(blocks_study, out)
    assert files(out) == whole


def test_other_errors_of_the_file_system_are_not_called_full(small_study, tmp_path):
    denied = mock.patch.object(
        shards, "write_shard", side_effect=PermissionError(errno.EACCES, "Permission denied")
    )
    with denied, pytest.raises(PermissionError, match="Permission denied"):
        exported(small_study, tmp_path / "s.zarr")


def test_a_complete_study_is_left_alone(blocks_study, tmp_path):
    out, steps = tmp_path / "s.zarr", []
    exported(blocks_study, out)
    before = files(out)
    exported(blocks_study, out, progress=lambda *step: steps.append(step))
    assert (files(out), steps) == (before, [])


# ---- what is refused


def test_another_plan_is_refused_with_what_differs_unless_forced(small_study, tmp_path):
    out = tmp_path / "s.zarr"
    exported(small_study, out)
    before = files(out)
    other = changed(small_study, composite="epsilon_plus", batch=6)
    message = refused(UsageError, other, out)
    assert "was begun with other settings: " in message
    assert "batch was 5, is 6" in message
    assert "relevance.composite was 'epsilon_plus_flat', is 'epsilon_plus'" in message
    assert files(out) == before
    exported(other, out, force=True)
    assert relstats.open_study(out)["relevance"].attrs["composite"] == "epsilon_plus"


def test_changed_images_and_checkpoints_are_another_plan(small_study, tmp_path):
    out = tmp_path / "s.zarr"
    exported(small_study, out)
    (tmp_path / "photos/0.png").write_bytes((tmp_path / "photos/1.png").read_bytes())
    assert "images.files was" in refused(UsageError, small_study, out)
    weights = (tmp_path / "gender-0.safetensors").read_bytes()
    (tmp_path / "gender-0.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    assert "models.gender.checkpoints.0 was" in refused(UsageError, small_study, out)


def test_other_transfer_settings_are_the_same_plan(small_study, tmp_path):
    exported(small_study, tmp_path / "s.zarr")
    small_study.write_text(small_study.read_text().replace("[0.2, 0.5]", "[0.3]"))
    assert exported(small_study, tmp_path / "s.zarr") == []


def test_force_removes_nothing_while_something_is_wrong(small_study, tmp_path):
    out = tmp_path / "s.zarr"
    exported(small_study, out)
    before = files(out)
    (tmp_path / "photos/3.png").write_bytes(b"<html>")
    assert "1 of 12 images cannot be used" in refused(InvalidData, small_study, out, force=True)
    with pytest.raises(UsageError, match="each would remove what the others write"):
        exported(small_study, out, force=True, worker=(0, 2))
    assert files(out) == before


def test_a_study_of_another_tool_is_not_written_into(small_study, tmp_path):
    relstats.simulate(
        tmp_path / "s.zarr", models="2x1", seeds=2, images=4, size=8, rng=np.random.default_rng(1)
    )
    before = files(tmp_path / "s.zarr")
    assert "exists and its /images was written with other settings" in refused(
        UsageError, small_study, tmp_path / "s.zarr"
    )
    assert files(tmp_path / "s.zarr") == before


def test_one_network_under_two_names_is_refused(small_study, tmp_path):
    (tmp_path / "gender-1.safetensors").write_bytes(
        (tmp_path / "gender-0.safetensors").read_bytes()
    )
    message = refused(InvalidData, small_study, tmp_path / "s.zarr")
    assert "model 'gender', seed '0' and model 'gender', seed '1' are the same bytes" in message
    assert not (tmp_path / "s.zarr").exists()


def test_a_network_that_cannot_be_used_is_named_and_nothing_begun(small_study, tmp_path):
    study = read_study(small_study)
    wrong = dataclasses.replace(study.models[1], classes=("a", "b", "NA", "d"))
    assert "has 3 outputs but 4 class names" in refused(
        InvalidData,
        dataclasses.replace(study, models=(study.models[0], wrong)),
        tmp_path / "s.zarr",
    )
    assert "no composite 'epsilon_plus_flt'" in refused(
        UsageError, changed(small_study, composite="epsilon_plus_flt"), tmp_path / "s.zarr"
    )
    (tmp_path / "gated.py").write_text(
        "from torch import nn\n\ndef net():\n    return nn.Sequential(nn.Flatten(), nn.Linear(768,"
        " 2), nn.LayerNorm(2))\n"
    )
    with models.modules_of(tmp_path):
        import gated
    save_file(gated.net().state_dict(), tmp_path / "gated.safetensors")
    gate = dataclasses.replace(
        study.models[0], factory="gated:net", checkpoints={"0": tmp_path / "gated.safetensors"}
    )
    message = refused(
        ImpossibleAnalysis, dataclasses.replace(study, models=(gate,)), tmp_path / "s.zarr"
    )
    assert message.startswith("model 'gender', seed '0': ")
    assert "LayerNorm" in message
    assert not (tmp_path / "s.zarr").exists()


def test_no_device(small_study, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "device 'cuda' was asked for" in refused(
        UsageError, changed(small_study, device="cuda"), tmp_path / "s.zarr"
    )
    assert not (tmp_path / "s.zarr").exists()


def test_networks_that_do_not_conserve_are_flagged_also_on_a_resumed_run(
    small_study, tmp_path, monkeypatch
):
    monkeypatch.setattr(flags, "is_conserved", lambda kept, taken: False)
    for _ in range(2):
        said = exported(small_study, tmp_path / "s.zarr")
        assert len(said) == 3
        assert said[0].startswith(
            "warning: model gender, seed 0: relevance of pixels and biases is 1 times the logit"
            " (median of 12 images)"
        )
    assert exported(small_study, tmp_path / "half.zarr", worker=(1, 2))[0].startswith(
        "warning: model gender, seed 1: "
    )
    exported(changed(small_study, composite="gradient"), tmp_path / "g.zarr")
    assert exported(changed(small_study, composite="gradient"), tmp_path / "g.zarr") == []


# ---- small parts


@pytest.mark.parametrize("n", [1, 2, 3, 7, 16])
def test_shares_of_workers_are_all_shards_once(n):
    expected = [shards.Shard("relevance", (m, 0), b) for m in range(3) for b in range(3)]
    shares = [running.share(expected, (k, n)) for k in range(n)]
    assert [shard for share in shares for shard in share] == expected
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_images_beyond_what_is_kept_are_decoded_again(blocks_study, tmp_path, monkeypatch, whole):
    monkeypatch.setattr(export, "_KEPT_BYTES", 150 * 16 * 16 * 3)
    exported(blocks_study, tmp_path / "s.zarr")
    assert files(tmp_path / "s.zarr") == whole


def test_settings_are_compared_by_name():
    nested = {"a": {"b": 1, "c": {}}, "d": [1]}
    assert groups._flat(nested) == {"a.b": 1, "a.c": {}, "d": [1]}


def test_what_would_be_done(small_study):
    study = read_study(small_study)
    assert (
        export.describe(study)
        == "2 models, 3 networks, 12 images of 16 x 16: 36 maps, 0.0 MB before compression, "
        "in batches of 5 on cpu"
    )
    lines = list(export.rehearse(study))
    assert re.fullmatch(r"gender: engine relstats, [\d.e+]+ maps/s, 24 maps, about \d+ s", lines[0])
    assert re.fullmatch(r"about \d+ s in all, by one worker on cpu", lines[-1])


# ---- the command


def run(*arguments):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "relstats.cli", "compute", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_command_writes_resumes_and_says_where(small_study, tmp_path):
    out = tmp_path / "s.zarr"
    code, printed, noted = run(small_study, out)
    assert (code, printed) == (0, f"{out}\n"), noted
    assert (
        noted
        == "2 models, 3 networks, 12 images of 16 x 16: 36 maps, 0.0 MB before compression, in"
        " batches of 5 on cpu\n"
    )
    assert store.incomplete(relstats.open_study(out), "relevance") == []


def in_process(*arguments, capsys):
    from relstats import cli

    with (
        mock.patch.object(sys, "argv", ["relstats", "compute", *map(str, arguments)]),
        pytest.raises(SystemExit) as exit_,
    ):
        cli.main()
    printed = capsys.readouterr()
    return exit_.value.code, printed.out, printed.err


def test_a_dry_run_writes_nothing(small_study, tmp_path, capsys):
    code, printed, noted = in_process(small_study, tmp_path / "s.zarr", "--dry-run", capsys=capsys)
    assert (code, printed) == (0, "")
    assert len(noted.splitlines()) == 4
    assert not (tmp_path / "s.zarr").exists()


@pytest.mark.parametrize("worker", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_workers_that_are_none(small_study, tmp_path, worker, capsys):
    code, _, noted = in_process(
        small_study, tmp_path / "s.zarr", f"--worker={worker}", capsys=capsys
    )
    assert code == 2
    assert f"--worker is {worker!r}: give this worker and how many there are" in noted


def test_exit_codes_of_the_command(small_study, tmp_path, capsys, monkeypatch):
    out = tmp_path / "s.zarr"
    assert in_process(tmp_path / "no.toml", out, capsys=capsys)[0] == 2
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, _, noted = in_process(small_study, out, "--device", "cuda", capsys=capsys)
    assert code == 2
    assert noted.splitlines()[-1].startswith("relstats: device 'cuda' was asked for, but torch")
    (tmp_path / "photos/3.png").write_bytes(b"<html>")
    code, _, noted = in_process(small_study, out, capsys=capsys)
    assert code == 3
    assert "'003'" in noted
    small_study.write_text("")
    assert in_process(small_study, out, capsys=capsys)[0] == 3
    assert not out.exists()


def test_without_torch_one_line_says_what_to_install(small_study, tmp_path, capsys):
    from importlib.util import find_spec

    def without(name, *rest):
        return None if name in ("torch", "torchvision") else find_spec(name, *rest)

    with mock.patch("relstats.extras.find_spec", without):
        code, printed, noted = in_process(small_study, tmp_path / "s.zarr", capsys=capsys)
    assert (code, printed) == (2, "")
    assert (
        noted == "relstats: torch, torchvision not installed, which computing needs: pip install"
        " 'relstats[compute]'\n"
    )


def test_help_does_not_import_torch():
    asks = (
        "import sys; sys.argv = ['relstats', 'compute', '--help']\nimport relstats.cli\ntry:\n   "
        " relstats.cli.main()\nexcept SystemExit as e:\n    sys.exit(e.code or 7 * ('torch' in"
        " sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--worker" in done.stdout
