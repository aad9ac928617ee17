"""What the demo writes: the same for the same seed, readable as a study, and judged by the planted
features.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from relstats.compute.study_file.study import read_study
from relstats.demo import faces, train, writing
from relstats.errors import UsageError

TINY = train.Sizes(
    networks=1,
    people=2,
    pictures=2,
    training=50,
    training_epochs=1,
    pretraining=50,
    pretraining_epochs=1,
    participants=3,
)


class Trained(NamedTuple):
    """A demo: its folder, what was told of its progress, threads while it trained and after."""

    folder: Path
    told: list[tuple[int, int]]
    threads: set[int]
    threads_after: int


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a demo of seed 1, trained by a caller of two threads; tests only read it."""
    folder, told, threads = tmp_path_factory.mktemp("tiny"), [], set()

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        threads.add(torch.get_num_threads())

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        writing.write_demo(folder, sizes=TINY, seed=1, progress=progress)
        return Trained(folder, told, threads, torch.get_num_threads())
    finally:
        torch.set_num_threads(before)


def test_the_same_seed_gives_the_same_files_and_another_seed_others(
    tiny: Trained, tmp_path: Path
) -> None:
    folders = tiny.folder, tmp_path / "again", tmp_path / "other"
    for folder, seed in zip(folders[1:], (1, 2), strict=True):
        writing.write_demo(folder, sizes=TINY, seed=seed)
    files = [p.relative_to(tiny.folder) for p in sorted(tiny.folder.rglob("*")) if p.is_file()]
    assert (
        len(files) == 4 + 4 + 4 + 3
    )  # pictures, label images, checkpoints; study file and two tables
    for file in files:
        first, again, other = ((folder / file).read_bytes() for folder in folders)
        assert first == again, file
        assert first != other or file.name == "images.csv", file
    assert [len(model.checkpoints) for model in read_study(tiny.folder / "faces.toml").models] == [
        1
    ] * 4


def test_a_demo_is_left_alone_and_one_with_other_options_refused(tiny: Trained) -> None:
    file = tiny.folder / "faces.toml"
    before = {p: p.stat().st_mtime_ns for p in tiny.folder.rglob("*")}
    assert writing.write_demo(tiny.folder, sizes=TINY, seed=1) == file
    with pytest.raises(UsageError, match="a demo with other options"):
        writing.write_demo(tiny.folder, sizes=TINY, seed=2)
    assert {p: p.stat().st_mtime_ns for p in tiny.folder.rglob("*")} == before


def test_one_thread_trains_and_the_callers_threads_come_back(tiny: Trained) -> None:
    assert tiny.threads == {1}
    assert tiny.threads_after == 2


def test_progress_ends_where_it_said(tiny: Trained) -> None:
    assert tiny.told == [(k, 8) for k in range(1, 9)]


def test_simulated_people_follow_the_planted_features() -> None:
    rng = np.random.default_rng(1)
    shown = faces.draw_faces(
        faces.draw_people(4, rng), np.repeat(np.arange(4), 6), np.arange(24) % 2, rng=rng
    )
    judged = writing.judgments(shown, 5, rng)
    first, second = np.triu_indices(24, 1)
    same = (shown.identity[first] == shown.identity[second]) & (
        shown.gender[first] == shown.gender[second]
    )
    assert judged.shape == (5, 24 * 23 // 2)
    assert (judged >= 0).all()
    assert (judged[:, same].mean(axis=1) < judged[:, ~same].mean(axis=1)).all()
