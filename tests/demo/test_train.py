"""What the demo writes: the same for the same seed, readable as a study, and judged by the planted
features.
"""

from __future__ import annotations

from pathlib import Path

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


def test_the_same_seed_gives_the_same_files_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        writing.write_demo(tmp_path / name, sizes=TINY, seed=seed)
    files = [
        p.relative_to(tmp_path / "a") for p in sorted((tmp_path / "a").rglob("*")) if p.is_file()
    ]
    assert (
        len(files) == 4 + 4 + 4 + 3
    )  # pictures, label images, checkpoints; study file and two tables
    for file in files:
        first, again, other = ((tmp_path / name / file).read_bytes() for name in "abc")
        assert first == again, file
        assert first != other or file.name == "images.csv", file
    assert [
        len(model.checkpoints) for model in read_study(tmp_path / "a" / "faces.toml").models
    ] == [1] * 4


def test_a_demo_is_left_alone_and_one_with_other_options_refused(tmp_path: Path) -> None:
    file = writing.write_demo(tmp_path, sizes=TINY, seed=1)
    before = file.stat().st_mtime_ns
    assert writing.write_demo(tmp_path, sizes=TINY, seed=1) == file
    assert file.stat().st_mtime_ns == before
    with pytest.raises(UsageError, match="a demo with other options"):
        writing.write_demo(tmp_path, sizes=TINY, seed=2)


def test_one_thread_trains_and_the_callers_threads_come_back(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        threads = set()
        writing.write_demo(
            tmp_path,
            sizes=TINY,
            progress=lambda done, total: threads.add(torch.get_num_threads()),
        )
        assert threads == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_progress_ends_where_it_said(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    writing.write_demo(
        tmp_path, sizes=TINY, seed=1, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(k, 8) for k in range(1, 9)]


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
