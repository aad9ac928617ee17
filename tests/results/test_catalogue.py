"""The catalogue keeps what it says: each entry has a statistic, sentences, figures, a title, docs
and a benchmark.
"""

import inspect
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from plot_inputs import MAKERS, result, study

from relstats.results.catalogue import load
from relstats.results.entries import ANALYSES, QUESTIONS
from relstats.results.sentences import leads, sentences
from relstats.results.wording import fields

ROOT = Path(__file__).parents[2]
#: Scripts that measure how often an analysis is wrong where there is no effect.
BENCHMARKS = {
    "compare": "calibration.py",
    "stability": "calibration_regions.py",
    "shared": "calibration_shared.py",
    "regions": "calibration_regions.py",
    "differences": "calibration_map.py",
    "rsa": "calibration_rsa.py",
    "compare_human": "calibration_rsa.py",
    "human_maps": "calibration_humanmaps.py",
    "behaviour": "calibration_humanmaps.py",
}
#: Those that print a p and have none, and why.
NO_BENCHMARK = {
    "strategies": "labels of whole networks are permuted: exact by exchangeability",
    "sufficiency": "the jackknife of `compare`, over networks and images",
}
every = pytest.mark.parametrize("analysis", ANALYSES, ids=lambda analysis: analysis.statistic)


def test_names_are_distinct_and_each_has_a_small_result():
    statistics = [analysis.statistic for analysis in ANALYSES]
    assert len(set(statistics)) == len(statistics)
    assert set(statistics) <= set(MAKERS)


@every
def test_dotted_names_lead_to_functions_of_the_agreed_form(analysis):
    assert analysis.question in QUESTIONS
    assert load(analysis.run).__name__ == analysis.statistic
    forms = {
        analysis.figures: ["result", "images"],
        analysis.sentences: ["result", "name"],
        analysis.lead: ["result", "name"],
    }
    for name, parameters in forms.items():
        if name:
            assert list(inspect.signature(load(name)).parameters) == parameters
    if analysis.export:
        assert callable(load(analysis.export))


@every
def test_the_result_names_its_statistic(analysis):
    assert result(analysis.statistic).attrs["statistic"] == analysis.statistic


@every
def test_columns_are_in_the_result_or_explained_by_the_docstring(analysis):
    there = [column for column in analysis.columns if column in result(analysis.statistic)]
    assert 2 * len(there) >= len(analysis.columns)
    explained = inspect.getdoc(load(analysis.run)) or ""
    for column in set(analysis.columns) - set(there):
        if column.endswith(("these_networks", "untested")):  # where networks are fixed
            assert "untested" in explained, column
            assert "ci_these_networks" in explained, column
            continue
        stem = column.removesuffix("_ci").removesuffix("_p_value").removesuffix("_random")
        assert stem in explained, column


@every
def test_it_is_told_in_sentences_of_its_own(analysis):
    found = result(analysis.statistic)
    unknown = found.assign_attrs(statistic="of_tomorrow")
    told = sentences(found, analysis.statistic)
    assert told
    assert [sentence.text for sentence in told] != [s.text for s in sentences(unknown, "x")]
    assert "holds no estimate" not in told[0].text
    assert all(sentence.text.endswith(".") for sentence in leads(found, analysis.statistic))


@every
def test_its_title_is_filled(analysis):
    made = result(analysis.statistic)
    if analysis.statistic == "sufficiency":  # of scores that were made by hand
        made = made.assign_attrs(fraction=0.1)
    title = analysis.title.format_map(fields(made))
    assert "not recorded" not in title
    assert not re.search(r"[{}]|none|None|  ", title)


@every
def test_a_figure_is_drawn(analysis):
    if find_spec("matplotlib") is None:
        pytest.skip("figures need the extra `report`")
    drawings = load(analysis.figures)(result(analysis.statistic), study()["images"].to_dataset())
    assert drawings
    assert drawings[0].draw() is not None


@every
def test_the_docs_speak_of_it(analysis):
    words = rf"relstats\.{analysis.statistic}\b|relstats {analysis.command}\b"
    heading = rf"^#+ .*{analysis.statistic.replace('_', '[ -]')}"
    pages = [page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md")]
    assert any(re.search(f"{words}|{heading}", text, re.I | re.M) for text in pages)


@every
def test_its_error_rate_is_measured_where_it_prints_a_p(analysis):
    printed = any(re.match(r"(min_)?p_", column) for column in analysis.columns)
    named = analysis.statistic in BENCHMARKS or analysis.statistic in NO_BENCHMARK
    assert named == printed
    if analysis.statistic in BENCHMARKS:
        assert (ROOT / "benchmarks" / BENCHMARKS[analysis.statistic]).is_file()


@every
def test_its_help_has_an_example(analysis):
    from relstats.commands.analyse import command

    text = command(analysis).help
    assert analysis.examples
    assert all(line.startswith(f"{analysis.command} ") for line in analysis.examples)
    assert all(f"relstats {line}" in text for line in analysis.examples)


@every
def test_relstats_run_plans_it_where_its_data_are_there(analysis):
    from relstats.commands.pipeline import Facts, plan

    groups = {group for setting in analysis.planned for group in setting.reads}
    groups |= {"transfer"} if analysis.needs else set()  # the step before writes what it reads
    levels = {"pretrain": ("imagenet", "vggface2")}
    steps = plan(Facts(levels, (3, 3), frozenset(groups | {"relevance"})))
    own = [step for step in steps if str(step).split()[0] == analysis.command]
    assert len(own) == len(analysis.planned)
    assert not any(step.why_not for step in own)
