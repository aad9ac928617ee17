"""The variables of a study: dims, dtype, range and meaning of each, group by group.

Adding a variable is one line in `VARIABLES`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from relstats.study.layout import (
    BEHAVIOUR,
    FAMILIES,
    HUMAN,
    HUMAN_MAPS,
    NETWORK,
    REGIONS,
    SOURCE,
    SUFFICIENCY,
    TARGET,
)

_MAP = (*NETWORK, "image", "y", "x")
_CELL = (*NETWORK, "image")
_TRANSFER = (*SOURCE, *TARGET, "fraction", "image")
_UNMASKED = (*TARGET, "image")
_RANDOM = (*TARGET, "fraction", "image")
_CHOICE = (*NETWORK, "operation", "choice", "image")


@dataclass(frozen=True)
class Variable:
    """What the layout says of one variable.

    `family` names the unit in which it is written (see `FAMILIES`).
    """

    group: str
    name: str
    dims: tuple[str, ...]
    dtype: str
    prose: str
    required: bool = False
    family: str | None = None
    low: float | None = None
    high: float | None = None
    optional_dims: tuple[str, ...] = ()


def _scores(prefix: str, dims: tuple[str, ...], family: str, about: str) -> tuple[Variable, ...]:
    correct = "float16" if prefix == "random_" else "uint8"
    return (
        Variable(
            "transfer",
            f"{prefix}correct",
            dims,
            correct,
            f"right class named, {about}",
            False,
            family,
            0,
            1,
        ),
        Variable(
            "transfer",
            f"{prefix}probability",
            dims,
            "float16",
            f"probability of the true class, {about}",
            False,
            family,
            0,
            1,
        ),
        Variable(
            "transfer",
            f"{prefix}margin",
            dims,
            "float16",
            f"margin of the true class, {about}",
            False,
            family,
        ),
    )


def _sufficiency(name: str, about: str, high: float | None = None) -> tuple[Variable, ...]:
    low = None if high is None else 0
    return (
        Variable(
            SUFFICIENCY,
            name,
            _CHOICE,
            "float16",
            f"{about}, of the masked image, mean over masks",
            False,
            SUFFICIENCY,
            low,
            high,
        ),
        Variable(
            SUFFICIENCY,
            f"unmasked_{name}",
            _CELL,
            "float16",
            f"{about}, of the whole image",
            False,
            SUFFICIENCY,
            low,
            high,
        ),
    )


VARIABLES = (
    Variable("images", "image", ("image",), "str", "id of an image, unique", True),
    Variable(
        "images", "pixels", ("image", "y", "x", "channel"), "uint8", "the image, for overlays"
    ),
    Variable("images", "sha256", ("image",), "str", "sha256 of the image file"),
    Variable(
        "relevance",
        "model",
        ("model",),
        "str",
        "a condition: architecture, pretraining, task, ...",
        True,
    ),
    Variable("relevance", "seed", ("seed",), "str", "which training run of a model", True),
    Variable("relevance", "image", ("image",), "str", "id of an image, unique", True),
    Variable(
        "relevance",
        "relevance",
        _MAP,
        "float32",
        "signed relevance, summed over channels",
        True,
        "relevance",
    ),
    Variable(
        "relevance", "available", NETWORK, "bool", "which networks exist (seeds may be unequal)"
    ),
    Variable(
        "relevance",
        "explained_class",
        _CELL,
        "int32",
        "index of the class explained",
        False,
        "relevance",
    ),
    Variable(
        "relevance",
        "prediction",
        _CELL,
        "int32",
        "index of the class predicted",
        False,
        "relevance",
    ),
    Variable(
        "relevance", "logit", _CELL, "float32", "logit of the explained class", False, "relevance"
    ),
    Variable(
        "relevance", "probability", _CELL, "float32", "its probability", False, "relevance", 0, 1
    ),
    Variable(
        "relevance",
        "correct",
        _CELL,
        "uint8",
        "the unmasked image is classified right",
        False,
        "relevance",
        0,
        1,
    ),
    Variable(
        "relevance",
        "conservation",
        _CELL,
        "float32",
        "sum of relevance / logit",
        False,
        "relevance",
    ),
    Variable(
        "relevance",
        "absorbed",
        _CELL,
        "float32",
        "share of the relevance that biases took, / logit",
        False,
        "relevance",
    ),
    Variable("relevance", "checkpoint_sha256", NETWORK, "str", "sha256 of the checkpoint file"),
    Variable(
        "transfer",
        "source_model",
        ("source_model",),
        "str",
        "model whose map chose the pixels",
        True,
    ),
    Variable("transfer", "source_seed", ("source_seed",), "str", "its training run", True),
    Variable(
        "transfer",
        "target_model",
        ("target_model",),
        "str",
        "model that classifies the masked image",
        True,
    ),
    Variable("transfer", "target_seed", ("target_seed",), "str", "its training run", True),
    Variable(
        "transfer",
        "fraction",
        ("fraction",),
        "float64",
        "share of the pixels kept",
        True,
        None,
        0,
        1,
    ),
    Variable("transfer", "image", ("image",), "str", "id of an image, unique", True),
    Variable("transfer", "source_available", SOURCE, "bool", "which source networks exist"),
    Variable("transfer", "target_available", TARGET, "bool", "which target networks exist"),
    *_scores("", _TRANSFER, "transfer", "the image masked by the source's map"),
    *_scores("unmasked_", _UNMASKED, "controls", "the whole image"),
    *_scores("random_", _RANDOM, "controls", "control masks of the same area, mean over masks"),
    Variable("features", "model", ("model",), "str", "a condition", True),
    Variable("features", "seed", ("seed",), "str", "which training run of a model", True),
    Variable("features", "image", ("image",), "str", "id of an image, unique", True),
    Variable("features", "layer", ("layer",), "str", "name of a variable of this group"),
    Variable(
        "features",
        "n_features",
        ("model", "layer"),
        "int32",
        "how many features a model has there; beyond them NaN",
    ),
    Variable(
        "features", "available", NETWORK, "bool", "which networks exist (seeds may be unequal)"
    ),
    Variable(
        SUFFICIENCY, "model", ("model",), "str", "model that classifies the masked image", True
    ),
    Variable(SUFFICIENCY, "seed", ("seed",), "str", "its training run", True),
    Variable(SUFFICIENCY, "image", ("image",), "str", "id of an image, unique", True),
    Variable(
        SUFFICIENCY,
        "operation",
        ("operation",),
        "str",
        "what is done with the pixels: keep (only they), or remove",
        True,
    ),
    Variable(
        SUFFICIENCY,
        "choice",
        ("choice",),
        "str",
        "which pixels: shared, own, image_swap, random",
        True,
    ),
    Variable(
        SUFFICIENCY,
        "available",
        NETWORK,
        "bool",
        "which networks are scored; they are placed as in /relevance",
    ),
    Variable(
        SUFFICIENCY,
        "area",
        ("image",),
        "float64",
        "share of the pixels in the set that a network is shown; NaN where there is none",
        True,
        None,
        0,
        1,
        optional_dims=NETWORK,
    ),
    *_sufficiency("correct", "right class named", 1),
    *_sufficiency("probability", "probability of the true class", 1),
    *_sufficiency("margin", "margin of the true class"),
    Variable(
        HUMAN,
        "dissimilarity",
        ("participant", "pair"),
        "float32",
        "judged dissimilarity of two images",
    ),
    Variable(
        HUMAN_MAPS,
        "participant",
        ("participant",),
        "str",
        "who made a map, or a group of people",
        True,
    ),
    Variable(HUMAN_MAPS, "image", ("image",), "str", "id of an image, unique", True),
    Variable(
        HUMAN_MAPS,
        "map",
        ("participant", "image", "y", "x"),
        "float32",
        "weight of each pixel for a person; NaN throughout where there is no map",
        True,
    ),
    Variable(BEHAVIOUR, "participant", ("participant",), "str", "who chose", True),
    Variable(BEHAVIOUR, "image", ("image",), "str", "id of an image, unique", True),
    Variable(
        BEHAVIOUR,
        "choice",
        ("participant", "image"),
        "str",
        "class that a person chose; empty where none",
        True,
    ),
    Variable(REGIONS, "region", ("region",), "str", "name of a region, unique"),
    Variable(
        REGIONS,
        "mask",
        ("region", "y", "x"),
        "bool",
        "pixels of a region",
        False,
        None,
        optional_dims=("image",),
    ),
)


def variables(group: str, family: str | None = None) -> list[Variable]:
    """Variables of a group, or only those of one family.

    Examples
    --------
    >>> [v.name for v in variables("relevance", "relevance")][:2]
    ['relevance', 'explained_class']
    """
    return [v for v in VARIABLES if v.group == group and (family is None or v.family == family)]


def layer_variable(name: str) -> Variable:
    """The variable of `/features` that holds a layer: each layer has a number of features of its
    own.

    Examples
    --------
    >>> layer_variable("avgpool").dims
    ('model', 'seed', 'image', 'avgpool_feature')
    """
    return Variable(
        "features",
        name,
        (*_CELL, f"{name}_feature"),
        "float32",
        f"activations of {name}",
        False,
        "features",
    )


def family_variables(family: str, names: Iterable[str]) -> list[Variable]:
    """Those of some names that are written in a family.

    Layers have the names that a study gives them.

    Examples
    --------
    >>> [v.name for v in family_variables("relevance", ["relevance", "available"])]
    ['relevance']
    """
    if family == "features":
        return [layer_variable(name) for name in names]
    return [v for v in variables(FAMILIES[family].group, family) if v.name in set(names)]
