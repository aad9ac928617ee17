"""Masks into a study: hulls of landmarks against slow geometry, images by label only, and every bad
input on masks.
"""

import itertools
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.spatial import ConvexHull

import relstats
from relstats.errors import InvalidData, UsageError
from relstats.inputs import landmarks, region_files, regions
from relstats.study import save, store

SIZE = (12, 16)
IDS = ["b.jpg", "007", "7", "NA"]


def make_study(path, ids=IDS, size=SIZE, **labels):
    maps = np.random.default_rng(1).standard_normal((2, 3, len(ids), *size))
    models = pd.DataFrame({"model": ["a", "b"], "pretrain": ["x", "y"]})
    table = pd.DataFrame({"image": ids, **labels}) if labels else None
    group = relstats.relevance_dataset(maps, models=models, images=ids)
    save.save_study(relstats.study(relevance=group, images=table), path)
    return path


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("template") / "s.zarr")


@pytest.fixture
def path(template, tmp_path):
    return shutil.copytree(template, tmp_path / "s.zarr")


def face(rng, size=160.0):
    """68 points laid out roughly as a face is."""
    centre = {
        "jaw": (80, 110, 60, 40, 17),
        "brow_r": (50, 45, 18, 3, 5),
        "brow_l": (110, 45, 18, 3, 5),
        "nose": (80, 80, 8, 18, 9),
        "eye_r": (50, 60, 12, 4, 6),
        "eye_l": (110, 60, 12, 4, 6),
        "mouth": (80, 115, 22, 9, 20),
    }
    parts = [
        np.column_stack([rng.normal(x, w / 2, n), rng.normal(y, h / 2, n)])
        for x, y, w, h, n in centre.values()
    ]
    points = np.concatenate(parts)
    points[36], points[45] = (38, 60), (122, 60)
    return points * size / 160


def write_landmarks(path, ids, points, **more):
    columns = {f"{axis}{k}": points[:, k, a] for k in range(68) for a, axis in enumerate("xy")}
    pd.DataFrame({"image": ids, **columns, **more}).to_csv(path, index=False)
    return path


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(4)
    points = np.stack([face(rng, 16.0) * [1, 12 / 16] for _ in IDS])
    return write_landmarks(tmp_path / "landmarks.csv", IDS, points.clip(0, 11))


# --- geometry


def slow_distance(points, place):
    """To a hull, by the definition: the nearest of very many convex combinations of its corners
    along the edges.
    """
    corners = points[ConvexHull(points).vertices]
    inside = all(
        np.cross(np.append(b - a, 0), np.append(place - a, 0))[2] >= 0
        for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)
    )
    along = np.linspace(0, 1, 2001)[:, np.newaxis]
    edges = [a + along * (b - a) for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)]
    return 0.0 if inside else min(np.hypot(*(edge - place).T).min() for edge in edges)


def test_distance_to_a_hull_is_its_definition():
    rng = np.random.default_rng(1)
    for points in (
        rng.uniform(2, 9, (6, 2)),
        rng.uniform(-3, 14, (15, 2)),
        rng.integers(0, 5, (9, 2)).astype(float),
    ):
        y, x = np.arange(9.0), np.arange(11.0)
        found = landmarks.hull_distance(points, y, x, np.inf)
        for i, j in itertools.product(range(9), range(11)):
            np.testing.assert_allclose(
                found[i, j], slow_distance(points, np.array([x[j], y[i]])), atol=2e-3
            )
        near = landmarks.hull_distance(points, y, x, 1.5)
        np.testing.assert_array_equal(near <= 1.5, found <= 1.5)  # what is cut off is farther


def test_hulls_of_points_on_a_line_and_in_one_place():
    y, x = np.arange(5.0), np.arange(5.0)
    line = landmarks.hull_distance(np.array([[1.0, 1], [2, 1], [3, 1]]), y, x, np.inf)
    np.testing.assert_allclose(line[1], [1, 0, 0, 0, 1])
    np.testing.assert_allclose(line[3], [np.sqrt(5), 2, 2, 2, np.sqrt(5)])
    point = landmarks.hull_distance(np.array([[2.0, 2], [2, 2]]), y, x, np.inf)
    np.testing.assert_allclose(point[2], [2, 1, 0, 1, 2])


@pytest.mark.parametrize("seed", range(5))
def test_hull_is_that_of_qhull(seed):
    points = np.random.default_rng(seed).integers(0, 9, (12, 2)).astype(float)
    qhull = points[ConvexHull(points).vertices]
    assert {tuple(p) for p in landmarks.convex_hull(points)} == {tuple(p) for p in qhull}


