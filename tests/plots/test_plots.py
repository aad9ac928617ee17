"""Figures, as such: the same bytes each time, labels as they stand, no global state, and all that a
result supports.
"""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from command_line import run
from plot_inputs import MAKERS, compared, result, simulated, study

import relstats
from relstats import plots
from relstats.errors import UsageError
from relstats.plots import words

matplotlib = pytest.importorskip("matplotlib")

EVIL = "<b>x</b> $\\alpha_1$ \x1b[31m\u202ered\u202c " + "long" * 20
SHOWN = "<b>x</b> $\\alpha_1$ \\x1b[31m\\u202ered\\u202c "


def texts(figure):
    from matplotlib.text import Text

    return [t.get_text() for t in figure.findobj(Text)]


def relabelled(tree, ending):
    """The study with an ending to the names of models and levels."""
    groups = {}
    for name, node in tree.subtree_with_keys:
        dataset = node.to_dataset()
        for coord in [str(c) for c in dataset.coords if str(c).endswith(("model", "pretrain"))]:
            labels = np.array([f"{v}{ending}" for v in dataset[coord].values], dtype=object)
            dataset = dataset.assign_coords({coord: (dataset[coord].dims, labels)})
        groups[name] = dataset
    return xr.DataTree.from_dict(groups)


@pytest.mark.parametrize("name", MAKERS)
def test_every_figure_is_drawn_to_the_same_bytes(name) -> None:
    found = plots.figures(result(name), study()["images"].to_dataset())
    assert found
    assert len({drawing.name for drawing in found}) == len(found)
    for k, drawing in enumerate(found):
        assert re.fullmatch(r"[a-z0-9_]+", drawing.name)
        svg = plots.to_svg(drawing.draw())
        assert svg.startswith(b"<?xml")
        assert k > 1 or svg == plots.to_svg(drawing.draw())
        assert drawing.alt.endswith(".")
        assert "nan" not in drawing.alt.lower()


@pytest.mark.parametrize("write", [plots.to_svg, plots.to_png, plots.to_pdf])
def test_bytes_do_not_depend_on_what_was_drawn_before(write) -> None:
    drawing = plots.figures(result("compare"))[0]
    figure = drawing.draw()
    first = write(figure)
    plots.to_png(figure, 60)
    assert write(figure) == first
    assert not re.search(rb"20\d\d-\d\d-\d\d", first)


def test_bytes_do_not_depend_on_settings_of_the_session() -> None:
    drawing = plots.figures(result("power"))[0]
    before = plots.to_svg(drawing.draw())
    with matplotlib.rc_context(
        {"font.size": 20, "axes.facecolor": "black", "text.parse_math": True}
    ):
        assert plots.to_svg(drawing.draw()) == before
        assert matplotlib.rcParams["font.size"] == 20


def test_figures_neither_import_pyplot_nor_leave_settings_behind() -> None:
    code = """
import sys, json, matplotlib, relstats
def settings():  # "backend" would start one
    return [matplotlib.rcParams[k] for k in sorted(matplotlib.rcParams) if k != "backend"]
before = settings()
from relstats import plots
table = relstats.power_table([3, 5], [50, 100], effect=0.1)
plots.to_png(plots.figures(table)[0].draw())
print(json.dumps(["matplotlib.pyplot" in sys.modules, before == settings()]))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(out.stdout) == [False, True]


def test_listing_figures_needs_no_matplotlib_and_drawing_says_what_to_install() -> None:
    code = """
import sys, importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "matplotlib" else real(name, *rest)
import relstats
from relstats import plots
drawing = plots.figures(relstats.power_table([3], [50]))[0]
assert "matplotlib" not in sys.modules
try:
    drawing.draw()
except relstats.errors.UsageError as error:
    print(error)
