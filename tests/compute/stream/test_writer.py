"""The writer alone, with an analysis of three lines: what a new analysis must say, and no more."""

import json
from functools import partial

import numpy as np
import pytest
import torch
import xarray as xr

from relstats.compute.stream import writer
from relstats.compute.stream.writer import Group, Piece
from relstats.errors import UsageError
from relstats.study import layout, shards
from relstats.study.shards import Shard

N_IMAGES = 230
NETWORKS = [(0, 0), (1, 0), (1, 1)]


def group_of(tmp_path, **options):
    given = {"plan": writer.plan("positions", {"a": 1}), "batch": 30}
    return Group(
        tmp_path / "s.zarr",
        "relevance",
        {"relevance": ["relevance"]},
        n_images=N_IMAGES,
        **(given | options),
    )


def labels():
    images = [f"{k:03d}" for k in range(N_IMAGES)]
    coords = {"model": ["a", "b"], "seed": ["0", "1"], "image": images}
    available = (layout.NETWORK, [[True, False], [True, True]])
    return xr.Dataset({"available": available}, coords=coords), {"y": 2, "x": 3}


def maps_of(number, positions):
    return np.broadcast_to((100 * number + positions)[:, None, None], (len(positions), 2, 3))


def make(group, network, shard, positions, fit):
    def task(part):
        return {"relevance": maps_of(network, positions[part]).astype(np.float32)}

    return writer.in_batches(group, shard, task, f"network {network}", fit)


def written(group, load=lambda shard: NETWORKS.index(shard.cell), make=make):
    writer.begin(group, {"name": "toy"}, labels)
    read = partial(positions_of, group)
    return writer.write_shards(group, load, partial(make, group), read)


def positions_of(group, shard):
    where = group.images(shard)
    return np.arange(where.start, where.stop)


def values(group):
    with xr.open_zarr(group.out, group="relevance", consolidated=False, chunks=None) as found:
        return found["relevance"].values


def test_each_shard_is_made_by_its_network_which_is_loaded_once(tmp_path):
    loaded, steps = [], []

    def load(shard):
        loaded.append(shard.cell)
        return NETWORKS.index(shard.cell)

    group = group_of(tmp_path, progress=lambda *step: steps.append(step))
    share = written(group, load)
    assert loaded == NETWORKS
    assert share == shards.expected(group.out, "relevance")
    assert steps == [(done, 690) for done in (100, 200, 230, 330, 430, 460, 560, 660, 690)]
    for number, cell in enumerate(NETWORKS):
        expected = maps_of(number, np.arange(N_IMAGES))
        np.testing.assert_array_equal(values(group)[cell], expected)


def test_what_is_left_is_made_and_nothing_twice(tmp_path):
    group, made = group_of(tmp_path), []

    def at_most_four(group, network, shard, positions, fit):
        made.append(shard)
        if len(made) == 5:
            raise KeyboardInterrupt
        return make(group, network, shard, positions, fit)

    with pytest.raises(KeyboardInterrupt):
        written(group, make=at_most_four)
    left = shards.unfinished(group.out, "relevance")
    assert len(left) == 5
    del made[:]
    made += [None] * 10
    assert len(written(group, make=at_most_four)) == 9
    assert made[10:] == left
    assert shards.unfinished(group.out, "relevance") == []


def test_pieces_of_one_shard_are_done_by_one_worker():
    pieces = [Piece(k, (Shard("relevance", (0, 0), k // 2),), 0, 1) for k in range(6)]
    shares = [[piece.work for piece in writer._share(pieces, (k, 2))] for k in range(2)]
    assert shares == [[0, 1], [2, 3, 4, 5]]


def test_another_plan_is_refused_and_its_scores_removed_by_force(tmp_path):
    group = group_of(tmp_path)
    written(group)
    other = group_of(tmp_path, plan=writer.plan("positions", {"a": 2}))
    with pytest.raises(UsageError, match="was written with other settings"):
        written(other)
    message = (
        r"/relevance of .* was made with other settings \(positions, .* now positions, .*force"
    )
    with pytest.raises(UsageError, match=message):
        writer.require_same_plan(other, force=False)
    writer.require_same_plan(group, force=True)
    assert not shards.unfinished(group.out, "relevance")
    writer.require_same_plan(other, force=True)
    assert shards.expected(group.out, "relevance") == []
    assert len(written(other)) == 9


def test_labels_are_made_only_for_a_new_group_and_before_anything_is_written(tmp_path):
    group = group_of(tmp_path)

    def wrong():
        raise UsageError("no such network")

    with pytest.raises(UsageError, match="no such network"):
        writer.begin(group, {}, wrong)
    assert not group.out.exists()
    assert writer.begin(group, {}, labels)["relstats_plan"] == group.plan
    assert writer.begin(group, {}, wrong)["relstats_plan"] == group.plan


def test_a_batch_that_did_not_fit_stays_smaller_for_its_network_and_is_recorded(tmp_path):
    said, sizes = [], []

    def make(group, network, shard, positions, fit):
        def task(part):
            sizes.append(len(positions[part]))
            if network == 1 and len(positions[part]) > 20:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return {"relevance": maps_of(network, positions[part]).astype(np.float32)}

        return writer.in_batches(group, shard, task, f"network {network}", fit)

    group = group_of(tmp_path, say=said.append)
    written(group, make=make)
    assert said == [
        "out of memory: network 1 goes on in batches of 15; recorded in batch_reduced of /relevance"
    ]
    of_network = [30, 30, 30, 10] * 2 + [30]
    halved = [30] + [15, 15, 15, 15, 15, 15, 10] * 2 + [15, 15]
    assert sizes == of_network + halved + of_network
    noted = writer.attributes(group)["batch_reduced"]
    spans = ("images 0 to 99", "images 100 to 199", "images 200 to 229")
    assert json.loads(noted) == {f"network 1, {span}": 15 for span in spans}
