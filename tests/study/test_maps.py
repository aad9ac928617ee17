"""The reader of maps: what it refuses, what it leaves out and counts, and that neither the order of
labels nor the size of blocks matters.
"""

from __future__ import annotations

import re

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

import relstats
from relstats.errors import InvalidData, UsageError
from relstats.study import maps as study_maps
from relstats.study import shards, store
from relstats.study.maps import read_maps
from relstats.study.omissions import Tally, omissions

MODELS = pd.DataFrame({"model": ["b", "a"], "pretrain": ["v", "i"]})
AVAILABLE = np.array([[True, False, True], [True, True, True]])
NETWORKS = [("a", "0"), ("a", "1"), ("a", "2"), ("b", "0"), ("b", "2")]


def relevance(n_images=7):
    """Five networks of unequal seeds; the sixth does not exist, and holds NaN."""
    values = np.random.default_rng(1).standard_normal((2, 3, n_images, 4, 5)).astype(np.float32)
    values[0, 1] = np.nan
    images = [f"im{k}" for k in range(n_images)]
    return relstats.relevance_dataset(values, models=MODELS, images=images, available=AVAILABLE)


def read(study, **options):
    return read_maps(study, "this needs", **options)


def largest(block):
    """Largest value of each map (network, image), of images without NaN or an all-zero map."""
    used = block.present & ~block.empty().any(axis=0)
    return block.pixels[:, used].max(axis=-1), block.tally(used, block.empty())


def names(maps):
    return [tuple(row) for row in maps.networks[["model", "seed"]].to_numpy()]


# --- is the group there, complete and valid
# --------------------------------------------------------------------------------------------------


def test_a_study_without_maps_is_refused_with_what_it_has():
    study = xr.DataTree.from_dict({"transfer": xr.Dataset(), "images": xr.Dataset()})
    with pytest.raises(
        UsageError,
        match=r"this needs /relevance; this study has transfer, images\. Add the maps",
    ):
        read(study)
    with pytest.raises(UsageError, match=r"this study has nothing\. Compute them"):
        read(xr.DataTree(), advice="Compute them")
    with pytest.raises(UsageError, match="this needs relevance maps; this dataset has margin"):
        read(xr.Dataset({"margin": ("image", [1.0])}))


def test_an_incomplete_group_is_refused(tmp_path):
    path = tmp_path / "s.zarr"
    relstats.simulate(path, models="2x1", seeds=2, images=6, size=8, rng=np.random.default_rng(1))
    zarr.open_group(str(path), mode="r+", use_consolidated=False)["manifest/relevance"][1, 0] = 0
    with pytest.raises(
        InvalidData, match=r"/relevance: 1 of 4 shards of 'relevance' are not written.*it resumes"
    ):
        read(store.open_unchecked(path))


def test_a_group_that_breaks_the_layout_is_refused_however_it_is_given():
    """Two networks of one name could not be told apart."""
    twice = relevance().assign_coords(model=["a", "a"])
    for study in (twice, xr.DataTree.from_dict({"relevance": twice})):
        with pytest.raises(InvalidData, match=r"/relevance/model: 1 duplicate id\(s\)"):
            read(study)


# --- labels
# --------------------------------------------------------------------------------------------------


def test_networks_are_those_that_exist_sorted_by_label():
    maps = read(relevance())
    assert names(maps) == NETWORKS
    assert maps.axes == ["pretrain"]
    assert maps.networks["pretrain"].tolist() == ["i", "i", "i", "v", "v"]
    assert maps.images == [f"im{k}" for k in range(7)]
    assert (maps.shape, maps.n_pixels) == ((4, 5), 20)


def test_the_order_of_networks_images_and_dims_does_not_matter():
    study = relevance()
    shuffled = study.isel(model=[1, 0], seed=[2, 0, 1], image=slice(None, None, -1)).transpose()
    values, _ = read(study).blocks(largest)
    others, _ = read(shuffled).blocks(largest)
    assert names(read(shuffled)) == NETWORKS
    np.testing.assert_array_equal(others[0][:, ::-1], values[0])


def test_networks_and_images_are_selected_together_with_their_labels():
    study = relevance()
    some = read(study).select(np.array([True, False, False, False, True]), np.array([5, 2]))
    assert (names(some), some.images) == ([("a", "0"), ("b", "2")], ["im5", "im2"])
    found = some.block(slice(0, 2)).maps
    for k, (model, seed) in enumerate(names(some)):
        expected = study["relevance"].sel(model=model, seed=seed, image=["im5", "im2"])
        np.testing.assert_array_equal(found[k], expected)
    assert names(read(study).without([("a", "1"), ("b", "0")])) == [
        ("a", "0"),
        ("a", "2"),
        ("b", "2"),
    ]


# --- blocks
# --------------------------------------------------------------------------------------------------


def pixel_sums(block):
    return block.pixels.sum(axis=1, dtype=float), block.tally(block.present, block.empty())


def test_blocks_are_the_whole_in_the_order_of_the_images(monkeypatch):
    maps = read(relevance())
    whole, tally = maps.blocks(largest)
    total, _ = maps.total(pixel_sums)
    monkeypatch.setattr(shards, "BLOCK_VALUES", 5 * 20 * 2)
    monkeypatch.setattr(study_maps, "BLOCKS_AT_ONCE", 2)
    assert maps.images_per_block == 2
    with dask.config.set(scheduler="threads", num_workers=3):
        parts, counted = maps.blocks(largest)
        by_parts, summed = maps.total(pixel_sums)
    assert [part.shape[1] for part in parts] == [2, 2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole[0])
    np.testing.assert_allclose(by_parts, total, rtol=1e-12)
    assert counted.images == tally.images == summed.images == 7
    assert maps.stream(lambda block: (block.images.start, block.images.stop)) == [
        (0, 2),
        (2, 4),
        (4, 6),
        (6, 7),
    ]


