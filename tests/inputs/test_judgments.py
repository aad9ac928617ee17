"""Judgments in: every format, by label; and every wrong input with its message."""

import json

import numpy as np
import pytest
import xarray as xr

import relstats
from relstats.errors import InvalidData, UsageError
from relstats.human import read_judgments
from relstats.human.rdms.ceiling import noise_ceiling
from relstats.inputs.judgments import add_judgments

HEADER = "participant,image_i,image_j,rating"
LABELS = ["007", "7", "NA", "null"]


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def by_pair(found, participant=None):
    """Values by the two labels, of one participant."""
    array = found["dissimilarity"]
    row = array.sel(participant=participant) if participant else array.isel(participant=0)
    pairs = zip(array["image_i"].values, array["image_j"].values, strict=True)
    return {frozenset(pair): value for pair, value in zip(pairs, row.values.tolist(), strict=True)}


def square(n=4, seed=1, people=2):
    values = np.random.default_rng(seed).random((people, n, n)) + 1
    values += values.transpose(0, 2, 1)
    values[:, range(n), range(n)] = 0
    return values


def matrix_lines(values, labels):
    return [
        ",".join(["", *labels]),
        *(",".join([label, *map(str, row)]) for label, row in zip(labels, values, strict=True)),
    ]


@pytest.fixture
def study(tmp_path):
    images = np.array(["007", "7", "NA", "1e5"], object)
    maps = np.random.default_rng(1).normal(size=(2, 2, 4, 8, 8)).astype(np.float32)
    groups = relstats.study(
        relevance=relstats.relevance_dataset(maps, models=["a", "b"], images=list(images))
    )
    relstats.save_study(groups, tmp_path / "s.zarr")
    return tmp_path / "s.zarr"


def test_ratings(tmp_path):
    path = write(
        tmp_path / "r.csv",
        HEADER,
        "1e5,007,7,6",
        "1e5,NA,007,2",
        "TRUE,7,NA,1",
        "TRUE,7,007,",
        "1e5,NA,7,na",
    )
    found = read_judgments(path, kind="similarity")
    assert found["participant"].values.tolist() == ["1e5", "TRUE"]
    expected = {
        frozenset({"007", "7"}): 0.0,
        frozenset({"007", "NA"}): 4.0,
        frozenset({"7", "NA"}): np.nan,
    }
    assert by_pair(found, "1e5") == pytest.approx(expected, nan_ok=True)
    assert found.attrs["turned_over_at"] == 6
    assert (found.attrs["format"], found.attrs["kind"]) == ("ratings", "similarity")
    assert found["dissimilarity"].dtype == np.float32


def test_dissimilarities_stay_as_they_are(tmp_path):
    path = write(tmp_path / "r.csv", HEADER, "p,a,b,6", "p,c,a,2", "p,c,b,-1e-3")
    assert by_pair(read_judgments(path, kind="dissimilarity")) == pytest.approx(
        {frozenset("ab"): 6.0, frozenset("ac"): 2.0, frozenset("bc"): -1e-3}
    )


def test_order_of_rows_and_columns_is_irrelevant(tmp_path):
    rows = [
        f"p{s},{i},{j},{v}"
        for s in range(3)
        for i, j, v in zip("aab", "bcc", np.random.default_rng(s).random(3), strict=True)
    ]
    one = read_judgments(write(tmp_path / "r.csv", HEADER, *rows), kind="similarity")
    turned = [",".join(np.array(row.split(","))[[3, 2, 1, 0]]) for row in rows[::-1]]
    other = read_judgments(
        write(tmp_path / "o.csv", "rating,image_j,image_i,participant", *turned), kind="similarity"
    )
    xr.testing.assert_identical(one.drop_attrs(), other.drop_attrs())


