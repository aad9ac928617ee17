"""`relstats shared` as a new user meets it, and the folder of masks that it writes."""

import csv
import json
import struct
import zlib
from unittest import mock

import numpy as np
import pytest
import xarray as xr
from command_line import run

import relstats
from relstats.errors import UsageError
from relstats.results import mask_folder
from relstats.study import save, store


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("shared") / "study.zarr"
    plan = relstats.Planted(shared_pixels=0.06, image=0, level=0)
    relstats.simulate(
        path, models="2x2", seeds=2, images=12, size=16, planted=plan, rng=np.random.default_rng(1)
    )
    return path


def decode(data):
    """A PNG of one bit a pixel, unfiltered, from the format's description (ISO/IEC 15948)."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, []
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length]) == (
            zlib.crc32(kind + body),
        )
        chunks.append((kind, body))
        at += 12 + length
    assert [kind for kind, _ in chunks] == [b"IHDR", b"IDAT", b"IEND"]
    width, height, *rest = struct.unpack(">IIBBBBB", chunks[0][1])
    assert rest == [1, 0, 0, 0, 0]
    rows = np.frombuffer(zlib.decompress(chunks[1][1]), np.uint8).reshape(height, -1)
    assert (rows[:, 0] == 0).all()
    return np.unpackbits(rows[:, 1:], axis=1, count=width).astype(bool)


@pytest.mark.parametrize("shape", [(1, 1), (3, 8), (5, 17)])
def test_a_png_holds_the_mask(shape):
    mask = np.random.default_rng(1).random(shape) < 0.5
    np.testing.assert_array_equal(decode(mask_folder.png(mask)), mask)


def test_a_png_is_what_other_software_reads(tmp_path):
    image = pytest.importorskip("PIL.Image")
    mask = np.random.default_rng(1).random((9, 13)) < 0.5
    (tmp_path / "mask.png").write_bytes(mask_folder.png(mask))
    np.testing.assert_array_equal(np.asarray(image.open(tmp_path / "mask.png")), mask)


def result(labels):
    masks = np.random.default_rng(1).random((len(labels), 4, 5)) < 0.5
    maps = {name: (("image", "y", "x"), masks) for name in ("core", "beyond_chance", "count")}
    return xr.Dataset(maps, coords={"image": np.array(labels, object)})


def test_no_label_is_a_path_and_each_has_its_files(tmp_path):
    labels = [
        "../../etc/passwd",
        "CON",
        "=cmd()",
        "x" * 300,
        "\u202eabc",
        "a\nb",
        "é",
        "a/b",
        "a_b",
    ]
    given = result(labels)
    mask_folder.write_masks(given, tmp_path / "masks")
    with (tmp_path / "masks" / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [f"'{x}" if x == "=cmd()" else x for x in labels]
    names = {row[kind] for row in rows for kind in ("png", "npz")}
    assert len(names) == 18
    assert {p.name for p in (tmp_path / "masks").iterdir()} == names | {"index.csv"}
    assert all(
        name.isascii() and "/" not in name and len(name) < 60 and name[:5].isdecimal()
        for name in names
    )
    assert [p.name for p in tmp_path.iterdir()] == ["masks"]
    for k, row in enumerate(rows):
        core = given["core"].values[k]
        np.testing.assert_array_equal(decode((tmp_path / "masks" / row["png"]).read_bytes()), core)
        np.testing.assert_array_equal(np.load(tmp_path / "masks" / row["npz"])["core"], core)
        assert int(row["core_pixels"]) == core.sum()


def test_masks_are_read_block_by_block(tmp_path, monkeypatch):
    mask_folder.write_masks(result(list("abcde")), tmp_path / "whole")
    monkeypatch.setattr(mask_folder, "_BLOCK_VALUES", 45)
    mask_folder.write_masks(result(list("abcde")), tmp_path / "blocks")
    for path in (tmp_path / "whole").glob("*.[pc]*"):
        assert (tmp_path / "blocks" / path.name).read_bytes() == path.read_bytes()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="is there already: masks of two results would mix"):
        mask_folder.write_masks(result(["a"]), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(UsageError, match="is there already"):
        mask_folder.require_new(tmp_path / "mine.txt")


def test_a_failed_export_leaves_nothing(tmp_path, monkeypatch):
    def fail(mask):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mask_folder, "png", fail)
    with pytest.raises(UsageError, match=r"cannot write masks to .*No space left on device"):
        mask_folder.write_masks(result(["a"]), tmp_path / "masks")
    assert list(tmp_path.iterdir()) == []


def test_the_issue_s_commands(study, tmp_path):
    code, out, err = run("shared", study, "--fraction", 0.1, "--n-swaps", 99)
    assert code == 0, err
    lines = [line.split() for line in out.splitlines()]
    assert [line[0] for line in lines[2:5]] == ["all", "most", "majority"]
    assert [line[-1] for line in lines if line[:2] in (["n", "images"], ["n", "sharing"])] == [
        "12",
        "12",
        "8",
    ]
    assert "smallest p that resampling can reach: 0.010" in err
    code, out, err = run(
        "shared",
        study,
        "--across",
        "pretrain,task",
        "--export",
        tmp_path / "masks",
        "--n-swaps",
        99,
    )
    assert code == 0, err
    assert "p every condition" in out
    assert len(list((tmp_path / "masks").glob("*.png"))) == 12
    saved = store.open_study(study)["results"]
    assert {"shared", "shared_pretrain_task"} <= set(saved.children)
    core = saved["shared_pretrain_task/core"].values
    files = sorted((tmp_path / "masks").glob("*.png"))
    np.testing.assert_array_equal([decode(f.read_bytes()) for f in files], core)
    attrs = saved["shared_pretrain_task"].attrs
    assert (attrs["seed"], list(attrs["across"]), attrs["statistic"]) == (
        0,
        ["pretrain", "task"],
        "shared",
    )


def test_a_result_has_the_name_that_is_asked_for(study):
    assert run("shared", study, "--fraction", 0.3, "--n-swaps", 19, "--name", "larger")[0] == 0
    assert store.open_study(study)["results/larger"]["core"].attrs["fraction"] == 0.3


def test_json_is_one_object_without_maps(study):
    code, out, err = run("shared", study, "--json", "--n-swaps", 19, "--baseline", study)
    assert code == 0, err
    found = json.loads(out)
    assert found["coords"]["null"]["data"] == ["independence", "image swap", "baseline"]
    assert len(found["variables"]["p_max_z"]["data"]) == 12
    assert not {"core", "count", "beyond_chance", "spread"} & set(found["variables"])


def test_the_seed_decides(study):
    first, again, other = (
        run("shared", study, "--json", "--n-swaps", 19, "--seed", seed)[1] for seed in (3, 3, 4)
    )
    values = [
        json.loads(text)["variables"]["core_size_swapped"]["data"] for text in (first, again, other)
    ]
    assert values[0] == values[1] != values[2]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--across", "pretain"), 2, "no axis 'pretain'"),
        (("--fraction", 0), 2, "fraction=0.0"),
        (("--n-swaps", 9), 2, "9 swaps cannot give p below 0.1"),
        (("--baseline", "none.zarr"), 2, "no such study"),
    ],
)
def test_errors_are_one_line_and_their_code(study, arguments, code, message):
    got, out, err = run("shared", study, *arguments)
    assert (got, out) == (code, "")
    assert len(err.splitlines()) == 1
    assert message in err


def test_an_export_folder_is_looked_at_before_anything_is_computed(study, tmp_path):
    (tmp_path / "x").touch()
    with mock.patch("relstats.stats.shared.shared", side_effect=AssertionError("computed")):
        code, _, err = run("shared", study, "--export", tmp_path)
    assert code == 2
    assert "is there already" in err


def test_one_image_and_one_network_exit_with_4(tmp_path):
    maps = np.random.default_rng(1).random((1, 3, 1, 4, 4))
    for name, part, images in (
        ("image", maps, ["a"]),
        ("network", maps.transpose(0, 2, 1, 3, 4), ["a", "b", "c"]),
    ):
        group = relstats.relevance_dataset(part, models=["m"], images=images)
        save.save_study(relstats.study(relevance=group, name=name), tmp_path / f"{name}.zarr")
        code, out, err = run("shared", tmp_path / f"{name}.zarr")
        assert (code, out) == (4, ""), err
        assert f"1 {name}(s)" in err
