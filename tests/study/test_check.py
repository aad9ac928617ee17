"""The check of a study lists all problems at once, each with where, how many, examples and what to
do.
"""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import relstats
from relstats.errors import InvalidData
from relstats.study import check


def messages(groups, **attrs):
    tree = xr.DataTree.from_dict({"/": xr.Dataset(attrs=attrs), **groups})
    return [str(problem) for problem in check.check(tree)]


def maps(
    dims=("model", "seed", "image", "y", "x"), shape=(2, 1, 3, 4, 4), dtype="float32", **coords
):
    coords = {"model": ["a", "b"], "seed": ["0"], "image": ["i", "j", "k"], **coords}
    dataset = xr.Dataset({"relevance": (dims, np.zeros(shape, dtype))})
    return dataset.assign_coords({n: v for n, v in coords.items() if v is not None})


def test_a_valid_study_has_no_problems():
    assert messages({"relevance": maps()}, relstats_schema=1) == []
    study = relstats.simulate(
        models="2x1",
        seeds=2,
        images=4,
        size=8,
        planted=relstats.Planted(shared_pixels=0.1),
        rng=np.random.default_rng(1),
    )
    assert check.check(study) == []


def test_all_problems_at_once(tmp_path):
    relevance = maps(
        ("model", "seed", "image", "channel", "H", "W"),
        (2, 1, 4, 3, 4, 4),
        "complex64",
        image=["i", "i", "j", "k"],
        model=[7, 8],
    )
    transfer = xr.Dataset(
        coords={
            "image": ["i", "j", "m", "n"],
            "target_model": ["a"],
            "source_model": np.array([], object),
            "fraction": [0.1, 0.0, 5.0],
            "target_seed": ["0"],
        }
    )
    expected = [
        "/: relstats_schema is '1'. Write it as an integer",
        "/relevance/model: dtype int64 is not str. Convert it to str",
        (
            "/relevance/image: 1 duplicate id(s) (e.g. 'i'). Make ids unique, or average them"
            " yourself: .groupby('image').mean()"
        ),
        (
            "/relevance/relevance: dims are (model, seed, image, channel, H, W), not (model, seed,"
            " image, y, x). Rename them: .rename({'H': 'y', 'W': 'x'}). Reduce (channel) yourself"
            " and say how: relevance is the sum over channels, .sum('channel')"
        ),
        "/relevance/relevance: dtype complex64 is not float32. Convert it to float32",
        (
            "/transfer/source_seed: missing: its training run (got image, target_model,"
            " source_model, fraction, target_seed). Add it with dims (source_seed)"
        ),
        "/transfer/fraction: 2 value(s) outside (0, 1] (e.g. 0.0, 5.0). Give shares of the pixels",
        "/transfer: dim 'source_model' has size 0. Give it at least one entry",
        (
            "image labels of /relevance and /transfer: 1 only in /relevance ('k'), 2 only in"
            " /transfer ('m', 'n'). Labels are text and must be equal ('007' is not '7'): mend"
            " them, or keep the common ones on purpose"
        ),
    ]
    groups = {"relevance": relevance, "transfer": transfer}
    assert messages(groups, relstats_schema="1") == expected
    tree = xr.DataTree.from_dict({"/": xr.Dataset(attrs={"relstats_schema": "1"}), **groups})
    with pytest.raises(InvalidData) as caught:
        relstats.save_study(tree, tmp_path / "s.zarr")
    assert str(caught.value) == "9 problem(s) with this study:" + "".join(
        f"\n  {line}" for line in expected
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("dims", "do"),
    [
        (("model", "seed", "image", "H", "W"), "Rename them: .rename({'H': 'y', 'W': 'x'})"),
        (("model", "seed", "image", "W", "H"), "Rename them: .rename({'W': 'x', 'H': 'y'})"),
        (
            ("model", "seed", "image", "foo", "row"),
            "Rename them: .rename({'row': 'y', 'foo': 'x'})",
        ),
        (
            ("models", "seeds", "images", "y", "x"),
            "Rename them: .rename({'models': 'model', 'seeds': 'seed', 'images': 'image'})",
        ),
        (("model", "seed", "y", "x"), "Add (image)"),
        (("model", "image", "H", "x"), "Rename them: .rename({'H': 'y'}). Add (seed)"),
        (
            ("model", "seed", "image", "y", "x", "rgb"),
            "Reduce (rgb) yourself and say how: relevance is the sum over channels, .sum('rgb')",
        ),
    ],
)
def test_what_to_do_about_dims(dims, do):
    dataset = xr.Dataset({"relevance": (dims, np.zeros((1,) * len(dims)))})
    found = [str(p) for p in check.check_group(dataset, "relevance")]
    assert (
        found[-1]
        == f"/relevance/relevance: dims are ({', '.join(dims)}), not (model, seed, image, y, x)."
        f" {do}"
    )