def slow_masks(points, size, landmark_size, dilation, overlap):
    """One image by the definition, pixel by pixel."""
    reach = dilation * np.hypot(*(points[45] - points[36]))
    out = np.zeros((5, *size), bool)
    for i, j in itertools.product(range(size[0]), range(size[1])):
        place = np.array(
            [
                (j + 0.5) * landmark_size[1] / size[1] - 0.5,
                (i + 0.5) * landmark_size[0] / size[0] - 0.5,
            ]
        )
        away = [
            min(slow_distance(points[list(h)], place) for h in hulls)
            for hulls in landmarks.PARTS.values()
        ]
        for k, d in enumerate(away):
            out[k, i, j] = d <= reach and (overlap == "keep" or k == int(np.argmin(away)))
        out[4, i, j] = slow_distance(points, place) == 0 and not out[:4, i, j].any()
    return out


@pytest.mark.parametrize("overlap", landmarks.OVERLAPS)
def test_landmark_masks_are_their_definition(overlap):
    points = face(np.random.default_rng(9)) * [1, 0.75]
    options = {"landmark_size": (120, 160), "dilation": 0.13, "overlap": overlap}
    found = landmarks.landmark_masks(points[np.newaxis], (15, 26), **options)[:, 0]
    np.testing.assert_array_equal(found, slow_masks(points, (15, 26), (120, 160), 0.13, overlap))
    assert found.any(axis=(1, 2)).all()
    assert (found.sum(axis=0).max() > 1) == (overlap == "keep")


def test_masks_follow_the_face_to_another_grid():
    points = np.stack([face(np.random.default_rng(k)) for k in range(3)])
    one = landmarks.landmark_masks(points, (40, 40), landmark_size=(160, 160))
    same = landmarks.landmark_masks((points + 0.5) / 4 - 0.5, (40, 40))
    np.testing.assert_array_equal(one, same)
    fine = landmarks.landmark_masks(points, (320, 320), landmark_size=(160, 160))
    np.testing.assert_allclose(fine.mean(axis=(2, 3)), one.mean(axis=(2, 3)), atol=0.01)
    moved = landmarks.landmark_masks(points + np.array([4, 0]), (40, 40), landmark_size=(160, 160))
    np.testing.assert_array_equal(moved[..., 1:], one[..., :-1])


def test_more_dilation_makes_parts_grow_and_skin_shrink():
    points = face(np.random.default_rng(0))[np.newaxis]
    thin, wide = (
        landmarks.landmark_masks(
            points, (80, 80), landmark_size=(160, 160), dilation=d, overlap="keep"
        )
        for d in (0, 0.2)
    )
    assert (wide[:4] >= thin[:4]).all()
    assert (wide[:4].sum(axis=(1, 2, 3)) > thin[:4].sum(axis=(1, 2, 3))).all()
    assert wide[4].sum() < thin[4].sum()


def test_a_face_outside_the_image_has_empty_regions():
    points = face(np.random.default_rng(0))[np.newaxis] + [500, 0]
    assert not landmarks.landmark_masks(points, (80, 80), landmark_size=(160, 160)).any()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"dilation": -0.1},
            UsageError,
            r"dilation is -0.1; it is a share of the inter-ocular distance",
        ),
        ({"dilation": np.nan}, UsageError, "dilation is nan"),
        ({"overlap": "both"}, UsageError, "overlap is 'both'; it is one of nearest, keep"),
        ({"landmark_size": (0, 5)}, UsageError, r"landmark_size is \(0, 5\)"),
        ({"points": np.zeros((1, 5, 2))}, InvalidData, r"shape \(1, 5, 2\), not \(image, 68, 2\)"),
        ({"points": np.full((1, 68, 2), np.nan)}, InvalidData, "NaN or infinite"),
        ({"points": np.ones((1, 68, 2))}, InvalidData, "both eyes in one place"),
    ],
)
def test_landmarks_that_cannot_be_used(change, error, message):
    options = {"points": face(np.random.default_rng(0))[np.newaxis], "size": (8, 8), **change}
    with pytest.raises(error, match=message):
        landmarks.landmark_masks(**options)


# --- into a study


def stored(path):
    return store.open_study(path)["regions"].to_dataset()