def test_the_same_judgments_in_every_format_of_tables_and_arrays(tmp_path):
    values, people = square(), ["p1", "p2"]
    first, second = np.triu_indices(4, 1)
    ends = [np.array(LABELS)[k] for k in (first, second)]
    long = [
        f"{p},{i},{j},{v}"
        for p, m in zip(people, values, strict=True)
        for i, j, v in zip(*ends, m[first, second], strict=True)
    ]
    sources = [write(tmp_path / "long.csv", HEADER, *long)]
    wide = [
        ",".join([j, i, *map(str, v)])
        for i, j, v in zip(*ends, values[:, first, second].T, strict=True)
    ]
    sources.append(write(tmp_path / "wide.csv", "image_i,image_j,p1,p2", *wide))
    np.savez(tmp_path / "m.npz", judged=values, participant=people, image=LABELS)
    np.savez(
        tmp_path / "p.npz",
        judged=values[:, first, second],
        participant=people,
        image_i=ends[0],
        image_j=ends[1],
    )
    sources += [tmp_path / "m.npz", tmp_path / "p.npz"]
    for name, sub in (
        (
            "tables",
            lambda m: [
                "image_i,image_j,x",
                *(f"{i},{j},{v}" for i, j, v in zip(*ends, m[first, second], strict=True)),
            ],
        ),
        ("matrices", lambda m: matrix_lines(m, LABELS)),
    ):
        (tmp_path / name).mkdir()
        for person, m in zip(people, values, strict=True):
            write(tmp_path / name / f"{person}.csv", *sub(m))
        sources.append(tmp_path / name)
    ids = np.array(LABELS, object)
    dims = xr.DataArray(
        values,
        dims=("participant", "image_i", "image_j"),
        coords={"participant": np.array(people, object), "image_i": ids, "image_j": ids},
    )
    dims.isel(image_j=[2, 0, 3, 1]).to_dataset(name="judged").to_zarr(
        tmp_path / "m.zarr", zarr_format=3, consolidated=False
    )
    sources.append(tmp_path / "m.zarr")
    found = [read_judgments(path, kind="dissimilarity") for path in sources]
    assert [f.attrs["format"] for f in found] == [
        "ratings",
        "pairs",
        "matrix",
        "pairs",
        "pairs",
        "matrix",
        "matrix",
    ]
    for one in found:
        xr.testing.assert_identical(one.drop_attrs(), found[0].drop_attrs())
    assert by_pair(found[0], "p2")[frozenset({"007", "null"})] == pytest.approx(
        values[1, 0, 3], rel=1e-6
    )


def test_a_matrix_is_read_by_its_labels_and_its_empty_half_is_the_other(tmp_path):
    path = write(tmp_path / "anna.csv", ",a,b,c", "c,,3,0", "a,0,1,2", "b,,0,")
    found = read_judgments(path, kind="dissimilarity")
    assert by_pair(found, "anna") == {frozenset("ab"): 1, frozenset("ac"): 2, frozenset("bc"): 3}


def test_triplets(tmp_path):
    rows = ["p,a,b,c,c", "p,a,b,d,a", "q,d,c,b,d"]
    found = read_judgments(
        write(tmp_path / "t.csv", "participant,image_1,image_2,image_3,odd", *rows)
    )
    assert found.attrs["format"] == "triplets"
    assert by_pair(found, "p")[frozenset("ab")] == 0.5
    assert by_pair(found, "p")[frozenset("bd")] == 0
    assert np.isnan(by_pair(found, "p")[frozenset("cd")])
    assert by_pair(found, "q")[frozenset("bc")] == 0
    together = read_judgments(
        write(tmp_path / "u.csv", "image_1,image_2,image_3,odd", *(row[2:] for row in rows))
    )
    assert together["participant"].values.tolist() == ["all"]
    assert "called 'all'" in together.attrs["warnings"][0]


def places(**points):
    return [{"name": name, "x": x, "y": y} for name, (x, y) in points.items()]


PLACES = places(a=(0, 0), b=(0.3, 0.4), c=(0.6, 0.8))


def arrangement(content, path):
    path.write_text(json.dumps(content))
    return path


