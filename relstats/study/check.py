"""What is wrong with a study: every group and variable against the layout, all problems at once."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from relstats.study import layout
from relstats.study.variables import Variable, layer_variable, variables

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
    present = [name for name in layout.GROUPS if name in study.children]
    problems = _check_version(study)
    if not set(layout.DATA_GROUPS) & set(present):
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
        layer_variable(name) for name in layout.layers(dataset) if group == "features"
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
    if array.dtype.kind not in layout.KINDS[spec.dtype]:
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
        for g in layout.IMAGE_GROUPS
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
    version = study.attrs.get("relstats_schema", layout.SCHEMA_VERSION)
    if isinstance(version, (int, np.integer)) and 1 <= version <= layout.SCHEMA_VERSION:
        return []
    do = (
        f"This relstats reads versions 1 to {layout.SCHEMA_VERSION}: upgrade relstats"
        if isinstance(version, int)
        else ("Write it as an integer")
    )
    return [Problem("/", f"relstats_schema is {version!r}", do)]


def _first(values: Sequence[object] | np.ndarray, n: int = 3) -> tuple[str, ...]:
    return tuple(
        repr(v) for v in (values.tolist() if isinstance(values, np.ndarray) else list(values))[:n]
    )
