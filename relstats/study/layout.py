"""The study layout: every group, variable, dim, unit and attribute, and the check of them all.

This is the only home of these names. A study is one Zarr v3 store, opened as an `xarray.DataTree`.
Adding a variable is one line in `VARIABLES`.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

#: Every pixel that is in no region.
REST = "rest"
SCHEMA_VERSION = 1

NETWORK = ("model", "seed")
SOURCE = ("source_model", "source_seed")
TARGET = ("target_model", "target_seed")
IMAGE_BLOCK = "image_block"
DIGEST_BYTE = "digest_byte"


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


@dataclass(frozen=True)
class Family:
    """Variables that are written together: one shard of each for one cell (`outer`) and one block
    of images.
    """

    group: str
    outer: tuple[str, ...]
    images_per_shard: int


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a study: where, what, how many, the first examples and what to do."""

    where: str
    what: str
    do: str
    count: int = 1
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        shown = f" (e.g. {', '.join(self.examples)})" if self.examples else ""
        return f"{self.where}: {self.what}{shown}. {self.do}"


FAMILIES = {
    "relevance": Family("relevance", NETWORK, 100),
    "transfer": Family("transfer", SOURCE + TARGET, 500),
    "controls": Family("transfer", TARGET, 500),
    "features": Family("features", NETWORK, 100),
    "sufficiency": Family("sufficiency", NETWORK, 500),
}

_MAP = (*NETWORK, "image", "y", "x")
_CELL = (*NETWORK, "image")
_TRANSFER = (*SOURCE, *TARGET, "fraction", "image")
_UNMASKED = (*TARGET, "image")
_RANDOM = (*TARGET, "fraction", "image")


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


#: What is done with a set of pixels, and which sets: the shared one, and of its area each network's
#: own most relevant pixels, those that networks share on another image, and random ones.
OPERATIONS = ("keep", "remove")
CHOICES = ("shared", "own", "image_swap", "random")
_CHOICE = (*NETWORK, "operation", "choice", "image")


def _sufficiency(name: str, about: str, high: float | None = None) -> tuple[Variable, ...]:
    low = None if high is None else 0
    return (
        Variable(
            "sufficiency",
            name,
            _CHOICE,
            "float16",
            f"{about}, of the masked image, mean over masks",
            False,
            "sufficiency",
            low,
            high,
        ),
        Variable(
            "sufficiency",
            f"unmasked_{name}",
            _CELL,
            "float16",
            f"{about}, of the whole image",
            False,
            "sufficiency",
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
        "sufficiency", "model", ("model",), "str", "model that classifies the masked image", True
    ),
    Variable("sufficiency", "seed", ("seed",), "str", "its training run", True),
    Variable("sufficiency", "image", ("image",), "str", "id of an image, unique", True),
    Variable(
        "sufficiency",
        "operation",
        ("operation",),
        "str",
        "what is done with the pixels: keep (only they), or remove",
        True,
    ),
    Variable(
        "sufficiency",
        "choice",
        ("choice",),
        "str",
        "which pixels: shared, own, image_swap, random",
        True,
    ),
    Variable(
        "sufficiency",
        "available",
        NETWORK,
        "bool",
        "which networks are scored; they are placed as in /relevance",
    ),
    Variable(
        "sufficiency",
        "area",
        ("image",),
        "float64",
        "share of the pixels in the shared set; NaN for an image without one",
        True,
        None,
        0,
        1,
    ),
    *_sufficiency("correct", "right class named", 1),
    *_sufficiency("probability", "probability of the true class", 1),
    *_sufficiency("margin", "margin of the true class"),
    Variable(
        "human",
        "dissimilarity",
        ("participant", "pair"),
        "float32",
        "judged dissimilarity of two images",
    ),
    Variable(
        "human_maps",
        "participant",
        ("participant",),
        "str",
        "who made a map, or a group of people",
        True,
    ),
    Variable("human_maps", "image", ("image",), "str", "id of an image, unique", True),
    Variable(
        "human_maps",
        "map",
        ("participant", "image", "y", "x"),
        "float32",
        "weight of each pixel for a person; NaN throughout where there is no map",
        True,
    ),
    Variable("behaviour", "participant", ("participant",), "str", "who chose", True),
    Variable("behaviour", "image", ("image",), "str", "id of an image, unique", True),
    Variable(
        "behaviour",
        "choice",
        ("participant", "image"),
        "str",
        "class that a person chose; empty where none",
        True,
    ),
    Variable("regions", "region", ("region",), "str", "name of a region, unique"),
    Variable(
        "regions",
        "mask",
        ("region", "y", "x"),
        "bool",
        "pixels of a region",
        False,
        None,
        optional_dims=("image",),
    ),
)

