"""A study in memory, or lazy, is written shard by shard: its values are checked on the way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from relstats.errors import InvalidData
from relstats.study import atomic, check, layout, shards, writing
from relstats.study.variables import Variable, family_variables


def save_study(study: xr.DataTree, path: str | Path, *, force: bool = False) -> None:
    """Write a study, shard by shard; an interrupted call is resumed by the same call.

    Parameters
    ----------
    study : xarray.DataTree
        From `relstats.study`, or opened from elsewhere. Arrays may be lazy: one shard is in memory
        at a time.
    path : str or Path
        Where to. An existing complete study is not overwritten without `force`.

    Raises
    ------
    InvalidData
        The study breaks rules of the layout (all problems), or relevance is infinite.
    UsageError
        A study with other labels or other data is at `path`.

    Examples
    --------
    >>> import tempfile, relstats
    >>> study = relstats.simulate(
    ...     models="2x1", seeds=3, images=4, size=8, rng=np.random.default_rng(1)
    ... )
    >>> save_study(study, tempfile.mkdtemp() + "/copy.zarr")
    """
    problems = check.check(study)
    if problems:
        raise InvalidData(
            f"{len(problems)} problem(s) with this study:" + "".join(f"\n  {p}" for p in problems)
        )
    path = Path(path)
    if force and path.exists():
        return _save_over(study, path)
    groups = {
        g: study[g].to_dataset()
        for g in layout.GROUPS
        if g in study.children and g not in ("manifest", "results")
    }
    for group, dataset in groups.items():  # all of them before anything is written
        if (path / group / "zarr.json").exists():
            writing.require_same_plan(path, group, _plan_of(dataset, _streamed(dataset, group)))
    writing.begin_study(path, {str(k): v for k, v in study.attrs.items()})
    for group, dataset in groups.items():
        _save_group(dataset, path, group)
    shards.sweep(path)


def _save_over(study: xr.DataTree, path: Path) -> None:
    """The old study goes only when the new one is whole: it may be the very one that is read."""
    writing.require_removable(path)
    with atomic.scratch(path) as scratch:
        save_study(study, scratch / "new")
        atomic.replace(scratch / "new", path, scratch / "old")


def _streamed(dataset: xr.Dataset, group: str) -> dict[str, list[str]]:
    """The variables of each family that a group has."""
    there = (
        layout.layers(dataset) if group == "features" else [str(name) for name in dataset.variables]
    )
    names = {
        family: [v.name for v in family_variables(family, there)]
        for family, info in layout.FAMILIES.items()
        if info.group == group
    }
    return {family: found for family, found in names.items() if found}


def _save_group(dataset: xr.Dataset, path: str | Path, group: str) -> None:
    streamed = _streamed(dataset, group)
    plan = _plan_of(dataset, streamed)
    writing.add_group(
        path,
        group,
        dataset.drop_attrs(deep=False).assign_attrs(_lasting(dataset.attrs)),
        streamed,
        plan,
    )
    for family, names in streamed.items():
        for shard in shards.expected(path, family):
            shards.write_shard(
                path, shard, {name: _shard_values(dataset[name], shard, name) for name in names}
            )


def _lasting(attrs: Mapping[str, object]) -> dict[str, object]:
    return {str(k): v for k, v in attrs.items() if k != "relstats_plan"}


def _plan_of(dataset: xr.Dataset, streamed: Mapping[str, Sequence[str]]) -> str:
    """Labels, sizes and small variables, as a digest: a resumed save must have the same, or maps
    get the labels of others.
    """
    large = [name for names in streamed.values() for name in names]
    digest = hashlib.sha256(
        json.dumps([streamed, _lasting(dataset.attrs)], default=str, sort_keys=True).encode()
    )
    for name in sorted(map(str, dataset.variables)):
        array = dataset[name]
        dims = {str(d): array.sizes[d] for d in sorted(array.dims, key=str)}
        digest.update(json.dumps([name, dims]).encode())
        if name not in large:
            values = array.transpose(*dims).values
            digest.update(
                json.dumps(values.tolist(), default=str).encode()
                if values.dtype.kind in "OUT"
                else values.tobytes()
            )
    return f"saved from arrays, labels {digest.hexdigest()[:16]}"


def _shard_values(array: xr.DataArray, shard: shards.Shard, name: str) -> np.ndarray:
    (spec,) = family_variables(shard.family, [name])
    part = array.transpose(*spec.dims)[shard.cell].isel(image=shard.images)
    values = part.values
    where = f"{name} of {shards.describe(array.to_dataset(name=name), shard)}"
    _check_values(values[~np.isnan(values)], spec, where)
    if spec.dtype in ("uint8", "int32"):
        return np.where(np.isnan(values), layout.FILL[spec.dtype], values).astype(spec.dtype)
    with np.errstate(over="ignore"):  # an overflow is an infinite value, and told below
        stored = values.astype(spec.dtype)
    if np.isinf(stored).any():
        raise InvalidData(
            f"{where} holds {int(np.isinf(stored).sum())} infinite value(s), of dtype"
            f" {values.dtype} stored as {spec.dtype} (largest {np.finfo(spec.dtype).max:g}; float16"
            " overflows at 65504). Compute it in float32 and rescale it"
        )
    return stored


def _check_values(values: np.ndarray, spec: Variable, where: str) -> None:
    low, high = spec.low, spec.high
    if (
        low is not None
        and high is not None
        and values.size
        and (values.min() < low or values.max() > high)
    ):
        raise InvalidData(
            f"{where} lies in [{values.min():g}, {values.max():g}], not in [{low:g}, {high:g}]."
            " Give it in that unit"
        )
    cut = values[values != np.trunc(values)] if spec.dtype in ("uint8", "int32") else values[:0]
    if cut.size:
        raise InvalidData(
            f"{where} holds {cut.size} number(s) that are not whole (e.g. {cut[0]:g}); {spec.dtype}"
            " would cut them. Give whole numbers"
        )
