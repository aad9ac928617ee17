"""Labelled RDMs of networks and of people to arrays over the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.human.rdms.comparisons import compare_rdms
from relstats.study import layout, pairs
from relstats.study.pairs import Rdms


@dataclass(frozen=True)
class Data:
    """What is analysed: arrays on the same images, and what was left out on the way.

    Attributes
    ----------
    models : ndarray, (network, pair)
        Without NaN.
    people : ndarray, (participant, pair)
        NaN where missing.
    control : ndarray, (c, pair), or None
    networks : DataFrame
        One row a network: model, seed and axes; sorted.
    group : ndarray of int, (network,)
        Place of its label in `groups`.
    groups, participants : list of str
    n_images : int
    notes : list of str
        What was left out, in words.
    """

    models: np.ndarray
    people: np.ndarray
    control: np.ndarray | None
    networks: pd.DataFrame
    group: np.ndarray
    groups: list[str]
    participants: list[str]
    n_images: int
    notes: list[str]


def read(
    model_rdms: xr.Dataset | xr.DataArray,
    human_rdms: xr.DataTree | xr.Dataset | xr.DataArray,
    control: xr.Dataset | xr.DataArray | None,
    by: str,
    how: str,
    comparison: str,
) -> Data:
    """Read both sides onto the same images, by label, and leave out who and what says nothing.

    Parameters
    ----------
    model_rdms, human_rdms, control, by, comparison
        As in `relstats.human.rsa`.
    how : str
        `align` of it.

    Returns
    -------
    Data

    Raises
    ------
    UsageError, InvalidData, ImpossibleAnalysis
        As `relstats.human.rsa`.
    """
    table, models = _networks(model_rdms)
    participants, people = _people(human_rdms)
    omitted = sorted(set(model_rdms.attrs.get("omitted_images", ())) & set(people.images))
    if omitted:
        people = people.of([image for image in people.images if image not in omitted])
    models, people, dropped = pairs.align(models, people, ("the models' RDMs", "the people's"), how)
    held = None if control is None else _control(control, models.images)
    if by not in table:
        raise UsageError(
            f"by is {by!r}; networks have {', '.join(c for c in table if c != 'seed')}"
        )
    notes = (
        [f"{len(dropped)} image(s) left out: only one side has them ({', '.join(dropped[:3])})"]
        if dropped
        else []
    )
    notes += (
        [
            f"{len(omitted)} image(s) left out: a map of theirs says nothing"
            f" ({', '.join(omitted[:3])})"
        ]
        if omitted
        else []
    )
    who, silent = _usable_people(people.values, comparison)
    notes += _said(
        participants, silent, "participant(s) left out: all judged alike, or fewer than 3 pairs"
    )
    _require_pairs(models, table)
    useful = np.isfinite(compare_rdms(models.values, models.values, comparison, control=held)).any(
        axis=1
    )
    names = [
        f"{model} seed {seed}" for model, seed in zip(table["model"], table["seed"], strict=True)
    ]
    notes += _said(
        names, ~useful, "network(s) left out: their RDM is constant, or nothing is left of it"
    )
    if not who.any() or not useful.any():
        raise ImpossibleAnalysis(
            f"{who.sum()} participant(s) and {useful.sum()} network(s) have anything to compare"
            f" ({'; '.join(notes)})"
        )
    table = table[useful].reset_index(drop=True)
    groups = sorted(table[by].unique())
    return Data(
        models.values[useful],
        people.values[who],
        held,
        table,
        table[by].map(groups.index).to_numpy(),
        groups,
        [p for p, keep in zip(participants, who, strict=True) if keep],
        len(models.images),
        notes,
    )


def _said(names: Sequence[str], which: np.ndarray, what: str) -> list[str]:
    chosen = [name for name, is_chosen in zip(names, which, strict=True) if is_chosen]
    return [f"{len(chosen)} {what} ({', '.join(chosen[:3])})"] if chosen else []


def _array(source: xr.Dataset | xr.DataArray, name: str) -> xr.DataArray:
    if isinstance(source, xr.DataArray):
        return source
    if "dissimilarity" not in source:
        raise InvalidData(
            f"{name} has no variable 'dissimilarity' (got"
            f" {', '.join(map(str, source.data_vars)) or 'nothing'})"
        )
    return source["dissimilarity"]


def _networks(source: xr.Dataset | xr.DataArray) -> tuple[pd.DataFrame, Rdms]:
    """One row a network that exists, sorted by label, with its axes; and its RDM."""
    array = _array(source, "model_rdms")
    for dim, label in (("seed", "0"), ("model", "model")):
        if dim not in array.dims:
            array = array.drop_vars(dim, errors="ignore").expand_dims({dim: [label]})
    array = array.transpose("model", "seed", "pair")
    for dim in layout.NETWORK:
        if dim not in array.coords or not all(
            isinstance(label, str) for label in array[dim].values.tolist()
        ):
            raise InvalidData(
                f"labels of {dim!r} of model_rdms are missing or not text: write ids as text ('007'"
                " is not 7)"
            )
    exists = np.ones(array.shape[:2], bool)
    if isinstance(source, xr.Dataset) and "available" in source:
        exists = source["available"].transpose("model", "seed").values.astype(bool)
    axes = layout.axes(array.to_dataset(name="dissimilarity"))
    cells = sorted(
        np.argwhere(exists).tolist(),
        key=lambda c: (array["model"].values[c[0]], array["seed"].values[c[1]]),
    )
    rows = [
        {
            "model": str(array["model"].values[m]),
            "seed": str(array["seed"].values[s]),
            **{axis: levels[m] for axis, levels in axes.items()},
        }
        for m, s in cells
    ]
    read = pairs.read_pairs(array, "model_rdms")
    table = pd.DataFrame(rows, dtype=object)
    twice = table[table.duplicated(["model", "seed"])]
    if len(twice):
        named = ", ".join(map(str, twice[["model", "seed"]].itertuples(index=False, name=None)))
        raise InvalidData(
            f"model_rdms: networks (model, seed) are there twice and would count twice: {named}."
            " Make labels unique"
        )
    return table, Rdms(np.array([read.values[m, s] for m, s in cells]), read.images)


def judgments(source: xr.DataTree | xr.Dataset | xr.DataArray) -> xr.DataArray:
    """People's dissimilarities, of a study, its `/human`, or as they are."""
    if isinstance(source, xr.DataTree):
        if layout.HUMAN not in source.children:
            raise UsageError(
                f"this study has no /human (it has {', '.join(source.children) or 'nothing'}): add"
                " judgments first (relstats add judgments)"
            )
        source = source[layout.HUMAN].to_dataset()
    return _array(source, "human_rdms")