#: Groups that relstats knows. Others are left alone.
GROUPS = (
    "images",
    "relevance",
    "transfer",
    "sufficiency",
    "features",
    "human",
    "human_maps",
    "behaviour",
    "regions",
    "manifest",
    "results",
)
#: Groups with images: they have the same ones, in any order.
IMAGE_GROUPS = ("images", "relevance", "transfer", "sufficiency", "features", "regions")
#: What a missing value looks like on disk: never a value that could be real.
FILL = {"float32": float("nan"), "float16": float("nan"), "uint8": 255, "int32": -1}
_KNOWN_OTHER_NAMES = {
    "H": "y",
    "W": "x",
    "height": "y",
    "width": "x",
    "row": "y",
    "col": "x",
    "images": "image",
    "models": "model",
    "seeds": "seed",
    "h": "y",
    "w": "x",
    "stimulus": "image",
}
_KINDS = {
    "str": "TUO",
    "bool": "b",
    "uint8": "buif",
    "int32": "iuf",
    "float16": "fiub",
    "float32": "fiu",
    "float64": "fiu",
}


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


def layers(dataset: xr.Dataset) -> list[str]:
    """Names of the variables of a group that are layers.

    Examples
    --------
    >>> layers(xr.Dataset({"conv": (("image", "conv_feature"), np.zeros((1, 2)))}))
    ['conv']
    """
    return [
        str(name) for name, array in dataset.data_vars.items() if f"{name}_feature" in array.dims
    ]


def axes(dataset: xr.Dataset, prefix: str = "") -> dict[str, np.ndarray]:
    """Axis labels of the models: every text coordinate on `model` (or `source_model`, ...

    With `prefix`).

    Parameters
    ----------
    dataset : xarray.Dataset
        The `/relevance` group, or `/transfer` with `prefix` "source_" or "target_".

    Returns
    -------
    dict of str to ndarray
        Axis name (without the prefix) to the level of each model.

    Examples
    --------
    >>> axes(xr.Dataset(coords={"model": ["a", "b"], "task": ("model", ["gender", "identity"])}))[
    ...     "task"
    ... ].tolist()
    ['gender', 'identity']
    """
    dim = f"{prefix}model"
    found = {}
    for name in sorted(dataset.coords, key=str):  # xarray keeps them in a set
        coord = dataset.coords[name]
        if name != dim and coord.dims == (dim,) and coord.dtype.kind in _KINDS["str"]:
            found[str(name).removeprefix(prefix)] = np.array(
                [str(v) for v in coord.values], dtype=object
            )
    return found


def check(study: xr.DataTree) -> list[Problem]:
    """All problems of a study's layout and labels, at once. Values are checked where they are read.

    Parameters
    ----------
    study : xarray.DataTree
        The groups of a study.

    Returns
    -------
    list of Problem
        Empty where the study is valid.

    Examples
    --------
    >>> print(check(xr.DataTree())[0])
    /: no group with data (got none). A study has at least /relevance or /transfer: see
    relstats.relevance_dataset
    """
    present = [name for name in GROUPS if name in study.children]
    problems = _check_version(study)
    if not {"relevance", "transfer", "features", "human", "human_maps", "behaviour"} & set(present):
        got = ", ".join(f"/{name}" for name in study.children) or "none"
        problems.append(
            Problem(
                "/",
                f"no group with data (got {got})",
                "A study has at least /relevance or /transfer: see relstats.relevance_dataset",
            )
        )
    for group in present:
        if variables(group):
            problems += check_group(study[group].to_dataset(), group)
    return problems + _check_images_agree(study)


