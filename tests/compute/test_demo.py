"""The demo in a reduced size, by the commands that it gives: what was planted is found again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import relstats
from relstats.compute import demo, faces, truth
from relstats.compute.study import read_study
from relstats.errors import UsageError

SMALL = demo.Sizes(networks=2, pictures=4, training=1000, training_epochs=8, pretraining=1000, participants=6)
TINY = demo.Sizes(networks=1, people=2, pictures=2, training=50, training_epochs=1, pretraining=50, pretraining_epochs=1,
                  participants=3)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a demo that was trained and analysed."""
    out = tmp_path_factory.mktemp("demo")
    threads = torch.get_num_threads()
    torch.set_num_threads(min(2, threads))
    demo.write_demo(out, sizes=SMALL, seed=1)
    torch.set_num_threads(threads)
    names = [option for region in faces.REGIONS for option in ("--names", region)]
    steps = ["compute", "transfer", "compare", "regions", "rsa"]
    for command in (["compute", "faces.toml", "faces.zarr"], ["regions", "add", "faces.zarr", "parts", *names],
                    ["judgments", "add", "faces.zarr", "judgments.csv", "--kind", "dissimilarity"],
                    ["run", "faces.toml", "faces.zarr", "--steps", *steps]):  # fmt: skip
        subprocess.run([sys.executable, "-m", "relstats.cli", *command], cwd=out, check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, xr.Dataset]:
    study = relstats.open_study(folder / "faces.zarr")
    return {str(name): node.to_dataset() for name, node in study["results"].children.items()}


def test_networks_are_good_at_both_tasks_on_new_pictures(folder: Path) -> None:
    right = relstats.open_study(folder / "faces.zarr")["relevance"]["correct"].mean("image")
    assert float(right.min()) > 0.7  # by chance: 0.5 and 0.1


def test_relevance_lies_where_each_task_was_planted(results: dict[str, xr.Dataset]) -> None:
    found = results["regions_task_density_positive"].sel(contrast="gender|identity")
    assert (found["estimate"].sel(region=["brows", "jaw"]) > 0).all()
    assert (found["estimate"].sel(region=["eyes", "nose", "mouth"]) < 0).all()
    parts = results["regions_task_density_positive"]["level_mean"]
    assert (parts.sel(region="rest") < 0.7).all()
    assert (parts.sel(level="gender", region="brows") > 2) & (parts.sel(level="identity", region="mouth") > 2)


def test_maps_of_face_networks_are_the_better_sources(results: dict[str, xr.Dataset]) -> None:
    found = next(r for name, r in results.items() if name.startswith("compare_pretrain_transfer"))
    found = found["estimate"].sel(contrast="faces|objects")
    assert found.sel(effect="source_effect") > 0.05
    assert found.sel(effect="asymmetry") > 0


def test_people_who_see_the_planted_features_agree_with_networks(results: dict[str, xr.Dataset]) -> None:
    assert (results["rsa_relevance_rho-a"]["estimate"] > 0).all()


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
    missed = [f.planted for f in truth.recovered(xr.DataTree.from_dict(turned)) if f.verdict == "missed"]
    assert len(missed) == 5 + 2 + 1


def test_the_same_seed_gives_the_same_files_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        demo.write_demo(tmp_path / name, sizes=TINY, seed=seed)
    files = [p.relative_to(tmp_path / "a") for p in sorted((tmp_path / "a").rglob("*")) if p.is_file()]
    assert len(files) == 4 + 4 + 4 - 1  # pictures, label images, checkpoints; three tables and texts
    for file in files:
        first, again, other = ((tmp_path / name / file).read_bytes() for name in "abc")
        assert first == again, file
        assert first != other or file.name == "images.csv", file
    assert [len(model.checkpoints) for model in read_study(tmp_path / "a" / "faces.toml").models] == [1] * 4


def test_a_demo_is_left_alone_and_one_with_other_options_refused(tmp_path: Path) -> None:
    file = demo.write_demo(tmp_path, sizes=TINY, seed=1)
    before = file.stat().st_mtime_ns
    assert demo.write_demo(tmp_path, sizes=TINY, seed=1) == file
    assert file.stat().st_mtime_ns == before
    with pytest.raises(UsageError, match="a demo with other options"):
        demo.write_demo(tmp_path, sizes=TINY, seed=2)


def test_progress_ends_where_it_said(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    demo.write_demo(tmp_path, sizes=TINY, seed=1, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(k, 8) for k in range(1, 9)]


def test_simulated_people_follow_the_planted_features() -> None:
    rng = np.random.default_rng(1)
    shown = faces.draw_faces(faces.draw_people(4, rng), np.repeat(np.arange(4), 6), np.arange(24) % 2, rng=rng)
    judged = demo.judgments(shown, 5, rng)
    first, second = np.triu_indices(24, 1)
    same = (shown.identity[first] == shown.identity[second]) & (shown.gender[first] == shown.gender[second])
    assert judged.shape == (5, 24 * 23 // 2)
    assert (judged >= 0).all()
    assert (judged[:, same].mean(axis=1) < judged[:, ~same].mean(axis=1)).all()