def test_arrangements(tmp_path):
    trials = [
        {"participant": "p", "positions": PLACES},
        {"participant": "q", "positions": PLACES[::-1]},
    ]
    found = read_judgments(arrangement({"trials": trials}, tmp_path / "x.json"))
    assert found.attrs["format"] == "arrangement"
    for person in "pq":
        assert by_pair(found, person) == pytest.approx(
            {
                frozenset("ab"): 0.5 / 1.5**0.5,
                frozenset("bc"): 0.5 / 1.5**0.5,
                frozenset("ac"): 1 / 1.5**0.5,
            },
            rel=1e-6,
        )
    alone = read_judgments(arrangement([*trials, {"positions": PLACES[:1]}], tmp_path / "x.json"))
    assert "1 trial(s) of x.json left out" in alone.attrs["warnings"][0]
    np.testing.assert_array_equal(alone["dissimilarity"], found["dissimilarity"])


def meadows(*names):
    tasks = [
        {"task": {"name": name, "task_type": "multiarrange"}, "trials": [{"positions": PLACES}]}
        for name in names
    ]
    return {"tasks": [{"task": {"name": "hello", "task_type": "info"}, "trials": []}, *tasks]}


def test_files_of_a_platform(tmp_path):
    one = read_judgments(
        arrangement(meadows("ma1"), tmp_path / "Meadows_faces_v_v1_calm-mole_tree.json")
    )
    assert one["participant"].values.tolist() == ["calm-mole"]
    path = arrangement(
        {"calm-mole": meadows("ma1", "ma2"), "odd-fox": meadows("ma2")}, tmp_path / "several.json"
    )
    with pytest.raises(
        UsageError, match=r"arrangement task\(s\) 'ma1', 'ma2': name one with --task"
    ):
        read_judgments(path)
    both = read_judgments(path, task="ma2")
    assert both["participant"].values.tolist() == ["calm-mole", "odd-fox"]
    np.testing.assert_array_equal(both["dissimilarity"].values[0], one["dissimilarity"].values[0])
    (tmp_path / "folder").mkdir()
    for name in ("ann", "bob"):
        arrangement(meadows("ma1"), tmp_path / "folder" / f"{name}.json")
    assert read_judgments(tmp_path / "folder")["participant"].values.tolist() == ["ann", "bob"]


BAD_ARRANGEMENTS = [
    ("no json", "is no JSON"),
    (3, "holds int, not trials"),
    ({"a": 1}, "has a, and neither 'trials' nor 'tasks'"),
    ({"trials": []}, "no trial with two images"),
    ([{"positions": [*PLACES, PLACES[0]]}], r"holds 1 image\(s\) twice \(e.g. 'a'\)"),
    ([{"positions": [{"name": 7, "x": 0, "y": 1}]}], "image 7 at .*ids are text"),
    ([{"positions": [{"name": "a", "x": float("nan"), "y": 1}]}], "x and y numbers"),
    ([{"positions": [{"name": "a", "y": 1}]}], "x and y numbers"),
    ([{"participant": 7, "positions": PLACES}], "participant 7 is not text"),
    ([{"images": PLACES}], "has no 'positions'"),
]


@pytest.mark.parametrize(("content", "says"), BAD_ARRANGEMENTS)
def test_bad_arrangements(content, says, tmp_path):
    path = tmp_path / "x.json"
    path.write_text(content if content == "no json" else json.dumps(content))
    with pytest.raises(InvalidData, match=says):
        read_judgments(path)


def test_constant_participants_are_nan_and_counted(tmp_path):
    rows = [
        f"{p},{i}{v}"
        for p in "pq"
        for i, v in zip(("a,b,", "a,c,", "b,c,"), (3, 3, 3 + (p == "q")), strict=True)
    ]
    found = read_judgments(write(tmp_path / "r.csv", HEADER, *rows), kind="similarity")
    assert np.isnan(found["dissimilarity"].sel(participant="p")).all()
    assert by_pair(found, "q") == {frozenset("ab"): 1, frozenset("ac"): 1, frozenset("bc"): 0}
    assert found.attrs["n_constant"] == 1
    assert any(
        "1 participant(s) judged all pairs alike, or none: NaN (p)" in note
        for note in found.attrs["warnings"]
    )


