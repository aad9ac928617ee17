"""What is wrong with a study file where two of its tables meet: labels, classes and layers."""

from __future__ import annotations

import difflib

import pandas as pd

from relstats.compute.study_file import fields
from relstats.compute.study_file.settings import FeatureSettings, Images, Model, RelevanceSettings
from relstats.study.check import Problem


def classes_and_labels(
    images: Images | None, models: list[Model], relevance: RelevanceSettings
) -> list[Problem]:
    """Labels that the images do not have, and classes that a model does not have."""
    problems = []
    for model in models:
        where, explained = f"[models.{model.name}]", relevance.explained_class
        if images is not None and model.label:
            problems += _check_labels(where, model, images.table)
        if explained == "true" and not model.label:
            problems.append(
                Problem(
                    f"{where} label",
                    "is missing, and explained_class is 'true'",
                    "Name the column of the true class, or explain the predicted one",
                )
            )
        elif isinstance(explained, int) and explained >= len(model.classes):
            problems.append(
                Problem(
                    "[relevance] explained_class",
                    f"is {explained}, but {model.name!r} has {len(model.classes)} classes",
                    "Count from 0",
                )
            )
        elif isinstance(explained, str) and explained not in ("true", "predicted", *model.classes):
            problems.append(
                Problem(
                    "[relevance] explained_class",
                    f"is {explained!r}, no class of {model.name!r}",
                    'Give "true", "predicted", an index, or a class that every model'
                    f" has.{_close(explained, model.classes)}",
                )
            )
    return problems


def layers(models: list[Model], features: FeatureSettings | None) -> list[Problem]:
    """Layers of a model that are no layers of [features]."""
    named = features.layers or () if features else ()
    return [
        Problem(
            f"[models.{model.name}] layers",
            f"names {fields.shown(name)}, no layer of [features]",
            f"[features] has {', '.join(named) or 'none'}.{_close(name, named)}",
        )
        for model in models
        for name in model.layers
        if name not in named
    ]


def _check_labels(where: str, model: Model, table: pd.DataFrame) -> list[Problem]:
    columns = [str(c) for c in table.columns if c not in ("path", "sha256")]
    if model.label not in columns:
        return [
            Problem(
                f"{where} label",
                f"is {model.label!r}, no column of the images (they have"
                f" {', '.join(columns) or 'no labels'})",
                f"Name one of them.{_close(model.label, columns)}",
            )
        ]
    unknown = table.index[~table[model.label].isin(model.classes)]
    if not len(unknown):
        return []
    examples = tuple(f"{image!r}: {table.at[image, model.label]!r}" for image in unknown[:3])
    return [
        Problem(
            f"{where} classes",
            f"{len(unknown)} image(s) have a {model.label!r} that is no class of this model",
            "Add the class, or leave these images out",
            len(unknown),
            examples,
        )
    ]


def _close(name: str, names: tuple[str, ...] | list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
