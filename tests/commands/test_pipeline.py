"""What a run would do, and when it would do it again."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import relstats
from relstats.commands import pipeline
from relstats.commands.pipeline import Facts, Step
from relstats.errors import UsageError
from relstats.results.entries import ANALYSES
from relstats.study import store, writing

ALL = frozenset({"images", "relevance", "transfer", "regions", "human", "human_maps", "behaviour"})


def facts(
    levels: dict[str, tuple[str, ...]], networks: tuple[int, ...], groups: frozenset[str] = ALL
) -> Facts:
    return Facts(levels, networks, groups)


def possible(of: Facts) -> list[str]:
    return [str(step) for step in pipeline.plan(of) if not step.why_not]


def reasons(of: Facts) -> dict[str, str]:
    return {str(step): step.why_not for step in pipeline.plan(of) if step.why_not}


TWO = {"pretrain": ("a", "b", "a", "b"), "task": ("g", "g", "i", "i")}


def test_a_full_study_supports_everything_over_each_axis() -> None:
    whole = facts(TWO, (3, 3, 3, 3))
    assert not reasons(whole)
    for axis in ("pretrain", "task"):
        for step in (
            f"compare --axis {axis} --measure spearman",
            f"compare --axis {axis} --score probability",
            f"differences --axis {axis}",
            f"regions --axis {axis}",
            f"compare-human --axis {axis}",
            f"strategies --axis {axis}",
            f"human-maps --axis {axis}",
            f"behaviour --axis {axis}",
        ):
            assert step in possible(whole)
    once = {"similarity", "shared", "sufficiency", "stability", "rdm", "rsa"}
    assert once <= set(possible(whole))


def test_every_analysis_of_the_catalogue_is_planned_where_its_data_are_there() -> None:
    steps = pipeline.plan(facts(TWO, (3, 3, 3, 3)))
    planned = [step.analysis for step in steps if step.analysis is not None]
    assert all(analysis in planned for analysis in ANALYSES)


def test_an_axis_without_two_levels_is_not_compared() -> None:
    one = facts({"pretrain": ("a", "b"), "task": ("g", "g")}, (3, 3))
    assert not [step for step in possible(one) if "task" in step]
    assert "regions --axis pretrain" in possible(one)


@pytest.mark.parametrize(
    ("lacking", "steps"),
    [
        (
            "transfer",
            {
                "compare --axis pretrain --score probability",
                "compare --axis task --score probability",
                "transfer --masks shared",
                "sufficiency",
            },
        ),
        ("regions", {"regions --axis pretrain", "regions --axis task"}),
        (
            "human",
            {
                "rsa",
                "compare-human --axis pretrain",
                "compare-human --axis task",
            },
        ),
        ("human_maps", {"human-maps --axis pretrain", "human-maps --axis task"}),
        ("behaviour", {"behaviour --axis pretrain", "behaviour --axis task"}),
    ],
)
def test_what_a_missing_group_forbids_says_so(lacking: str, steps: set[str]) -> None:
    why = reasons(facts(TWO, (3, 3, 3, 3), ALL - {lacking}))
    assert set(why) == steps
    assert all(f"/{lacking}" in reason for reason in why.values())


def test_one_network_a_model_allows_no_stability_and_one_model_no_comparison() -> None:
    alone = facts({"pretrain": ("a",)}, (1,))
    over_levels = {"compare", "strategies", "differences", "compare-human"}
    assert set(reasons(alone)) == {"stability", *over_levels}
    assert all("no axis of these models has two" in reasons(alone)[step] for step in over_levels)
    assert "regions" in possible(alone)


def test_shared_sets_are_found_before_they_are_scored_and_scored_before_they_are_tested() -> None:
    steps = [str(step) for step in pipeline.plan(facts(TWO, (3, 3, 3, 3)))]
    assert (
        steps.index("shared") < steps.index("transfer --masks shared") < steps.index("sufficiency")
    )


def test_transfer_needs_its_table_in_the_study_file() -> None:
    assert [s.why_not for s in pipeline.computing(facts(TWO, (1,)))] == ["", ""]
    assert "[transfer]" in pipeline.computing(facts(TWO, (1,), ALL - {"transfer"}))[1].why_not


def test_steps_are_chosen_by_name_and_unknown_ones_refused() -> None:
    steps = pipeline.plan(facts(TWO, (3, 3, 3, 3)))
    assert {s.name for s in pipeline.chosen(steps, ["differences"], ["differences"])} == {
        "differences"
    }
    assert pipeline.chosen(steps, [], []) == steps
    assert [str(s) for s in pipeline.chosen(steps, ["sufficiency"], ["sufficiency"])] == [
        "transfer --masks shared",
        "sufficiency",
    ]
    with pytest.raises(UsageError, match=r"'maps' is no step; the steps are differences"):
        pipeline.chosen(steps, ["maps"], ["differences"])


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study.zarr"
    relstats.simulate(
        path, models="2x1", seeds=[2, 3], images=6, size=8, rng=np.random.default_rng(1)
    )
    return path


SPEARMAN = Step("compare", {"axis": "pretrain", "measure": "spearman"}, ("relevance",))


def save(path: Path, name: str) -> None:
    writing.save_result(path, name, xr.Dataset({"estimate": ((), 1.0)}))


def test_facts_of_a_study(study: Path) -> None:
    found = pipeline.facts_of_study(store.open_study(study), more=["human"])
    assert found.axes == ("pretrain",)
    assert found.networks == (2, 3)
    assert {"relevance", "transfer", "human"} <= found.groups


def test_what_was_stamped_is_done_until_its_inputs_change(study: Path) -> None:
    assert not pipeline.is_done(study, SPEARMAN)
    save(study, "mine")
    save(study, "of_run")
    pipeline.stamp(study, SPEARMAN, "of_run")
    assert pipeline.is_done(study, SPEARMAN)
    results = store.open_study(study)["results"]
    assert pipeline.STAMP in results["of_run"].attrs
    assert pipeline.STAMP not in results["mine"].attrs
    other = Step("compare", {**SPEARMAN.options, "confidence": "0.9"}, SPEARMAN.reads)
    assert not pipeline.is_done(study, other)
    relstats.simulate(
        study,
        models="2x1",
        seeds=[2, 3],
        images=6,
        size=8,
        force=True,
        rng=np.random.default_rng(2),
    )
    save(study, "of_run")
    assert not pipeline.is_done(study, SPEARMAN)


def test_a_step_depends_on_maps_and_labels_that_it_reads_and_on_nothing_else(study: Path) -> None:
    of_maps, of_scores = SPEARMAN, Step("compare", SPEARMAN.options, ("transfer",))
    before = pipeline.digest(study, of_maps), pipeline.digest(study, of_scores)
    save(study, "a_result")
    assert (pipeline.digest(study, of_maps), pipeline.digest(study, of_scores)) == before
    shard = next(
        file
        for file in (study / "manifest" / "relevance").rglob("*")
        if "c" in file.parts and file.is_file()
    )
    for file, is_of_maps in (
        (shard, True),
        (study / "relevance" / "pretrain" / "c" / "0", True),
        (study / "transfer" / "fraction" / "c" / "0", False),
    ):
        kept = file.read_bytes()
        file.write_bytes(kept + b"x")
        assert (pipeline.digest(study, of_maps) != before[0]) == is_of_maps, file
        assert (pipeline.digest(study, of_scores) != before[1]) != is_of_maps, file
        file.write_bytes(kept)
    assert pipeline.digest(study, of_maps) == before[0]


def test_a_group_made_from_other_inputs_is_outdated(study: Path) -> None:
    step = Step("transfer", {}, ("relevance",), writes="transfer")
    assert not pipeline.is_outdated(study, step)  # nothing says what it was made from
    pipeline.stamp(study, step)
    assert pipeline.is_done(study, step)
    assert not pipeline.is_outdated(study, step)
    changed = Step("transfer", {"device": "cpu"}, step.reads, writes="transfer")
    assert pipeline.is_outdated(study, changed)
    assert not pipeline.is_done(study, changed)


def test_a_report_is_up_to_date_until_a_result_is_newer(study: Path, tmp_path: Path) -> None:
    page = tmp_path / "study.html"
    assert not pipeline.is_newer(page, study)
    page.write_text("")
    os.utime(page, (2e9, 2e9))
    assert pipeline.is_newer(page, study)
    save(study, "late")
    os.utime(study / "results" / "late" / "zarr.json", (2.1e9, 2.1e9))
    assert not pipeline.is_newer(page, study)


def test_completeness_is_that_of_the_shards(study: Path, tmp_path: Path) -> None:
    assert pipeline.is_complete(study, "compute")
    assert pipeline.is_complete(study, "transfer")
    assert not pipeline.is_complete(tmp_path / "none.zarr", "compute")
