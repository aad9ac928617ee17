"""Studies on disk: round trips, crashes, races, damage, and what is refused."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

import relstats
from relstats.errors import InvalidData, RelstatsError, UsageError
from relstats.study import atomic, layout, save, shards, store, verify, writing
from relstats.study.variables import variables

NASTY = (
    "007",
    "7",
    "NA",
    "null",
    "nan",
    "1e5",
    "TRUE",
    "",
    " ",
    "\U0001f600",
    "<script>alert(1)</script>",
    "../../etc/x",
    "/etc/passwd",
    "CON",
    "x" * 300,
    "a\u202eb",
)
SIMULATE = """
import sys, numpy as np, relstats
rng = np.random.default_rng(5)
relstats.simulate(sys.argv[1], models="2x1", seeds=3, images=4, size=8, fractions=[0.2], rng=rng)
"""


def simulated(path=None, **options):
    options = {
        "models": "2x1",
        "seeds": 2,
        "images": 6,
        "size": 8,
        "rng": np.random.default_rng(3),
        **options,
    }
    return relstats.simulate(path, **options)


def maps_study(values, images=None, models=("a", "b"), seeds=None, **options):
    images = images or [f"i{k}" for k in range(values.shape[2])]
    group = relstats.relevance_dataset(
        values, models=list(models), images=images, seeds=seeds, **options
    )
    return relstats.study(relevance=group)


def random_maps(shape=(2, 3, 4, 8, 8), dtype="float32"):
    return np.random.default_rng(7).standard_normal(shape).astype(dtype)


def files(path):
    return {
        str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in Path(path).rglob("*")
        if p.is_file()
    }


def same_cells(left: xr.DataTree, right: xr.DataTree) -> None:
    """Labels and every value of networks that exist are equal, bit for bit."""
    for group in ("images", "relevance", "transfer", "regions"):
        assert (group in left.children) == (group in right.children)
        if group not in left.children:
            continue
        a, b = left[group].to_dataset(), right[group].to_dataset()
        assert set(a.variables) == set(b.variables)
        for name in a.variables:
            family = next((v.family for v in variables(group) if v.name == name), None)
            outer = layout.FAMILIES[family].outer if family else ()
            for cell in map(tuple, np.argwhere(shards.available(a, outer))) if outer else [()]:
                x, y = (d[name].transpose(*a[name].dims)[cell].values for d in (a, b))
                np.testing.assert_array_equal(x, y, err_msg=f"{group}/{name} {cell}")


def compare(path, measure="cosine", **options):
    return relstats.compare(
        relstats.open_study(path),
        axis="pretrain",
        measure=measure,
        n_swaps=19,
        rng=np.random.default_rng(1),
        **options,
    )


@pytest.mark.parametrize("seeds", [2, [2, 3]])
def test_on_disk_is_what_is_in_memory(tmp_path, seeds):
    options = {"seeds": seeds, "planted": relstats.Planted(shared_pixels=0.1)}
    on_disk = simulated(tmp_path / "s.zarr", **options)
    in_memory = simulated(**options)
    same_cells(in_memory, on_disk)
    relstats.save_study(on_disk, tmp_path / "t.zarr")
    same_cells(on_disk, relstats.open_study(tmp_path / "t.zarr"))
    relstats.save_study(in_memory, tmp_path / "u.zarr")
    same_cells(on_disk, relstats.open_study(tmp_path / "u.zarr"))
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "float16", "float64"])
def test_every_real_dtype_is_kept(tmp_path, dtype):
    values = (100 * np.abs(random_maps(dtype="float64"))).astype(dtype)
    array = xr.DataArray(values, dims=("model", "seed", "image", "y", "x")).transpose(
        "x", "image", "seed", "y", "model"
    )
    relstats.save_study(maps_study(array, images=list("wxyz")), tmp_path / "s.zarr")
    back = relstats.open_study(tmp_path / "s.zarr")["relevance/relevance"]
    np.testing.assert_array_equal(
        back.transpose("model", "seed", "image", "y", "x").values,
        values.astype("float32"),
        strict=True,
    )


def test_ids_are_text_and_never_a_path(tmp_path):
    values = random_maps((2, 1, len(NASTY), 4, 4))
    models = pd.DataFrame({"model": ["../../etc/x", "<script>"], "pretrain": list(NASTY[:2])})
    group = relstats.relevance_dataset(values, models=models, images=NASTY, seeds=["../.."])
    images = pd.DataFrame({"image": NASTY, "label": NASTY})
    relstats.save_study(relstats.study(relevance=group, images=images), tmp_path / "in" / "s.zarr")
    back = relstats.open_study(tmp_path / "in" / "s.zarr")
    for got in (back["relevance/image"], back["images/image"], back["images/label"]):
        assert tuple(got.values.tolist()) == NASTY
    assert back["relevance/model"].values.tolist() == ["../../etc/x", "<script>"]
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
    assert [p.name for p in (tmp_path / "in").iterdir()] == ["s.zarr"]
    assert not [n for n in files(tmp_path) if "script" in n or "etc" in n or "xxx" in n]


def test_zero_is_not_missing(tmp_path):
    values = random_maps()
    values[1, 2, 3] = 0
    values[0] = 0
    relstats.save_study(maps_study(values), tmp_path / "s.zarr")
    np.testing.assert_array_equal(
        relstats.open_study(tmp_path / "s.zarr")["relevance/relevance"].values, values
    )
    assert verify.verify(tmp_path / "s.zarr") == []


def test_ragged_networks_are_not_expected(tmp_path):
    exists = np.array([[True, True, False], [True, False, True]])
    values = np.where(exists[..., None, None, None], random_maps(), np.nan)
    relstats.save_study(maps_study(values, available=exists), tmp_path / "s.zarr")
    back = relstats.open_study(tmp_path / "s.zarr")
    assert store.incomplete(back, "relevance") == []
    np.testing.assert_array_equal(back["relevance/available"].values, exists)
    assert len(shards.expected(tmp_path / "s.zarr", "relevance")) == 4
    with pytest.raises(
        InvalidData, match=r"relevance: model 'a', seed '2', images 0 to 3 cannot be read"
    ):
        shards.read_block(back["relevance/relevance"], [(0, 2)], slice(0, 4))


def test_small_variables_of_fill_values_are_written(tmp_path):
    masks = xr.Dataset(
        {"mask": (("region", "y", "x"), np.zeros((1, 8, 8), bool))}, coords={"region": [""]}
    )
    study = maps_study(random_maps(), images=["", "b", "c", "d"])
    relstats.save_study(study.assign({"regions": xr.DataTree(masks)}), tmp_path / "s.zarr")
    assert not relstats.open_study(tmp_path / "s.zarr")["regions/mask"].values.any()


# --- crashes and races


def start(path, epoch="1"):
    return subprocess.Popen(
        [sys.executable, "-c", SIMULATE, str(path)],
        stderr=subprocess.PIPE,
        env={**os.environ, "SOURCE_DATE_EPOCH": epoch, "OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "s.zarr"
    process = start(path)
    assert (process.communicate()[1], process.returncode) == (b"", 0)
    return files(path)


def simulate_again(path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    return relstats.simulate(
        path, models="2x1", seeds=3, images=4, size=8, fractions=[0.2], rng=np.random.default_rng(5)
    )


def test_killed_at_any_moment_it_is_told_and_resumed(tmp_path, reference, monkeypatch):
    # random moments, by number of files written: what a clock would hit depends on the machine
    moments = np.random.default_rng(11).integers(1, len(reference) - 3, size=4)
    for k, moment in enumerate(moments):
        path = tmp_path / f"s{k}.zarr"
        process = start(path)
        while process.poll() is None and sum(len(names) for _, _, names in os.walk(path)) < moment:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        told_incomplete(path)
        simulate_again(path, monkeypatch)
        assert files(path) == reference, moment
        assert verify.verify(path) == []


def told_incomplete(path):
    if not path.exists():
        return
    try:
        study = relstats.open_study(path)
    except InvalidData as error:
        if "no group with data" not in str(error):
            raise
        return
    lacking = {group for group in ("relevance", "transfer") if store.incomplete(study, group)}
    for group in lacking & set(study.children):
        assert re.search(
            r"shards of '\w+' are not written \(e.g. .*model '.+', .*seed '\d', images 0 to 3",
            str(store.incomplete(study, group)[0]),
        )
    lacking |= {"relevance", "transfer"} - set(study.children)
    for group in lacking:
        with pytest.raises(RelstatsError, match=r"are not written|was begun|needs /"):
            compare(path, measure={"relevance": "cosine", "transfer": "transfer"}[group])


def test_two_processes_write_one_study(tmp_path, reference):
    path = tmp_path / "s.zarr"
    running = [start(path), start(path)]
    ends = [(p.communicate()[1].decode(), p.returncode) for p in running]
    assert ends == [("", 0), ("", 0)]
    assert files(path) == reference
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_another_process_was_faster(tmp_path, monkeypatch):
    """What two processes do, step by step: the second commits after the first has written
    shards.
    """
    path, late = tmp_path / "s.zarr", []
    commit = atomic.commit

    def slow(new, target):
        if target == path / "relevance" and not late:
            late.append(True)
            monkeypatch.setattr(atomic, "commit", commit)
            simulated(path)
        return commit(new, target)

    monkeypatch.setattr(atomic, "commit", slow)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    simulated(path)
    assert late
    simulated(tmp_path / "t.zarr")
    assert files(path) == files(tmp_path / "t.zarr")


def test_another_plan_was_faster(tmp_path, monkeypatch):
    path, commit = tmp_path / "s.zarr", atomic.commit

    def slow(new, target):
        if target == path / "relevance":
            monkeypatch.setattr(atomic, "commit", commit)
            simulated(path, seeds=3)
        return commit(new, target)

    monkeypatch.setattr(atomic, "commit", slow)
    with pytest.raises(UsageError, match="was written with other settings"):
        simulated(path)


def test_a_temporary_file_swept_by_another_is_written_again(tmp_path, monkeypatch):
    simulated(tmp_path / "s.zarr")
    rename, failed = os.replace, []

    def once(source, target, *args, **kwargs):
        if "/c/" in str(target) and not failed:
            failed.append(target)
            os.unlink(source)
        return rename(source, target, *args, **kwargs)

    path = tmp_path / "s.zarr"
    shard = shards.expected(path, "relevance")[0]
    values = zarr.open_group(path, mode="r")["relevance/relevance"][0, 0]
    zarr.open_group(path)["manifest/relevance"][0, 0] = 0
    monkeypatch.setattr(os, "replace", once)
    monkeypatch.setattr(Path, "replace", lambda self, target: once(self, target))
    shards.write_shard(path, shard, {"relevance": values})
    monkeypatch.undo()
    assert verify.verify(path) == []
    assert shards.unfinished(path, "relevance") == []
    assert failed


def test_stale_scratch_goes_and_everything_else_stays(tmp_path):
    old, new, own = (
        tmp_path / name
        for name in (".s.zarr.relstats-abcdefgh", ".s.zarr.relstats-ijklmnop", ".s.zarr.notes")
    )
    for folder in (old, new, own):
        (folder / "inside").mkdir(parents=True)
    for folder in (old, own):
        os.utime(folder, (0, 0))
    simulated(tmp_path / "s.zarr")
    assert (old.exists(), new.exists(), own.exists()) == (False, True, True)


# --- what cannot be opened


def test_what_is_not_a_study(tmp_path):
    simulated(tmp_path / "faces.zarr")
    with pytest.raises(
        UsageError, match=r"no such study: '.*facs.zarr'. Did you mean '.*faces.zarr'\?"
    ):
        relstats.open_study(tmp_path / "facs.zarr")
    with pytest.raises(UsageError, match=r"no such study: '.*none/at/all'\.$"):
        relstats.open_study(tmp_path / "none/at/all")
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for name in ("file", "folder"):
        with pytest.raises(
            UsageError,
            match=f"{name}' is not a study \\(a Zarr v3 store, a folder with zarr.json\\)",
        ):
            relstats.open_study(tmp_path / name)
    zarr.open_group(tmp_path / "empty", mode="w", zarr_format=3)
    with pytest.raises(
        InvalidData,
        match=r"1 problem.*\n  /: no group with data \(got none\). A study has at least /relev",
    ):
        relstats.open_study(tmp_path / "empty")
    zarr.open_group(tmp_path / "two", mode="w", zarr_format=2)
    with pytest.raises(
        InvalidData, match=r"two is a Zarr v2 store; studies are Zarr v3. Convert it with"
    ):
        relstats.open_study(tmp_path / "two")


def test_a_newer_layout(tmp_path):
    simulated(tmp_path / "s.zarr")
    zarr.open_group(tmp_path / "s.zarr").attrs["relstats_schema"] = 99
    with pytest.raises(
        InvalidData,
        match=r"has study layout version 99; this relstats \(.+\) reads up to 1. Upgrade",
    ):
        relstats.open_study(tmp_path / "s.zarr")


def test_root_metadata_gone_or_damaged(tmp_path):
    path = tmp_path / "s.zarr"
    simulated(path)
    for text in ("", "{", "[]", "{}", '{"attributes": 3}', (path / "zarr.json").read_text()[:-9]):
        (path / "zarr.json").write_text(text)
        with pytest.raises(InvalidData, match=r"s.zarr/zarr.json is damaged"):
            relstats.open_study(path)
    (path / "zarr.json").unlink()
    with pytest.raises(UsageError, match="is not a study"):
        relstats.open_study(path)


def test_metadata_of_an_array_gone(tmp_path):
    path = tmp_path / "s.zarr"
    simulated(path)
    (path / "relevance/relevance/zarr.json").unlink()
    with pytest.raises(InvalidData, match=r"/relevance/relevance: missing: signed relevance"):
        relstats.open_study(path)
    (path / "transfer/margin/zarr.json").unlink()
    problem = store.incomplete(store.open_unchecked(path), "transfer")[0]
    assert str(problem).startswith(
        "/transfer/margin: its metadata are gone, though it was written. Restore"
    )
    assert [str(p).split(".")[0] for p in verify.verify(path)] == [
        "/relevance/relevance: the metadata of 4 complete shards are gone",
        "/transfer/margin: the metadata of 16 complete shards are gone",
    ]


@pytest.mark.parametrize(
    "where",
    [
        "relevance/model",
        "relevance/image",
        "relevance/pretrain",
        "relevance/available",
        "transfer/source_pretrain",
        "transfer/fraction",
        "images/gender",
    ],
)
@pytest.mark.parametrize("damage", ["gone", "truncated", "flipped"])
def test_damaged_labels_are_found_at_the_door(damaged_copy, where, damage):
    path = damaged_copy()
    chunk = next(p for p in (path / where / "c").rglob("*") if p.is_file())
    hurt(chunk, damage)
    with pytest.raises(InvalidData, match="is damaged: its metadata or labels cannot be read"):
        relstats.open_study(path)


def hurt(file: Path, damage: str) -> None:
    data = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    elif damage == "truncated":
        file.write_bytes(data[: len(data) // 2])
    else:
        data[len(data) // 2] ^= 4
        file.write_bytes(data)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "s.zarr"
    simulated(path)
    return path


@pytest.fixture
def damaged_copy(whole, tmp_path):
    return lambda: Path(shutil.copytree(whole, tmp_path / "s.zarr"))


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_manifest(damaged_copy, damage):
    path = damaged_copy()
    hurt(path / "manifest/relevance/c/0/1/0/0", damage)
    try:
        problems = store.incomplete(relstats.open_study(path), "relevance") + verify.verify(path)
    except InvalidData as error:
        if "/manifest/relevance is damaged" not in str(error):
            raise
    else:
        assert "seed '1', images 0 to 5" in str(problems[0])


# --- align


def test_inner_drops_and_records(tmp_path):
    path = tmp_path / "s.zarr"
    study = simulated(planted=relstats.Planted(shared_pixels=0.1))
    parts = {
        "images": [0, 1, 2, 3],
        "relevance": [5, 3, 2, 1],
        "transfer": [1, 2, 3, 4],
        "regions": [3, 2, 1],
    }
    groups = {g: study[g].to_dataset().isel(image=k) for g, k in parts.items()}
    tree = xr.DataTree.from_dict({"/": study.to_dataset(), **groups})
    with pytest.raises(InvalidData, match="3 problem"):
        relstats.save_study(tree, path)
    writing.begin_study(path, {})
    for name, group in groups.items():
        save._save_group(group, path, name)
    with pytest.raises(
        InvalidData, match=r"1 only in /images \('img00000'\), 1 only in /relevance \('img00005'\)"
    ):
        relstats.open_study(path)
    inner = relstats.open_study(path, align="inner")
    assert inner.attrs["dropped_images"] == ["img00000", "img00004", "img00005"]
    for name in parts:
        assert set(inner[f"{name}/image"].values) == {"img00001", "img00002", "img00003"}
        for image in inner[f"{name}/image"].values:
            xr.testing.assert_equal(
                inner[name].to_dataset().sel(image=image).load().reset_coords(drop=True),
                study[name]
                .to_dataset()
                .sel(image=image)
                .reset_coords(drop=True)[list(inner[name].data_vars)],
            )
    assert (
        "dropped_images" not in relstats.open_study(simulated_path(tmp_path), align="inner").attrs
    )


def test_an_unknown_way_to_align_is_refused(tmp_path):
    with pytest.raises(UsageError, match="align is 'outer'; it is one of exact, inner"):
        relstats.open_study(simulated_path(tmp_path), align="outer")


def simulated_path(tmp_path):
    simulated(tmp_path / "whole.zarr")
    return tmp_path / "whole.zarr"


def test_the_order_of_images_between_groups_does_not_matter(tmp_path):
    study = simulated(images=12)
    order = np.random.default_rng(2).permutation(12)
    relevance = study["relevance"].to_dataset()
    groups = {
        "relevance": relevance.isel(image=order),
        "images": study["images"].to_dataset(),
        "transfer": study["transfer"].to_dataset().isel(image=order[::-1]),
    }
    relstats.save_study(
        xr.DataTree.from_dict({"/": study.to_dataset(), **groups}), tmp_path / "s.zarr"
    )
    relstats.save_study(study, tmp_path / "t.zarr")
    for measure in ("cosine", "transfer"):
        a, b = (compare(tmp_path / name, measure=measure) for name in ("s.zarr", "t.zarr"))
        for name in ("estimate", "p_value", "ci", "cell_mean", "p_swap"):
            np.testing.assert_allclose(a[name], b[name], rtol=1e-9, atol=1e-12)


# --- saving


def test_other_data_at_the_path_is_not_overwritten(tmp_path):
    path, values = tmp_path / "s.zarr", random_maps()
    relstats.save_study(maps_study(values), path)
    before = files(path)
    relstats.save_study(maps_study(values), path)
    assert files(path) == before
    other = values.copy()
    other[1, 2, 3, 0, 0] += 1
    with pytest.raises(
        UsageError, match=r"model 'b', seed '2', images 0 to 3 is there with other data"
    ):
        relstats.save_study(maps_study(other), path)
    for study in (
        maps_study(values, models=("b", "a")),
        maps_study(values, images=list("wxyz")),
        maps_study(values[:, :2]),
        maps_study(np.concatenate([values, values], axis=1)),
        maps_study(values, attrs={"composite": "z"}),
        simulated(),
    ):
        with pytest.raises(UsageError, match="was written with other settings"):
            relstats.save_study(study, path)
        assert files(path) == before
    assert [p.name for p in tmp_path.iterdir()] == ["s.zarr"]


def test_save_resumes_where_it_was_stopped(tmp_path, monkeypatch):
    path, values, write = tmp_path / "s.zarr", random_maps(), shards.write_shard

    def stop_at_third(path, shard, arrays):
        if shard.cell == (0, 2):
            raise KeyboardInterrupt
        write(path, shard, arrays)

    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    monkeypatch.setattr(shards, "write_shard", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        relstats.save_study(maps_study(values), path)
    problem = store.incomplete(relstats.open_study(path), "relevance")[0]
    assert (problem.count, problem.examples[0]) == (4, "model 'a', seed '2', images 0 to 3")
    assert "4 of 6 shards of 'relevance' are not written" in str(problem)
    monkeypatch.setattr(shards, "write_shard", write)
    study = maps_study(values)
    relstats.save_study(study, path)
    relstats.save_study(study, tmp_path / "t.zarr")
    np.testing.assert_array_equal(relstats.open_study(path)["relevance/relevance"].values, values)
    assert {n: h for n, h in files(path).items() if n != "zarr.json"} == {
        n: h for n, h in files(tmp_path / "t.zarr").items() if n != "zarr.json"
    }


@pytest.mark.parametrize(
    ("value", "dtype"), [(np.inf, "float32"), (-np.inf, "float16"), (1e39, "float64")]
)
def test_infinite_and_overflowing_maps_are_refused(tmp_path, value, dtype):
    values = random_maps(dtype=dtype)
    values[1, 0, 2, 0, 0] = value
    with pytest.raises(
        InvalidData,
        match=(
            rf"relevance of model 'b', seed '0', images 0 to 3 holds 1 infinite .* of dtype {dtype}"
        ),
    ):
        relstats.save_study(maps_study(values), tmp_path / "s.zarr")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        (
            "margin",
            7e4,
            r"holds 48 infinite value\(s\), of dtype float64 stored as float16 \(largest 65504",
        ),
        ("probability", 1.5, r"lies in \[1.5, 1.5\], not in \[0, 1\]"),
        ("probability", -0.5, r"lies in \[-0.5, -0.5\]"),
        (
            "correct",
            0.5,
            r"holds 48 number\(s\) that are not whole \(e.g. 0.5\); uint8 would cut them",
        ),
        ("correct", 255.0, r"lies in \[255, 255\], not in \[0, 1\]"),
    ],
)
def test_scores_that_would_change_are_refused(tmp_path, name, value, says):
    scores = {name: np.full((2, 1, 2, 1, 1, 48), value)}
    images = [f"i{k}" for k in range(48)]
    group = relstats.transfer_dataset(scores, models=["a", "b"], images=images, fractions=[0.1])
    with pytest.raises(
        InvalidData, match=f"{name} of source_model 'a', source_seed '0', target_model 'a'.*{says}"
    ):
        relstats.save_study(relstats.study(transfer=group), tmp_path / "s.zarr")


def test_missing_scores_stay_missing(tmp_path):
    scores = {"correct": np.array([1, 0, np.nan, 1]).reshape(1, 1, 1, 1, 1, 4)}
    group = relstats.transfer_dataset(scores, models=["a"], images=list("wxyz"), fractions=[0.1])
    relstats.save_study(relstats.study(transfer=group), tmp_path / "s.zarr")
    got = relstats.open_study(tmp_path / "s.zarr")["transfer/correct"].values.ravel()
    np.testing.assert_array_equal(got, [1, 0, np.nan, 1])


def test_force_replaces_a_study_even_itself(tmp_path):
    path = tmp_path / "s.zarr"
    expected = simulated(path)["relevance/relevance"].values
    relstats.save_study(relstats.open_study(path), path, force=True)
    np.testing.assert_array_equal(relstats.open_study(path)["relevance/relevance"].values, expected)
    relstats.save_study(maps_study(random_maps()), path, force=True)
    assert set(relstats.open_study(path).children) == {"manifest", "relevance"}
    bad = random_maps()
    bad[0, 0, 0] = np.inf
    with pytest.raises(InvalidData, match="infinite"):
        relstats.save_study(maps_study(bad), path, force=True)
    np.testing.assert_array_equal(
        relstats.open_study(path)["relevance/relevance"].values, random_maps()
    )
    assert [p.name for p in tmp_path.iterdir()] == ["s.zarr"]


def test_force_removes_nothing_but_studies(tmp_path):
    study = maps_study(random_maps())
    simulated(tmp_path / "s.zarr")
    (tmp_path / "s.zarr" / "thesis").mkdir()
    (tmp_path / "s.zarr" / "thesis" / "chapter.txt").write_text("x")
    zarr.open_group(tmp_path / "other", mode="w", zarr_format=3, attributes={"mine": 1})
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    before = files(tmp_path)
    for name, says in (
        ("s.zarr", r"holds things that are not of a study \('thesis'\)"),
        ("folder", "is not a study"),
        ("other", r"is a Zarr store but not a study \(no relstats_schema\)"),
        ("file", "is not a study"),
    ):
        for write in (
            lambda p: relstats.save_study(study, p, force=True),
            lambda p: simulated(p, force=True),
        ):
            with pytest.raises(
                UsageError,
                match=f"{says}.*; --force only replaces studies. Remove it yourself|{says}",
            ):
                write(tmp_path / name)
    assert files(tmp_path) == before


def test_a_path_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    for write in (lambda p: relstats.save_study(maps_study(random_maps()), p), simulated):
        with pytest.raises(UsageError, match=r"cannot write '.*/file/s.zarr'.*Choose another path"):
            write(tmp_path / "file" / "s.zarr")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


# --- results


def test_results_replace_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "s.zarr"
    simulated(path)
    first = xr.Dataset(
        {
            "a": ("k", [1.0, np.nan]),
            "empty": ("t", np.array(["", ""], object)),
            "no": ("k", [False, False]),
        },
        attrs={"notes": ["x", "y"], "n": 3},
    )
    relstats.save_result(path, "r", first)
    xr.testing.assert_identical(relstats.open_study(path)["results/r"].to_dataset().load(), first)
    with pytest.raises(TypeError):
        relstats.save_result(path, "r", first.assign_attrs(bad=object()))
    xr.testing.assert_identical(relstats.open_study(path)["results/r"].to_dataset().load(), first)
    second = xr.Dataset({"b": ((), 2.0)})
    relstats.save_result(path, "r", second)
    xr.testing.assert_identical(relstats.open_study(path)["results/r"].to_dataset().load(), second)
    assert [p.name for p in tmp_path.iterdir()] == ["s.zarr"]


def test_the_name_of_a_result_is_never_a_path(tmp_path):
    path = tmp_path / "in" / "s.zarr"
    simulated(path)
    for name in ("../../x", "/etc/x", "..", "", "x" * 300, "a b", "a_b"):
        relstats.save_result(path, name, xr.Dataset({"v": ((), 1.0)}))
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
    assert [p.name for p in (tmp_path / "in").iterdir()] == ["s.zarr"]
    assert len(relstats.open_study(path)["results"].children) == 7


def test_results_of_two_processes(tmp_path, monkeypatch):
    path, target = tmp_path / "s.zarr", tmp_path / "s.zarr" / "results" / "r"
    simulated(path)
    commit, other = atomic.commit, []

    def slow(new, where):
        if where == target and not other:
            other.append(True)
            relstats.save_result(path, "r", xr.Dataset({"v": ((), 1.0)}))
        return commit(new, where)

    monkeypatch.setattr(atomic, "commit", slow)
    relstats.save_result(path, "r", xr.Dataset({"v": ((), 2.0)}))
    assert relstats.open_study(path)["results/r/v"].item() == 2


def test_created_can_be_fixed_and_versions_are_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    attrs = simulated(tmp_path / "s.zarr").attrs
    assert attrs["created"] == "1970-01-01T00:00:00Z"
    assert (attrs["relstats_schema"], attrs["numpy_version"]) == (1, np.__version__)
