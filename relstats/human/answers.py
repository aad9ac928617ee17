"""What people and networks chose for each image, out of a study.

Matched by label.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.human.kappa import MISSING
from relstats.study import check, layout, shards, store
from relstats.study.networks import image_labels, network_table


@dataclass(frozen=True)
class Answers:
    """Answers as codes of classes, -1 where there is none, on the same images.

    Attributes
    ----------
    networks : ndarray of int, (network, image)
    people : ndarray of int, (participant, image)
    table : DataFrame
        One row a network: model, seed, axes.
    participants, images, classes : list of str
    label : str
        Of the images: the right choice.
    notes : list of str
    """

    networks: np.ndarray
    people: np.ndarray
    table: pd.DataFrame
    participants: list[str]
    images: list[str]
    classes: list[str]
    label: str
    notes: list[str]


def answers(
    study: xr.DataTree,
    of: str,
    label: str | None,
    classes: Sequence[str] | None,
    models: Sequence[str] | None,
    align: str,
) -> Answers:
    """Read both sides; the parameters are those of `relstats.behaviour`."""
    for group in ("relevance", layout.BEHAVIOUR):
        if group not in study.children:
            raise UsageError(
                f"this study has no /{group}; it has {', '.join(study.children) or 'nothing'}. Add"
                " people's choices with relstats add choices"
            )
        store.require_complete(study, group)
    maps, people = study["relevance"].to_dataset(), study[layout.BEHAVIOUR].to_dataset()
    problems = check.check_group(people, layout.BEHAVIOUR)
    if problems:
        raise InvalidData("; ".join(str(problem) for problem in problems))
    settings = _settings(study)
    label, notes = _label(label, settings)
    table, more = _models(network_table(maps), settings, label, models)
    names = _classes(classes, settings, table)
    images = _common(
        image_labels(maps),
        image_labels(people),
        align,
        int(people.attrs.get("n_images_without_choices", 0)),
    )
    truth = _truth(study, label, images)
    chosen = people["choice"].transpose("participant", "image").sel(image=images).values
    _require_classes(chosen, names or sorted(set(truth)), "/behaviour")
    right = np.where(chosen == "", MISSING, chosen == truth).astype(int)
    mine = _network_answers(maps.sel(image=images), table, names, truth, of)
    ids = [str(p) for p in people["participant"].values]
    table = table.drop(columns="cell").reset_index(drop=True)
    if of == "errors":
        return Answers(mine, right, table, ids, images, ["wrong", "right"], label, notes + more)
    place = {name: k for k, name in enumerate(names or ())} | {"": MISSING}
    codes = np.array([[place[str(choice)] for choice in row] for row in chosen])
    return Answers(mine, codes, table, ids, images, list(names or ()), label, notes + more)


def _settings(study: xr.DataTree) -> dict[str, dict[str, object]]:
    """What a study file says of each model; empty for maps of other tools."""
    text = study.attrs.get("compute_settings")
    found: dict[str, dict[str, object]] = (
        json.loads(text)["models"] if isinstance(text, str) else {}
    )
    return found


def _label(label: str | None, settings: dict[str, dict[str, object]]) -> tuple[str, list[str]]:
    known = sorted({str(about["label"]) for about in settings.values() if about.get("label")})
    if label is not None:
        return label, []
    if len(known) != 1:
        raise UsageError(
            "which label of the images is the right choice is not known (networks were trained for"
            f" {', '.join(known) or 'none that is recorded'}): give --label"
        )
    return known[0], [f"the right choice is the label {known[0]!r}"]


def _models(
    table: pd.DataFrame,
    settings: dict[str, dict[str, object]],
    label: str,
    models: Sequence[str] | None,
) -> tuple[pd.DataFrame, list[str]]:
    """Networks that were asked for, or that choose among the classes of the label."""
    unknown = sorted(set(models or ()) - set(table["model"]))
    if unknown:
        raise UsageError(
            f"no model {unknown[0]!r}; there are {', '.join(sorted(set(table['model'])))}"
        )
    wanted = (
        set(models)
        if models
        else {m for m in table["model"] if m not in settings or settings[m].get("label") == label}
    )
    chosen = table[table["model"].isin(wanted)].reset_index(drop=True)
    if chosen.empty:
        raise ImpossibleAnalysis(
            f"no network names {label!r}, so none can be compared with people who did. Give another"
            " --label, or --models"
        )
    left = sorted(set(table["model"]) - wanted)
    return chosen, (
        [
            f"{len(left)} model(s) left out: they name something else than {label!r}"
            f" ({', '.join(left[:3])})"
        ]
        if left
        else []
    )


def _classes(
    given: Sequence[str] | None, settings: dict[str, dict[str, object]], table: pd.DataFrame
) -> list[str] | None:
    """Names of the networks' outputs in their order, where they are known."""
    recorded = [settings.get(model, {}).get("classes") for model in sorted(set(table["model"]))]
    first = recorded[0] if recorded and all(one == recorded[0] for one in recorded) else None
    if given is not None and len(set(given)) < len(given):
        raise UsageError(
            f"classes are {list(given)}: each once, in the order of the networks' outputs"
        )
    found = given if given is not None else first
    return [str(name) for name in found] if isinstance(found, list | tuple) else None


