"""The faces example, reduced: fewer networks, crops, epochs and images, but every step of it."""

from __future__ import annotations

import csv
import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import run_all

import relstats

FOLDER = Path(__file__).parents[2] / "examples" / "faces"
pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study of 8 networks, 2 seeds each, on 16 faces.

    Made by the commands that the example's README gives.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        finetune = importlib.import_module("finetune")
        patch.setattr(finetune, "CROPS", 2)
        patch.setattr(finetune, "EPOCHS", {"gender": 2, "identity": 8})
        out = tmp_path_factory.mktemp("faces")
        patch.setattr(
            sys, "argv", ["finetune.py", os.environ["RELSTATS_DATA"], str(out), "--seeds", "2"]
        )
        finetune.main()
    keep_images(out / "images.csv", 16)
    keep_settings(out / "faces.toml")
    commands = (
        ["compute", "faces.toml", "faces.zarr"],
        ["transfer", "faces.toml", "faces.zarr"],
        ["compare", "faces.zarr", "--axis", "pretrain", "--measure", "spearman"],
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
        [
            "shared",
            "faces.zarr",
            "--across",
            "pretrain,task",
            "--fraction",
            "0.4",
            "--name",
            "shared_pretrain_task",
            "--n-swaps",
            "99",
        ],
        ["transfer", "faces.toml", "faces.zarr", "--masks", "shared_pretrain_task"],
        ["sufficiency", "faces.zarr"],
        ["add", "regions", "faces.zarr", str(landmarks(out)), "--landmark-size", "160"],
        ["regions", "faces.zarr", "--axis", "pretrain"],
    )
    run_all(out, commands)
    return out / "faces.zarr"


def keep_images(path: Path, n: int) -> None:
    """Shorten the table of images to every few of them."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    kept = rows[1 :: len(rows) // n][:n]
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([rows[0], *kept])


def keep_settings(path: Path) -> None:
    """Two of five fractions, and one control of three."""
    text = path.read_text(encoding="utf-8")
    for old, new in (
        ("fractions = [0.02, 0.05, 0.1, 0.2, 0.4]", "fractions = [0.1, 0.4]"),
        ("n_control = 3", "n_control = 1"),
    ):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def landmarks(out: Path) -> Path:
    """The landmarks of the images that are kept, by their ids."""
    with open(out / "images.csv", newline="", encoding="utf-8") as file:
        ids = {row["image"] for row in csv.DictReader(file)}
    with open(
        Path(os.environ["RELSTATS_DATA"]) / "london_faces/landmarks68.csv",
        newline="",
        encoding="utf-8",
    ) as file:
        head, *rows = csv.reader(file)
    named = [[Path(row[0]).stem, *row[1:]] for row in rows if row[0].startswith("smiling/")]
    with open(out / "landmarks.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *(row for row in named if row[0] in ids)])
    return out / "landmarks.csv"


def test_networks_learn_and_are_measured_on_held_out_faces(study: Path) -> None:
    opened = relstats.open_study(study)
    right = opened["relevance"]["correct"].mean(("seed", "image"))
    assert (right.sel(model=["imagenet_gender", "vggface2_gender"]) > 0.75).all()
    assert right.sel(model="vggface2_identity") > 0.6  # by chance: 0.01
    unmasked = opened["transfer"]["unmasked_correct"].rename(
        target_model="model", target_seed="seed"
    )
    np.testing.assert_array_equal(
        unmasked.transpose(*opened["relevance"]["correct"].dims), opened["relevance"]["correct"]
    )


def test_maps_agree_across_seeds_more_than_across_pretraining(study: Path) -> None:
    result = relstats.open_study(study)["results"]["compare_pretrain_spearman"].to_dataset()
    cells = result["cell_mean"].sel(target_level="vggface2")
    assert (
        0.3
        < cells.sel(source_level="imagenet").item()
        < cells.sel(source_level="vggface2").item() - 0.1
    )
    assert result["estimate"].sel(effect="specificity").item() > 0


def test_removing_relevant_pixels_costs_more_than_those_of_another_image(study: Path) -> None:
    transfer = relstats.open_study(study)["transfer"].to_dataset()
    at = {"source_model": "vggface2_gender", "target_model": "vggface2_gender", "fraction": 0.4}
    own = transfer["probability"].sel(at).mean().item()
    assert (
        own
        < transfer["unmasked_probability"].sel(target_model="vggface2_gender").mean().item() - 0.1
    )
    result = relstats.open_study(study)["results"][
        "compare_pretrain_probability_chance"
    ].to_dataset()
    assert result.attrs["transfer_operation"] == "remove"
    assert result["cell_mean"].sel(source_level="vggface2", target_level="vggface2").item() > 0.05


def test_the_tables_of_the_readme_are_printed(study: Path) -> None:
    printed = subprocess.run(
        [sys.executable, FOLDER / "results.py", study], capture_output=True, text=True, check=True
    )
    lines = printed.stdout.splitlines()
    assert any(line.startswith("| specificity | ") for line in lines)
    assert sum(line.startswith("**") for line in lines) == 5
    assert any(line.startswith("| eyes | ") for line in lines)


def test_shared_pixels_are_missed_more_than_random_ones(study: Path) -> None:
    result = (
        relstats.open_study(study)["results"]["sufficiency_shared_pretrain_task"]
        .to_dataset()
        .isel(level=0)
    )
    assert result["estimate"].sel(question="necessity", against="random").item() > 0
    assert (
        result["score_mean"].sel(operation="keep", choice="shared").item()
        < result["whole_mean"].item()
    )


def test_eyes_carry_more_than_their_share(study: Path) -> None:
    result = relstats.open_study(study)["results"]["regions_pretrain"].to_dataset()
    assert (result["level_mean"].sel(region="eyes") > 1.5).all()
    assert (result["level_mean"].sel(region="rest") < 1).all()