def test_landmarks_into_a_study_by_label(path, table, tmp_path):
    found = relstats.add_regions(path, table)
    assert found["region"].values.tolist() == ["eyes", "brows", "mouth", "nose", "skin"]
    first = stored(path)
    assert first["image"].values.tolist() == IDS
    points = region_files.read_landmarks(table)[1]
    expected = landmarks.landmark_masks(points, SIZE)
    np.testing.assert_array_equal(
        first["mask"].transpose("region", "image", "y", "x").values, expected
    )
    np.testing.assert_allclose(found["area"], expected.mean(axis=(1, 2, 3)))
    assert first.attrs["dilation"] == 0.1
    assert str(tmp_path) not in str(first.attrs)
    shuffled = tmp_path / "other.csv"
    pd.read_csv(table, dtype=str, keep_default_na=False).iloc[[3, 1, 0, 2]].to_csv(
        shuffled, index=False
    )
    relstats.add_regions(path, shuffled, force=True)
    np.testing.assert_array_equal(stored(path)["mask"].values, first["mask"].values)


def test_blocks_of_images_change_nothing(path, table, monkeypatch):
    relstats.add_regions(path, table)
    whole = stored(path)["mask"].values
    monkeypatch.setattr(regions, "_BLOCK", 1)
    relstats.add_regions(path, table, force=True, dilation=0.1000001)
    np.testing.assert_array_equal(stored(path)["mask"].values, whole)


def test_regions_that_are_there_stay_unless_forced(path, table):
    relstats.add_regions(path, table)
    relstats.add_regions(path, table)  # the same again
    with pytest.raises(UsageError, match=r"/regions was written with other settings.*--force"):
        relstats.add_regions(path, table, dilation=0.3)
    before = stored(path)["mask"].values
    relstats.add_regions(path, table, dilation=0.3, force=True)
    assert stored(path)["mask"].values.sum() > before.sum()
    assert [p.name for p in path.parent.iterdir() if p.name.startswith(".")] == []


def test_an_interrupted_write_leaves_the_old_regions(path, table, monkeypatch):
    relstats.add_regions(path, table)
    before = stored(path)["mask"].values
    monkeypatch.setattr(
        landmarks, "hull_distance", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt())
    )
    with pytest.raises(KeyboardInterrupt):
        relstats.add_regions(path, table, dilation=0.3, force=True)
    np.testing.assert_array_equal(stored(path)["mask"].values, before)


def test_names_of_files_are_matched_by_a_label(tmp_path):
    path = make_study(
        tmp_path / "s.zarr", ["1", "2"], file=["smiling/002_08.jpg", "smiling/001_08.jpg"]
    )
    points = np.stack([face(np.random.default_rng(k), 16.0) * [1, 12 / 16] for k in range(2)])
    table = write_landmarks(
        tmp_path / "l.csv", ["smiling/001_08.jpg", "smiling/002_08.jpg"], points, id=["2", "1"]
    )
    with pytest.raises(InvalidData, match=r"2 only in l.csv .*2 only in the study .*--match"):
        relstats.add_regions(path, table)
    relstats.add_regions(path, table, match="file")
    by_file = stored(path)["mask"].values
    np.testing.assert_array_equal(by_file, landmarks.landmark_masks(points[::-1], SIZE))
    relstats.add_regions(path, table, image_column="id", force=True)
    np.testing.assert_array_equal(stored(path)["mask"].values, by_file)
    with pytest.raises(
        UsageError,
        match="--match 'flie': the images of this study have no such label; they have file",
    ):
        relstats.add_regions(path, table, match="flie")


def test_a_partial_match_is_an_error_or_said(path, table, tmp_path):
    rows = pd.read_csv(table, dtype=str, keep_default_na=False)
    other = tmp_path / "some.csv"
    rows.assign(image=["b.jpg", "007", "x", "NA"]).to_csv(other, index=False)
    with pytest.raises(
        InvalidData, match=r"1 only in some.csv \('x'\), 1 only in the study \('7'\).*--align inner"
    ):
        relstats.add_regions(path, other)
    found = relstats.add_regions(path, other, align="inner")
    assert found["n_empty"].values.tolist() == [1] * 5
    assert (found.attrs["n_images_dropped"], found.attrs["n_images_without_masks"]) == (1, 1)
    assert not stored(path)["mask"].sel(image="7").values.any()
    rows.assign(image=list("wxyz")).to_csv(other, index=False)
    with pytest.raises(
        InvalidData, match=r"4 only in some\.csv"
    ):  # nothing in common is never an inner join
        relstats.add_regions(path, other, align="inner", force=True)
    rows.assign(image=["b.jpg", "b.jpg", "7", "NA"]).to_csv(other, index=False)
    with pytest.raises(InvalidData, match=r"names 1 image\(s\) twice \(e.g. \['b.jpg'\]\)"):
        relstats.add_regions(path, other, align="inner", force=True)