def test_similarity_matrices_have_ones_on_their_diagonal(tmp_path):
    values = np.array([[[1, 0.2, 0.5], [0.2, 1, 0.7], [0.5, 0.7, 1]]])
    path = write(tmp_path / "a.csv", *matrix_lines(values[0], "abc"))
    assert by_pair(read_judgments(path, kind="similarity")) == pytest.approx(
        {frozenset("ab"): 0.8, frozenset("ac"): 0.5, frozenset("bc"): 0.3}, rel=1e-6
    )
    with pytest.raises(
        InvalidData,
        match=r"the diagonal is not 0 \(largest value 1; max asymmetry 0\).*--kind similarity",
    ):
        read_judgments(path, kind="dissimilarity")


def test_an_asymmetric_matrix_is_refused_with_its_asymmetry(tmp_path):
    path = write(tmp_path / "a.csv", ",a,b,c", "a,0,1,2", "b,1.25,0,3", "c,2,3,0")
    with pytest.raises(
        InvalidData, match=r"not symmetric: max asymmetry 0.25, and the largest diagonal value is 0"
    ):
        read_judgments(path, kind="dissimilarity")
    written = write(tmp_path / "b.csv", ",a,b,c", "a,0,1,2", "b,1.0000002,0,3", "c,2,3,0")
    assert by_pair(read_judgments(written, kind="dissimilarity"))[frozenset("ab")] == pytest.approx(
        1, rel=1e-6
    )


def test_halves_that_differ_by_rounding_are_averaged(tmp_path):
    rows = [",a,b,c", "a,0,1.0000001,2", "b,1,0,3", "c,2,3,0"]
    found = read_judgments(write(tmp_path / "one.csv", *rows), kind="dissimilarity")
    turned = read_judgments(
        write(tmp_path / "two.csv", ",b,a,c", "b,0,1,3", "a,1.0000001,0,2", "c,3,2,0"),
        kind="dissimilarity",
    )
    rows[1:3] = ["a,0,1,2", "b,1.0000001,0,3"]
    other = read_judgments(write(tmp_path / "three.csv", *rows), kind="dissimilarity")
    for one in (turned, other):
        np.testing.assert_array_equal(one["dissimilarity"].values, found["dissimilarity"].values)


def test_an_implausible_kind_is_warned_of(tmp_path):
    points = np.random.default_rng(1).random((15, 2))
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    np.savez(
        tmp_path / "m.npz",
        judged=distances[None],
        participant=["p"],
        image=[f"i{k}" for k in range(15)],
    )
    assert not read_judgments(tmp_path / "m.npz", kind="dissimilarity").attrs["warnings"]
    told = read_judgments(tmp_path / "m.npz", kind="similarity").attrs["warnings"]
    assert len(told) == 2
    assert "less alike with themselves (mean 0)" in told[0]
    assert "triplets of images" in told[1]
    assert "is this dissimilarity?" in told[1]
    own = write(
        tmp_path / "r.csv",
        "participant,image_i,image_j,similarity",
        "p,a,a,7",
        "p,a,b,2",
        "p,a,c,1",
    )
    notes = read_judgments(own, kind="dissimilarity").attrs["warnings"]
    assert notes[0] == "1 judgment(s) of an image with itself left out"
    assert "is this similarity?" in notes[1]
    assert "called 'similarity', and read as dissimilarity" in notes[2]
    assert read_judgments(own, kind="similarity").attrs["warnings"] == notes[:1]
    assert read_judgments(own, kind="similarity").attrs["turned_over_at"] == 7