def test_a_block_without_a_result_is_counted_and_left_out(monkeypatch):
    monkeypatch.setattr(shards, "BLOCK_VALUES", 5 * 20)
    study = relevance()
    study["relevance"].loc[{"image": "im3"}] = 0

    def some(block):
        value, tally = largest(block)
        return (value if tally.images else None), tally

    values, tally = read(study).blocks(some)
    assert len(values) == tally.images == 6
    assert (tally.omitted_nan, tally.omitted_degenerate) == (0, 1)


def test_no_network_has_no_block():
    maps = read(relevance()).without(NETWORKS)
    results, tally = maps.blocks(largest)
    assert (results, tally.images, maps.dead(tally)) == ([], 0, [])


# --- NaN and infinity
# --------------------------------------------------------------------------------------------------


def with_nan():
    study = relevance()
    study["relevance"].loc[{"model": "a", "seed": "1", "image": "im2"}] = np.nan
    study["relevance"][0, 2, 5, 0, 0] = np.nan
    study["relevance"].loc[{"model": "b", "seed": "0", "image": "im2"}] = 0
    return study


@pytest.mark.parametrize("how", ["blocks", "total"])
def test_nan_is_refused_with_all_cells_of_all_blocks(monkeypatch, how):
    monkeypatch.setattr(shards, "BLOCK_VALUES", 5 * 20)
    monkeypatch.setattr(study_maps, "BLOCKS_AT_ONCE", 1)
    message = (
        "/relevance/relevance: NaN in 2 cell(s) (e.g. a seed 1, image 'im2'; b seed 2, image"
        " 'im5'). Mend them, or leave these images out on purpose with --nan omit"
    )
    with pytest.raises(InvalidData, match=re.escape(message)):
        getattr(read(with_nan()), how)(pixel_sums)


@pytest.mark.parametrize("values", [5 * 20, 2**24])
def test_nan_omitted_on_purpose_is_counted_by_image(monkeypatch, values):
    monkeypatch.setattr(shards, "BLOCK_VALUES", values)
    study = with_nan()
    found, tally = read(study, nan="omit").blocks(largest)
    rest, _ = read(study.drop_sel(image=["im2", "im5"])).blocks(largest)
    np.testing.assert_array_equal(np.concatenate(found, axis=1), np.concatenate(rest, axis=1))
    assert (tally.images, tally.omitted_nan, tally.omitted_degenerate) == (5, 2, 0)
    assert tally.zero_maps.tolist() == [0] * 5  # b's is on an image with NaN


def test_nan_of_a_network_that_does_not_exist_does_not_count():
    assert read(relevance()).blocks(largest)[1].images == 7


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_maps_are_always_refused_by_name(value):
    study = relevance()
    study["relevance"][0, 2, 5, 0, 0] = value
    study["relevance"][0, 2, 5, 0, 1] = -value  # their sum is NaN
    maps = read(study, nan="omit")
    for act in (
        lambda: maps.blocks(largest),
        lambda: maps.stream(len),
        lambda: maps.block(slice(4, 6)),
    ):
        with pytest.raises(
            InvalidData, match="/relevance/relevance is infinite in b seed 2, image 'im5'"
        ):
            act()


def test_a_sum_beyond_the_range_of_float32_is_not_infinite():
    study = relevance()
    study["relevance"][0, 2, 5] = 3e38
    assert read(study).blocks(largest)[1].images == 7


# --- networks without relevance
# --------------------------------------------------------------------------------------------------


def test_dead_networks_are_named_and_dropped(monkeypatch):
    monkeypatch.setattr(shards, "BLOCK_VALUES", 5 * 20 * 2)
    study = relevance()
    study["relevance"].loc[{"model": "b", "seed": "0"}] = 0
    study["relevance"].loc[{"model": "a", "seed": "2", "image": ["im0", "im1"]}] = 0
    maps = read(study)
    none, tally = maps.blocks(largest)
    assert [part.shape[1] for part in none] == [0] * 4
    assert tally.zero_maps.tolist() == [0, 0, 2, 7, 0]
    assert maps.dead(tally) == [("b", "0")]
    alive = maps.alive(tally)
    assert names(alive) == [("a", "0"), ("a", "1"), ("a", "2"), ("b", "2")]
    values, tally = alive.blocks(largest)
    assert (tally.images, tally.omitted_degenerate, alive.dead(tally)) == (5, 2, [])
    assert sum(part.shape[1] for part in values) == 5


def test_a_network_is_dead_by_the_images_without_nan_alone():
    study = relevance()
    study["relevance"].loc[{"model": "b", "seed": "0"}] = 0
    study["relevance"].loc[{"model": "b", "seed": "0", "image": "im3"}] = np.nan
    maps = read(study, nan="omit")
    assert maps.dead(maps.blocks(largest)[1]) == [("b", "0")]


def test_where_every_image_has_nan_no_network_is_dead():
    study = relevance()
    study["relevance"].loc[{"model": "a", "seed": "0"}] = np.nan
    maps = read(study, nan="omit")
    _, tally = maps.blocks(largest)
    assert (tally.images, tally.omitted_nan, maps.dead(tally)) == (0, 7, [])


def test_what_is_left_out_is_said_in_words():
    tally = Tally(5, 1, 2, np.array([0]))
    assert omissions(tally, [("b", "0")]) == [
        "1 network(s) left out: all their maps are zero (b seed 0)",
        "1 image(s) left out for NaN",
        "2 image(s) left out: a map is all zero or constant, or has no pixel to rank",
    ]
    assert omissions(Tally(5, 0, 0, np.array([0])), []) == []
