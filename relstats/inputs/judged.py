"""Judgments as a file holds them, labelled, before they are turned into dissimilarities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from relstats.errors import InvalidData
from relstats.study.pairs import ENDS, pair_labels

FORMATS = ("ratings", "pairs", "matrix", "triplets", "arrangement")
#: Two halves of a matrix that differ by less than this share of its largest value are the same,
#: written with few digits.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Judged:
    """What a file holds, as it stands there.

    Attributes
    ----------
    values : DataArray, (participant, pair)
        With text coordinates `participant`, `image_i`, `image_j`; NaN where missing.
    format : str
        One of `FORMATS`.
    own : ndarray, (participant,) or (judgment,)
        What was given for an image with itself: diagonals, catch trials.
    column : str
        Name of the column of ratings, or "".
    notes : list of str
        What was assumed or left out, in words.
    """

    values: xr.DataArray
    format: str
    own: np.ndarray = field(default_factory=lambda: np.empty(0))
    column: str = ""
    notes: list[str] = field(default_factory=list)


def labelled(
    values: np.ndarray, participants: Sequence[str], first: Sequence[str], second: Sequence[str]
) -> xr.DataArray:
    """Values (participant, pair) with their labels.

    A participant who is there twice is an error.
    """
    ends = {
        name: ("pair", np.array(labels, object))
        for name, labels in zip(ENDS, (first, second), strict=True)
    }
    require_once(participants, "participants")
    return xr.DataArray(
        values,
        dims=("participant", "pair"),
        coords={"participant": np.array(participants, object), **ends},
    )


def all_pairs(images: Sequence[str]) -> tuple[list[str], list[str]]:
    """Both images of each pair, upper triangle row by row."""
    ends = pair_labels(images)
    return ends[ENDS[0]][1].tolist(), ends[ENDS[1]][1].tolist()


def require_once(labels: Sequence[object], where: str) -> None:
    """Raise where a label, or a pair, is there more than once."""
    twice = [label for label, count in Counter(labels).items() if count > 1]
    if twice:
        raise InvalidData(
            f"{where}: {len(twice)} label(s) or pair(s) are there more than once (e.g."
            f" {twice[0]!r}): which one counts is not known. Average them yourself, or make ids"
            " unique"
        )


def upper(squares: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """The upper triangle of square matrices, and their diagonals.

    A half that is left empty is taken from the other.
    """
    if squares.shape[1] < 2 or squares.shape[1] != squares.shape[2]:
        raise InvalidData(
            f"{where}: matrices are {squares.shape[1]} x {squares.shape[2]}, not square with two"
            " images or more"
        )
    if np.isinf(squares).any():
        raise InvalidData(
            f"{where} holds {np.isinf(squares).sum()} infinite value(s). Mend them, or mark them"
            " missing (NaN)"
        )
    first, second = np.triu_indices(squares.shape[1], 1)
    halves = np.stack([squares[:, first, second], squares[:, second, first]])
    both = np.isfinite(halves).all(axis=0)
    gap = np.where(both, np.abs(halves[0] - halves[1]), 0.0)
    own = squares[:, *np.diag_indices(squares.shape[1])]
    if gap.max() > _ROUNDING * np.nanmax(np.abs(squares), initial=0):
        raise InvalidData(
            f"{where} is not symmetric: max asymmetry {gap.max():g}, and the largest diagonal value"
            f" is {np.nanmax(np.abs(own), initial=0):g}. Average the two halves yourself if order"
            " should not matter, or leave one half empty"
        )
    values = np.where(np.isfinite(halves[0]), halves[0], halves[1])
    return np.where(both, halves.mean(axis=0), values), own