BAD_TABLES = [
    ([HEADER, "p,a,b,1", "p,b,a,2"], r"r.csv: 1 label\(s\) or pair\(s\) are there more than once"),
    ([HEADER, "p,a,b,high"], "row 2: 'high' is no number"),
    ([HEADER, "p,a,b,1", "p,a,c,inf"], "row 3: 'inf' is infinite"),
    ([HEADER, "p,a,b"], "row 2: 3 cells, but 4 columns"),
    ([HEADER], r"1 row\(s\): a header and rows"),
    ([HEADER, "p,a,b,1", ",a,c,2"], "row 3: no participant"),
    (["participant,image_i,rating", "p,a,1"], "cannot be told"),
    (["participant,image_i,image_j", "p,a,b"], "without any value"),
    ([HEADER + ",time,block", "p,a,b,1,2,3"], None),
    ([HEADER.replace("rating", "x,y"), "p,a,b,1,2"], "columns x, y beside"),
    (["image_i,image_j,p,p", "a,b,1,2"], "columns of r.csv"),
    (["image_i,image_j,p", "a,b,1", "b,a,2"], "more than once"),
    (["image_i,image_j,p", "a,a,1"], "of an image with itself"),
    ([",a,b,c", "a,0,1,2", "b,1,0,3", "d,2,3,0"], "cannot be told"),
    ([",a,a", "a,0,1", "a,1,0"], "more than once"),
    (["participant;image_i;image_j;rating", "p;a;b;1"], "not separated by commas"),
    (["image_1,image_2,image_3,odd", "a,b,c,d"], "three different images and one of them"),
    (["image_1,image_2,image_3,odd", "a,b,b,a"], r"row 2: a, b, b; odd 'a'"),
    ([HEADER, "p,a,b,1e300", "p,a,c,1"], "stored in float32"),
]


@pytest.mark.parametrize(("lines", "says"), BAD_TABLES)
def test_bad_tables(lines, says, tmp_path):
    path = write(tmp_path / "r.csv", *lines)
    kind = None if "odd" in lines[0] else "dissimilarity"
    if says is None:
        assert read_judgments(path, kind=kind).sizes["pair"] == 1
        return
    with pytest.raises((InvalidData, UsageError), match=says):
        read_judgments(path, kind=kind)


def test_ids_of_arrays_are_text_and_there(tmp_path):
    def saved(**arrays):
        np.savez(tmp_path / "m.npz", **arrays)
        return tmp_path / "m.npz"

    values, people = square(3), ["p", "q"]
    for arrays, says in (
        (
            {"participant": people, "image": [7, 8, 9]},
            "'image' of m.npz has dtype int64.*'007' is not 7",
        ),
        ({"participant": [1, 2], "image": list("abc")}, "'participant' of m.npz has dtype int64"),
        ({"participant": people}, "never matched by position"),
        (
            {"participant": people, "image": list("abcd")},
            r"has shape \(2, 3, 3\); its ids say \(2, 4, 4\)",
        ),
        ({"participant": ["p", "p"], "image": list("abc")}, "participants: 1 label"),
        ({"participant": people, "image": list("abc"), "more": values}, "give one array"),
        (
            {"participant": people, "image": np.array(list("abc"), object)},
            "ids are text arrays, not Python objects",
        ),
    ):
        with pytest.raises(InvalidData, match=says):
            read_judgments(saved(judged=values, **arrays), kind="dissimilarity")
    for wrong, says in ((np.inf, "infinite"), (1j, "real numbers"), (9.0, "max asymmetry")):
        spoilt = values.astype(complex if wrong == 1j else float)
        spoilt[0, 0, 1] = wrong
        with pytest.raises(InvalidData, match=says):
            read_judgments(
                saved(judged=spoilt, participant=people, image=list("abc")), kind="dissimilarity"
            )


@pytest.mark.parametrize(
    ("coords", "says"),
    [
        ({"participant": [1, 2]}, "'participant' of m.zarr is not text"),
        ({"image_i": [1, 2, 3]}, "'image_i' of m.zarr is not text"),
        ({"image_i": None}, "'image_i' of m.zarr is missing"),
        ({"image_i": ["a", "b", "d"]}, "not the same images"),
    ],
)
def test_labels_of_a_store(coords, says, tmp_path):
    good = {"participant": ["p", "q"], "image_i": list("abc"), "image_j": list("abc")}
    labels = {
        k: np.array(v, object) if isinstance(v[0], str) else v
        for k, v in {**good, **coords}.items()
        if v is not None
    }
    array = xr.DataArray(square(3), dims=("participant", "image_i", "image_j"), coords=labels)
    array.to_dataset(name="x").to_zarr(tmp_path / "m.zarr", zarr_format=3, consolidated=False)
    with pytest.raises(InvalidData, match=says):
        read_judgments(tmp_path / "m.zarr", kind="dissimilarity")