def test_landmarks_of_another_grid_are_noticed(tmp_path):
    path = make_study(tmp_path / "s.zarr", ["1"], size=(28, 28))
    table = write_landmarks(
        tmp_path / "l.csv", ["1"], face(np.random.default_rng(1), 20.0)[np.newaxis]
    )
    with pytest.raises(
        InvalidData, match=r"does not fit images of 28 x 28 pixels.*--landmark-size"
    ):
        relstats.add_regions(path, table)
    relstats.add_regions(path, table, landmark_size=(20, 20))
    assert stored(path).attrs["landmark_size_stated"] == "True"
    for size, shift in (
        (34.0, 0),
        (600.0, 40),
    ):  # a little too large for the maps, so that a point is outside, and far too large
        large = write_landmarks(
            tmp_path / "l.csv", ["1"], face(np.random.default_rng(1), size)[np.newaxis] + shift
        )
        with pytest.raises(InvalidData, match="--landmark-size"):
            relstats.add_regions(path, large, force=True)
    relstats.add_regions(path, large, landmark_size=(640, 640), force=True)
    with pytest.raises(InvalidData, match="--landmark-size"):  # of an image, no point is inside
        relstats.add_regions(path, large, landmark_size=(30, 30), force=True)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.drop(columns="y67"), r"1 column\(s\) missing \(y67\)"),
        (
            lambda t: t.rename(columns={"image": "file"}),
            r"1 column\(s\) missing \(image\).*--image-column",
        ),
        (
            lambda t: t.assign(x3="abc"),
            r"4 landmark\(s\) are no finite numbers \(first: 'abc' in x3 of 'b.jpg'\)",
        ),
        (
            lambda t: t.assign(y5=["1", "", "3", "inf"]),
            r"2 landmark\(s\) are no finite numbers \(first: '' in y5 of '007'\)",
        ),
        (lambda t: t.iloc[:0], "no rows"),
    ],
)
def test_bad_tables_of_landmarks(path, table, edit, message):
    edit(pd.read_csv(table, dtype=str, keep_default_na=False)).to_csv(table, index=False)
    with pytest.raises(InvalidData, match=message):
        relstats.add_regions(path, table)
    assert "regions" not in store.open_study(path).children


# --- masks and label images


def boxes():
    left = np.zeros(SIZE, bool)
    left[:, :5] = True
    top = np.zeros(SIZE, bool)
    top[:3] = True
    return left, top


@pytest.mark.parametrize(
    "convert",
    [
        lambda m: m,
        lambda m: m.astype(np.uint8),
        lambda m: 255 * m.astype(np.uint8),
        lambda m: m.astype(float),
        lambda m: m.astype(np.int64) * 255,
        lambda m: m.astype(np.float16),
    ],
)
def test_what_counts_as_a_mask(path, tmp_path, convert):
    left, top = boxes()
    np.savez(tmp_path / "m.npz", left=convert(left), top=convert(top))
    found = relstats.add_regions(path, tmp_path / "m.npz")
    np.testing.assert_array_equal(stored(path)["mask"].values, [left, top])
    np.testing.assert_allclose(found["overlapping"], 15 / 192)
    assert found["n_images"].item() == 1


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.full(SIZE, 0.5), r"region 'm': 192 value\(s\) are neither 0 and 1 \(e.g. 0.5\)"),
        (np.full(SIZE, 255.0), "neither 0 and 1 .e.g. 255"),
        (np.where(boxes()[0], 255, 1).astype(np.uint8), "neither 0 and 255 .e.g. 1"),
        (np.full(SIZE, np.nan), "neither 0 and 1 .e.g. nan"),
        (np.full(SIZE, "a"), "dtype <U1 is no mask"),
        (np.zeros(SIZE, complex), "dtype complex128 is no mask"),
        (np.zeros((16, 12), bool), r"shape \(16, 12\), not \(12, 16\) as the maps.*never resized"),
        (
            np.zeros((4, *SIZE), bool),
            r"shape \(4, 12, 16\).*Name the images of the masks in an array 'image'",
        ),
        (np.zeros(12, bool), r"shape \(12,\)"),
    ],
)
def test_what_does_not(path, tmp_path, mask, message):
    np.savez(tmp_path / "m.npz", m=mask)
    with pytest.raises(InvalidData, match=message):
        relstats.add_regions(path, tmp_path / "m.npz")
    assert "regions" not in store.open_study(path).children


