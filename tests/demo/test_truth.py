"""The demo in a reduced size, by the commands that it gives: what was planted is found again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import xarray as xr
from command_line import run_all

import relstats
from relstats.demo import faces, train, truth, writing

SMALL = train.Sizes(networks=2, participants=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a demo that was trained and analysed."""
    out = tmp_path_factory.mktemp("demo")
    threads = torch.get_num_threads()
    torch.set_num_threads(min(2, threads))
    writing.write_demo(out, sizes=SMALL, seed=1)
    torch.set_num_threads(threads)
    commands = (
        ["compute", "faces.toml", "faces.zarr"],
        ["add", "regions", "faces.zarr", "parts", "--names", ",".join(faces.REGIONS)],
        ["add", "judgments", "faces.zarr", "judgments.csv", "--kind", "dissimilarity"],
        ["transfer", "faces.toml", "faces.zarr"],
        [
            "compare",
            "faces.zarr",
            "--axis",
            "pretrain",
            "--score",
            "probability",
            "--normalise",
            "chance",
        ],
        ["run", "faces.toml", "faces.zarr", "--steps", "regions,rsa"],
    )
    run_all(out, commands)
    return out


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, xr.Dataset]:
    study = relstats.open_study(folder / "faces.zarr")
    return {str(name): node.to_dataset() for name, node in study["results"].children.items()}


def test_networks_are_good_at_both_tasks_on_new_pictures(folder: Path) -> None:
    right = relstats.open_study(folder / "faces.zarr")["relevance"]["correct"].mean("image")
    assert float(right.min()) > 0.7  # by chance: 0.5 and 0.1


def test_relevance_lies_where_each_task_was_planted(results: dict[str, xr.Dataset]) -> None:
    found = results["regions_task"].sel(contrast="gender|identity")
    assert (found["estimate"].sel(region=["brows", "jaw"]) > 0).all()
    assert (found["estimate"].sel(region=["eyes", "nose", "mouth"]) < 0).all()
    parts = results["regions_task"]["level_mean"]
    assert (parts.sel(region="rest") < 0.7).all()
    assert (parts.sel(level="gender", region="brows") > 2) & (
        parts.sel(level="identity", region="mouth") > 2
    )


def test_the_asymmetry_is_one_of_targets_that_learnt_from_hidden_faces(
    results: dict[str, xr.Dataset],
) -> None:
    found = next(r for r in results.values() if r.attrs.get("normalise") == "chance")
    found = found["estimate"].sel(contrast="faces|objects")
    assert found.sel(effect="target_effect") > 0.05
    assert found.sel(effect="asymmetry") < 0


def test_people_who_see_the_planted_features_agree_with_networks(
    results: dict[str, xr.Dataset],
) -> None:
    assert (results["rsa"]["estimate"] > 0).all()


def test_what_is_said_at_the_end(folder: Path) -> None:
    found = truth.recovered(relstats.open_study(folder / "faces.zarr"))
    assert len(found) == 1 + 5 + 1 + 2 + 1
    assert not [finding for finding in found if finding.verdict == "missed"]


def test_a_wrong_result_is_said_to_be_missed(folder: Path) -> None:
    study = relstats.open_study(folder / "faces.zarr")
    turned = {name: node.to_dataset() for name, node in study.subtree_with_keys}
    for name, result in turned.items():
        if name.startswith("results/") and "estimate" in result:
            turned[name] = result.assign(estimate=-result["estimate"], ci=-result["ci"])
    missed = [
        f.planted for f in truth.recovered(xr.DataTree.from_dict(turned)) if f.verdict == "missed"
    ]
    assert len(missed) == 5 + 2 + 1
