"""Shards: damage is named by cell, blocks are the same on any scheduler, memory does not grow with
the images.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
import zarr

import relstats
from relstats.errors import InvalidData, UsageError
from relstats.study import layout, shards, store, verify
from relstats.study.variables import variables


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "s.zarr"
    relstats.simulate(
        path,
        models="2x1",
        seeds=2,
        images=120,
        size=8,
        fractions=[0.2],
        rng=np.random.default_rng(3),
    )
    return path


@pytest.fixture
def copy(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "s.zarr"))


def compare(path, measure, score="correct"):
    return relstats.compare(
        relstats.open_study(path),
        axis="pretrain",
        measure=measure,
        score=score,
        n_swaps=9,
        rng=np.random.default_rng(1),
    )


MAP = (
    "relevance/relevance",
    "1/0/1/0/0",
    "model 'vggface2-gender', seed '0', images 100 to 119",
    "cosine",
)
SCORE = (
    "transfer/correct",
    "0/0/1/1/0/0",
    (
        "source_model 'imagenet-gender', source_seed '0', target_model 'vggface2-gender',"
        " target_seed '1', images 0 to 119"
    ),
    "transfer",
)


def damage(file: Path, how: str) -> None:
    data = bytearray(file.read_bytes())
    if how == "removed":
        file.unlink()
    elif how.startswith("cut"):
        file.write_bytes(data[: int(len(data) * float(how.removeprefix("cut ")))])
    else:
        data[int((len(data) - 1) * float(how.removeprefix("flipped ")))] ^= 16
        file.write_bytes(data)


@pytest.mark.parametrize(
    "how",
    [
        "removed",
        "cut 0",
        "cut 0.02",
        "cut 0.5",
        "cut 0.99",
        "flipped 0.1",
        "flipped 0.5",
        "flipped 1",
    ],
)
@pytest.mark.parametrize("where", [MAP, SCORE], ids=["map", "score"])
def test_damage_names_the_cell(copy, where, how):
    variable, chunk, cell, measure = where
    damage(copy / variable / "c" / chunk, how)
    problems = verify.verify(copy)
    assert len(problems) == 1
    assert str(problems[0]).startswith(f"/{variable}: {cell}: ")
    assert str(problems[0]).endswith("Restore this shard from a copy, or compute it again")
    labels = cell.rsplit(", images", 1)[0]
    with pytest.raises(InvalidData, match=r"`relstats validate --deep` lists all") as caught:
        compare(copy, measure)
    assert labels in str(caught.value)


@pytest.mark.parametrize(
    ("where", "other"), [(MAP, "0/0/1/0/0"), (SCORE, "0/1/1/1/0/0")], ids=["map", "score"]
)
def test_swapped_shards_only_verify_finds(copy, where, other):
    variable, chunk, cell, measure = where
    first, second = (copy / variable / "c" / name for name in (chunk, other))
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    compare(copy, measure)  # both are whole: the checksums agree
    problems = [str(p) for p in verify.verify(copy)]
    assert len(problems) == 2
    assert any(
        cell in p and "the data are not those that were written (sha256 differs)" in p
        for p in problems
    )


def test_a_whole_study_has_no_problems(whole):
    assert verify.verify(whole) == []
    assert [shards.unfinished(whole, family) for family in layout.FAMILIES] == [[]] * len(
        layout.FAMILIES
    )


def test_verify_does_not_fail_on_what_was_only_begun(copy):
    shutil.rmtree(copy / "transfer")
    assert {str(p).split(":")[0] for p in verify.verify(copy)} == {
        f"/transfer/{v.name}" for v in variables("transfer") if v.family
    }
    for family in ("transfer", "controls"):
        zarr.open_group(copy)[f"manifest/{family}"][:] = 0
    assert verify.verify(copy) == []
    found = [str(p) for p in store.incomplete(relstats.open_study(copy), "transfer")]
    assert found == [
        f"/transfer: {f!r} was begun, and nothing of it is written. Run the command that writes it"
        " again: it resumes"
        for f in ("transfer", "controls")
    ]


def test_what_the_manifest_does_not_name_is_not_there(copy):
    zarr.open_group(copy)["manifest/relevance"][1, 0, 1] = 0
    assert shards.unfinished(copy, "relevance") == [shards.Shard("relevance", (1, 0), 1)]
    with pytest.raises(
        InvalidData,
        match=r"1 of 8 shards of 'relevance' are not written \(e.g. model 'vggface2-gender', "
        r"seed '0', images 100 to 119\). Run the command",
    ):
        compare(copy, "cosine")


# --- writing


def test_a_shard_is_written_once(copy):
    shard = shards.Shard("relevance", (0, 1), 1)
    values = zarr.open_group(copy)["relevance/relevance"][0, 1, 100:]
    shards.write_shard(copy, shard, {"relevance": values})
    with pytest.raises(
        UsageError,
        match=r"model 'imagenet-gender', seed '1', images 100 to 119 is there with other data",
    ):
        shards.write_shard(copy, shard, {"relevance": 2 * values})
    np.testing.assert_array_equal(zarr.open_group(copy)["relevance/relevance"][0, 1, 100:], values)


@pytest.mark.parametrize("arrays", [{}, {"relevance": 0, "logit": 0}, {"logit": 0}])
def test_a_shard_has_all_variables(copy, arrays):
    with pytest.raises(
        InvalidData,
        match=r"a shard of 'relevance' holds \['relevance'\], got .* Pass exactly those",
    ):
        shards.write_shard(copy, shards.Shard("relevance", (0, 0), 0), arrays)


def test_a_shard_has_its_shape(copy):
    zarr.open_group(copy)["manifest/relevance"][0, 0, 1] = 0
    with pytest.raises(
        InvalidData, match=r"has shape \(100, 8, 8\), not \(20, 8, 8\). Pass one shard at a time"
    ):
        shards.write_shard(
            copy, shards.Shard("relevance", (0, 0), 1), {"relevance": np.zeros((100, 8, 8))}
        )
    assert shards.unfinished(copy, "relevance") == [shards.Shard("relevance", (0, 0), 1)]


def test_sweep_removes_temporary_files_only(copy):
    (copy / "relevance/relevance/c/0/x.123.partial").write_text("x")
    before = sorted(p for p in copy.rglob("*") if p.suffix != ".partial")
    shards.sweep(copy)
    assert sorted(copy.rglob("*")) == before


def test_available_by_name_of_the_dim_not_its_place():
    exists = np.array([[True, True, False], [False, True, True]])
    for dims, values in ((layout.NETWORK, exists), (layout.NETWORK[::-1], exists.T)):
        dataset = xr.Dataset({"available": (dims, values)})
        np.testing.assert_array_equal(shards.available(dataset, layout.NETWORK), exists)
    transfer = xr.Dataset(
        {
            "source_available": (layout.SOURCE, exists),
            "target_available": (layout.TARGET[::-1], ~exists.T),
        }
    )
    np.testing.assert_array_equal(
        shards.available(transfer, layout.SOURCE + layout.TARGET),
        exists[:, :, None, None] & ~exists[None, None],
    )
    np.testing.assert_array_equal(shards.available(transfer, layout.TARGET), ~exists)


# --- over images


CELLS = [(0, 0), (0, 1), (1, 0), (1, 1)]


def means(block, images):
    return block.sum(axis=(0, 2, 3), dtype="float32"), images


def reduce(array, **options):
    with dask.config.set(**options):
        return shards.over_images(array, CELLS, means)


@pytest.mark.parametrize("kind", ["store", "memory", "dask"])
def test_any_scheduler_gives_the_same_bits(whole, monkeypatch, kind):
    monkeypatch.setattr(shards, "BLOCK_VALUES", 4 * 64 * 7)
    array = relstats.open_study(whole)["relevance/relevance"]
    expected = array.values
    array = {"store": array, "memory": array.load(), "dask": array.chunk(image=50)}[kind]
    if kind == "dask":
        array = xr.open_zarr(whole, group="relevance", consolidated=False, chunks={})["relevance"]
        assert dask.is_dask_collection(array)
    found = [
        reduce(array, scheduler="synchronous"),
        reduce(array, scheduler="threads", num_workers=1),
        reduce(array, scheduler="threads", num_workers=4),
    ]
    assert [images for _, images in found[0]] == [
        slice(k, min(k + 7, 120)) for k in range(0, 120, 7)
    ]
    for result in found:
        for values, images in result:
            slow = np.stack([expected[cell] for cell in CELLS])[:, images].sum(
                axis=(0, 2, 3), dtype="float32"
            )
            np.testing.assert_array_equal(values, slow, strict=True)


def test_the_cells_and_their_order_are_those_asked_for(whole):
    array = relstats.open_study(whole)["relevance/relevance"]
    block = shards.read_block(array, [(1, 1), (0, 1)], slice(3, 5))
    np.testing.assert_array_equal(
        block, np.stack([array.values[1, 1, 3:5], array.values[0, 1, 3:5]])
    )


MEMORY = """
import resource, sys, numpy as np, xarray as xr, dask
from relstats.study import shards
shards.BLOCK_VALUES = 2 * 64 * 64 * 50
array = xr.open_zarr(sys.argv[1], group="relevance", consolidated=False, chunks=None)["relevance"]
cells = [(0, 0), (0, 1)]
def run(images):
    some = array.isel(image=slice(images))
    return shards.over_images(some, cells, lambda block, _: float(block.sum()))
with dask.config.set(scheduler="synchronous"):
    run(200)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(None)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024, array.nbytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
def test_memory_does_not_grow_with_the_images(tmp_path):
    path = tmp_path / "s.zarr"
    n = 2_000
    images = [f"i{k}" for k in range(n)]
    zeros = np.broadcast_to(np.float32(1), (1, 2, n, 64, 64))
    maps = relstats.relevance_dataset(
        xr.DataArray(zeros, dims=("model", "seed", "image", "y", "x")), models=["a"], images=images
    )
    relstats.save_study(relstats.study(relevance=maps), path)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    grown, size = map(int, done.stdout.split())
    assert size == 4 * 2 * n * 64 * 64
    assert grown < size / 5