def test_masks_of_each_image_are_aligned_by_id(path, tmp_path):
    each = np.random.default_rng(1).random((4, *SIZE)) < 0.5
    order = [2, 0, 3, 1]
    np.savez(tmp_path / "m.npz", a=each[order], image=np.array(IDS)[order])
    relstats.add_regions(path, tmp_path / "m.npz")
    np.testing.assert_array_equal(stored(path)["mask"].values[0], each)
    np.savez(tmp_path / "m.npz", a=each, image=np.arange(4))
    with pytest.raises(InvalidData, match=r"ids of images are int64.*'007' is not 7"):
        relstats.add_regions(path, tmp_path / "m.npz", force=True)
    np.savez(tmp_path / "m.npz", a=each[:3], image=np.array(IDS))
    with pytest.raises(InvalidData, match=r"shape \(3, 12, 16\), not \(4, 12, 16\)"):
        relstats.add_regions(path, tmp_path / "m.npz", force=True)


def test_a_region_cannot_be_called_rest_nor_be_missing(path, tmp_path):
    np.savez(tmp_path / "m.npz", rest=boxes()[0])
    with pytest.raises(InvalidData, match="'rest', which is the name of what is in no region"):
        relstats.add_regions(path, tmp_path / "m.npz")
    np.savez(tmp_path / "m.npz", image=np.array(IDS))
    with pytest.raises(InvalidData, match="there is no region"):
        relstats.add_regions(path, tmp_path / "m.npz")


def labels():
    image = np.zeros(SIZE, np.uint8)
    image[:3], image[8:, :4] = 1, 3
    return image


@pytest.mark.parametrize("suffix", ["npy", "png"])
def test_a_label_image_for_all(path, tmp_path, suffix):
    file = tmp_path / f"l.{suffix}"
    if suffix == "npy":
        np.save(file, labels().astype(np.int32))
    else:
        pytest.importorskip("PIL.Image").fromarray(labels()).save(file)
    assert relstats.add_regions(path, file)["region"].values.tolist() == ["1", "3"]
    np.testing.assert_array_equal(stored(path)["mask"].values, [labels() == 1, labels() == 3])
    found = relstats.add_regions(path, file, names=["brow", "eye", "chin"], force=True)
    assert found["n_empty"].values.tolist() == [0, 1, 0]
    with pytest.raises(
        InvalidData,
        match=r"1 label\(s\) out of range \(e.g. \[3\]\); 2 names are for the labels 1 to 2",
    ):
        relstats.add_regions(path, file, names=["brow", "eye"], force=True)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (labels().astype(float), "labels of dtype float64. Give whole numbers"),
        (labels().T, r"shape \(16, 12\), not \(12, 16\)"),
        (np.stack([labels()] * 3, axis=-1), "Label images have one channel"),
        (np.zeros(SIZE, int), "there is no region: every label is 0"),
        (labels() - 4.0, "dtype float64"),
    ],
)
def test_bad_label_images(path, tmp_path, image, message):
    np.save(tmp_path / "l.npy", image)
    with pytest.raises(InvalidData, match=message):
        relstats.add_regions(path, tmp_path / "l.npy")


def test_negative_labels_are_out_of_range(path, tmp_path):
    np.save(tmp_path / "l.npy", labels().astype(int) - 1)
    with pytest.raises(InvalidData, match=r"out of range \(e.g. \[-1, 2\]\)"):
        relstats.add_regions(path, tmp_path / "l.npy", names=["a"])


def test_a_folder_of_label_images(path, tmp_path):
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path / "labels"
    folder.mkdir()
    for k, name in enumerate(IDS):
        palette = (
            image.fromarray(np.roll(labels(), k, axis=1), "P")
            if k % 2
            else image.fromarray(np.roll(labels(), k, axis=1))
        )
        if k % 2:
            palette.putpalette([5 * v % 256 for v in range(300)])
        palette.save(folder / f"{name}.png")
    relstats.add_regions(path, folder, names=["brow", "eye", "chin"])
    mask = stored(path)["mask"]
    for k, name in enumerate(IDS):
        np.testing.assert_array_equal(
            mask.sel(image=name, region="chin").values, np.roll(labels(), k, axis=1) == 3
        )
    (folder / "7.png").unlink()
    with pytest.raises(InvalidData, match=r"1 only in the study \('7'\)"):
        relstats.add_regions(path, folder, names=["brow", "eye", "chin"], force=True)
    with pytest.raises(UsageError, match=r"holds no .png"):
        relstats.add_regions(path, tmp_path, force=True)