def check_group(dataset: xr.Dataset, group: str) -> list[Problem]:
    """All problems of one group: missing variables, dims, kinds, empty dims, labels.

    Examples
    --------
    >>> maps = xr.Dataset(
    ...     {"relevance": (("model", "seed", "image", "H", "W"), np.zeros((1, 1, 1, 2, 2)))}
    ... )
    >>> print(check_group(maps, "relevance")[-1])
    /relevance/relevance: dims are (model, seed, image, H, W), not (model, seed, image, y, x).
    Rename them: .rename({'H': 'y', 'W': 'x'})
    """
    problems = []
    for spec in variables(group) + [
        layer_variable(name) for name in layers(dataset) if group == "features"
    ]:
        where = f"/{group}/{spec.name}"
        if spec.name in dataset.variables:
            problems += _check_variable(dataset[spec.name], spec, where)
        elif spec.required:
            got = ", ".join(str(name) for name in dataset.variables) or "nothing"
            problems.append(
                Problem(
                    where,
                    f"missing: {spec.prose} (got {got})",
                    f"Add it with dims {_dims(spec.dims)}",
                )
            )
    problems += _check_names(dataset, group) + _check_axes(dataset, group)
    for dim, size in dataset.sizes.items():
        if size == 0:
            problems.append(
                Problem(f"/{group}", f"dim {dim!r} has size 0", "Give it at least one entry")
            )
    return problems


def _check_names(dataset: xr.Dataset, group: str) -> list[Problem]:
    """A name becomes a folder of the store."""
    bad = [
        str(n)
        for n in dataset.variables
        if not str(n)
        or "/" in str(n)
        or "\0" in str(n)
        or str(n).strip(".") == ""
        or str(n).startswith("__")
        or str(n) == "zarr.json"
        or len(str(n).encode()) > 200
    ]
    if not bad:
        return []
    return [
        Problem(
            f"/{group}",
            f"{len(bad)} name(s) of axes or variables cannot be folders",
            "Rename them with letters, digits and _",
            len(bad),
            _first(bad),
        )
    ]


def _check_axes(dataset: xr.Dataset, group: str) -> list[Problem]:
    """Labels of the models that are not text are no axes: networks that differ on them would be
    mixed without a word.
    """
    problems = []
    for name, coord in dataset.coords.items():
        on_models = (
            coord.ndim == 1 and str(coord.dims[0]).endswith("model") and name not in dataset.dims
        )
        if not on_models or str(name).endswith("n_classes"):
            continue
        wrong = [v for v in coord.values.tolist() if not isinstance(v, str)]
        if wrong:
            problems.append(
                Problem(
                    f"/{group}/{name}",
                    f"{len(wrong)} label(s) of models are not text (dtype {coord.dtype})",
                    "Axes are text: convert with .astype(str)",
                    len(wrong),
                    _first(wrong),
                )
            )
    return problems


def _dims(names: Iterable[Hashable]) -> str:
    return f"({', '.join(str(name) for name in names)})"


def _check_variable(array: xr.DataArray, spec: Variable, where: str) -> list[Problem]:
    problems = _check_dims(array, spec, where)
    if array.dtype.kind not in _KINDS[spec.dtype]:
        problems.append(
            Problem(
                where, f"dtype {array.dtype} is not {spec.dtype}", f"Convert it to {spec.dtype}"
            )
        )
    elif spec.dtype == "str" and array.ndim == 1:
        problems += _check_labels(array, spec, where)
    elif spec.name == "fraction" and array.size:
        wrong = array.values[~((array.values > 0) & (array.values <= 1))]
        if wrong.size:
            problems.append(
                Problem(
                    where,
                    f"{wrong.size} value(s) outside (0, 1]",
                    "Give shares of the pixels",
                    wrong.size,
                    _first(wrong),
                )
            )
        elif len(set(array.values.tolist())) < array.size:
            problems.append(
                Problem(
                    where,
                    "a share is there twice, and would count twice in the mean",
                    "Give each share of the pixels once",
                    array.size,
                    _first(array.values),
                )
            )
    return problems