def _people(source: xr.DataTree | xr.Dataset | xr.DataArray) -> tuple[list[str], Rdms]:
    array = judgments(source)
    if set(array.dims) != {"participant", "pair"} or "participant" not in array.coords:
        raise InvalidData(
            f"human_rdms has dims {array.dims} (or no ids of participants): give (participant,"
            " pair)"
        )
    ids = array["participant"].values.tolist()
    wrong = [label for label in ids if not isinstance(label, str)]
    if wrong or len(set(ids)) < len(ids):
        raise InvalidData(
            f"participants are {ids[:3]}...: ids are text ('007' is not 7), each there once"
        )
    order = np.argsort(np.array(ids, dtype=object))
    read = pairs.read_pairs(
        array.transpose("participant", "pair").isel(participant=order), "human_rdms"
    )
    return [str(ids[k]) for k in order], read


def _control(source: xr.Dataset | xr.DataArray, images: tuple[str, ...]) -> np.ndarray:
    read = pairs.read_pairs(_array(source, "control"), "control")
    lacking = sorted(set(images) - set(read.images))
    if lacking:
        raise InvalidData(
            f"control lacks {len(lacking)} image(s) of the models ({', '.join(lacking[:3])}):"
            " nothing can be held constant there"
        )
    values = read.of(images).values
    return values.reshape(-1, values.shape[-1])


def _usable_people(values: np.ndarray, comparison: str) -> tuple[np.ndarray, np.ndarray]:
    known = np.isfinite(values)
    spread = np.where(known, values, -np.inf).max(axis=1) > np.where(known, values, np.inf).min(
        axis=1
    )
    usable = spread & (known.sum(axis=1) >= 3)
    return usable, ~usable


def _require_pairs(models: Rdms, table: pd.DataFrame) -> None:
    if len(models.images) < 3:
        raise ImpossibleAnalysis(
            f"{len(models.images)} common image(s): RDMs are compared over pairs, which takes at"
            " least 3 images"
        )
    lacking = np.argwhere(np.isnan(models.values))
    if len(lacking):
        row, pair = lacking[0]
        first, second = (end[pair] for end in np.triu_indices(len(models.images), 1))
        raise InvalidData(
            f"model_rdms: {len(lacking)} dissimilarities are NaN (e.g. {table['model'][row]} seed"
            f" {table['seed'][row]}, {models.images[first]!r} and {models.images[second]!r}):"
            " models would be compared on different pairs. Leave these images out with .where or"
            " --align inner"
        )
