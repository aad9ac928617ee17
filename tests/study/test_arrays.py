"""Arrays and tables become studies by label, never by position.

What does not fit is told with both sides.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import relstats
from relstats.errors import InvalidData

MODELS, SEEDS, IMAGES = ["a", "b"], ["s0", "s1", "s2"], ["i0", "i1", "i2", "i3"]
COORDS = {"model": MODELS, "seed": SEEDS, "image": IMAGES}
VALUES = np.random.default_rng(1).standard_normal((2, 3, 4, 5, 6))
MAPS = xr.DataArray(VALUES, dims=("model", "seed", "image", "y", "x"), coords=COORDS)
SIDES = ("source_model", "source_seed", "target_model", "target_seed", "fraction", "image")
SCORES = xr.DataArray(
    np.random.default_rng(2).random((2, 3, 2, 3, 2, 4)),
    dims=SIDES,
    coords={
        "source_model": MODELS,
        "target_model": MODELS,
        "source_seed": SEEDS,
        "target_seed": SEEDS,
        "fraction": [0.1, 0.2],
        "image": IMAGES,
    },
)


def shuffled(array, seed=4):
    rng = np.random.default_rng(seed)
    array = array.isel({d: rng.permutation(n) for d, n in array.sizes.items() if d in array.coords})
    return array.transpose(*rng.permutation(array.dims))


def relevance(maps=MAPS, **options):
    return relstats.relevance_dataset(
        maps, **{"models": MODELS, "images": IMAGES, "seeds": SEEDS, **options}
    )


def transfer(scores, **options):
    options = {
        "models": MODELS,
        "images": IMAGES,
        "seeds": SEEDS,
        "fractions": [0.1, 0.2],
        **options,
    }
    return relstats.transfer_dataset(scores, **options)


def test_maps_are_aligned_by_label():
    expected = relevance(VALUES)
    for seed in range(5):
        assert expected.identical(relevance(shuffled(MAPS, seed)).transpose(*MAPS.dims))
    np.testing.assert_array_equal(
        expected["relevance"].sel(model="b", seed="s2", image="i1"), VALUES[1, 2, 1]
    )
    table = pd.DataFrame({"model": ["b", "a"], "task": ["tb", "ta"]})
    got = relevance(shuffled(MAPS), models=table).transpose("model", "seed", "image", "y", "x")
    np.testing.assert_array_equal(
        got["relevance"].sel(model="b", seed="s2", image="i1"), VALUES[1, 2, 1]
    )
    assert got["task"].sel(model="b").item() == "tb"


def test_scores_are_aligned_by_label():
    expected = transfer({"probability": SCORES.values})
    for seed in range(5):
        got = transfer({"probability": shuffled(SCORES, seed)})
        xr.testing.assert_identical(got.transpose(*SIDES), expected.transpose(*SIDES))
    control = SCORES.isel(source_model=0, source_seed=0, drop=True)
    got = transfer({"probability": SCORES, "random_probability": shuffled(control)})
    np.testing.assert_array_equal(
        got["random_probability"].transpose(*control.dims), control.values
    )


def test_available_is_aligned_by_label():
    exists = xr.DataArray(
        [[True, True, False], [False, True, True]],
        dims=("model", "seed"),
        coords={"model": MODELS, "seed": SEEDS},
    )
    assert (
        relevance(available=shuffled(exists))["available"].values.tolist() == exists.values.tolist()
    )
    got = transfer({"correct": SCORES.round()}, available=shuffled(exists))
    for side in ("source", "target"):
        assert got[f"{side}_available"].values.tolist() == exists.values.tolist()
    for build in (relevance, lambda **o: transfer({"correct": SCORES}, **o)):
        with pytest.raises(
            InvalidData, match=re.escape("available has shape (3, 2), not (model, seed) = (2, 3)")
        ):
            build(available=np.ones((3, 2), bool))


def test_partial_match_names_both_sides():
    says = (
        "image labels of relevance and the table of images: 1 only in relevance ('i3'), 1 only in"
        " the table of images ('other'). Labels are text and must be equal"
    )
    with pytest.raises(InvalidData, match=re.escape(says)):
        relevance(images=["i0", "i1", "i2", "other"])
    with pytest.raises(
        InvalidData,
        match=r"model labels of .* 1 only in relevance \('b'\), 2 only in .* \('c', 'd'\)",
    ):
        relevance(models=["a", "c", "d"])
    with pytest.raises(
        InvalidData,
        match=r"probability and the table of source_seeds: 0 only in probability, 1 only in",
    ):
        transfer({"probability": SCORES}, seeds=[*SEEDS, "s3"])


@pytest.mark.parametrize("dim", ["model", "seed", "image"])
def test_wrong_sizes(dim):
    wrong = {f"{dim}s": [*COORDS[dim], "more"]}
    n = len(COORDS[dim])
    with pytest.raises(
        InvalidData, match=f"relevance has {n} entries on {dim}, but {n + 1} labels are given"
    ):
        relevance(VALUES, **wrong)
    with pytest.raises(
        InvalidData, match=rf"probability has {n} entries on \w*{dim}, but {n + 1} labels"
    ):
        transfer({"probability": SCORES.values}, **wrong)


def test_fractions():
    with pytest.raises(InvalidData, match="has 2 entries on fraction, but 3 fractions are given"):
        transfer({"probability": SCORES.values}, fractions=[0.1, 0.2, 0.4])
    with pytest.raises(
        InvalidData,
        match=re.escape("probability has fractions [0.1, 0.2], but [0.1, 0.4] are given"),
    ):
        transfer({"probability": SCORES}, fractions=[0.1, 0.4])
    with pytest.raises(
        InvalidData, match=r"/transfer/fraction: 2 value\(s\) outside \(0, 1\] \(e.g. 0.0, 10.0\)"
    ):
        transfer({"probability": SCORES.values}, fractions=[0, 10])
    got = transfer({"probability": SCORES}, fractions=[0.2, 0.1])
    np.testing.assert_array_equal(got["probability"].sel(fraction=0.2), SCORES.sel(fraction=0.2))


@pytest.mark.parametrize(
    "ids", [[0, 1, 2, 3], [7.0, 8.0, 9.0, None], ["a", "b", "c", 7], [np.nan, "x", "y", "z"]]
)
def test_ids_that_are_not_text(ids):
    with pytest.raises(
        InvalidData,
        match=r"image ids must be text, got .*dtype=str, keep_default_na=False; '007' is not 7",
    ):
        relevance(VALUES, images=pd.DataFrame({"image": ids}))
    with pytest.raises(InvalidData, match="relevance: image ids must be text"):
        relevance(MAPS.assign_coords(image=np.array(ids, object)), images=[str(k) for k in ids])
    with pytest.raises(InvalidData, match="model ids must be text"):
        relevance(VALUES, models=[0, 1])
    with pytest.raises(InvalidData, match=r"seed ids must be text, got \[0, 1, 2\] \(3 of 3\)"):
        relevance(VALUES, seeds=[0, 1, 2])
    with pytest.raises(InvalidData, match="seed ids must be text"):
        relevance(MAPS.assign_coords(seed=[0, 1, 2]), seeds=None)


def test_labels_that_are_not_text():
    with pytest.raises(InvalidData, match=r"labels of column 'task' must be text, got \[1, 2\]"):
        relevance(models=pd.DataFrame({"model": MODELS, "task": [1, 2]}))


def test_duplicates():
    with pytest.raises(
        InvalidData,
        match=r"1 duplicate id\(s\) on image \(e.g. \['i0'\]\).*groupby\('image'\).mean",
    ):
        relevance(MAPS.assign_coords(image=["i0", "i0", "i2", "i3"]))
    with pytest.raises(InvalidData, match=r"/relevance/image: 1 duplicate id\(s\) \(e.g. 'i0'\)"):
        relevance(VALUES, images=["i0", "i0", "i2", "i3"])


def test_seeds_default_to_those_of_the_array_or_to_numbers():
    assert relevance(VALUES, seeds=None)["seed"].values.tolist() == ["0", "1", "2"]
    assert relevance(MAPS, seeds=None)["seed"].values.tolist() == SEEDS
    assert transfer({"margin": SCORES.values}, seeds=None)["target_seed"].values.tolist() == [
        "0",
        "1",
        "2",
    ]
    assert transfer({"margin": SCORES}, seeds=None)["source_seed"].values.tolist() == SEEDS


def test_wrong_number_of_dims():
    with pytest.raises(
        InvalidData,
        match=re.escape(
            "array of shape (3, 4, 5, 6) has 4 dims; 5 are expected: (model, seed, image, y, x)"
        ),
    ):
        relevance(VALUES[0])
    with pytest.raises(
        InvalidData,
        match=r"has 6 dims; 5 are expected: .*Sum relevance over channels first: .sum\(axis\)",
    ):
        relevance(VALUES[..., None])
    with pytest.raises(InvalidData, match="has 5 dims; 6 are expected"):
        transfer({"correct": SCORES.values[0]})
    with pytest.raises(
        InvalidData,
        match=r"/relevance/relevance: dims are .*Rename them: .rename\({'H': 'y', 'W': 'x'}\)",
    ):
        relevance(MAPS.rename(y="H", x="W"))


def test_scores_of_unknown_name():
    for scores, says in (({"accuracy": VALUES}, r"\['accuracy'\]"), ({}, "are empty")):
        with pytest.raises(InvalidData, match=f"scores {says}: give any of .'correct', "):
            transfer(scores)


def test_csv_ids_are_kept(tmp_path):
    ids = ["007", "NA", "1e5", "TRUE"]
    (tmp_path / "t.csv").write_text("image,identity\n" + "".join(f"{i},{i}\n" for i in ids))
    table = pd.read_csv(tmp_path / "t.csv", dtype=str, keep_default_na=False)
    group = relevance(VALUES, images=table)
    study = relstats.study(relevance=group, images=table.iloc[::-1], name="n")
    assert group["image"].values.tolist() == ids
    assert study["images/identity"].values.tolist() == ids[::-1]
    with pytest.raises(InvalidData, match=r"image ids must be text, got \[nan\]"):
        relevance(VALUES, images=pd.read_csv(tmp_path / "t.csv", dtype=str))


def test_groups_with_other_images_are_refused():
    with pytest.raises(
        InvalidData,
        match=(
            r"/relevance and /transfer: 1 only in /relevance \('i3'\), 1 only in /transfer \('j3'\)"
        ),
    ):
        relstats.study(
            relevance=relevance(),
            transfer=transfer({"margin": SCORES.values}, images=["i0", "i1", "i2", "j3"]),
        )


@pytest.mark.parametrize(
    "values", [[["yes", "no", "no"]] * 2, [[1.0, np.nan, 0.0]] * 2, [[2, 1, 0]] * 2]
)
def test_available_is_true_or_false(values) -> None:
    with pytest.raises(
        InvalidData, match=r"available is of dtype .* text or NaN would be taken for True"
    ):
        relevance(available=np.array(values))


def test_available_as_zeros_and_ones_is_bool() -> None:
    found = relevance(available=np.array([[1, 0, 1], [1.0, 1.0, 0.0]]))["available"]
    assert found.values.tolist() == [[True, False, True], [True, True, False]]
