"""ViRelAy's files: maps by index and never by position, in and out again, and every file that is
none.
"""

from __future__ import annotations

import sys
from unittest import mock

import h5py
import numpy as np
import pytest
import xarray as xr

import relstats
from relstats.compute.stream import export
from relstats.compute.study_file.study import read_study
from relstats.errors import InvalidData, UsageError
from relstats.inputs.virelay import read_virelay, write_virelay


def write(path, index, maps=None, /, **others):
    """An attribution file as ViRelAy's documentation has it: two classes, three channels."""
    maps = (
        np.random.default_rng(len(index)).normal(size=(len(index), 3, 4, 5)).astype(np.float32)
        if maps is None
        else maps
    )
    with h5py.File(path, "w") as file:
        arrays = {
            "index": np.array(index, np.uint32),
            "attribution": maps,
            "label": np.eye(2, dtype=np.float32)[np.zeros(len(index), int)],
        }
        for name, values in (arrays | others).items():
            if values is not None:
                file[name] = values
    return maps


def saved(group, out):
    relstats.save_study(xr.DataTree.from_dict({"/relevance": group}), out)
    return relstats.open_study(out)["relevance"].to_dataset()


def test_channels_are_summed_and_images_matched_by_index(tmp_path):
    index = np.random.default_rng(3).permutation(230)  # three blocks
    maps = write(tmp_path / "a.h5", index)
    order = np.random.default_rng(4).permutation(230)
    write(tmp_path / "b.h5", index[order], maps[order] * 2)
    group = read_virelay(
        {
            ("m", "0"): tmp_path / "a.h5",
            ("m", "1"): tmp_path / "b.h5",
            ("n", "0"): tmp_path / "b.h5",
        },
        axes={"task": {"m": "gender", "n": "identity"}},
    )
    assert group["relevance"].chunks is not None  # not read yet
    found = saved(group, tmp_path / "s.zarr")
    assert found["available"].values.tolist() == [[True, True], [True, False]]
    assert found["task"].values.tolist() == ["gender", "identity"]
    for k in (0, 99, 100, 229):
        expected = maps[k].astype(np.float64).sum(0).astype(np.float32)
        for (model, seed), factor in {("m", "0"): 1, ("m", "1"): 2, ("n", "0"): 2}.items():
            one = found["relevance"].sel(model=model, seed=seed, image=str(index[k]))
            np.testing.assert_array_equal(one, factor * expected)


def test_ids_are_those_of_the_list(tmp_path):
    maps = write(tmp_path / "a.h5", [2, 0])
    group = read_virelay({("m", "0"): tmp_path / "a.h5"}, images=["007", "x", "NA"])
    assert group["image"].values.tolist() == ["NA", "007"]
    np.testing.assert_allclose(
        group["relevance"].sel(image="007")[0, 0], maps[1].sum(0), rtol=1e-5, atol=1e-6
    )
    with pytest.raises(UsageError, match=r"2 image id.s., and indices from 0 to 2"):
        read_virelay({("m", "0"): tmp_path / "a.h5"}, images=["a", "b"])
    with pytest.raises(InvalidData, match="duplicate"):
        read_virelay({("m", "0"): tmp_path / "a.h5"}, images=["a", "b", "a"])


def test_what_is_written_is_read_again(small_study, tmp_path):
    export.export(read_study(small_study), tmp_path / "s.zarr")
    study, out = relstats.open_study(tmp_path / "s.zarr"), tmp_path / "g1.h5"
    write_virelay(study, "gender", "1", out)
    cell = study["relevance"].to_dataset().sel(model="gender", seed="1")
    with h5py.File(out) as file:
        assert (file["attribution"].shape, file["attribution"].dtype) == (
            (12, 1, 16, 16),
            np.float32,
        )
        np.testing.assert_array_equal(file["label"][:].argmax(1), cell["explained_class"])
        np.testing.assert_array_equal(file["prediction"][:].argmax(1), cell["prediction"])
        assert file["index"][:].tolist() == list(range(12))
    ids = study["relevance"]["image"].values.tolist()
    again = read_virelay({("gender", "1"): out}, images=ids)["relevance"]
    np.testing.assert_array_equal(again.sel(model="gender", seed="1", image=ids), cell["relevance"])
    with pytest.raises(UsageError, match="is there already"):
        write_virelay(study, "gender", "1", out)
    with pytest.raises(UsageError, match="no network of model 'identity', seed '1'"):
        write_virelay(study, "identity", "1", tmp_path / "no.h5")
    assert sorted(p.name for p in tmp_path.glob("*.h5")) == ["g1.h5"]


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"attribution": None}, "no dataset 'attribution'"),
        ({"index": None}, "no dataset 'index'"),
        ({"index": np.array([1, 1], np.uint32)}, "2 entries, 1 different"),
        ({"index": np.arange(3)}, "which image a map is of is not known"),
        ({"index": np.array([0.0, 1.0])}, "whole numbers"),
        ({"attribution": np.zeros((2, 4, 5))}, "with 3 dims"),
        ({"attribution": np.zeros((2, 1, 4, 5), complex)}, "attribution is complex128"),
    ],
)
def test_files_of_another_layout_are_refused(tmp_path, others, message):
    write(tmp_path / "a.h5", [0, 1], **others)
    with pytest.raises(InvalidData, match=message):
        read_virelay({("m", "0"): tmp_path / "a.h5"})


