"""Trials of multi-arrangement tasks from JSON: that of Meadows (meadows-research.com), or a plain
list of trials.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from relstats.errors import InvalidData, UsageError
from relstats.study.pairs import position

#: Meadows names files of one participant after it.
_MEADOWS = re.compile(r"Meadows_.+_v_v[^_]+_(?P<participant>[^_]+)(_\d+)?_tree")


@dataclass(frozen=True)
class Trial:
    """Where one participant put some images.

    Attributes
    ----------
    participant : str
    images : tuple of str
    points : ndarray, (image, 2)
        In units of the arena's radius.
    """

    participant: str
    images: tuple[str, ...]
    points: np.ndarray

    def distances(self, number: Mapping[str, int]) -> np.ndarray:
        """Distances on the plane of all pairs of the images in `number`.

        NaN where the trial does not hold both.
        """
        n = len(number)
        places = np.array([number[image] for image in self.images])
        first, second = np.triu_indices(len(places), 1)
        found = np.full(n * (n - 1) // 2, np.nan)
        ends = np.sort([places[first], places[second]], axis=0)
        found[position(ends[0], ends[1], n)] = np.linalg.norm(
            self.points[first] - self.points[second], axis=1
        )
        return found


def read(source: Path, task: str | None = None) -> tuple[list[Trial], list[str]]:
    """All trials of a file, and what was assumed.

    Parameters
    ----------
    source : Path
        JSON. Of Meadows: `tasks` with `trials` with `positions`, of one participant or of several
        by name. Or `{"trials": [{"participant": "p1", "positions": [{"image": "a", "x": 0.1, "y":
        -0.2}, ...]}, ...]}`, with x and y in units of the arena's radius.
    task : str, optional
        Name of the task, where a file has several.

    Raises
    ------
    InvalidData
        No JSON, no trials, an image twice in a trial, positions that are no numbers, ids that are
        no text.
    UsageError
        Several tasks, and none or an unknown one was named.
    """
    try:
        content = json.loads(source.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise InvalidData(
            f"{source.name} is no JSON ({error}). Give trials of arrangements"
        ) from error
    match = _MEADOWS.fullmatch(source.stem)
    default = match["participant"] if match else source.stem
    found, alone = [], 0
    for participant, trials in _sessions(content, default, source, task):
        for number, trial in enumerate(trials, 1):
            read_trial = _trial(
                trial, participant, f"{source.name}, trial {number} of {participant!r}"
            )
            found.append(read_trial)
            alone += len(read_trial.images) < 2
    found = [trial for trial in found if len(trial.images) > 1]
    if not found:
        raise InvalidData(
            f"{source.name} has no trial with two images or more. Give 'trials' with 'positions',"
            " or a file of Meadows"
        )
    notes = [f"{alone} trial(s) of {source.name} left out: fewer than two images"] if alone else []
    return found, notes


def _sessions(
    content: Any, default: str, source: Path, task: str | None
) -> Iterator[tuple[str, list[Any]]]:
    """Participants and their trials."""
    if isinstance(content, list):
        content = {"trials": content}
    if not isinstance(content, dict):
        raise InvalidData(
            f"{source.name} holds {type(content).__name__}, not trials of arrangements"
        )
    if isinstance(content.get("tasks"), list):
        yield default, _of_task(content["tasks"], source, task)
    elif isinstance(content.get("trials"), list):
        yield default, content["trials"]
    elif content and all(
        isinstance(v, dict) and isinstance(v.get("tasks"), list) for v in content.values()
    ):
        for participant, session in content.items():
            yield participant, _of_task(session["tasks"], source, task)
    else:
        raise InvalidData(
            f"{source.name} has {', '.join(list(content)[:5]) or 'nothing'}, and neither 'trials'"
            " nor 'tasks'"
        )


def _of_task(tasks: list[Any], source: Path, task: str | None) -> list[Any]:
    arranged = {
        str(t["task"].get("name")): t
        for t in tasks
        if t.get("task", {}).get("task_type") == "multiarrange"
    }
    chosen = task if task is not None else next(iter(arranged)) if len(arranged) == 1 else None
    if chosen not in arranged:
        raise UsageError(
            f"{source.name} has arrangement task(s) {', '.join(map(repr, arranged)) or 'none'}:"
            " name one with --task, for each asked another question"
        )
    trials: list[Any] = arranged[chosen].get("trials", [])
    return trials


def _trial(trial: Any, participant: str, where: str) -> Trial:
    if not isinstance(trial, dict) or not isinstance(trial.get("positions"), list):
        raise InvalidData(f"{where} has no 'positions': a list of image, x and y")
    images, points = [], []
    for place in trial["positions"]:
        image = next((place[key] for key in ("image", "name", "id") if key in place), None)
        spot = [place.get("x"), place.get("y")]
        if not isinstance(image, str) or not all(
            isinstance(v, (int, float)) and np.isfinite(v) for v in spot
        ):
            raise InvalidData(
                f"{where}: image {image!r} at {spot}: ids are text ('007' is not 7), and x and y"
                " numbers"
            )
        images.append(image)
        points.append(spot)
    twice = {image for image in images if images.count(image) > 1}
    if twice:
        raise InvalidData(
            f"{where} holds {len(twice)} image(s) twice (e.g. {sorted(twice)[0]!r}). Mend the ids"
        )
    who = trial.get("participant", participant)
    if not isinstance(who, str):
        raise InvalidData(f"{where}: participant {who!r} is not text ('007' is not 7)")
    return Trial(who, tuple(images), np.array(points, float).reshape(-1, 2))
