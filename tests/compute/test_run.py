"""`relstats run`: all the way, what is skipped, what is done again, and what is said to be
impossible.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import zarr
from command_line import run_in

import relstats
from relstats.commands.run import STEPS
from relstats.study import shards

NO_REPORT = ("--steps", ",".join(step for step in STEPS if step != "report"))


def run(file: Path, *options: str, code: int = 0) -> tuple[str, str]:
    got, out, err = run_in(file.parent, "run", file.name, "out.zarr", *options)
    assert got == code, err
    return out, err


def outcomes(stderr: str) -> dict[str, str]:
    """Of each step, what became of it."""
    lines = [line[1:].split("] ", 1) for line in stderr.splitlines() if line.startswith("[")]
    return {step.split(": ")[0]: what for what, step in lines}


@pytest.fixture(scope="module")
def finished(make_study, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    file = make_study(tmp_path_factory.mktemp("finished"), images=9)
    return file, run(file, *NO_REPORT)[1]


@pytest.fixture
def study(finished: tuple[Path, str], tmp_path: Path) -> Path:
    """Return the study file of a copy of the finished study."""
    shutil.copytree(finished[0].parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / finished[0].name


def created(file: Path) -> dict[str, str]:
    opened = relstats.open_study(file.parent / "out.zarr")
    return {
        str(name): node.attrs["created"] + node.attrs["command"]
        for name, node in opened["results"].children.items()
    }


def test_every_possible_analysis_is_done_and_every_other_is_listed(
    finished: tuple[Path, str],
) -> None:
    found = outcomes(finished[1])
    assert found["compute"] == found["transfer"] == found["shared"] == found["stability"] == "done"
    assert found["compare --axis task --measure spearman"] == found["sufficiency"] == "done"
    assert found["regions --axis task"] == found["rsa"] == "not possible"
    assert "Add it with relstats add judgments" in finished[1]
    # The command itself says so: identity has one network.
    assert found["differences --axis task"] == "not possible"
    assert "a level of one network" in finished[1]
    results = relstats.open_study(finished[0].parent / "out.zarr")["results"].children
    assert {"compare_task_spearman", "shared", "sufficiency_shared", "stability"} <= set(results)
    assert (
        results["compare_task_spearman"].attrs["command"]
        == "compare out.zarr --axis task --measure spearman --seed 0"
    )


def test_a_second_run_does_nothing(study: Path) -> None:
    before = created(study)
    _, err = run(study, *NO_REPORT)
    assert set(outcomes(err).values()) == {"up to date", "not possible"}
    assert created(study) == before


def test_what_was_made_by_hand_with_other_settings_stays_and_is_said(study: Path) -> None:
    out = study.parent / "out.zarr"
    sets = zarr.open_group(str(out))["sufficiency"]
    sets.attrs.update({"relstats_plan": "by hand"})
    del sets.attrs["run_inputs"]
    _, err = run(study, "--steps", "sufficiency,stability")
    found = outcomes(err)
    assert found["transfer --masks shared"] == "not possible"
    assert "was made with other settings (by hand; now" in err
    assert found["stability"] == "up to date"


def test_dry_run_writes_nothing(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    before = created(study)
    del zarr.open_group(str(out))["results/shared"]
    _, err = run(study, "--dry-run", *NO_REPORT)
    found = outcomes(err)
    assert found["shared"] == "to do"
    assert found["compute"] == found["sufficiency"] == "up to date"
    before.pop("shared")
    assert created(study) == before
    shutil.rmtree(out)
    assert set(outcomes(run(study, "--dry-run", *NO_REPORT)[1]).values()) == {
        "to do",
        "not possible",
    }
    assert not out.exists()


def test_only_what_is_missing_is_done_and_interrupted_maps_are_resumed(
    study: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.zarr"
    before = created(study)
    del zarr.open_group(str(out))["results/stability"]
    manifest = zarr.open_group(str(out), mode="r+", use_consolidated=False)["manifest/relevance"]
    digests = np.asarray(manifest[:])
    manifest[0, 0] = np.zeros_like(
        digests[0, 0]
    )  # as if the last shard had not been written when the power went
    assert shards.unfinished(out, "relevance")
    _, err = run(study, *NO_REPORT)
    found = outcomes(err)
    assert found["stability"] == "done"
    assert found["shared"] == found["compare --axis task --measure spearman"] == "up to date"
    np.testing.assert_array_equal(np.asarray(manifest[:]), digests)
    after = created(study)
    assert {name: made for name, made in after.items() if name != "stability"} == {
        k: v for k, v in before.items() if k != "stability"
    }


def test_judgments_that_come_later_are_analysed_later(study: Path, tmp_path: Path) -> None:
    names = relstats.open_study(tmp_path / "out.zarr")["relevance"]["image"].values.tolist()
    rng = np.random.default_rng(1)
    rows = [
        f"p{p},{a},{b},{rng.random():.3f}"
        for p in range(4)
        for k, a in enumerate(names)
        for b in names[k + 1 :]
    ]
    (tmp_path / "judgments.csv").write_text(
        "participant,image_i,image_j,dissimilarity\n" + "\n".join(rows)
    )
    added = ["add", "judgments", "out.zarr", "judgments.csv", "--kind", "dissimilarity"]
    assert run_in(tmp_path, *added)[0] == 0
    found = outcomes(run(study, "--steps", "rsa,shared")[1])
    assert found == {"rsa": "done", "shared": "up to date"}


@pytest.mark.parametrize(
    ("options", "said"), [(["--steps", "maps"], "'maps' is no step"), (["--report"], "--report")]
)
def test_wrong_options_are_refused_before_anything_is_done(
    study: Path, options: Sequence[str], said: str
) -> None:
    assert said in run(study, *options, code=2)[1]


def test_other_settings_are_refused_by_name(study: Path) -> None:
    study.write_text(study.read_text().replace("epsilon_plus_flat", "epsilon_plus"))
    _, err = run(study, code=2)
    assert "begun with other settings" in err
    assert "composite" in err
