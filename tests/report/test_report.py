"""The report as a reader gets it: its numbers are the study's, nothing in it acts, and it says what
could not be said.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import html.parser
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from importlib.util import find_spec
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from command_line import run
from report_studies import HOSTILE, analyse, analysed, labelled

import relstats
from relstats.results.text import number, plain, safe
from relstats.study import save, store, writing

if find_spec("matplotlib") is None or find_spec("jinja2") is None:
    pytest.skip("reports need the extra `report`", allow_module_level=True)

import itertools

from relstats.report import render, report

VOID = {"meta", "link", "img", "input", "br", "hr"}


class Page(html.parser.HTMLParser):
    """What a browser makes of a page: elements with attributes, the text a reader sees, raw text of
    scripts and styles.
    """

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.text, self.raw, self._open = [], "", [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        self.text += " " * (tag in ("td", "th", "code"))
        if tag in ("script", "style"):
            self.raw.append([tag, dict(attrs), ""])

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] in ("script", "style"):
            self.raw[-1][2] += data
        else:
            self.text += data

    def embedded(self):
        return {
            attrs["id"]: json.loads(text)
            for tag, attrs, text in self.raw
            if attrs.get("type") == "application/json"
        }

    def csvs(self):
        uris = [
            attrs["href"]
            for tag, attrs in self.elements
            if tag == "a" and attrs.get("href", "").startswith("data:text/csv")
        ]
        return [base64.b64decode(uri.split(",", 1)[1]).decode() for uri in uris]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return analysed(tmp_path_factory.mktemp("report") / "study.zarr")


@pytest.fixture(scope="module")
def text(study):
    return render(store.open_study(study), "study.zarr")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


@pytest.fixture(scope="module")
def results(study):
    tree = store.open_study(study)["results"]
    return {str(name): node.to_dataset().load() for name, node in tree.children.items()}


def slug(name):
    return f"r-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def test_embedded_numbers_are_those_of_the_study(page, results):
    embedded = page.embedded()
    assert len(results) == 6
    for name, result in results.items():
        shown = embedded[f"{slug(name)}-data"]
        small = {
            k
            for k, v in result.data_vars.items()
            if not {"y", "x"} <= set(v.dims) and v.size <= 5000
        }
        assert set(shown["variables"]) == small
        for variable in small:
            assert shown["variables"][variable] == plain(
                {"dims": list(result[variable].dims), "data": result[variable].values}
            )
        assert shown["attrs"]["statistic"] == result.attrs["statistic"]


def test_tables_show_the_estimates_and_csv_has_them_in_full(page, results):
    tables = [list(csv.DictReader(io.StringIO(text))) for text in page.csvs()]
    for result in results.values():
        for value in result["estimate"].values.ravel():
            assert number(float(value)) in page.text
        wanted = sorted(v for v in result["estimate"].values.ravel().tolist() if v == v)
        found = [
            sorted(float(row["estimate"]) for row in table if row["estimate"])
            for table in tables
            if table and "estimate" in table[0]
        ]
        assert wanted in found


def test_csv_rows_name_their_cell(page, results):
    result = results["compare_pretrain_probability"]
    table = next(
        rows
        for rows in (list(csv.DictReader(io.StringIO(t))) for t in page.csvs())
        if rows
        and {"contrast", "effect", "estimate"} <= set(rows[0])
        and float(rows[0]["estimate"]) in result["estimate"].values
    )
    for row in table:
        one = result.sel(contrast=row["contrast"], effect=row["effect"])
        assert float(row["estimate"]) == float(one["estimate"])
        assert (float(row["ci_lower"]), float(row["ci_upper"])) == tuple(one["ci"].values.tolist())


def test_the_verdict_comes_first_and_has_size_interval_p_and_n(text, page, results):
    headings = [m.group(1) for m in re.finditer(r"<h2[^>]*>(.*?)</h2>", text)]
    assert headings == [
        "Verdict",
        "Matrix and maps",
        "Results",
        "Data quality",
        "Methods, ready to paste",
        "Provenance",
        "Warnings",
    ]
    verdict = page.text[
        page.text.index("Verdict\n") : page.text.index(
            "Matrix and maps", page.text.index("Do maps agree")
        )
    ]
    gap = results["compare_pretrain_probability"].sel(
        contrast="imagenet|vggface2", effect="specificity"
    )
    bounds = [number(b) for b in gap["ci"].values]
    assert (
        f"{number(float(gap['estimate']))} lower (95 % interval {bounds[0]} to {bounds[1]}; p "
        in verdict
    )
    assert "(12 networks, 8 images)" in verdict
    assert "significant" not in page.text


def test_the_rest_is_folded_and_the_key_figure_follows(text, page):
    verdict = text[text.index('id="verdict"') : text.index('id="explorer"')]
    assert re.search(r'<details class="more"><summary>\d+ more findings</summary>', verdict)
    first = re.sub(r'(?s)<details class="more">.*?</details>', "", verdict)
    assert 5 <= len(re.findall(r'<li class="(?:found|open)">', first)) <= 20
    assert "Told first, by a fixed rule" in first
    assert verdict.index("key-figure") > verdict.rindex('class="more"')
    assert re.search(
        r'id="key-figure">\s*<img src="data:image/svg[^>]*>\s*<figcaption>(Networks 1|Effects)',
        verdict,
    )
    headings = re.findall(r"<h3 id=[^>]*>(.*?)</h3>", text)
    assert len(headings) == len(set(headings)) == 6


def test_charts_have_room_before_maps():
    from relstats.report.figures import _LARGE_SVG, Figure, _fitting

    large, small = "data:" + "x" * (2 * _LARGE_SVG), "data:" + "x" * 1000
    drawn = {
        "a": [Figure("map", "", large), Figure("map2", "", large)],
        "b": [Figure("map", "", large), Figure("chart", "", small)],
    }
    assert _fitting(drawn, 3000) == {("b", 1)}
    assert _fitting(drawn, 5 * _LARGE_SVG) == {("b", 1), ("a", 0), ("b", 0)}


def test_other_scores_of_one_question_are_told_beside_the_first(page, results):
    one = results["compare_pretrain"].sel(effect="asymmetry", contrast="imagenet|vggface2")
    assert "The same question with other scores (score correct" in page.text
    assert f"asymmetry {number(float(one['estimate']))} [" in page.text
    assert page.text.index("probability of the true class") < page.text.index(
        "The same question with other scores"
    )


def test_what_was_not_run_is_named_with_a_command_that_exists(page):
    commands = re.findall(r"relstats ((?:add )?[\w-]+) study\.zarr", page.text)
    assert {"compare", "similarity", "add judgments"} <= set(commands)
    for command in set(commands):
        assert run(*command.split(), "--help")[0] == 0
    assert "Transfer over task was not compared." in page.text
    assert "The study has no /human. Maps were not compared with people's judgments" in page.text


def test_every_figure_has_a_text_and_its_numbers(page, results):
    figures = [
        attrs for tag, attrs in page.elements if tag == "img" and "svg" in attrs.get("src", "")[:20]
    ]
    assert len(figures) > 6
    assert all(len(attrs["alt"]) > 20 for attrs in figures)
    ids = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    linked = {
        attrs["href"][1:]
        for tag, attrs in page.elements
        if tag == "a" and attrs["href"].startswith("#")
    }
    assert linked <= ids
    assert {f"{slug(name)}-numbers" for name in results if name != "rdm"} <= linked


def test_methods_parameters_and_references(page, results):
    for result in results.values():
        assert safe(result.attrs["method"]) in page.text
        for key in ("confidence", "nan"):
            assert str(result.attrs[key]) in page.text
    assert "doi:10.1016/j.acra.2005.12.011" in page.text
    assert ("a", "https://doi.org/10.2307/3002019") in [
        (tag, attrs.get("href")) for tag, attrs in page.elements
    ]


def test_provenance(page, results):
    for name, result in results.items():
        assert f"test of {name}" in page.text
        assert result.attrs["created"] in page.text
        assert result.attrs["numpy_version"] in page.text
    assert len(set(re.findall(r"\b[0-9a-f]{64}\b", page.text))) >= len(results)


def test_only_its_own_style_and_script_may_run_and_nothing_loads(text, page):
    policy = next(
        a["content"]
        for t, a in page.elements
        if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; img-src data:; ")
    scripts = [
        (attrs, raw) for tag, attrs, raw in page.raw if tag == "script" and "type" not in attrs
    ]
    styles = [raw for tag, _, raw in page.raw if tag == "style"]
    assert len(scripts) == len(styles) == 1
    for kind, raw in (("script", scripts[0][1]), ("style", styles[0])):
        assert (
            f"{kind}-src"
            f" 'sha256-{base64.b64encode(hashlib.sha256(raw.encode()).digest()).decode()}'"
            in policy
        )
    for tag, attrs in page.elements:
        assert "style" not in attrs
        assert not [name for name in attrs if name.startswith("on")]
        for name in ("src", "href"):
            assert re.match(r"data:|#|https://doi\.org/10\.", attrs.get(name, "#")), (
                tag,
                attrs[name],
            )
    assert len(re.findall("http-equiv", text)) == 1


def test_tables_have_scopes_and_headings_no_gaps(page, text):
    headers = [attrs for tag, attrs in page.elements if tag == "th"]
    assert headers
    assert all(attrs.get("scope") in ("row", "col") for attrs in headers)
    depth = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert depth[0] == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(depth))
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_the_command_writes_the_same_bytes_for_the_same_study(study, text, tmp_path):
    again = tmp_path / "again.html"
    command = [sys.executable, "-m", "relstats.cli", "report", study, "-o", again]
    env = {**os.environ, "PYTHONHASHSEED": "5", "TZ": "Asia/Tokyo", "SOURCE_DATE_EPOCH": "1"}
    done = subprocess.run(command, check=True, env=env, stdout=subprocess.PIPE, text=True)
    assert done.stdout == f"{again}\n"
    assert again.read_text() == text
    assert os.listdir(tmp_path) == ["again.html"]


def test_json_has_the_same_numbers_and_sentences(study, page, results):
    whole = json.loads(render(store.open_study(study), "study.zarr", format="json"))
    for name, result in results.items():
        assert whole["results"][name]["variables"]["estimate"]["data"] == plain(
            result["estimate"].values
        )
    told = [s["text"] for q in whole["verdict"] for a in q["answers"] for s in a["sentences"]]
    assert len(told) > 10
    assert all(sentence in page.text for sentence in told)
    assert whole["study"]["axes"] == {
        "pretrain": {"imagenet": 6, "vggface2": 6},
        "task": {"gender": 6, "identity": 6},
    }


def test_markdown_has_the_verdict_and_tables(study, results):
    draft = render(store.open_study(study), "study.zarr", format="md")
    assert (
        draft.index("## Verdict")
        < draft.index("## Results")
        < draft.index("## Methods")
        < draft.index("## Provenance")
    )
    for result in results.values():
        assert all(number(float(v)) in draft for v in result["estimate"].values.ravel())
    rows = [line for line in draft.splitlines() if line.startswith("|")]
    for line, after in itertools.pairwise(rows):
        if set(after) <= set("| -"):
            assert len(re.findall(r"(?<!\\)\|", line)) == after.count("|")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    return labelled(tmp_path_factory.mktemp("hostile") / "hostile.zarr", HOSTILE)


def test_hostile_labels_are_shown_literally(hostile):
    text = render(store.open_study(hostile), "=cmd|'.zarr")
    page = Page(text)
    for label in HOSTILE:
        assert safe(label) in page.text
    assert not [c for c in text if c in "\x1b\u202e\u2066"]
    assert {tag for tag, _ in page.elements} <= {
        "html",
        "head",
        "meta",
        "link",
        "title",
        "style",
        "body",
        "a",
        "header",
        "h1",
        "h2",
        "h3",
        "h4",
        "p",
        "nav",
        "main",
        "section",
        "ul",
        "li",
        "span",
        "details",
        "summary",
        "div",
        "table",
        "caption",
        "thead",
        "tr",
        "th",
        "tbody",
        "td",
        "small",
        "figure",
        "canvas",
        "figcaption",
        "label",
        "select",
        "option",
        "img",
        "script",
        "article",
        "code",
        "noscript",
        "pre",
    }
    assert not [a for _, a in page.elements if any(name.startswith("on") for name in a)]
    assert len([1 for tag, a, _ in page.raw if tag == "script" and "type" not in a]) == 1
    for table in page.csvs():
        for row in csv.reader(io.StringIO(table)):
            assert not [cell for cell in row if re.match(r"[=+@]|-(?![\d.]|inf)", cell)]
    assert not [
        raw
        for tag, a, raw in page.raw
        if a.get("type") == "application/json" and re.search("[<>&]", raw)
    ]
    names = [n["name"] for n in page.embedded()["explorer-data"]["networks"]]
    assert f"{HOSTILE[0]}, seed s0" in names


def test_hostile_labels_do_not_act_in_markdown_and_json(hostile):
    study = store.open_study(hostile)
    draft = render(study, "x.zarr", format="md")
    assert "<" not in re.sub(r"\\<", "", draft).replace("p < 1e-10", "")
    assert "\\{\\{7\\*7\\}\\}" in draft
    assert not [c for c in draft if c in "\x1b\u202e"]
    whole = json.loads(render(study, "x.zarr", format="json"))
    assert {n["model"] for n in whole["study"]["networks"]} == set(HOSTILE)


def test_a_transfer_of_matrix_and_map_cells(text, study, results):
    result = results["compare_pretrain_probability"]
    cells = re.findall(
        r'<td class="s-?\d" data-i="(\d+)" data-j="(\d+)">(–|-?[\d.e+-]+)</td>', text
    )
    names = [
        f"{m}:{s}"
        for m, s in zip(result["network_model"].values, result["network_seed"].values, strict=True)
    ]
    assert len(names) == 12
    of_pairs = cells[: 12 * 12]
    for i, j, shown in of_pairs:
        value = float(result["pair_mean"].values[int(i), int(j)])
        assert shown == "–" if i == j else float(shown) == pytest.approx(value, abs=0.00501)


def test_maps_in_the_page_are_those_of_the_study(study):
    from relstats.report import facts, pictures

    tree = store.open_study(study)
    gallery = pictures.gallery(tree, [str(tree["relevance"]["image"].values[0])])
    assert gallery is not None
    sheet = decoded(gallery.pictures[0].maps)
    maps = (
        tree["relevance"]["relevance"].transpose("model", "seed", "image", "y", "x").values[:, :, 0]
    )
    for m, s in np.ndindex(maps.shape[:2]):
        top, left = m * (gallery.height + gallery.gap), s * (gallery.width + gallery.gap)
        shown = sheet[top : top + gallery.height, left : left + gallery.width]
        assert np.array_equal(shown, pictures.colour_steps(maps[m, s].astype(float)))
    assert len(facts.network_list(tree)) == 12


def decoded(uri):
    """Indices of a palette PNG without filters."""
    data = base64.b64decode(uri.split(",", 1)[1])
    width, height = struct.unpack(">II", data[16:24])
    body, place = b"", 8
    while place < len(data):
        size, kind = struct.unpack(">I4s", data[place : place + 8])
        body += data[place + 8 : place + 8 + size] if kind == b"IDAT" else b""
        assert struct.unpack(">I", data[place + 8 + size : place + 12 + size])[0] == zlib.crc32(
            data[place + 4 : place + 8 + size]
        )
        place += 12 + size
    return np.frombuffer(zlib.decompress(body), np.uint8).reshape(height, width + 1)[:, 1:]


@pytest.mark.parametrize("shape", [(7, 5), (4, 4), (3, 8)])
def test_shrunk_is_a_mean_over_areas(shape):
    from relstats.report.pictures import shrunk

    values = np.random.default_rng(1).standard_normal((12, 12))
    fine = np.kron(
        values, np.ones(shape)
    )  # every small pixel as shape of its parts: the blocks of it are exact
    slow = fine.reshape(shape[0], 12, shape[1], 12).mean(axis=(1, 3))
    np.testing.assert_allclose(shrunk(values, *shape), slow, rtol=1e-10, atol=1e-14)


class TestCommand:
    @pytest.mark.parametrize(("name", "start"), [("r.md", "# Report"), ("r.json", "{")])
    def test_the_name_says_the_format(self, study, tmp_path, name, start):
        assert run("report", study, "-o", tmp_path / name)[0] == 0
        assert (tmp_path / name).read_text().startswith(start)

    def test_a_file_is_replaced_only_with_force(self, study, tmp_path):
        out = tmp_path / "r.json"
        out.write_text("mine")
        code, _, err = run("report", study, "-o", out)
        assert (code, out.read_text()) == (2, "mine")
        assert "--force" in err
        assert run("report", study, "-o", out, "--force")[0] == 0
        assert json.loads(out.read_text())["study"]

    def test_rights_are_those_of_any_file_and_the_umask_stays(self, study, tmp_path):
        with mock.patch("os.umask", side_effect=AssertionError("other threads would see it")):
            assert run("report", study, "-o", tmp_path / "r.json")[0] == 0
        (tmp_path / "any").touch()
        assert (tmp_path / "r.json").stat().st_mode == (tmp_path / "any").stat().st_mode
        assert {p.name for p in tmp_path.iterdir()} == {"any", "r.json"}

    def test_chosen_images_are_the_ones_shown(self, study, tmp_path):
        ids = store.open_study(study)["relevance"]["image"].values.tolist()
        out = tmp_path / "r.html"
        with mock.patch("relstats.plots.figures", return_value=[]):  # these pictures are no figures
            assert run("report", study, "-o", out, "--images", f"{ids[5]},{ids[2]}")[0] == 0
        assert re.findall(r'<option value="\d+">(.*?)</option>', out.read_text()) == [
            ids[5],
            ids[2],
        ]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--images", "nobody"], "'nobody' are not in the study"),
            (["--format", "docx"], "it is one of html, md, json"),
            (["-o", "/no/such/folder/r.html"], "no such folder"),
        ],
    )
    def test_errors_are_one_line(self, study, tmp_path, monkeypatch, arguments, message):
        monkeypatch.chdir(tmp_path)
        code, out, err = run("report", study, *arguments)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert message in err
        assert os.listdir(tmp_path) == []


class TestStudiesThatSupportLittle:
    """None crashes, and each says what could not be said and why."""

    def page(self, path):
        text = render(store.open_study(path), path.name)
        for kind in ("md", "json"):
            render(store.open_study(path), path.name, format=kind)
        assert len(text.encode()) < 5e6
        return Page(text).text

    def test_one_seed(self, tmp_path):
        path = tmp_path / "s.zarr"
        relstats.simulate(
            path, models="2x2", seeds=1, images=6, size=8, rng=np.random.default_rng(1)
        )
        analyse(path)
        text = self.page(path)
        assert (
            "Each of the 4 model(s) has one network: agreement across seeds cannot be measured"
            in text
        )

    def test_one_image(self, tmp_path):
        path = tmp_path / "s.zarr"
        relstats.simulate(
            path, models="2x1", seeds=3, images=1, size=8, rng=np.random.default_rng(1)
        )
        analyse(path)
        text = self.page(path)
        assert "The study has one image: nothing can be said about images like it." in text
        assert "Holds for networks like these (6 networks, 1 image)" in text

    def test_no_transfer_and_no_people(self, tmp_path):
        text = self.page(labelled(tmp_path / "s.zarr", ["a", "b", "c", "d"]))
        assert "The study has no /transfer. Transfer over pretrain was not compared." in text
        assert "relstats transfer STUDY.toml s.zarr" in text
        assert "The study has no /human. Maps were not compared with people's judgments." in text

    def test_maps_that_are_all_zero(self, tmp_path):
        text = self.page(labelled(tmp_path / "s.zarr", ["a", "b"], maps=np.zeros((2, 2, 2, 6, 6))))
        assert "All 8 maps are zero everywhere" in text
        assert "4 map(s) are zero everywhere" in text
        assert "There is no generalization matrix" in text

    def test_maps_with_nan(self, tmp_path):
        maps = np.random.default_rng(1).standard_normal((2, 2, 2, 6, 6))
        maps[0, 0, 0] = np.nan
        assert "with NaN" in self.page(labelled(tmp_path / "s.zarr", ["a", "b"], maps=maps))

    def test_forty_networks(self, tmp_path):
        rng = np.random.default_rng(1)
        models = pd.DataFrame(
            {"model": list("abcd"), "pretrain": ["x", "x", "y", "y"], "task": ["g", "i", "g", "i"]}
        )
        maps = rng.standard_normal((4, 10, 3, 96, 96))  # noise: nothing compresses it
        study = relstats.study(
            relevance=relstats.relevance_dataset(maps, models=models, images=list("uvw"))
        )
        save.save_study(study, tmp_path / "s.zarr")
        for axis in ("pretrain", "task"):
            result = relstats.compare(study, axis=axis, measure="spearman", n_swaps=99, rng=rng)
            writing.save_result(tmp_path / "s.zarr", f"compare_{axis}_spearman", result)
        assert "40 networks (4 models), 3 images" in self.page(tmp_path / "s.zarr")

    def test_one_model(self, tmp_path):
        text = self.page(labelled(tmp_path / "s.zarr", ["a"]))
        assert "All networks have the same labels: there is no axis" in text

    def test_no_maps(self, tmp_path):
        scores = {"probability": np.random.default_rng(1).random((2, 3, 2, 3, 1, 5))}
        models = pd.DataFrame({"model": ["a", "b"], "pretrain": ["x", "y"]})
        group = relstats.transfer_dataset(
            scores, models=models, images=list("vwxyz"), fractions=[0.1]
        )
        save.save_study(relstats.study(transfer=group, name="scores"), tmp_path / "s.zarr")
        analyse(tmp_path / "s.zarr")
        text = self.page(tmp_path / "s.zarr")
        assert "The study has no /relevance. Shared pixels were not looked for." in text
        assert "There are no maps in this study, so none are shown." in text

    def test_no_results(self, tmp_path):
        text = self.page(labelled(tmp_path / "s.zarr", ["a", "b"], results=False))
        assert "The study has no results yet" in text
        assert "relstats stability s.zarr" in text

    def test_a_result_of_a_statistic_that_is_not_known(self, tmp_path):
        path = labelled(tmp_path / "s.zarr", ["a", "b"], results=False)
        mine = xr.Dataset(
            {
                "estimate": ("part", [0.25, np.nan]),
                "ci": (("part", "bound"), [[0.1, 0.4], [np.nan, np.nan]]),
                "p_value": ("part", [0.01, np.nan]),
            },
            {"part": np.array(["left", "right"], object)},
            {"statistic": "sides", "warnings": ["right has no pixels"]},
        )
        writing.save_result(path, "sides_of_faces", mine)
        text = self.page(path)
        assert "Sides of left: 0.250 (95 % interval 0.100 to 0.400; p = 0.010)." in text
        assert "Could not be said: Sides of right. The analysis says: right has no pixels." in text

    def test_results_of_another_version(self, tmp_path):
        path = labelled(tmp_path / "s.zarr", ["a", "b"], results=False)
        writing.save_result(
            path,
            "compare_old",
            xr.Dataset({"gap": ((), 0.5)}, attrs={"statistic": "compare", "measure": "spearman"}),
        )
        text = self.page(path)
        untold = "/results/compare_old could not be told: it has no 'effect'."
        assert text.count(untold) == 3  # in the verdict, its section and the warnings
        assert "Could not be drawn: this result has no 'cell_mean'" in text

    def test_a_result_is_filed_by_its_statistic_and_not_by_its_name(self, tmp_path):
        path = labelled(tmp_path / "s.zarr", list("abcdefgh"), results=False)
        study = store.open_study(path)
        result = relstats.shared(study, n_swaps=19, rng=np.random.default_rng(1))
        writing.save_result(path, "shared_by_humans", result)
        whole = json.loads(render(store.open_study(path), "s.zarr", format="json"))
        answered = {q["question"]: [a["result"] for a in q["answers"]] for q in whole["verdict"]}
        assert answered["Which pixels matter to nearly all networks?"] == ["shared_by_humans"]
        assert answered["Do maps match what people say, look at or do?"] == []

    def test_results_under_old_words_are_left_out_and_said(self, tmp_path):
        path = labelled(tmp_path / "s.zarr", ["a", "b"], results=False)
        old = xr.Dataset({"p_max_t": ((), 0.5)}, attrs={"statistic": "map", "axis": "pretrain"})
        writing.save_result(path, "map_pretrain", old)
        text = self.page(path)
        assert (
            "left out: /results/map_pretrain is of relstats 0.1.0: the statistic 'map' is now"
            " 'differences'. Make it again: relstats differences s.zarr --axis pretrain" in text
        )
        code, _, err = run("plot", path, "map_pretrain")
        assert code == 3
        assert "the statistic 'map' is now 'differences'" in err


def test_report_computes_nothing_again(study, text, monkeypatch, tmp_path):
    """A result that was changed by hand is told as it is."""
    copy = tmp_path / "study.zarr"
    shutil.copytree(study, copy)
    name = "stability"
    result = store.open_study(copy)[f"results/{name}"].to_dataset().load()
    result["estimate"][0] = 0.123
    writing.save_result(copy, name, result)
    changed = report(copy, tmp_path / "r.md").read_text()
    assert "agree across seeds at 0.123" in changed
    assert "agree across seeds at 0.123" not in text
