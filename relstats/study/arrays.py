"""Arrays and tables in, a valid study out: for maps and scores that other tools made."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from relstats.errors import InvalidData
from relstats.study import check, layout
from relstats.study.provenance import provenance
from relstats.study.variables import variables


def relevance_dataset(
    relevance: np.ndarray | xr.DataArray,
    *,
    models: pd.DataFrame | Sequence[str],
    images: pd.DataFrame | Sequence[str],
    seeds: Sequence[str] | None = None,
    available: np.ndarray | xr.DataArray | None = None,
    attrs: Mapping[str, str] | None = None,
) -> xr.Dataset:
    """The `/relevance` group from an array of maps and two tables.

    Parameters
    ----------
    relevance : ndarray or DataArray, (model, seed, image, y, x)
        Signed relevance summed over channels; any real dtype, any scale; NaN only where a network
        does not exist. A DataArray may have its dims in any order; one with coordinates is aligned
        by label, never by position.
    models : DataFrame or sequence of str
        Ids of the models (column or index `model`, or the index) and one column for each axis
        (`pretrain`, `task`, ...).
    images : DataFrame or sequence of str
        Ids of the images (column or index `image`, or the index), as text. Their labels
        (`identity`, ...) are kept by `study(images=...)`.
    seeds : sequence of str, optional
        Ids of the training runs. Default: "0", "1", ...
    available : ndarray or DataArray of bool, (model, seed), optional
        Which networks exist. Default: all. A DataArray with coordinates is aligned by label.
    attrs : mapping, optional
        How the maps were made: `composite`, `engine`, `explained_class_rule`, ...

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    InvalidData
        Sizes or labels do not fit: all problems.

    Examples
    --------
    >>> maps = np.random.default_rng(1).normal(size=(2, 3, 4, 8, 8))
    >>> models = pd.DataFrame({"model": ["a", "b"], "pretrain": ["imagenet", "vggface2"]})
    >>> relevance_dataset(maps, models=models, images=["i1", "i2", "i3", "i4"]).sizes["seed"]
    3
    """
    model_table, image_table = _table(models, "model"), _table(images, "image")
    dims = (*layout.NETWORK, "image", "y", "x")
    if not isinstance(relevance, xr.DataArray):
        relevance = _by_position(np.asarray(relevance), dims)
    seed_ids = _seeds(seeds, relevance, "seed")
    labels = {"model": list(model_table.index), "image": list(image_table.index), "seed": seed_ids}
    maps = _labelled(relevance, labels, "relevance")
    dataset = _bare(maps).rename("relevance").to_dataset().assign_attrs(attrs or {})
    dataset = dataset.assign_coords({c: ("model", _text(model_table[c], c)) for c in model_table})
    if available is not None:
        dataset["available"] = _available(available, labels["model"], seed_ids)
    return _checked(dataset, "relevance")


def transfer_dataset(
    scores: Mapping[str, np.ndarray | xr.DataArray],
    *,
    models: pd.DataFrame | Sequence[str],
    images: pd.DataFrame | Sequence[str],
    fractions: Sequence[float],
    seeds: Sequence[str] | None = None,
    available: np.ndarray | xr.DataArray | None = None,
    attrs: Mapping[str, str] | None = None,
) -> xr.Dataset:
    """The `/transfer` group from arrays of scores: every network both as the source of masks and as
    their target.

    Parameters
    ----------
    scores : mapping of str to ndarray or DataArray
        `correct`, `probability` or `margin`, (source_model, source_seed, target_model, target_seed,
        fraction, image); `unmasked_*` (target_model, target_seed, image) and `random_*`
        (target_model, target_seed, fraction, image). A DataArray may have its dims in any order;
        one with coordinates is aligned by label, never by position.
    models, images, seeds, available, attrs
        As in `relevance_dataset`.
    fractions : sequence of float
        Share of the pixels kept, in (0, 1].

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    InvalidData
        Sizes or labels do not fit: all problems.

    Examples
    --------
    >>> scores = {"probability": np.full((2, 3, 2, 3, 1, 4), 0.5)}
    >>> transfer_dataset(scores, models=["a", "b"], images=list("wxyz"), fractions=[0.1]).sizes[
    ...     "target_seed"
    ... ]
    3
    """
    model_table, image_table = _table(models, "model"), _table(images, "image")
    known = {v.name: v.dims for v in variables("transfer") if v.family}
    unknown = sorted(set(scores) - set(known))
    if unknown or not scores:
        raise InvalidData(f"scores {unknown or 'are empty'}: give any of {sorted(known)}")
    arrays = {
        n: v if isinstance(v, xr.DataArray) else _by_position(np.asarray(v), known[n])
        for n, v in scores.items()
    }
    ids = {
        "model": list(model_table.index),
        "seed": _seeds(seeds, next(iter(arrays.values())), "target_seed"),
    }
    labels: dict[str, list[str]] = {
        f"{side}_{dim}": ids[dim] for side in ("source", "target") for dim in layout.NETWORK
    }
    labels |= {"image": list(image_table.index)}
    shares = [float(f) for f in fractions]
    dataset = xr.Dataset(
        {n: _bare(_with_fractions(_labelled(a, labels, n), shares, n)) for n, a in arrays.items()}
    )
    dataset = dataset.assign_coords(fraction=shares).assign_attrs(attrs or {})
    for side in ("source", "target"):
        dataset = dataset.assign_coords(
            {f"{side}_{c}": (f"{side}_model", _text(model_table[c], c)) for c in model_table}
        )
        if available is not None:
            exists = _available(available, ids["model"], ids["seed"]).values
            dataset[f"{side}_available"] = ((f"{side}_model", f"{side}_seed"), exists)
    return _checked(dataset, "transfer")


def study(
    *,
    relevance: xr.Dataset | None = None,
    transfer: xr.Dataset | None = None,
    images: pd.DataFrame | None = None,
    name: str = "",
) -> xr.DataTree:
    """A study from its groups, ready for `relstats.compare` and `relstats.save_study`.

    Parameters
    ----------
    relevance, transfer : Dataset, optional
        From `relevance_dataset` and `transfer_dataset`.
    images : DataFrame, optional
        Ids of the images and labels of them, as text.
    name : str
        What the study is called.

    Returns
    -------
    xarray.DataTree

    Raises
    ------
    InvalidData
        The groups do not fit together: all problems.

    Examples
    --------
    >>> maps = np.random.default_rng(1).normal(size=(2, 3, 4, 8, 8))
    >>> group = relevance_dataset(maps, models=["a", "b"], images=list("wxyz"))
    >>> list(study(relevance=group).children)
    ['relevance']
    """
    groups = {"relevance": relevance, "transfer": transfer}
    datasets = {group: dataset for group, dataset in groups.items() if dataset is not None}
    if images is not None:
        table = _table(images, "image")
        index = {"image": np.array(list(table.index), dtype=object)}
        datasets["images"] = xr.Dataset(
            coords={**index, **{str(c): ("image", _text(table[c], c)) for c in table}}
        )
    attrs = {"relstats_schema": layout.SCHEMA_VERSION, "name": name, **provenance()}
    tree = xr.DataTree.from_dict({"/": xr.Dataset(attrs=attrs), **datasets})
    problems = check.check(tree)
    if problems:
        raise InvalidData("; ".join(str(p) for p in problems))
    return tree


def _table(table: pd.DataFrame | Sequence[str], name: str) -> pd.DataFrame:
    """A table indexed by text ids, with columns that can be names of variables."""
    if not isinstance(table, pd.DataFrame):
        table = pd.DataFrame(index=pd.Index(list(table), dtype=object))
    elif name in table:
        table = table.set_index(name)
    unusable = [
        column for column in table.columns if not re.fullmatch(r"[^\W\d][\w-]{0,79}", str(column))
    ]
    if unusable:
        raise InvalidData(
            f"column(s) {unusable!r} of the table of {name}s become names in the store: use"
            " letters, digits, '_' and '-', at most 80, a letter first"
        )
    wrong = [label for label in table.index if not isinstance(label, str)]
    if wrong:
        raise InvalidData(
            f"{name} ids must be text, got {wrong[:3]!r} ({len(wrong)} of {len(table)}): "
            "read the table with dtype=str, keep_default_na=False; '007' is not 7"
        )
    return table


def _text(column: pd.Series, name: object) -> np.ndarray:
    wrong = [v for v in column if not isinstance(v, str)]
    if wrong:
        raise InvalidData(
            f"labels of column {name!r} must be text, got {wrong[:3]!r}: convert them with"
            " .astype(str)"
        )
    return np.array(list(column), dtype=object)


def _by_position(values: np.ndarray, dims: tuple[str, ...]) -> xr.DataArray:
    if values.ndim == len(dims):
        return xr.DataArray(values, dims=dims)
    hint = (
        ". Sum relevance over channels first: .sum(axis)"
        if values.ndim == len(dims) + 1 and "y" in dims
        else ""
    )
    raise InvalidData(
        f"array of shape {values.shape} has {values.ndim} dims; {len(dims)} are expected:"
        f" ({', '.join(dims)}){hint}"
    )


def _seeds(seeds: Sequence[str] | None, array: xr.DataArray, dim: str) -> list[str]:
    """Ids of the training runs: those given, those of the array, or "0", "1", ..."""
    if seeds is not None:
        return _require_text(list(seeds), "seed")
    if dim in array.coords and dim in array.dims:
        return _require_text(array[dim].values.tolist(), "seed")
    return [str(k) for k in range(array.sizes.get(dim, 0))]


def _require_text(ids: list[str], name: str) -> list[str]:
    wrong = [label for label in ids if not isinstance(label, str)]
    if wrong:
        raise InvalidData(
            f"{name} ids must be text, got {wrong[:3]!r} ({len(wrong)} of {len(ids)}): "
            "convert them with .astype(str); '007' is not 7"
        )
    return ids


def _labelled(array: xr.DataArray, labels: Mapping[str, list[str]], name: str) -> xr.DataArray:
    """Put labels on an array: by label where it has some, by position where it has none."""
    for dim, ids in labels.items():
        if dim not in array.dims:
            continue
        if dim in array.coords:
            array = _in_order(array, dim, ids, name)
        elif array.sizes[dim] != len(ids):
            raise InvalidData(
                f"{name} has {array.sizes[dim]} entries on {dim}, but {len(ids)} labels are given. "
                "Give one label for each"
            )
        array = array.assign_coords({dim: np.array(ids, dtype=object)})
    return array


def _in_order(array: xr.DataArray, dim: str, ids: list[str], name: str) -> xr.DataArray:
    has = _require_text(array[dim].values.tolist(), f"{name}: {dim}")
    if len(set(has)) < len(has):
        twice = [label for label, count in Counter(has).items() if count > 1]
        raise InvalidData(
            f"{name} has {len(twice)} duplicate id(s) on {dim} (e.g. {twice[:3]!r}). Make ids"
            f" unique, or average them yourself: .groupby({dim!r}).mean()"
        )
    problems = check.disagreement(set(has), set(ids), name, f"the table of {dim}s")
    if problems:
        raise InvalidData(str(problems[0]).replace("image labels", f"{dim} labels"))
    position = {label: k for k, label in enumerate(has)}
    return array.isel({dim: [position[label] for label in ids]})


def _with_fractions(array: xr.DataArray, fractions: list[float], name: str) -> xr.DataArray:
    if "fraction" not in array.dims:
        return array
    if "fraction" in array.coords:
        has = array["fraction"].values.tolist()
        if sorted(has) != sorted(fractions):
            raise InvalidData(
                f"{name} has fractions {has}, but {fractions} are given. Give those of the array"
            )
        return array.isel(fraction=[has.index(f) for f in fractions])
    if array.sizes["fraction"] != len(fractions):
        raise InvalidData(
            f"{name} has {array.sizes['fraction']} entries on fraction, but {len(fractions)}"
            " fractions are given. Give one share of the pixels for each"
        )
    return array


def _bare(array: xr.DataArray) -> xr.DataArray:
    """Without coordinates that are no labels of a dim: axes and labels come from the tables."""
    return array.drop_vars(
        [name for name in array.coords if name not in array.dims or name == "fraction"]
    )


def _available(
    available: np.ndarray | xr.DataArray, models: list[str], seeds: list[str]
) -> xr.DataArray:
    if not isinstance(available, xr.DataArray):
        available = np.asarray(available)
        if available.shape != (len(models), len(seeds)):
            raise InvalidData(
                f"available has shape {available.shape}, not (model, seed) ="
                f" {(len(models), len(seeds))}"
            )
        available = xr.DataArray(available, dims=layout.NETWORK)
    if available.dtype.kind not in "buif" or not np.isin(available.values, (0, 1)).all():
        raise InvalidData(
            f"available is of dtype {available.dtype} and holds more than True and False (e.g."
            f" {available.values.ravel()[:3].tolist()}): text or NaN would be taken for True. Give"
            " bool"
        )
    return (
        _bare(_labelled(available, {"model": models, "seed": seeds}, "available"))
        .transpose(*layout.NETWORK)
        .astype(bool)
    )


def _checked(dataset: xr.Dataset, group: str) -> xr.Dataset:
    problems = check.check_group(dataset, group)
    if problems:
        raise InvalidData("; ".join(str(problem) for problem in problems))
    return dataset