def test_nothing_is_read_from_other_files_nor_as_objects(tmp_path):
    write(tmp_path / "a.h5", [0, 1])
    write(tmp_path / "b.h5", [0, 1], attribution=None)
    with h5py.File(tmp_path / "b.h5", "a") as file:
        file["attribution"] = h5py.ExternalLink(str(tmp_path / "a.h5"), "attribution")
    with pytest.raises(InvalidData, match="in the file itself"):
        read_virelay({("m", "0"): tmp_path / "b.h5"})
    write(tmp_path / "c.h5", [0, 1], attribution=None)
    with h5py.File(tmp_path / "c.h5", "a") as file:
        file.create_dataset("attribution", (2, 1, 4, 5), h5py.string_dtype())
    with pytest.raises(InvalidData, match="attribution is object"):
        read_virelay({("m", "0"): tmp_path / "c.h5"})


def test_files_that_do_not_fit_each_other_or_are_none(tmp_path):
    write(tmp_path / "a.h5", [0, 1])
    write(tmp_path / "b.h5", [0, 2])
    write(tmp_path / "c.h5", [0, 1], np.zeros((2, 1, 4, 6), np.float32))
    write(tmp_path / "d.h5", [0, 1], np.full((2, 1, 4, 5), np.nan, np.float32))
    (tmp_path / "e.h5").write_bytes(b"cposix\nsystem\n(S'touch x'\ntR.")
    for name, error, message in (
        ("b", InvalidData, "1 only in"),
        ("c", InvalidData, "4 x 6"),
        ("e", InvalidData, "cannot be read as HDF5"),
        ("f", UsageError, "no such file"),
    ):
        with pytest.raises(error, match=message):
            read_virelay({("m", "0"): tmp_path / "a.h5", ("m", "1"): tmp_path / f"{name}.h5"})
    with pytest.raises(InvalidData, match="NaN or infinite"):
        read_virelay({("m", "0"): tmp_path / "d.h5"})["relevance"].load()
    with pytest.raises(UsageError, match="no file"):
        read_virelay({})


def run(*arguments, capsys):
    from relstats import cli

    with (
        mock.patch.object(sys, "argv", ["relstats", *map(str, arguments)]),
        pytest.raises(SystemExit) as exit_,
    ):
        cli.main()
    printed = capsys.readouterr()
    return exit_.value.code, printed.out, printed.err


def test_the_commands(small_study, tmp_path, capsys):
    export.export(read_study(small_study), tmp_path / "s.zarr")
    for seed in "01":
        out = tmp_path / f"g{seed}.h5"
        network = ("--model", "gender", "--seed", seed)
        written = run("virelay", tmp_path / "s.zarr", out, *network, capsys=capsys)
        assert written == (0, f"{out}\n", "")
    files = [f"gender:{seed}={tmp_path}/g{seed}.h5" for seed in "01"]
    code, printed, noted = run("add", "virelay", tmp_path / "i.zarr", *files, capsys=capsys)
    assert (code, printed) == (0, f"{tmp_path}/i.zarr\n")
    assert (
        noted == "note: images are called by their index (0, 1, ...): give --images for their ids\n"
    )
    (tmp_path / "ids.txt").write_text("".join(f"{k:03d}\n" for k in range(12)))
    named = ("--images", tmp_path / "ids.txt")
    assert run("add", "virelay", tmp_path / "n.zarr", *files, *named, capsys=capsys)[2] == ""
    before, after = (
        relstats.open_study(tmp_path / n)["relevance"]["relevance"].sel(model="gender")
        for n in ("s.zarr", "n.zarr")
    )
    np.testing.assert_array_equal(after.sel(image=before["image"].values), before)
    code, _, noted = run("add", "virelay", tmp_path / "x.zarr", tmp_path / "g0.h5", capsys=capsys)
    assert code == 2
    assert "does not say whose maps it holds: give MODEL:SEED=FILE.h5" in noted
    twice = run("add", "virelay", tmp_path / "x.zarr", files[0], files[0], capsys=capsys)
    assert twice[0] == 2
    assert "is given twice" in twice[2]
    assert not (tmp_path / "x.zarr").exists()


def test_maps_are_added_to_a_study_that_has_none(tmp_path, capsys):
    study = relstats.simulate(models="2x1", seeds=2, images=4, size=8, rng=np.random.default_rng(1))
    transfer = study["transfer"].to_dataset().load()
    relstats.save_study(xr.DataTree.from_dict({"/transfer": transfer}), tmp_path / "s.zarr")
    files = []
    for model in study["relevance"]["model"].values:
        for seed in study["relevance"]["seed"].values:
            maps = study["relevance/relevance"].sel(model=model, seed=seed).values
            with h5py.File(tmp_path / f"{model}{seed}.h5", "w") as file:
                file["attribution"], file["index"] = maps[:, None], np.arange(len(maps))
            files.append(f"{model}:{seed}={tmp_path}/{model}{seed}.h5")
    images = study["relevance"]["image"].values
    (tmp_path / "ids.txt").write_text("".join(f"{image}\n" for image in images))
    command = ("add", "virelay", tmp_path / "s.zarr", *files)
    code, _, noted = run(*command, "--images", tmp_path / "ids.txt", capsys=capsys)
    assert code == 0, noted
    whole = relstats.open_study(tmp_path / "s.zarr")
    np.testing.assert_array_equal(whole["transfer/correct"], transfer["correct"])
    np.testing.assert_allclose(
        whole["relevance/relevance"], study["relevance/relevance"], rtol=1e-6
    )
    assert run(*command, capsys=capsys)[0] == 2  # other ids: what is there stays
