"""What a study file holds: images, networks and how they are explained, masked and kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Images:
    """The images: a row of text for each (`path`, `sha256` and labels, by id) and the pixel grid
    (y, x) that they come to.

    `resize` is "none" (another size is refused), "squash" or "crop"; `pixels` asks for them in the
    study.
    """

    table: pd.DataFrame
    size: tuple[int, int]
    resize: str
    pixels: bool


@dataclass(frozen=True)
class Preprocessing:
    """From 8-bit colours to a network's input: (colour x scale / 255 - mean) / std, in the
    network's order of channels.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float
    channels: str


@dataclass(frozen=True)
class Model:
    """A condition: how its network is built, what it takes and names, and a checkpoint for each
    seed.

    `label` is the column of the image table that holds the true class, or "" where there is none.
    Modules of `factory` are also looked for in `folder`, that of the study file. `layers` names the
    modules of layers that are called otherwise.
    """

    name: str
    axes: Mapping[str, str]
    factory: str
    arguments: Mapping[str, Any]
    preprocessing: Preprocessing
    label: str
    classes: tuple[str, ...]
    checkpoints: Mapping[str, Path]
    folder: Path
    layers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RelevanceSettings:
    """How relevance is computed.

    `explained_class` is "true", "predicted", an index or the name of a class.
    """

    composite: str
    parameters: Mapping[str, Any]
    canonizers: tuple[str, ...]
    engine: str
    precision: str
    explained_class: str | int


@dataclass(frozen=True)
class TransferSettings:
    """How pixels are masked and what is put in their place. `fill_value` is of 8-bit colours."""

    fractions: tuple[float, ...]
    operation: str
    fill: str
    fill_value: tuple[float, ...]
    ranking: str
    control: str
    n_control: int
    seed: int


@dataclass(frozen=True)
class FeatureSettings:
    """Which layers' activations are kept, and whether as their mean over pixels ("mean") or as they
    are ("none").
    """

    layers: tuple[str, ...]
    pool: str


@dataclass(frozen=True)
class Study:
    """A study file that was read and checked.

    `transfer` and `features` are None where the file has no such table.
    """

    name: str
    path: Path
    text: str
    images: Images
    models: tuple[Model, ...]
    relevance: RelevanceSettings
    transfer: TransferSettings | None
    batch: int
    device: str
    dtype: str
    features: FeatureSettings | None = None

    @property
    def seeds(self) -> tuple[str, ...]:
        """Seeds of all models, in the order in which they are first named."""
        return tuple(dict.fromkeys(seed for model in self.models for seed in model.checkpoints))


def true_classes(model: Model, table: pd.DataFrame) -> np.ndarray:
    """Index of the true class of each row of an image table; -1 where the model has no label.

    Returns
    -------
    ndarray of int64, (image,)

    Examples
    --------
    >>> table = pd.DataFrame({"sex": ["m", "f"]}, index=["a", "b"])
    >>> model = Model(
    ...     "a",
    ...     {},
    ...     "",
    ...     {},
    ...     Preprocessing((0.0,), (1.0,), 1.0, "rgb"),
    ...     "sex",
    ...     ("f", "m"),
    ...     {},
    ...     Path(),
    ... )
    >>> true_classes(model, table).tolist()
    [1, 0]
    """
    if not model.label:
        return np.full(len(table), -1, dtype=np.int64)
    index = {name: k for k, name in enumerate(model.classes)}
    return np.array([index[label] for label in table[model.label]], dtype=np.int64)