@pytest.mark.parametrize(
    "dims", [("x", "y", "image", "seed", "model"), ("image", "model", "y", "seed", "x")]
)
def test_the_order_of_dims_is_free(dims):
    sizes = {"model": 2, "seed": 1, "image": 3, "y": 4, "x": 4}
    assert messages({"relevance": maps(dims, tuple(sizes[d] for d in dims))}) == []


@pytest.mark.parametrize("dtype", ["bool", "complex128", "U3", "O", "datetime64[ns]"])
def test_dtypes_that_are_no_relevance(dtype):
    (found,) = messages({"relevance": maps(dtype=dtype)})
    assert found.startswith("/relevance/relevance: dtype ")
    assert found.endswith(" is not float32. Convert it to float32")


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "float16", "float64"])
def test_dtypes_that_are(dtype):
    assert messages({"relevance": maps(dtype=dtype)}) == []


def test_ids_that_are_not_text():
    (found,) = messages({"relevance": maps(image=np.array(["a", 7, 8], object))})
    assert (
        found
        == "/relevance/image: 2 label(s) are not text (e.g. 7, 8). Write ids as text: '007' is"
        " not 7"
    )


def test_missing_variables():
    found = messages({"relevance": maps(image=None).drop_vars("relevance")})
    assert found == [
        (
            "/relevance/image: missing: id of an image, unique (got model, seed). Add it with dims"
            " (image)"
        ),
        (
            "/relevance/relevance: missing: signed relevance, summed over channels (got model,"
            " seed). Add it with dims (model, seed, image, y, x)"
        ),
    ]


@pytest.mark.parametrize(
    ("version", "do"),
    [
        (99, "This relstats reads versions 1 to 1: upgrade relstats"),
        ("1", "Write it as an integer"),
        (1.0, "Write it as an integer"),
    ],
)
def test_versions(version, do):
    assert messages({"relevance": maps()}, relstats_schema=version) == [
        f"/: relstats_schema is {version!r}. {do}"
    ]


def test_no_data():
    images = xr.Dataset(coords={"image": ["a"]})
    (found,) = messages({"images": images, "other": xr.Dataset()})
    assert found.startswith(
        "/: no group with data (got /images, /other). A study has at least /relevance or /transfer"
    )


def test_every_group_with_images_has_the_same():
    masks = xr.Dataset(
        {"mask": (("region", "image", "y", "x"), np.zeros((1, 3, 4, 4), bool))},
        {"image": ["i", "j", "k"]},
    )
    assert messages({"relevance": maps(), "regions": masks.isel(image=[2, 0, 1])}) == []
    (found,) = messages({"relevance": maps(), "regions": masks.isel(image=[0])})
    assert found.startswith(
        "image labels of /relevance and /regions: 2 only in /relevance ('j', 'k'), 0 only in"
        " /regions. "
    )
    assert messages({"relevance": maps(), "regions": masks.isel(image=0, drop=True)}) == []


def test_names_that_are_no_folders():
    names = {n: ("model", ["u", "v"]) for n in ("../../x", "a/b", "..", "x" * 201, "fine")}
    (found,) = map(str, check.check_group(maps(**names), "relevance"))
    assert (
        found
        == "/relevance: 4 name(s) of axes or variables cannot be folders (e.g. '../../x', 'a/b',"
        " '..'). Rename them with letters, digits and _"
    )


def test_a_share_of_pixels_that_is_there_twice_is_a_problem():
    found = xr.Dataset(coords={"fraction": [0.1, 0.2, 0.1]})
    text = [str(p) for p in check.check_group(found, "transfer") if p.where == "/transfer/fraction"]
    assert text == [
        "/transfer/fraction: a share is there twice, and would count twice in the mean (e.g. 0.1,"
        " 0.2, 0.1). Give each share of the pixels once"
    ]


@pytest.mark.parametrize(
    ("levels", "shown"),
    [
        ([16, 19], "2 label(s) of models are not text (dtype int64) (e.g. 16, 19)"),
        (
            np.array(["g", None], object),
            "1 label(s) of models are not text (dtype object) (e.g. nan)",
        ),
    ],
)
def test_labels_of_models_that_are_no_text_are_refused(levels, shown):
    (found,) = map(str, check.check_group(maps(depth=("model", levels)), "relevance"))
    assert found == f"/relevance/depth: {shown}. Axes are text: convert with .astype(str)"
    assert check.check_group(maps(n_classes=("model", [2, 102])), "relevance") == []
