"""Scores of images with the set kept or removed that other networks share: checked, with their
networks and levels.

From `/sufficiency` of a study.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.stats.inference import networks
from relstats.stats.inference.contrasts import require_axes
from relstats.study import check, layout, store
from relstats.study.networks import image_labels, network_table


@dataclass(frozen=True)
class MaskedScores:
    """The group, its networks, and the levels at which they are averaged: each model counts the
    same.
    """

    group: xr.Dataset
    table: pd.DataFrame
    levels: list[str]
    functionals: list[networks.Functional]
    chance: np.ndarray | None
    score: str
    labels: list[str]
    warnings: list[str] = field(default_factory=list)


def sufficiency_group(study: xr.DataTree | xr.Dataset, masks: str | None, score: str) -> xr.Dataset:
    """The group, complete and of the right layout, with operations and choices in their order."""
    if isinstance(study, xr.DataTree):
        if layout.SUFFICIENCY not in study.children:
            raise UsageError(
                f"this study has no /sufficiency; it has {', '.join(study.children) or 'nothing'}."
                " Score the shared sets first: relstats transfer STUDY.toml STUDY.zarr --masks"
                f" {masks or 'shared'}"
            )
        _require_sets_of_others(study[layout.SUFFICIENCY].attrs)
        store.require_complete(study, layout.SUFFICIENCY)
        study = study[layout.SUFFICIENCY].to_dataset()
    problems = check.check_group(study, layout.SUFFICIENCY)
    if problems:
        raise InvalidData("; ".join(str(problem) for problem in problems))
    _require_sets_of_others(study.attrs)
    there = str(study.attrs.get("masks", ""))
    if masks and there != masks:
        raise UsageError(
            f"/sufficiency holds scores of the sets of {there or 'no named result'!r}, not"
            f" {masks!r}. Score those: relstats transfer STUDY.toml STUDY.zarr --masks {masks}"
            " --force"
        )
    for name in (score, f"unmasked_{score}"):
        if name not in study:
            raise UsageError(
                f"score {score!r} was not measured: there is no /sufficiency/{name}. It has"
                f" {', '.join(map(str, study.data_vars))}"
            )
    for dim, known in (("operation", layout.OPERATIONS), ("choice", layout.CHOICES)):
        lacking = set(known) - {str(value) for value in study[dim].values}
        if lacking:
            raise InvalidData(
                f"/sufficiency/{dim} lacks {', '.join(sorted(lacking))}: the comparison needs"
                f" {', '.join(known)}"
            )
    return study.sel(operation=list(layout.OPERATIONS), choice=list(layout.CHOICES))


def _require_sets_of_others(attrs: Mapping[Any, Any]) -> None:
    """Refuse scores that relstats 0.1.0 computed: in-sample, they reject nearly always."""
    if "choice_about" in attrs and attrs.get("sets_of") != layout.OTHER_NETWORKS:
        masks = attrs.get("masks", "shared")
        raise InvalidData(
            "/sufficiency holds scores of the sets of all networks, as relstats 0.1.0 computed"
            " them: each network helped to find what it was shown, so that p is below .05 in nearly"
            " all studies of networks that share nothing. Compute them with the sets of the other"
            f" networks: relstats transfer STUDY.toml STUDY.zarr --masks {masks} --force"
        )


def masked_scores(group: xr.Dataset, score: str, axis: str | None, normalise: str) -> MaskedScores:
    """Scores of a group, with the networks of each level and the scale they are on."""
    table = network_table(group)
    if table.empty:
        raise ImpossibleAnalysis(
            "no network is scored, so there is nothing to compare. Score networks first"
        )
    if axis is not None:
        require_axes([c for c in table if c not in ("model", "seed", "cell")], [axis], "axis")
    of_level = table[axis] if axis else pd.Series("all networks", table.index)
    names = sorted(of_level.unique())
    models = sorted(table["model"].unique())
    code = np.array([models.index(model) for model in table["model"]])
    functionals = []
    for name in names:
        there = np.bincount(code[of_level == name], minlength=len(models)) > 0
        compact = np.where(of_level == name, np.cumsum(there)[code] - 1, -1)
        functionals.append(
            networks.network_functional(compact, np.full(there.sum(), 1 / there.sum()))
        )
    chance = _chance(group, table, [f.groups >= 0 for f in functionals], score, normalise)
    notes = [
        f"{table['model'].iloc[np.flatnonzero(code == m)[0]]} has one network only: {name} has"
        " no p, and an interval for these networks only"
        for name, f in zip(names, functionals, strict=True)
        for m in range(len(models))
        if ((code == m) & (f.groups >= 0)).sum() == 1
    ]
    return MaskedScores(group, table, names, functionals, chance, score, image_labels(group), notes)


def _chance(
    group: xr.Dataset,
    table: pd.DataFrame,
    members: Sequence[np.ndarray],
    score: str,
    normalise: str,
) -> np.ndarray | None:
    """1 / number of classes of each network, where scores are to be set on that scale."""
    classes = n_classes(group, table)
    if classes is None:
        if normalise == "chance":
            raise ImpossibleAnalysis(
                "chance correction needs the number of classes: add the coordinate n_classes on"
                " model"
            )
        return None
    unlike = any(len(set(classes[member])) > 1 for member in members)
    if unlike and (normalise == "none" or score == "margin"):
        raise ImpossibleAnalysis(
            f"networks that tell {' and '.join(map(str, sorted(set(classes))))} classes apart would"
            f" be averaged, and their {score} is not on one scale. Use --normalise chance with"
            " probability or correct, or --axis"
        )
    return 1 / classes if unlike or normalise == "chance" else None


def n_classes(group: xr.Dataset, table: pd.DataFrame) -> np.ndarray | None:
    """Number of classes that each network tells apart; None where the study does not say."""
    if "n_classes" not in group.variables:
        return None
    each = group["n_classes"].values.tolist()
    labels = [each[m] for m, _ in table["cell"]]
    wrong = [v for v in labels if not str(v).strip().isdecimal() or int(v) < 2]
    if wrong:
        raise InvalidData(
            f"/sufficiency/n_classes is {wrong[0]!r}: give whole numbers of classes, at least 2"
        )
    return np.array([int(label) for label in labels])