def _common(maps: list[str], people: list[str], align: str, without: int) -> list[str]:
    problems = check.disagreement(set(maps), set(people), "/relevance", "/behaviour")
    if problems and align == "exact" and not (without and set(people) < set(maps)):
        raise InvalidData(f"{problems[0]} (--align inner)")
    return sorted(set(maps) & set(people))


def _truth(study: xr.DataTree, label: str, images: list[str]) -> np.ndarray:
    labels = study["images"].to_dataset() if "images" in study.children else xr.Dataset()
    if label not in labels.coords or labels[label].dims != ("image",):
        has = ", ".join(
            str(c) for c in labels.coords if labels[c].dims == ("image",) and c != "image"
        )
        raise UsageError(
            f"images have no label {label!r}; they have {has or 'only ids'}. Give --label"
        )
    return np.array([str(v) for v in labels[label].sel(image=images).values], dtype=object)


def _require_classes(chosen: np.ndarray, classes: Sequence[str], where: str) -> None:
    unknown = sorted({str(choice) for choice in chosen.ravel()} - set(classes) - {""})
    if unknown:
        raise InvalidData(
            f"{where}: {len(unknown)} choice(s) are no class ({', '.join(map(repr, unknown[:3]))});"
            f" classes are {', '.join(map(repr, list(classes)[:6]))}. Names must be equal, letter"
            " by letter: mend them, or name the networks' classes with --classes"
        )


def _network_answers(
    maps: xr.Dataset, table: pd.DataFrame, classes: list[str] | None, truth: np.ndarray, of: str
) -> np.ndarray:
    cells = list(table["cell"])
    named = _predicted(maps, cells, len(classes)) if classes and "prediction" in maps else None
    right = _recorded(maps, cells) if "correct" in maps else None
    if named is not None and classes is not None:
        by_name = np.where(
            named < 0, MISSING, np.array([*classes, ""], dtype=object)[named] == truth
        ).astype(int)
        if right is not None and ((by_name != right) & (by_name >= 0) & (right >= 0)).any():
            raise InvalidData(
                f"/relevance: with classes {', '.join(map(repr, classes[:4]))} in this order,"
                " `prediction` is right where `correct` says wrong: the order is another one. Give"
                " --classes in the order of the outputs"
            )
        right = by_name
    if of == "choices" and named is None:
        raise UsageError(
            "what networks chose is known by name only with `prediction` in /relevance and the"
            " classes in the order of their outputs: give --classes, or --of errors"
        )
    if right is None:
        raise UsageError(
            "/relevance has neither `correct` nor `prediction` with --classes: which answers are"
            " right is not known"
        )
    return named if of == "choices" and named is not None else right


def _predicted(maps: xr.Dataset, cells: list[tuple[int, ...]], n_classes: int) -> np.ndarray:
    values = shards.read_block(
        maps["prediction"].transpose(*layout.NETWORK, "image"), cells, slice(None)
    )
    codes = np.where(np.isnan(values) | (values < 0), MISSING, values).astype(int)
    if codes.max() >= n_classes:
        raise InvalidData(
            f"/relevance: prediction {codes.max()} is no index of {n_classes} classes (counted from"
            " 0). Give all --classes"
        )
    return codes


def _recorded(maps: xr.Dataset, cells: list[tuple[int, ...]]) -> np.ndarray:
    values = shards.read_block(
        maps["correct"].transpose(*layout.NETWORK, "image"), cells, slice(None)
    )
    return np.where(np.isin(values, (0, 1)), values, MISSING).astype(int)