def _check_dims(array: xr.DataArray, spec: Variable, where: str) -> list[Problem]:
    got, want = set(array.dims), set(spec.dims)
    if want <= got <= want | set(spec.optional_dims):
        return []
    what = f"dims are {_dims(array.dims)}, not {_dims(spec.dims)}"
    extra, lacking = (
        [str(d) for d in array.dims if d not in want],
        [d for d in spec.dims if d not in got],
    )
    guess = {d: _KNOWN_OTHER_NAMES[d] for d in extra if _KNOWN_OTHER_NAMES.get(d) in lacking}
    others = [d for d in extra if d not in guess], [d for d in lacking if d not in guess.values()]
    if len(others[0]) == len(others[1]):
        guess |= dict(zip(*others, strict=True))
        others = [], []
    steps = [f"Rename them: .rename({guess})"] if guess else []
    if others[0]:
        how = f"relevance is the sum over channels, .sum({others[0][0]!r})"
        steps.append(f"Reduce {_dims(others[0])} yourself and say how: {how}")
    if others[1]:
        steps.append(f"Add {_dims(others[1])}")
    return [Problem(where, what, ". ".join(steps))]


def _check_labels(array: xr.DataArray, spec: Variable, where: str) -> list[Problem]:
    values = array.values
    not_text = [v for v in values.tolist() if not isinstance(v, str)]
    if not_text:
        return [
            Problem(
                where,
                f"{len(not_text)} label(s) are not text",
                "Write ids as text: '007' is not 7",
                len(not_text),
                _first(not_text),
            )
        ]
    if spec.dims != (spec.name,):
        return []
    twice = [label for label, count in Counter(values.tolist()).items() if count > 1]
    if not twice:
        return []
    do = f"Make ids unique, or average them yourself: .groupby({spec.name!r}).mean()"
    return [Problem(where, f"{len(twice)} duplicate id(s)", do, len(twice), _first(twice))]


def _check_images_agree(study: xr.DataTree) -> list[Problem]:
    sets = {
        g: _labels(study, g)
        for g in IMAGE_GROUPS
        if g in study.children and "image" in study[g].coords
    }
    names = list(sets)
    return [
        p
        for a, b in itertools.pairwise(names)
        for p in disagreement(sets[a], sets[b], f"/{a}", f"/{b}")
    ]


def _labels(study: xr.DataTree, group: str) -> set[str]:
    return {str(label) for label in study[group].to_dataset()["image"].values}


def disagreement(left: set[str], right: set[str], left_name: str, right_name: str) -> list[Problem]:
    """The problem of two sets of labels that should be the same, with what is missing on both
    sides.

    Examples
    --------
    >>> print(disagreement({"7"}, {"007"}, "/images", "/relevance")[0])
    image labels of /images and /relevance: 1 only in /images ('7'), 1 only in /relevance ('007').
    Labels are text and must be equal ('007' is not '7'): mend them, or keep the common ones on
    purpose
    """
    if left == right:
        return []
    only = [(left_name, sorted(left - right)), (right_name, sorted(right - left))]
    what = ", ".join(
        f"{len(ids)} only in {name}" + (f" ({', '.join(_first(ids))})" if ids else "")
        for name, ids in only
    )
    do = (
        "Labels are text and must be equal ('007' is not '7'): mend them, or keep the common ones"
        " on purpose"
    )
    return [
        Problem(
            f"image labels of {left_name} and {right_name}",
            what,
            do,
            sum(len(ids) for _, ids in only),
        )
    ]


def _check_version(study: xr.DataTree) -> list[Problem]:
    version = study.attrs.get("relstats_schema", SCHEMA_VERSION)
    if isinstance(version, (int, np.integer)) and 1 <= version <= SCHEMA_VERSION:
        return []
    do = (
        f"This relstats reads versions 1 to {SCHEMA_VERSION}: upgrade relstats"
        if isinstance(version, int)
        else ("Write it as an integer")
    )
    return [Problem("/", f"relstats_schema is {version!r}", do)]


def _first(values: Sequence[object] | np.ndarray, n: int = 3) -> tuple[str, ...]:
    return tuple(
        repr(v) for v in (values.tolist() if isinstance(values, np.ndarray) else list(values))[:n]
    )