"""
    out = subprocess.run(
        [
            sys.executable,
            "-c",
            code.replace("import relstats\n", "import relstats, relstats.errors\n", 1),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (
        out.stdout.strip()
        == "matplotlib is not installed, which figures need: pip install 'relstats[report]'"
    )


def test_labels_are_shown_as_they_stand_and_never_act() -> None:
    hostile = relabelled(simulated(), EVIL)
    for drawing in plots.figures(compared(study=hostile)) + plots.study_figures(hostile):
        figure = drawing.draw()
        shown = "".join(texts(figure))
        assert not {"\x1b", "\u202e", "\u202c"} & set(shown + drawing.alt)
        assert all(
            not t.get_parse_math() for t in figure.findobj(matplotlib.text.Text) if t.get_text()
        )
        svg = plots.to_svg(figure).decode()
        assert "<b>" not in svg
        assert "\x1b" not in svg
    assert f"imagenet{SHOWN}" in plots.figures(compared(study=hostile))[0].alt


def test_long_labels_lose_their_middle_in_figures_alone() -> None:
    hostile = relabelled(simulated(), "long" * 20)
    matrix = plots.figures(compared(study=hostile))[0]
    cut = [t for t in texts(matrix.draw()) if "…" in t]
    assert set(cut) == {"imagenetlo…glonglong", "vggface2lo…glonglong"}
    assert "imagenet" + "long" * 20 in matrix.alt


@pytest.mark.parametrize("options", [{"seeds": 1}, {"images": 1}, {"seeds": 2}])
def test_small_designs_say_what_is_not_known(options) -> None:
    found = compared(study=simulated(**options))
    unknown = int(found["estimate"].isnull().sum())
    for drawing in plots.figures(found):
        drawing.draw()
    effects = next(d for d in plots.figures(found) if d.name == "effects")
    assert texts(effects.draw()).count("no value") == unknown
    assert effects.alt.count("no value") == unknown


def test_intervals_that_are_missing_are_said_to_be() -> None:
    found = compared().copy()
    found["ci"] = found["ci"] * np.nan
    effects = next(d for d in plots.figures(found) if d.name == "effects")
    figure = effects.draw()
    assert sum("no interval" in t for t in texts(figure)) == found.sizes["effect"]
    assert effects.alt.count("no interval") == found.sizes["effect"]
    markers = figure.findobj(lambda artist: artist.get_gid() == "estimate")
    assert {m.get_markerfacecolor() for m in markers} == {"white"}
    assert not figure.findobj(lambda artist: artist.get_gid() == "interval")


def test_maps_without_relevance_are_drawn_as_such() -> None:
    empty = simulated()
    maps = empty["relevance"].to_dataset()
    empty["relevance"] = xr.DataTree(maps.assign(relevance=maps["relevance"] * 0))
    overlay = plots.study_figures(empty)[0]
    assert texts(overlay.draw()).count("all zero") == 6


def test_a_result_that_is_unknown_has_no_figures() -> None:
    assert plots.figures(xr.Dataset(attrs={"statistic": "of tomorrow"})) == []


def test_the_command_writes_a_file_and_a_text_for_each_figure(tmp_path) -> None:
    path, out = tmp_path / "study.zarr", tmp_path / "out"
    relstats.save_study(simulated(seeds=2), path)
    relstats.save_result(path, "mine", result("agreement"))
    assert run("plot", path)[1].split() == ["data", "mine"]
    code, stdout, _ = run("plot", path, "mine", "-o", out)
    assert (code, len(stdout.split())) == (0, len(plots.figures(result("agreement"))))
    assert (out / "mine_matrix.svg").read_bytes().startswith(b"<?xml")
    assert (
        (out / "mine_matrix.txt").read_text().startswith("Matrix of agreement of maps (spearman)")
    )
    assert run("plot", path, "mine", "-o", out)[0] == 2
    assert run("plot", path, "mine", "-o", out, "--force")[0] == 0
    code, stdout, _ = run("plot", path, "data", "-o", out, "--format", "png", "--dpi", 50)
    assert all((tmp_path / line).read_bytes().startswith(b"\x89PNG") for line in stdout.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nix"], "no result 'nix' in"),
        (["data", "--format", "gif"], "--format is 'gif'; it is one of svg, png, pdf"),
    ],
)
def test_the_command_refuses_what_it_does_not_know(tmp_path, arguments, message) -> None:
    path = tmp_path / "study.zarr"
    relstats.save_study(simulated(), path)
    code, _, err = run("plot", path, *arguments)
    assert code == 2
    assert message in err


def test_an_unknown_image_is_refused() -> None:
    from relstats.plots import maps

    with pytest.raises(UsageError, match="no image 'nobody'; there are 12"):
        maps.overlays(study()["relevance"].to_dataset(), None, ["nobody"])


def test_long_lists_are_cut_in_words() -> None:
    told = words.sentence("Cells", [f"c{k}" for k in range(100)])
    assert told.count(";") == words.LONGEST
    assert told.endswith("; and 40 more, in the tables.")