def test_calls_that_are_wrong(tmp_path):
    ratings = write(tmp_path / "r.csv", HEADER, "p,a,b,1", "p,a,c,2")
    triplets = write(tmp_path / "t.csv", "image_1,image_2,image_3,odd", "a,b,c,c")
    (tmp_path / "x.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    for call, says in (
        (
            (ratings, {}),
            (
                "does a large number mean that images are alike.*--kind similarity or --kind"
                " dissimilarity"
            ),
        ),
        ((ratings, {"kind": "alike"}), "kind is 'alike'"),
        ((ratings, {"format": "table"}), "format is 'table'"),
        ((ratings, {"kind": "similarity", "format": "arrangement"}), "arrangements come as .json"),
        ((triplets, {"kind": "similarity"}), "leave --kind out"),
        ((tmp_path / "none.csv", {}), "no such file: .*none.csv"),
        ((tmp_path / "x.txt", {}), "ends in '.txt'"),
        ((tmp_path / "empty", {}), r"holds 0 files of judgments"),
    ):
        with pytest.raises(UsageError, match=says):
            read_judgments(call[0], **call[1])
    with pytest.raises(InvalidData, match=r"lacks column\(s\) participant"):
        read_judgments(
            write(tmp_path / "p.csv", "image_i,image_j,p", "a,b,1"),
            kind="similarity",
            format="ratings",
        )
    with pytest.raises(InvalidData, match="that is format ratings"):
        read_judgments(ratings, kind="similarity", format="pairs")


def all_pairs(labels, *, skip=()):
    return [
        f"p{s},{a},{b},{s + k + (s * k) % 3}"
        for s in range(3)
        for k, (a, b) in enumerate((a, b) for i, a in enumerate(labels) for b in labels[:i])
        if a not in skip and b not in skip
    ]


def test_judgments_of_a_study(study, tmp_path):
    path = write(tmp_path / "r.csv", HEADER, *all_pairs(["1e5", "NA", "7", "007"]))
    plan = add_judgments(study, path, kind="similarity", dry_run=True)
    assert "human" not in relstats.open_study(study).children
    found = add_judgments(study, path, kind="similarity")
    xr.testing.assert_identical(plan, found)
    stored = relstats.open_study(study)["human"].to_dataset()
    xr.testing.assert_equal(stored, found)
    assert stored.attrs["kind"] == "similarity"
    add_judgments(study, path, kind="similarity")  # the same again changes nothing
    with pytest.raises(UsageError, match="--force"):
        add_judgments(study, path, kind="dissimilarity")
    add_judgments(study, path, kind="dissimilarity", force=True)
    assert relstats.open_study(study)["human"].attrs["kind"] == "dissimilarity"
    with pytest.raises(UsageError, match="align is 'outer'"):
        add_judgments(study, path, kind="similarity", align="outer")


def test_007_is_not_7(study, tmp_path):
    path = write(tmp_path / "r.csv", HEADER, *all_pairs(["1e5", "NA", "7", "0007"]))
    with pytest.raises(
        InvalidData,
        match=r"1 only in r.csv \('0007'\), 1 only in the study \('007'\).*--align inner",
    ):
        add_judgments(study, path, kind="similarity")


def test_a_partial_overlap_is_an_error_with_both_lists_unless_inner(study, tmp_path):
    path = write(tmp_path / "r.csv", HEADER, *all_pairs(["NA", "7", "007", "extra"]))
    with pytest.raises(
        InvalidData, match=r"1 only in r.csv \('extra'\), 1 only in the study \('1e5'\)"
    ):
        add_judgments(study, path, kind="similarity")
    found = add_judgments(study, path, kind="similarity", align="inner")
    assert sorted({*found["image_i"].values, *found["image_j"].values}) == ["007", "7", "NA"]
    assert found.attrs["dropped_images"] == ["1e5", "extra"]
    whole = read_judgments(path, kind="similarity")
    assert by_pair(found, "p1") == {
        k: v for k, v in by_pair(whole, "p1").items() if "extra" not in k
    }
    with pytest.raises(InvalidData, match="only in"):
        add_judgments(
            study,
            write(tmp_path / "o.csv", HEADER, "p,x,y,1", "p,x,z,2"),
            kind="similarity",
            align="inner",
            force=True,
        )


