"""A small study for the tests of the compute layer: a dozen images, two models of a few thousand
weights, two seeds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from processes import Command
from safetensors.torch import save_file

NETWORK = '''
import torch
from torch import nn


def small(classes=2, width=4):
    """Convolutions, BatchNorm, pooling and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(2 * width, classes),
    )
'''
STUDY = """
name = "small"
batch = {batch}

[images]
table = "images.csv"
size = [16, 16]

[models.gender]
factory = "small_networks:small"
axes = {{ task = "gender" }}
label = "gender"
classes = ["f", "m"]
preprocessing = {{ mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }}
checkpoints = {{ "0" = "gender-0.safetensors", "1" = "gender-1.safetensors" }}

[models.identity]
factory = "small_networks:small"
arguments = {{ classes = 3 }}
axes = {{ task = "identity" }}
label = "identity"
classes = ["a", "b", "NA"]
preprocessing = {{ mean = [0.5], std = [0.25] }}
checkpoints = {{ "0" = "identity-0.safetensors" }}

[relevance]
composite = "epsilon_plus_flat"
explained_class = "{explained}"

[transfer]
fractions = [0.2, 0.5]
"""


def write_images(folder: Path, n: int, size: int = 16) -> None:
    """Images that are noise, and their table: ids 000, 001, ...

    Are text, and so is the identity NA.
    """
    (folder / "photos").mkdir(exist_ok=True)
    rng = np.random.default_rng(3)
    rows = ["image,path,gender,identity"]
    for k in range(n):
        Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8)).save(
            folder / f"photos/{k}.png"
        )
        rows.append(f"{k:03d},photos/{k}.png,{'fm'[k % 2]},{('a', 'b', 'NA')[k % 3]}")
    (folder / "images.csv").write_text("\n".join(rows) + "\n")


def write_networks(folder: Path, offset: float) -> None:
    """The module of the networks, and a checkpoint of each, whose logits have an offset."""
    (folder / "small_networks.py").write_text(NETWORK)
    scope: dict = {}
    exec(NETWORK, scope)
    for k, (name, classes) in enumerate({"gender-0": 2, "gender-1": 2, "identity-0": 3}.items()):
        with torch.random.fork_rng():
            torch.manual_seed(k)
            state = scope["small"](classes).state_dict()
        state["8.weight"] = state[
            "8.weight"
        ].abs()  # logits are above zero, or the warning of it is in every test
        state["8.bias"] = state["8.bias"].abs() + offset
        save_file(state, folder / f"{name}.safetensors")


def write_study(
    folder: Path, *, images: int = 12, batch: int = 5, explained: str = "true", offset: float = 0.0
) -> Path:
    """Write all of it; returns the study file."""
    write_images(folder, images)
    write_networks(folder, offset)
    (folder / "study.toml").write_text(STUDY.format(batch=batch, explained=explained))
    return folder / "study.toml"


@pytest.fixture
def small_study(tmp_path: Path) -> Path:
    """Return the path of the study file of a small study."""
    return write_study(tmp_path)


@pytest.fixture(scope="session")
def make_study():
    """Return the function that writes a small study with other sizes or settings."""
    return write_study


@pytest.fixture
def started(tmp_path: Path) -> Callable[..., Command]:
    """Return the function that starts a command in a process of its own, which takes at least 0.15
    s for each shard.
    """
    number = itertools.count()
    return lambda *arguments: Command(tmp_path / f"errors-{next(number)}", [*map(str, arguments)])