@pytest.mark.parametrize("name", ["m.npz", "l.npy", "l.png", "l.csv"])
def test_damaged_files_are_told(path, tmp_path, name):
    if name.endswith("png"):
        pytest.importorskip("PIL")
    (tmp_path / name).write_bytes(b"\x93\x00 not at all\n")
    with pytest.raises(InvalidData, match=r"cannot be read|missing"):
        relstats.add_regions(path, tmp_path / name)


def test_a_pickle_is_never_run(path, tmp_path):
    np.save(tmp_path / "l.npy", np.array([{"a": 1}], object), allow_pickle=True)
    np.savez(tmp_path / "m.npz", a=np.array([{"a": 1}], object))
    for name in ("l.npy", "m.npz"):
        with pytest.raises(InvalidData, match="cannot be read"):
            relstats.add_regions(path, tmp_path / name)


def test_wrong_calls(path, table, tmp_path):
    for source, message in (
        (tmp_path / "no.csv", "no such file"),
        (path.parent / "x.txt", "ends in '.txt'"),
    ):
        (tmp_path / "x.txt").touch()
        with pytest.raises(UsageError, match=message):
            relstats.add_regions(path, source)
    with pytest.raises(UsageError, match="align is 'outer'"):
        relstats.add_regions(path, table, align="outer")
    np.savez(tmp_path / "m.npz", a=boxes()[0])
    with pytest.raises(UsageError, match="--landmark-size is for landmarks"):
        relstats.add_regions(path, tmp_path / "m.npz", landmark_size=(4, 4))


def test_regions_dataset_checks_what_it_gets():
    each = np.zeros((2, 3, 4, 5), bool)
    assert relstats.regions_dataset(each, ["a", "b"], images=list("xyz")).sizes == {
        "region": 2,
        "image": 3,
        "y": 4,
        "x": 5,
    }
    for options in (
        {"regions": ["a"], "images": list("xyz")},
        {"regions": ["a", "b"], "images": list("xy")},
        {"regions": ["a", "b"]},
    ):
        with pytest.raises(
            InvalidData, match=r"masks have shape \(2, 3, 4, 5\), which does not fit"
        ):
            relstats.regions_dataset(each, **options)
    with pytest.raises(InvalidData, match="duplicate"):
        relstats.regions_dataset(each[:, 0], ["a", "a"])
    with pytest.raises(InvalidData, match="are not text"):
        relstats.regions_dataset(each[:, 0], [1, 2])


def test_png_without_pillow_says_what_to_install(path, tmp_path):
    (tmp_path / "l.png").touch()
    code = (
        "import sys; sys.modules['PIL'] = None; import relstats\n"
        f"try: relstats.add_regions({str(path)!r}, {str(tmp_path / 'l.png')!r})\n"
        "except relstats.errors.UsageError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'relstats[compute]'" in done.stdout


@pytest.mark.real
def test_hulls_of_real_faces_lie_where_faces_have_them(real_data):
    """Smiling London faces: brows above eyes above nose above mouth, all inside the image, none
    empty.
    """
    names, points = region_files.read_landmarks(real_data / "london_faces" / "landmarks68.csv")
    smiling = [k for k, name in enumerate(names) if name.startswith("smiling/")]
    assert len(smiling) == 102
    found = landmarks.landmark_masks(points[smiling], (224, 224), landmark_size=(160, 160))
    mask = xr.DataArray(
        found, dims=("region", "image", "y", "x"), coords={"region": list(landmarks.REGIONS)}
    )
    area = mask.mean(("y", "x"))
    assert (area > 0.01).all()
    assert (mask.sum("region") <= 1).all()
    height = (mask * np.arange(224)[:, np.newaxis]).sum(("y", "x")) / mask.sum(("y", "x"))
    order = height.sel(region=["brows", "eyes", "nose", "mouth"]).diff("region")
    assert (order > 5).all()
    border = mask.sel(region=["eyes", "nose", "mouth"])
    assert not border.isel(y=[0, -1]).any()
    assert not border.isel(x=[0, -1]).any()
    side = (mask * np.arange(224)).sum(("y", "x")) / mask.sum(("y", "x"))
    assert (abs(side.sel(region=["eyes", "brows", "nose", "mouth"]) - 112) < 20).all()