def test_swapped_labels_change_the_answer(study, tmp_path):
    models = relstats.rdm(relstats.open_study(study))
    values = models["dissimilarity"].mean(["model", "seed"])
    lines = [
        f"p{s},{i},{j},{v + 0.01 * s * k}"
        for s in range(3)
        for k, (i, j, v) in enumerate(
            zip(values["image_i"].values, values["image_j"].values, values.values, strict=True)
        )
    ]
    rows = [write(tmp_path / "r.csv", HEADER, *lines), None]
    swapped = (
        "\n".join(lines).replace("NA", "?").replace("007", "NA").replace("?", "007").splitlines()
    )
    rows[1] = write(tmp_path / "s.csv", HEADER, *swapped)
    found = []
    for path in rows:
        human = add_judgments(study, path, kind="dissimilarity", force=True)
        options = {"random": ["participants"], "n_permutations": 9, "rng": np.random.default_rng(1)}
        found.append(relstats.rsa(models, human, comparison="corr", **options)["estimate"].values)
    assert (np.abs(found[0] - found[1]) > 0.01).all()


def test_hostile_labels_stay_text(tmp_path):
    labels = [
        "../../etc/passwd",
        "<script>alert(1)</script>",
        "=cmd()",
        "\x1b[31mred",
        "é🙂",
        "\u202eabc",
    ]
    rows = [
        f"CON,{a},{b},{k}"
        for k, (a, b) in enumerate((a, b) for i, a in enumerate(labels) for b in labels[:i])
    ]
    found = read_judgments(write(tmp_path / "r.csv", HEADER, *rows), kind="similarity")
    assert set(found["image_i"].values) | set(found["image_j"].values) == set(labels)


def test_files_that_are_no_tables(tmp_path):
    (tmp_path / "r.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidData, match="no table of commas in UTF-8"):
        read_judgments(tmp_path / "r.csv", kind="similarity")
    (tmp_path / "r.npz").write_bytes(b"<html>")
    with pytest.raises(InvalidData, match=r"r.npz cannot be read"):
        read_judgments(tmp_path / "r.npz", kind="similarity")
    marked = tmp_path / "b.csv"
    marked.write_text("\ufeff" + "\n".join([HEADER, "p,a,b,1", "p,a,c,2"]), encoding="utf-8")
    assert read_judgments(marked, kind="similarity").sizes["participant"] == 1


@pytest.mark.real
def test_the_judgments_of_92_images(real_data, tmp_path):
    with np.load(real_data / "kriegeskorte92" / "human_rdms_92.npz") as file:
        squares, participants = file["rdms"], file["subjects"]
    ids = np.array([f"{k:02d}" for k in range(92)])
    shuffled = np.random.default_rng(1).permutation(92)
    np.savez(
        tmp_path / "m.npz",
        judged=squares[:, shuffled][:, :, shuffled],
        participant=participants,
        image=ids[shuffled],
    )
    found = read_judgments(tmp_path / "m.npz", kind="dissimilarity")
    assert found.attrs["warnings"] == []
    np.testing.assert_array_equal(found["dissimilarity"], squares[:, *np.triu_indices(92, 1)])
    assert noise_ceiling(found["dissimilarity"].values, "spearman") == pytest.approx(
        (0.477, 0.577), abs=6e-4
    )
    told = read_judgments(tmp_path / "m.npz", kind="similarity").attrs["warnings"]
    assert len(told) == 2
    assert all("is this dissimilarity?" in line for line in told)


def test_a_trial_of_two_images_counts(tmp_path):
    found = read_judgments(
        arrangement([{"positions": PLACES}, {"positions": PLACES[:2]}], tmp_path / "x.json")
    )
    alone = read_judgments(arrangement([{"positions": PLACES[:2]}], tmp_path / "y.json"))
    assert found.attrs["warnings"] == []
    assert by_pair(found)[frozenset("ab")] == pytest.approx(0.5 / 1.5**0.5, rel=1e-6)
    assert alone.sizes["pair"] == 1
